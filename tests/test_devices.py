"""Each process of a launcher has a device of its own; what does not fit into its memory is said in one line."""

from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest
import torch

from thumbnet import processes
from thumbnet.devices import choose_device, memory_errors
from thumbnet.errors import ConfigError, TrainingError

NO_MACHINE_HAS = 2**56


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


def out_of_cuda_memory() -> None:
    tuning = "GPU 0 has a total capacity of 1 GiB. If reserved memory is large try setting max_split_size_mb"
    raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate 20.00 GiB. {tuning}.\nException raised from")


def out_of_cudnn_workspace() -> None:
    raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (out_of_cuda_memory, r"\(CUDA out of memory. Tried to allocate 20.00 GiB\); give less$"),
        (out_of_cudnn_workspace, r"\(cuDNN error: CUDNN_STATUS_ALLOC_FAILED\); give less$"),
        (lambda: torch.empty(NO_MACHINE_HAS, dtype=torch.uint8), rf"tried to allocate {NO_MACHINE_HAS} bytes\)"),
        (lambda: np.empty(NO_MACHINE_HAS, dtype=np.uint8), r"\(Unable to allocate 64.0 PiB for an array"),
        (lambda: bytearray(NO_MACHINE_HAS), r"\(MemoryError\); give less$"),
    ],
    ids=["cuda", "cudnn", "processor", "numpy", "python"],
)
def test_too_little_memory_is_one_line_with_what_to_do(ask: Callable[[], object], reason: str) -> None:
    with (
        pytest.raises(TrainingError, match=f"^there is not enough memory .*{reason}") as raised,
        memory_errors("give less"),
    ):
        ask()
    assert "\n" not in str(raised.value)


def test_other_faults_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="sizes of tensors"), memory_errors("give less"):
        raise RuntimeError("sizes of tensors must match")
