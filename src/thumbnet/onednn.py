"""A crash in oneDNN, PyTorch's library for networks on processors, and the way around it.

Seen with PyTorch 2.14.1 on an AMD processor without AVX-512: the backward pass of a strided 1×1 convolution that reads
the three colours of channels-last pictures, such as RepVGG begins with, writes past its memory and ends the process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def crashes_backward(network: nn.Module, device: torch.device) -> bool:
    """Whether a backward pass of this network may crash here: its first layer, processor and device are those above."""
    if device.type != "cpu" or torch.backends.cpu.get_cpu_capability() != "AVX2":
        return False
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.in_channels == 3]
    return any(max(layer.kernel_size) == 1 and max(layer.stride) > 1 for layer in layers)


@contextmanager
def for_backward(*, crashes: bool) -> Iterator[None]:
    """Within it, PyTorch computes without oneDNN where that crashes: slower, to the same results up to rounding."""
    if not crashes:
        yield
        return
    backend: Any = torch.backends.mkldnn  # whose `flags` would set more than this
    before = backend.enabled
    backend.enabled = False
    try:
        yield
    finally:
        backend.enabled = before
