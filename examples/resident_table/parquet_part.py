"""A source: some rows of a Parquet file. Needs pyarrow.

Always true: only the columns asked for are read, and only from row groups that have some of the rows.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from resident_table.chunk import ROWS_AT_A_TIME, Chunk, TableError, first_line, from_arrow
from resident_table.csv_part import place_of


class ParquetPart(NamedTuple):
    """Rows `start` to `stop`."""

    path: Path
    column: str
    by: str | None
    start: int
    stop: int

    def chunks(self) -> Iterator[Chunk]:
        """Some hundred thousand rows at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path) as file:
                yield from self._rows(file)
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{self.path}: {first_line(error)}") from None

    def _rows(self, file: Any) -> Iterator[Chunk]:
        at = 0
        for number in range(file.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            if at < self.stop and at + rows > self.start:
                yield from self._row_group(file, number, at)
            at += rows

    def _row_group(self, file: Any, number: int, at: int) -> Iterator[Chunk]:
        columns = [self.column] if self.by is None else [self.column, self.by]
        for batch in file.iter_batches(ROWS_AT_A_TIME, [number], columns, use_threads=False):
            first, last = max(self.start - at, 0), min(self.stop - at, len(batch))
            at += len(batch)
            if first < last:
                rows = batch.slice(first, last - first)
                yield from_arrow(rows.column(self.column), None if self.by is None else rows.column(self.by))


def parquet_pieces(path: Path, column: str | None, by: str | None, count: int) -> list[ParquetPart]:
    """The file in parts of as many rows. Raises `TableError` for what is no Parquet, and columns that will not do."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise TableError(f"to read {path} pyarrow is needed: pip install pyarrow") from None
    try:
        with pq.ParquetFile(path) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
    except pa.ArrowException as error:
        raise TableError(f"{path} is no Parquet file: {first_line(error)}") from None
    kind = schema.field(place_of(path, schema.names, column, "--column")).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise TableError(f"column {column!r} of {path} has {kind}, not numbers")
    if by is not None:
        place_of(path, schema.names, by, "--by")
    if by == column:
        raise TableError(f"--column and --by are both {column!r}; name two columns, or leave --by out")
    count = max(1, min(count, rows))
    bounds = [rows * number // count for number in range(count + 1)]
    return [ParquetPart(path, str(column), by, *pair) for pair in pairwise(bounds)]
