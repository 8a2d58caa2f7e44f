"""The files of an export, and export.json: all that a runtime needs beside the graphs. Imports no torch."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thumbnet.data.working_view import Preprocessing
from thumbnet.errors import CheckpointError, ConfigError

FORMAT = 1
DOWNSCALER, STUDENT, WHOLE = "downscaler.onnx", "student.onnx", "thumbnet.onnx"
# For a page that makes thumbnails: pictures of any size to the learned and the plain one. The teacher where asked for.
BROWSER, TEACHER = "browser.onnx", "teacher.onnx"
DESCRIPTION, REPORT, REPORT_BESIDE = "export.json", "report.json", "report.failed.json"


@dataclass(frozen=True, kw_only=True)
class ExportDescription:
    """What an export is.

    Attributes:
        labels: Names of the classes, in the order of the outputs.
        image_side: Side of what the downscaler takes of a picture, px.
        thumbnail_side: Side of what the student takes, px.
        multilabel: Whether a picture may have any number of labels; then each output is a probability by itself.
        preprocessing: How a picture becomes what the downscaler takes.
        precision: `float` or `int8`.
        opset: Of the graphs, where they are of ONNX.
        versions: Of what made them.
        bundle: SHA-256 of the bundle that they were made of.
        engine: What they are for, as `--format` names it.
    """

    labels: tuple[str, ...]
    image_side: int
    thumbnail_side: int
    multilabel: bool
    preprocessing: Preprocessing
    precision: str
    opset: int | None
    versions: dict[str, str]
    bundle: str
    engine: str = "onnx"

    @property
    def ratio(self) -> int:
        """Downscale factor per side."""
        return self.image_side // self.thumbnail_side

    def as_dict(self) -> dict[str, Any]:
        """The content of export.json."""
        return {"format": FORMAT, **asdict(self)}


def read_export(folder: Path) -> ExportDescription:
    """Reads export.json.

    Raises:
        CheckpointError: If there is none, or it is damaged.
    """
    file = folder / DESCRIPTION
    if not file.is_file():
        raise CheckpointError(f"no export in {folder} (no {DESCRIPTION}); make one with `thumbnet export`")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise CheckpointError(f"{file} has another format than this version reads; export the bundle again")
        stored = content.pop("preprocessing")
        preprocessing = Preprocessing(**{**stored, "mean": tuple(stored["mean"]), "std": tuple(stored["std"])})
        return ExportDescription(**{**content, "labels": tuple(content["labels"]), "preprocessing": preprocessing})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise CheckpointError(f"{file} is damaged ({error}); export the bundle again") from error
