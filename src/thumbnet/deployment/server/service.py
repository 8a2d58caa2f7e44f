"""What all requests share: threads, a place in the queue, counters."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from thumbnet.config.serve import ServeSettings
from thumbnet.deployment.server.metrics import Metrics
from thumbnet.deployment.server.micro_batches import MicroBatches
from thumbnet.deployment.server.refusals import Refusal
from thumbnet.deployment.server.work import Answered, Asked, Decoded, Given, Networks, answer
from thumbnet.errors import ConfigError, PictureError

RETRY_SECONDS = 1


class Service:
    """What requests share: threads, the queue, counters."""

    def __init__(self, networks: Networks, settings: ServeSettings) -> None:
        self.networks, self.settings, self.metrics = networks, settings, Metrics()
        self.decoders = ThreadPoolExecutor(settings.decoders or os.cpu_count() or 1, thread_name_prefix="decoder")
        self.batches: MicroBatches[Asked, Answered] = MicroBatches(
            lambda asked: answer(networks, asked),
            settings.batch,
            settings.wait_ms / 1000,
            self.metrics.batch.observe,
        )
        self.taken = 0
        self.ready = False

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """A place in the queue.

        Raises:
            Refusal: If there is none.
        """
        if self.taken >= self.settings.queue:
            raise Refusal(503, "busy; send it again in a moment", RETRY_SECONDS)
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

    async def decode(self, content: bytes, given: Given | None) -> Decoded:
        """A picture's pixels, decoded in a thread."""
        self.metrics.received.inc(len(content))
        started = time.perf_counter()
        try:
            decoded = await asyncio.get_running_loop().run_in_executor(
                self.decoders, self.networks.decode, content, given, self.settings.max_pixels
            )
        except PictureError as error:
            status = 415 if "not a picture" in str(error) else 413 if "more than" in str(error) else 422
            raise Refusal(status, f"the picture cannot be read: {error}") from error
        except ConfigError as error:
            raise Refusal(422, str(error)) from error
        self.metrics.steps.labels("decode").observe(time.perf_counter() - started)
        return decoded

    async def ask(self, decoded: Decoded, *, classify: bool) -> Answered:
        """What the networks say, together with whoever else asks now."""
        started = time.perf_counter()
        answered = await self.batches.submit(Asked(decoded=decoded, classify=classify))
        self.metrics.steps.labels("networks").observe(time.perf_counter() - started)
        return answered
