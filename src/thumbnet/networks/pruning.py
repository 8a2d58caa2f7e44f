"""Structured pruning of a network, and rebuilding its shape without the package that pruned it.

Source: Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, by the package Torch-Pruning, which is
optional and imported where it is used. A pruned shape is told by the shapes of its weights alone: nothing is unpickled.
"""

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from thumbnet.errors import CheckpointError, NetworkError
from thumbnet.networks.adapters import head_names
from thumbnet.profiling import count_macs

STEPS = 40
# The share of channels to prune for a share of MACs lies below it, and above where layers are small: this is enough.
MARGIN = 0.95
TOLERANCE = 1e-3
Shapes = dict[str, list[int]]


def prune(network: nn.Module, share: float, side: int) -> nn.Module:
    """A copy with about `1 - share` of the MACs: the same share of every layer's channels, least norm first.

    Channels that depend on each other go together, ranked by the L2 norm of all their weights; the head keeps its
    outputs. The answer depends on the weights alone, so a resumed run gets the same shape.

    Args:
        network: With weights worth ranking. It stays as it is.
        share: Of the MACs to prune away, 0 to 0.95.
        side: Of the input with which MACs are counted, px.

    Raises:
        NetworkError: If Torch-Pruning is missing, cannot prune this architecture so far, or leaves a shape that
            cannot be rebuilt from its weights.
    """
    pruned = copy.deepcopy(network).eval().requires_grad_(True)
    before = count_macs(pruned, side)
    ignored = [pruned.get_submodule(name) for name in head_names(pruned)]
    device = next(pruned.parameters()).device
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of parameters outside layers, which are checked below
            pruner = _torch_pruning().pruner.BasePruner(
                pruned,
                torch.zeros(1, 3, side, side, device=device),
                importance=_torch_pruning().importance.GroupMagnitudeImportance(p=2),
                pruning_ratio=1 - MARGIN * (1 - share),
                iterative_steps=STEPS,
                ignored_layers=ignored,
            )
            for _ in range(STEPS):
                pruner.step()
                if count_macs(pruned, side) <= (1 - share) * before:
                    break
        found = count_macs(pruned, side) / before
    except NetworkError:
        raise
    except Exception as error:  # it meets architectures that it does not know with almost any exception
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = "leave it out, or choose a convolutional network"
        raise NetworkError(f"student.prune: this architecture cannot be pruned ({reason}); {advice}") from error
    if found > 1 - share + 1e-9:
        raise NetworkError(
            f"student.prune: {found:.0%} of the MACs are left at the least; give {1 - found:.2f} or less"
        )
    pruned.zero_grad()
    _require_rebuilt(network, pruned, side)
    return pruned.train(network.training)


def shapes_of(network: nn.Module) -> Shapes:
    """Shape of every weight and buffer, by name: all that a pruned network needs to be rebuilt."""
    return {name: list(value.shape) for name, value in network.state_dict().items()}


def take_shapes(network: nn.Module, shapes: Mapping[str, Sequence[int]]) -> None:
    """Gives a network as built a pruned one's shape, in place; the values of what changes are undefined.

    Args:
        network: Of the same architecture, not pruned.
        shapes: From `shapes_of` the pruned network.

    Raises:
        CheckpointError: If they are no pruned shape of this architecture.
    """
    state = network.state_dict()
    if set(shapes) != set(state):
        raise CheckpointError("the pruned shape in the bundle is another network's; copy the bundle again")
    for name, shape in shapes.items():
        sizes = tuple(shape)
        old = state[name]
        smaller = len(sizes) == old.dim() and all(0 < new <= size for new, size in zip(sizes, old.shape, strict=True))
        if not smaller:
            raise CheckpointError(f"the pruned shape of {name} in the bundle is damaged; copy the bundle again")
        if sizes != tuple(old.shape):
            _reshape(network, name, old.new_zeros(sizes))


def _reshape(network: nn.Module, name: str, value: Tensor) -> None:
    owner, _, own = name.rpartition(".")
    module = network.get_submodule(owner)
    if own in module._buffers:
        module._buffers[own] = value
    else:
        trained = cast(Tensor, getattr(module, own)).requires_grad
        setattr(module, own, nn.Parameter(value, requires_grad=trained))
    if own == "weight":
        _set_sizes(cast(Any, module), value.shape)


def _set_sizes(layer: Any, shape: torch.Size) -> None:
    """A layer's own numbers of channels, from the shape of its weight."""
    if isinstance(layer, nn.Conv2d):
        # A depthwise convolution has as many groups as channels; another keeps its groups.
        depthwise = layer.groups == layer.in_channels
        layer.groups = shape[0] * layer.groups // layer.out_channels if depthwise else layer.groups
        layer.out_channels, layer.in_channels = shape[0], shape[1] * layer.groups
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = shape[0], shape[1]
    elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
        layer.num_features = shape[0]
    elif isinstance(layer, nn.GroupNorm):
        layer.num_channels = shape[0]
    elif isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = tuple(shape)
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = shape[0]


@torch.no_grad()
def _require_rebuilt(network: nn.Module, pruned: nn.Module, side: int) -> None:
    """Makes sure that a bundle can hold the pruned network."""
    rebuilt = copy.deepcopy(network).eval()
    device = next(pruned.parameters()).device
    image = torch.rand(2, 3, side, side, device=device, generator=torch.Generator(device).manual_seed(0))
    try:
        take_shapes(rebuilt, shapes_of(pruned))
        rebuilt.load_state_dict(pruned.state_dict())
        same = torch.allclose(rebuilt(image), pruned(image), rtol=TOLERANCE, atol=TOLERANCE)
    except (CheckpointError, RuntimeError, ValueError):
        same = False
    if not same:
        advice = "leave it out, or choose a convolutional network"
        raise NetworkError(f"student.prune: a bundle could not rebuild this architecture once pruned; {advice}")


def _torch_pruning() -> Any:
    try:
        import torch_pruning
    except ModuleNotFoundError as error:
        advice = "install it with pip install 'thumbnet[pruning]'"
        raise NetworkError(f"student.prune needs the package torch-pruning; {advice}") from error
    return torch_pruning
