"""Antialiased filters that make planes smaller by a whole ratio, as convolutions."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

FilterName = Literal["bicubic", "area", "lanczos", "bilinear"]
# Half the filter's width, in thumbnail pixels.
SUPPORT: dict[FilterName, float] = {"area": 0.5, "bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}


class AntialiasedResize(nn.Module):
    """An antialiased filter over any number of planes, equal to PyTorch's antialiased resize up to rounding.

    Args:
        ratio: Downscale factor per side.
        name: `bicubic` (a = -0.5), `area` (box), `lanczos` (3 lobes) or `bilinear` (triangle).
    """

    kernel: Tensor

    def __init__(self, ratio: int, name: FilterName) -> None:
        super().__init__()
        self.ratio = ratio
        taps, self.padding = resize_taps(ratio, name)
        self.register_buffer("kernel", torch.tensor(taps, dtype=torch.float32), persistent=False)

    def forward(
        self, planes: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels small_height small_width"]:
        """Filters and subsamples; at the border the kernel's share inside the plane is scaled to 1, as in Pillow.

        Values are not cut: a filter with negative lobes may leave the range of its input.
        """
        # A processor filters channel by channel several times faster where the channels lie side by side.
        planes = planes.contiguous(memory_format=torch.channels_last)
        planes = self._along(planes, self.kernel.view(1, 1, -1, 1), (self.ratio, 1), (self.padding, 0))
        return self._along(planes, self.kernel.view(1, 1, 1, -1), (1, self.ratio), (0, self.padding))

    def _along(self, planes: Tensor, kernel: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        kernel, channels = kernel.to(planes.dtype), planes.shape[1]
        # The kernel's share inside the plane is the same all along the other side: one line of it is enough.
        line = planes[:1, :1, :, :1] if stride[1] == 1 else planes[:1, :1, :1]
        inside = functional.conv2d(torch.ones_like(line), kernel, stride=stride, padding=padding)
        each = kernel.expand(channels, -1, -1, -1)
        return functional.conv2d(planes, each, stride=stride, padding=padding, groups=channels) / inside


def resize_taps(ratio: int, name: FilterName) -> tuple[list[float], int]:
    """Weights of the pixels under one thumbnail pixel, and how many of them lie before its block."""
    support = SUPPORT[name] * ratio
    centre = (ratio - 1) / 2
    first, last = math.floor(centre - support) + 1, math.ceil(centre + support) - 1
    if name == "area":
        first, last = 0, ratio - 1
    weights = [filter_value(name, (tap - centre) / ratio) for tap in range(first, last + 1)]
    return [weight / sum(weights) for weight in weights], -first


def filter_value(name: FilterName, x: float) -> float:
    """The filter's weight at a distance of `x` thumbnail pixels from its centre, not yet scaled to sum 1."""
    x = abs(x)
    if name == "area":
        return 1.0 if x <= 0.5 else 0.0
    if name == "bilinear":
        return max(0.0, 1 - x)
    if name == "lanczos":
        return _sinc(x) * _sinc(x / 3) if x < 3 else 0.0
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0
