"""`thumbnet export`: a bundle's graphs, verified beside it, and written only if they are as good.

Everything is written to a folder beside the output and moved there at once.
"""

import hashlib
import importlib.util
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from thumbnet.bundle import ThumbNet
from thumbnet.bundle_description import bundle_folder
from thumbnet.config import ExportSettings
from thumbnet.deployment.exported_folder import (
    DESCRIPTION,
    DOWNSCALER,
    REPORT,
    REPORT_BESIDE,
    STUDENT,
    WHOLE,
    ExportDescription,
)
from thumbnet.deployment.gate import Graphs, compare
from thumbnet.deployment.graphs import downscaler_graph, student_graph
from thumbnet.deployment.quantisation import calibration_views, plain_filters, quantised
from thumbnet.deployment.runtime import open_graph
from thumbnet.deployment.verification_data import VerificationData, open_verification_data
from thumbnet.deployment.view_graph import OPSET, in_one, working_view_graph
from thumbnet.errors import ConfigError, ExportError
from thumbnet.hub import BUNDLE_FILES
from thumbnet.progress import Announcer
from thumbnet.storage import storage_errors, write_atomically, write_json

NEEDED = ("onnx", "onnxruntime", "onnxscript")
_VERSIONED = ("thumbnet", "torch", *NEEDED)


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """What an export left.

    Attributes:
        folder: The graphs, export.json and report.json.
        report: The content of report.json.
    """

    folder: Path
    report: dict[str, Any]


def export(
    run: Path | str,
    settings: ExportSettings,
    *,
    overwrite: bool = False,
    allow_code: bool = False,
    announcer: Announcer | None = None,
) -> ExportResult:
    """Exports a bundle.

    Args:
        run: A run or bundle folder.
        settings: What to write where, and how good it must be.
        overwrite: Replace an export that is already there.
        allow_code: Import the `package.module:factory` that the bundle names. Only for bundles you trust.
        announcer: Progress; by default on standard error.

    Raises:
        ExportError: If a package is missing, the bundle cannot be exported, or the export is not as good as the bundle;
            then only the report is left, and an export that was there before stays.
        ThumbNetError: If the run or the data cannot be used.
    """
    announcer = announcer or Announcer()
    _require_packages()
    folder = Path(settings.output)
    _check_output(folder, overwrite)
    bundle = ThumbNet.load(run, allow_code=allow_code)
    if not bundle.makes_pictures:
        kind = bundle.description.downscaler.kind
        raise ExportError(f"downscaler: {kind} is a bound and makes no picture to export; train another kind")
    view = working_view_graph(bundle.description.preprocessing)
    data = open_verification_data(Path(run), bundle, settings, announcer)
    description = _describe(bundle, Path(run), settings)
    with announcer.working("exporting"):
        graphs = _graphs(bundle, view, data, settings, description)
    report = compare(bundle, graphs, data.verified, settings.allowed_drop, announcer)
    report |= {"data": data.data, "description": data.description, "precision": description.precision}
    report["size_bytes"] = {name: len(content) for name, content in _files(graphs).items()}
    if not report["passed"]:
        raise _refused(folder, report)
    _write(folder, graphs, description, report)
    return ExportResult(folder=folder, report=report)


def _require_packages() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"export: onnx needs the package {missing[0]}; run: pip install 'thumbnet[onnx]'")


def _check_output(folder: Path, overwrite: bool) -> None:
    with storage_errors(folder):
        if not folder.exists() or (folder.is_dir() and {file.name for file in folder.iterdir()} <= {REPORT}):
            return  # nothing, or what a failed gate left
        if not (folder / DESCRIPTION).is_file():
            raise ConfigError(f"output: {folder} holds something that is no export; give another --output")
    if not overwrite:
        raise ConfigError(f"output: {folder} exists; give --overwrite to replace it, or another --output")


def _describe(bundle: ThumbNet, run: Path, settings: ExportSettings) -> ExportDescription:
    digest = hashlib.sha256()
    for name in BUNDLE_FILES:
        digest.update(hashlib.sha256((bundle_folder(run) / name).read_bytes()).digest())
    return ExportDescription(
        labels=bundle.labels,
        image_side=bundle.image_side,
        thumbnail_side=bundle.thumbnail_side,
        multilabel=bundle.description.multilabel,
        preprocessing=bundle.description.preprocessing,
        precision="int8" if settings.int8 else "float",
        opset=OPSET,
        versions={name: version(name) for name in _VERSIONED},
        bundle=digest.hexdigest(),
    )


def _graphs(
    bundle: ThumbNet, view: Any, data: VerificationData, settings: ExportSettings, description: ExportDescription
) -> Graphs:
    downscaler, student = downscaler_graph(bundle), student_graph(bundle)
    if settings.int8:
        views = calibration_views(bundle, data.calibration)
        make = open_graph(downscaler.SerializeToString())
        thumbnails = [make(one[None])[0] for one in views]
        downscaler = quantised(downscaler, views, keep=plain_filters(downscaler))
        student = quantised(student, thumbnails)
    whole = in_one(view, downscaler, student)
    for model in (downscaler, student, whole):
        _note(model, description)
    parts = (model.SerializeToString() for model in (downscaler, student, whole, view))
    return Graphs(**dict(zip(("downscaler", "student", "whole", "view"), parts, strict=True)))


def _note(model: Any, description: ExportDescription) -> None:
    """Puts the description into the graph's own metadata, for whoever has the file alone."""
    import onnx

    model.producer_name, model.producer_version = "thumbnet", version("thumbnet")
    facts = asdict(description)
    notes = {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    onnx.helper.set_model_props(model, notes)


def _files(graphs: Graphs) -> dict[str, bytes]:
    return {DOWNSCALER: graphs.downscaler, STUDENT: graphs.student, WHOLE: graphs.whole}


def _refused(folder: Path, report: dict[str, Any]) -> ExportError:
    """Leaves the report; beside an older export, which stays."""
    place = folder / (REPORT_BESIDE if (folder / DESCRIPTION).exists() else REPORT)
    write_json(place, report)
    worst, limit = max(report["pair"]["drop"], report["whole"]["drop"]), report["allowed_drop"]
    found = f"its {report['metric']} differs from the bundle's by {worst:.2%}"
    if worst <= limit or report["metric"] == "agreement":
        worst, limit = (
            1 - min(report["pair"]["agreement"], report["whole"]["agreement"]),
            report["allowed_other_answers"],
        )
        found = f"it answers otherwise than the bundle on {worst:.2%} of the pictures"
    problem = f"{found}, more than the {limit:.2%} allowed"
    return ExportError(f"the export is not written: {problem}; see {place}, or give --max-drop")


def _write(folder: Path, graphs: Graphs, description: ExportDescription, report: dict[str, Any]) -> None:
    place = folder.resolve()
    with storage_errors(folder):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as temporary:
            made = Path(temporary) / "made"
            for name, content in _files(graphs).items():
                write_atomically(made / name, content)
            write_json(made / DESCRIPTION, description.as_dict())
            write_json(made / REPORT, report)
            if place.exists():
                place.rename(Path(temporary) / "old")
            shutil.move(made, place)
