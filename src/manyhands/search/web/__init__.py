"""The page of the search service: HTML, CSS and scripts, as the files are; nothing is built.

Owns the files beside it. Always true: they are read once, nothing else is ever served, and the page loads nothing from
anywhere else.

::

    index.html   the skeleton      theme.js     light or dark, before the first paint
    style.css    how it looks      main.js      the state, the views, the history
    address.js   the state as an address        form.js      the state as fields        keys.js      the keyboard
    wire.js      requests and streams           question.js  the state as parameters    service.js   is it there
    search.js    one question at a time         answering.js  what is seen of it        connection.js  when it is not
    results.js   rows by file                   pane.js      moving among them          account.js   the line of status
    reader.js    one file                       sheet.js     its lines                  skipped.js   what is left out
    start.js     before anything is asked       loosen.js    after nothing was found    trouble.js   what makes no sense
    text.js      spans, numbers                 paths.js     paths as links             dom.js       elements
"""

from __future__ import annotations

import functools
from importlib.resources import files

_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@functools.cache
def assets() -> dict[str, tuple[str, bytes]]:
    """URL path → (content type, bytes) of all that the page is made of.

    >>> content_type, page = assets()["/"]
    >>> content_type, page.startswith(b"<!doctype html>")
    ('text/html; charset=utf-8', True)
    """
    found = {}
    for file in files(__name__).iterdir():
        content_type = _CONTENT_TYPES.get("." + file.name.rpartition(".")[2])
        if content_type is not None:
            path = "/" if file.name == "index.html" else f"/static/{file.name}"
            found[path] = (content_type, file.read_bytes())
    return dict(sorted(found.items()))
