"""From settings to the networks of a run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from thumbnet.config import FeatureMappingSettings, StudentSettings, TrainSettings, ViewSettings
from thumbnet.errors import CheckpointError, ConfigError, NetworkError
from thumbnet.networks.assembly import assemble, assemble_teacher_training
from thumbnet.networks.downscaler import ResidualDownscaler
from thumbnet.networks.weights import LABELS_KEY

FactoryModule = Callable[[str], str]
CLASSES = ("ant", "bee", "cat", "dog")
FACTORIES = """
def conv(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())

def four_classes(pretrained=False):
    return nn.Sequential(conv(3, 8), conv(8, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))

class TwoHeads(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.first, self.second = nn.Linear(3, classes), nn.Linear(3, classes)

    def forward(self, image):
        return self.first(image.mean(dim=(2, 3))) + self.second(image.mean(dim=(2, 3)))

def two_heads(num_classes=4):
    return TwoHeads(num_classes)

class ThreeStages(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.Sequential(conv(3, 4), conv(4, 8), conv(8, 24))
        self.head = nn.Linear(24, 4)

    def forward(self, image):
        return self.head(self.stages(image).mean(dim=(2, 3)))

def three_stages():
    return ThreeStages()

def padded_for_one_size():
    stages = [nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 3, 3, stride=2)) for _ in range(3)]
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
"""


@pytest.fixture
def factories(factory_module: FactoryModule) -> str:
    torch.manual_seed(0)
    return factory_module(FACTORIES)


def settings(factories: str, factory: str = "four_classes", **changes: Any) -> TrainSettings:
    given = {"teacher_weights": "random", "image_side": 32, **changes}
    return TrainSettings(teacher=f"{factories}:{factory}", data="photos", output="run", **given)


def test_teacher_is_frozen_and_the_pair_starts_from_its_weights(factories: str) -> None:
    assembly = assemble(settings(factories), CLASSES, tap_features=True)
    assert not any(parameter.requires_grad for parameter in assembly.teacher.parameters())
    assert all(parameter.requires_grad for parameter in assembly.pair.parameters())
    weights = assembly.teacher.tapped.network.state_dict()
    assert all(torch.equal(v, weights[name]) for name, v in assembly.pair.student.network.state_dict().items())
    assert isinstance(assembly.pair.downscaler, ResidualDownscaler)


def test_decoded_features_fit_the_teachers(factories: str) -> None:
    assembly = assemble(settings(factories), CLASSES, tap_features=True)
    image = torch.rand(2, 3, 32, 32)
    output = assembly.pair(image)
    _, features = assembly.teacher(image)
    assert output.thumbnail.shape == (2, 3, 8, 8)
    assert {layer: v.shape for layer, v in output.decoded.items()} == {layer: v.shape for layer, v in features.items()}
    assert assembly.feature_shapes == {"1": (16, 8, 8)}


def test_the_users_layers_are_tapped_in_both_networks(factories: str) -> None:
    chosen = settings(factories, feature_mapping=FeatureMappingSettings(layers=("0", "1.0")))
    assembly = assemble(chosen, CLASSES, tap_features=True)
    assert assembly.teacher.tapped.layers == assembly.pair.student.layers == ("0", "1.0")
    assert assembly.feature_shapes == {"0": (8, 16, 16), "1.0": (16, 8, 8)}


def test_nothing_is_tapped_where_no_loss_looks_at_features(factories: str) -> None:
    assembly = assemble(settings(factories), CLASSES, tap_features=False)
    assert assembly.feature_shapes == {}
    assert not list(assembly.pair.feature_mapping.parameters())
    assert assembly.pair(torch.rand(2, 3, 32, 32)).features == {}


@pytest.mark.parametrize(("side", "nearest"), [(33, 32), (35, 36), (3, 4)])
def test_a_ratio_that_does_not_divide_the_side_is_told_the_nearest_side(
    factories: str, side: int, nearest: int
) -> None:
    with pytest.raises(
        ConfigError, match=f"ratio 4 does not divide the image side {side} px; give --image-side {nearest}"
    ):
        assemble(settings(factories, image_side=side), CLASSES, tap_features=True)


def test_another_ratio_to_train_at_that_does_not_divide_the_side_is_to_be_left_out(factories: str) -> None:
    chosen = settings(factories, student=StudentSettings(extra_ratios=(3,)))
    message = r"student\.extra_ratios: ratio 3 does not divide the image side 32 px; leave out 3"
    with pytest.raises(ConfigError, match=message):
        assemble(chosen, CLASSES, tap_features=False)


def test_a_teacher_that_does_not_say_its_side_asks_for_it(factories: str) -> None:
    with pytest.raises(NetworkError, match=r"does not say the side of its input; give --image-side, e\.g\. 224"):
        assemble(settings(factories, image_side=None), CLASSES, tap_features=True)


def test_side_and_crop_share_of_the_user_win(factories: str) -> None:
    chosen = settings(factories, views=ViewSettings(crop_share=0.5))
    preprocessing = assemble(chosen, CLASSES, tap_features=False).preprocessing
    assert (preprocessing.image_side, preprocessing.crop_share) == (32, 0.5)


def test_a_pretrained_teacher_keeps_its_classes_so_that_a_wrong_number_is_found(factories: str) -> None:
    with pytest.raises(NetworkError, match="teacher gives 4 classes, the data has 2"):
        assemble(settings(factories, teacher_weights="pretrained"), ("ant", "bee"), tap_features=True)


def test_a_teachers_weights_come_from_the_users_file(factories: str, tmp_path: Path) -> None:
    first = assemble(settings(factories), CLASSES, tap_features=False).teacher.tapped.network
    torch.save(first.state_dict(), tmp_path / "teacher.pth")
    chosen = settings(factories, teacher_weights=str(tmp_path / "teacher.pth"))
    for assembly in (assemble(chosen, CLASSES, tap_features=False), assemble_teacher_training(chosen, CLASSES)):
        loaded = assembly.pair.student.network.state_dict()
        assert all(torch.equal(value, loaded[name]) for name, value in first.state_dict().items())
        assert assembly.warnings == ()
    with pytest.raises(CheckpointError, match="no file at"):
        assemble(settings(factories, teacher_weights="absent.pth"), CLASSES, tap_features=False)


def test_a_random_teacher_and_baked_padding_are_warned_about(factories: str) -> None:
    chosen = settings(
        factories, "padded_for_one_size", image_side=56, feature_mapping=FeatureMappingSettings(layers=("2",))
    )
    random, padding = assemble(chosen, CLASSES, tap_features=True).warnings
    assert "the teacher's weights are random" in random
    assert "its padding is made for one input size" in padding


def test_baked_padding_is_warned_about_at_a_kept_stem_resolution_too(factories: str) -> None:
    chosen = settings(
        factories,
        "padded_for_one_size",
        image_side=56,
        feature_mapping=FeatureMappingSettings(layers=("2",)),
        student=StudentSettings(keep_stem_resolution=True),
    )
    assert "are 3 px wide, not 4" in assemble(chosen, CLASSES, tap_features=True).warnings[-1]


def test_a_kept_stem_resolution_is_no_reason_to_warn(factories: str) -> None:
    chosen = settings(factories, student=StudentSettings(keep_stem_resolution=True))
    assembly = assemble(chosen, CLASSES, tap_features=True)
    assert len(assembly.warnings) == 1
    assert assembly.pair(torch.rand(2, 3, 32, 32)).features["1"].shape == (2, 16, 4, 4)


def test_teacher_training_feeds_the_image_itself_to_the_whole_classifier(factories: str) -> None:
    assembly = assemble_teacher_training(settings(factories), ("ant", "bee"))
    image = torch.rand(2, 3, 32, 32).mul(255).round() / 255
    output = assembly.pair(image)
    assert torch.equal(output.thumbnail, image)
    assert output.logits.shape == (2, 2)
    assert isinstance(assembly.pair.downscaler, nn.Identity)
    assert all(parameter.requires_grad for parameter in assembly.pair.student.parameters())


def labelled_weights(factories: str, tmp_path: Path, factory: str = "four_classes") -> Path:
    """A file of the teacher's weights that says what its four outputs are."""
    network = assemble(settings(factories, factory), CLASSES, tap_features=False).teacher.tapped.network
    file = tmp_path / "teacher.safetensors"
    save_file(network.state_dict(), file, metadata={LABELS_KEY: json.dumps(CLASSES)})
    return file


