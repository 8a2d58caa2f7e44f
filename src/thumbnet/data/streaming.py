"""A training split that is read in passing, without a list of it: tables, shards and data sets of any size.

Opens streams and says what their rows are; `stream_batches` puts them in order. The pictures to evaluate on are a list
as always, so only they are copied.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thumbnet.data.columns import Columns, LabelCode, read_code
from thumbnet.data.datasets import (
    NAMED,
    Wanted,
    class_names,
    code_of,
    columns_of,
    is_dataset,
    load,
    one_line_errors,
    parse_name,
    root_of,
    short_name,
    split_rows,
    to_pictures,
)
from thumbnet.data.labelled import LabelKind, Pictures, Splits, places_in
from thumbnet.data.rows import column_names, content_of, part_of, undecoded
from thumbnet.errors import DataError

if TYPE_CHECKING:
    from datasets import IterableDataset

SHUFFLED_TOGETHER = 1000  # rows from which the next one is drawn
FIRST_ROWS = 64  # enough to see what kind of label the data has
KEY = "__key__"


@dataclass(frozen=True, kw_only=True)
class StreamedPicture:
    """One picture on its way to a batch.

    Attributes:
        file: Its path, or its bytes.
        label: As in `Pictures`, or in words what is wrong with it.
        name: The same in every pass.
        view: Number of the pass, and so of the view that is drawn.
    """

    file: Path | bytes
    label: int | np.ndarray | str
    name: str
    view: int


@dataclass(frozen=True, kw_only=True)
class PictureStream:
    """Labelled pictures to train on that are not listed.

    Attributes:
        rows: As the library streams them, their pictures not decoded.
        columns: Where pictures and labels are.
        code: What a label means.
        classes: Names of the classes, in the order of the classifier's outputs.
        root: Where relative paths count from.
        name: Of the data, for messages.
        fingerprint: Changes when the data's files, columns or classes do.
    """

    rows: "IterableDataset"
    columns: Columns
    code: LabelCode
    classes: tuple[str, ...]
    root: Path
    name: str
    fingerprint: str

    @property
    def kind(self) -> LabelKind:
        """What a label is."""
        return self.code.kind

    def in_classes(self, classes: tuple[str, ...], whose: str) -> "PictureStream":
        """The same pictures with labels that count in other classes; see `Pictures.in_classes`."""
        places_in(classes, self.classes, whose)
        return replace(self, classes=classes)

    def rows_from(self, position: int, seed: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Pass after pass over the data, each in an order of its own, from a position on.

        Args:
            position: Rows to leave out. They are read but not decoded, those of whole passes once and not again.
            seed: Of the orders.

        Yields:
            The number of the pass, and the row.

        Raises:
            DataError: If there are no rows, or they cannot be read.
        """
        number, left = 0, position
        while True:
            order = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            count = 0
            with one_line_errors(self.name):
                for row in self.rows.shuffle(seed=order, buffer_size=SHUFFLED_TOGETHER):
                    count += 1
                    if count > left:
                        yield number, row
            if not count:
                raise DataError(f"data: no pictures to train on in {self.name}; check its splits")
            left = max(0, left - count)
            # Every pass is as long as the first, so whole ones need not be read to be left out.
            number, left = number + 1 + left // count, left % count

    def picture(self, row: dict[str, Any], view: int) -> StreamedPicture:
        """A row's picture and label."""
        value = _cell(row, self.columns.picture)
        file = content_of(value, self.root)
        path = value.get("path") if isinstance(value, dict) else value if isinstance(value, str) else None
        name = row.get(KEY) or path or hashlib.sha256(file if isinstance(file, bytes) else b"").hexdigest()[:16]
        label = self.code.encode_one(_cell(row, self.columns.label) if self.columns.label else None)
        return StreamedPicture(file=file, label=self._moved(label), name=str(name), view=view)

    @cached_property
    def _places(self) -> list[int]:
        return places_in(self.classes, self.code.classes, "the classes")

    def _moved(self, label: "int | np.ndarray | str") -> "int | np.ndarray | str":
        if self.classes == self.code.classes or isinstance(label, str) or self.kind == "none":
            return label
        places = self._places
        if isinstance(label, int):
            return places[label]
        row = np.zeros(len(self.classes), dtype=np.float32)
        row[places] = label
        return row


