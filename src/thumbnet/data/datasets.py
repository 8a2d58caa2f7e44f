"""What the `datasets` library of Hugging Face reads: tables, WebDataset shards, and data sets by name.

Rows become `Pictures`: embedded pictures stay where the library keeps them and are read by position, pictures by path
become ordinary files. The library is the extra `thumbnet[hf]`.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thumbnet.config import ColumnSettings
from thumbnet.data.columns import Columns, LabelCode, find_columns, read_code
from thumbnet.data.labelled import Pictures, Splits, hold_out
from thumbnet.data.rows import column_names, files_of, value_of
from thumbnet.errors import DataError, ThumbNetError

if TYPE_CHECKING:
    from datasets import Dataset

TABLES = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
SHARD = ".tar"
NO_ROWS = "corresponds to no data"  # in what the library says of a table with a header alone
NAMED = "hf/"
TRAIN_SPLITS = ("train", "training")
EVALUATION_SPLITS = ("val", "validation", "valid", "dev", "test")
SAVED_MARKS = ("dataset_dict.json", "state.json")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is wanted of a data set's rows.

    Attributes:
        columns: Where pictures, labels and splits are.
        multilabel: Whether a picture may have any number of labels.
        unlabelled: Whether labels are not wanted.
        class_map: Names of the classes, for data that has numbers only and to count in.
        whose: What these are the classes of, for messages.
        streaming: Whether the training split is a stream, and so only the one to evaluate on is opened as a list.
        cache: Folder for the library's copies of what it reads.
    """

    columns: ColumnSettings = ColumnSettings()
    multilabel: bool = False
    unlabelled: bool = False
    class_map: tuple[str, ...] | None = None
    whose: str = "those of --class-map"
    streaming: bool = False
    cache: Path | None = None


def is_dataset(data: str) -> bool:
    """Whether data of this name is for the `datasets` library: a table, shards, `hf/NAME` or a data set it saved."""
    path = Path(data)
    if data.startswith(NAMED) or path.suffix.lower() in (*TABLES, SHARD):
        return True
    return path.is_dir() and (any((path / mark).is_file() for mark in SAVED_MARKS) or bool(_shard_folders(path)))


def open_dataset(data: str, evaluation_data: str | None, holdout: float | None, wanted: Wanted) -> Splits:
    """Opens a data set with its splits.

    Args:
        data: `FILE.csv`, `FILE.tsv`, `FILE.parquet`, `FILE.tar`, `PATTERN*.tar`, a folder of shards (or with `train`
            and `val` folders of them), a folder that the library saved, or `hf/NAME[:CONFIGURATION][#SPLIT]`.
        evaluation_data: The same for the pictures to evaluate on, if they are not in `data`.
        holdout: Share to hold out where there is no split.
        wanted: What to read.

    Raises:
        DataError: If it cannot be read, lacks a column, or has labels that mean nothing.
    """
    train, evaluation, split = split_rows(load(data, wanted, streaming=False), wanted, data)
    where = data
    if evaluation_data is not None:
        where, train = evaluation_data, evaluation if train is None else train
        others, evaluation, split = split_rows(load(where, wanted, streaming=False), wanted, where)
        evaluation = others if evaluation is None else evaluation
    if train is not None and evaluation is not None and holdout is not None:
        raise DataError(f"data: {where} has its own pictures to evaluate on; leave --holdout out")
    all_rows = train if train is not None else evaluation
    code = code_of(all_rows, wanted, data)
    if train is not None and evaluation is not None:
        return Splits(
            train=to_pictures(train, code, wanted, data),
            evaluation=to_pictures(evaluation, code, wanted, where),
            description=f"{split or 'all'} of {short_name(where)}",
        )
    if holdout is not None:
        return hold_out(to_pictures(all_rows, code, wanted, data), holdout, short_name(data))
    if evaluation is None:
        problem = f"{data} has pictures to train on and none to evaluate on"
        raise DataError(f"data: {problem}; give --evaluation-data, or --holdout 0.2")
    pictures = to_pictures(evaluation, code, wanted, data)
    return Splits(train=None, evaluation=pictures, description=f"{split} of {short_name(data)}")


