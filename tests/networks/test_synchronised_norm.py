"""A view trains the very network it was made of; synchronised over one process, batch norm is batch norm."""

import copy
from collections.abc import Iterator

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import distributed, nn

from thumbnet.networks.synchronised_norm import SynchronisedNorm, synchronise, view_of


@pytest.fixture
def one_process() -> Iterator[None]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), BatchNormAct2d(4, momentum=None))


@pytest.mark.parametrize("training", [True, False])
def test_over_one_process_it_is_batch_norm(training: bool, one_process: None) -> None:
    plain = network()
    other = copy.deepcopy(plain)
    view = synchronise(view_of(other), torch.device("cpu"))
    assert sum(isinstance(module, SynchronisedNorm) for module in view.modules()) == 2
    plain.train(training)
    view.train(training)
    image = torch.rand(5, 3, 12, 12)
    for _ in range(2):
        expected, found = plain(image), view(image)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        expected.square().sum().backward()
        found.square().sum().backward()
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, msg=name)
    for expected_parameter, parameter in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected_parameter.grad, rtol=1e-3, atol=1e-3)


def test_a_view_shares_every_tensor_and_leaves_the_network_an_ordinary_one() -> None:
    plain = network()
    names = list(plain.state_dict())
    view = synchronise(view_of(plain), torch.device("cpu"))
    pointers = {tensor.data_ptr() for tensor in (*plain.parameters(), *plain.buffers())}
    assert {tensor.data_ptr() for tensor in (*view.parameters(), *view.buffers())} == pointers
    assert not any(isinstance(module, SynchronisedNorm) for module in plain.modules())
    assert list(plain.state_dict()) == names
