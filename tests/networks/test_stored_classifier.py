"""A teacher from a file: its makers' thousand classes, or those of a run of ours, whatever the data's are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data import ImageNetInfo
from torch import nn

from thumbnet.config import TrainSettings
from thumbnet.errors import CheckpointError, NetworkError
from thumbnet.networks.adapters import fit_to_side
from thumbnet.networks.architectures import build_classifier
from thumbnet.networks.assembly import BuiltTeacher, assemble_teacher_training, build_teacher
from thumbnet.networks.weights import weights_as_bytes

FactoryModule = Callable[[str], str]
NAMES = tuple(ImageNetInfo().label_names())
# Ten folders of ImageNet, by WordNet number, and not in the order of the makers' outputs.
OUTPUTS = (701, 0, 217, 482, 491, 497, 566, 569, 571, 574)
TEN = tuple(NAMES[output] for output in OUTPUTS)
IMAGE = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)


@pytest.fixture(scope="module")
def makers() -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = timm.create_model("test_resnet")
    return network.eval()


@pytest.fixture(params=[".safetensors", ".pth"])
def makers_file(makers: nn.Module, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """As timm's hub has them: weights, and not a word about classes."""
    file = tmp_path / f"makers{request.param}"
    (save_file if request.param == ".safetensors" else torch.save)(makers.state_dict(), file)
    return file


def settings(weights: Path, teacher: str = "timm/test_resnet", **changes: Any) -> TrainSettings:
    given = {"teacher_weights": str(weights), "image_side": 32, **changes}
    return TrainSettings(teacher=teacher, data="none", output="none", **given)


def answers(built: BuiltTeacher) -> torch.Tensor:
    logits: torch.Tensor = built.classifier.network.eval()(IMAGE)
    return logits


def body(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}


def test_ten_folders_of_imagenet_are_among_the_makers_thousand(makers: nn.Module, makers_file: Path) -> None:
    built = build_teacher(settings(makers_file), TEN)
    assert built.classes == NAMES
    assert built.warnings == ()
    assert torch.equal(answers(built), makers(IMAGE))


def test_the_makers_thousand_classes_are_cut_to_the_datas_by_wordnet_number(
    makers: nn.Module, makers_file: Path
) -> None:
    built = build_teacher(settings(makers_file, teacher_classes="data"), TEN)
    assert built.classes == TEN
    torch.testing.assert_close(answers(built), makers(IMAGE)[:, OUTPUTS])


def test_a_teacher_is_fine_tuned_from_the_makers_file_with_a_new_nearly_silent_head(
    makers: nn.Module, makers_file: Path
) -> None:
    network = assemble_teacher_training(settings(makers_file), ("ant", "bee")).pair.student.network.eval()
    assert all(torch.equal(value, makers.state_dict()[name]) for name, value in body(network).items())
    assert network(IMAGE).shape == (2, 2)
    assert network.get_parameter("fc.weight").std() < 0.015


def test_the_makers_classes_that_are_not_the_datas_ask_for_fine_tuning(makers_file: Path) -> None:
    with pytest.raises(NetworkError, match=r"teacher gives 1000 classes, the data has 2 \(ant, bee, …\); fine-tune it"):
        build_teacher(settings(makers_file), ("ant", "bee"))


def test_a_file_without_names_whose_number_is_the_datas_has_the_datas_classes(tmp_path: Path) -> None:
    trained = timm.create_model("test_resnet", num_classes=2).eval()
    torch.save(trained.state_dict(), tmp_path / "own.pth")
    built = build_teacher(settings(tmp_path / "own.pth"), ("ant", "bee"))
    assert built.classes == ("ant", "bee")
    assert torch.equal(answers(built), trained(IMAGE))


def test_a_number_of_classes_that_is_neither_is_refused_with_both_shapes(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_resnet", num_classes=37).state_dict(), tmp_path / "own.pth")
    for build in (build_teacher, assemble_teacher_training):
        with pytest.raises(CheckpointError, match=r"fc\.bias is \[37\], the network's is \[2\]; check the number of"):
            build(settings(tmp_path / "own.pth"), ("ant", "bee"))


def test_a_factory_without_a_number_of_its_own_is_told_what_does_not_fit(
    tmp_path: Path, factory_module: FactoryModule
) -> None:
    source = "def build(num_classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))\n"
    name = f"{factory_module(source)}:build"
    torch.save(build_classifier(name, "random", 7).network.state_dict(), tmp_path / "own.pth")
    with pytest.raises(CheckpointError, match=r"1\.bias is \[7\], the network's is \[2\]"):
        build_teacher(settings(tmp_path / "own.pth", name), ("ant", "bee"))


def test_classes_that_a_file_names_are_put_into_the_datas_order_for_fine_tuning(tmp_path: Path) -> None:
    trained = timm.create_model("test_resnet", num_classes=3).eval()
    (tmp_path / "teacher.safetensors").write_bytes(weights_as_bytes(trained, ("cat", "bee", "ant")))
    assembly = assemble_teacher_training(settings(tmp_path / "teacher.safetensors"), ("ant", "bee"))
    torch.testing.assert_close(assembly.pair.student.network.eval()(IMAGE), trained(IMAGE)[:, [2, 1]])


@pytest.mark.parametrize("side", [160, 80])
def test_positions_of_the_makers_side_or_of_the_image_side_come_with_the_makers_classes(
    tmp_path: Path, side: int
) -> None:
    trained = timm.create_model("test_vit").eval()
    fit_to_side(trained, side)
    torch.save(trained.state_dict(), tmp_path / "makers.pth")
    built = build_teacher(settings(tmp_path / "makers.pth", "timm/test_vit", image_side=80), TEN)
    fit_to_side(trained, 80)
    assert torch.equal(built.classifier.network.get_parameter("pos_embed"), trained.get_parameter("pos_embed"))


def test_a_file_of_a_network_trained_without_classes_gets_its_first_head_for_fine_tuning(
    tmp_path: Path, factory_module: FactoryModule
) -> None:
    source = "import timm\ndef build():\n    return timm.create_model('test_resnet', num_classes=0)\n"
    name = f"{factory_module(source)}:build"
    trained = timm.create_model("test_resnet", num_classes=0)
    torch.save(trained.state_dict(), tmp_path / "features.pth")
    network = assemble_teacher_training(settings(tmp_path / "features.pth", name), TEN).pair.student.network.eval()
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in body(network).items())
    assert network(IMAGE).shape == (2, 10)
