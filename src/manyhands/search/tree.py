"""`open`: a tree of text files in memory, one shard a process, that answers queries. Part of the search room.

Owns the group of shards, the table of files (`listing`), and the watcher. Uses manyhands by its public names only.

Always true:

1. Every file that the walk found is searched, or listed in `skipped` with its reason.
2. A query asks all shards at once; a shard that dies with it is named in the answer and rebuilt meanwhile.
3. `close` leaves nothing: no process, no thread, no memory.

Threads: any.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import compress
from typing import Any

import manyhands
from manyhands.errors import ActorLostError, ClosedResourceError, UsageError
from manyhands.search.answer import Answer, Counts, Matching, Preview
from manyhands.search.asking import counting, matcher_of, naming, replacing, until_ns
from manyhands.search.columns import Part
from manyhands.search.corpus.filters import Filters
from manyhands.search.corpus.pieces import split
from manyhands.search.corpus.roots import read_roots
from manyhands.search.corpus.skipped import Skipped
from manyhands.search.corpus.walk import walk
from manyhands.search.errors import NotHeldError
from manyhands.search.following import Follower
from manyhands.search.listing import Listing
from manyhands.search.loading import show_loading
from manyhands.search.names import NameFilter
from manyhands.search.query import checks
from manyhands.search.query.plan import Plan
from manyhands.search.shard import Load, Shard, Status
from manyhands.search.told import FileLines, TreeStatus

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

#: A shard that has not answered so long after the deadline is given up; one that lives answers with what it has.
_GRACE_S = 0.25

#: Parts that a shard may be ahead of the reader.
_WINDOW = 2

#: A smaller tree is not worth another process.
_BYTES_A_SHARD = 4 << 20


class _Inquiry:
    """The parts of one question's answer, from all shards in their order."""

    def __init__(self, gathering: Any, tree: Tree) -> None:
        self._gathering, self._tree = gathering, tree

    def count_skipped(self) -> int:
        """Of the tree, as far as is known here."""
        return self._tree.skipped_count

    def list_skipped(self) -> Skipped:
        """Asks the shards."""
        return self._tree.skipped()

    @property
    def missing(self) -> Mapping[int, BaseException]:
        """Shards that did not answer."""
        missing: Mapping[int, BaseException] = self._gathering.missing
        return missing

    def __iter__(self) -> Iterator[tuple[int, Part]]:
        return iter(self._gathering)

    def __aiter__(self) -> AsyncIterator[tuple[int, Part]]:
        return aiter(self._gathering)

    def close(self) -> None:
        """The shards stop."""
        self._gathering.close()


def open(  # noqa: A001 - as in gzip.open, to be used as search.open
    path: Path, *more_paths: Path, watch: bool = False, shards: int | None = None, progress: Any = False,
    hidden: bool = False, ignore: bool = True, globs: Any = (), types: Any = (), not_types: Any = (),
    binary: bool = False, max_file_bytes: int | None = None, follow: bool = False,
) -> Tree:  # fmt: skip
    """Load all text files below the paths into memory, and be ready to search them.

    Blocks until the text is there; the index is built behind. Which files: git's ignore rules are obeyed (`ignore`),
    hidden and binary files left out, unless told otherwise; `globs`, `types`, `not_types`, `max_file_bytes` and
    `follow` are as in `manyhands.search.Filters`. `shards` is the number of processes (None: one a usable core, fewer
    for small trees). With `watch` the tree follows what happens to the files, else `Tree.refresh` does so when asked.
    `progress` is as for `manyhands.Pool.map`.

    Raises FileNotFoundError for a path that is not there, `manyhands.errors.UsageError` for options that make no
    sense, and ImportError, which says what to install, when a library of ``manyhands[search]`` is missing.

    >>> import manyhands.search
    >>> with manyhands.search.open("src") as tree:  # doctest: +SKIP
    ...     for row in tree.search("import"):
    ...         print(row.path, row.line_number, row.line)
    """
    filters = Filters(
        hidden=hidden, ignore=ignore, globs=globs, types=types, not_types=not_types, binary=binary,
        max_file_bytes=max_file_bytes, follow=follow,
    )  # fmt: skip
    if not isinstance(watch, bool):
        raise UsageError(f"watch must be True or False, not {watch!r}")
    if shards is not None and (isinstance(shards, bool) or not isinstance(shards, int) or shards < 1):
        raise UsageError(f"shards must be a whole number from 1 on, or None, not {shards!r}")
    return Tree([path, *more_paths], filters, shards, watch, progress)


