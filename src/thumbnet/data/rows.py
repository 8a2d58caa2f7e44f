"""Rows of the `datasets` library as files of pictures: bytes within the rows, or paths."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thumbnet.data.labelled import Files

if TYPE_CHECKING:
    from datasets import Dataset


def files_of(rows: "Dataset", column: str, root: Path) -> tuple[Files, tuple[str, ...]]:
    """Files of a split, and their names: paths or keys where there are any, else numbers."""
    cells = undecoded(rows.select_columns([column]), column)
    first = content_of(cells[0][column], root)
    if isinstance(first, Path):
        paths = [value.get("path") if isinstance(value, dict) else value for value in cells[column]]
        return tuple(root / (path or "") for path in paths), _different([str(path) for path in paths])
    keys = "__key__" if "__key__" in rows.column_names else None
    names = list(rows[keys]) if keys else [f"{row:09d}" for row in range(len(rows))]
    return RowFiles(cells, column, range(len(rows))), _different(names)


def _different(names: list[str]) -> tuple[str, ...]:
    """Names that are there twice get their row's number, because views and splits go by name."""
    counted = Counter(names)
    return tuple(f"{name}#{row}" if counted[name] > 1 else name for row, name in enumerate(names))


def value_of(rows: Any, column: str) -> Iterator[Any]:
    """The values of a column, or of a part of a column of records such as `json.label`."""
    outer, _, inner = column.partition(".")
    for value in rows.select_columns([outer])[outer]:
        yield value.get(inner) if inner and isinstance(value, dict) else value


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
    """Pictures that are kept as bytes in rows.

    Args:
        rows: The column alone, not decoded.
        column: Its name.
        keep: Positions of the rows in use.
    """

    def __init__(self, rows: "Dataset", column: str, keep: Sequence[int]) -> None:
        self.rows = rows
        self.column = column
        self.keep = tuple(keep)

    @property
    def stamp(self) -> str:
        """The library's own fingerprint of the rows, and which are in use."""
        return f"{self.rows._fingerprint}\0{self.column}\0{self.keep}"

    def __len__(self) -> int:
        return len(self.keep)

    def __getitem__(self, index: int) -> Path | bytes:
        return content_of(self.rows[self.keep[index]][self.column], Path())

    def __iter__(self) -> Iterator[Path | bytes]:
        return (self[index] for index in range(len(self)))

    def select(self, keep: Sequence[int]) -> "RowFiles":
        """The files at the given positions."""
        return RowFiles(self.rows, self.column, [self.keep[index] for index in keep])
