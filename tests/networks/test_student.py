"""S: the teacher's copy at thumbnail size."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from thumbnet.config import StudentSettings
from thumbnet.errors import NetworkError
from thumbnet.networks.student import (
    fit_student,
    freeze_all_but_norms_and_head,
    in_words,
    make_student,
    padding_warning,
    smallest_side,
)
from thumbnet.networks.taps import trace_layers
from thumbnet.profiling import count_macs, count_parameters

PLAIN = StudentSettings()
FINE = StudentSettings(keep_stem_resolution=True)


def valid_convolutions() -> nn.Module:
    """Three 5×5 convolutions without padding: the smallest side is 13 px."""
    convolutions = [nn.Conv2d(3 if i == 0 else 4, 4, 5) for i in range(3)]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def padded_for_one_size() -> nn.Sequential:
    """Five strided layers with "same" padding as 224 px needs it, like efficientnet_pytorch's."""
    stages = [nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 3, 3, stride=2)) for _ in range(5)]
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("settings", [PLAIN, FINE])
def test_student_has_the_teachers_weights(tiny_classifier: nn.Module, settings: StudentSettings) -> None:
    student = make_student(tiny_classifier, settings, 32, 8)
    assert count_parameters(student) == count_parameters(tiny_classifier)
    weights = tiny_classifier.state_dict()
    assert list(student.state_dict()) == list(weights)
    assert all(torch.equal(value, weights[name]) for name, value in student.state_dict().items())


def test_training_the_student_leaves_the_teacher_alone(tiny_classifier: nn.Module) -> None:
    before = copy.deepcopy(tiny_classifier.state_dict())
    student = make_student(tiny_classifier, FINE, 32, 8).train()
    student(torch.rand(4, 3, 8, 8)).square().sum().backward()
    torch.optim.SGD(student.parameters(), lr=1.0).step()
    assert not torch.equal(student.get_parameter("head.weight"), before["head.weight"])
    assert all(torch.equal(value, before[name]) for name, value in tiny_classifier.state_dict().items())
    assert tiny_classifier.get_submodule("stem").stride == (2, 2)


def test_student_of_a_frozen_teacher_is_trainable(tiny_classifier: nn.Module) -> None:
    student = make_student(tiny_classifier.requires_grad_(False), PLAIN, 32, 8)
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert not any(parameter.requires_grad for parameter in tiny_classifier.parameters())


@pytest.mark.parametrize(("settings", "megamacs"), [(PLAIN, 29.0), (FINE, 105.6)])
def test_efficientnet_lite0_student_at_56_pixels_costs_what_the_documents_say(
    efficientnet_lite0: nn.Module, settings: StudentSettings, megamacs: float
) -> None:
    student = make_student(efficientnet_lite0, settings, 224, 56)
    assert count_macs(student, 56) / 1e6 == pytest.approx(megamacs, abs=0.1)


def test_kept_stem_resolution_doubles_the_size_of_the_features(tiny_classifier: nn.Module) -> None:
    fine = make_student(tiny_classifier, FINE, 32, 8)
    assert fine.get_submodule("stem").stride == (1, 1)
    assert {trace.name: trace.shape for trace in trace_layers(fine, 8)}["stage"] == (16, 4, 4)
    plain = make_student(tiny_classifier, PLAIN, 32, 8)
    assert {trace.name: trace.shape for trace in trace_layers(plain, 8)}["stage"] == (16, 2, 2)


def test_kept_stem_resolution_finds_the_stride_behind_a_convolution_without_padding() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, stride=2, padding=1), nn.Conv2d(4, 4, 3, stride=2))
    fit_student(network, FINE, 32, 16)
    assert [layer.stride for layer in network] == [(1, 1), 1, (2, 2)]


def test_kept_stem_resolution_needs_a_stride() -> None:
    with pytest.raises(NetworkError, match=r"student\.keep_stem_resolution: .*no strided first layer; leave it out"):
        fit_student(valid_convolutions(), FINE, 32, 16)


def test_a_thumbnail_too_small_names_the_layer_that_broke_and_the_smallest_side() -> None:
    with pytest.raises(NetworkError) as caught:
        make_student(valid_convolutions(), PLAIN, 32, 8)
    message = str(caught.value)
    assert message.startswith("student breaks at 8×8 px in layer '1' (")
    assert "the smallest side that works is 13 px: give a smaller --ratio or a larger --image-side" in message
    assert "\n" not in message


