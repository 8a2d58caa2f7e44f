"""The bound of all information: the student is handed every pixel of the image, at the thumbnail's size.

No thumbnail: what it measures is how much of the student's loss no thumbnail could win back.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.errors import NetworkError
from thumbnet.networks.filters import AntialiasedResize
from thumbnet.networks.first_layers import COLOURS, answer

TOLERANCE = 1e-3


class AllInformation(nn.Module):
    """The bicubic thumbnail and, behind it, all pixels of the image: nothing to learn, nothing lost.

    The first three channels are the antialiased bicubic thumbnail. The other 3·ratio² hold the image with the pixels of
    each block side by side, colour by colour.

    Args:
        ratio: Downscale factor per side.
    """

    def __init__(self, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.resize = AntialiasedResize(ratio, "bicubic")

    def forward(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels small_height small_width"]:
        """Image to 3 + 3·ratio² channels in [0, 1]."""
        thumbnail: Tensor = self.resize(image)
        return torch.cat([thumbnail.clamp(0, 1), functional.pixel_unshuffle(image, self.ratio)], dim=1)


def statistics_of(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Mean or standard deviation of the three colours, for every channel that the student takes.

    Args:
        values: Of the three colours.
        channels: 3, or as many as `AllInformation` gives.
    """
    pixels = channels // COLOURS - 1
    return (*values, *(value for value in values for _ in range(pixels)))


def widen_first_layer(network: nn.Module, channels: int, side: int) -> None:
    """Lets a classifier of three colours take more channels, in place; at first it looks at the three alone.

    The first convolution (or patch embedding) keeps its weights for the three colours, and the others start at zero.
    Parallel branches that read the same input are widened together. That layer's compute grows by channels / 3.

    Args:
        network: Any classifier, fitted to its side.
        channels: What it shall take; 3 leaves it as it is.
        side: Of its input, px.

    Raises:
        NetworkError: If no convolution takes the three colours, or the network does not give the same answer after.
    """
    if channels == COLOURS:
        return
    device = next(network.parameters()).device
    image = torch.linspace(-1, 1, COLOURS * side * side, device=device).view(1, COLOURS, side, side).sin()
    before, calls = answer(network, image)
    first = [call.layer for call in calls if call.source is calls[0].source]
    if not first:
        raise NetworkError("all_information: no convolution takes the three colours; choose another --teacher")
    for layer in dict.fromkeys(first):
        others = layer.weight.new_zeros(layer.out_channels, channels - COLOURS, *layer.kernel_size)
        layer.weight = nn.Parameter(
            torch.cat([layer.weight.detach(), others], dim=1), requires_grad=layer.weight.requires_grad
        )
        layer.in_channels = channels
    for module in network.modules():
        # The patch embeddings of `transformers` check the number of channels themselves.
        if getattr(module, "num_channels", None) == COLOURS:
            setattr(module, "num_channels", channels)  # noqa: B010
    wide = image.repeat(1, channels // COLOURS, 1, 1)
    try:
        after, _ = answer(network, wide)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise NetworkError(f"all_information: the network takes no other input ({reason}); choose another") from error
    if not torch.allclose(before, after, rtol=TOLERANCE, atol=TOLERANCE):
        cause = "its first layer does more with its weights than a convolution"
        raise NetworkError(f"all_information: the widened network does not answer as before: {cause}; choose another")


def start_at_finer_pixels(network: nn.Module, before: Mapping[str, nn.Conv2d], ratio: int) -> None:
    """Lets a widened student whose first layer lost its stride start at what that layer sees of a finer picture.

    A student with `keep_stem_resolution` has as many features of a thumbnail as the network had of a picture of twice
    its side. From all pixels its first layer can compute exactly those: the mean over half a block's side, then the
    layer with its stride, are one convolution over blocks. So the student starts as the network on the finer picture,
    which no thumbnail can give it. Where the stride is as it was, or the ratio is not a multiple of what was taken from
    it, nothing changes.

    Args:
        network: The student, widened; changed in place.
        before: `first_layers` of it, from before it was fitted to the thumbnail.
        ratio: Of the image side to the thumbnail side.
    """
    for name, layer in before.items():
        wide = network.get_submodule(name)
        assert isinstance(wide, nn.Conv2d)
        finer = layer.stride[0] // wide.stride[0]
        if finer == 1 or ratio % finer or wide.out_channels != layer.out_channels:
            continue
        found = _over_blocks(layer, wide, ratio, ratio // finer)
        if found is not None:
            with torch.no_grad():
                wide.weight[:, :COLOURS] = 0
                wide.weight[:, COLOURS:] = found


def _over_blocks(layer: nn.Conv2d, wide: nn.Conv2d, ratio: int, mean_over: int) -> Tensor | None:
    """Weights over the pixels of blocks with which `wide` gives what `layer` gives of the averaged picture.

    Both are probed by the gradient of one feature, so that each may pad in its own way. None where `wide` does not
    reach as far as `layer` does.
    """
    device = wide.weight.device
    blocks = 8 * max(wide.kernel_size)
    middle = blocks // wide.stride[0] // 2
    reach = copy.deepcopy(wide)
    nn.init.ones_(reach.weight)
    planes = torch.zeros(1, wide.in_channels, blocks, blocks, device=device, requires_grad=True)
    image = torch.zeros(1, COLOURS, blocks * ratio, blocks * ratio, device=device, requires_grad=True)
    (of_blocks,) = torch.autograd.grad(reach(planes)[0, 0, middle, middle], planes)
    window = of_blocks[0, 0] != 0
    features = layer(functional.avg_pool2d(image, mean_over))[0, :, middle, middle]
    rows = [torch.autograd.grad(feature, image, retain_graph=True)[0] for feature in features]
    pixels = functional.pixel_unshuffle(torch.cat(rows), ratio)
    if pixels[..., ~window].any():
        return None
    return pixels[..., window].view(*pixels.shape[:2], *wide.kernel_size)
