"""A source: some lines of a CSV file, parsed by pyarrow where that is installed, else by numpy.

The file is cut by bytes, so that nobody has to read it first. It must have a header, and no line breaks inside quotes.

Always true: a line belongs to the part that has its first byte, so each line has one reader.
"""

import csv
import importlib.util
import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from resident_table.chunk import Chunk, TableError, first_line, from_arrow, grouped, ungrouped

#: What stands for a number that is missing.
MISSING = ["", "NA", "NaN", "nan", "NULL", "null"]

BYTES_AT_A_TIME = 1 << 24


class CsvPart(NamedTuple):
    """The lines that begin at byte `start` or later and before `stop`. Columns are known by their places."""

    path: Path
    column: int
    by: int | None
    width: int
    start: int
    stop: int
    by_numpy: bool

    def chunks(self) -> Iterator[Chunk]:
        """Some megabytes of lines at a time. Raises `TableError` for a line that does not fit or is not a number."""
        parse = _by_numpy if self.by_numpy else _by_pyarrow
        for block in filter(bytes.strip, self._blocks()):
            try:
                yield parse(self, block)
            except TableError:
                raise
            except ValueError as error:
                raise TableError(f"{self.path}: {first_line(error)}") from None

    def _blocks(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(self.start - 1)
            file.readline()  # the rest of a line that another part has, or the end of the header's
            while (at := file.tell()) < self.stop:
                block = file.read(min(BYTES_AT_A_TIME, self.stop - at))
                if not block:
                    return  # the file has become shorter
                yield block if block.endswith(b"\n") else block + file.readline()


def _by_pyarrow(part: CsvPart, block: bytes) -> Chunk:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(place) for place in range(part.width)]
    kinds = {str(part.column): pa.float64()} | ({} if part.by is None else {str(part.by): pa.string()})
    table = arrow_csv.read_csv(
        pa.BufferReader(block),
        arrow_csv.ReadOptions(use_threads=False, column_names=names),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=list(kinds), column_types=kinds, null_values=MISSING
        ),
    ).combine_chunks()
    columns = {name: table.column(name).chunk(0) for name in kinds}
    return from_arrow(columns[str(part.column)], None if part.by is None else columns[str(part.by)])


def _by_numpy(part: CsvPart, block: bytes) -> Chunk:
    places = [part.column] if part.by is None else [part.column, part.by]
    lines = filter(str.strip, io.StringIO(block.decode()))
    text = np.loadtxt(lines, str, delimiter=",", quotechar='"', comments=None, usecols=places, ndmin=2)
    values = np.where(np.isin(text[:, 0], MISSING), "nan", text[:, 0]).astype(np.float64)
    if part.by is None:
        return ungrouped(values)
    labels, codes = np.unique(text[:, 1], return_inverse=True)
    return grouped(values, codes, labels.tolist())


def csv_pieces(
    path: Path, column: str | None, by: str | None, count: int, by_numpy: bool = False
) -> list[CsvPart]:
    """The file in parts of about as many bytes. Raises `TableError` for a column that is not there."""
    with path.open("rb") as file:
        line = file.readline()
        begin, end = file.tell(), file.seek(0, io.SEEK_END)
    names = _header(path, line)
    places = [
        place_of(path, names, column, "--column"),
        None if by is None else place_of(path, names, by, "--by"),
    ]
    if places[0] == places[1]:
        raise TableError(f"--column and --by are both {column!r}; name two columns, or leave --by out")
    by_numpy = by_numpy or importlib.util.find_spec("pyarrow") is None
    bounds = [begin + (end - begin) * number // count for number in range(count + 1)]
    return [CsvPart(path, *places, len(names), start, stop, by_numpy) for start, stop in pairwise(bounds)]


def _header(path: Path, line: bytes) -> list[str]:
    try:
        names = next(csv.reader([line.decode("utf-8-sig")]), [])
    except (UnicodeDecodeError, csv.Error):
        names = []
    if not names:
        raise TableError(f"{path} does not begin with a line of column names in UTF-8")
    return names


def place_of(path: Path, names: list[str], name: str | None, option: str) -> int:
    """Where that column is. Raises `TableError`, with the names that there are."""
    if name in names:
        return names.index(name)
    there = f"{path} has the columns {', '.join(names)}"
    if name is None:
        raise TableError(f"{option} must say which numbers to read: {there}")
    raise TableError(f"there is no column {name!r} for {option}: {there}")
