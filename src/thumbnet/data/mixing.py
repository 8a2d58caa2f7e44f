"""What becomes of a batch after its views are drawn: flips of fixed views, and mixes of pictures.

All is a pure function of (seed, epoch, micro-batch or row), so a resumed run changes what the stopped one would have
changed. Each change can be made to maps of any size, so that cached features go with the pictures that they are of.
Views that are mixes from the start are drawn in `mixed_views`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from thumbnet.config import MixSettings
from thumbnet.data.labelled import LabelKind

FLIPS = 1  # sets the draws of flips apart from those of mixes


@dataclass(frozen=True, kw_only=True)
class Mix:
    """How each picture of a batch is mixed with the one before it; the first with the last.

    Attributes:
        share: Of the picture itself, 0 to 1; the rest is its neighbour's.
        box: Of cutmix: left, top, right and bottom of what the neighbour replaces, as shares of the sides. None is
            mixup.
    """

    share: float
    box: tuple[float, float, float, float] | None = None

    def maps(self, maps: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """Images or feature maps, mixed; the box is rounded to whole pixels of these maps.

        A map of one pixel, such as an embedding, stands for the whole picture and is mixed by shares.
        """
        if self.box is None or maps.shape[-2:] == (1, 1):
            return self.rows(maps)
        height, width = maps.shape[-2:]
        left, right = (round(self.box[side] * width) for side in (0, 2))
        top, bottom = (round(self.box[side] * height) for side in (1, 3))
        mixed = maps.clone()
        mixed[..., top:bottom, left:right] = maps.roll(1, 0)[..., top:bottom, left:right]
        return mixed

    def rows(self, values: Float[Tensor, "batch *rest"]) -> Float[Tensor, "batch *rest"]:
        """One value or row a picture (labels, probabilities), mixed by shares."""
        return values.roll(1, 0).mul_(1.0 - self.share).add_(values.mul(self.share))


def draw_mix(image: Float[Tensor, "*batch 3 height width"], settings: MixSettings, key: Sequence[int]) -> Mix | None:
    """Draws one mix: mixup or cutmix, whichever are on, or none in a share of the draws.

    Args:
        image: Only its size is looked at.
        settings: Which, how strongly and how often.
        key: The draw is a pure function of it. PyTorch's own random state is left as it was.
    """
    kinds = ((v2.MixUp, settings.mixup), (v2.CutMix, settings.cutmix))
    mixes = [mix(alpha=float(alpha)) for mix, alpha in kinds if alpha > 0]
    if not mixes:
        return None
    with torch.random.fork_rng(devices=[]):
        drawn = np.random.SeedSequence(list(key)).generate_state(1)
        torch.default_generator.manual_seed(int(drawn[0]))
        if float(torch.rand(())) >= settings.probability:
            return None
        mix = mixes[int(torch.randint(len(mixes), ()))]
        found = mix.make_params([image])
    if isinstance(mix, v2.MixUp):
        return Mix(share=found["lam"])
    height, width = image.shape[-2:]
    left, top, right, bottom = found["box"]
    return Mix(share=found["lam_adjusted"], box=(left / width, top / height, right / width, bottom / height))


class BatchMix:
    """Mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019) of each picture with its neighbour in the batch.

    Args:
        settings: Which, how strongly and how often. Where fixed views are mixes already, batches are not mixed.
        classes: Number of classes.
        kind: What a label is; pictures without labels are mixed as well, for the teacher's word on the mix.
        seed: The run's seed.
    """

    def __init__(self, settings: MixSettings, classes: int, kind: LabelKind, seed: int) -> None:
        self.settings = settings
        self.classes = classes
        self.kind = kind
        self.seed = seed

    def draw(self, image: Float[Tensor, "batch 3 height width"], epoch: int, micro_batch: int) -> Mix | None:
        """The mix of this micro-batch, None where it stays as it is; see `draw_mix`."""
        if not self.settings.in_batches:
            return None
        return draw_mix(image, self.settings, [self.seed, epoch, micro_batch])

    def __call__(
        self,
        image: Float[Tensor, "batch 3 height width"],
        label: Int[Tensor, "batch"] | Float[Tensor, "batch classes"],
        mix: Mix | None,
    ) -> tuple[Float[Tensor, "batch 3 height width"], Int[Tensor, "batch"] | Float[Tensor, "batch classes"]]:
        """Image values in [0, 1] and labels, mixed in the same shares.

        Returns:
            The image, and labels as a row of shares a picture (as they were where there are none, and where nothing is
            mixed).
        """
        if mix is None:
            return image, label
        if self.kind == "none":
            return mix.maps(image), label
        rows = label.float() if label.dim() == 2 else functional.one_hot(label, self.classes).float()
        return mix.maps(image), mix.rows(rows)


@dataclass(frozen=True, kw_only=True)
class BatchChange:
    """What was done to the views of a batch, in this order; the teacher's cached answers have to follow.

    Attributes:
        flipped: Pictures that are shown left-right flipped, `[batch]`; None where none is.
        mix: How they are mixed then.
    """

    flipped: Bool[Tensor, "batch"] | None = None
    mix: Mix | None = None

    def maps(self, maps: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """Feature maps of the views as drawn, flipped and mixed as the views were."""
        maps = flip(maps, self.flipped)
        return maps if self.mix is None else self.mix.maps(maps)


def draw_flips(row: Int[Tensor, "batch"], seed: int, epoch: int) -> Bool[Tensor, "batch"]:
    """Whether each fixed view is shown flipped in an epoch, with probability 1/2.

    Args:
        row: Position of each view in the teacher cache; in whatever batch or process it is met.
        seed: The run's seed.
        epoch: From 0.
    """
    drawn = [np.random.SeedSequence([seed, epoch, int(view), FLIPS]).generate_state(1)[0] for view in row]
    return torch.tensor([bool(bits & 1) for bits in drawn], dtype=torch.bool)


def flip(
    maps: Float[Tensor, "batch channels height width"], flipped: Bool[Tensor, "batch"] | None
) -> Float[Tensor, "batch channels height width"]:
    """Maps of the chosen pictures left-right flipped."""
    if flipped is None:
        return maps
    return torch.where(flipped.to(maps.device).view(-1, 1, 1, 1), maps.flip(-1), maps)