def test_a_network_that_does_not_run_at_its_own_side_either_says_so() -> None:
    with pytest.raises(NetworkError, match="it does not run at the teacher's side either"):
        make_student(valid_convolutions(), PLAIN, 12, 6)


@pytest.mark.parametrize(("too_small", "works"), [(1, 64), (12, 13), (8, 14), (1, 13)])
def test_smallest_side_is_found_from_any_bracket(too_small: int, works: int) -> None:
    assert smallest_side(valid_convolutions(), too_small, works) == 13


def test_padding_made_for_one_size_is_warned_about_wherever_it_is() -> None:
    warning = padding_warning(fit_student(padded_for_one_size(), PLAIN, 224, 56), ratio=4)
    assert warning is not None
    assert "the student's features at '4' are 1 px wide, not 2" in warning
    assert "\n" not in warning
    only_its_first_layers = padded_for_one_size()[:1]
    assert isinstance(only_its_first_layers, nn.Module)
    assert padding_warning(fit_student(only_its_first_layers, PLAIN, 224, 56), ratio=4) is None


def test_padding_computed_for_any_size_is_not_warned_about(efficientnet_lite0: nn.Module) -> None:
    fit = fit_student(copy.deepcopy(efficientnet_lite0), PLAIN, 224, 56)
    assert sum(trace.is_map and trace.shape[-1] > 1 for trace in fit.at_image_side) > 50
    assert padding_warning(fit, ratio=4) is None


@pytest.mark.parametrize("settings", [FINE, StudentSettings(keep_stride=2), StudentSettings(dilate_last_stage=True)])
def test_what_an_option_makes_finer_is_no_lost_row(efficientnet_lite0: nn.Module, settings: StudentSettings) -> None:
    assert padding_warning(fit_student(copy.deepcopy(efficientnet_lite0), settings, 224, 56), ratio=4) is None


def test_an_upsampled_student_is_the_teacher_on_the_enlarged_thumbnail(tiny_classifier: nn.Module) -> None:
    teacher = tiny_classifier.eval()
    student = make_student(teacher, StudentSettings(upsample=True), 32, 8)
    thumbnail = torch.rand(2, 3, 8, 8)
    enlarged = functional.interpolate(thumbnail, size=(32, 32), mode="bicubic", align_corners=False)
    assert torch.equal(student(thumbnail), teacher(enlarged))
    assert torch.equal(copy.deepcopy(student)(thumbnail), student(thumbnail))
    assert count_macs(student, 8) == count_macs(teacher, 32)
    assert list(student.state_dict()) == list(teacher.state_dict())
    assert {trace.name: trace.shape for trace in trace_layers(student, 8)}["stage"] == (16, 8, 8)


def test_only_norms_and_the_head_train_and_the_statistics_adapt(tiny_classifier: nn.Module) -> None:
    before = copy.deepcopy(tiny_classifier.state_dict())
    freeze_all_but_norms_and_head(tiny_classifier.train())
    trained = {name for name, value in tiny_classifier.named_parameters() if value.requires_grad}
    assert trained == {"norm.weight", "norm.bias", "stage.1.weight", "stage.1.bias", "head.weight", "head.bias"}
    tiny_classifier(torch.rand(4, 3, 8, 8)).square().sum().backward()
    torch.optim.SGD([value for value in tiny_classifier.parameters() if value.requires_grad], lr=1.0).step()
    changed = {name for name, value in tiny_classifier.state_dict().items() if not torch.equal(value, before[name])}
    statistics = {f"{norm}.{of}" for norm in ("norm", "stage.1") for of in ("running_mean", "running_var")}
    assert changed == trained | statistics | {"norm.num_batches_tracked", "stage.1.num_batches_tracked"}


def test_a_network_without_a_head_cannot_train_its_head_alone() -> None:
    with pytest.raises(NetworkError, match=r"student\.trainable: the network has no linear last layer"):
        freeze_all_but_norms_and_head(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))


def test_what_shapes_a_student_is_said_in_words() -> None:
    assert in_words(StudentSettings(drop_path=0.1, trainable="norms_and_head")) is None
    shaped = StudentSettings(network="timm/resnet18", keep_stride=2, prune=0.5)
    assert in_words(shaped) == "network timm/resnet18, keep_stride 2, prune 0.5"