def open_stream(data: str, evaluation: Pictures, wanted: Wanted) -> PictureStream:
    """Opens the pictures to train on.

    Args:
        data: As for `open_dataset`.
        evaluation: The pictures to evaluate on. Their classes are those of the stream where it has no names itself.
        wanted: What to read.

    Raises:
        DataError: If it cannot be read, lacks a column, or has labels that mean nothing.
    """
    parts = _stream(data, wanted)
    named_by = next(iter(parts.values()))
    train, others, _ = split_rows(parts, wanted, data)
    rows = others if train is None else train
    columns = columns_of(rows, wanted, data)
    needed = {name if name in column_names(rows) else name.partition(".")[0] for name in _used(columns)}
    rows = rows.select_columns(sorted(needed | ({KEY} & set(column_names(rows)))))
    code = LabelCode(kind="none", classes=evaluation.classes)
    if columns.label is not None:
        values = [_cell(row, columns.label) for row in rows.take(FIRST_ROWS)]
        classes = wanted.class_map or evaluation.classes
        code = read_code(values, class_names(named_by, columns.label), classes, wanted.multilabel, data)
        if not class_names(named_by, columns.label) and wanted.class_map is None:
            # A number that the evaluation split does not have is no position among those that it has.
            code = replace(code, counted=False)
    return PictureStream(
        rows=rows,
        columns=columns,
        code=code,
        classes=code.classes,
        root=root_of(data),
        name=data,
        fingerprint=hashlib.sha256(repr((_stamp(data, rows), columns, code)).encode()).hexdigest(),
    )


def open_beside_stream(data: str, wanted: Wanted) -> Splits:
    """The pictures of streamed data that are evaluated on, as a list: copied into the library's cache.

    Raises:
        DataError: If there are none.
    """
    train, evaluation, split = split_rows(_stream(data, wanted), wanted, data)
    if train is None or evaluation is None:
        raise DataError(f"data: no pictures to evaluate on beside those of {data}; give --evaluation-data")
    from datasets import Dataset

    stamp = hashlib.sha256(repr((_stamp(data, evaluation), split)).encode()).hexdigest()
    with one_line_errors(data):
        copied = Dataset.from_generator(
            partial(iter, evaluation),
            features=evaluation.features,
            cache_dir=str(wanted.cache) if wanted.cache else None,
            fingerprint=stamp[:32],
        )
    pictures = to_pictures(copied, code_of(copied, wanted, data), wanted, data)
    return Splits(train=None, evaluation=pictures, description=f"{split} of {short_name(data)}")


def _stream(data: str, wanted: Wanted) -> dict[str, Any]:
    if not is_dataset(data):
        raise DataError(f"data: {data} is no table, shards or hf/NAME, which --streaming is for; leave it out")
    parts = load(data, wanted, streaming=True)
    for name, rows in parts.items():
        for column in rows.features or ():
            parts[name] = undecoded(parts[name], column)
    return parts


def _used(columns: Columns) -> tuple[str, ...]:
    return (columns.picture, columns.label) if columns.label else (columns.picture,)


def _cell(row: dict[str, Any], column: str) -> Any:
    return row[column] if column in row else part_of(row.get(column.partition(".")[0]), column)


def _stamp(data: str, rows: Any) -> str:
    """Changes with the files of the data; with what the library says of it, where it is none on this machine."""
    path = Path(parse_name(data)[0] if data.startswith(NAMED) else data)
    files = [path] if path.is_file() else sorted(path.rglob("*") if path.is_dir() else path.parent.glob(path.name))
    if not files:
        return repr((data, rows.info.version, rows.info.splits, rows.features))
    found = [(str(file), file.stat()) for file in files if file.is_file()]
    return repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in found])