def test_a_teacher_of_many_classes_is_cut_to_those_of_the_data(factories: str, tmp_path: Path) -> None:
    weights = str(labelled_weights(factories, tmp_path))
    image = torch.rand(3, 3, 32, 32)
    whole = assemble(settings(factories, teacher_weights=weights), ("cat", "ant"), tap_features=True)
    assert whole.classes == CLASSES
    cut = assemble(
        settings(factories, teacher_weights=weights, teacher_classes="data"), ("cat", "ant"), tap_features=True
    )
    assert cut.classes == ("cat", "ant")
    torch.testing.assert_close(cut.teacher(image)[0], whole.teacher(image)[0][:, [2, 0]])
    student, teacher = cut.pair.student.network.state_dict(), cut.teacher.tapped.network.state_dict()
    assert all(torch.equal(values, teacher[name]) for name, values in student.items())


def test_a_teacher_with_a_head_that_is_not_found_is_not_cut(factories: str, tmp_path: Path) -> None:
    weights = str(labelled_weights(factories, tmp_path, "two_heads"))
    chosen = settings(factories, "two_heads", teacher_weights=weights, teacher_classes="data")
    with pytest.raises(NetworkError, match=r"teacher cannot run .*several heads, a factory that takes num_classes"):
        assemble(chosen, ("cat", "ant"), tap_features=False)


