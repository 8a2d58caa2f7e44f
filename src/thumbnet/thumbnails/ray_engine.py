"""The Ray engine: the same stages as a Ray Data pipeline, on this machine or on a cluster.

Blocks are read and decoded by tasks wherever there is a free core, E runs in a pool of actors that grows with the work
and takes GPUs where there are any, thumbnails come back in the order of the input. Scheduling, backpressure, retries
and scaling are Ray's. A block that Ray gives up on is done by the local engine, picture by picture where need be.
"""

import logging
import pickle
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import torch

from thumbnet.errors import ConfigError, PictureError
from thumbnet.thumbnails.blocks import ArchivePicture, Block, Damage
from thumbnet.thumbnails.local_engine import LocalEngine
from thumbnet.thumbnails.stages import Outcome, Work, decode_chunk, downscale_chunk, encode_chunk

# Ray wants to know all blocks of a pipeline at once; a window of them bounds what the driver holds.
WINDOW_BLOCKS = 2000
CHUNK_PICTURES = 16
# Fractions, so that a core is never kept free for a stage that waits for another.
DECODE_CORES, DOWNSCALE_CORES, ENCODE_CORES = 0.5, 0.5, 0.25

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
                outcomes, seconds = pickle.loads(row["payload"])  # our own, from our own tasks
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
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        device = "cuda" if gpus else "cpu"
        read = ray.data.read_datasource(_source_of(window), override_num_blocks=len(window))
        decoded = read.map(_Decode(self.work, self.picture_seconds), num_cpus=DECODE_CORES)
        downscaled = decoded.map(
            _Downscale,
            fn_constructor_args=(self.work, device),
            concurrency=(1, max(1, self.workers)),
            num_cpus=DOWNSCALE_CORES,
            num_gpus=gpus,
        )
        return downscaled.map(_Encode(self.work), num_cpus=ENCODE_CORES)

    def _locally(self, blocks: list[Block], chunks_out: int) -> Iterator[Part]:
        """Blocks from one on of which some chunks are out already."""
        local = LocalEngine(work=self.work, workers=self.workers, picture_seconds=self.picture_seconds)
        for block in blocks:
            chunks = _chunks(block)
            skipped, chunks_out = chunks_out, 0
            rest = islice(chunks, skipped, None)
            for outcomes, seconds in local.run(chunk for chunk in rest):
                yield block, outcomes, seconds, False
            yield block, [], {}, True


def _chunks(block: Block) -> Iterator[list[ArchivePicture | Damage]]:
    pictures = block.read()
    while chunk := list(islice(pictures, CHUNK_PICTURES)):
        yield chunk


def _source_of(window: list[Block]) -> Any:
    """The window as a source that Ray Data reads block by block, on whichever machine has a core free."""
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    def task(block: Block) -> Any:
        metadata = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return ReadTask(lambda: _rows(block), metadata)

    class Blocks(Datasource):  # type: ignore[misc]
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[Any]:
            return [task(block) for block in window]

    return Blocks()


def _rows(block: Block) -> Iterable[pa.Table]:
    """A block as rows of one chunk each, and an empty one that ends it."""
    for chunk in _chunks(block):
        yield _row(block, chunk, last=False)
    yield _row(block, [], last=True)


def _row(block: Block, payload: object, *, last: bool) -> pa.Table:
    return pa.table({"block": [block.index], "last": [last], "payload": [pickle.dumps(payload, protocol=5)]})


class _Decode:
    """First stage; a task, so it builds what it needs once a process."""

    def __init__(self, work: Work, seconds: float) -> None:
        self._work, self._seconds = work, seconds

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        maker = _maker_here(self._work)
        decoded: list[Outcome] = []
        for picture in pickle.loads(row["payload"]):
            try:
                with _time_limit(self._seconds):
                    decoded += decode_chunk(maker, [picture])
            except PictureError as error:
                name, label = picture.name, getattr(picture, "label", None)
                decoded.append(Outcome(name=name, target=picture.target, label=label, reason=str(error)))
        seconds = {"read, decode, resize": time.perf_counter() - started}
        return {**row, "payload": pickle.dumps((decoded, seconds), protocol=5)}


class _Downscale:
    """Second stage: an actor that holds E."""

    def __init__(self, work: Work, device: str) -> None:
        torch.set_num_threads(1)
        self._maker = work.maker(device)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        decoded, seconds = pickle.loads(row["payload"])
        downscaled = downscale_chunk(self._maker, decoded)
        seconds["downscale"] = time.perf_counter() - started
        return {**row, "payload": pickle.dumps((downscaled, seconds), protocol=5)}


class _Encode:
    """Third stage."""

    def __init__(self, work: Work) -> None:
        self._stored_as = work.stored_as

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        downscaled, seconds = pickle.loads(row["payload"])
        encoded = encode_chunk(self._stored_as, downscaled)
        seconds["encode"] = time.perf_counter() - started
        return {**row, "payload": pickle.dumps((encoded, seconds), protocol=5)}


# A task's process keeps what it built for the next task of the same work.
_makers: dict[str, Any] = {}


def _maker_here(work: Work) -> Any:
    key = work.downscaler_hash
    if key not in _makers:
        _makers.clear()
        _makers[key] = work.maker()
    return _makers[key]


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Ends what takes longer, between two calls into a decoder."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def late(*_: object) -> None:
        raise PictureError(f"takes more than {seconds:g} s to decode")

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
