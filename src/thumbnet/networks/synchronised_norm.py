"""Batch norm over the whole batch where several processes share it.

Training runs on a view of the networks that shares all weights and buffers with them. The networks themselves stay
ordinary ones, so checkpoints, moving averages and bundles know nothing of this.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

Network = TypeVar("Network", bound=nn.Module)


def view_of(network: Network) -> Network:
    """A copy of the modules with the very same weights and buffers: training the view trains the network."""
    shared = {id(tensor): tensor for tensors in (network.parameters(), network.buffers()) for tensor in tensors}
    return copy.deepcopy(network, shared)


def synchronise(view: Network, device: torch.device) -> Network:
    """Replaces every batch norm inside a `view_of` a network by one over the batch of all processes.

    Args:
        view: Changed in place.
        device: Where it computes: PyTorch's own synchronised batch norm runs on accelerators only.
    """
    if device.type != "cpu":
        from timm.layers import convert_sync_batchnorm

        converted: Network = convert_sync_batchnorm(view)
        return converted
    for name, norm in list(view.named_modules()):
        if isinstance(norm, _BatchNorm):
            parent, _, own = name.rpartition(".")
            setattr(view.get_submodule(parent), own, SynchronisedNorm(norm))
    return view


class SynchronisedNorm(nn.Module):
    """Batch norm over the batch of all processes, whose parts may differ in size.

    Args:
        norm: Whose weights and statistics are used, and updated in place as it would; also timm's kind that drops and
            activates.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.norm = norm
        self.drop = getattr(norm, "drop", nn.Identity())
        self.act = getattr(norm, "act", nn.Identity())

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, values: Tensor) -> Tensor:
        """Normalises `[batch, channels, ...]` by this step's statistics in training, else as the norm itself does."""
        norm = self.norm
        if not norm.training:
            whole: Tensor = norm(values)
            return whole
        by_channel = [1, values.shape[1]] + [1] * (values.dim() - 2)
        real = values.float()
        mean, variance, size = _pooled_moments(real)
        self._remember(mean.detach(), variance.detach(), float(size))
        scale = (variance + norm.eps).rsqrt()
        shift = -mean * scale
        if norm.affine:
            scale, shift = scale * norm.weight, shift * norm.weight + norm.bias
        normalised = real * scale.view(by_channel) + shift.view(by_channel)
        activated: Tensor = self.act(self.drop(normalised.to(values.dtype)))
        return activated

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, size: float) -> None:
        """Moves the running statistics towards this batch's, with the unbiased variance, as PyTorch does."""
        norm = self.norm
        if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
            return
        norm.num_batches_tracked.add_(1)
        share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
        norm.running_var.lerp_((variance * (size / max(1.0, size - 1))).to(norm.running_var.dtype), share)


def _pooled_moments(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of each channel over all processes, and the number of values of one channel.

    Gradients flow to the values of every process.
    """
    size = values.numel() // values.shape[1]
    variance, mean = torch.var_mean(values, dim=[0, *range(2, values.dim())], correction=0)
    own = torch.cat([mean, variance, mean.new_tensor([size])])
    # A sum in which each process fills a row of its own, so that the moments combine without cancellation.
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    rows = _sum(nn.functional.pad(own[None], (0, 0, rank, processes - rank - 1)))
    means, variances, sizes = torch.split(rows, [len(mean), len(mean), 1], dim=1)
    pooled_mean = (sizes * means).sum(dim=0) / sizes.sum()
    pooled_variance = (sizes * (variances + (means - pooled_mean).square())).sum(dim=0) / sizes.sum()
    return pooled_mean, pooled_variance, sizes.detach().sum()


def _sum(values: Tensor) -> Tensor:
    summed: Tensor = _SumOverProcesses.apply(values)
    return summed


class _SumOverProcesses(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs, since each of their losses depends on it."""

    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:
        summed = values.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return _SumOverProcesses.forward(ctx, gradient)
