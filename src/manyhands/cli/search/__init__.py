"""The command ``manyhands search``.

::

    command     run(): all of it, Ctrl-C, and the exit status
    arguments   read(): the command line as Options, or what is wrong with it
    options     what can be asked, and how it is written; manual: the text of --help
    places      the paths to search, or stdin
    job         which questions are asked, and which printer gets the answers
    question    what the options ask, as the library and a service want it said
    ask         the questions to `manyhands.search`; account: what the answers tell of their files
    served      the same questions to a service; route: which one; exchange: over its socket; reply: what comes
    groups      lines of one file, as they follow one another in an answer
    style       how lines are shown; paint: colours and links
    lines       lines as text; replaced: with --replace
    tallies     counts and paths
    events      lines as JSON; original: where a line lies in its file
    writer      stdout, in large chunks
    shortfalls  what was not searched, on stderr
    stats       what --stats says

Always true: this package imports nothing heavy, and `manyhands.search` only when there is something to search.
"""

from __future__ import annotations

SUMMARY = "search a tree of text files, with ripgrep's options and output"
