"""What this machine offers: its accelerator, its cores, its cache folder, its memory."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.tracking import get_available_trackers

from thumbnet import processes
from thumbnet.config import CacheSettings, OptimizerSettings
from thumbnet.errors import ConfigError, TrainingError

DEVICE_TYPES = ("cpu", "cuda", "mps", "xpu")
MOST_READERS = 8
# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
# What allocators say that have no error of their own: the processor's, Apple's, cuDNN's and cuBLAS's.
_FULL = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` takes an accelerator if there is one, and of several the process's own.

    Raises:
        ConfigError: If the name is unknown or the device is not there.
    """
    if name == "auto":
        # `accelerate launch --cpu` says so in the environment.
        on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
        accelerator = None if on_cpu else torch.accelerator.current_accelerator(check_available=True)
        return _own_device(accelerator or torch.device("cpu"))
    try:
        device = _own_device(torch.device(name))
        if device.type not in DEVICE_TYPES:
            raise RuntimeError(f"{device.type} cannot train")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device '{name}' is not available here; give --device auto or cpu") from error
    return device


def _own_device(device: torch.device) -> torch.device:
    """Of the accelerators of this machine, the one that belongs to this process."""
    if device.type == "cpu" or not processes.several():
        return device
    if device.index is not None:
        all_the_same = f"device '{device}' would be every process's own"
        raise ConfigError(f"{all_the_same}; give --device {device.type}, and each of the processes takes another")
    if processes.local_rank() >= torch.accelerator.device_count():
        fewer = f"{torch.accelerator.device_count()} {device.type} devices are too few for the processes started here"
        raise ConfigError(f"{fewer}; start one process a device, or give --device cpu")
    return torch.device(device.type, processes.local_rank())


def check_machine(device: str, tracker: str) -> None:
    """Makes sure, before a run begins, that its device, its tracker and the launcher's other processes are here.

    Raises:
        ConfigError: If one is unknown, missing or not installed.
    """
    choose_device(device)
    available = sorted(str(known) for known in get_available_trackers())
    if tracker != "none" and tracker not in available:
        here = f"available here: none{''.join(f', {other}' for other in available)}"
        raise ConfigError(f"tracker '{tracker}' is unknown or not installed; {here}")
    processes.connect(choose_device(device))


def make_accelerator(device: torch.device, settings: OptimizerSettings, tracker: str, folder: Path) -> Accelerator:
    """Accelerate for one training run on this device."""
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)
    # Accelerate keeps its state for the process; a second run may want another device or precision.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=mixed_precision_for(settings, device),
        gradient_accumulation_steps=settings.accumulation_steps,
        log_with=None if tracker == "none" else tracker,
        project_dir=folder,
    )
    accelerator.init_trackers("thumbnet")
    return accelerator


def mixed_precision_for(settings: OptimizerSettings, device: torch.device) -> str:
    """`bf16` where the device computes it natively, else `no`."""
    if settings.mixed_precision != "auto":
        return settings.mixed_precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "no"


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def reading_workers(workers: int | None) -> int:
    """Processes that read pictures, beside the one that trains."""
    return min(MOST_READERS, max(1, available_cores() - 1)) if workers is None else workers


def cache_folder(settings: CacheSettings) -> Path:
    """Where results that can be made again are kept: the setting, else `$XDG_CACHE_HOME/thumbnet`."""
    if settings.folder:
        return Path(settings.folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thumbnet"


def keep_freed_memory() -> None:
    """Tells the C library to keep freed memory for the next training step instead of giving it back.

    Training on a processor frees and takes the same hundreds of megabytes every step; having the system map and clear
    them anew costs up to half of a step (benchmarks/results/allocator.json). Does nothing where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


@contextlib.contextmanager
def memory_errors(advice: str) -> Iterator[None]:
    """Turns memory that does not suffice, the device's or the machine's, into one line.

    Args:
        advice: What needs less of it.

    Raises:
        TrainingError: If there is too little.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = str(error)
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and not any(sign in said.lower() for sign in _FULL):
            raise
        # Further sentences say how the allocator can be tuned, and further lines where in its code it was.
        reason = ". ".join(said.partition("\n")[0].split(". ")[:2]).rstrip(".") or type(error).__name__
        raise TrainingError(f"there is not enough memory ({reason}); {advice}") from error
