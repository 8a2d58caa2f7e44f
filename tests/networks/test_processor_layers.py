"""On a processor some convolutions are computed in another way, and nothing else comes out."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.networks.processor_layers import PaddedFirst, SubsampledFirst, fit_to_processor, gains_on_processor
from thumbnet.networks.synchronised_norm import view_of


@pytest.mark.parametrize("side", [(1, 1), (2, 2), (3, 3), (4, 4), (1, 4), (2, 7), (9, 9)])
@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
@pytest.mark.parametrize("kernel", [3, 5, 7, (3, 5)])
def test_padded_first_values_and_gradients_are_pytorchs(
    side: tuple[int, int], stride: int | tuple[int, int], kernel: int | tuple[int, int]
) -> None:
    half = tuple(each // 2 for each in kernel) if isinstance(kernel, tuple) else kernel // 2
    torch.manual_seed(0)
    convolution = nn.Conv2d(6, 12, kernel, stride, half, groups=6)
    image = torch.randn(2, 6, *side)
    expected = gradients(convolution, image)
    padded = fit_to_processor(copy.deepcopy(convolution))
    assert isinstance(padded, PaddedFirst)
    for own, other in zip(gradients(padded, image), expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [(1, 1), (7, 8), (9, 4)])
@pytest.mark.parametrize("stride", [2, 3, (2, 1)])
def test_subsampled_first_values_and_gradients_are_pytorchs(
    side: tuple[int, int], stride: int | tuple[int, int]
) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 12, 1, stride)
    image = torch.randn(2, 3, *side)
    # PyTorch's own backward pass of this layer may crash: the reference is the same layer on the pixels that it sees.
    down, across = convolution.stride
    expected = convolution(image)
    subsampled = fit_to_processor(copy.deepcopy(convolution))
    assert isinstance(subsampled, SubsampledFirst)
    output, seen, weight_gradient, bias_gradient = gradients(subsampled, image)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    upstream = torch.linspace(-1, 1, output.numel()).view_as(output)
    looked_at = image[..., ::down, ::across]
    assert torch.count_nonzero(seen) <= looked_at.numel()
    torch.testing.assert_close(weight_gradient[..., 0, 0], torch.einsum("bohw,bchw->oc", upstream, looked_at))
    torch.testing.assert_close(bias_gradient, upstream.sum((0, 2, 3)))


def gradients(convolution: nn.Conv2d, image: Tensor) -> list[Tensor]:
    values = image.clone().requires_grad_(True)
    output = convolution(values)
    (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    found = [output, values.grad, convolution.weight.grad, convolution.bias.grad if convolution.bias is not None else 0]
    convolution.zero_grad()
    return [each for each in found if isinstance(each, Tensor)]


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(6, 6, 3, padding=1),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6),
        nn.Conv2d(6, 6, 3, padding="same", groups=6),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.Conv2d(6, 6, 4, padding=2, groups=6),
        nn.Conv2d(6, 6, 3, padding=1, groups=6, padding_mode="reflect"),
        nn.Conv2d(6, 6, 1, groups=6),
        nn.Conv2d(3, 6, 1),
        nn.Conv2d(64, 6, 1, stride=2),
        nn.Conv1d(6, 6, 3, padding=1, groups=6),
    ],
)
def test_every_other_convolution_stays_as_it_is(other: nn.Module) -> None:
    assert not gains_on_processor(other)
    kind = type(other)
    assert type(fit_to_processor(other)) is kind


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0"])
def test_networks_that_begin_with_single_pixels_train(name: str) -> None:
    network = timm.create_model(name, num_classes=2).to(memory_format=torch.channels_last)
    view = fit_to_processor(view_of(network))
    assert any(isinstance(layer, SubsampledFirst) for layer in view.modules())
    image = torch.rand(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    for _ in range(3):
        view(image).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_large_features_are_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    convolution = fit_to_processor(nn.Conv2d(4, 4, 5, padding=2, groups=4))
    monkeypatch.setattr(functional, "pad", None)
    assert convolution(torch.rand(1, 4, 5, 5)).shape == (1, 4, 5, 5)


def test_a_view_trains_the_network_itself_and_the_networks_hooks_still_see_it() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 5, padding=2, groups=4), nn.Flatten())
    seen: list[int] = []
    network[0].register_forward_hook(lambda *_: seen.append(1))
    view = fit_to_processor(view_of(network))
    view(torch.rand(1, 4, 2, 2)).sum().backward()
    assert seen
    assert network[0].weight.grad is not None
    assert type(network[0]) is nn.Conv2d
    assert list(view.state_dict()) == list(network.state_dict())
