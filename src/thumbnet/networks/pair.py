"""E and S together: what is trained, and what ships."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thumbnet.data.preprocessing import denormalise, normalise
from thumbnet.networks.downscaler import to_8bit
from thumbnet.networks.feature_mapping import FeatureMapping
from thumbnet.networks.multi_resolution import OtherSides
from thumbnet.networks.taps import DETAIL, Features, TappedNetwork


class PairOutput(NamedTuple):
    """What one pass of E and S gives.

    Attributes:
        thumbnail: In [0, 1], on the 8-bit grid unless the pair trains without it; of a downscaler that gives more than
            a picture, the picture alone.
        logits: The student's.
        features: The student's tapped features, by layer.
        decoded: The same at the teacher's size.
        other_logits: The student's at other sides, in training where it has any.
        detail: What the student's detail decoder makes of the thumbnail, about in [0, 1]; None where it has none.
    """

    thumbnail: Tensor
    logits: Tensor
    features: Features
    decoded: Features
    other_logits: tuple[Tensor, ...] = ()
    detail: Tensor | None = None


class Pair(nn.Module):
    """Image to 8-bit thumbnail to logits.

    Args:
        downscaler: E.
        student: S with its taps.
        feature_mapping: Decoders of the tapped features; training only.
        mean: Of S's normalisation, for every channel that S takes.
        std: Of S's normalisation.
        other_sides: S at other sides; training only.
        frozen_downscaler: E is not trained: no gradients, and eval mode whatever `train` is called with.
        eight_bit: Whether S trains on rounded thumbnails; in eval mode every thumbnail is rounded.
    """

    def __init__(
        self,
        downscaler: nn.Module,
        student: TappedNetwork,
        feature_mapping: FeatureMapping,
        mean: Sequence[float],
        std: Sequence[float],
        other_sides: OtherSides | None = None,
        *,
        frozen_downscaler: bool = False,
        eight_bit: bool = True,
    ) -> None:
        super().__init__()
        self.downscaler = downscaler
        self.student = student
        self.feature_mapping = feature_mapping
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.other_sides = other_sides
        self.eight_bit = eight_bit
        self.frozen_downscaler = frozen_downscaler
        if frozen_downscaler:
            downscaler.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "Pair":
        """As for every module, but a frozen downscaler keeps its batch norm's statistics."""
        super().train(mode)
        if self.frozen_downscaler:
            self.downscaler.eval()
        return self

    @property
    def trained_parts(self) -> tuple[nn.Module, ...]:
        """The modules that training changes."""
        own = () if self.frozen_downscaler else (self.downscaler,)
        others = () if self.other_sides is None else (self.other_sides,)
        return (*own, self.student, self.feature_mapping, *others)

    def forward(
        self, image: Float[Tensor, "batch 3 height width"], stored: Callable[[Tensor], Tensor] | None = None
    ) -> PairOutput:
        """Image values in [0, 1] to everything that a loss may look at.

        Args:
            image: What E sees.
            stored: What becomes of a thumbnail between E and S, such as compression; by default nothing.
        """
        # The 8-bit grid is finer than bfloat16: the thumbnail is made in full precision.
        with torch.autocast(image.device.type, enabled=False):
            thumbnail = self.downscaler(image.float())
            if self.eight_bit or not self.training:
                thumbnail = to_8bit(thumbnail)
            if stored is not None:
                thumbnail = stored(thumbnail)
        logits, features = self.student(normalise(thumbnail, self.mean, self.std))
        others: tuple[Tensor, ...] = ()
        if self.training and self.other_sides is not None:
            others = self.other_sides(self.student.network, image)
        decoded, detail = self.feature_mapping(features), features.pop(DETAIL, None)
        if detail is not None:
            detail = denormalise(detail, self.mean, self.std)
        return PairOutput(thumbnail[:, :3], logits, features, decoded, others, detail)
