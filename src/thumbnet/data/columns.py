"""Which columns of a table, data set or shard hold pictures and labels, and what a label's value means."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from thumbnet.config import ColumnSettings
from thumbnet.data.labelled import NO_LABEL, LabelKind, Labels
from thumbnet.errors import DataError

PICTURE_COLUMNS: tuple[str, ...] = ("picture", "image", "img", "path", "file", "filename", "file_name", "image_path")
PICTURE_COLUMNS += ("filepath", "jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm")
LABEL_COLUMNS = ("label", "labels", "class", "classes", "target", "category", "fine_label", "cls")
SPLIT_COLUMN = "split"
Label = TypeVar("Label")
SEPARATORS = re.compile(r"\s*[|;]\s*")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns that are used; a dot leads into a column of records, as in `json.label`."""

    picture: str
    label: str | None
    split: str | None


def find_columns(names: Sequence[str], settings: ColumnSettings, unlabelled: bool, data: str) -> Columns:
    """The columns that the settings name, else those with usual names.

    Args:
        names: All columns.
        settings: The user's choice.
        unlabelled: Whether labels are not wanted.
        data: Where the columns are, for messages.

    Raises:
        DataError: If a column is not there, or none has a usual name.
    """
    shown = ", ".join(names)

    def column(chosen: str | None, what: str, usual: Sequence[str]) -> str | None:
        if chosen is not None and chosen.partition(".")[0] not in names:
            problem = f"data: {data} has no column '{chosen}', but {shown}"
            raise DataError(f"{problem}; give one of these as --columns.{what}")
        return chosen or next((name for name in usual if name in names), None)

    picture = column(settings.picture, "picture", PICTURE_COLUMNS)
    label = None if unlabelled else column(settings.label, "label", LABEL_COLUMNS)
    for name, what in ((picture, "picture"), (label, "label")):
        if name is None and not (what == "label" and unlabelled):
            problem = f"data: no {what} column found in {data}, which has {shown}"
            without = ", or --unlabelled if there is none" if what == "label" else ""
            raise DataError(f"{problem}; name it with --columns.{what}{without}")
    assert picture is not None
    return Columns(picture=picture, label=label, split=column(settings.split, "split", (SPLIT_COLUMN,)))


@dataclass(frozen=True, kw_only=True)
class LabelCode:
    """What the values of a label column mean.

    Attributes:
        kind: As in `Pictures`.
        classes: Names of the classes.
        counted: Whether a number is a position in `classes`, and not itself a name.
    """

    kind: LabelKind
    classes: tuple[str, ...]
    counted: bool = False

    def encode(self, values: Iterable[Any], place: str) -> Labels:
        """Labels as `Pictures` has them.

        Args:
            values: Of the label column, one a picture.
            place: Where they are, for messages.

        Raises:
            DataError: Naming the first row whose label means nothing.
        """
        positions = {name: position for position, name in enumerate(self.classes)}
        if self.kind in ("single", "none"):
            labels = (NO_LABEL if self.kind == "none" else self._one(value, positions) for value in values)
            return tuple(_known(label, row, place) for row, label in enumerate(labels))
        rows = [_known(self._row(value, positions), row, place) for row, value in enumerate(values)]
        return np.stack(rows) if rows else np.zeros((0, len(self.classes)), dtype=np.float32)

    def _one(self, value: Any, positions: Mapping[str, int]) -> int | str:
        if _missing(value):
            return "no label"
        if self.counted and _is_number(value):
            inside = int(value) == value and 0 <= value < len(self.classes)
            return int(value) if inside else _quoted(value)
        return positions.get(_name(value), _quoted(value))

    def _row(self, value: Any, positions: Mapping[str, int]) -> np.ndarray | str:
        if value is None:
            return "no label"
        values = _listed(value)
        if self.kind == "soft":
            row = np.asarray(values, dtype=np.float32)
            if row.shape != (len(self.classes),) or not np.isfinite(row).all() or row.min() < 0:
                return f"{len(values)} shares, not one of 0 or more for each of the {len(self.classes)} classes"
            return row / row.sum() if row.sum() > 0 else "shares that are all 0"
        row = np.zeros(len(self.classes), dtype=np.float32)
        for one in values:
            position = self._one(one, positions)
            if isinstance(position, str):
                return position
            row[position] = 1
        return row


