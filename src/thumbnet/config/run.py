"""All settings of a training run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any, Literal, get_args, get_type_hints

from thumbnet.config.checks import require
from thumbnet.config.data import CacheSettings, ColumnSettings, MixSettings, ViewSettings
from thumbnet.config.losses import LossSettings, OptimizerSettings
from thumbnet.config.networks import (
    DownscalerSettings,
    DownscalerStart,
    FeatureMappingSettings,
    StudentSettings,
    check_ratio,
)
from thumbnet.config.thumbnail import ThumbnailSettings
from thumbnet.errors import ConfigError

MINIMUM_RATIO, MAXIMUM_RATIO = 1, 8
# What AdamW takes where S's features are as fine as T's, and the most that it takes by default (decision 0017).
LR_AS_FINE, LARGEST_LR = 2.5e-4, 1e-3
# How many times coarser than T's S's features may be and still be near them, and what `em` weighs then and further away
# (decision 0020).
NEAR, EM_NEAR, EM_FAR = 2.0, 2.0, 10.0
# Fine-tuning a teacher has no thumbnail, no second network and no second look at a view.
UNUSED_BY_TEACHERS: tuple[str, ...] = ("ratio", "downscaler", "student", "feature_mapping", "cache", "views.per_image")
UNUSED_BY_TEACHERS += ("thumbnail", "views.cached_flips", "unlabelled", "teacher_classes")
UNUSED_BY_TEACHERS += ("loss.mm", "loss.cl", "loss.kd", "loss.fm", "loss.em", "loss.temperature")
UNUSED_BY_TEACHERS += ("loss.dm", "loss.pm", "mix.mixed_views")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Train a downscaler and a student from a frozen teacher.

    Attributes:
        teacher: `timm/NAME`, `torchvision/NAME`, `hf/NAME` (or a folder with a Hugging Face model), or
            `package.module:factory` returning any `torch.nn.Module`.
        data: A folder of pictures (`train/<class>/*` and `val/<class>/*`, or one folder of classes); a `.csv` or
            `.parquet` table; WebDataset shards (`shards/*.tar`); `hf/NAME`, a Hugging Face data set; or `elpv`
            (`elpv-fold0` to `elpv-fold3` hold out each quarter).
        output: The run folder to create.
        evaluation_data: Where the pictures to evaluate on are, if not in `data`.
        teacher_weights: `pretrained`, a `.safetensors` or `.pth` file, or `random` (for tests).
        ratio: Downscale factor per side, 2 to 8; 4 means 16 times fewer pixels. 1 keeps the full size, for comparison:
            the thumbnail is the image.
        image_side: Side of the teacher's input, px; by default the teacher's own.
        epochs: Passes over the training pictures.
        evaluate_every: Epochs between evaluations on the held-out pictures; the last epoch is always evaluated.
        batch_size: Pictures per optimiser step.
        lr: Peak learning rate; by default 0.00025 for each time that the student's features are coarser than the
            teacher's, at most 0.001: 0.001 at ratio 4, half of it at ratio 2 or with twice finer features. A pruned
            student, or one of another network or random weights, takes 0.001.
        workers: Processes that read pictures; by default one less than the processor's cores, at most 8.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        sync_batchnorm: With several processes, batch norm sees the whole batch and not each process's share of it.
        compile: Compile the networks with `torch.compile`: a slow start, then faster steps.
        seed: Seed of views, order and new weights.
        holdout: Share of each class held out for evaluation when the folder has no splits of its own.
        multilabel: A picture may have any number of labels, each a yes or no.
        unlabelled: The pictures have no labels: the teacher's word alone is learned from, and `loss.cl` is 0.
        class_map: A text file with the name of one class a line, in the order of the teacher's outputs.
        teacher_classes: `all` keeps every output of the teacher; `data` keeps those of the data's classes, so that a
            teacher of a thousand classes teaches, and its student has, only the ten that are wanted.
        streaming: Read the training pictures in passing, without a list of them: for data too large to open.
        steps_per_epoch: Optimiser steps in an epoch of streamed data.
        allow_unreadable: Largest share of unreadable pictures to go on with.
        checkpoint_minutes: Minutes between checkpoints within an epoch; one is always written at its end.
        tracker: `none`, or a tracker that Accelerate knows: `tensorboard`, `wandb`, `mlflow`, `trackio`.
        loss: Losses and their weights.
        downscaler: The network that makes the thumbnail.
        thumbnail: What a thumbnail goes through on its way to the student.
        student: The network that classifies it.
        feature_mapping: Where the student's features meet the teacher's.
        columns: Where a table or data set keeps pictures and labels.
        views: Random views of each picture.
        mix: Mixing of pictures.
        optimizer: Optimiser, schedule and precision.
        cache: Teacher answers kept on disk.
    """

    teacher: str
    data: str
    output: str
    evaluation_data: str | None = None
    teacher_weights: str = "pretrained"
    ratio: int = 4
    image_side: int | None = None
    epochs: int = 30
    evaluate_every: int = 1
    batch_size: int = 32
    lr: float | None = None
    workers: int | None = None
    device: str = "auto"
    sync_batchnorm: bool = True
    compile: bool = False
    seed: int = 0
    holdout: float | None = None
    multilabel: bool = False
    unlabelled: bool = False
    class_map: str | None = None
    teacher_classes: Literal["all", "data"] = "all"
    streaming: bool = False
    steps_per_epoch: int | None = None
    allow_unreadable: float = 0.01
    checkpoint_minutes: float = 10.0
    tracker: str = "none"
    loss: LossSettings = LossSettings()
    downscaler: DownscalerSettings = DownscalerSettings()
    thumbnail: ThumbnailSettings = ThumbnailSettings()
    student: StudentSettings = StudentSettings()
    feature_mapping: FeatureMappingSettings = FeatureMappingSettings()
    columns: ColumnSettings = ColumnSettings()
    views: ViewSettings = ViewSettings()
    mix: MixSettings = MixSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    cache: CacheSettings = CacheSettings()

    def __post_init__(self) -> None:
        if self.unlabelled:
            object.__setattr__(self, "loss", replace(self.loss, cl=0.0))
        allowed = f"a whole number from {MINIMUM_RATIO} to {MAXIMUM_RATIO}"
        require(
            isinstance(self.ratio, int) and MINIMUM_RATIO <= self.ratio <= MAXIMUM_RATIO, "ratio", self.ratio, allowed
        )
        require(self.image_side is None or self.image_side >= 1, "image_side", self.image_side, "1 or more")
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        require(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        require(self.evaluate_every >= 1, "evaluate_every", self.evaluate_every, "1 (every epoch) or more")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        require(self.lr is None or (isfinite(self.lr) and self.lr > 0), "lr", self.lr, "more than 0")
        require(self.workers is None or self.workers >= 0, "workers", self.workers, "0 or more")
        require(self.holdout is None or 0 < self.holdout < 1, "holdout", self.holdout, "between 0 and 1, e.g. 0.2")
        require(0 <= self.allow_unreadable <= 1, "allow_unreadable", self.allow_unreadable, "a share from 0 to 1")
        require(self.checkpoint_minutes > 0, "checkpoint_minutes", self.checkpoint_minutes, "more than 0")
        divides = self.batch_size % self.optimizer.accumulation_steps == 0
        needed = f"a divisor of batch_size ({self.batch_size})"
        require(divides, "optimizer.accumulation_steps", self.optimizer.accumulation_steps, needed)

        self._check_together()

    @property
    def peak_lr(self) -> float:
        """`lr`, or its default: the further S's features are from T's, the more S has to learn anew."""
        if self.lr is not None:
            return self.lr
        if not self.student.copies_teacher:
            return LARGEST_LR
        return min(LARGEST_LR, LR_AS_FINE * self.coarser)

    @property
    def coarser(self) -> float:
        """How many times coarser, a side, S's features are than T's; at least 1."""
        student = self.student
        return 1.0 if student.upsample else max(1.0, self.ratio / (2 if student.twice_as_fine else 1))

    @property
    def loss_weights(self) -> LossSettings:
        """`loss`, with `em` at its default where it is not given."""
        if self.loss.em is not None:
            return self.loss
        far = self.coarser > NEAR and self.student.copies_teacher
        return replace(self.loss, em=EM_FAR if far else EM_NEAR)

    @property
    def downscaler_start(self) -> DownscalerStart:
        """`downscaler.start`, or its default: `detail` where a trained first layer can learn to read it (0019)."""
        if self.downscaler.start is not None:
            return self.downscaler.start
        student, chosen = self.student, self.downscaler
        learned = chosen.kind == "residual" and chosen.weights is None and not self.thumbnail.codec_noise
        whole = student.weights != "random" and not (student.prune or student.extra_ratios)
        reads = student.finer_first_layer and student.trainable == "all" and student.detail_steps > 0
        return "detail" if learned and whole and reads and self.ratio > 1 else "natural"

    def _check_together(self) -> None:
        """What is right alone, and wrong beside another setting."""
        check_ratio(self.downscaler, self.ratio)
        pictures = not (self.thumbnail.codec_noise and self.downscaler.kind == "all_information")
        needed = "0 with downscaler.kind all_information: it makes no picture to compress"
        require(pictures, "thumbnail.codec_noise", self.thumbnail.codec_noise, needed)
        others = list(self.student.extra_ratios)
        require(self.ratio not in others, "student.extra_ratios", others, f"others than ratio {self.ratio}")
        bound, beside = self.downscaler.kind == "all_information", "with downscaler.kind all_information"
        allowed = f"left out {beside}, whose channels are those of one ratio"
        require(not (bound and others), "student.extra_ratios", others, allowed)
        read = not self.student.detail_decoder or (self.ratio > 2 and not bound)
        allowed = "given with ratio 3 or more, and a downscaler that makes a picture"
        require(read, "student.detail_decoder", True, allowed)
        finer = self.student.finer_first_layer and self.ratio > 1 and not self.student.prune
        allowed = "given with student.keep_stem_resolution and ratio 2 or more, without student.prune"
        require(self.downscaler.start != "detail" or finer, "downscaler.start", "detail", allowed)
        require(not (self.multilabel and self.unlabelled), "multilabel", True, "given without --unlabelled")
        known = self.teacher_classes in ("all", "data")
        require(known, "teacher_classes", self.teacher_classes, "all or data")
        cut = self.teacher_classes == "data"
        require(not (cut and self.class_map), "teacher_classes", "data", "all with --class-map: it names every output")
        require(not (cut and self.unlabelled), "teacher_classes", "data", "all with --unlabelled: there are no classes")
        listed = not (self.streaming and self.views.per_image)
        require(listed, "views.per_image", self.views.per_image, "0 with --streaming: fixed views need a list")
        fixed = self.mix.mixed_views <= self.views.per_image
        allowed = f"at most views.per_image ({self.views.per_image})"
        require(fixed, "mix.mixed_views", self.mix.mixed_views, allowed)
        steps = self.steps_per_epoch is None or self.steps_per_epoch >= 1
        require(steps, "steps_per_epoch", self.steps_per_epoch, "1 or more")
        counted = self.streaming == (self.steps_per_epoch is not None)
        require(counted, "steps_per_epoch", self.steps_per_epoch, "given with --streaming, and only then")

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, ready for YAML."""
        return _plain(asdict(self))


_GROUPS: dict[str, type] = {
    "loss": LossSettings,
    "downscaler": DownscalerSettings,
    "thumbnail": ThumbnailSettings,
    "student": StudentSettings,
    "feature_mapping": FeatureMappingSettings,
    "columns": ColumnSettings,
    "views": ViewSettings,
    "mix": MixSettings,
    "optimizer": OptimizerSettings,
    "cache": CacheSettings,
}


def settings_from_dict(values: Mapping[str, Any]) -> TrainSettings:
    """The settings that `TrainSettings.as_dict` wrote.

    Raises:
        ConfigError: If a key is unknown or missing, or a value is out of range.
    """
    try:
        _check_numbers(TrainSettings, values, "")
        for name, kind in _GROUPS.items():
            _check_numbers(kind, values.get(name) or {}, f"{name}.")
        groups = {name: kind(**_tuples(values[name] or {})) for name, kind in _GROUPS.items() if name in values}
        return TrainSettings(**{**_tuples(values), **groups})
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"settings: {error}; see `thumbnet train --help` for every setting") from error


def _check_numbers(kind: type, values: Mapping[str, Any], group: str) -> None:
    """Refuses words where numbers belong, by the setting's name; ranges are the settings' own business."""
    hints = get_type_hints(kind)
    for name, value in values.items():
        wanted = {*get_args(hints.get(name))} or {hints.get(name)}
        if isinstance(value, str) and wanted & {int, float} and str not in wanted:
            raise ConfigError(f"{group}{name} is {value}, but must be a number")


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
