"""Depthwise convolutions on features smaller than their kernels, as a student's last stages have them.

On a processor PyTorch has no fast way to the gradient of such a kernel where the convolution itself pads: it takes tens
of times as long as the convolution. Padding first, and leaving out taps that only ever see padding, gives the same
values and gradients, and trains a plain student a fifth faster (benchmarks/results/small_features.json).
"""

from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional

Network = TypeVar("Network", bound=nn.Module)


class PaddedFirst(nn.Conv2d):
    """A depthwise convolution that pads by itself where its input is smaller than its kernel."""

    def forward(self, values: Tensor) -> Tensor:
        """As `nn.Conv2d`, up to rounding."""
        sides = (int(values.shape[-2]), int(values.shape[-1]))
        if all(kernel <= side for kernel, side in zip(self.kernel_size, sides, strict=True)):
            return super().forward(values)
        weight, (down, across) = self.weight, (int(self.padding[0]), int(self.padding[1]))
        if self.stride == (1, 1):
            # A tap further from the middle than the input is wide reads nothing but padding.
            spare = [max(0, padding - (side - 1)) for padding, side in zip((down, across), sides, strict=True)]
            weight = weight[..., spare[0] : weight.shape[-2] - spare[0], spare[1] : weight.shape[-1] - spare[1]]
            down, across = down - spare[0], across - spare[1]
        padded = functional.pad(values, (across, across, down, down))
        return functional.conv2d(padded, weight, self.bias, self.stride, 0, 1, self.groups)


def pad_first(view: Network) -> Network:
    """Makes every depthwise convolution inside a `view_of` a network pad first where that is faster; in place.

    Subclasses of `nn.Conv2d`, such as timm's with TensorFlow's padding, stay as they are, and so do dilated ones.
    """
    for layer in view.modules():
        if type(layer) is nn.Conv2d and is_padded_depthwise(layer):
            layer.__class__ = PaddedFirst  # hooks, names and weights stay
    return view


def is_padded_depthwise(layer: nn.Module) -> bool:
    """Whether a layer is a depthwise convolution with an odd kernel that pads half of it with zeros on each side."""
    if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return False
    half = tuple(kernel // 2 for kernel in layer.kernel_size)
    odd = all(kernel % 2 for kernel in layer.kernel_size)
    depthwise = layer.groups == layer.in_channels > 1
    return depthwise and odd and layer.padding == half and max(half) > 0 and layer.dilation == (1, 1)
