"""Settings of the networks: downscaler, student and feature mapping."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from thumbnet.config.checks import require

DownscalerKind = Literal[
    "paper", "residual", "bicubic", "area", "lanczos", "learned_resizer", "muller", "all_information"
]
DownscalerStart = Literal["natural", "random", "detail"]
FIXED_FILTERS: tuple[str, ...] = ("bicubic", "area", "lanczos")
FIXED_DOWNSCALERS: tuple[str, ...] = (*FIXED_FILTERS, "all_information")
# The kinds whose natural start is something other than what PyTorch draws; MULLER's few numbers have one start only.
STARTED_DOWNSCALERS: tuple[str, ...] = ("paper", "residual", "learned_resizer")
Trainable = Literal["all", "norms_and_head"]
_DETAIL_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class DownscalerSettings:
    """The network E that makes the thumbnail.

    Attributes:
        kind: `residual` adds a learned correction to a bicubic thumbnail; `paper` is the paper's two layers alone;
            `bicubic`, `area` and `lanczos` are fixed filters with antialiasing; `learned_resizer` and `muller` are
            those of other papers, to compare with; `all_information` hands the student every pixel and makes no
            picture: an upper bound, not a thumbnail.
        channels: Hidden channels of `paper`, `residual` and `learned_resizer`; must be more than 3.
        start: `natural` starts a learned kind as a plain thumbnail; `detail` goes on from there before training, with
            `student.keep_stem_resolution`, and hides in the thumbnail what the student's first layer would see of one
            of twice its side; with a fixed filter, which hides nothing, that layer learns to see what it can of it in
            the plain thumbnail; `random` leaves PyTorch's start, to measure what that is worth. By default `residual`
            has `detail` where the student's first layer can read it and thumbnails are not trained for compression,
            and `natural` elsewhere, as the other kinds.
        weights: A run or bundle folder whose trained downscaler, of the same kind, channels and ratio, to begin with.
        frozen: Keep the downscaler of `weights` exactly as it is.
    """

    kind: DownscalerKind = "residual"
    channels: int = 16
    start: DownscalerStart | None = None
    weights: str | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        kinds, starts = get_args(DownscalerKind), get_args(DownscalerStart)
        require(self.kind in kinds, "downscaler.kind", self.kind, f"one of {', '.join(kinds)}")
        require(self.channels > 3, "downscaler.channels", self.channels, "more than 3")
        plain = self.start in (None, "natural")
        require(plain or self.start in starts, "downscaler.start", self.start, f"one of {', '.join(starts)}")
        read = self.start == "detail" and self.kind in FIXED_FILTERS
        started = plain or read or self.kind in STARTED_DOWNSCALERS
        require(started, "downscaler.start", self.start, f"natural with the kind {self.kind}")
        begun = plain or self.weights is None
        require(begun, "downscaler.start", self.start, "left out with downscaler.weights, which are the start")
        learned = self.weights is None or self.kind not in FIXED_DOWNSCALERS
        require(learned, "downscaler.weights", self.weights, f"left out with the kind {self.kind}, which has none")
        require(isinstance(self.frozen, bool), "downscaler.frozen", self.frozen, "true or false")
        known = not self.frozen or self.weights is not None
        require(known, "downscaler.frozen", True, "given with downscaler.weights, which it keeps")

    @property
    def hides(self) -> bool:
        """Whether it starts by hiding detail in the thumbnail; a fixed filter has nothing to hide it with."""
        return self.start == "detail" and self.kind not in FIXED_FILTERS

    def shipped(self) -> "DownscalerSettings":
        """What a bundle says of its downscaler: not how it was begun, unless thumbnails hold something due to that."""
        start: DownscalerStart | None = "detail" if self.hides else None
        return DownscalerSettings(kind=self.kind, channels=self.channels, start=start)


def check_ratio(downscaler: DownscalerSettings, ratio: int) -> None:
    """Refuses ratio 1 with a downscaler that is more than a filter: there is nothing to make smaller.

    Raises:
        ConfigError: Naming the kinds that are allowed.
    """
    allowed = f"one of {', '.join(FIXED_FILTERS)} with ratio 1, where the thumbnail is the image"
    require(ratio != 1 or downscaler.kind in FIXED_FILTERS, "downscaler.kind", downscaler.kind, allowed)


def hides_detail(downscaler: DownscalerSettings, student: "StudentSettings") -> bool:
    """Whether thumbnails hold detail that the student reads and lossy compression takes away."""
    return student.detail_decoder or downscaler.hides


def student_channels(downscaler: DownscalerSettings, ratio: int) -> int:
    """Channels of what the student takes: 3, and with `all_information` 3·ratio² more."""
    return 3 + 3 * ratio**2 if downscaler.kind == "all_information" else 3


@dataclass(frozen=True, kw_only=True)
class StudentSettings:
    """What the student starts from, and how it is fitted to the thumbnail.

    Attributes:
        keep_stem_resolution: Give the first strided layer stride 1: same weights, features twice as fine, about 3.6
            times the compute. The downscaler then hides detail for it by default, in thumbnails that have to be kept
            without loss (`downscaler.start`).
        keep_stride: Give the strided layer of this number stride 1 instead (1 is the first, as `keep_stem_resolution`):
            only what comes after it becomes finer, so a later one costs less.
        dilate_last_stage: Give the last strided layer stride 1 and dilate what follows it, so that the last stage keeps
            its field of view: features twice as fine in the last stage alone.
        detail_decoder: Begin with two learned layers that enlarge the thumbnail to twice its side and read back what
            the downscaler hid in it: features twice as fine, for a tenth more compute than `keep_stem_resolution`.
            For ratios of 3 or more; `loss.dm` is what both learn it from. With `upsample` what they read is enlarged.
        detail_steps: Steps in which the downscaler and the detail decoder, or with the start `detail` the first layer,
            learn that by themselves, before training. With 0 there is no such start by default.
        network: Another architecture than the teacher's, named as `teacher` is; its classes become the teacher's.
        weights: What the student starts from: `pretrained`, `random`, a `.safetensors` or `.pth` file, or the folder of
            a run (its student, or the teacher that it trained); by default the teacher's weights, and with `network`
            `pretrained`.
        trainable: `all`, or `norms_and_head`: everything but the norms and the last layer stays as it started.
        upsample: Enlarge the thumbnail, or what the detail decoder makes of it, to the image side before the student:
            the teacher's whole compute on what the thumbnail holds, which saves pixels and no compute.
        drop_path: Chance that training skips the last residual block of a batch's picture, less in earlier blocks; 0
            leaves the network as its makers have it.
        extra_ratios: Train at these ratios as well, 2 to 8 each: shared weights, batch norms of each side's own, `cl`
            and `kd` averaged over the sides; the side of `ratio` is what is evaluated and shipped.
        prune: Share of the MACs to prune away before training, 0 to 0.95; needs `thumbnet[pruning]`.
    """

    keep_stem_resolution: bool = False
    keep_stride: int | None = None
    dilate_last_stage: bool = False
    detail_decoder: bool = False
    detail_steps: int = _DETAIL_STEPS
    network: str | None = None
    weights: str | None = None
    trainable: Trainable = "all"
    upsample: bool = False
    drop_path: float = 0.0
    extra_ratios: tuple[int, ...] = ()
    prune: float = 0.0

    def __post_init__(self) -> None:
        self._check_finer()
        kinds = get_args(Trainable)
        require(self.trainable in kinds, "student.trainable", self.trainable, f"one of {', '.join(kinds)}")
        require(self.detail_steps >= 0, "student.detail_steps", self.detail_steps, "0 or more")
        require(0 <= self.drop_path < 1, "student.drop_path", self.drop_path, "at least 0, less than 1")
        require(0 <= self.prune <= 0.95, "student.prune", self.prune, "a share of the MACs from 0 to 0.95")
        finer = self.keep_stem_resolution or self.keep_stride is not None or self.dilate_last_stage
        apart = len(set(self.extra_ratios)) == len(self.extra_ratios) and all(2 <= r <= 8 for r in self.extra_ratios)
        require(apart, "student.extra_ratios", list(self.extra_ratios), "different whole numbers from 2 to 8")
        plain = not (self.upsample and self.extra_ratios)
        require(plain, "student.extra_ratios", list(self.extra_ratios), "given without upsample")
        alone = "given without keep_stem_resolution, keep_stride and dilate_last_stage"
        require(not (self.upsample and finer), "student.upsample", self.upsample, alone)
        other = finer or bool(self.extra_ratios) or self.trainable != "all"
        alone = "given without keep_stem_resolution, keep_stride, dilate_last_stage, extra_ratios and trainable"
        require(not (self.detail_decoder and other), "student.detail_decoder", self.detail_decoder, alone)

    @property
    def copies_teacher(self) -> bool:
        """Whether it begins as the teacher's copy, or as one that a run went on with; others have all to learn anew."""
        return self.network is None and self.weights != "random" and not self.prune

    @property
    def finer_first_layer(self) -> bool:
        """Whether the first strided layer loses its stride, and so can learn to read hidden detail."""
        return self.keep_stem_resolution or self.keep_stride == 1

    @property
    def twice_as_fine(self) -> bool:
        """Whether the last features are twice as fine as the thumbnail's side alone would make them."""
        return (
            self.keep_stem_resolution or self.keep_stride is not None or self.dilate_last_stage or self.detail_decoder
        )

    def shipped(self) -> "StudentSettings":
        """What a bundle says of its student: how it is fitted, and nothing of where it came from or how it trained."""
        return replace(
            self,
            network=None,
            weights=None,
            trainable="all",
            drop_path=0.0,
            extra_ratios=(),
            detail_steps=_DETAIL_STEPS,
        )

    def _check_finer(self) -> None:
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
        student_layers: Names of the student's layers, one for each of `layers`, where `student.network` has others; by
            default the same names, or the end of its own last stage.
        channels: Most hidden channels a decoder may use.
    """

    layers: tuple[str, ...] | None = None
    student_layers: tuple[str, ...] | None = None
    channels: int = 256

    def __post_init__(self) -> None:
        require(self.layers is None or len(self.layers) > 0, "feature_mapping.layers", "empty", "names of layers")
        count, wanted = len(self.student_layers or ()), len(self.layers or ("the default",))
        paired = self.student_layers is None or count == wanted
        allowed = f"{wanted} name(s), one for each of feature_mapping.layers"
        require(paired, "feature_mapping.student_layers", f"{count} name(s)", allowed)
        require(self.channels >= 1, "feature_mapping.channels", self.channels, "1 or more")
