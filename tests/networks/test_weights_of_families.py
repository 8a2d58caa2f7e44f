"""Files of weights that hold more than a network needs, or learned positions of another side."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import GoogLeNet

from narrow_networks import torchvision_vit
from thumbnet.config import TrainSettings
from thumbnet.errors import CheckpointError
from thumbnet.networks.adapters import fit_to_side
from thumbnet.networks.architectures import build_classifier
from thumbnet.networks.assembly import build_teacher
from thumbnet.networks.weights import load_weights

CLASSES = ("ant", "bee", "cat", "dog")
POSITIONS = "encoder.pos_embedding"
SaveVit = Callable[[int], Path]


@pytest.fixture
def save_vit(tmp_path: Path) -> SaveVit:
    """Saves a ViT made for 64 px and fitted to a side, with positions that are a ramp over the picture."""

    def save(side: int) -> Path:
        network = torchvision_vit()
        rows = torch.linspace(0, 1, 4).view(4, 1, 1).expand(4, 4, 32).reshape(1, 16, 32)
        network.get_parameter(POSITIONS).data = torch.cat([torch.full((1, 1, 32), 9.0), rows], dim=1)
        fit_to_side(network, side)
        save_file(network.state_dict(), tmp_path / f"{side}.safetensors")
        return tmp_path / f"{side}.safetensors"

    return save


def positions(weights: Path, side: int) -> Tensor:
    settings = TrainSettings(
        teacher="narrow_networks:torchvision_vit",
        data="none",
        output="none",
        teacher_weights=str(weights),
        image_side=side,
    )
    return build_teacher(settings, CLASSES).classifier.network.get_parameter(POSITIONS).detach()


def test_the_makers_auxiliary_heads_in_a_file_are_passed_over(tmp_path: Path) -> None:
    makers = GoogLeNet(num_classes=4, aux_logits=True, init_weights=False)
    save_file(makers.state_dict(), tmp_path / "makers.safetensors")
    network = build_classifier("torchvision/googlenet", "random", 4).network
    load_weights(network, tmp_path / "makers.safetensors")
    expected = makers.state_dict()
    assert any(name.startswith("aux1.") for name in expected)
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_an_auxiliary_head_in_another_networks_file_is_no_excuse(tmp_path: Path) -> None:
    network = torchvision_vit()
    save_file({**network.state_dict(), "aux1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"it has aux1\.weight, which the network lacks"):
        load_weights(network, tmp_path / "other.safetensors")


def test_the_makers_positions_are_interpolated_to_the_image_side(save_vit: SaveVit) -> None:
    found = positions(save_vit(64), 32)
    assert found.shape == (1, 1 + 4, 32)
    assert torch.equal(found[:, 0], torch.full((1, 32), 9.0))
    upper, lower = found[0, 1:3].mean(), found[0, 3:5].mean()
    assert 0 <= upper < 0.4
    assert 0.6 < lower <= 1


def test_positions_that_a_run_of_ours_trained_at_the_image_side_stay_as_they_are(save_vit: SaveVit) -> None:
    weights = save_vit(32)
    expected = build_classifier("narrow_networks:torchvision_vit", "random", 4).network
    fit_to_side(expected, 32)
    load_weights(expected, weights)
    assert torch.equal(positions(weights, 32), expected.get_parameter(POSITIONS))


def test_positions_of_neither_side_are_refused_with_both_shapes(save_vit: SaveVit) -> None:
    with pytest.raises(CheckpointError, match=r"pos_embedding is \[1, 10, 32\], the network's is \[1, 5, 32\]"):
        positions(save_vit(48), 32)
