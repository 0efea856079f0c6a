"""The native store of `manyhands.search`: text, blocks, index, scanning. See docs/internals/search.md, native/search.

Threads: one at a time; long calls release the GIL, and a second thread that enters meanwhile gets RuntimeError.
All numbers in packed results are little-endian: ``memoryview(...).cast("I")`` or ``"Q"`` reads them.
"""

from typing import final

from typing_extensions import Buffer

# outcomes of Store.read
OK: int  # read
BINARY: int  # a NUL in the first 8 KB
ENCODED: int  # begins with a byte order mark (UTF-8, UTF-16 LE or BE): not stored, decode it and `put` it
NOT_REGULAR: int  # a folder, FIFO, device or socket: nothing is read from it (O_NONBLOCK, fstat first)
TOO_LARGE: int
FAILED: int  # errno is in `size`

# kinds of text
ASCII: int  # 0
UTF8: int  # 1
INVALID: int  # 2
FOLDS: int  # 4, added: has U+017F or U+212A

# flags of find, count, containing
CASELESS: int  # ASCII letters fold; others are exact
WORD: int  # neither neighbour of the match is [A-Za-z0-9_]; bytes from 0x80 on count as no word characters
FIRST_ONLY: int  # at most one line a file (then the rest of the file is skipped)
PLAIN_ONLY: int  # of find and count: stop before a segment with FOLDS, for region() to take it (see at_folds)

@final
class Store:
    def __new__(cls) -> Store:
        """An empty store; 64 GiB of address space are reserved, memory comes as text does."""

    # ---- text ----
    def read(self, file: int, path: bytes, most_bytes: int) -> tuple[int, int, int]:
        """Read the file at `path` to the end of the store as number `file` (which must have no text): outcome, size in
        bytes, mtime in ns. Follows symlinks (the caller has judged them). Releases the GIL."""
    def read_many(
        self, root: bytes, first: int, names: list[bytes], most_bytes: int
    ) -> tuple[bytes, bytes, bytes]:
        """Read ``root/name`` for each as files `first`, `first` + 1, ...: outcomes u8[n], sizes u64[n], mtimes i64[n].
        An empty name fails; a root that cannot be opened fails every file. MemoryError: none of them is kept."""
    def put(self, file: int, text: Buffer) -> None:
        """Append the text of file number `file` (below 4 GiB - 64 KB); what it had before dies, unless this raises."""
    def remove(self, file: int) -> bool:
        """Let the file's text die. False: it has none."""
    def text(self, file: int) -> bytes | None:
        """The file's text, without the newline that the store has added."""
    def kind(self, file: int) -> int:
        """The worst kind that a part of its text has, plus FOLDS if one has that. ValueError: it has no text."""
    def numbers(self) -> bytes:
        """The numbers of all files that have a text, empty ones too, in visiting order: u32[n]."""
    def set_ranks(self, ranks: Buffer) -> None:
        """u32 a file number: visits that begin from now on go in this order (until then in the order of numbers).
        Files beyond its end come last, in the order of numbers."""
    def tidy(self, most_bytes: int) -> int:
        """When more than a third of the store is dead, append files that have text in sparse blocks again, up to so
        many bytes; how many bytes were moved. 0: nothing to do, or a visit (or hits, or a view of text) is open. Files
        of more than 1 MB stay where they are."""

    # ---- index ----
    def index(self, most_blocks: int) -> int:
        """Index up to so many blocks that are not (whole fours: up to three more); how many are left. Releases the
        GIL. Costs least for 64 blocks and more at a time."""
    def candidates(self, literal: bytes, folds: bool) -> bytes:
        """A bit a block: may have a line with `literal` (any case of ASCII; with `folds`, also U+017F for s and U+212A
        for k; grams with other non-ASCII bytes are used when `folds` is False and left out when True). Literals of one
        or two bytes name all blocks that have living text. A literal with a newline may lie across blocks: the blocks
        of its rarest part are named, so a file that has it has at least one of them."""
    @property
    def blocks(self) -> int:
        """How many blocks there are, those that are free and wait to be used again included."""
    @property
    def indexed(self) -> int:
        """How many blocks the index knows whole; free ones count."""
    @property
    def text_bytes(self) -> int:
        """Living text."""
    @property
    def memory_bytes(self) -> int:
        """Text (dead too), tables and index."""
    @property
    def files(self) -> int:
        """How many files have a text (an empty one is one)."""
    def check(self) -> None:
        """Raise AssertionError when the tables contradict each other. For tests."""

    # ---- queries ----
    def visit(self, blocks: Buffer | None, files: Buffer | None) -> Visit:
        """The living segments of those blocks (a bit each; None: all) and files (a byte a number, 0 for no; None: all;
        numbers beyond its end: yes), in path order. A file with an empty text has none. ValueError: `blocks` is of
        another length than candidates() would give now."""

