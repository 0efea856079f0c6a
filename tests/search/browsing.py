"""A browser for tests of the search service's page, and a service to visit with it.

Importing it skips the module when there is no Playwright or no Chromium. No page may leave an error in the browser's
console, nor break the page's content security policy: `visit` fails the test then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile

import pytest
from tests.search.serving import Serving

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
expect = playwright.expect

CHROMIUM = next(filter(None, map(shutil.which, ("/usr/bin/chromium", "chromium"))), None)
if CHROMIUM is None:
    pytest.skip("there is no Chromium", allow_module_level=True)
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_MS = 30_000
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'needle"

#: What the browser itself says of an answer that is no 200, or that did not come.
FAILED_REQUEST = "Failed to load resource"


@pytest.fixture(scope="module")
def grove(tmp_path_factory):
    root = tmp_path_factory.mktemp("grove")
    (root / "deep" / "er").mkdir(parents=True)
    (root / "alpha.py").write_text("import os\n\n\ndef needle():\n    return os.sep\n")
    (root / "deep" / "beta.py").write_text("one needle\ntwo\nthree needles, and a Needle\n")
    (root / "deep" / "er" / "gamma.c").write_text("int needle;\nint hay;\n")
    (root / "long.txt").write_text("".join(f"line {number}\n" for number in range(1, 5001)) + "last straw\n")
    (root / "many.txt").write_text("".join(f"straw number {number}\n" for number in range(1, 1501)))
    (root / "wide.txt").write_text("x" * 3000 + " faraway " + "y" * 3000 + "\n")
    (root / "smile.txt").write_text("\U0001f600\U0001f600 grin \U0001f600 grin\n")
    (root / "<b onmouseover=alert(3)>evil.txt").write_text(EVIL + "\n")
    (root / os.fsdecode(b"odd\xff &name.txt")).write_text("an oddity\n")
    (root / "binary.bin").write_bytes(b"needle\0needle\n")
    return root


@contextlib.contextmanager
def serving(*paths, options=("--port", "0", "--shards", "2"), **more):
    runtime = tempfile.mkdtemp(prefix="mh")  # short, because a socket's path is
    try:
        with Serving(*paths, runtime=runtime, options=options, **more) as service:
            yield service
    finally:
        shutil.rmtree(runtime)


@pytest.fixture(scope="module")
def service(grove):
    with serving(grove) as service:
        yield service


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS)
        )  # in a new user-data-dir
        yield launched
        launched.close()


@pytest.fixture
def visit(browser):
    """``visit(url, **options)``: a page in a browser that knows nothing yet. Fails the test on any complaint."""
    complaints, contexts = [], []

    def heard(message):
        if message.type in ("error", "warning") and FAILED_REQUEST not in message.text:
            complaints.append(message.text)

    def asked(dialog):
        complaints.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def open_page(url, viewport=WIDE, **options):
        context = browser.new_context(viewport=viewport, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", asked)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(visit, service):
    return visit(service.url)


def look_for(page, text):
    """Type it, and wait for the answer's end."""
    page.fill("#q", text)
    wait_until(
        page, "document.getElementById('q').value === new URLSearchParams(location.hash.slice(1)).get('q')"
    )
    answered(page)


def answered(page):
    expect(page.locator("#results:not(.stale) .listing")).to_have_count(1)
    expect(page.locator("#answer:not(.stale) .tag")).to_have_count(1)


def wait_until(page, expression):
    """Until it is true in the page. (Playwright's own way of waiting for that breaks the page's policy.)"""
    while not page.evaluate(expression):
        page.evaluate("new Promise(requestAnimationFrame)")


def state_of(page):
    return page.evaluate("location.hash")


def rows(page):
    return page.locator("#results .row")


def focused(page):
    return page.evaluate("document.activeElement.closest('.row')?.textContent ?? document.activeElement.id")


def is_in_sight(page, locator):
    box, view = locator.bounding_box(), page.viewport_size
    return box["y"] >= 0 and box["y"] + box["height"] <= view["height"]