def read_code(
    values: Sequence[Any], named: tuple[str, ...] | None, class_map: tuple[str, ...] | None, multilabel: bool, data: str
) -> LabelCode:
    """Finds out what the values of a label column mean.

    Args:
        values: All of them, or the first ones of a stream.
        named: Names of the classes, where the data set itself has them.
        class_map: Names of the classes that the user gave.
        multilabel: Whether a picture may have any number of labels.
        data: Where the values are, for messages.

    Raises:
        DataError: If they are lists where one label is wanted, or shares of classes without names.
    """
    listed = [_listed(value) for value in values if value is not None]
    if multilabel:
        found = {one for value in listed for one in value}
        classes, counted = _names(found, named, class_map)
        return LabelCode(kind="multi", classes=classes, counted=counted)
    if any(isinstance(value, list | tuple | np.ndarray) for value in values):
        names = named or class_map
        numbers = all(_is_number(one) for value in listed for one in value)
        if not numbers:
            raise DataError(f"data: a picture of {data} has several labels; give --multilabel")
        if names is None:
            problem = f"data: the labels of {data} are lists of {len(listed[0])} numbers"
            raise DataError(f"{problem}; give --class-map with their names, or --multilabel if they are class numbers")
        return LabelCode(kind="soft", classes=names)
    classes, counted = _names({value for value in values if value is not None}, named, class_map)
    return LabelCode(kind="single", classes=classes, counted=counted)


def read_class_map(path: str) -> tuple[str, ...]:
    """Names of classes from a text file, one a line, in the order of a classifier's outputs.

    Raises:
        DataError: If it cannot be read, or a name is there twice.
    """
    try:
        with open(path, encoding="utf-8") as file:
            names = tuple(line.strip() for line in file if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise DataError(f"class_map: cannot read {path} ({reason}); give a text file with one class a line") from error
    twice = [name for position, name in enumerate(names) if name in names[:position]]
    if twice or len(names) < 2:
        problem = f"'{twice[0]}' is in {path} twice" if twice else f"{path} names fewer than two classes"
        raise DataError(f"class_map: {problem}; give every class once, in the order of the teacher's outputs")
    return names


def _names(
    values: set[Any], named: tuple[str, ...] | None, class_map: tuple[str, ...] | None
) -> tuple[tuple[str, ...], bool]:
    """Classes for the labels that occur, and whether numbers among these count in the classes."""
    if named is not None:
        return named, True
    numbers = [value for value in values if _is_number(value) and not _missing(value)]
    if len(numbers) < len(values) or not values:
        return tuple(sorted(_name(value) for value in values if not _missing(value))), False
    return (class_map, True) if class_map else (tuple(_name(value) for value in sorted(numbers)), False)


def _listed(value: Any) -> list[Any]:
    """A value that stands for several labels, as a list: a list, `["a", "b"]` as text, or `a|b`."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                parsed = json.loads(value)
            except ValueError:
                return [value]
            return list(parsed)
        return [part for part in SEPARATORS.split(value.strip()) if part]
    return list(value) if isinstance(value, list | tuple | np.ndarray) else [value]


def _missing(value: Any) -> bool:
    # An empty cell of a table is read as "not a number".
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _name(value: Any) -> str:
    return str(int(value)) if _is_number(value) and int(value) == value else str(value)


def _quoted(value: Any) -> str:
    return f"the label {value!r}, which is none of the classes"


def _known(label: Label | str, row: int, place: str) -> Label:
    if isinstance(label, str):
        raise DataError(f"data: row {row} of {place} has {label}; mend or remove it")
    return label
