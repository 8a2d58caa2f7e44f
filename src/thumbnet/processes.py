"""What the processes of one training share: who they are, sums over all of them, and who speaks for them.

`accelerate launch` and `torchrun` start the same command several times and say in the environment which is which.
With one process every function here gives back what it got. Knows nothing of training.
"""

import atexit
import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor, distributed

from thumbnet.errors import ConfigError, TrainingError

# The others wait while the main process reads every picture or asks the teacher about every view.
PATIENCE = timedelta(days=7)
BACKENDS = {"cuda": "cpu:gloo,cuda:nccl", "xpu": "cpu:gloo,xpu:xccl", "cpu": "gloo"}
LOST = ("connection closed by peer", "connection reset by peer", "connection refused", "broken pipe", "gloo", "nccl")
BUCKET_VALUES = 2**24
ALONE = "`accelerate launch --cpu` started one process, for want of MPI; start several with `torchrun -m thumbnet`"


def count() -> int:
    """Number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ.get("RANK", "0")) if several() else 0


def local_rank() -> int:
    """This process's number among those on this machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if several() else 0


def several() -> bool:
    """Whether a launcher started more than one process."""
    return count() > 1


def launched_alone() -> bool:
    """Whether Accelerate was asked for several processes on the processor and started one: it needs MPI for more."""
    asked = "ACCELERATE_USE_CPU" in os.environ and "MASTER_PORT" in os.environ
    return asked and not several() and "RANK" not in os.environ


def is_main() -> bool:
    """Whether this is the process that writes files and shows progress."""
    return rank() == 0


def connect(device: torch.device) -> None:
    """Makes the processes of a launcher known to each other; does nothing where there is one.

    Raises:
        ConfigError: If the device cannot be trained on together, or the processes do not find each other.
    """
    if not several() or distributed.is_initialized():
        return
    if device.type not in BACKENDS:
        raise ConfigError(f"device '{device.type}' trains in one process only; start `thumbnet` without a launcher")
    if device.type != "cpu":
        torch.accelerator.set_device_index(device.index or 0)
    try:
        # Small values and waiting go by the processor on every kind of device.
        distributed.init_process_group(BACKENDS[device.type], timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"the {count()} processes do not find each other ({reason}); check the launcher") from error
    atexit.register(_disconnect)


def _disconnect() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def wait() -> None:
    """Returns when every process has come here."""
    if several():
        distributed.all_reduce(torch.zeros(1))


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """The main process goes through the block alone, then all others together: what it leaves on disk, they find."""
    if not is_main():
        wait()
    yield
    if is_main():
        wait()


def share_of(size: int) -> range:
    """This process's part of `size` things in order; parts differ in length by one at most."""
    bounds = np.linspace(0, size, count() + 1).astype(int)
    return range(int(bounds[rank()]), int(bounds[rank() + 1]))


def total(value: float) -> float:
    """Sum over all processes."""
    return totals({"": value})[""]


def totals(values: Mapping[str, float], weight: float = 1.0) -> dict[str, float]:
    """Weighted sum over all processes of each value, by name.

    Args:
        values: The same names in every process.
        weight: This process's.
    """
    if not several():
        return dict(values)
    summed = torch.tensor([weight * value for value in values.values()], dtype=torch.float64)
    distributed.all_reduce(summed)
    return dict(zip(values, summed.tolist(), strict=True))


def gathered(parts: Iterable[Tensor]) -> Tensor:
    """All processes' tensors on the processor as one, along the first dimension, in the order of the processes."""
    own = [part.cpu() for part in parts]
    if not several():
        return torch.cat(own)
    everyone: list[list[Tensor]] = [[] for _ in range(count())]
    distributed.all_gather_object(everyone, own)
    return torch.cat([part for parts in everyone for part in parts])


def variances(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Biased variance of all values of each layer over the batch of all processes; empty where there is one.

    Args:
        features: This process's part of the batch, by layer; the same layers in every process.
    """
    if not several() or not features:
        return {}
    moments = []
    for values in features.values():
        variance, mean = (moment.double() for moment in torch.var_mean(values.detach().float(), correction=0))
        moments.append(values.numel() * torch.stack([torch.ones_like(mean), mean, variance + mean.square()]))
    summed = torch.stack(moments).cpu()
    distributed.all_reduce(summed)
    sizes, first, second = summed.unbind(dim=1)
    pooled = second / sizes - (first / sizes).square()
    return {layer: pooled[i].float().to(values.device) for i, (layer, values) in enumerate(features.items())}


@torch.no_grad()
def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replaces each gradient by its sum over all processes.

    A parameter that no process has a gradient for keeps none, as with one process, so that the optimiser leaves it
    alone. One that only some processes used (a block skipped at random) counts as zero in the others.
    """
    if not several():
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    used = torch.tensor([parameter.grad is not None for parameter in trained], dtype=torch.int32)
    distributed.all_reduce(used)
    summed = [parameter for parameter, users in zip(trained, used.tolist(), strict=True) if users]
    for parameter in summed:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    _reduce_in_buckets([parameter.grad for parameter in summed if parameter.grad is not None])


@torch.no_grad()
def average_buffers(network: torch.nn.Module) -> None:
    """Replaces each buffer of real numbers, such as batch norm's statistics, by its mean over all processes."""
    if not several():
        return
    buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    _reduce_in_buckets(buffers)
    for buffer in buffers:
        buffer.div_(count())


@torch.no_grad()
def average_weights(network: torch.nn.Module) -> None:
    """Replaces each weight and buffer by its mean over all processes."""
    average_buffers(network)
    if several():
        weights = list(network.parameters())
        _reduce_in_buckets([weight.data for weight in weights])
        for weight in weights:
            weight.div_(count())


def _reduce_in_buckets(values: list[Tensor]) -> None:
    """Sums tensors over all processes in place, many of them in each message."""
    bucket: list[Tensor] = []
    for number, value in enumerate(values, start=1):
        bucket.append(value)
        if number < len(values) and sum(each.numel() for each in bucket) < BUCKET_VALUES:
            continue
        joined = torch.cat([each.float().flatten() for each in bucket])
        distributed.all_reduce(joined)
        for each, part in zip(bucket, torch.split(joined, [each.numel() for each in bucket]), strict=True):
            each.copy_(part.view_as(each))
        bucket = []


def speaks() -> bool:
    """Whether this process is the first to report an error: N processes that meet the same one print one line."""
    if not several():
        return True
    try:
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        brief = timedelta(seconds=3)
        # The launcher's own store, which is there before the processes have met, and after one of them is gone.
        store = distributed.TCPStore(*place, is_master=False, timeout=brief, wait_for_workers=False)  # type: ignore[attr-defined]
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return int(store.add(f"thumbnet/reports/{attempt}", 1)) == 1
    except (RuntimeError, KeyError, ValueError):
        return is_main()


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Turns the loss of another process into one line.

    Raises:
        TrainingError: If another process stopped; it has said why, or was killed.
    """
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, distributed.DistError) or any(sign in str(error).lower() for sign in LOST)
        if not several() or not lost:
            raise
        ended = "another process of this training stopped, for the reason above or ended by the system"
        raise TrainingError(f"{ended}; start all of them again with --resume") from error
