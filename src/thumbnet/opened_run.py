"""A finished run opened to be measured: its bundle, its teacher where that is at hand, and labelled pictures.

Knows what belongs together; knows nothing of what is measured.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from thumbnet.bundle import ThumbNet
from thumbnet.config import ColumnSettings, DownscalerSettings, StudentSettings, TrainSettings
from thumbnet.data.batches import Batch, LoaderSettings, evaluation_loader
from thumbnet.data.datasets import Wanted
from thumbnet.data.inspection import Inspection, inspect
from thumbnet.data.labelled import Pictures
from thumbnet.data.sources import is_place, open_data, wanted_by
from thumbnet.devices import cache_folder, choose_device, reading_workers
from thumbnet.errors import CheckpointError, ConfigError, DataError, NetworkError
from thumbnet.networks.architectures import require_trust
from thumbnet.networks.assembly import build_teacher
from thumbnet.networks.class_names import check_same_classes
from thumbnet.networks.downscaler import build_downscaler
from thumbnet.networks.student import make_student
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import held_out_in_training, settings_of


@dataclass(frozen=True, kw_only=True)
class MeasuredNetworks:
    """What a bundle is measured beside.

    Attributes:
        teacher: T in eval mode; None where it is not at hand.
        untrained: Its copy at thumbnail size, as S began; None where it does not run there.
        bicubic: The plain downscaler.
    """

    teacher: nn.Module | None
    untrained: nn.Module | None
    bicubic: nn.Module


@dataclass(frozen=True, kw_only=True)
class OpenedRun:
    """A run and the pictures that it is measured on.

    Attributes:
        run: Its folder.
        settings: What it was trained with.
        bundle: As it was saved.
        networks: What it is measured beside.
        pictures: Readable ones, their labels in the bundle's classes.
        fingerprint: Of the pictures.
        loader: Batches of them, in order.
        batch_size: Pictures in each.
        device: Where the networks are.
        data: The pictures' name, as for `TrainSettings.data`.
        description: Which of them they are.
        own_data: Whether they are the run's own held-out ones.
    """

    run: RunFolder
    settings: TrainSettings
    bundle: ThumbNet
    networks: MeasuredNetworks
    pictures: Pictures
    fingerprint: str
    loader: DataLoader[Batch]
    batch_size: int
    device: torch.device
    data: str
    description: str
    own_data: bool

    @property
    def data_name(self) -> str:
        """A name of the data that a folder can have; two places of one name, such as `val`, get two."""
        if not is_place(self.data):
            return re.sub(r"[^\w.-]+", "-", self.data)
        place = Path(self.data).resolve()
        name = place.name or "root"
        if self.run.data_evaluated_as(name) in (None, self.data):
            return name
        return f"{name}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"


def open_run(
    run: RunFolder | Path | str,
    data: str | None,
    *,
    holdout: float | None,
    columns: ColumnSettings | None = None,
    allow_code: bool,
    batch_size: int,
    workers: int | None,
    device: str,
    announcer: Announcer,
) -> OpenedRun:
    """Opens a run and the pictures to measure it on; the arguments are those of `evaluation.evaluate`.

    Raises:
        ThumbNetError: If the run or the data cannot be used together.
    """
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    settings = settings_of(run)
    target = choose_device(device)
    _require_student(run, settings)
    own_data = data is None or _same_data(data, settings.data)
    if own_data:
        holdout = _own_holdout(run, settings, holdout)
        _require_own_columns(run, settings, columns)
    bundle = ThumbNet.load(run.path, allow_code=allow_code, device=target)
    # By another name of the same place a table's absolute paths would have other names, and so another split.
    chosen = settings.data if data is None or own_data else data
    # The bundle holds what the class map said, which may be gone.
    reads = replace(settings, class_map=None, columns=columns or settings.columns)
    wanted = wanted_by(reads, cache_folder(settings.cache) / "datasets")
    names = bundle.labels if settings.class_map or not own_data else None
    wanted = replace(wanted, class_map=names, whose="the bundle's", streaming=wanted.streaming and own_data)
    if settings.unlabelled and not own_data:
        wanted = _with_labels_if_any(chosen, holdout, wanted, bundle.labels, announcer)
    evaluation_data = settings.evaluation_data if own_data else None
    splits = open_data(chosen, holdout, evaluation_data, wanted)
    moved = own_data and _has_moved(run, splits.evaluation, announcer)
    found = _read(splits.evaluation, settings, workers, announcer)
    pictures = found.readable.in_classes(bundle.labels, "the bundle's")
    reading = LoaderSettings(workers=reading_workers(workers))
    return OpenedRun(
        run=run,
        settings=settings,
        bundle=bundle,
        networks=_networks(bundle, settings, allow_code, announcer),
        pictures=pictures,
        fingerprint=found.fingerprint,
        loader=evaluation_loader(pictures, bundle.description.preprocessing, batch_size, reading),
        batch_size=batch_size,
        device=target,
        data=chosen,
        description=f"{splits.description}, others than in training" if moved else splits.description,
        own_data=own_data,
    )


def _require_student(run: RunFolder, settings: TrainSettings) -> None:
    if run.teacher_weights.exists() and not run.bundle.exists():
        known = f"--teacher {settings.teacher} --teacher-weights {run.teacher_weights} --data DATA"
        raise CheckpointError(f"{run.path} holds a teacher and no student; thumbnet evaluate {known} evaluates it")


def _own_holdout(run: RunFolder, settings: TrainSettings, given: float | None) -> float | None:
    """The run's own share held out of its data: by another one, pictures of the training would count as held out."""
    if given is not None and given != settings.holdout:
        was = f"--holdout {settings.holdout}" if settings.holdout else "no --holdout"
        raise ConfigError(
            f"holdout: {run.path} was trained on this data with {was}, not {given}; "
            "leave --holdout out, or give other pictures as --data"
        )
    return settings.holdout


