"""Mixing of the pictures of a batch, after the views are drawn: what is mixed here is what teacher and downscaler see.

A mix is a pure function of (seed, epoch, micro-batch), so a resumed run mixes what the stopped one would have mixed.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from thumbnet.config import MixSettings
from thumbnet.data.labelled import LabelKind


class BatchMix:
    """Mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019) of each picture with its neighbour in the batch.

    Args:
        settings: Which, how strongly and how often.
        classes: Number of classes.
        kind: What a label is; pictures without labels are mixed as well, for the teacher's word on the mix.
        seed: The run's seed.
    """

    def __init__(self, settings: MixSettings, classes: int, kind: LabelKind, seed: int) -> None:
        kinds = ((v2.MixUp, settings.mixup), (v2.CutMix, settings.cutmix))
        self.mixes = [mix(alpha=alpha, num_classes=classes) for mix, alpha in kinds if alpha > 0]
        self.probability = settings.probability
        self.classes = classes
        self.kind = kind
        self.seed = seed

    def __call__(
        self,
        image: Float[Tensor, "batch 3 height width"],
        label: Int[Tensor, "batch"] | Float[Tensor, "batch classes"],
        epoch: int,
        micro_batch: int,
    ) -> tuple[Float[Tensor, "batch 3 height width"], Int[Tensor, "batch"] | Float[Tensor, "batch classes"]]:
        """Image values in [0, 1] and labels, mixed in the same shares.

        Returns:
            The image, and labels as a row of shares a picture (as they were where there are none, and where nothing is
            mixed). PyTorch's own random state is left as it was.
        """
        if not self.mixes:
            return image, label
        given = torch.zeros_like(label) if self.kind == "none" else label
        rows = given.float() if given.dim() == 2 else functional.one_hot(given, self.classes).float()
        with torch.random.fork_rng(devices=[]):
            drawn = np.random.SeedSequence([self.seed, epoch, micro_batch]).generate_state(1)
            torch.default_generator.manual_seed(int(drawn[0]))
            if float(torch.rand(())) >= self.probability:
                return image, label
            mix = self.mixes[int(torch.randint(len(self.mixes), ()))]
            mixed, shares = mix(image, rows)
        return mixed, label if self.kind == "none" else shares
