"""Requests that come at the same time go through the networks together.

Knows nothing of pictures: whatever is submitted is handed on in lists, by one thread, and every submitter gets its own
answer. What waits is bounded by whoever admits requests, not here.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Given = TypeVar("Given")
Answer = TypeVar("Answer")


class MicroBatches(Generic[Given, Answer]):
    """Collects what is submitted within a moment, and works on it together.

    Args:
        work: Lists to lists of the same length; runs in a thread of its own.
        most: Longest list.
        wait_seconds: How long the first of a list waits for others.
        observe: Is told the length of every list.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Given]], Sequence[Answer]],
        most: int,
        wait_seconds: float,
        observe: Callable[[int], None],
    ) -> None:
        self._work, self._most, self._wait, self._observe = work, most, wait_seconds, observe
        self._waiting: asyncio.Queue[tuple[Given, asyncio.Future[Answer]]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="networks")
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to work; to be called within a running event loop."""
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stops once everything that was submitted is answered."""
        await self._waiting.join()
        if self._loop is not None:
            self._loop.cancel()
        self._thread.shutdown()

    async def submit(self, given: Given) -> Answer:
        """The answer to one; raises what the work raised for the list that it was in."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        await self._waiting.put((given, answer))
        return await answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            together = await self._together(loop)
            # Who has gone meanwhile is not worked for.
            wanted = [(given, answer) for given, answer in together if not answer.done()]
            if wanted:
                self._observe(len(wanted))
                await self._answer(loop, wanted)
            for _ in together:
                self._waiting.task_done()

    async def _together(self, loop: asyncio.AbstractEventLoop) -> list[tuple[Given, "asyncio.Future[Answer]"]]:
        """What waits, and what comes while the first of it may still wait."""
        together = [await self._waiting.get()]
        deadline = loop.time() + self._wait
        while len(together) < self._most:
            if not self._waiting.empty():
                together.append(self._waiting.get_nowait())
                continue
            left = deadline - loop.time()
            if left <= 0:
                break
            try:
                together.append(await asyncio.wait_for(self._waiting.get(), left))
            except TimeoutError:
                break
        return together

    async def _answer(
        self, loop: asyncio.AbstractEventLoop, wanted: list[tuple[Given, "asyncio.Future[Answer]"]]
    ) -> None:
        try:
            made = await loop.run_in_executor(self._thread, self._work, [given for given, _ in wanted])
            if len(made) != len(wanted):
                raise RuntimeError(f"{len(made)} answers to {len(wanted)}")
        except Exception as error:  # each of them hears of it; the next list is not touched by it
            for _, answer in wanted:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), one in zip(wanted, made, strict=True):
            if not answer.done():
                answer.set_result(one)
