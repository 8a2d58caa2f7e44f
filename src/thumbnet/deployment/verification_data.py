"""Pictures that an export is verified on, and those that it is calibrated on; never the same ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from thumbnet.bundle import ThumbNet
from thumbnet.config import ExportSettings, TrainSettings
from thumbnet.data.datasets import Wanted
from thumbnet.data.labelled import Pictures, Splits
from thumbnet.data.sources import EVERYTHING, open_data, wanted_by
from thumbnet.devices import cache_folder
from thumbnet.errors import DataError, ExportError
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import settings_of

SAMPLE_DATA = "elpv"
CALIBRATION_PICTURES = 128


@dataclass(frozen=True, kw_only=True)
class VerificationData:
    """What an export has to do with.

    Attributes:
        verified: Pictures to compare on; of kind `none` where they have no labels of the bundle's.
        calibration: Others, for 8-bit networks.
        data: Their name, as for `--data`.
        description: Which of them are verified on.
    """

    verified: Pictures
    calibration: Pictures
    data: str
    description: str


def open_verification_data(
    run: Path, bundle: ThumbNet, settings: ExportSettings, announcer: Announcer
) -> VerificationData:
    """Opens what `settings.verify_data` names; else the run's own held-out pictures, else the sample data.

    Raises:
        DataError: If the data that is named cannot be opened.
        ExportError: If none is named, and none is at hand.
    """
    own = settings_of(RunFolder(run)) if RunFolder(run).config.is_file() else None
    if settings.verify_data is not None:
        return _chosen(settings.verify_data, _open(settings.verify_data, bundle, own, announcer), settings)
    if own is not None:
        try:
            return _chosen(own.data, _open_own(own, bundle), settings)
        except DataError as error:
            announcer.warn(f"the run's own pictures are not at hand, so {SAMPLE_DATA} is taken ({error})")
    try:
        return _chosen(SAMPLE_DATA, _open(SAMPLE_DATA, bundle, None, announcer), settings)
    except DataError as error:
        raise ExportError(f"no pictures to verify the export on; give --verify-data DATA ({error})") from error


def _open_own(own: TrainSettings, bundle: ThumbNet) -> Splits:
    # The bundle holds what the class map said, which may be gone.
    wanted = wanted_by(replace(own, class_map=None), cache_folder(own.cache) / "datasets")
    if own.class_map:
        wanted = replace(wanted, class_map=bundle.labels, whose="the bundle's")
    return _in_classes(open_data(own.data, own.holdout, own.evaluation_data, wanted), bundle)


def _open(data: str, bundle: ThumbNet, own: TrainSettings | None, announcer: Announcer) -> Splits:
    """Other data: where it has labels of the bundle's classes, they count."""
    wanted = EVERYTHING
    if own is not None:
        plain = replace(own, class_map=None, unlabelled=False, streaming=False)
        wanted = wanted_by(plain, cache_folder(own.cache) / "datasets")
    wanted = replace(wanted, multilabel=bundle.description.multilabel, unlabelled=False)
    try:
        return _in_classes(open_data(data, wanted=wanted), bundle)
    except DataError as error:
        unlabelled = _without_labels(data, wanted)
        announcer.warn(f"no labels are read, so answers are compared, not accuracies ({error})")
        return unlabelled


def _without_labels(data: str, wanted: Wanted) -> Splits:
    return open_data(data, wanted=replace(wanted, unlabelled=True, multilabel=False))


def _in_classes(splits: Splits, bundle: ThumbNet) -> Splits:
    if splits.evaluation.kind == "none":
        return splits
    return replace(splits, evaluation=splits.evaluation.in_classes(bundle.labels, "the bundle's"))


def _chosen(data: str, splits: Splits, settings: ExportSettings) -> VerificationData:
    others = splits.train if splits.train is not None and len(splits.train) else None
    evaluation = splits.evaluation
    held_back: Sequence[int] = ()
    if others is None and settings.int8:
        held_back = evenly(len(evaluation), min(CALIBRATION_PICTURES, len(evaluation) // 2))
    calibration = evaluation.select(held_back) if others is None else others
    calibration = calibration.select(evenly(len(calibration), CALIBRATION_PICTURES))
    kept = sorted(set(range(len(evaluation))) - set(held_back))
    verified = evaluation.select(kept)
    verified = verified.select(evenly(len(verified), settings.verify_limit or len(verified)))
    return VerificationData(verified=verified, calibration=calibration, data=data, description=splits.description)


def evenly(count: int, wanted: int) -> list[int]:
    """`wanted` positions of `count`, evenly apart, for data that lies class by class; all where there are fewer."""
    wanted = min(wanted, count)
    return [position * count // wanted for position in range(wanted)]
