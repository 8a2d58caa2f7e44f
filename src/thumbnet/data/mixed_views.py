"""Fixed views that are mixes of two pictures: drawn once, so that the teacher can be asked and its answer is kept.

A mix is a pure function of (seed, number of pictures, position of the picture, view number). The mean of the teacher's
answers to two pictures is not its answer to their mix; here a student learns from the latter.
"""

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from thumbnet.config import MixSettings
from thumbnet.data.labelled import NO_LABEL, Label, Pictures
from thumbnet.data.mixing import Mix, draw_mix

FIXED_MIXES = 2  # sets these draws apart from those of flips and of batches


class MixedViews:
    """Which fixed views are mixes, with which picture, and how: the last views of each picture.

    Args:
        pictures: Those that views are drawn of.
        settings: Which mixes, how many a picture, how strongly and how often.
        fixed_views: Fixed views of each picture, mixes included.
        image_side: Of a view, px.
        seed: The run's seed.
    """

    def __init__(self, pictures: Pictures, settings: MixSettings, fixed_views: int, image_side: int, seed: int) -> None:
        self.pictures = pictures
        self.settings = settings
        self.unmixed = fixed_views - settings.mixed_views
        self.size = torch.empty(3, image_side, image_side)
        self.seed = seed

    def partner(self, index: int, view: int) -> tuple[int, Mix] | None:
        """Position of the picture that is mixed in (never its own), and how; None where the view is no mix."""
        if view < self.unmixed or len(self.pictures) < 2:
            return None
        key = [self.seed, index, view, FIXED_MIXES]
        mix = draw_mix(self.size, self.settings, key)
        if mix is None:
            return None
        step = int(np.random.default_rng(key).integers(1, len(self.pictures)))
        return (index + step) % len(self.pictures), mix

    def label(self, index: int, view: int) -> Label:
        """The view's label as a row of shares a class, -1 where pictures have none."""
        if self.pictures.kind == "none":
            return NO_LABEL
        own, found = self._row(index), self.partner(index, view)
        if found is None:
            return own.numpy()
        other, mix = found
        return mix.rows(torch.stack([self._row(other), own]))[1].numpy()

    def _row(self, index: int) -> Float32[Tensor, "classes"]:
        label = self.pictures.labels[index]
        if isinstance(label, np.ndarray):
            return torch.from_numpy(label).float()
        return torch.nn.functional.one_hot(torch.tensor(label), len(self.pictures.classes)).float()


def mixed_levels(
    own: UInt8[Tensor, "3 height width"], other: UInt8[Tensor, "3 height width"], mix: Mix
) -> UInt8[Tensor, "3 height width"]:
    """Levels of a picture mixed with another's, in the picture's share, rounded."""
    return mix.maps(torch.stack([other, own]).float())[1].round().to(torch.uint8)
