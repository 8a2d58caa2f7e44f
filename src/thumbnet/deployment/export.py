"""`thumbnet export`: a bundle for another engine, verified beside it, and written only if they are as good.

Everything is written to a folder beside the output and moved there at once.
"""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from thumbnet.bundle import ThumbNet
from thumbnet.bundle_description import bundle_folder
from thumbnet.config import ExportSettings
from thumbnet.deployment.exported_folder import DESCRIPTION, REPORT, REPORT_BESIDE, ExportDescription, read_export
from thumbnet.deployment.formats import executorch_format, onnx_format, openvino_format, torch_export_format
from thumbnet.deployment.formats.made import Made, require_packages
from thumbnet.deployment.gate import compare
from thumbnet.deployment.run_teacher import teacher_of
from thumbnet.deployment.verification_data import VerificationData, open_verification_data
from thumbnet.deployment.view_graph import OPSET
from thumbnet.errors import CheckpointError, ConfigError, ExportError
from thumbnet.hub import BUNDLE_FILES
from thumbnet.progress import Announcer
from thumbnet.storage import storage_errors, write_atomically, write_json

_NEEDED = {
    "onnx": onnx_format.NEEDED,
    "openvino": openvino_format.NEEDED,
    "executorch": executorch_format.NEEDED,
    "torch-export": (),
}
_WITHOUT_TEACHER = "leave --with-teacher out"


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """What an export left.

    Attributes:
        folder: The networks, export.json and report.json.
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
    require_packages(settings.format, _NEEDED[settings.format], extra=settings.format)
    folder = Path(settings.output)
    _check_output(folder, overwrite)
    bundle = ThumbNet.load(run, allow_code=allow_code)
    if not bundle.makes_pictures:
        kind = bundle.description.downscaler.kind
        raise ExportError(f"downscaler: {kind} is a bound and makes no picture to export; train another kind")
    teacher = teacher_of(Path(run), bundle, allow_code, _WITHOUT_TEACHER) if settings.with_teacher else None
    data = open_verification_data(Path(run), bundle, settings, announcer)
    description = _describe(bundle, Path(run), settings)
    with announcer.working("exporting"):
        made = _make(bundle, teacher, data, settings, description)
    report = compare(
        bundle,
        made.engines,
        data.verified,
        settings.allowed_drop,
        announcer,
        teacher,
        allowed_levels=settings.allowed_levels,
    )
    report |= {"data": data.data, "description": data.description}
    report |= {"format": settings.format, "precision": description.precision}
    report["size_bytes"] = {name: len(content) for name, content in made.files.items()}
    if not report["passed"]:
        raise _refused(folder, report)
    _write(folder, made.files, description, report)
    return ExportResult(folder=folder, report=report)


def is_current(run: Path, folder: Path) -> bool:
    """Whether a folder holds ONNX graphs of the bundle as it is now.

    Raises:
        CheckpointError: If there is no bundle.
    """
    if not (folder / DESCRIPTION).is_file():
        return False
    try:
        description = read_export(folder)
    except CheckpointError:
        return False
    return description.engine == "onnx" and description.bundle == _digest(run)


def _digest(run: Path) -> str:
    digest = hashlib.sha256()
    for name in BUNDLE_FILES:
        digest.update(hashlib.sha256((bundle_folder(run) / name).read_bytes()).digest())
    return digest.hexdigest()


def _check_output(folder: Path, overwrite: bool) -> None:
    with storage_errors(folder):
        if not folder.exists() or (folder.is_dir() and {file.name for file in folder.iterdir()} <= {REPORT}):
            return  # nothing, or what a failed gate left
        if not (folder / DESCRIPTION).is_file():
            raise ConfigError(f"output: {folder} holds something that is no export; give another --output")
    if not overwrite:
        raise ConfigError(f"output: {folder} exists; give --overwrite to replace it, or another --output")


def _describe(bundle: ThumbNet, run: Path, settings: ExportSettings) -> ExportDescription:
    return ExportDescription(
        labels=bundle.labels,
        image_side=bundle.image_side,
        thumbnail_side=bundle.thumbnail_side,
        multilabel=bundle.description.multilabel,
        preprocessing=bundle.description.preprocessing,
        precision="int8" if settings.int8 else "float",
        opset=OPSET if settings.format == "onnx" else None,
        versions={name: version(name) for name in ("thumbnet", "torch", *_NEEDED[settings.format])},
        bundle=_digest(run),
        engine=settings.format,
    )


def _make(
    bundle: ThumbNet,
    teacher: nn.Module | None,
    data: VerificationData,
    settings: ExportSettings,
    description: ExportDescription,
) -> Made:
    calibration = data.calibration if settings.int8 else None
    if settings.format == "onnx":
        return onnx_format.make(bundle, teacher, calibration, description)
    if settings.format == "openvino":
        return openvino_format.make(bundle, calibration)
    if settings.format == "executorch":
        return executorch_format.make(bundle)
    return torch_export_format.make(bundle)


def _refused(folder: Path, report: dict[str, Any]) -> ExportError:
    """Leaves the report; beside an older export, which stays."""
    place = folder / (REPORT_BESIDE if (folder / DESCRIPTION).exists() else REPORT)
    write_json(place, report)
    problems = "; ".join(report["problems"])
    return ExportError(f"the export is not written: {problems}; see {place}")


def _write(folder: Path, files: dict[str, bytes], description: ExportDescription, report: dict[str, Any]) -> None:
    place = folder.resolve()
    with storage_errors(folder):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as temporary:
            made = Path(temporary) / "made"
            for name, content in files.items():
                write_atomically(made / name, content)
            write_json(made / DESCRIPTION, description.as_dict())
            write_json(made / REPORT, report)
            if place.exists():
                place.rename(Path(temporary) / "old")
            shutil.move(made, place)
