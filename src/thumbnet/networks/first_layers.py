"""The convolutions of a network that read the picture itself."""

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from thumbnet.errors import NetworkError

COLOURS = 3


class Call(NamedTuple):
    """One call of a convolution of three colours, and what it was called with."""

    layer: nn.Conv2d
    source: object


def first_layers(network: nn.Module, side: int) -> dict[str, nn.Conv2d]:
    """Copies of the convolutions that read the picture itself, by name; parallel branches are all of them.

    Args:
        network: Any classifier of three colours, fitted to its side.
        side: Of its input, px.
    """
    _, calls = answer(network, torch.zeros(1, COLOURS, side, side, device=next(network.parameters()).device))
    names = {module: name for name, module in network.named_modules()}
    return {names[call.layer]: copy.deepcopy(call.layer) for call in calls if call.source is calls[0].source}


def reads_detail(network: nn.Module, before: Mapping[str, nn.Conv2d], asked: bool) -> bool:
    """Whether the student's first layers give as many features of a thumbnail as they had of twice its side.

    Args:
        network: The student, fitted to the thumbnail.
        before: `first_layers` of it, from before it was fitted.
        asked: Whether the user asked for `downscaler.start detail`, which then cannot be left out.

    Raises:
        NetworkError: Naming the layer, if they do not and the user asked.
    """
    found = None if before else "no convolution of the network reads the picture"
    for name, layer in before.items():
        if layer.stride[0] != 2 * network.get_submodule(name).stride[0]:  # type: ignore[index]
            found = f"layer {name}, which reads the picture, has stride {layer.stride[0]} and keeps it"
    if found and asked:
        advice = "leave it out, or give --student.detail_decoder instead of --student.keep_stem_resolution"
        raise NetworkError(f"downscaler.start detail: {found}; {advice}")
    return found is None


@torch.no_grad()
def answer(network: nn.Module, image: Tensor) -> tuple[Tensor, list[Call]]:
    """The logits in eval mode, and the convolutions of three colours in the order in which they were called."""
    calls: list[Call] = []

    def enter(module: nn.Module, inputs: tuple[object, ...]) -> None:
        if isinstance(module, nn.Conv2d) and module.in_channels == COLOURS and module.groups == 1:
            calls.append(Call(module, inputs[0]))

    modes = {module: module.training for module in network.modules()}
    handles = [module.register_forward_pre_hook(enter) for module in network.modules()]
    try:
        logits: Tensor = network.eval()(image)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return logits, calls