class Tree:
    """What `open` returns: a context manager. Its answers are exact: those of a scan of every file."""

    def __init__(
        self, roots: list[Path], filters: Filters, shards: int | None, watch: bool, progress: Any
    ) -> None:
        self._roots, self._filters = roots, filters
        self._changing = threading.RLock()  # one lot of changes at a time
        self._read_roots = read_roots(roots)
        self._shown_roots = [root.shown for root in self._read_roots if root.is_folder]
        self._closed = False
        self._unread = self._in_trouble = 0
        found = walk(roots, filters)
        self._walk_skipped = found.skipped
        wanted = shards or max(1, min(manyhands.cpu_count(), sum(found.sizes) // _BYTES_A_SHARD))
        pieces = split(found.files, found.sizes, wanted)
        self._listing = Listing(
            [found.path(at) for at in range(len(found))], found.files, [0, *(piece.stop for piece in pieces)]
        )
        self._group = self._start(sum(found.sizes), progress)
        self._count_unread()
        self._watcher: Any = None
        if watch:
            self._watcher = Follower(self, roots, filters)

    def _start(self, size_bytes: int, progress: Any) -> Any:
        queue: Any = manyhands.SimpleQueue() if progress else None
        listing, filters = self._listing, self._filters
        loads = [
            Load(number, paths, names, self._shown_roots, filters.binary, filters.max_file_bytes, queue)
            for number, (paths, names) in enumerate(zip(listing.paths, listing.names, strict=True))
        ]
        group = manyhands.ActorGroup(Shard, loads, wait=queue is None)
        if queue is not None:
            try:
                show_loading(group, queue, len(listing), size_bytes, progress)
            except BaseException:
                group.terminate()
                raise
            finally:
                queue.close()
                for load in loads:
                    load.progress = None  # a shard that is rebuilt later reports to nobody
        return group

    # ---- asking ----

    def search(
        self, pattern: Any, *, deadline_s: float | None = None, patient: bool = True, **options: Any
    ) -> Answer:
        """The lines that match, as they are found: an `Answer`, for ``for`` or ``async for``, in the order of paths.

        `pattern` is a str or bytes, or several of them (any may match). Options, all by name: `regex` (RE2's syntax),
        `case` ("smart", "ignore", "exact"), `word`, `whole_line`, `all_of` and `none_of` (more patterns that must, or
        must not, match the same line, or with ``scope="file"`` the same file), `invert`, `multiline`, `file`,
        `not_file` (globs), `lang`, `not_lang` (names in `manyhands.search.LANGUAGES`), `under` (folders or files, as
        the tree names them), `limit` and `limit_per_file` (matching lines), `before`, `after`, `context` (lines
        around).

        After `deadline_s` seconds the answer ends with what was found by then. A shard that has died is rebuilt, and
        waited for; with ``patient=False`` it is not: the answer is partial, and names it in `missing`. So it does when
        a part of that shard's rows had come. Raises `manyhands.search.QueryError`, which says where a pattern is wrong.
        """
        matcher = matcher_of(pattern, options)
        inquiry = self._ask("search", matcher.plan, deadline_s, patient)
        return Answer(inquiry, len(self._group), matcher.plan.request.limit, self._names_of, matcher)

    def count(
        self, pattern: Any, *, deadline_s: float | None = None, patient: bool = True, **options: Any
    ) -> Counts:
        """How many lines match, in all and in each file. Options as for `search`, but for `limit` and context.

        Blocks; `count_async` does not.
        """
        counts = self._counts(pattern, deadline_s, patient, options)
        counts.read()
        return counts

    async def count_async(
        self, pattern: Any, *, deadline_s: float | None = None, patient: bool = True, **options: Any
    ) -> Counts:
        """`count` without blocking the loop."""
        counts = self._counts(pattern, deadline_s, patient, options)
        await counts.read_async()
        return counts

    def _counts(
        self, pattern: Any, deadline_s: float | None, patient: bool, options: dict[str, Any]
    ) -> Counts:
        inquiry = self._ask("count", counting(pattern, options).plan, deadline_s, patient)
        return Counts(inquiry, len(self._group), self._names_of)

    def preview(
        self, pattern: Any, replacement: str | bytes, *, context: int = 3, deadline_s: float | None = None,
        patient: bool = True, **options: Any,
    ) -> Preview:  # fmt: skip
        """What `replacement` in place of each match would change, as unified diffs, one a file (`FileDiff`: ``path``,
        ``diff``, ``lines``). Nothing is written; ``patch -p0`` would.

        In `replacement`, ``$1`` and ``${name}`` are groups of the regex, ``$0`` is the match, ``$$`` a dollar.
        `context` lines are shown around each change. Other options as for `search`, but for `invert` and `limit`.
        """
        matcher, template, lines = replacing(pattern, replacement, context, options)
        inquiry = self._ask("preview", matcher.plan, deadline_s, patient, template, lines)
        return Preview(inquiry, len(self._group), self._names_of)

    def files(
        self, pattern: Any = None, *, name: Any = (), without: bool = False, deadline_s: float | None = None,
        patient: bool = True, **options: Any,
    ) -> Matching:  # fmt: skip
        """The paths of files with a line that matches (or, with `without`, of those that have none), in order.

        `name` are globs that paths must match (any of them). Without a `pattern`: all such files, or those `under` a
        folder. Blocks; `files_async` does not.
        """
        found = self._files(pattern, name, without, deadline_s, patient, options)
        found.read()
        return found

    async def files_async(
        self, pattern: Any = None, *, name: Any = (), without: bool = False, deadline_s: float | None = None,
        patient: bool = True, **options: Any,
    ) -> Matching:  # fmt: skip
        """`files` without blocking the loop."""
        found = self._files(pattern, name, without, deadline_s, patient, options)
        await found.read_async()
        return found

    def _files(
        self, pattern: Any, name: Any, without: bool, deadline_s: float | None, patient: bool,
        options: dict[str, Any],
    ) -> Matching:  # fmt: skip
        chosen = checks.globs("name", _several(name))
        if pattern is None:
            under = checks.paths("under", options.pop("under", ()))
            if options or without:
                raise UsageError(
                    f"{', '.join(options) or 'without'} speaks of a pattern: give one, or leave it out"
                )
            return self._named(NameFilter(chosen, under=under))
        plan = naming(pattern, options | {"file": (*chosen, *_several(options.get("file", ())))}).plan
        method = "lacking" if without else "matching"
        return Matching(self._ask(method, plan, deadline_s, patient), len(self._group), self._names_of)

    def _named(self, wanted: NameFilter) -> Matching:
        """By their names alone: no shard is asked."""
        names = self._listing.living()
        mask = wanted.mask(names, self._shown_roots)
        chosen = list(names) if mask is None else list(compress(names, mask))
        return Matching.of(chosen, len(self._group), self)

    def _ask(self, method: str, plan: Plan, deadline_s: float | None, patient: bool, *more: Any) -> _Inquiry:
        until = until_ns(deadline_s)
        gathering = self._open_group().ask(
            method,
            plan,
            until,
            *more,
            in_order=True,
            stream=True,
            patient=patient,
            window=_WINDOW,
            deadline_s=deadline_s + _GRACE_S if deadline_s and until else None,
        )
        return _Inquiry(gathering, self)

    def _open_group(self) -> Any:
        if self._closed:
            raise ClosedResourceError("this tree was closed; open it again")
        return self._group

    def _names_of(self, shard: int) -> list[bytes]:
        return self._listing.names[shard]

    # ---- what there is ----

    def __len__(self) -> int:
        return len(self._listing)

    @property
    def skipped_count(self) -> int:
        """How many files are not searched, as it was when the tree was last read; `skipped` lists them."""
        return len(self._walk_skipped.entries) + self._unread

    @property
    def trouble_count(self) -> int:
        """How many of them are not searched for a reason that is no rule: no permission, a read error, and such."""
        return self._walk_skipped.trouble + self._in_trouble

    @property
    def watching(self) -> str:
        """What the watcher does: "off" without one, "watching ...", "polling (why)", "stopped by ..."."""
        return "off" if self._watcher is None else self._watcher.state

    def names(self, under: str | bytes = b"") -> list[bytes]:
        """The files that the tree has, as it names them, in order: all, or those in a folder.

        Those that are skipped for what is in them are among them. The list is the tree's own: do not change it."""
        folder = os.fsencode(under).rstrip(b"/")
        return self._listing.living() if folder in (b"", b".") else self._listing.at(folder)

    def lines(self, path: str | bytes, first: int = 1, last: int | None = None) -> FileLines:
        """Lines of a file as it is held, from the line `first` to `last` (None: all). Blocks; `lines_async` does not.

        The file is not opened. Raises `manyhands.search.NotHeldError` for what the tree does not hold.
        """
        name, call = self._ask_for_lines(path, first, last)
        return self._lines_of(name, first, call.get())

    async def lines_async(
        self, path: str | bytes, first: int = 1, last: int | None = None, *, deadline_s: float | None = None
    ) -> FileLines:
        """`lines` without blocking the loop. Raises `manyhands.errors.DeadlineError` after `deadline_s` seconds."""
        name, call = self._ask_for_lines(path, first, last, deadline_s)
        return self._lines_of(name, first, await call)

    def _ask_for_lines(
        self, path: str | bytes, first: int, last: int | None, deadline_s: float | None = None
    ) -> tuple[bytes, Any]:
        name = os.fsencode(path)
        checks.number("first", first, 1)
        if last is not None:
            checks.number("last", last, 0)
        group, place = self._open_group(), self._listing.place(name)
        if place is None:
            raise NotHeldError(name, self._why_not_walked(name))
        return name, group[place[0]].call("lines", place[1], first, last, deadline_s=deadline_s)

    def _lines_of(self, name: bytes, first: int, found: Any) -> FileLines:
        if found is None:
            raise NotHeldError(name, "Tree.skipped says why")
        return FileLines(name, first, *found)

    def _why_not_walked(self, name: bytes) -> str:
        return next((reason for path, reason, _ in self._walk_skipped if path == name), "")

    def skipped(self) -> Skipped:
        """Every file that is not searched, with its reason; what ignore rules and the filters leave out is counted.

        Blocks; `skipped_async` does not."""
        return self._merged(self._open_group().ask("skipped").all())

    async def skipped_async(self, *, deadline_s: float | None = None) -> Skipped:
        """`skipped` without blocking the loop. Raises `manyhands.errors.DeadlineError` after `deadline_s` seconds."""
        return self._merged(await self._open_group().ask("skipped", deadline_s=deadline_s))

    def _merged(self, each: list[dict[int, tuple[str, str]]]) -> Skipped:
        merged = Skipped()
        merged.merge(self._walk_skipped)
        for shard, found in enumerate(each):
            names = self._listing.names[shard]
            for number, (reason, detail) in found.items():
                merged.add(names[number], reason, detail)
        merged.sort()
        return merged

    def status(self) -> TreeStatus:
        """The tree in numbers. Blocks until all shards that live have told theirs; `status_async` does not."""
        gathering = self._open_group().ask("status", patient=False)
        return self._status_of([reply.value for reply in gathering], gathering.missing)

    async def status_async(self, *, deadline_s: float | None = None) -> TreeStatus:
        """`status` without blocking the loop; after `deadline_s` seconds, of the shards that have told theirs."""
        gathering = self._open_group().ask("status", patient=False, deadline_s=deadline_s)
        return self._status_of([reply.value async for reply in gathering], gathering.missing)

    def _status_of(self, each: list[Status], missing: Mapping[int, BaseException]) -> TreeStatus:
        group = self._group
        blocks = sum(one.blocks for one in each)
        return TreeStatus(
            files=sum(one.files for one in each), skipped=self.skipped_count,
            text_bytes=sum(one.text_bytes for one in each), memory_bytes=sum(one.memory_bytes for one in each),
            indexed=sum(one.indexed for one in each) / blocks if blocks else float(len(each) == len(group)),
            shards=group.status(),
            watching=self.watching, missing=missing,
        )  # fmt: skip

    def wait_indexed(self) -> None:
        """Block until all that is not indexed is. Queries need not wait: they are answered before, too."""
        for _ in self._open_group().ask("finish_index", stream=True):
            pass

    # ---- what changes ----

    def refresh(self) -> int:
        """Look at the tree again, and read what is new or has changed; how many files that were. Blocks."""
        found = walk(self._roots, self._filters, sized=False)
        now = dict(zip(found.files, map(found.path, range(len(found))), strict=True))
        with self._changing:
            stale = {reply.shard: reply.value for reply in self._open_group().ask("stale")}
            self._walk_skipped = found.skipped
            known = self._listing.living()
            told = [(name, False) for name in known if name not in now]
            told += [(name, True) for name in now if not self._listing.has(name)]
            for shard, names in enumerate(self._listing.names):
                told += [(names[number], True) for number in stale.get(shard, ()) if names[number] in now]
            self._apply(dict(told), now)
        return len(told)

    def apply(self, told: list[tuple[bytes, bool]]) -> None:
        """Names, as they are shown, of files that have changed, and whether they are there; of folders that are gone,
        too. Blocks until the shards have read them."""
        with self._changing:
            there: dict[bytes, bool] = {}
            for name, is_there in told:
                there.update(dict.fromkeys([name] if is_there else self._listing.at(name), is_there))
            self._apply(there, {name: self._path_of(name) for name, is_there in there.items() if is_there})

    def _path_of(self, name: bytes) -> bytes:
        for root in self._read_roots:
            if root.is_folder and name.startswith(root.shown):
                return root.path_of(name)
        return os.path.abspath(name)

    def _apply(self, there: dict[bytes, bool], paths: dict[bytes, bytes]) -> None:
        changes: dict[int, list[tuple[int, bytes, bytes]]] = {}
        for name, is_there in there.items():
            place = self._listing.add(name, paths[name]) if is_there else self._listing.drop(name)
            if place is not None:
                changes.setdefault(place[0], []).append((place[1], paths.get(name, b""), name))
        self._tell(changes)

    def _tell(self, changes: dict[int, list[tuple[int, bytes, bytes]]]) -> None:
        """Have the shards read, and wait until they have."""
        calls = [self._open_group()[shard].call("update", each) for shard, each in changes.items()]
        for call in calls:
            with contextlib.suppress(ActorLostError):  # when it is rebuilt, it is from this table
                call.get()
        self._count_unread()

    def _count_unread(self) -> None:
        each = [reply.value for reply in self._group.ask("status", patient=False)]
        self._unread, self._in_trouble = sum(one.skipped for one in each), sum(one.trouble for one in each)

    # ---- the end ----

    def close(self) -> None:
        """End the shards and the watcher. Doing it twice is harmless."""
        if self._closed:
            return
        self._closed = True
        try:
            self._group.terminate()  # first: the watcher may wait for a shard that is stopped
        finally:
            if self._watcher is not None:
                self._watcher.close()

    def __enter__(self) -> Tree:
        self._open_group()
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a Tree belongs to the process that opened it and cannot be sent to another: send what it answers"
        )

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        roots = ", ".join(os.fsdecode(root) for root in self._roots)
        return f"<Tree of {roots}: {len(self)} files{', closed' * self._closed}>"


def _several(globs: Any) -> tuple[str, ...]:
    return (os.fsdecode(globs),) if isinstance(globs, (str, bytes)) else tuple(map(os.fsdecode, globs))
