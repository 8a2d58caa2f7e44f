"""The bound of all information: every pixel is there, and the student starts where it can use none or all of them."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.config import DownscalerSettings, StudentSettings, TrainSettings
from thumbnet.data.preprocessing import normalise
from thumbnet.errors import NetworkError
from thumbnet.networks.adapters import fit_to_side
from thumbnet.networks.assembly import assemble
from thumbnet.networks.downscaler import FixedDownscaler, to_8bit
from thumbnet.networks.first_layers import first_layers
from thumbnet.networks.space_to_depth import (
    AllInformation,
    start_at_finer_pixels,
    statistics_of,
    widen_first_layer,
)
from thumbnet.networks.student import fit_student
from thumbnet.profiling import count_macs

BOUND = DownscalerSettings(kind="all_information")


def test_the_thumbnail_comes_first_and_every_pixel_after_it() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 12, 8)
    everything = AllInformation(4)(image)
    assert torch.equal(everything[:, :3], FixedDownscaler(4, "bicubic")(image))
    blocks = everything[:, 3:].view(2, 3, 4, 4, 3, 2)  # colour, row and column in the block, row and column of blocks
    for row, column in ((0, 0), (5, 3), (11, 7)):
        assert torch.equal(blocks[:, :, row % 4, column % 4, row // 4, column // 4], image[:, :, row, column])


def test_every_channel_has_the_statistics_of_its_colour() -> None:
    mean, std = (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)
    assert statistics_of(mean, 3) == mean
    image = torch.rand(1, 3, 8, 8)
    spread = AllInformation(2)(normalise(image, mean, std).clamp(0, 1))[:, 3:]
    everything = normalise(AllInformation(2)(image), statistics_of(mean, 15), statistics_of(std, 15))
    assert torch.allclose(everything[:, 3:].clamp(0, 1), spread)


@pytest.mark.parametrize(
    "name", ["resnet18", "tf_efficientnet_lite0", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto"]
)
def test_a_widened_network_answers_as_before_and_can_learn_the_rest(name: str) -> None:
    torch.manual_seed(0)
    sided = {"img_size": 32} if name.startswith("vit") else {}
    network = timm.create_model(name, num_classes=4, **sided).eval()
    wide = copy.deepcopy(network)
    widen_first_layer(wide, 51, 32)
    everything = torch.rand(2, 51, 32, 32)
    assert torch.allclose(wide(everything), network(everything[:, :3]), atol=1e-5)
    wide(everything).square().mean().backward()
    widened = [parameter for parameter in wide.parameters() if parameter.dim() == 4 and parameter.shape[1] == 51]
    assert len(widened) == 1
    assert widened[0].grad is not None
    assert widened[0].grad[:, 3:].any()


def test_branches_that_read_the_same_thumbnail_are_widened_together() -> None:
    torch.manual_seed(0)
    network = timm.create_model("repvgg_a0", num_classes=4).eval()
    wide = copy.deepcopy(network)
    widen_first_layer(wide, 15, 32)
    everything = torch.rand(2, 15, 32, 32)
    assert torch.allclose(wide(everything), network(everything[:, :3]), atol=1e-4)
    assert sum(parameter.dim() == 4 and parameter.shape[1] == 15 for parameter in wide.parameters()) == 2


def test_later_layers_of_three_channels_stay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    widen_first_layer(network, 15, 8)
    assert [layer.in_channels for layer in network if isinstance(layer, nn.Conv2d)] == [15, 3]


def test_widening_leaves_mode_and_buffers_and_three_channels_as_they_are() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()
    before = copy.deepcopy(network.state_dict())
    widen_first_layer(network, 3, 8)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    widen_first_layer(network, 15, 8)
    assert network.training
    assert network[1].training
    assert torch.equal(network[1].running_mean, before["1.running_mean"])


def test_only_the_first_layers_compute_grows_and_by_its_channels(efficientnet_lite0: nn.Module) -> None:
    wide = copy.deepcopy(efficientnet_lite0)
    widen_first_layer(wide, 51, 56)
    added = 28 * 28 * 32 * 9 * 48  # positions · outputs · kernel · new channels
    assert count_macs(wide, 56, 51) == count_macs(efficientnet_lite0, 56) + added


class Standardised(nn.Conv2d):
    def forward(self, planes: Tensor) -> Tensor:
        flat = self.weight.flatten(1)
        weight = (self.weight - flat.mean(1).view(-1, 1, 1, 1)) / flat.std(1).view(-1, 1, 1, 1)
        return nn.functional.conv2d(planes, weight)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 1), nn.Flatten()), "no convolution takes the three"),
        (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.Flatten()), "takes no other input"),
        (nn.Sequential(Standardised(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "does not answer as before"),
    ],
)
def test_a_network_that_cannot_be_widened_is_refused_with_the_reason(network: nn.Module, reason: str) -> None:
    with pytest.raises(NetworkError, match=reason):
        widen_first_layer(network, 15, 8)


@pytest.mark.parametrize("ratio", [2, 4])
@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "convnext_atto", "vit_tiny_patch16_224"])
def test_a_finer_student_of_all_pixels_starts_as_the_network_on_a_finer_picture(name: str, ratio: int) -> None:
    torch.manual_seed(0)
    sided = {"img_size": 128} if name.startswith("vit") else {}
    network = timm.create_model(name, num_classes=4, **sided).eval()
    network.get_classifier().weight.data.normal_()
    student, image = copy.deepcopy(network), torch.rand(1, 3, 128, 128)
    before = first_layers(student, 128)
    fit_student(student, StudentSettings(keep_stem_resolution=True), 128, 128 // ratio)
    widen_first_layer(student, 3 + 3 * ratio**2, 128 // ratio)
    everything = AllInformation(ratio)(image)
    on_the_thumbnail = student(everything)
    start_at_finer_pixels(student, before, ratio)
    finer = functional.avg_pool2d(image, ratio // 2)
    fit_to_side(network, finer.shape[-1])
    expected = network(finer)  # at ratio 2 the network on the image itself
    assert torch.allclose(student(everything), expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(on_the_thumbnail, expected, rtol=1e-2, atol=1e-2)


def test_every_branch_of_a_first_layer_starts_at_finer_pixels() -> None:
    torch.manual_seed(0)
    network = timm.create_model("repvgg_a0", num_classes=4).eval()
    student = copy.deepcopy(network)
    before = first_layers(student, 64)
    fit_student(student, StudentSettings(keep_stem_resolution=True), 64, 16)
    widen_first_layer(student, 51, 16)
    start_at_finer_pixels(student, before, 4)
    image = torch.rand(1, 3, 64, 64)
    everything, finer = AllInformation(4)(image), functional.avg_pool2d(image, 2)
    assert len(before) == 2
    for name, layer in before.items():
        assert torch.allclose(student.get_submodule(name)(everything), layer(finer), atol=1e-5)


def test_a_first_layer_that_is_not_square_starts_at_finer_pixels() -> None:
    torch.manual_seed(0)
    first = nn.Conv2d(3, 4, (3, 5), stride=2, padding=(1, 2))
    network = nn.Sequential(first, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    before = first_layers(network, 32)
    first.stride = (1, 1)
    widen_first_layer(network, 51, 8)
    start_at_finer_pixels(network, before, 4)
    image = torch.rand(1, 3, 32, 32)
    assert torch.allclose(first(AllInformation(4)(image)), before["0"](functional.avg_pool2d(image, 2)), atol=1e-5)


@pytest.mark.parametrize(("ratio", "finer"), [(4, False), (3, True)])
def test_the_start_stays_where_no_finer_picture_has_the_students_features(ratio: int, finer: bool) -> None:
    network = timm.create_model("resnet18", num_classes=4)
    before = first_layers(network, 96)
    fit_student(network, StudentSettings(keep_stem_resolution=finer), 96, 96 // ratio)
    widen_first_layer(network, 3 + 3 * ratio**2, 96 // ratio)
    weight = network.conv1.weight.detach().clone()
    start_at_finer_pixels(network, before, ratio)
    assert torch.equal(network.conv1.weight, weight)


def test_a_finer_run_of_the_bound_starts_at_finer_pixels() -> None:
    settings = TrainSettings(
        teacher="tiny_networks:two_stages",
        data="none",
        output="none",
        image_side=32,
        ratio=2,
        downscaler=BOUND,
        student=StudentSettings(keep_stem_resolution=True),
    )
    assembly = assemble(settings, ("ant", "bee"), tap_features=False)
    image = to_8bit(torch.rand(2, 3, 32, 32))
    teacher_logits, _ = assembly.teacher(normalise(image, assembly.preprocessing.mean, assembly.preprocessing.std))
    assert torch.allclose(assembly.pair.eval()(image).logits, teacher_logits, atol=1e-5)


def test_the_student_of_the_bound_starts_at_the_answers_for_bicubic_thumbnails() -> None:
    answers = []
    image = to_8bit(torch.rand(2, 3, 32, 32))
    for chosen in (BOUND, DownscalerSettings(kind="bicubic")):
        settings = TrainSettings(
            teacher="tiny_networks:two_stages", data="none", output="none", image_side=32, downscaler=chosen
        )
        pair = assemble(settings, ("ant", "bee"), tap_features=False).pair.eval()
        output = pair(image)
        assert output.thumbnail.shape == (2, 3, 8, 8)
        answers.append(output)
    assert torch.equal(answers[0].thumbnail, answers[1].thumbnail)
    assert torch.allclose(answers[0].logits, answers[1].logits, atol=1e-6)