def _require_own_columns(run: RunFolder, settings: TrainSettings, given: ColumnSettings | None) -> None:
    if given is not None and given != settings.columns:
        raise ConfigError(
            f"columns: {run.path} knows the columns of its own data; "
            "leave --columns out, or give other pictures as --data"
        )


def _has_moved(run: RunFolder, held_out: Pictures, announcer: Announcer) -> bool:
    """Whether other pictures are held out than in training, which the user is told; False where that is not known."""
    then = held_out_in_training(run)
    if then is None or then == held_out.fingerprint_of_names:
        return False
    held = f"the {len(held_out):,} pictures that are held out now are not those of the training of {run.path}"
    advice = "put the pictures back, or evaluate others with --data"
    announcer.warn(f"{held}, which may have seen some of them; {advice}")
    return True


def _with_labels_if_any(
    data: str, holdout: float | None, wanted: Wanted, classes: tuple[str, ...], announcer: Announcer
) -> Wanted:
    """Other data for a run without labels: where it has labels of the run's classes, they count."""
    labelled = replace(wanted, unlabelled=False)
    try:
        open_data(data, holdout, None, labelled).evaluation.in_classes(classes, "the bundle's")
    except DataError as error:
        announcer.warn(f"no labels are read, so only agreement is measured ({error})")
        return wanted
    return labelled


def _networks(bundle: ThumbNet, settings: TrainSettings, allow_code: bool, announcer: Announcer) -> MeasuredNetworks:
    """The teacher and its untrained copy at thumbnail size; None where one is not at hand."""
    device = next(bundle.student.parameters()).device
    bicubic = build_downscaler(DownscalerSettings(kind="bicubic"), bundle.description.ratio).to(device)
    try:
        require_trust(settings.teacher, allow_code, "the run's config.yaml")
        built = build_teacher(settings, bundle.labels)
        teacher = built.classifier.network.eval()
        check_same_classes(built.classes, bundle.labels)
    except (NetworkError, CheckpointError) as error:
        announcer.warn(f"the teacher is not at hand, so only the student is evaluated ({error})")
        return MeasuredNetworks(teacher=None, untrained=None, bicubic=bicubic)
    try:
        fitted = untrained_settings(settings)
        untrained = make_student(teacher, fitted, bundle.image_side, bundle.thumbnail_side).eval().to(device)
    except NetworkError as error:
        announcer.warn(f"the untrained teacher on thumbnails is left out ({error})")
        return MeasuredNetworks(teacher=teacher.to(device), untrained=None, bicubic=bicubic)
    return MeasuredNetworks(teacher=teacher.to(device), untrained=untrained, bicubic=bicubic)


def untrained_settings(settings: TrainSettings) -> StudentSettings:
    """How the untrained copy is fitted: as S, but how another network is fitted says nothing of T's own copy."""
    return settings.student if settings.student.network is None else StudentSettings()


def _same_data(data: str, other: str) -> bool:
    """Whether two names of data are the same place."""
    if not is_place(data) or not is_place(other):
        return data == other
    return Path(data).resolve() == Path(other).resolve()


def _read(pictures: Pictures, settings: TrainSettings, workers: int | None, announcer: Announcer) -> Inspection:
    memory = cache_folder(settings.cache) / "inspections"
    found = inspect(pictures, settings.allow_unreadable, memory, announcer.track, max(1, reading_workers(workers)))
    for name, reason in found.unreadable:
        announcer.warn(f"left out {name}: {reason}")
    return found
