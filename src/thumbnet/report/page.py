"""Writes report.html: what a run was, what came out of it, and what its thumbnails look like.

Reads the run folder and nothing else: no network, no data set. The page refers to nothing outside itself, and whatever
comes from the run (labels, names, reasons) is escaped.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from thumbnet.errors import CheckpointError
from thumbnet.report.figures import accuracy_panel, loss_panels
from thumbnet.report.tables import (
    Cell,
    Table,
    accuracy_table,
    class_table,
    evaluated_networks,
    key_numbers,
    key_sentence,
    naturalness_table,
)
from thumbnet.report.wording import percent, times
from thumbnet.run_folder import RECORD_KEY, RunFolder
from thumbnet.storage import write_atomically

SAMPLE_KINDS = {"image": "image", "bicubic": "bicubic thumbnail", "thumbnail": "downscaler's thumbnail"}
UNREADABLE_SHOWN = 10
TERMS = {
    "mm": "moment matching",
    "cl": "classification",
    "kd": "knowledge distillation",
    "fm": "feature mapping",
    "em": "embedding matching",
    "dm": "detail matching",
    "pm": "pixel matching",
}


@dataclass(frozen=True)
class SamplePicture:
    """One picture of the sheet: which kind it is, and its PNG as a data address."""

    kind: str
    title: str
    address: str


def write_report(run: RunFolder) -> Path:
    """Writes the run's report.html, in place of an older one.

    Works at any time after a run began: what is not there yet (evaluation, curves, samples) is left out or said so.

    Returns:
        The path of the page.

    Raises:
        CheckpointError: If a file of the run is damaged.
        ThumbNetError: If the page cannot be written.
    """
    write_atomically(run.report, render(run).encode())
    return run.report


def render(run: RunFolder) -> str:
    """The page as HTML; the same run folder gives the same page."""
    config, evaluation, records = run.read_config(), run.read_evaluation(), run.read_metrics()
    settings = {name: value for name, value in config.items() if name != RECORD_KEY}
    recorded = config.get(RECORD_KEY) or {}
    teacher_run = is_teacher_run(run, evaluation)
    references = _references(evaluation, settings.get("data"))
    ratio = (evaluation or {}).get("ratio") or settings.get("ratio") or 1
    return _template().render(
        name=run.path.resolve().name,
        teacher_run=teacher_run,
        sentence=key_sentence(evaluation, ratio),
        facts=_facts(settings, evaluation or {}, len(records), ratio, teacher_run),
        evaluated=bool(evaluation and evaluated_networks(evaluation)),
        evaluation=evaluation or {},
        key_numbers=key_numbers(evaluation or {}),
        accuracies=accuracy_table(evaluation or {}),
        classes=class_table(evaluation or {}),
        top1_panel=accuracy_panel(records, references),
        references={name: percent(share) for name, share in references.items()},
        loss_panels=loss_panels(records),
        terms=TERMS,
        weights=recorded.get("losses") or settings.get("loss") or {},
        samples=_samples(run.samples),
        naturalness=naturalness_table(evaluation or {}),
        unreadable=_unreadable_table(run.unreadable),
        settings=yaml.safe_dump(settings, sort_keys=False, allow_unicode=True),
        versions=recorded.get("versions") or {},
        fingerprint=recorded.get("data_fingerprint"),
    )


def is_teacher_run(run: RunFolder, evaluation: Mapping[str, Any] | None) -> bool:
    """Whether the run fine-tuned a teacher, and so has neither student nor thumbnails."""
    if evaluation is not None:
        return "teacher" in evaluation and "student" not in evaluation
    return run.teacher_weights.exists()


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("thumbnet.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja")


def _facts(
    settings: Mapping[str, Any], evaluation: Mapping[str, Any], epochs: int, ratio: int, teacher_run: bool
) -> dict[str, str]:
    """What the run is, by the names that the page gives."""
    data = evaluation.get("data", {})
    image_side = evaluation.get("image_side") or settings.get("image_side")
    thumbnail_side = evaluation.get("thumbnail_side")
    facts = {"teacher": str(settings.get("teacher", "")), "data": str(settings.get("data", ""))}
    if data:
        where = [data.get("description") or data.get("name", "")]
        where += [f"{data['pictures']:,} pictures"] if data.get("pictures") else []
        facts["evaluated on"] = ", ".join(part for part in where if part)
    if not teacher_run:
        facts["ratio"] = f"{ratio} per side: {times(ratio**2)} times fewer pixels"
    if image_side and thumbnail_side:
        facts["sides"] = f"image {image_side} px, thumbnail {thumbnail_side} px"
    elif image_side:
        facts["sides"] = f"image {image_side} px"
    if not teacher_run and settings.get("downscaler"):
        kept = ", hides detail: keep its thumbnails without loss" if evaluation.get("hides_detail") else ""
        facts["downscaler"] = str(settings["downscaler"].get("kind", "")) + kept
    facts["epochs"] = f"{epochs:,} of {settings.get('epochs', epochs):,}"
    return facts


def _references(evaluation: Mapping[str, Any] | None, trained_on: Any) -> dict[str, float]:
    """The metric of teacher and untrained student, to draw beside the curve of a student."""
    if evaluation is None or "student" not in evaluation:
        return {}
    # The curve was measured on the run's own data; accuracies from another data set do not belong beside it.
    if evaluation.get("data", {}).get("name", trained_on) != trained_on:
        return {}
    metric = evaluation.get("metric", "top1")
    measured = {name: evaluation.get(name, {}).get(metric) for name in ("teacher", "untrained_bicubic")}
    return {name: share for name, share in measured.items() if share is not None}


def _samples(folder: Path) -> list[list[SamplePicture]]:
    """The pictures of the sheet, one list a sample, in the order of `SAMPLE_KINDS`."""
    numbers = sorted({path.name.partition("-")[0] for path in folder.glob("*-*.png")})
    return [
        [
            SamplePicture(kind, title, _data_address(path))
            for kind, title in SAMPLE_KINDS.items()
            if (path := folder / f"{number}-{kind}.png").is_file()
        ]
        for number in numbers
    ]


def _data_address(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def _unreadable_table(path: Path) -> tuple[int, Table] | None:
    """How many pictures were left out, and the first of them; None if the run has no such list."""
    if not path.exists():
        return None
    try:
        left_out = [json.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read; the run folder is damaged") from error
    shown = left_out[:UNREADABLE_SHOWN]
    rows = tuple((str(line.get("picture", "")), (Cell(str(line.get("reason", ""))),)) for line in shown)
    which = "All of them" if len(shown) == len(left_out) else f"The first {len(shown)}; the rest is in {path.name}"
    return len(left_out), Table(f"{which}.", ("picture", "reason"), rows)
