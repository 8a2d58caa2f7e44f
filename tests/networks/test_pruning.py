"""Pruning: fewer MACs, the same outputs, and a shape that is rebuilt without the package that pruned."""

import builtins
from collections.abc import Mapping
from typing import Any

import pytest
import timm
import torch
from torch import nn

from thumbnet.errors import CheckpointError, NetworkError
from thumbnet.networks.pruning import prune, shapes_of, take_shapes
from thumbnet.profiling import count_macs, count_parameters

SIDE = 32


def small(name: str) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(name, num_classes=7)
    return network.eval()


def without_values(network: nn.Module) -> nn.Module:
    """The same architecture with other weights."""
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network


@pytest.mark.parametrize(("name", "share"), [("resnet18", 0.5), ("test_efficientnet", 0.6), ("test_convnext", 0.3)])
def test_a_share_of_the_macs_goes_and_the_shape_is_rebuilt_from_its_weights(
    name: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    pruned = prune(network, share, SIDE)
    left = count_macs(pruned, SIDE) / count_macs(network, SIDE)
    assert 1 - share - 0.1 < left <= 1 - share
    assert count_parameters(pruned) < count_parameters(network)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", lambda name, *rest: _without(name, real, *rest))
    rebuilt = without_values(small(name))
    take_shapes(rebuilt, shapes_of(pruned))
    rebuilt.load_state_dict(pruned.state_dict())
    image = torch.rand(2, 3, SIDE, SIDE)
    assert torch.equal(rebuilt(image), pruned(image))
    assert rebuilt(image).shape == (2, 7)


def test_the_strongest_channels_stay() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    )
    with torch.no_grad():
        for channel in range(8):
            network[0].weight[channel].fill_(float(channel % 4 + 1))  # type: ignore[index]
            network[4].weight[:, channel].fill_(1.0)  # type: ignore[index]
    kept = prune(network, 0.5, 8)[0].weight[:, 0, 0, 0]  # type: ignore[index]
    assert kept.min() >= 3


def test_the_same_weights_are_pruned_to_the_same_shape() -> None:
    network = small("test_resnet")
    one, other = prune(network, 0.5, SIDE).state_dict(), prune(network, 0.5, SIDE).state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_an_architecture_that_cannot_be_pruned_is_one_line() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 8, 3)
            self.head = nn.Linear(8, 2)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.convolution(image).mean(dim=(2, 3)).reshape(-1, 8))
            return logits

    with pytest.raises(NetworkError, match=r"student\.prune: ") as caught:
        prune(Fixed(), 0.5, 16)
    assert "\n" not in str(caught.value)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", lambda name, *rest: _without(name, real, *rest))
    with pytest.raises(NetworkError, match=r"pip install 'thumbnet\[pruning\]'"):
        prune(small("test_resnet"), 0.5, SIDE)


@pytest.mark.parametrize(
    "change",
    [{"conv1.weight": [10**6, 3, 3, 3]}, {"conv1.weight": [0, 3, 3, 3]}, {"conv1.weight": [4]}, {"other": [1]}],
)
def test_a_shape_that_is_none_of_this_architecture_is_refused(change: Mapping[str, Any]) -> None:
    network = small("resnet18")
    with pytest.raises(CheckpointError, match="copy the bundle again"):
        take_shapes(network, {**shapes_of(network), **change})


def _without(name: str, real: Any, *rest: Any) -> Any:
    if name == "torch_pruning":
        raise ModuleNotFoundError(name)
    return real(name, *rest)
