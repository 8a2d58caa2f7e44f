"""E: image to thumbnail. The learned kinds and the fixed filters behind the same call.

Every downscaler maps image values in [0, 1] to thumbnail values in [0, 1]; `to_8bit` then puts them on the grid that a
PNG can hold. All are convolutions, so they run at any size divisible by the ratio and export as they are.
"""

import math
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.config import FIXED_FILTERS, MAXIMUM_RATIO, MINIMUM_RATIO, DownscalerSettings, check_ratio
from thumbnet.data.preprocessing import levels_to_values
from thumbnet.errors import ConfigError
from thumbnet.networks.filters import AntialiasedResize, FilterName, filter_value
from thumbnet.networks.learned_resizer import LearnedResizer
from thumbnet.networks.muller import MullerResizer
from thumbnet.networks.space_to_depth import AllInformation

KERNEL_SIDE = 5
LEVELS = 255


def build_downscaler(settings: DownscalerSettings, ratio: int) -> nn.Module:
    """Builds E, untrained.

    Args:
        settings: Kind, size and start.
        ratio: Downscale factor per side, 2 to 8; 1 with a fixed filter, whose thumbnail is then the image.

    Returns:
        A module `[batch, 3, H, W]` → `[batch, 3, H/ratio, W/ratio]`, both in [0, 1], H and W divisible by the ratio;
        of `all_information` with 3 + 3·ratio² channels.

    Raises:
        ConfigError: If the ratio is out of range, or 1 with a kind that has something to learn.
    """
    if not MINIMUM_RATIO <= ratio <= MAXIMUM_RATIO:
        raise ConfigError(f"ratio is {ratio}, but must be a whole number from {MINIMUM_RATIO} to {MAXIMUM_RATIO}")
    check_ratio(settings, ratio)
    if ratio == 1:
        return nn.Identity()
    if settings.kind in FIXED_FILTERS:
        return FixedDownscaler(ratio, cast(FilterName, settings.kind))
    channels, random = settings.channels, settings.start == "random"
    match settings.kind:
        case "all_information":
            built: nn.Module = AllInformation(ratio)
        case "muller":
            built = MullerResizer(ratio)
        case "learned_resizer":
            built = LearnedResizer(ratio, channels, random_start=random)
        case "paper":
            built = PaperDownscaler(ratio, channels, random_start=random)
        case _:
            built = ResidualDownscaler(ratio, channels, random_start=random)
    return built


