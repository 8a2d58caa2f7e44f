"""What the `datasets` library of Hugging Face reads: tables, WebDataset shards, and data sets by name.

Rows become `Pictures`: embedded pictures stay where the library keeps them and are read by position, pictures by path
become ordinary files. The library is the extra `thumbnet[hf]`.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thumbnet.config import ColumnSettings
from thumbnet.data.columns import Columns, LabelCode, find_columns, read_code
from thumbnet.data.labelled import Pictures, Splits, hold_out
from thumbnet.data.rows import files_of, value_of
from thumbnet.errors import DataError, ThumbNetError

if TYPE_CHECKING:
    from datasets import Dataset

TABLES = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
SHARD = ".tar"
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
        class_map: Names of the classes where the data has numbers only.
        cache: Folder for the library's copies of what it reads.
    """

    columns: ColumnSettings = ColumnSettings()
    multilabel: bool = False
    unlabelled: bool = False
    class_map: tuple[str, ...] | None = None
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
    train, evaluation, found = _split_rows(load(data, wanted, streaming=False), wanted, data)
    if evaluation_data is not None:
        others, held_out, found = _split_rows(load(evaluation_data, wanted, streaming=False), wanted, evaluation_data)
        train, evaluation = train if train is not None else evaluation, held_out if held_out is not None else others
        found = f"{found} of {short_name(evaluation_data)}"
    elif evaluation is None and train is not None and holdout is None:
        problem = f"{data} has pictures to train on and none to evaluate on"
        raise DataError(f"data: {problem}; give --evaluation-data, or --holdout 0.2")
    code = None if train is None else code_of(train, wanted, data)
    if train is None:
        assert evaluation is not None
        pictures = to_pictures(evaluation, code_of(evaluation, wanted, data), wanted, data)
        if holdout is not None:
            return hold_out(pictures, holdout, short_name(data))
        return Splits(train=None, evaluation=pictures, description=f"{found} of {short_name(data)}")
    assert code is not None
    pictures = to_pictures(train, code, wanted, data)
    if evaluation is None:
        return hold_out(pictures, holdout or 0.0, short_name(data))
    if holdout is not None:
        raise DataError(f"data: {data} has its own pictures to evaluate on; leave --holdout out")
    where = evaluation_data or data
    described = found if evaluation_data else f"{found} of {short_name(data)}"
    return Splits(train=pictures, evaluation=to_pictures(evaluation, code, wanted, where), description=described)


