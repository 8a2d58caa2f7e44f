"""Data sets of Hugging Face's `datasets` library, by name or as a folder that it saved. Blocks are rows of a split."""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumbnet.config import ColumnSettings
from thumbnet.data.columns import Columns
from thumbnet.data.datasets import NAMED, SAVED_MARKS, Wanted, class_names, load, root_of
from thumbnet.data.rows import undecoded
from thumbnet.errors import DataError
from thumbnet.thumbnails.blocks import ArchivePicture, Block, Damage
from thumbnet.thumbnails.cells import cell, columns_of, file_of, label_of, outer
from thumbnet.thumbnails.naming import readable, safe_target
from thumbnet.thumbnails.places import reason_of


def is_saved(folder: str) -> bool:
    """Whether the library wrote this folder."""
    return any((Path(folder) / mark).is_file() for mark in SAVED_MARKS)


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """All splits of a data set, one behind the other; see `Source`.

    Attributes:
        description: One phrase for messages.
        data: `hf/NAME[:CONFIGURATION][#SPLIT]`, or a folder.
        columns: Where pictures and labels are.
        block_pictures: Most rows of a block.
    """

    description: str
    data: str
    columns: ColumnSettings
    block_pictures: int

    def blocks(self) -> Iterator[Block]:
        """Slices of splits. The library keeps rows on disk, so that opening reads none."""
        index = 0
        for split, rows in _opened(self.data).items():
            version = _version(self.data, split, rows)
            for first in range(0, len(rows), self.block_pictures):
                count = min(self.block_pictures, len(rows) - first)
                yield DatasetBlock(
                    index=index,
                    stamp=hashlib.sha256(f"{version}\0{first}\0{count}".encode()).hexdigest(),
                    data=self.data,
                    split=split,
                    columns=self.columns,
                    first=first,
                    pictures=count,
                )
                index += 1


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetBlock:
    """Rows of one split; see `Block`. The data set is opened anew in another process.

    Attributes:
        data: As in `DatasetSource`.
        split: Its name.
        columns: As in `DatasetSource`.
        first: Number of its first row within the split.
    """

    index: int
    stamp: str
    data: str
    split: str
    columns: ColumnSettings
    first: int
    pictures: int

    @property
    def name(self) -> str:
        """The split and its first row."""
        return f"{readable(self.split)}/{self.first:09d}"

    def read(self) -> Iterator[ArchivePicture | Damage]:
        """Its rows in their order."""
        try:
            rows = _opened(self.data)[self.split]
            columns = columns_of(rows.column_names, self.columns, self.data)
            cells = _cells(rows, columns)
        except Exception as error:  # the library answers damage with almost any exception
            yield Damage(name=self.name, reason=f"cannot be read ({reason_of(error)})")
            return
        classes = class_names(rows, columns.label) if columns.label else None
        folder = str(root_of(self.data))
        for number in range(self.first, self.first + self.pictures):
            name = f"{self.split}/{number:09d}"
            try:
                row = cells[number]
            except Exception as error:
                yield Damage(name=readable(name), reason=f"cannot be read ({reason_of(error)})")
                continue
            yield ArchivePicture(
                name=readable(name),
                target=safe_target(name),
                file=file_of(cell(row, columns.picture), folder),
                label=label_of(cell(row, columns.label), classes) if columns.label else None,
            )


def open_rows(data: str, columns: ColumnSettings, block_pictures: int) -> DatasetSource:
    """Opens a data set.

    Raises:
        DataError: If it cannot be opened, has no rows, or lacks a column.
    """
    parts = _opened(data)
    if not any(len(rows) for rows in parts.values()):
        raise DataError(f"pictures: no rows in {data}; give a data set that holds pictures")
    for rows in parts.values():
        columns_of(rows.column_names, columns, data)
    what = "data set" if data.startswith(NAMED) else "saved data set"
    return DatasetSource(
        description=f"the {what} {readable(data)}", data=data, columns=columns, block_pictures=block_pictures
    )


@functools.lru_cache(maxsize=1)
def _opened(data: str) -> dict[str, Any]:
    return load(data, Wanted(), streaming=False)


def _cells(rows: Any, columns: Columns) -> Any:
    names = list(rows.column_names)
    used = sorted({outer(name, names) for name in (columns.picture, columns.label) if name})
    return undecoded(rows.select_columns(used), outer(columns.picture, names))


def _version(data: str, split: str, rows: Any) -> str:
    """Changes with the data. The library's fingerprint of a named data set differs between machines, its folder not."""
    if data.startswith(NAMED):
        return repr(
            (data, split, rows.num_rows, sorted(Path(file["filename"]).parent.name for file in rows.cache_files))
        )
    return repr((data, split, rows.num_rows, rows._fingerprint))
