"""Convolutions that PyTorch trains slowly on a processor, or crashes on, computed in another way to the same values.

The gradient of a depthwise kernel on features smaller than itself, as a student's last stages have them, takes tens of
times as long as the convolution where that pads by itself. Padding first, and leaving out taps that only ever see
padding, trains a plain student a fifth faster (benchmarks/results/padded_first.json).

The gradient of a strided 1×1 convolution of three colours, such as RepVGG and MobileOne begin with, writes past its
memory in PyTorch 2.14.1's oneDNN and ends the process: seen on an AMD processor without AVX-512. Leaving out the pixels
that it never looks at first, it is an ordinary one.
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


class SubsampledFirst(nn.Conv2d):
    """A strided 1×1 convolution that leaves out the pixels between its strides by itself."""

    def forward(self, values: Tensor) -> Tensor:
        """As `nn.Conv2d`, up to rounding."""
        down, across = self.stride
        return functional.conv2d(values[..., ::down, ::across], self.weight, self.bias)


def fit_to_processor(view: Network) -> Network:
    """Replaces such convolutions inside a `view_of` a network; in place.

    Subclasses of `nn.Conv2d`, such as timm's with TensorFlow's padding, stay as they are, and so do dilated ones.
    """
    for layer in view.modules():
        kind = _faster_kind(layer)
        if kind is not None:
            layer.__class__ = kind  # hooks, names and weights stay
    return view


def gains_on_processor(network: nn.Module) -> bool:
    """Whether `fit_to_processor` would replace anything in a network."""
    return any(_faster_kind(layer) is not None for layer in network.modules())


def _faster_kind(layer: nn.Module) -> type[nn.Conv2d] | None:
    if type(layer) is not nn.Conv2d or layer.padding_mode != "zeros" or layer.dilation != (1, 1):
        return None
    if layer.in_channels == 3 and layer.kernel_size == (1, 1) and layer.groups == 1:
        strided = max(layer.stride) > 1 and layer.padding == (0, 0)
        return SubsampledFirst if strided else None
    depthwise, odd = layer.groups == layer.in_channels > 1, all(kernel % 2 for kernel in layer.kernel_size)
    half = tuple(kernel // 2 for kernel in layer.kernel_size)
    return PaddedFirst if depthwise and odd and layer.padding == half and max(half) > 0 else None