def load(data: str, wanted: Wanted, *, streaming: bool) -> dict[str, Any]:
    """The splits of a data set as the library opens them, by name; `all` where it has none.

    Raises:
        DataError: If the library is not installed or cannot read it.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"data: {data} needs the package datasets; run: pip install 'thumbnet[hf]'") from error
    with _one_line_errors(data), _without_bars():
        if (saved := Path(data)).is_dir() and any((saved / mark).is_file() for mark in SAVED_MARKS):
            opened = datasets.load_from_disk(data)
            if streaming:
                parts = opened if isinstance(opened, dict) else {"all": opened}
                return {name: part.to_iterable_dataset(num_shards=64) for name, part in parts.items()}
            return dict(opened) if isinstance(opened, dict) else {"all": opened}
        options: dict[str, Any] = {"streaming": streaming, "cache_dir": str(wanted.cache) if wanted.cache else None}
        if data.startswith(NAMED):
            name, configuration, split = parse_name(data)
            opened = datasets.load_dataset(name, configuration, split=split, **options)
            return dict(opened) if isinstance(opened, dict) else {"all": opened}
        kind, files = _files_of(data)
        tabs = {"sep": "\t"} if Path(data).suffix.lower() == ".tsv" else {}
        return dict(datasets.load_dataset(kind, data_files=files, **options, **tabs))


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
    names = rows.column_names or list((rows.features or {}).keys())
    return find_columns(list(names), wanted.columns, wanted.unlabelled, data)


def code_of(rows: Any, wanted: Wanted, data: str, first: Sequence[Any] | None = None) -> LabelCode:
    """What the labels of opened rows mean.

    Args:
        rows: Of the training split, as the library opened them.
        wanted: What to read.
        data: Its name, for messages.
        first: The first labels of a stream, which has no list of all.
    """
    column = columns_of(rows, wanted, data).label
    if column is None:
        return LabelCode(kind="none", classes=wanted.class_map or ())
    feature = (rows.features or {}).get(column)
    inner: Any = getattr(feature, "feature", feature)
    named = tuple(inner.names) if hasattr(inner, "names") else None
    values = list(value_of(rows, column)) if first is None else first
    return read_code(values, named, wanted.class_map, wanted.multilabel, data)


def to_pictures(rows: "Dataset", code: LabelCode, wanted: Wanted, data: str) -> Pictures:
    """Rows of a split as pictures.

    Raises:
        DataError: If there are none, or a label means nothing.
    """
    if not len(rows):
        raise DataError(f"data: no pictures in {data}; check its splits")
    columns = columns_of(rows, wanted, data)
    labels = code.encode(value_of(rows, columns.label) if columns.label else [None] * len(rows), short_name(data))
    if not isinstance(labels, tuple) or code.kind == "none" or len(code.classes) > 1:
        files, names = files_of(rows, columns.picture, root_of(data))
        return Pictures(files=files, labels=labels, classes=code.classes, names=names, kind=code.kind)
    problem = f"only one class, '{code.classes[0]}', in {data}"
    raise DataError(f"data: {problem}; a classifier needs two or more")


def root_of(data: str) -> Path:
    """Where relative paths in a data set count from: beside its file."""
    path = Path(data.removeprefix(NAMED))
    return path if path.is_dir() else path.parent


def _split_rows(parts: dict[str, Any], wanted: Wanted, data: str) -> tuple[Any, Any, str]:
    """Rows to train on (None), rows to evaluate on (None), and the name of the latter split."""
    if len(parts) == 1 and (rows := next(iter(parts.values()))) is not None:
        column = columns_of(rows, wanted, data).split
        if column is None:
            return (
                (None, rows, "all") if next(iter(parts)) not in TRAIN_SPLITS or _is_one_file(data) else (rows, None, "")
            )
        values = [str(value) for value in value_of(rows, column)]
        parts = {name: rows.select([i for i, value in enumerate(values) if value == name]) for name in set(values)}
    train = next((parts[name] for name in TRAIN_SPLITS if name in parts), None)
    evaluation = next((name for name in EVALUATION_SPLITS if name in parts), None)
    if train is None and evaluation is None:
        known = ", ".join(sorted(parts))
        advice = f"name one with #SPLIT in {data}#{sorted(parts)[0]}" if data.startswith(NAMED) else "call them so"
        raise DataError(f"data: {data} has the splits {known}, and none of train, val or test; {advice}")
    return train, parts[evaluation] if evaluation else None, evaluation or ""


def _is_one_file(data: str) -> bool:
    # The library calls the rows of a file `train` whatever they are for.
    return not data.startswith(NAMED) and not Path(data).is_dir()


def _files_of(data: str) -> tuple[str, dict[str, Any]]:
    """The library's name of a format, and the files of each split."""
    path = Path(data)
    if path.suffix.lower() in TABLES:
        if not path.is_file():
            raise DataError(f"data: no file at {data}; check the path")
        return TABLES[path.suffix.lower()], {"train": str(path)}
    if path.is_dir():
        return "webdataset", _shard_folders(path)
    shards = sorted(str(file) for file in path.parent.glob(path.name))
    if not shards:
        raise DataError(f"data: no shards at {data}; give FILE.tar, or a pattern such as shards/*.tar in quotes")
    return "webdataset", {"train": shards}


def _shard_folders(folder: Path) -> dict[str, list[str]]:
    """Shards of a folder by split: its own, or those of its `train` and `val` folders."""
    names = (*TRAIN_SPLITS, *EVALUATION_SPLITS)
    splits = {name: sorted(str(file) for file in (folder / name).glob(f"*{SHARD}")) for name in names}
    found = {name: files for name, files in splits.items() if files}
    own = sorted(str(file) for file in folder.glob(f"*{SHARD}"))
    return found or ({"all": own} if own else {})


@contextlib.contextmanager
def _one_line_errors(data: str) -> Iterator[None]:
    try:
        yield
    except ThumbNetError:
        raise
    except Exception as error:  # the library answers what it cannot read with almost any exception
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
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