def to_8bit(
    thumbnail: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels height width"]:
    """Rounds to the 256 levels of an 8-bit picture; gradients pass straight through.

    Gives exactly the values that reading the saved picture gives: `round(255 x) / 255`. Not in the paper.
    """
    levels = levels_to_values((thumbnail.detach().clamp(0, 1) * LEVELS).round())
    return straight_through(thumbnail, levels)


def straight_through(
    thumbnail: Float[Tensor, "batch channels height width"], stored: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch channels height width"]:
    """Exactly the values of `stored`, with the gradient of `thumbnail`."""
    if not thumbnail.requires_grad:
        return stored
    # stored + (thumbnail - thumbnail) would leave the grid by a rounding error; this keeps it exact.
    return cast(Tensor, _StraightThrough.apply(thumbnail, stored))


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, thumbnail: Tensor, levels: Tensor) -> Tensor:
        return levels

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def strides_for(ratio: int) -> tuple[int, int]:
    """Strides of the two layers, as even as their product allows: 4 → 2·2, 6 → 3·2, 8 → 4·2, primes → r·1."""
    second = max(s for s in range(1, math.isqrt(ratio) + 1) if ratio % s == 0)
    return ratio // second, second


class FixedDownscaler(nn.Module):
    """An antialiased filter, equal to Pillow's and PyTorch's resize up to rounding.

    Args:
        ratio: Downscale factor per side.
        name: `bicubic` (a = -0.5), `area` (box) or `lanczos` (3 lobes).
    """

    def __init__(self, ratio: int, name: FilterName) -> None:
        super().__init__()
        self.resize = AntialiasedResize(ratio, name)

    def forward(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 small_height small_width"]:
        """Image to thumbnail values in [0, 1]."""
        thumbnail: Tensor = self.resize(image)
        return thumbnail.clamp(0, 1)


class TwoLayers(nn.Module):
    """The paper's two 5×5 convolutions with batch norm, 3 → channels → 3; ReLU after the first.

    Borders are replicated rather than zero, so that thumbnails have no dark frame. The padding centres each kernel on
    the block of pixels that it stands for.
    """

    def __init__(self, ratio: int, channels: int) -> None:
        super().__init__()
        first, second = strides_for(ratio)
        self.conv1 = nn.Conv2d(3, channels, KERNEL_SIDE, stride=first, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, 3, KERNEL_SIDE, stride=second, bias=False)
        self.norm2 = nn.BatchNorm2d(3)

    def forward(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 small_height small_width"]:
        """The second batch norm's output, not yet rectified or clamped."""
        hidden = functional.relu(self.norm1(self.conv1(_pad_to_blocks(image, self.conv1.stride[0]))))
        small: Tensor = self.norm2(self.conv2(_pad_to_blocks(hidden, self.conv2.stride[0])))
        return small


class PaperDownscaler(nn.Module):
    """The paper's E: two layers of 5×5 convolution, batch norm and ReLU (section 3.2), clamped to [0, 1].

    It starts as a smoothing filter: the first three hidden channels carry the three colours through, and `calibrate`
    sets both batch norms so that they change nothing at first. A random start paints false colours and costs the
    student its inherited weights.

    Args:
        ratio: Downscale factor per side.
        channels: Hidden channels, more than 3.
        random_start: Leave PyTorch's own start, to measure what ours is worth; `calibrate` is not to be called then.
    """

    def __init__(self, ratio: int, channels: int, *, random_start: bool = False) -> None:
        super().__init__()
        self.layers = TwoLayers(ratio, channels)
        if random_start:
            return
        with torch.no_grad():
            self.layers.conv2.weight.zero_()
            for colour in range(3):
                for conv in (self.layers.conv1, self.layers.conv2):
                    taps = torch.tensor(_smoothing_taps(conv.stride[0]))
                    conv.weight[colour] = 0
                    conv.weight[colour, colour] = torch.outer(taps, taps)

    def forward(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 small_height small_width"]:
        """Image to thumbnail values in [0, 1]."""
        return functional.relu(self.layers(image)).clamp(max=1)

    @torch.no_grad()
    def calibrate(self, image: Float[Tensor, "batch 3 height width"]) -> None:
        """Sets scale, shift and running statistics of both batch norms from one batch, so that each is the identity."""
        layers = self.layers
        before = layers.conv1(_pad_to_blocks(image, layers.conv1.stride[0]))
        _make_identity(layers.norm1, before)
        # Channels that carry no colour keep an ordinary normalised start.
        layers.norm1.weight[3:] = 1
        layers.norm1.bias[3:] = 0
        layers.norm1.eval()
        hidden = functional.relu(layers.norm1(before))
        layers.norm1.train(self.training)
        _make_identity(layers.norm2, layers.conv2(_pad_to_blocks(hidden, layers.conv2.stride[0])))


class ResidualDownscaler(nn.Module):
    """A bicubic thumbnail plus a correction by the paper's two layers, which starts at zero.

    Ours, not the paper's: training begins exactly at the bicubic baseline. The correction may be negative, so the
    paper's last ReLU is left out here (at zero it would also block every gradient).

    Args:
        ratio: Downscale factor per side.
        channels: Hidden channels, more than 3.
        random_start: Let the correction start with PyTorch's own scale of 1, to measure what the start at 0 is worth.
    """

    def __init__(self, ratio: int, channels: int, *, random_start: bool = False) -> None:
        super().__init__()
        self.bicubic = FixedDownscaler(ratio, "bicubic")
        self.correction = TwoLayers(ratio, channels)
        if not random_start:
            nn.init.zeros_(self.correction.norm2.weight)
            nn.init.zeros_(self.correction.norm2.bias)

    def forward(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 small_height small_width"]:
        """Image to thumbnail values in [0, 1]."""
        thumbnail: Tensor = self.bicubic(image) + self.correction(image)
        return thumbnail.clamp(0, 1)


def _make_identity(norm: nn.BatchNorm2d, before: Tensor) -> None:
    mean = before.mean(dim=(0, 2, 3))
    variance = before.var(dim=(0, 2, 3), unbiased=False)
    cast(Tensor, norm.running_mean).copy_(mean)
    cast(Tensor, norm.running_var).copy_(variance)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(mean)


def _pad_to_blocks(planes: Tensor, stride: int) -> Tensor:
    """Pads so that a 5-wide kernel at this stride gives size / stride, centred on each block of `stride` pixels."""
    surplus = KERNEL_SIDE - stride
    before = math.floor(surplus / 2)
    after = surplus - before
    if surplus < 0:  # a stride above the kernel's width skips the outer pixels of each block
        return planes[..., -before : planes.shape[-2] + after, -before : planes.shape[-1] + after]
    return functional.pad(planes, (before, after, before, after), mode="replicate") if surplus else planes


def _smoothing_taps(stride: int) -> list[float]:
    """The antialiased bicubic kernel for this stride, cut to the five taps that a layer has."""
    before = math.floor((KERNEL_SIDE - stride) / 2)
    centre = before + (stride - 1) / 2
    weights = [filter_value("bicubic", (tap - centre) / stride) for tap in range(KERNEL_SIDE)]
    return [weight / sum(weights) for weight in weights]
