"""Every setting of a training run, its default and its checks.

Knows values only: no torch, no files, no networks. The same dataclasses are the Python API, the command-line flags
(`--lr 0.001`, `--loss.kd 2.0`) and the YAML recipe, so a setting has one name everywhere.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal, get_args

from thumbnet.errors import ConfigError

DownscalerKind = Literal["paper", "residual", "bicubic", "area", "lanczos"]
FIXED_DOWNSCALERS: tuple[str, ...] = ("bicubic", "area", "lanczos")
MINIMUM_RATIO, MAXIMUM_RATIO = 2, 8
# Fine-tuning a teacher has no thumbnail, no second network and no second look at a view.
UNUSED_BY_TEACHERS: tuple[str, ...] = ("ratio", "downscaler", "student", "feature_mapping", "cache", "views.per_image")
UNUSED_BY_TEACHERS += ("loss.mm", "loss.cl", "loss.kd", "loss.fm", "loss.temperature")


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value}, but must be {allowed}")


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """The weight of each loss (0 leaves it out), and what shapes it.

    Attributes:
        mm: Weight of moment matching between thumbnail and image.
        cl: Weight of classification: cross-entropy with the label.
        kd: Weight of knowledge distillation from the teacher's logits.
        fm: Weight of feature mapping onto the teacher's features.
        temperature: Softmax temperature of knowledge distillation.
        label_smoothing: Share of the label spread over all classes in the classification loss, 0 to 1.
    """

    mm: float = 1.0
    cl: float = 1.0
    kd: float = 1.0
    fm: float = 0.5
    temperature: float = 2.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("mm", "cl", "kd", "fm"):
            weight = getattr(self, name)
            _require(isfinite(weight) and weight >= 0, f"loss.{name}", weight, "0 or more")
        _require(self.temperature > 0, "loss.temperature", self.temperature, "more than 0")
        _require(0 <= self.label_smoothing < 1, "loss.label_smoothing", self.label_smoothing, "at least 0, less than 1")


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
        _require(self.kind in kinds, "downscaler.kind", self.kind, f"one of {', '.join(kinds)}")
        _require(self.channels > 3, "downscaler.channels", self.channels, "more than 3")


@dataclass(frozen=True, kw_only=True)
class StudentSettings:
    """How the copy of the teacher is fitted to the thumbnail.

    Attributes:
        keep_stem_resolution: Give the first strided layer stride 1: same weights, same thumbnail, features twice as
            fine, about 3.6 times the compute.
    """

    keep_stem_resolution: bool = False


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
        _require(self.layers is None or len(self.layers) > 0, "feature_mapping.layers", "empty", "names of layers")
        _require(self.channels >= 1, "feature_mapping.channels", self.channels, "1 or more")


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """The random geometric views that training draws from each picture.

    Attributes:
        per_image: Fixed views per picture, with the teacher's answers kept on disk; 0 draws fresh views every epoch and
            runs the teacher every step.
        scale: Smallest and largest share of the picture's area that a view covers.
        aspect: Smallest and largest width-to-height ratio of that area.
        horizontal_flip: Probability of a left-right flip.
        vertical_flip: Probability of an upside-down flip.
        crop_share: Share of the side that evaluation keeps in its centre crop; by default the teacher's own.
    """

    per_image: int = 0
    scale: tuple[float, float] = (0.5, 1.0)
    aspect: tuple[float, float] = (0.8, 1.25)
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    crop_share: float | None = None

    def __post_init__(self) -> None:
        _require(self.per_image >= 0, "views.per_image", self.per_image, "0 (fresh views) or more")
        rising = len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1] <= 1
        _require(rising, "views.scale", self.scale, "two rising shares of the area, e.g. [0.5, 1.0]")
        rising = len(self.aspect) == 2 and 0 < self.aspect[0] <= self.aspect[1]
        _require(rising, "views.aspect", self.aspect, "two rising ratios, e.g. [0.8, 1.25]")
        for name in ("horizontal_flip", "vertical_flip"):
            _require(0 <= getattr(self, name) <= 1, f"views.{name}", getattr(self, name), "a probability from 0 to 1")
        crops = self.crop_share is None or 0 < self.crop_share <= 1
        _require(crops, "views.crop_share", self.crop_share, "more than 0, at most 1")


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """AdamW and its schedule: linear warm-up, then a cosine to zero.

    Attributes:
        weight_decay: Decoupled weight decay of weight matrices (biases and norms have none).
        warmup_share: Share of all steps spent warming up.
        downscaler_lr_factor: The downscaler's learning rate as a multiple of `lr`.
        clip_grad_norm: Largest gradient norm; 0 turns clipping off.
        ema_decay: Decay of the moving average of the weights that is evaluated and shipped; 0 turns it off.
        accumulation_steps: Micro-batches that a batch is computed in, to fit memory; must divide `batch_size`.
        mixed_precision: `auto` takes bfloat16 where the accelerator has it and full precision elsewhere.
    """

    weight_decay: float = 0.05
    warmup_share: float = 0.1
    downscaler_lr_factor: float = 1.0
    clip_grad_norm: float = 5.0
    ema_decay: float = 0.99
    accumulation_steps: int = 1
    mixed_precision: Literal["auto", "no", "bf16"] = "auto"

    def __post_init__(self) -> None:
        _require(self.weight_decay >= 0, "optimizer.weight_decay", self.weight_decay, "0 or more")
        _require(0 <= self.warmup_share < 1, "optimizer.warmup_share", self.warmup_share, "at least 0, less than 1")
        _require(
            self.downscaler_lr_factor > 0, "optimizer.downscaler_lr_factor", self.downscaler_lr_factor, "more than 0"
        )
        _require(self.clip_grad_norm >= 0, "optimizer.clip_grad_norm", self.clip_grad_norm, "0 or more")
        _require(0 <= self.ema_decay < 1, "optimizer.ema_decay", self.ema_decay, "at least 0, less than 1")
        _require(self.accumulation_steps >= 1, "optimizer.accumulation_steps", self.accumulation_steps, "1 or more")


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """The teacher cache on disk, in use when `views.per_image` is more than 0.

    Attributes:
        folder: Where teacher outputs are kept between runs; by default `thumbnet` in the user's cache folder.
        limit_gb: Most disk space that folder may take, in 10⁹ bytes; the least recently used answers make way.
        pixels: Keep each view's pixels too, so that later epochs read no pictures either.
    """

    folder: str | None = None
    limit_gb: float = 20.0
    pixels: bool = True

    def __post_init__(self) -> None:
        _require(self.limit_gb > 0, "cache.limit_gb", self.limit_gb, "more than 0")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Train a downscaler and a student from a frozen teacher.

    Attributes:
        teacher: `timm/NAME`, `torchvision/NAME`, or `package.module:factory` returning any `torch.nn.Module`.
        data: A folder of pictures (`train/<class>/*` and `val/<class>/*`, or one folder of classes), or `elpv`.
        output: The run folder to create.
        teacher_weights: `pretrained`, a `.safetensors` or `.pth` file, or `random` (for tests).
        ratio: Downscale factor per side, 2 to 8; 4 means 16 times fewer pixels.
        image_side: Side of the teacher's input, px; by default the teacher's own.
        epochs: Passes over the training pictures.
        batch_size: Pictures per optimiser step.
        lr: Peak learning rate.
        workers: Processes that read pictures; by default one less than the processor's cores, at most 8.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        seed: Seed of views, order and new weights.
        holdout: Share of each class held out for evaluation when the folder has no splits of its own.
        allow_unreadable: Largest share of unreadable pictures to go on with.
        checkpoint_minutes: Minutes between checkpoints within an epoch; one is always written at its end.
        tracker: `none`, or a tracker that Accelerate knows: `tensorboard`, `wandb`, `mlflow`, `trackio`.
        loss: Losses and their weights.
        downscaler: The network that makes the thumbnail.
        student: The network that classifies it.
        feature_mapping: Where the student's features meet the teacher's.
        views: Random views of each picture.
        optimizer: Optimiser, schedule and precision.
        cache: Teacher answers kept on disk.
    """

    teacher: str
    data: str
    output: str
    teacher_weights: str = "pretrained"
    ratio: int = 4
    image_side: int | None = None
    epochs: int = 30
    batch_size: int = 32
    lr: float = 1e-3
    workers: int | None = None
    device: str = "auto"
    seed: int = 0
    holdout: float | None = None
    allow_unreadable: float = 0.01
    checkpoint_minutes: float = 10.0
    tracker: str = "none"
    loss: LossSettings = LossSettings()
    downscaler: DownscalerSettings = DownscalerSettings()
    student: StudentSettings = StudentSettings()
    feature_mapping: FeatureMappingSettings = FeatureMappingSettings()
    views: ViewSettings = ViewSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    cache: CacheSettings = CacheSettings()

    def __post_init__(self) -> None:
        allowed = f"a whole number from {MINIMUM_RATIO} to {MAXIMUM_RATIO}"
        _require(
            isinstance(self.ratio, int) and MINIMUM_RATIO <= self.ratio <= MAXIMUM_RATIO, "ratio", self.ratio, allowed
        )
        _require(self.image_side is None or self.image_side >= 1, "image_side", self.image_side, "1 or more")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        _require(isfinite(self.lr) and self.lr > 0, "lr", self.lr, "more than 0")
        _require(self.workers is None or self.workers >= 0, "workers", self.workers, "0 or more")
        _require(self.holdout is None or 0 < self.holdout < 1, "holdout", self.holdout, "between 0 and 1, e.g. 0.2")
        _require(0 <= self.allow_unreadable <= 1, "allow_unreadable", self.allow_unreadable, "a share from 0 to 1")
        _require(self.checkpoint_minutes > 0, "checkpoint_minutes", self.checkpoint_minutes, "more than 0")
        divides = self.batch_size % self.optimizer.accumulation_steps == 0
        needed = f"a divisor of batch_size ({self.batch_size})"
        _require(divides, "optimizer.accumulation_steps", self.optimizer.accumulation_steps, needed)

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, ready for YAML."""
        return _plain(asdict(self))


_GROUPS: dict[str, type] = {
    "loss": LossSettings,
    "downscaler": DownscalerSettings,
    "student": StudentSettings,
    "feature_mapping": FeatureMappingSettings,
    "views": ViewSettings,
    "optimizer": OptimizerSettings,
    "cache": CacheSettings,
}


def settings_from_dict(values: Mapping[str, Any]) -> TrainSettings:
    """The settings that `TrainSettings.as_dict` wrote.

    Raises:
        ConfigError: If a key is unknown or missing, or a value is out of range.
    """
    try:
        groups = {name: kind(**_tuples(values[name] or {})) for name, kind in _GROUPS.items() if name in values}
        return TrainSettings(**{**_tuples(values), **groups})
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"settings: {error}; see `thumbnet train --help` for every setting") from error


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with tuples as lists, which is how YAML has them."""
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            plain[key] = _plain(value)
        else:
            plain[key] = list(value) if isinstance(value, tuple) else value
    return plain
