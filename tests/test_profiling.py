"""What a network costs."""

import pytest
import torch
from torch import nn

from thumbnet.profiling import count_macs, count_parameters


def small_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


@pytest.mark.parametrize("side", [8, 16])
def test_a_mac_is_one_weight_at_one_place(side: int) -> None:
    convolution, linear = (side // 2) ** 2 * 8 * 3 * 3 * 3, 8 * 5
    assert count_macs(small_network(), side) == convolution + linear


def test_grouped_convolutions_count_their_own_channels_only() -> None:
    assert count_macs(nn.Conv2d(3, 6, 3, padding=1, groups=3), 4) == 4 * 4 * 6 * 1 * 3 * 3


def test_efficientnet_lite0_at_224_pixels_costs_what_the_documents_say() -> None:
    import timm

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=2)
    assert count_macs(network, 224) / 1e6 == pytest.approx(383.9, abs=0.1)


def test_counting_leaves_the_network_as_it_was() -> None:
    network = small_network().train()
    network.get_submodule("1").eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    count_macs(network, 8)
    assert [module.training for module in network] == [True, False, True, True, True, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_parameters_are_counted_frozen_or_not_and_buffers_are_not() -> None:
    network = small_network()
    network.get_submodule("5").requires_grad_(False)
    assert count_parameters(network) == (8 * 3 * 3 * 3 + 8) + (8 + 8) + (8 * 5 + 5)