def load(data: str, wanted: Wanted, *, streaming: bool) -> dict[str, Any]:
    """The splits of a data set as the library opens them, by name; `all` where it has none.

    Raises:
        DataError: If the library is not installed or cannot read it.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"data: {data} needs the package datasets; run: pip install 'thumbnet[hf]'") from error
    with one_line_errors(data), _without_bars():
        path = Path(data)
        if path.is_dir() and any((path / mark).is_file() for mark in SAVED_MARKS):
            parts = _by_split(datasets.load_from_disk(data))
            if not streaming:
                return parts
            return {name: part.to_iterable_dataset(num_shards=min(64, len(part))) for name, part in parts.items()}
        options: dict[str, Any] = {"streaming": streaming, "cache_dir": str(wanted.cache) if wanted.cache else None}
        if data.startswith(NAMED):
            name, configuration, split = parse_name(data)
            return _by_split(datasets.load_dataset(name, configuration, split=split, **options))
        kind, files = _files_of(data)
        # A class may be called NA or None, which the library would read as nothing.
        reading: dict[str, Any] = {"keep_default_na": False, "na_values": [""]} if kind == "csv" else {}
        reading |= {"sep": "\t"} if path.suffix.lower() == ".tsv" else {}
        # The library keeps the name `all` for itself.
        named = {"train" if split == "all" else split: shards for split, shards in files.items()}
        parts = dict(datasets.load_dataset(kind, data_files=named, **options, **reading))
        return {"all": parts["train"]} if "all" in files else parts


def _by_split(opened: Any) -> dict[str, Any]:
    return dict(opened) if isinstance(opened, dict) else {"all": opened}


def parse_name(data: str) -> tuple[str, str | None, str | None]:
    """`hf/NAME:CONFIGURATION#SPLIT` to its three parts."""
    found = re.fullmatch(r"hf/(?P<name>[^#:]+)(?::(?P<configuration>[^#]+))?(?:#(?P<split>.+))?", data)
    if found is None:
        raise DataError(f"data: {data} is no data set's name; give hf/NAME, hf/NAME:CONFIGURATION or hf/NAME#SPLIT")
    return found["name"], found["configuration"], found["split"]


def short_name(data: str) -> str:
    """The last part of a name or path."""
    return data if data.startswith(NAMED) else Path(data).name


def columns_of(rows: Any, wanted: Wanted, data: str) -> Columns:
    """The columns of opened rows; see `find_columns`."""
    return find_columns(column_names(rows), wanted.columns, wanted.unlabelled, data)


def code_of(rows: Any, wanted: Wanted, data: str) -> LabelCode:
    """What the labels of opened rows mean."""
    column = columns_of(rows, wanted, data).label
    if column is None:
        return LabelCode(kind="none", classes=wanted.class_map or ())
    values = list(value_of(rows, column))
    return read_code(values, class_names(rows, column), wanted.class_map, wanted.multilabel, short_name(data))


def class_names(rows: Any, column: str) -> tuple[str, ...] | None:
    """Names of classes that the data set itself has."""
    feature = (rows.features or {}).get(column)
    inner: Any = getattr(feature, "feature", feature)
    return tuple(inner.names) if hasattr(inner, "names") else None


def to_pictures(rows: "Dataset", code: LabelCode, wanted: Wanted, data: str) -> Pictures:
    """Rows of a split as pictures.

    Raises:
        DataError: If there are none, or a label means nothing.
    """
    if not len(rows):
        raise DataError(f"data: no pictures in {data}; check its splits")
    columns = columns_of(rows, wanted, data)
    files, names = files_of(rows, columns.picture, root_of(data))
    values = value_of(rows, columns.label) if columns.label else [None] * len(rows)
    labels = code.encode(values, names, short_name(data))
    if code.kind == "single" and len(code.classes) < 2:
        problem = f"only one class, '{code.classes[0]}', in {data}"
        raise DataError(f"data: {problem}; a classifier needs two or more")
    return Pictures(files=files, labels=labels, classes=code.classes, names=names, kind=code.kind)


def root_of(data: str) -> Path:
    """Where relative paths in a data set count from: beside its file."""
    path = Path(parse_name(data)[0] if data.startswith(NAMED) else data)
    return path if path.is_dir() else path.parent


def split_rows(parts: dict[str, Any], wanted: Wanted, data: str) -> tuple[Any, Any, str]:
    """Rows to train on (or None), rows to evaluate on (or None), and the name of the latter split.

    Raises:
        DataError: If there are splits, and none of the usual names.
    """
    if len(parts) == 1:
        ((name, rows),) = parts.items()
        column = columns_of(rows, wanted, data).split
        if column is None:
            return (rows, None, "") if name in TRAIN_SPLITS else (None, rows, name)
        parts = {name: _rows_of_split(rows, column, name) for name in sorted(set(map(str, value_of(rows, column))))}
    train = next((parts[name] for name in TRAIN_SPLITS if name in parts), None)
    evaluation = next((name for name in EVALUATION_SPLITS if name in parts), None)
    if train is None and evaluation is None:
        known = ", ".join(sorted(parts))
        advice = f"name one with #SPLIT in {data}#{sorted(parts)[0]}" if data.startswith(NAMED) else "call them so"
        raise DataError(f"data: {data} has the splits {known}, and none of train, val or test; {advice}")
    return train, parts[evaluation] if evaluation else None, evaluation or ""


def _rows_of_split(rows: Any, column: str, name: str) -> Any:
    if not hasattr(rows, "__len__"):
        return rows.filter(lambda row: str(row[column]) == name)
    return rows.select([row for row, value in enumerate(value_of(rows, column)) if str(value) == name])


def _files_of(data: str) -> tuple[str, dict[str, list[str]]]:
    """The library's name of a format, and the files of each split; `all` where there are none."""
    path = Path(data)
    if path.suffix.lower() in TABLES:
        if not path.is_file():
            raise DataError(f"data: no file at {data}; check the path")
        return TABLES[path.suffix.lower()], {"all": [data]}
    files = _shard_folders(path) if path.is_dir() else {"all": sorted(map(str, path.parent.glob(path.name)))}
    if not any(files.values()):
        raise DataError(f"data: no shards at {data}; give FILE.tar, or a pattern such as shards/*.tar in quotes")
    return "webdataset", files


def _shard_folders(folder: Path) -> dict[str, list[str]]:
    """Shards of a folder by split: its own, or those of its `train` and `val` folders."""
    names = (*TRAIN_SPLITS, *EVALUATION_SPLITS)
    splits = {name: sorted(str(file) for file in (folder / name).glob(f"*{SHARD}")) for name in names}
    found = {name: files for name, files in splits.items() if files}
    own = sorted(str(file) for file in folder.glob(f"*{SHARD}"))
    return found or ({"all": own} if own else {})


@contextlib.contextmanager
def one_line_errors(data: str) -> Iterator[None]:
    """Turns what the library says of data that it cannot read into one line."""
    try:
        yield
    except ThumbNetError:
        raise
    except Exception as error:  # the library answers what it cannot read with almost any exception
        cause = error.__cause__ or error  # "an error occurred" is what it often says itself
        reason = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        if NO_ROWS in reason:
            raise DataError(f"data: no pictures in {data}: it has no rows; check the file") from error
        raise DataError(f"data: cannot open {data} ({reason}); check its name, format and splits") from error


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """The library's own bars off: it shows one for every file that it copies."""
    import datasets

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
