"""What a network costs: multiply-accumulates and parameters."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(network: nn.Module, side: int, channels: int = 3) -> int:
    """Multiply-accumulates (MACs) for one input of `channels` × `side` × `side`: convolutions and matrix products.

    PyTorch's counter counts two operations a MAC; this halves it. Normalisation, activations and pooling are not in it.
    """
    training = {module: module.training for module in network.modules()}
    network.eval()
    parameter = next(network.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, channels, side, side, device=device))
    for module, mode in training.items():
        module.training = mode
    return int(counter.get_total_flops()) // 2


def count_parameters(network: nn.Module) -> int:
    """Number of trainable and fixed parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def format_macs(macs: int) -> str:
    """`22.1 M`, `4.09 G`."""
    return f"{macs / 1e9:.2f} G" if macs >= 1e9 else f"{macs / 1e6:.1f} M"
