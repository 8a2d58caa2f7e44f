"""What all requests share: threads, a place in the queue, counters."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np
from starlette.requests import Request

from thumbnet.classification import Given
from thumbnet.config.serve import ServeSettings
from thumbnet.data.pictures import PictureLimits
from thumbnet.deployment.server.bodies import pictures_of
from thumbnet.deployment.server.metrics import Metrics
from thumbnet.deployment.server.micro_batches import MicroBatches
from thumbnet.deployment.server.refusals import Refusal
from thumbnet.deployment.server.work import Asked, Decoded, Networks, Wanted, answer
from thumbnet.errors import ConfigError, LargePictureError, PictureError, UnknownPictureError

RETRY_SECONDS = 1
Result = TypeVar("Result")


class Service:
    """What requests share: threads, the queue, counters."""

    def __init__(self, networks: Networks, settings: ServeSettings) -> None:
        self.networks, self.settings, self.metrics = networks, settings, Metrics()
        self.limits = PictureLimits(pixels=settings.max_pixels, side=settings.max_side)
        self.taken = 0
        self.ready = False

    def start(self) -> None:
        """Makes threads and queue, within the event loop that they are for."""
        settings = self.settings
        self.decoders = ThreadPoolExecutor(settings.decoders or os.cpu_count() or 1, thread_name_prefix="decoder")
        self.batches: MicroBatches[Asked, np.ndarray] = MicroBatches(
            lambda asked: answer(self.networks, asked),
            settings.batch,
            settings.wait_ms / 1000,
            self.metrics.batch.observe,
        )
        self.batches.start()
        self.ready = True

    async def stop(self) -> None:
        """Answers what was taken on, then lets the threads go."""
        self.ready = False
        await self.batches.stop()
        self.decoders.shutdown(cancel_futures=True)

    def refusal(self) -> Refusal | None:
        """Why nothing more is taken on now, if so."""
        if self.taken >= self.settings.queue:
            return Refusal(503, "busy; send it again in a moment", RETRY_SECONDS)
        return None

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """A place in the queue.

        Raises:
            Refusal: If there is none.
        """
        if refusal := self.refusal():
            raise refusal
        self.taken += 1
        self.metrics.taken.set(self.taken)
        try:
            async with asyncio.timeout(self.settings.request_seconds):
                yield
        except TimeoutError as error:
            raise Refusal(504, f"took more than {self.settings.request_seconds:g} s; send a smaller picture") from error
        finally:
            self.taken -= 1
            self.metrics.taken.set(self.taken)

    async def pictures(self, request: Request, most: int = 1) -> list[bytes]:
        """The pictures that a request brings.

        Raises:
            Refusal: If they do not come in time, or are not what is taken.
        """
        seconds = self.settings.body_seconds
        try:
            async with asyncio.timeout(seconds):
                return await pictures_of(request, self.settings.max_bytes, most)
        except TimeoutError as error:
            raise Refusal(408, f"the body took more than {seconds:g} s to arrive; send it faster") from error

    async def decode(self, content: bytes, given: Given | None) -> Decoded:
        """A picture's pixels, decoded in a thread.

        Raises:
            Refusal: If it is no picture, damaged, too large, or not of the size that it should have.
        """
        self.metrics.received.inc(len(content))
        started = time.perf_counter()
        try:
            decoded = await self.in_thread(self.networks.decode, content, given, self.limits)
        except PictureError as error:
            raise Refusal(_status_of(error), f"the picture cannot be read: {error}") from error
        except ConfigError as error:
            raise Refusal(422, str(error)) from error
        self.metrics.steps.labels("decode").observe(time.perf_counter() - started)
        return decoded

    async def in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Work that would hold up the event loop, in one of the decoders' threads."""
        return await asyncio.get_running_loop().run_in_executor(self.decoders, work, *arguments)

    async def ask(self, decoded: Decoded, wanted: Wanted) -> np.ndarray:
        """What the networks say, together with whoever else asks now: a thumbnail, or a probability a class."""
        started = time.perf_counter()
        answered = await self.batches.submit(Asked(decoded=decoded, wanted=wanted))
        self.metrics.steps.labels(wanted).observe(time.perf_counter() - started)
        return answered


def _status_of(error: PictureError) -> int:
    if isinstance(error, UnknownPictureError):
        return 415
    return 413 if isinstance(error, LargePictureError) else 422
