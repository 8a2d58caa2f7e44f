"""Accuracy of a run: teacher, student and the untrained bicubic thumbnail on the same pictures.

Reads a run and a data set, writes evaluation.json, predictions.csv and the sample thumbnails that the report shows.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from thumbnet.accuracy import HEADLINES, accuracies, agreement
from thumbnet.bundle import ThumbNet
from thumbnet.config import TrainSettings
from thumbnet.data.batches import LoaderSettings, evaluation_loader
from thumbnet.data.datasets import Wanted
from thumbnet.data.inspection import Inspection, inspect
from thumbnet.data.labelled import LabelKind, Pictures
from thumbnet.data.pictures import size_bytes
from thumbnet.data.sources import is_place, open_data, wanted_by
from thumbnet.devices import cache_folder, choose_device, reading_workers
from thumbnet.errors import CheckpointError, DataError, NetworkError
from thumbnet.evaluation_answers import Answers, KeptAnswers, Networks, ask, kept_name
from thumbnet.networks.architectures import require_trust
from thumbnet.networks.assembly import build_teacher
from thumbnet.networks.class_names import check_same_classes
from thumbnet.networks.downscaler import FixedDownscaler
from thumbnet.networks.student import make_student
from thumbnet.profiling import count_macs, count_parameters
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import settings_of
from thumbnet.teacher_outputs import GIGABYTE, TEACHER_CACHES


def evaluate(
    run: RunFolder | Path | str,
    data: str | None = None,
    *,
    holdout: float | None = None,
    allow_code: bool = False,
    batch_size: int = 32,
    workers: int | None = None,
    device: str = "auto",
    announcer: Announcer | None = None,
) -> dict[str, Any]:
    """Evaluates a run's bundle beside its teacher and beside untrained bicubic thumbnails.

    Args:
        run: A run folder.
        data: Anything that a run can be trained with; by default what the run was trained with, its held-out part.
        holdout: Share held out of one folder of classes; by default the run's own when `data` is the run's, else every
            picture is evaluated.
        allow_code: Import the `package.module:factory` that the bundle names.
        batch_size: Pictures at a time.
        workers: Processes that read pictures.
        device: Where to compute.
        announcer: Shows progress; by default on standard error.

    Returns:
        What is written to evaluation.json: accuracies as shares of 1, `macs` for one picture, bytes as means. For data
        other than the run's own it is written to evaluations/NAME/ instead, and the run's own results stay.

    Raises:
        ThumbNetError: If the run or the data cannot be used together.
    """
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    announcer = announcer or Announcer()
    settings = settings_of(run)
    target = choose_device(device)
    _require_student(run, settings)
    bundle = ThumbNet.load(run.path, allow_code=allow_code, device=target)
    own_data = data is None or _same_data(data, settings.data)
    chosen = settings.data if data is None else data
    # The bundle holds what the class map said, which may be gone.
    wanted = wanted_by(replace(settings, class_map=None), cache_folder(settings.cache) / "datasets")
    names = bundle.labels if settings.class_map or not own_data else None
    wanted = replace(wanted, class_map=names, whose="the bundle's", streaming=wanted.streaming and own_data)
    if settings.unlabelled and not own_data:
        wanted = _with_labels_if_any(chosen, holdout, wanted, bundle.labels, announcer)
    evaluation_data = settings.evaluation_data if own_data else None
    splits = open_data(chosen, holdout or settings.holdout if own_data else holdout, evaluation_data, wanted)
    found = _read(splits.evaluation, settings, workers, announcer)
    pictures = found.readable.in_classes(bundle.labels, "the bundle's")
    networks = _networks(bundle, settings, allow_code, announcer)
    reading = LoaderSettings(workers=reading_workers(workers))
    loader = evaluation_loader(pictures, bundle.description.preprocessing, batch_size, reading)
    progress = announcer.track(loader, len(loader), "evaluating")
    kept = _kept(bundle, networks, settings, found, batch_size, announcer)
    answers = ask(bundle, networks, kept, progress, len(pictures), target, run.samples if own_data else None)
    result = _summarise(bundle, networks, answers, pictures.kind)
    result["data"] = {"name": chosen, "pictures": len(pictures), "description": splits.description}
    result["bytes"] = {
        "image": round(float(np.mean([size_bytes(file) for file in pictures.files]))),
        "thumbnail": round(answers.thumbnail_bytes),
    }
    rows = _prediction_rows(pictures, answers)
    if not own_data:
        run.write_other_evaluation(_name_of(chosen), result, rows)
    elif networks.teacher is None and "teacher" in (run.read_evaluation() or {}):
        announcer.warn(f"{run.evaluation} keeps the evaluation that was made beside the teacher")
    else:
        run.write_evaluation(result)
        run.write_predictions(rows)
    return result


def _require_student(run: RunFolder, settings: TrainSettings) -> None:
    if run.teacher_weights.exists() and not run.bundle.exists():
        known = f"--teacher {settings.teacher} --teacher-weights {run.teacher_weights} --data DATA"
        raise CheckpointError(f"{run.path} holds a teacher and no student; thumbnet evaluate {known} evaluates it")


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


def _networks(bundle: ThumbNet, settings: TrainSettings, allow_code: bool, announcer: Announcer) -> Networks:
    """The teacher and its untrained copy at thumbnail size; None where the teacher is not at hand."""
    device = next(bundle.student.parameters()).device
    bicubic = FixedDownscaler(bundle.description.ratio, "bicubic").to(device)
    try:
        require_trust(settings.teacher, allow_code, "the run's config.yaml")
        built = build_teacher(settings, bundle.labels)
        teacher = built.classifier.network.eval()
        check_same_classes(built.classes, bundle.labels)
    except (NetworkError, CheckpointError) as error:
        announcer.warn(f"the teacher is not at hand, so only the student is evaluated ({error})")
        return Networks(teacher=None, untrained=None, bicubic=bicubic)
    untrained = make_student(teacher, settings.student, bundle.image_side, bundle.thumbnail_side).eval()
    return Networks(teacher=teacher.to(device), untrained=untrained.to(device), bicubic=bicubic)


def _kept(
    bundle: ThumbNet,
    networks: Networks,
    settings: TrainSettings,
    found: Inspection,
    batch_size: int,
    announcer: Announcer,
) -> KeptAnswers | None:
    """Where the teacher's word on these pictures is kept; None where the teacher is not at hand."""
    if networks.teacher is None:
        return None
    name = kept_name(bundle, networks, settings.teacher, settings.student, found.fingerprint, batch_size)
    folder = cache_folder(settings.cache) / TEACHER_CACHES / name
    shape = (len(found.readable), len(bundle.labels))
    return KeptAnswers(folder, shape, settings.cache.limit_gb * GIGABYTE, announcer)


