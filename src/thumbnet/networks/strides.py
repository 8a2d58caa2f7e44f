"""Making the features of a copy finer: strided steps found, and given half their stride, without a change of weights.

A strided step is one halving of the resolution: all the layers that make it, those of a shortcut included.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from thumbnet.networks.taps import LayerTrace


@dataclass(frozen=True, kw_only=True)
class StridedStep:
    """One halving of the resolution.

    Attributes:
        layers: Names of all layers that make it, in order.
        side_before: Side of their input in the probe, px.
        side_after: Side of their output, px.
    """

    layers: tuple[str, ...]
    side_before: int
    side_after: int


def strided_steps(network: nn.Module, traces: Sequence[LayerTrace]) -> list[StridedStep]:
    """The strided steps of a network, in order of resolution.

    Args:
        network: The network.
        traces: `trace_layers` of it. Layers with a stride and the same side of input belong to one step.
    """
    sides: dict[int, list[LayerTrace]] = {}
    for trace in traces:
        # A convolution without padding makes its input smaller, too, but not by a stride.
        if trace.strided and trace.side_before and _stride(network.get_submodule(trace.name)) > 1:
            sides.setdefault(trace.side_before, []).append(trace)
    return [
        StridedStep(
            layers=tuple(dict.fromkeys(trace.name for trace in sides[side])),
            side_before=side,
            side_after=sides[side][0].shape[-1],
        )
        for side in sorted(sides, reverse=True)
    ]


def keep_step(network: nn.Module, step: StridedStep) -> None:
    """Halves the stride of every layer of a step, in place: 2 becomes 1, and the 4 of a patch embedding becomes 2."""
    for name in step.layers:
        finer = _with_half_stride(network.get_submodule(name))
        parent, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(parent), attribute, finer)


def dilate_after(network: nn.Module, traces: Sequence[LayerTrace], step: StridedStep) -> None:
    """Doubles the dilation of the convolutions behind a step, in place, so that each sees as far as it did.

    Args:
        network: The network; its step is kept already.
        traces: `trace_layers` of it from before.
        step: The last one.
    """
    first = min(index for index, trace in enumerate(traces) if trace.name in step.layers)
    for name in dict.fromkeys(trace.name for trace in traces[first:] if trace.side_before == step.side_after):
        layer = network.get_submodule(name)
        if isinstance(layer, nn.Conv2d) and name not in step.layers and max(layer.kernel_size) > 1:
            layer.dilation = tuple(2 * dilation for dilation in layer.dilation)
            if not isinstance(layer.padding, str):
                # Layers that compute their padding at every call have none here, and look at the dilation.
                layer.padding = tuple(2 * padding for padding in layer.padding)


def _with_half_stride(layer: nn.Module) -> nn.Module:
    """The layer itself with half its stride, inside a padding layer where its own cannot keep all rows."""
    stride = _stride(layer)
    half = max(1, stride // 2)
    layer.stride = (half, half) if isinstance(layer.stride, tuple) else half  # type: ignore[assignment]
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) or type(layer).__name__.endswith("Same"):
        return layer  # it pads by itself, or has no kernel
    kernel, padding = _one(layer.kernel_size), _one(layer.padding)
    field = (_one(layer.dilation) if not isinstance(layer, nn.AvgPool2d) else 1) * (kernel - 1) + 1
    rounded_up = stride - 1 if getattr(layer, "ceil_mode", False) else 0
    if 2 * padding + rounded_up < field - stride:
        return layer  # it lost its last rows before, by its makers' design
    missing = field - half - 2 * padding
    if missing <= 0:
        return layer
    if missing % 2 == 0:
        _set_padding(layer, padding + missing // 2)
        return layer
    if isinstance(layer, nn.Conv2d):
        layer.padding = "same" if half == 1 else (padding + (missing + 1) // 2,) * 2
        return layer
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        layer.ceil_mode = False
    return nn.Sequential(nn.ReplicationPad2d((missing // 2, missing - missing // 2) * 2), layer)


def _set_padding(layer: nn.Module, padding: int) -> None:
    layer.padding = (padding, padding) if isinstance(layer.padding, tuple) else padding  # type: ignore[assignment]
    if isinstance(layer, nn.AvgPool2d):
        layer.count_include_pad = False


def _stride(layer: nn.Module) -> int:
    stride = getattr(layer, "stride", 1)
    return _one(stride) if isinstance(stride, int | tuple | list) else 1


def _one(value: object) -> int:
    """The number itself, or the first of two for height and width."""
    return int(value[0]) if isinstance(value, tuple | list) else int(value) if isinstance(value, int) else 0
