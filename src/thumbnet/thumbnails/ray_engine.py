"""The Ray engine: the same stages as a Ray Data pipeline, on this machine or on a cluster.

Tasks read blocks, a pool of actors holds E and makes thumbnails, which come back in the order of the input. Where there
are GPUs an actor takes one, and tasks decode for it; without, actors decode themselves. Scheduling, backpressure,
retries and scaling are Ray's. A block that Ray gives up on is done by the local engine, picture by picture if need be.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from thumbnet.devices import keep_freed_memory
from thumbnet.errors import ConfigError
from thumbnet.thumbnail_maker import ThumbnailMaker
from thumbnet.thumbnails.blocks import ArchivePicture, Block, Damage, chunks_of
from thumbnet.thumbnails.local_engine import LocalEngine
from thumbnet.thumbnails.ray_rows import payload, source_of, with_payload
from thumbnet.thumbnails.stages import Outcome, Work, decode_chunk, downscale_chunk, encode_chunk

# Ray wants to know all blocks of a pipeline at once; a window of them bounds what the driver holds.
WINDOW_BLOCKS = 2000
# Reading blocks takes little beside what is done with them, and must not wait for a whole core.
READ_CORES = 0.1

Part = tuple[Block, list[Outcome], dict[str, float], bool]


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Blocks of pictures to thumbnails by Ray Data.

    Attributes:
        work: What to make.
        workers: Cores of a Ray that is started here, and most actors for E.
        picture_seconds: Most time that decoding a picture may take.
        address: A running cluster; None starts Ray on this machine and stops it afterwards.
    """

    work: Work
    workers: int
    picture_seconds: float
    address: str | None = None

    def run_blocks(self, blocks: Iterator[Block]) -> Iterator[Part]:
        """Outcomes in the order of the input, a part of a block at a time; the last value says that it is its last.

        Raises:
            ConfigError: If Ray is not installed, or there is no cluster at the address.
        """
        with _connected(self.address, self.workers):
            while window := list(islice(blocks, WINDOW_BLOCKS)):
                yield from self._run_window(window)

    def _run_window(self, window: list[Block]) -> Iterator[Part]:
        import ray

        places = {block.index: place for place, block in enumerate(window)}
        done = 0
        # What of the block at `done` has been handed on already.
        chunks_out = 0
        try:
            for row in self._pipeline(window).iter_rows():
                block = window[places[row["block"]]]
                outcomes, seconds = payload(row)
                last = bool(row["last"])
                yield block, outcomes, seconds, last
                done, chunks_out = (done + 1, 0) if last else (done, chunks_out + 1)
        except ray.exceptions.RayError as error:
            logging.getLogger(__name__).warning("Ray gave up (%s); going on with the local engine", _line(error))
            yield from self._locally(window[done:], chunks_out)

    def _pipeline(self, window: list[Block]) -> Any:
        import ray

        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        gpus = int(ray.cluster_resources().get("GPU", 0))
        cores = int(ray.cluster_resources().get("CPU", 1))
        rows = ray.data.read_datasource(source_of(window), override_num_blocks=len(window), num_cpus=READ_CORES)
        if gpus:
            rows = rows.map(_Decode(self.work, self.picture_seconds), num_cpus=1)
        most = gpus or (self.workers if self.address is None else cores)
        # On this machine all at once: what they are for is known. In a cluster as many as there is work for.
        fewest = most if self.address is None else 1
        return rows.map(
            _Downscale,
            fn_constructor_args=(self.work, "cuda" if gpus else "cpu", self.picture_seconds),
            concurrency=(fewest, most),
            num_cpus=1 - READ_CORES,
            num_gpus=1 if gpus else None,
        )

    def _locally(self, blocks: list[Block], chunks_out: int) -> Iterator[Part]:
        """Blocks from one on of which some chunks are out already."""
        local = LocalEngine(work=self.work, workers=self.workers, picture_seconds=self.picture_seconds)
        for block in blocks:
            chunks = chunks_of(block)
            skipped, chunks_out = chunks_out, 0
            rest = islice(chunks, skipped, None)
            for outcomes, seconds in local.run(chunk for chunk in rest):
                yield block, outcomes, seconds, False
            yield block, [], {}, True


class _Decode:
    """First stage, where E has a GPU: a task on any core."""

    def __init__(self, work: Work, seconds: float) -> None:
        self._work, self._seconds = work, seconds

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return with_payload(row, _decoded(_maker_here(self._work), payload(row), self._seconds))


class _Downscale:
    """Second and third stage: an actor that holds E; without a GPU it decodes as well.

    Thumbnails are encoded where they are made: it takes less time than their way to another process.
    """

    def __init__(self, work: Work, device: str, seconds: float) -> None:
        torch.set_num_threads(1)
        keep_freed_memory()
        self._maker, self._work, self._seconds = work.maker(device), work, seconds
        self._decodes = device == "cpu"

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        carried = payload(row)
        decoded, seconds = _decoded(self._maker, carried, self._seconds) if self._decodes else carried
        started = time.perf_counter()
        downscaled = downscale_chunk(self._maker, decoded)
        between = time.perf_counter()
        encoded = encode_chunk(self._work.stored_as, downscaled)
        seconds |= {"downscale": between - started, "encode": time.perf_counter() - between}
        return with_payload(row, (encoded, seconds))


def _decoded(
    maker: ThumbnailMaker, chunk: list[ArchivePicture | Damage], limit: float
) -> tuple[list[Outcome], dict[str, float]]:
    """The first stage, with a limit of time for each picture."""
    started = time.perf_counter()
    decoded: list[Outcome] = []
    for picture in chunk:
        try:
            with _time_limit(limit):
                decoded += decode_chunk(maker, [picture])
        except _Late:
            assert isinstance(picture, ArchivePicture)
            reason = f"takes more than {limit:g} s to decode"
            decoded.append(Outcome(name=picture.name, target=picture.target, label=picture.label, reason=reason))
    return decoded, {"read, decode, resize": time.perf_counter() - started}


# A task's process keeps what it built for the next task of the same work.
_makers: dict[str, ThumbnailMaker] = {}


def _maker_here(work: Work) -> ThumbnailMaker:
    key = work.downscaler_hash
    if key not in _makers:
        _makers.clear()
        _makers[key] = work.maker()
    return _makers[key]


class _Late(BaseException):
    """The time is over; no ordinary exception, which whoever decodes could take for its own."""


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Ends what takes longer, between two calls into a decoder."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def late(*_: object) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _connected(address: str | None, cores: int) -> Iterator[None]:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError("engine: ray is not installed; run: pip install 'thumbnet[ray]'") from error
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its own notes on standard error are not ours to pass on
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
    try:
        if address is None:
            ray.init(num_cpus=cores, **quiet)
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"ray_address: no Ray cluster at {address} ({_line(error)}); check the address") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def _line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
