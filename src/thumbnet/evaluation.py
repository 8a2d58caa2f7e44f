"""Accuracy of a run: teacher, student and the untrained bicubic thumbnail on the same pictures.

Reads a run and a data set, writes evaluation.json, predictions.csv and the sample thumbnails that the report shows.
"""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from thumbnet.accuracy import HEADLINES, accuracies, agreement
from thumbnet.bundle import ThumbNet
from thumbnet.config import ColumnSettings
from thumbnet.data.labelled import LabelKind, Pictures
from thumbnet.data.pictures import size_bytes
from thumbnet.evaluation_answers import Answers, ask, kept_answers
from thumbnet.opened_run import MeasuredNetworks, open_run
from thumbnet.profiling import count_macs, count_parameters
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder


def evaluate(
    run: RunFolder | Path | str,
    data: str | None = None,
    *,
    holdout: float | None = None,
    columns: ColumnSettings | None = None,
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
        holdout: Share held out of one folder of classes, by default none, so that every picture is evaluated. Of the
            run's own data it is always the run's.
        columns: Of other data, where pictures, labels and splits are; by default as in training.
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
        columns=columns,
        allow_code=allow_code,
        batch_size=batch_size,
        workers=workers,
        device=device,
        announcer=announcer,
    )
    run, bundle, networks, pictures = opened.run, opened.bundle, opened.networks, opened.pictures
    progress = announcer.track(opened.loader, len(opened.loader), "evaluating")
    answers = ask(opened, progress, kept_answers(opened, announcer))
    result = _summarise(bundle, networks, answers, pictures.kind)
    result["data"] = {"name": opened.data, "pictures": len(pictures), "description": opened.description}
    result["bytes"] = {
        "image": round(float(np.mean([size_bytes(file) for file in pictures.files]))),
        "thumbnail": None if answers.thumbnail_bytes is None else round(answers.thumbnail_bytes),
    }
    result["naturalness"] = answers.naturalness
    rows = _prediction_rows(pictures, answers)
    if not opened.own_data:
        announcer.say(f"written: {run.write_other_evaluation(opened.data_name, result, rows)}")
    elif networks.teacher is None and "teacher" in (run.read_evaluation() or {}):
        announcer.warn(f"{run.evaluation} keeps the evaluation that was made beside the teacher")
    else:
        run.write_evaluation(result)
        run.write_predictions(rows)
        announcer.say(f"written: {run.evaluation}, {run.predictions}")
    return result


def _summarise(bundle: ThumbNet, networks: MeasuredNetworks, answers: Answers, kind: LabelKind) -> dict[str, Any]:
    student, labels, metric = answers.logits["student"], answers.labels, HEADLINES[kind]
    result: dict[str, Any] = {
        "metric": metric,
        "student": {
            **accuracies(student, labels, bundle.labels, kind),
            "macs": bundle.student_macs,
            "parameters": count_parameters(bundle.student),
        },
        "downscaler": {
            "macs": bundle.downscaler_macs,
            "parameters": count_parameters(bundle.downscaler),
        },
        "ratio": bundle.description.ratio,
        "hides_detail": bundle.description.hides_detail,
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
        right = result["teacher"].get(metric)
        result["retention"] = result["student"][metric] / right if right else None
        result["agreement"] = agreement(student, teacher, kind)
        if networks.untrained is not None:
            untrained = answers.logits["untrained_bicubic"]
            result["untrained_bicubic"] = {
                **accuracies(untrained, labels, bundle.labels, kind),
                "macs": count_macs(networks.untrained, bundle.thumbnail_side),
                "parameters": count_parameters(networks.untrained),
            }
            if kind == "none":
                result["untrained_bicubic"]["agreement"] = agreement(untrained, teacher)
    return result


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
