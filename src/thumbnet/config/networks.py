"""Settings of the networks: downscaler, student and feature mapping."""

from dataclasses import dataclass
from typing import Literal, get_args

from thumbnet.config.checks import require

DownscalerKind = Literal["paper", "residual", "bicubic", "area", "lanczos"]
FIXED_DOWNSCALERS: tuple[str, ...] = ("bicubic", "area", "lanczos")


@dataclass(frozen=True, kw_only=True)
class DownscalerSettings:
    """The network E that makes the thumbnail.

    Attributes:
        kind: `residual` adds a learned correction to a bicubic thumbnail; `paper` is the paper's two layers alone;
            `bicubic`, `area` and `lanczos` are fixed filters with antialiasing.
        channels: Hidden channels of the two learned layers; must be more than 3.
    """

    kind: DownscalerKind = "residual"
    channels: int = 16

    def __post_init__(self) -> None:
        kinds = get_args(DownscalerKind)
        require(self.kind in kinds, "downscaler.kind", self.kind, f"one of {', '.join(kinds)}")
        require(self.channels > 3, "downscaler.channels", self.channels, "more than 3")


@dataclass(frozen=True, kw_only=True)
class StudentSettings:
    """How the copy of the teacher is fitted to the thumbnail.

    Attributes:
        keep_stem_resolution: Give the first strided layer stride 1: same weights, same thumbnail, features twice as
            fine, about 3.6 times the compute.
        keep_stride: Give the strided layer of this number stride 1 instead (1 is the first, as `keep_stem_resolution`):
            only what comes after it becomes finer, so a later one costs less.
        dilate_last_stage: Give the last strided layer stride 1 and dilate what follows it, so that the last stage keeps
            its field of view: features twice as fine in the last stage alone.
    """

    keep_stem_resolution: bool = False
    keep_stride: int | None = None
    dilate_last_stage: bool = False

    def __post_init__(self) -> None:
        counted = self.keep_stride is None or self.keep_stride >= 1
        require(counted, "student.keep_stride", self.keep_stride, "1 (the first strided layer) or more")
        given = (self.keep_stem_resolution, self.keep_stride is not None, self.dilate_last_stage)
        alone = "given alone, without keep_stride or dilate_last_stage"
        require(sum(given) <= 1 or not given[0], "student.keep_stem_resolution", True, alone)
        require(not all(given[1:]), "student.keep_stride", self.keep_stride, "given without dilate_last_stage")


@dataclass(frozen=True, kw_only=True)
class FeatureMappingSettings:
    """Where the student's features are compared with the teacher's.

    Attributes:
        layers: Names of the layers, as in `teacher.named_modules()`; by default the end of the last stage.
        channels: Most hidden channels a decoder may use.
    """

    layers: tuple[str, ...] | None = None
    channels: int = 256

    def __post_init__(self) -> None:
        require(self.layers is None or len(self.layers) > 0, "feature_mapping.layers", "empty", "names of layers")
        require(self.channels >= 1, "feature_mapping.channels", self.channels, "1 or more")
