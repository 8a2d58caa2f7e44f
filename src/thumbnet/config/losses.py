"""Settings of the losses and of the optimiser that minimises them."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from thumbnet.config.checks import require


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """The weight of each loss (0 leaves it out), and what shapes it.

    Attributes:
        mm: Weight of moment matching between thumbnail and image.
        cl: Weight of classification: cross-entropy with the label.
        kd: Weight of knowledge distillation from the teacher's logits.
        fm: Weight of feature mapping onto the teacher's features.
        em: Weight of embedding matching: what the student's last layer sees is what the teacher's sees. By default 2,
            and 10 where the teacher's copy has features more than twice as coarse as the teacher's.
        dm: Weight of detail matching, with `student.detail_decoder`: what it decodes is the image at its size.
        pm: Weight of pixel matching, where detail is hidden (`student.keep_stem_resolution` by default,
            `student.detail_decoder`): the thumbnail is the image at its size.
        temperature: Softmax temperature of knowledge distillation.
        label_smoothing: Share of the label spread over all classes in the classification loss, 0 to 1.
    """

    mm: float = 100.0
    cl: float = 1.0
    kd: float = 1.0
    fm: float = 0.5
    em: float | None = None
    dm: float = 100.0
    pm: float = 20.0
    temperature: float = 2.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("mm", "cl", "kd", "fm", "em", "dm", "pm"):
            weight = getattr(self, name)
            left_out = name == "em" and weight is None
            require(left_out or (isfinite(weight) and weight >= 0), f"loss.{name}", weight, "0 or more")
        require(self.temperature > 0, "loss.temperature", self.temperature, "more than 0")
        require(0 <= self.label_smoothing < 1, "loss.label_smoothing", self.label_smoothing, "at least 0, less than 1")


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
        require(self.weight_decay >= 0, "optimizer.weight_decay", self.weight_decay, "0 or more")
        require(0 <= self.warmup_share < 1, "optimizer.warmup_share", self.warmup_share, "at least 0, less than 1")
        require(
            self.downscaler_lr_factor > 0, "optimizer.downscaler_lr_factor", self.downscaler_lr_factor, "more than 0"
        )
        require(self.clip_grad_norm >= 0, "optimizer.clip_grad_norm", self.clip_grad_norm, "0 or more")
        require(0 <= self.ema_decay < 1, "optimizer.ema_decay", self.ema_decay, "at least 0, less than 1")
        require(self.accumulation_steps >= 1, "optimizer.accumulation_steps", self.accumulation_steps, "1 or more")
