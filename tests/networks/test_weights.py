"""A file becomes a network's weights, or one line that says why not."""

import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from thumbnet.errors import CheckpointError
from thumbnet.networks.weights import load_weights


def one_line(error: pytest.ExceptionInfo[Any]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def small_network(classes: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )


@pytest.mark.parametrize("form", ["net.safetensors", "net.pth", "net.pt", "state_dict", "model", "old"])
def test_weights_are_loaded_from_every_form_of_file(tmp_path: Path, form: str) -> None:
    trained, fresh = small_network(), small_network()
    trained.get_submodule("1").register_buffer("running_mean", torch.rand(4))
    weights = trained.state_dict()
    path = tmp_path / (form if "." in form else "net.pth")
    if form.endswith(".safetensors"):
        save_file(weights, path)
    elif form in ("state_dict", "model"):
        torch.save({form: weights, "epoch": 3}, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=form != "old")
    load_weights(fresh, path)
    assert all(torch.equal(value, weights[name]) for name, value in fresh.state_dict().items())


def save(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


def test_weights_for_another_number_of_classes_are_refused_with_both_shapes(tmp_path: Path) -> None:
    network = small_network(3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CheckpointError, match="check the number of classes") as caught:
        load_weights(network, save(small_network(1000), tmp_path / "net.pth"))
    message = one_line(caught)
    assert "4.bias is [1000], the network's is [3]" in message
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("other", "example"),
    [
        (nn.Linear(4, 3), "it lacks 0.weight"),
        (nn.Sequential(*small_network(), nn.Linear(3, 3)), "it has 5.weight, which the network lacks"),
    ],
)
def test_weights_of_another_network_are_refused_whole(tmp_path: Path, other: nn.Module, example: str) -> None:
    network = small_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CheckpointError, match="holds another network's weights") as caught:
        load_weights(network, save(other, tmp_path / "net.pth"))
    assert example in one_line(caught)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(CheckpointError, match="no file at") as caught:
            load_weights(small_network(), path)
        assert str(path) in one_line(caught)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.filterwarnings("ignore")  # pickle warns of what it meets in a damaged file
def test_a_damaged_file_ends_in_one_line_however_it_is_damaged(tmp_path: Path, suffix: str) -> None:
    intact = tmp_path / f"intact{suffix}"
    if suffix == ".safetensors":
        save_file(nn.Linear(2, 2).state_dict(), intact)
        forms = [intact.read_bytes()]
    else:
        torch.save(nn.Linear(2, 2).state_dict(), intact)
        forms = [intact.read_bytes()]
        torch.save(nn.Linear(2, 2).state_dict(), intact, _use_new_zipfile_serialization=False)
        forms.append(intact.read_bytes())
    dice = random.Random(0)
    # These four once ended in a traceback: struct.error, and IndexError of three kinds.
    damaged = [b"", b"no weights here\n", b"\x80\x02}q\x00(X\x00", b".", b"0", b"h\x07."]
    damaged += [form[: dice.randrange(len(form))] for form in forms for _ in range(40)]
    damaged += [dice.randbytes(dice.randrange(40)) for _ in range(80)]
    path = tmp_path / f"net{suffix}"
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="weights: ") as caught:
            load_weights(nn.Linear(2, 2), path)
        assert str(path) in one_line(caught)


class OpensAFile:
    """Unpickling one of these creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["pickle", "torch", "inside a state dict", "old torch"])
@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.bin", "net.safetensors"])
def test_a_pickled_object_is_never_executed(tmp_path: Path, form: str, name: str) -> None:
    trace, path = tmp_path / "trace", tmp_path / name
    trap = OpensAFile(trace)
    if form == "pickle":
        path.write_bytes(pickle.dumps(trap))
    else:
        content = {**nn.Linear(2, 2).state_dict(), "trap": trap} if form == "inside a state dict" else trap
        torch.save(content, path, _use_new_zipfile_serialization=form != "old torch")
    with pytest.raises(CheckpointError) as caught:
        load_weights(nn.Linear(2, 2), path)
    assert not trace.exists()
    assert str(path) in one_line(caught)
    pickle.loads(pickle.dumps(trap))  # the trap does work
    assert trace.exists()


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.zeros(2)], torch.zeros(2), {"state_dict": {}}])
def test_a_file_that_holds_no_weights_says_how_to_save_them(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"something other than weights; save network\.state_dict\(\)") as caught:
        load_weights(small_network(), tmp_path / "net.pth")
    one_line(caught)
