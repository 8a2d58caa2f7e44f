"""Parquet tables of pictures: bytes, paths, or the records of both that Hugging Face writes. Blocks are rows."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING, Any

from thumbnet.config import ColumnSettings
from thumbnet.errors import DataError
from thumbnet.thumbnails.blocks import ArchivePicture, Block, Damage
from thumbnet.thumbnails.cells import cell, columns_of, file_of, label_of, outer
from thumbnet.thumbnails.naming import readable, safe_target, without_suffixes
from thumbnet.thumbnails.places import below, open_binary, parent, reason_of, version_of

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetFile

TABLE_SUFFIX = ".parquet"
ROWS_AT_ONCE = 16  # pictures that are in memory together
BUFFER_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """Tables in their order; see `Source`.

    Attributes:
        description: One phrase for messages.
        root: What names count from.
        places: Paths or addresses.
        columns: Where pictures and labels are.
        block_pictures: Most rows of a block.
    """

    description: str
    root: str
    places: Sequence[str]
    columns: ColumnSettings
    block_pictures: int

    def blocks(self) -> Iterator[Block]:
        """Slices of row groups; a table without a readable end is a block by itself, which says so."""
        names = [below(place, self.root) for place in self.places]
        index = 0
        for place, name, stem in zip(self.places, names, without_suffixes(names), strict=True):
            version = version_of(place)
            for group, first, skip, rows in _slices(place, self.block_pictures):
                yield TableBlock(
                    index=index,
                    table=readable(name),
                    stamp=hashlib.sha256(f"{version}\0{first}\0{rows}".encode()).hexdigest(),
                    place=place,
                    folder=f"{stem}/",
                    columns=self.columns,
                    group=group,
                    first=first,
                    skip=skip,
                    pictures=rows,
                )
                index += 1


@dataclass(frozen=True, kw_only=True, slots=True)
class TableBlock:
    """Rows of one row group; see `Block`.

    Attributes:
        table: What the table is called.
        place: Its path or address.
        folder: What its pictures' targets are below, not made safe yet.
        columns: As in `TableSource`.
        group: Number of the row group; None if the table cannot be opened.
        first: Number of its first row within the table.
        skip: Rows of the row group before that.
    """

    index: int
    table: str
    stamp: str
    place: str
    folder: str
    columns: ColumnSettings
    group: int | None
    first: int
    skip: int
    pictures: int | None

    @property
    def name(self) -> str:
        """The table, and its rows if they are known."""
        return f"{self.table}/{self.first:09d}" if self.pictures is not None else self.table

    def read(self) -> Iterator[ArchivePicture | Damage]:
        """Its rows in their order. Rows of a row group before them are decoded and left out."""
        number = self.first
        try:
            with open_binary(self.place) as file:
                for picture in self._rows(file):
                    yield picture
                    number += 1
        except Exception as error:  # pyarrow and stores answer damage with almost any exception
            where = "" if self.pictures is None else f"rows {number} to {self.first + self.pictures - 1} "
            yield Damage(name=self.table, reason=f"{where}cannot be read ({reason_of(error)})")

    def _rows(self, file: BufferedReader) -> Iterator[ArchivePicture]:
        table = _opened(file)
        names = list(table.schema_arrow.names)
        columns = columns_of(names, self.columns, self.table)
        classes = class_names(table.schema_arrow, columns.label)
        used = sorted({outer(name, names) for name in (columns.picture, columns.label) if name})
        folder, position = parent(self.place), 0
        end = self.skip + (self.pictures or 0)
        for batch in table.iter_batches(ROWS_AT_ONCE, row_groups=[self.group or 0], columns=used):
            for row in range(max(0, self.skip - position), min(batch.num_rows, end - position)):
                values = {name: batch.column(name)[row].as_py() for name in used}
                number = f"{self.first + position + row - self.skip:09d}"
                yield ArchivePicture(
                    name=f"{self.table}/{number}",
                    target=safe_target(self.folder + number),
                    file=file_of(cell(values, columns.picture), folder),
                    label=label_of(cell(values, columns.label), classes) if columns.label else None,
                )
            position += batch.num_rows
            if position >= end:
                return
        raise DataError(f"the row group ends after {position} rows")


def check_tables(places: Sequence[str], columns: ColumnSettings) -> None:
    """Makes sure that the first table that can be opened has the columns it needs, and that some table has rows.

    Raises:
        DataError: If not, or if none can be opened.
    """
    reason = ""
    checked = False
    for place in places:
        try:
            with open_binary(place) as file:
                table = _opened(file)
                names, rows = list(table.schema_arrow.names), table.metadata.num_rows
        except Exception as error:
            reason = reason or reason_of(error)
            continue
        if not checked:
            columns_of(names, columns, readable(place))
            checked = True
        if rows:
            return
    if checked:
        raise DataError(f"pictures: no rows in {readable(places[0])}; give tables that hold pictures")
    raise DataError(f"pictures: cannot open {readable(places[0])} ({reason}); check that it is a whole Parquet file")


def class_names(schema: "Schema", column: str | None) -> tuple[str, ...] | None:
    """Names of the classes of a label column, where Hugging Face's library wrote them beside the schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[column]["names"])
    except (KeyError, TypeError, ValueError):
        return None


def _opened(file: BufferedReader) -> "ParquetFile":
    import pyarrow.parquet

    # Row groups of several GB are read page by page, not as a whole.
    return pyarrow.parquet.ParquetFile(
        file, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True
    )


def _slices(place: str, most: int) -> Iterator[tuple[int | None, int, int, int | None]]:
    """Row group, number of the first row in the table and in the row group, and rows."""
    try:
        with open_binary(place) as file:
            metadata: Any = _opened(file).metadata
            sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    except Exception:  # reading the block says why
        yield None, 0, 0, None
        return
    start = 0
    for group, size in enumerate(sizes):
        for skip in range(0, size, most):
            yield group, start + skip, skip, min(most, size - skip)
        start += size
