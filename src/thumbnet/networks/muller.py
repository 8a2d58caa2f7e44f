"""MULLER, a resizer with four numbers to learn: a downscaler to compare with."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.networks.filters import AntialiasedResize

LAYERS = 2


class MullerResizer(nn.Module):
    """A resize to which bands of detail are added, each with a learned scale and shift; two layers as in the paper.

    Tu, Milanfar & Talebi, "MULLER: Multilayer Laplacian Resizer for Vision", ICCV 2023. With R the resize, G a Gaussian
    blur and x_0 the image, x_l = G(x_{l-1}):

        thumbnail = R(x_0) + Σ_l tanh(α_l · R(x_{l-1} − x_l) + β_l)

    Deviations: R is the antialiased bicubic filter and α, β start at 0, so that training begins at the bicubic
    thumbnail. The paper's blur has a standard deviation of 1 px and 5 taps at ratios near 2; here it grows with the
    ratio (ratio / 2), as R would leave nothing of finer bands. The output is clamped to [0, 1].

    Args:
        ratio: Downscale factor per side.
    """

    kernel: Tensor

    def __init__(self, ratio: int) -> None:
        super().__init__()
        self.resize = AntialiasedResize(ratio, "bicubic")
        self.register_buffer("kernel", torch.tensor(_gaussian_taps(ratio / 2)), persistent=False)
        self.scales = nn.Parameter(torch.zeros(LAYERS))
        self.shifts = nn.Parameter(torch.zeros(LAYERS))

    def forward(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 small_height small_width"]:
        """Image to thumbnail values in [0, 1]."""
        thumbnail: Tensor = self.resize(image)
        blurred, finer = image, thumbnail
        for scale, shift in zip(self.scales, self.shifts, strict=True):
            blurred = self._blur(blurred)
            # R is linear: the band is made at the thumbnail's size.
            coarser = self.resize(blurred)
            thumbnail = thumbnail + torch.tanh(scale * (finer - coarser) + shift)
            finer = coarser
        return thumbnail.clamp(0, 1)

    def _blur(self, image: Tensor) -> Tensor:
        """Two passes, one along each side, borders replicated."""
        colours, reach = image.shape[1], len(self.kernel) // 2
        taps = self.kernel.to(image.dtype)
        down = taps.view(1, 1, -1, 1).expand(colours, 1, -1, 1)
        across = taps.view(1, 1, 1, -1).expand(colours, 1, 1, -1)
        padded = functional.pad(image, (reach, reach, reach, reach), mode="replicate")
        return functional.conv2d(functional.conv2d(padded, down, groups=colours), across, groups=colours)


def _gaussian_taps(deviation: float) -> list[float]:
    """A Gaussian's values out to two standard deviations, with sum 1."""
    reach = math.ceil(2 * deviation)
    weights = [math.exp(-0.5 * (tap / deviation) ** 2) for tap in range(-reach, reach + 1)]
    return [weight / sum(weights) for weight in weights]
