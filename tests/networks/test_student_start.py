"""What the student starts from: the teacher, another network, a file, or a run."""

import shutil
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from thumbnet.config import StudentSettings
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.errors import CheckpointError, NetworkError
from thumbnet.networks.adapters import fit_to_side
from thumbnet.networks.architectures import build_classifier
from thumbnet.networks.pruning import prune
from thumbnet.networks.student_start import StudentStart, start_student, weights_file
from thumbnet.networks.weights import weights_as_bytes

TEACHER = "tiny_networks:two_stages"
OTHER = "timm/test_resnet"
CLASSES = ("ant", "bee")
GREY = Preprocessing(image_side=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def start(settings: StudentSettings, name: str = TEACHER, classes: tuple[str, ...] = CLASSES) -> StudentStart:
    teacher = build_classifier(name, "random", len(classes)).network
    return start_student(teacher, name, settings, GREY, classes)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    values = other.state_dict()
    return all(torch.equal(value, values[name]) for name, value in one.state_dict().items())


def test_by_default_it_is_the_teachers_copy() -> None:
    teacher = build_classifier(TEACHER, "random", 2).network.requires_grad_(False)
    found = start_student(teacher, TEACHER, StudentSettings(), GREY, CLASSES)
    assert found.network is not teacher
    assert same_weights(found.network, teacher)
    assert all(parameter.requires_grad for parameter in found.network.parameters())
    assert (found.mean, found.std) == (GREY.mean, GREY.std)


def test_another_network_has_the_teachers_classes_and_its_own_makers_normalisation() -> None:
    found = start(StudentSettings(network=OTHER, weights="random"))
    assert found.network(torch.rand(2, 3, 32, 32)).shape == (2, 2)
    described = build_classifier(OTHER, "random").preprocessing
    assert described is not None
    assert (found.mean, found.std) == (described.mean, described.std) != (GREY.mean, GREY.std)


def test_a_network_whose_makers_say_nothing_is_normalised_as_the_teacher() -> None:
    found = start(StudentSettings(network="tiny_networks:without_dropout", weights="random"), name=OTHER)
    assert (found.mean, found.std) == (GREY.mean, GREY.std)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_of_other_classes_gives_its_body_and_a_nearly_silent_head(tmp_path: Path, suffix: str) -> None:
    makers = build_classifier(OTHER, "random").network
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(makers.state_dict(), file)
    else:
        save_file(makers.state_dict(), file)
    network = start(StudentSettings(network=OTHER, weights=str(file))).network.eval()
    body = {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}
    assert all(torch.equal(value, makers.state_dict()[name]) for name, value in body.items())
    assert network(torch.rand(1, 3, 32, 32)).shape == (1, 2)
    assert network.get_parameter("fc.weight").abs().max() < 0.1


def test_a_file_that_names_its_classes_is_put_into_the_teachers_order(tmp_path: Path) -> None:
    trained = build_classifier(TEACHER, "random", 3).network.eval()
    (tmp_path / "teacher.safetensors").write_bytes(weights_as_bytes(trained, ("cat", "bee", "ant")))
    network = start(StudentSettings(weights=str(tmp_path))).network.eval()
    image = torch.rand(2, 3, 32, 32)
    assert torch.allclose(network(image), trained(image)[:, [2, 1]])


@pytest.mark.parametrize("folder", [".", "bundle"])
def test_another_runs_student_is_started_from_exactly(trained_run: Path, folder: str) -> None:
    network = start(StudentSettings(weights=str(trained_run / folder))).network
    bundled = build_classifier(TEACHER, "random", 2).network
    assert not same_weights(network, bundled)
    bundled.load_state_dict(load_file(trained_run / "bundle" / "student.safetensors"))
    assert same_weights(network, bundled)


def test_learned_positions_of_another_side_are_taken_over(tmp_path: Path) -> None:
    trained = build_classifier("timm/test_vit", "random", 2).network
    fit_to_side(trained, 80)
    save_file(trained.state_dict(), tmp_path / "student.safetensors")
    teacher = build_classifier("timm/test_vit", "random", 2).network
    settings, at_160 = StudentSettings(weights=str(tmp_path)), Preprocessing(image_side=160)
    assert same_weights(start_student(teacher, "timm/test_vit", settings, at_160, CLASSES).network, trained)


def test_weights_of_another_network_are_one_clear_line(trained_run: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        start(StudentSettings(network=OTHER, weights=str(trained_run)))
    message = str(caught.value)
    assert message.startswith("student.weights: ")
    assert "holds another network's weights (it lacks conv1" in message
    assert "\n" not in message


def test_a_pruned_runs_student_is_no_start(tmp_path: Path) -> None:
    pruned = prune(timm.create_model("test_resnet", num_classes=2), 0.5, 64)
    save_file(pruned.state_dict(), tmp_path / "student.safetensors")
    with pytest.raises(CheckpointError, match="a student that was pruned or took all_information is no start"):
        start(StudentSettings(weights=str(tmp_path)), OTHER)


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"student\.weights: no finished run in .*; give the --output folder"):
        start(StudentSettings(weights=str(tmp_path)))
    with pytest.raises(CheckpointError, match=r"student\.weights: no file at"):
        start(StudentSettings(weights=str(tmp_path / "absent.pth")))


def test_of_a_run_the_student_comes_before_the_teacher(trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run / "bundle", tmp_path / "bundle")
    (tmp_path / "teacher.safetensors").touch()
    assert weights_file(tmp_path) == tmp_path / "bundle" / "student.safetensors"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("timm/resnet18000", "student.network: timm has no network 'resnet18000'; did you mean"),
        ("nonsense", "student.network: 'nonsense' is unknown; give timm/NAME"),
    ],
)
def test_an_unknown_network_is_named_as_the_students(network: str, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        start(StudentSettings(network=network, weights="random"))
    assert str(caught.value).startswith(message)
