"""What `--data` may name: a folder, a table, shards, a data set of the `datasets` library, or one from a package."""

from dataclasses import replace
from pathlib import Path

from thumbnet.config import TrainSettings
from thumbnet.data.columns import read_class_map
from thumbnet.data.datasets import NAMED, Wanted, is_dataset, open_dataset
from thumbnet.data.folders import open_folder, open_unlabelled_folder
from thumbnet.data.labelled import NO_LABEL, Pictures, Splits
from thumbnet.data.samples import ELPV_FOLDS, open_elpv
from thumbnet.data.streaming import open_beside_stream
from thumbnet.errors import DataError

# Name to the quarter that is held out.
SAMPLE_FOLDS = {"elpv": 0, **{f"elpv-fold{fold}": fold for fold in range(ELPV_FOLDS)}}
EVERYTHING = Wanted()


def wanted_by(settings: TrainSettings, cache: Path) -> Wanted:
    """What a run's settings want of its data; `cache` is for copies that the `datasets` library makes.

    Raises:
        DataError: If the class map cannot be read.
    """
    return Wanted(
        columns=settings.columns,
        multilabel=settings.multilabel,
        unlabelled=settings.unlabelled,
        class_map=read_class_map(settings.class_map) if settings.class_map else None,
        streaming=settings.streaming,
        cache=cache,
    )


def open_data(
    data: str, holdout: float | None = None, evaluation_data: str | None = None, wanted: Wanted = EVERYTHING
) -> Splits:
    """Opens a data set for training or evaluation.

    Args:
        data: A folder, a table, shards, `hf/NAME`, or `elpv` (the same as `elpv-fold0`; three more folds hold out other
            quarters); write `./elpv` for a folder of that name.
        holdout: Share to hold out where the data has no splits.
        evaluation_data: The same as `data` for the pictures to evaluate on, if they are not in it.
        wanted: Columns, kinds of labels, and names of classes.

    Raises:
        DataError: If it is missing, empty or malformed.
    """
    if data in SAMPLE_FOLDS:
        if holdout is not None or evaluation_data is not None:
            raise DataError(f"data: {data} has its own fixed split; leave --holdout and --evaluation-data out")
        if wanted.multilabel or wanted.class_map or wanted.streaming:
            problem = f"{data} is a list of pictures with one label each and names of its own"
            raise DataError(f"data: {problem}; leave --multilabel, --class-map and --streaming out")
        splits = open_elpv(SAMPLE_FOLDS[data])
        return _without_labels(splits) if wanted.unlabelled else splits
    if wanted.streaming:
        splits = _open_beside_stream(data, holdout, evaluation_data, wanted)
    elif is_dataset(data) and (evaluation_data is None or is_dataset(evaluation_data)):
        splits = open_dataset(data, evaluation_data, holdout, wanted)
    else:
        splits = _open_folder(data, holdout, evaluation_data, wanted)
    return _in_class_map(splits, wanted)


def is_place(data: str) -> bool:
    """Whether a name of data is a path, and not a name that means the same everywhere."""
    return data not in SAMPLE_FOLDS and not data.startswith(NAMED)


def training_split(splits: Splits, data: str) -> Splits:
    """Makes sure that there are pictures to train on.

    Raises:
        DataError: If there are none.
    """
    if splits.train is None:
        problem = f"{data} has pictures to evaluate on only"
        advice = "add a train split, give --evaluation-data, or --holdout 0.2 to hold out a share of all"
        raise DataError(f"data: {problem}; {advice}")
    return splits


def _open_folder(data: str, holdout: float | None, evaluation_data: str | None, wanted: Wanted) -> Splits:
    if evaluation_data is not None:
        return _open_both(data, holdout, evaluation_data, wanted)
    if wanted.multilabel:
        listed = "a .csv or .parquet table, shards, or hf/NAME"
        raise DataError(f"data: folders give one label a picture; for --multilabel give {listed}")
    open_one = open_unlabelled_folder if wanted.unlabelled else open_folder
    return open_one(Path(data), holdout)


def _open_both(data: str, holdout: float | None, evaluation_data: str, wanted: Wanted) -> Splits:
    """Two places, of which one at least is a folder of pictures; classes go by name."""
    if holdout is not None:
        raise DataError(f"data: {evaluation_data} has its own pictures to evaluate on; leave --holdout out")
    own, others = open_data(data, wanted=wanted), open_data(evaluation_data, wanted=wanted)
    train = own.train or own.evaluation
    evaluation = others.evaluation.in_classes(train.classes, f"the classes of {data}")
    return Splits(train=train, evaluation=evaluation, description=others.description)


def _open_beside_stream(data: str, holdout: float | None, evaluation_data: str | None, wanted: Wanted) -> Splits:
    if holdout is not None:
        raise DataError("data: streamed pictures cannot be held out by a share; give --evaluation-data")
    if evaluation_data is None:
        return open_beside_stream(data, wanted)
    others = open_data(evaluation_data, wanted=replace(wanted, streaming=False))
    return replace(others, train=None)


def _without_labels(splits: Splits) -> Splits:
    def bare(pictures: Pictures) -> Pictures:
        return replace(pictures, labels=(NO_LABEL,) * len(pictures), classes=(), kind="none")

    return replace(splits, train=splits.train and bare(splits.train), evaluation=bare(splits.evaluation))


def _in_class_map(splits: Splits, wanted: Wanted) -> Splits:
    """The same with labels that count in the class map."""
    if wanted.class_map is None:
        return splits
    train = splits.train and splits.train.in_classes(wanted.class_map, wanted.whose)
    evaluation = splits.evaluation.in_classes(wanted.class_map, wanted.whose)
    return Splits(train=train, evaluation=evaluation, description=splits.description)
