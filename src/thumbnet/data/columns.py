"""Which columns of a table, data set or shard hold pictures and labels, and what a label's value means."""

import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from thumbnet.config import ColumnSettings
from thumbnet.data.labelled import NO_LABEL, LabelKind, Labels
from thumbnet.errors import DataError

PICTURE_COLUMNS: tuple[str, ...] = ("picture", "image", "img", "path", "file", "filename", "file_name", "image_path")
PICTURE_COLUMNS += ("filepath", "jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm")
LABEL_COLUMNS = ("label", "labels", "class", "classes", "target", "category", "fine_label", "cls")
SPLIT_COLUMN = "split"
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
        if chosen is not None and chosen not in names and chosen.partition(".")[0] not in names:
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
        rows: Whether several labels are written as a row of 0 and 1, one a class.
    """

    kind: LabelKind
    classes: tuple[str, ...]
    counted: bool = False
    rows: bool = False

    def encode(self, values: Iterable[Any], names: Sequence[str], place: str) -> Labels:
        """Labels as `Pictures` has them.

        Args:
            values: Of the label column, one a picture.
            names: Of the pictures, for messages.
            place: Where they are, for messages.

        Raises:
            DataError: Naming the first picture whose label means nothing.
        """
        labels = []
        for name, value in zip(names, values, strict=True):
            label = self.encode_one(value)
            if isinstance(label, str):
                raise DataError(f"data: picture {name} of {place} has {label}; mend or remove it")
            labels.append(label)
        if self.kind in ("single", "none"):
            return tuple(cast(list[int], labels))
        return np.stack(labels) if labels else np.zeros((0, len(self.classes)), dtype=np.float32)

    def encode_one(self, value: Any) -> "int | np.ndarray | str":
        """The label of one picture as `Pictures` has it, or in words what is wrong with it."""
        if self.kind == "none":
            return NO_LABEL
        if _missing(value):
            # An empty cell of a table is how none of several labels is written.
            return self._row([]) if self.kind == "multi" and not self.rows else "no label"
        value = _parsed(value)
        return self._position(value) if self.kind == "single" else self._row(_listed(value))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.classes)}

    def _position(self, value: Any) -> int | str:
        if self.counted and _is_number(value):
            inside = 0 <= value < len(self.classes) and int(value) == value
            return int(value) if inside else _foreign(value)
        return self._positions.get(_name(value), _foreign(value))

    def _row(self, values: list[Any]) -> "np.ndarray | str":
        if self.kind == "soft" or self.rows:
            if len(values) != len(self.classes) or not all(_is_number(one) and 0 <= one < math.inf for one in values):
                return f"{len(values)} values, not a share of 0 or more for each of the {len(self.classes)} classes"
            row = np.asarray(values, dtype=np.float32)
            if self.rows:
                return row if set(row.tolist()) <= {0, 1} else "a row that is not all 0 and 1"
            return row / row.sum() if row.sum() > 0 else "shares that are all 0"
        row = np.zeros(len(self.classes), dtype=np.float32)
        for one in values:
            position = self._position(one)
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
        DataError: If they are lists where one label is wanted, shares of classes without names, or no labels at all.
    """
    values = [_parsed(value) for value in values if not _missing(value)]
    if any(isinstance(value, str) and _is_record(value) for value in values):
        problem = f"the labels of {data} are records written as text"
        raise DataError(f"data: {problem}; give a class, or a list of shares with --class-map")
    if any(isinstance(value, dict) for value in values):
        part = next(iter(next(value for value in values if isinstance(value, dict))), "label")
        raise DataError(f"data: the labels of {data} are records; name a part of them, as --columns.label LABEL.{part}")
    if multilabel:
        return _several_labels(values, named, class_map, data)
    lists = [list(value) for value in values if isinstance(value, list | tuple | np.ndarray)]
    if lists:
        # Names within the data are those of single labels: a list of them is no list of shares.
        if named is not None or not all(_is_number(one) for listed in lists for one in listed):
            raise DataError(f"data: a picture of {data} has several labels; give --multilabel")
        if class_map is None:
            problem = f"data: the labels of {data} are lists of {len(lists[0])} numbers"
            raise DataError(f"{problem}; give --class-map with their names, or --multilabel if they are class numbers")
        return LabelCode(kind="soft", classes=class_map)
    classes, counted = _names(set(values), named, class_map)
    if not classes:
        raise DataError(f"data: no picture of {data} has a label; check --columns.label, or give --unlabelled")
    return LabelCode(kind="single", classes=classes, counted=counted)


def _several_labels(
    values: Sequence[Any], named: tuple[str, ...] | None, class_map: tuple[str, ...] | None, data: str
) -> LabelCode:
    lists = [_listed(value) for value in values]
    nested = next((one for listed in lists for one in listed if isinstance(one, list | dict | np.ndarray)), None)
    if nested is not None:
        raise DataError(f"data: a label of {data} is {nested!r}; give one flat list of classes a picture")
    found = {one for listed in lists for one in listed}
    names = named or class_map
    repeated = any(len(set(listed)) < len(listed) for listed in lists)
    # As class numbers, pairs of 0 and 1 alone would say that every picture has both classes.
    if found <= {0, 1} and (repeated or {len(listed) for listed in lists} == {2}):
        if names is None:
            problem = f"data: the labels of {data} are rows of 0 and 1"
            raise DataError(f"{problem}; give --class-map with the names of their classes")
        return LabelCode(kind="multi", classes=names, rows=True)
    classes, counted = _names(found, named, class_map)
    if not classes:
        raise DataError(f"data: no picture of {data} has a label; check --columns.label, or give --unlabelled")
    return LabelCode(kind="multi", classes=classes, counted=counted)


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
    twice = [name for name, count in Counter(names).items() if count > 1]
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
    numbers = all(_is_number(value) for value in values)
    if class_map is not None:
        # A class may be called "3" itself, and need not be the fourth.
        return class_map, numbers and not {_name(value) for value in values} <= set(class_map)
    return tuple(_name(value) for value in (sorted(values) if numbers else sorted(values, key=_name))), False


def _parsed(value: Any) -> Any:
    """A list that a table holds as text, `["a", "b"]`, as the list."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


def _listed(value: Any) -> list[Any]:
    """A value that stands for several labels, as a list: a list, or `a|b`."""
    if isinstance(value, str):
        return [part for part in SEPARATORS.split(value.strip()) if part]
    return list(value) if isinstance(value, list | tuple | np.ndarray) else [value]


def _missing(value: Any) -> bool:
    # An empty cell of a table is read as "not a number".
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_record(value: str) -> bool:
    """Whether a text is a record, `{"a": 0.3, "b": 0.7}`; a class may well begin with a brace."""
    if not value.lstrip().startswith("{"):
        return False
    with contextlib.suppress(ValueError):
        return isinstance(json.loads(value), dict)
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _name(value: Any) -> str:
    return str(int(value)) if _is_number(value) and math.isfinite(value) and int(value) == value else str(value)


def _foreign(value: Any) -> str:
    return f"the label {value!r}, which is none of the classes"
