"""Rows of the `datasets` library as files of pictures: bytes within the rows, or paths."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thumbnet.data.labelled import Files

if TYPE_CHECKING:
    from datasets import Dataset


def files_of(rows: "Dataset", column: str, root: Path) -> tuple[Files, tuple[str, ...]]:
    """Files of a split, and their names: paths or keys where there are any, else numbers.

    Args:
        rows: As the library opened them.
        column: Of the pictures.
        root: Where relative paths count from.
    """
    cells = undecoded(rows.select_columns([column]), column)
    if isinstance(content_of(cells[0][column], root), Path):
        contents = [content_of(value, root) for value in cells[column]]
        paths = tuple(file for file in contents if isinstance(file, Path))
        if len(paths) == len(contents):
            return paths, _different([_below(path, root) for path in paths])
    names = list(rows["__key__"]) if "__key__" in rows.column_names else [f"{row:09d}" for row in range(len(rows))]
    return RowFiles(cells, column, root, range(len(rows))), _different(names)


def _below(path: Path, root: Path) -> str:
    """A path as it is on every machine, where the data set is in one folder."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _different(names: list[str]) -> tuple[str, ...]:
    """Names that are there twice get their row's number, because views go by name; `hold_out` goes by file."""
    counted = Counter(names)
    return tuple(f"{name}#{row}" if counted[name] > 1 else name for row, name in enumerate(names))


def column_names(rows: Any) -> list[str]:
    """Names of all columns; of a stream that does not say, those of its first row."""
    return list(rows.column_names or next(iter(rows), {}))


def value_of(rows: Any, column: str) -> Iterator[Any]:
    """The values of a column, or of a part of a column of records such as `json.label`."""
    outer = column if column in column_names(rows) else column.partition(".")[0]
    cells = rows.select_columns([outer])
    for value in cells[outer] if hasattr(cells, "__len__") else (row[outer] for row in cells):
        yield value if outer == column else part_of(value, column)


def part_of(value: Any, column: str) -> Any:
    """What a record has under the name after the column's dot."""
    return value.get(column.partition(".")[2]) if isinstance(value, dict) else None


def undecoded(rows: Any, column: str) -> Any:
    """Rows whose pictures stay files: the library would decode, and neither turn nor check them."""
    from datasets import Image

    return (
        rows.cast_column(column, Image(decode=False)) if isinstance((rows.features or {}).get(column), Image) else rows
    )


def content_of(value: Any, root: Path) -> Path | bytes:
    """A cell of a picture column as bytes or path; a cell without either is an empty file."""
    if isinstance(value, dict):
        return value["bytes"] if value.get("bytes") is not None else content_of(value.get("path"), root)
    if isinstance(value, str):
        return root / value
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""


class RowFiles:
    """Pictures that are kept as bytes in rows, or in part so.

    Args:
        rows: The column alone, not decoded.
        column: Its name.
        root: Where relative paths among them count from.
        keep: Positions of the rows in use.
    """

    def __init__(self, rows: "Dataset", column: str, root: Path, keep: Sequence[int] | np.ndarray) -> None:
        self.rows = rows
        self.column = column
        self.root = root
        self.keep = np.asarray(keep, dtype=np.int64)

    @property
    def stamp(self) -> str:
        """The library's own fingerprint of the rows, and which are in use."""
        in_use = hashlib.sha256(self.keep.tobytes()).hexdigest()
        return f"{self.rows._fingerprint}\0{self.column}\0{self.root}\0{in_use}"

    def __len__(self) -> int:
        return len(self.keep)

    def __getitem__(self, index: int) -> Path | bytes:
        return content_of(self.rows[int(self.keep[index])][self.column], self.root)

    def __iter__(self) -> Iterator[Path | bytes]:
        return (self[index] for index in range(len(self)))

    def select(self, keep: Sequence[int]) -> "RowFiles":
        """The files at the given positions."""
        return RowFiles(self.rows, self.column, self.root, self.keep[list(keep)])