@final
class Visit:
    """Goes over segments once: by find, count, all_lines and region, or by file. Text stays where it is as long as a
    visit, its hits or a view of its text is there; closing it early is good manners."""

    @property
    def done(self) -> bool:
        """Nothing is left, or it is closed."""
    @property
    def scanned_bytes(self) -> int: ...
    @property
    def at_folds(self) -> bool:
        """Has find or count with PLAIN_ONLY stopped before a segment with FOLDS? Then region() takes it, and they go on
        behind."""
    def close(self) -> None:
        """Its hits and views stay good; what needs the visit itself raises ValueError from now on."""
    def files(self) -> bytes:
        """All files that it goes over, u32[n], in order."""
    def find(self, needle: bytes, flags: int, most_bytes: int, most_lines: int) -> Hits:
        """Scan on for lines with `needle` (not empty, no newline), until so much was scanned, or so many lines were
        found, or `done`. Releases the GIL."""
    def count(self, needle: bytes, flags: int, most_bytes: int) -> tuple[bytes, bytes]:
        """As `find`, but only files u32[n] and how many lines u32[n], for those that have any. A file may come again
        in the next step."""
    def all_lines(self, most_bytes: int, most_lines: int) -> Hits:
        """Scan on, every line."""
    def region(self, most_bytes: int, mixed: bool = False) -> tuple[memoryview, int] | None:
        """Go on to the next stretch of text that lies back to back and is of one kind (at least one segment, about so
        many bytes at most); the text, read-only, and its kind. With `mixed` kinds may differ, but for FOLDS, and the
        worst of them is told. None: `done`. The view holds the text where it is. ValueError: find() stands in the
        midst of a segment."""
    def lines_at(self, ends: Buffer) -> Hits:
        """The lines of the present region in which matches end; `ends`: u32[n] offsets behind a match's last byte, in
        any order, doubles allowed. An end just behind a newline is the line that this newline ends, unless it is also
        an empty match at the line that begins there: the caller means the former."""
    def others(self, hits: Hits) -> Hits:
        """The lines of the present region that are not in `hits` (all of the present region)."""
    def file(self) -> tuple[int, memoryview] | None:
        """Go on to the next file as a whole (without an added newline): number and text. None: `done`. Not to be mixed
        with find, count, all_lines and region."""
    def spans(self, spans: Buffer) -> Hits:
        """The lines of the present file that spans touch: u32[2 * n] offsets (start, end), starts in order. The lines
        of one span, and spans that share a line, are one line here, with newlines in it. What is empty and stands
        behind the last newline is in the last line."""

@final
class Hits:
    """Lines, in visiting order: file, number (from 1), where the text is. Holds the text where it is."""

    def __len__(self) -> int: ...
    def line(self, index: int) -> bytes: ...
    def lines(self) -> list[bytes]: ...
    def files(self) -> bytes: ...  # u32[n]
    def keep(self, mask: Buffer) -> Hits:
        """Those whose byte in `mask` is not 0."""
    def containing(self, needle: bytes, flags: int, wanted: bool) -> Hits:
        """Those that have `needle`, or with ``wanted=False`` those that have not. FIRST_ONLY: one a file."""
    def not_ascii(self) -> bytes:
        """A byte a line: 1 when it has a byte from 0x80 on."""
    def limit(self, most_lines: int) -> Hits: ...
    def joined(self, others: list[Hits]) -> Hits:
        """These, and then those of the others."""
    def columns(self, before: int, after: int) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        """files u32[n], line numbers u32[n], offsets u32[n + 1] into the last, kinds u8[n] (0 context, 1 hit; empty
        when there is no context), and the lines back to back without their newlines. With context: lines of the same
        file around hits, each once. Raises OverflowError when the text is 4 GiB or more (ask for fewer lines)."""

def _force_path(number: int, /) -> str:
    """Search in this way from now on, in this process, and its name: 0 the fastest, 1 plain C, 2 SSE2, 3 AVX2.
    ValueError: this machine has it not. For tests."""
