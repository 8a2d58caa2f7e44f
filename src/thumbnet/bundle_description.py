"""All of a bundle but its weights: thumbnet.json."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from thumbnet.config import (
    MAXIMUM_RATIO,
    MINIMUM_RATIO,
    DownscalerSettings,
    StudentSettings,
    check_ratio,
    hides_detail,
    student_channels,
)
from thumbnet.data.working_view import Preprocessing
from thumbnet.errors import CheckpointError, ConfigError
from thumbnet.storage import write_json

FORMAT = 1
DESCRIPTION_FILE = "thumbnet.json"


@dataclass(frozen=True, kw_only=True)
class BundleDescription:
    """All of a bundle but its weights.

    Attributes:
        architecture: The student's name, most often the teacher's, as for `build_classifier`.
        labels: Names of the classes, in the order of the outputs.
        ratio: Downscale factor per side.
        preprocessing: How the downscaler wants its pictures.
        downscaler: What E is.
        student: How S was fitted to the thumbnail.
        multilabel: Whether a picture may have any number of labels, each a yes or no.
        config: Of a model of `transformers`, so that the bundle needs neither the hub nor the teacher's folder.
        reparameterised: Whether S's branches for training are fused.
        student_mean: Of S's normalisation, where it is not the preprocessing's.
        student_std: The same.
        pruned: Shape of every weight of S by name, as trained, where S is pruned.
    """

    architecture: str
    labels: tuple[str, ...]
    ratio: int
    preprocessing: Preprocessing
    downscaler: DownscalerSettings
    student: StudentSettings
    multilabel: bool = False
    config: dict[str, Any] | None = None
    reparameterised: bool = False
    student_mean: tuple[float, float, float] | None = None
    student_std: tuple[float, float, float] | None = None
    pruned: dict[str, list[int]] | None = None

    @property
    def student_preprocessing(self) -> Preprocessing:
        """The preprocessing with S's own mean and standard deviation."""
        mean, std = self.student_mean or self.preprocessing.mean, self.student_std or self.preprocessing.std
        return replace(self.preprocessing, mean=mean, std=std)

    def __post_init__(self) -> None:
        if not isinstance(self.architecture, str) or not all(isinstance(label, str) for label in self.labels):
            raise ConfigError("architecture and labels must be text")
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise ConfigError("labels must be two or more different names")
        if not isinstance(self.ratio, int) or not MINIMUM_RATIO <= self.ratio <= MAXIMUM_RATIO:
            raise ConfigError(f"ratio is {self.ratio}, but must be from {MINIMUM_RATIO} to {MAXIMUM_RATIO}")
        check_ratio(self.downscaler, self.ratio)
        if not isinstance(self.multilabel, bool):
            raise ConfigError(f"multilabel is {self.multilabel}, but must be true or false")
        if self.config is not None and not _is_model_config(self.config):
            raise ConfigError("config must hold a model_type and a number of num_labels")
        if self.preprocessing.image_side % self.ratio:
            raise ConfigError(f"ratio {self.ratio} does not divide image_side {self.preprocessing.image_side}")
        if self.pruned is not None and not _is_shapes(self.pruned):
            raise ConfigError("pruned must hold a shape in whole numbers for each weight")
        _ = self.student_preprocessing  # it is refused where its numbers are

    @property
    def hides_detail(self) -> bool:
        """Whether thumbnails hold detail that the student reads and lossy compression takes away."""
        return hides_detail(self.downscaler, self.student)

    @property
    def student_channels(self) -> int:
        """Channels of what the student takes: 3, and more where that is no picture."""
        return student_channels(self.downscaler, self.ratio)


def bundle_folder(path: Path) -> Path:
    """The bundle's own folder, of a run folder or of itself."""
    return path if (path / DESCRIPTION_FILE).exists() else path / "bundle"


def _is_model_config(config: Any) -> bool:
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        return False
    return isinstance(config.get("num_labels"), int)


def _is_shapes(shapes: Any) -> bool:
    if not isinstance(shapes, dict):
        return False
    return all(isinstance(shape, list) and all(isinstance(size, int) for size in shape) for shape in shapes.values())


def write_description(folder: Path, description: BundleDescription) -> None:
    """Writes thumbnet.json, atomically."""
    write_json(folder / DESCRIPTION_FILE, {"format": FORMAT, **_plain(description)})


def _plain(description: BundleDescription) -> dict[str, Any]:
    chosen = description.downscaler.shipped()
    downscaler: dict[str, Any] = {"kind": chosen.kind, "channels": chosen.channels}
    if chosen.hides:
        downscaler["start"] = "detail"
    return {**asdict(description), "downscaler": downscaler}


def read_description(folder: Path, asked: Path) -> BundleDescription:
    """Reads thumbnet.json.

    Args:
        folder: The bundle's.
        asked: The path that the user gave, for the message.

    Raises:
        CheckpointError: If there is none, or it is damaged.
    """
    file = folder / DESCRIPTION_FILE
    if not file.exists():
        raise CheckpointError(
            f"no bundle in {asked} (no {DESCRIPTION_FILE}); give a finished run's folder, or train one first"
        )
    try:
        content: dict[str, Any] = json.loads(file.read_text())
        if content["format"] != FORMAT:
            raise CheckpointError(
                f"{file} has format {content['format']}, this version reads {FORMAT}; update thumbnet"
            )
        stored: dict[str, Any] = content["preprocessing"]
        preprocessing = Preprocessing(**{**stored, "mean": tuple(stored["mean"]), "std": tuple(stored["std"])})
        return BundleDescription(
            architecture=content["architecture"],
            labels=tuple(content["labels"]),
            ratio=content["ratio"],
            preprocessing=preprocessing,
            downscaler=DownscalerSettings(**content["downscaler"]),
            student=StudentSettings(**{**content["student"], "extra_ratios": ()}),
            multilabel=content.get("multilabel", False),
            config=content.get("config"),
            reparameterised=bool(content.get("reparameterised", False)),
            student_mean=tuple(mean) if (mean := content.get("student_mean")) else None,
            student_std=tuple(std) if (std := content.get("student_std")) else None,
            pruned=content.get("pruned"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise CheckpointError(f"{file} is damaged ({error}); copy the bundle again") from error
