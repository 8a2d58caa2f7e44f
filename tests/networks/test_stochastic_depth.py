"""Stochastic depth: rises with depth, in training only, and without a trace in the weights."""

import pytest
import timm
import torch
from timm.layers import DropPath
from torch import nn
from torchvision import models
from torchvision.ops import StochasticDepth

from thumbnet.errors import NetworkError
from thumbnet.networks.stochastic_depth import set_drop_path


@pytest.mark.parametrize("name", ["resnet18", "test_efficientnet", "test_vit", "test_convnext", "resnet50d"])
def test_timms_networks_get_rising_rates_and_keep_their_weights_and_answers(name: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=2).eval()
    image = torch.rand(2, 3, 160, 160)
    answer, weights = network(image), list(network.state_dict())
    set_drop_path(network, 0.3)
    rates = [module.drop_prob for module in network.modules() if isinstance(module, DropPath)]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (0.0, 0.3)
    assert list(network.state_dict()) == weights
    assert torch.equal(network(image), answer)


def test_torchvisions_rates_are_set_anew() -> None:
    network = models.efficientnet_b0()
    set_drop_path(network, 0.5)
    rates = [module.p for module in network.modules() if isinstance(module, StochasticDepth)]
    assert (rates[0], rates[-1]) == (0.0, 0.5)
    assert rates == sorted(rates)


def test_in_training_blocks_are_skipped_at_random() -> None:
    torch.manual_seed(0)
    network = timm.create_model("resnet18", num_classes=2)
    # Batch statistics aside, nothing else in this network draws.
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
            nn.init.ones_(module.weight)  # the last of each block starts at 0, and skipping it would change nothing
    network.train()
    image = torch.rand(4, 3, 32, 32)
    assert torch.equal(network(image), network(image))
    set_drop_path(network, 0.5)
    assert not torch.equal(network(image), network(image))


def test_a_network_without_blocks_to_skip_says_so(tiny_classifier: nn.Module) -> None:
    with pytest.raises(NetworkError, match=r"student\.drop_path: the network has no blocks to skip; leave it out"):
        set_drop_path(tiny_classifier, 0.1)
    with pytest.raises(NetworkError, match="no blocks to skip"):
        set_drop_path(models.resnet18(), 0.1)