def _summarise(bundle: ThumbNet, networks: Networks, answers: Answers, kind: LabelKind) -> dict[str, Any]:
    student, labels, metric = answers.logits["student"], answers.labels, HEADLINES[kind]
    result: dict[str, Any] = {
        "metric": metric,
        "student": {
            **accuracies(student, labels, bundle.labels, kind),
            "macs": count_macs(bundle.student, bundle.thumbnail_side),
            "parameters": count_parameters(bundle.student),
        },
        "downscaler": {
            "macs": count_macs(bundle.downscaler, bundle.image_side),
            "parameters": count_parameters(bundle.downscaler),
        },
        "ratio": bundle.description.ratio,
        "image_side": bundle.image_side,
        "thumbnail_side": bundle.thumbnail_side,
    }
    if networks.teacher is not None:
        teacher = answers.logits["teacher"]
        result["teacher"] = {
            **accuracies(teacher, labels, bundle.labels, kind),
            "macs": count_macs(networks.teacher, bundle.image_side),
            "parameters": count_parameters(networks.teacher),
        }
        untrained = answers.logits["untrained_bicubic"]
        result["untrained_bicubic"] = accuracies(untrained, labels, bundle.labels, kind)
        right = result["teacher"].get(metric)
        result["retention"] = result["student"][metric] / right if right else None
        result["agreement"] = agreement(student, teacher, kind)
        if kind == "none":
            result["untrained_bicubic"]["agreement"] = agreement(untrained, teacher)
    return result


def _same_data(data: str, other: str) -> bool:
    """Whether two names of data are the same place."""
    if not is_place(data) or not is_place(other):
        return data == other
    return Path(data).resolve() == Path(other).resolve()


def _name_of(data: str) -> str:
    """A name of the data that a folder can have."""
    return Path(data).resolve().name or "root" if is_place(data) else re.sub(r"[^\w.-]+", "-", data)


def _prediction_rows(pictures: Pictures, answers: Answers) -> list[dict[str, str]]:
    said = {who: _in_words(logits, pictures) for who, logits in answers.logits.items()}
    labels = [""] * len(pictures) if pictures.kind == "none" else _in_words(answers.labels, pictures)
    return [
        {"picture": name, "label": labels[i], **{who: words[i] for who, words in said.items()}}
        for i, name in enumerate(pictures.names)
    ]


def _in_words(answers: Tensor, pictures: Pictures) -> list[str]:
    """Names of classes for class indices, logits, shares, or rows of 0 and 1; several joined by `|`."""
    classes = pictures.classes
    if pictures.kind == "multi":
        return ["|".join(classes[i] for i in row.nonzero().flatten().tolist()) for row in answers > 0]
    chosen = answers.argmax(dim=1) if answers.dim() == 2 else answers
    return [classes[index] for index in chosen.tolist()]


def _read(pictures: Pictures, settings: TrainSettings, workers: int | None, announcer: Announcer) -> Inspection:
    memory = cache_folder(settings.cache) / "inspections"
    found = inspect(pictures, settings.allow_unreadable, memory, announcer.track, max(1, reading_workers(workers)))
    for name, reason in found.unreadable:
        announcer.warn(f"left out {name}: {reason}")
    return found