def test_the_datas_order_is_kept_where_all_classes_are(factories: str, tmp_path: Path) -> None:
    weights = str(labelled_weights(factories, tmp_path))
    image = torch.rand(3, 3, 32, 32)
    whole = assemble(settings(factories, teacher_weights=weights), CLASSES, tap_features=False)
    turned = assemble(
        settings(factories, teacher_weights=weights, teacher_classes="data"), CLASSES[::-1], tap_features=False
    )
    torch.testing.assert_close(turned.teacher(image)[0], whole.teacher(image)[0].flip(1))


def test_cutting_needs_classes_of_the_datas_own(factories: str) -> None:
    with pytest.raises(ConfigError, match="teacher_classes is data, but must be all with --class-map"):
        settings(factories, teacher_classes="data", class_map="classes.txt")
    with pytest.raises(ConfigError, match="teacher_classes is data, but must be all with --unlabelled"):
        settings(factories, teacher_classes="data", unlabelled=True)


def other_student(factories: str, **changes: Any) -> TrainSettings:
    student = StudentSettings(network=f"{factories}:three_stages", weights="random")
    return settings(factories, **{"student": student, **changes})


def test_features_of_another_network_are_decoded_from_the_end_of_its_own_last_stage(factories: str) -> None:
    assembly = assemble(other_student(factories), CLASSES, tap_features=True)
    assert (assembly.teacher.tapped.layers, assembly.pair.student.layers) == (("1",), ("stages",))
    output = assembly.pair(torch.rand(2, 3, 32, 32))
    assert output.logits.shape == (2, 4)
    # By the teacher's names, as the losses read them.
    assert {layer: value.shape for layer, value in output.features.items()} == {"1": (2, 24, 1, 1)}
    assert {layer: value.shape for layer, value in output.decoded.items()} == {"1": (2, 16, 8, 8)}


def test_the_users_layers_of_another_network_are_paired_in_order(factories: str) -> None:
    mapping = FeatureMappingSettings(layers=("0", "1"), student_layers=("stages.0", "stages.1"))
    assembly = assemble(other_student(factories, feature_mapping=mapping), CLASSES, tap_features=True)
    output = assembly.pair(torch.rand(2, 3, 32, 32))
    assert {layer: value.shape for layer, value in output.features.items()} == {"0": (2, 4, 4, 4), "1": (2, 8, 2, 2)}
    assert {layer: value.shape for layer, value in output.decoded.items()} == {"0": (2, 8, 16, 16), "1": (2, 16, 8, 8)}


def test_layers_of_the_teacher_alone_ask_for_the_students(factories: str) -> None:
    named = FeatureMappingSettings(layers=("0",))
    with pytest.raises(NetworkError, match=r"the student has no 0; give --feature_mapping\.student_layers as well"):
        assemble(other_student(factories, feature_mapping=named), CLASSES, tap_features=True)
    flat = FeatureMappingSettings(layers=("0",), student_layers=("head",))
    with pytest.raises(NetworkError, match=r"feature_mapping\.student_layers: 'head' of the student gives no channels"):
        assemble(other_student(factories, feature_mapping=flat), CLASSES, tap_features=True)
    absent = FeatureMappingSettings(layers=("0",), student_layers=("stages.9",))
    with pytest.raises(NetworkError, match=r"no layer 'stages.9'|'stages.9' of the student gives no"):
        assemble(other_student(factories, feature_mapping=absent), CLASSES, tap_features=True)


def test_another_network_is_normalised_in_its_own_way(factories: str) -> None:
    chosen = StudentSettings(network="timm/test_resnet", weights="random")
    assembly = assemble(settings(factories, student=chosen), CLASSES, tap_features=False)
    assert assembly.preprocessing.mean == (0.485, 0.456, 0.406)
    assert assembly.pair.mean == (0.5, 0.5, 0.5)
    image = torch.rand(2, 3, 32, 32)
    pair = assembly.pair.eval()
    output = pair(image)
    assert torch.allclose(output.logits, pair.student.network((output.thumbnail - 0.5) / 0.5))


def test_settings_of_training_reach_the_student(factories: str) -> None:
    chosen = StudentSettings(network="timm/test_resnet", weights="random", drop_path=0.2, trainable="norms_and_head")
    network = assemble(settings(factories, student=chosen), CLASSES, tap_features=False).pair.student.network
    assert max(getattr(module, "drop_prob", 0.0) or 0.0 for module in network.modules()) == 0.2
    assert not network.get_parameter("conv1.0.weight").requires_grad
    assert network.get_parameter("fc.weight").requires_grad
