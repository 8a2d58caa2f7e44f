"""The local engine: processes of this machine, in order, with bounded memory.

A chunk that takes too long or ends its process is done again picture by picture, so that only the culprit fails. How
processes are started, watched, killed and replaced is the library pebble's.
"""

import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import cast

import torch
from pebble import ProcessExpired, ProcessPool

from thumbnet.devices import keep_freed_memory
from thumbnet.errors import ThumbNetError
from thumbnet.thumbnail_maker import ThumbnailMaker
from thumbnet.thumbnails.blocks import ArchivePicture, Damage
from thumbnet.thumbnails.stages import Outcome, Work, decode_chunk, downscale_chunk, encode_chunk, process_chunk

# Enough that a process has its next chunk at hand when it is done with one.
CHUNKS_AHEAD = 3
START_SECONDS = 300

Chunk = Sequence[ArchivePicture | Damage]
Done = tuple[list[Outcome], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class LocalEngine:
    """Chunks of pictures to thumbnails by processes of this machine.

    Attributes:
        work: What to make.
        workers: How many processes.
        picture_seconds: Most time that decoding a picture may take.
        device: Where E runs: in the processes on `cpu`, in this one on a GPU.
    """

    work: Work
    workers: int
    picture_seconds: float
    device: str = "cpu"

    def run(self, chunks: Iterator[Chunk]) -> Iterator[Done]:
        """The outcomes of each chunk, in the chunks' order."""
        pool = ProcessPool(
            max_workers=self.workers,
            initializer=_start_process,
            initargs=(self.work, self.device == "cpu"),
            context=_context(),
        )
        maker = None if self.device == "cpu" else self.work.maker(self.device)
        try:
            for chunk, done in _in_order(pool, chunks, self.workers + CHUNKS_AHEAD, self.picture_seconds):
                outcomes, seconds = self._result(pool, chunk, done)
                yield (outcomes, seconds) if maker is None else _finish(maker, self.work, outcomes, seconds)
            pool.close()  # type: ignore[no-untyped-call]
        finally:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()

    def _result(self, pool: ProcessPool, chunk: Chunk, done: "Future[Done]") -> Done:
        try:
            return done.result()
        except ThumbNetError:
            raise  # what is wrong is not one picture's fault
        except Exception as error:
            if len(chunk) == 1:
                return [self._again(pool, chunk[0], error)], {}
        outcomes = []
        for picture in chunk:
            # One at a time: each has all the time there is, and takes nothing with it.
            outcomes += self._result(pool, [picture], self._schedule(pool, picture))[0]
        return outcomes, {}

    def _again(self, pool: ProcessPool, picture: ArchivePicture | Damage, error: Exception) -> Outcome:
        """A process may end for want of memory that others had: by itself a picture has a second try."""
        if isinstance(error, ProcessExpired):
            try:
                return self._schedule(pool, picture).result()[0][0]
            except ThumbNetError:
                raise
            except Exception as second:
                error = second
        return self._culprit(picture, error)

    def _schedule(self, pool: ProcessPool, picture: ArchivePicture | Damage) -> "Future[Done]":
        return cast("Future[Done]", pool.schedule(_process, args=([picture],), timeout=self.picture_seconds))

    def _culprit(self, picture: ArchivePicture | Damage, error: Exception) -> Outcome:
        if isinstance(picture, Damage):
            return Outcome(name=picture.name, target="", reason=picture.reason)
        if isinstance(error, FutureTimeoutError):
            reason = f"takes more than {self.picture_seconds:g} s to decode"
        elif isinstance(error, ProcessExpired):
            reason = "ends the process that decodes it"
        else:
            reason = f"cannot be made ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        return Outcome(name=picture.name, target=picture.target, label=picture.label, reason=reason)


def _in_order(
    pool: ProcessPool, chunks: Iterator[Chunk], ahead: int, seconds: float
) -> Iterator[tuple[Chunk, "Future[Done]"]]:
    pending: deque[tuple[Chunk, Future[Done]]] = deque()
    # A process reads its first chunk when it has imported everything, which counts as its time.
    for chunk in chunks:
        pending.append((chunk, pool.schedule(_process, args=(list(chunk),), timeout=seconds)))
        if len(pending) >= ahead:
            yield pending.popleft()
    while pending:
        yield pending.popleft()


def _finish(maker: ThumbnailMaker, work: Work, outcomes: list[Outcome], seconds: dict[str, float]) -> Done:
    """The stages that a GPU leaves to this process."""
    started = time.perf_counter()
    downscaled = downscale_chunk(maker, outcomes)
    between = time.perf_counter()
    encoded = encode_chunk(work.stored_as, downscaled)
    return encoded, {**seconds, "downscale": between - started, "encode": time.perf_counter() - between}


def _context() -> multiprocessing.context.BaseContext:
    """A server that has imported everything forks processes: they start at once, and no thread of ours is copied."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


# What a process of the pool makes thumbnails with; set once when it starts, never in the process that started it.
_own: dict[str, object] = {}


def _start_process(work: Work, whole: bool) -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    _own.update(work=work, maker=work.maker(), whole=whole)


def _process(chunk: Chunk) -> Done:
    maker, work = cast(ThumbnailMaker, _own["maker"]), cast(Work, _own["work"])
    if _own["whole"]:
        return process_chunk(maker, work.stored_as, chunk)
    started = time.perf_counter()
    decoded = decode_chunk(maker, chunk)
    return decoded, {"read, decode, resize": time.perf_counter() - started}
