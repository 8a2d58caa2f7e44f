"""Accuracy of a run: teacher, student and the untrained bicubic thumbnail on the same pictures.

Reads a run and a data set, writes evaluation.json, predictions.csv and the sample thumbnails that the report shows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from thumbnet.accuracy import HEADLINES, accuracies, agreement
from thumbnet.bundle import ThumbNet
from thumbnet.data.batches import Batch, to_image
from thumbnet.data.labelled import LabelKind, Pictures
from thumbnet.data.pictures import size_bytes
from thumbnet.data.preprocessing import image_to_picture, normalise
from thumbnet.naturalness import PictureNaturalness, naturalness, naturalness_by_picture
from thumbnet.networks.downscaler import to_8bit
from thumbnet.opened_run import MeasuredNetworks, OpenedRun, open_run
from thumbnet.profiling import count_macs, count_parameters
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder
from thumbnet.storage import write_atomically

SAMPLES = 8


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
    announcer = announcer or Announcer()
    opened = open_run(
        run,
        data,
        holdout=holdout,
        allow_code=allow_code,
        batch_size=batch_size,
        workers=workers,
        device=device,
        announcer=announcer,
    )
    run, bundle, networks, pictures = opened.run, opened.bundle, opened.networks, opened.pictures
    progress = announcer.track(opened.loader, len(opened.loader), "evaluating")
    answers = _ask(opened, progress)
    result = _summarise(bundle, networks, answers, pictures.kind)
    result["data"] = {"name": opened.data, "pictures": len(pictures), "description": opened.description}
    result["bytes"] = {
        "image": round(float(np.mean([size_bytes(file) for file in pictures.files]))),
        "thumbnail": round(answers.thumbnail_bytes),
    }
    result["naturalness"] = answers.naturalness
    rows = _prediction_rows(pictures, answers)
    if not opened.own_data:
        run.write_other_evaluation(opened.data_name, result, rows)
    elif networks.teacher is None and "teacher" in (run.read_evaluation() or {}):
        announcer.warn(f"{run.evaluation} keeps the evaluation that was made beside the teacher")
    else:
        run.write_evaluation(result)
        run.write_predictions(rows)
    return result


@dataclass(frozen=True, kw_only=True)
class _Answers:
    labels: Tensor
    logits: dict[str, Tensor]
    thumbnail_bytes: float
    naturalness: dict[str, float | None]


@torch.no_grad()
def _ask(opened: OpenedRun, batches: Iterable[Batch]) -> _Answers:
    """Asks everyone about every picture, and saves a few of the run's own, spread over the data set, for the report."""
    bundle, networks = opened.bundle, opened.networks
    preprocessing, pictures = bundle.description.preprocessing, len(opened.pictures)
    samples = opened.run.samples if opened.own_data else None
    sampled: Iterable[float] = np.linspace(0, pictures - 1, min(SAMPLES, pictures)) if samples else []
    wanted = {int(position): number for number, position in enumerate(sampled)}
    labels: list[Tensor] = []
    logits: dict[str, list[Tensor]] = {"student": [], "teacher": [], "untrained_bicubic": []}
    sizes: list[int] = []
    natural: list[PictureNaturalness] = []
    for batch in batches:
        image = to_image(batch, opened.device)
        thumbnail, bicubic = bundle.thumbnails(image), to_8bit(networks.bicubic(image))
        logits["student"].append(bundle.logits(thumbnail).float().cpu())
        if networks.teacher is not None and networks.untrained is not None:
            shown = normalise(image, preprocessing.mean, preprocessing.std)
            small = normalise(bicubic, preprocessing.mean, preprocessing.std)
            logits["teacher"].append(networks.teacher(shown).float().cpu())
            logits["untrained_bicubic"].append(networks.untrained(small).float().cpu())
        for offset in range(len(image)):
            if samples and (number := wanted.get(len(sizes) + offset)) is not None:
                kinds = {"image": image, "bicubic": bicubic, "thumbnail": thumbnail}
                _save_sample(samples, number, {kind: values[offset] for kind, values in kinds.items()})
        natural.append(naturalness_by_picture(thumbnail, bicubic))
        sizes += [len(_png(image_to_picture(small))) for small in thumbnail]
        labels.append(batch.label)
    joined = {name: torch.cat(parts) for name, parts in logits.items() if parts}
    return _Answers(
        labels=torch.cat(labels), logits=joined, thumbnail_bytes=float(np.mean(sizes)), naturalness=naturalness(natural)
    )


def _summarise(bundle: ThumbNet, networks: MeasuredNetworks, answers: _Answers, kind: LabelKind) -> dict[str, Any]:
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


def _prediction_rows(pictures: Pictures, answers: _Answers) -> list[dict[str, str]]:
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


def _save_sample(folder: Path, number: int, kinds: dict[str, Tensor]) -> None:
    for kind, values in kinds.items():
        write_atomically(folder / f"{number:02d}-{kind}.png", _png(image_to_picture(values)))


def _png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format="png")
    return buffer.getvalue()
