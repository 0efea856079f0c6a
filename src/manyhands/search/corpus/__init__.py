"""Which files a search sees, and why not the others.

::

    languages   names of file types and their globs
    filters     Filters: what the user asked to see
    braces      alternatives in a glob
    rules       an ignore file or a list of globs: pathspec reads the lines, RE2 looks for them
    ignores     where ignore rules are written: the tree, its parents, the repository, the user
    verdict     Folder: the rules that hold in one folder, and what they say about each name in it
    survey      one folder's entries: files to take, folders to enter, the rest with a reason
    roots       what the user named
    walk        walk(): all of it
    skipped     Skipped: the reasons
    pieces      split(): a contiguous range of files a shard
    decode      text with a byte order mark
    watch       Watcher: what has changed since; events (watchfiles), tracker, polling: how it knows

Always true: paths are bytes, so that no name is lost; walk and watch ask the same `Folder`, so they agree.
Libraries are imported where they are needed: pathspec and RE2 by the first rule or glob, watchfiles by the first
watcher. Of the rest of `manyhands.search` nothing but `errors` is imported.
"""
