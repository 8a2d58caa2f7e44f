"""Cells of tables and data sets: which columns are used, and what a cell says of its picture."""

import math
from collections.abc import Sequence
from typing import Any

from thumbnet.config import ColumnSettings
from thumbnet.data.columns import LABEL_COLUMNS, Columns, find_columns
from thumbnet.thumbnails.naming import readable
from thumbnet.thumbnails.places import joined


def columns_of(names: Sequence[str], settings: ColumnSettings, data: str) -> Columns:
    """The columns that the settings name, else those with usual names; a label there need not be.

    Raises:
        DataError: If there is no picture column, or one that was named is not there.
    """
    without = settings.label is None and not any(name in names for name in LABEL_COLUMNS)
    return find_columns(names, settings, without, data)


def outer(column: str, names: Sequence[str]) -> str:
    """The column that `json.label` is a part of, or the column itself."""
    return column if column in names else column.partition(".")[0]


def cell(row: dict[str, Any], column: str) -> Any:
    """What a row has in a column, or in a part of a column of records."""
    if column in row:
        return row[column]
    record = row.get(column.partition(".")[0])
    return record.get(column.partition(".")[2]) if isinstance(record, dict) else None


def file_of(value: Any, folder: str) -> bytes | str:
    """A cell of a picture column as bytes, or as a path or address; a cell without either is an empty file."""
    if isinstance(value, dict):
        return bytes(value["bytes"]) if value.get("bytes") is not None else file_of(value.get("path"), folder)
    if isinstance(value, str):
        return joined(folder, value)
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""


def label_of(value: Any, classes: Sequence[str] | None) -> str | None:
    """A cell of a label column as the class's name; several are written `a|b`.

    Args:
        value: Of the cell.
        classes: Names to count in, where the data has them.
    """
    if isinstance(value, list | tuple):
        return "|".join(label_of(one, classes) or "" for one in value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if classes is not None and isinstance(value, int) and 0 <= value < len(classes):
        return readable(classes[value])
    whole = isinstance(value, float) and value.is_integer()
    return readable(value if isinstance(value, bytes) else str(int(value) if whole else value))
