"""Each process of a launcher has a device of its own, and knows which things are its own."""

from itertools import chain

import pytest
import torch

from thumbnet import processes
from thumbnet.devices import choose_device
from thumbnet.errors import ConfigError


def be(monkeypatch: pytest.MonkeyPatch, rank: int, count: int) -> None:
    for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}.items():
        monkeypatch.setenv(name, str(value))


def have_devices(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available: torch.device("cuda"))
    monkeypatch.setattr("torch.accelerator.device_count", lambda: count)


def test_every_process_takes_the_device_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    have_devices(monkeypatch, 4)
    for rank in range(4):
        be(monkeypatch, rank, 4)
        assert choose_device("auto") == torch.device("cuda", rank)


def test_alone_a_process_takes_the_first_device(monkeypatch: pytest.MonkeyPatch) -> None:
    have_devices(monkeypatch, 4)
    assert choose_device("auto") == torch.device("cuda")


def test_accelerate_may_ask_for_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    have_devices(monkeypatch, 4)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert choose_device("auto") == torch.device("cpu")


def test_more_processes_than_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    have_devices(monkeypatch, 2)
    be(monkeypatch, 2, 3)
    with pytest.raises(ConfigError, match="2 cuda devices are too few"):
        choose_device("auto")


def test_one_device_for_all_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, 0, 2)
    with pytest.raises(ConfigError, match="'cuda:1' would be every process's own; give --device cuda"):
        choose_device("cuda:1")


def test_a_kind_of_device_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, 0, 2)
    with pytest.raises(ConfigError, match="'mps' trains in one process only"):
        processes.connect(torch.device("mps"))


@pytest.mark.parametrize("size", [0, 1, 7, 12])
def test_shares_are_everything_once_and_in_order(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[range] = []
    for rank in range(3):
        be(monkeypatch, rank, 3)
        shares.append(processes.share_of(size))
    assert list(chain(*shares)) == list(range(size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_single_process_started_for_several_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not processes.launched_alone()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_PORT", "29500")
    assert processes.launched_alone()
