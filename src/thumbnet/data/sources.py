"""What `--data` may name: a folder, or a data set from a package."""

from pathlib import Path

from thumbnet.data.folders import open_folder
from thumbnet.data.labelled import Splits
from thumbnet.data.samples import open_elpv
from thumbnet.errors import DataError

SAMPLE_NAMES = ("elpv",)


def open_data(data: str, holdout: float | None = None) -> Splits:
    """Opens a data set for training or evaluation.

    Args:
        data: A folder, or `elpv`; write `./elpv` for a folder of that name.
        holdout: Share to hold out of one folder of classes.

    Raises:
        DataError: If it is missing, empty or malformed.
    """
    if data in SAMPLE_NAMES:
        if holdout is not None:
            raise DataError(f"data: {data} has its own fixed split; leave --holdout out")
        return open_elpv()
    return open_folder(Path(data), holdout)


def training_split(splits: Splits, data: str) -> Splits:
    """Makes sure that there are pictures to train on.

    Raises:
        DataError: If there are none.
    """
    if splits.train is None:
        problem = f"{data} has no train/ folder beside its pictures to evaluate on"
        raise DataError(f"data: {problem}; add one, or give --holdout 0.2 to hold out a share of one folder of classes")
    return splits
