"""Speed: every subject in turn, round by round, so that what else the machine does meets all alike."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thumbnet.config import BenchmarkSettings
from thumbnet.deployment.benchmark.subjects import Inputs, Subject
from thumbnet.progress import Announcer

Ask = Callable[[Any], Any]
WARM_UP = 1


@dataclass(kw_only=True)
class Timed:
    """What was measured of one subject at one batch size.

    Attributes:
        batch: Pictures a call.
        rounds: Seconds of every call, by round.
    """

    batch: int
    rounds: list[list[float]] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """How many calls were timed."""
        return sum(len(one) for one in self.rounds)

    @property
    def rates(self) -> list[float]:
        """Pictures a second, a median of each round."""
        return [self.batch / float(np.median(one)) for one in self.rounds]

    @property
    def rate(self) -> float:
        """Pictures a second, the median over rounds."""
        return float(np.median(self.rates))

    def milliseconds(self, percentile: float) -> float:
        """Of one call, over all rounds."""
        return 1e3 * float(np.percentile(np.concatenate(self.rounds), percentile))


def measure(
    subjects: Mapping[Subject, Ask], inputs: Inputs, settings: BenchmarkSettings, announcer: Announcer
) -> dict[Subject, dict[int, Timed]]:
    """Times every subject with one picture a call, and with the batches that are its fastest in a short trial.

    Returns:
        What was measured, by subject and batch size.
    """
    sizes = {
        subject: sorted({1, *fastest_batches(ask, subject, inputs, settings)})
        for subject, ask in announcer.track(subjects.items(), len(subjects), "trying batches")
    }
    timed = {subject: {size: Timed(batch=size) for size in sizes[subject]} for subject in subjects}
    turns = [(subject, ask, size) for subject, ask in subjects.items() for size in sizes[subject]]
    total = settings.rounds * len(turns)
    for subject, ask, size in announcer.track(_repeated(turns, settings.rounds), total, "timing"):
        timed[subject][size].rounds.append(timed_round(ask, subject, inputs, size, settings.seconds))
    return timed


def fastest_batches(ask: Ask, subject: Subject, inputs: Inputs, settings: BenchmarkSettings) -> list[int]:
    """The two of the settings' batch sizes at which a subject answers most pictures a second in a short trial.

    Two, as a moment's other work may put the best one second; which it is, the rounds say.
    """
    rates = {}
    for size in (1, *settings.batches):
        seconds = timed_round(ask, subject, inputs, size, settings.seconds / 2)
        rates[size] = size / float(np.median(seconds))
    return sorted(rates, key=lambda size: rates[size])[-2:]


def timed_round(ask: Ask, subject: Subject, inputs: Inputs, size: int, seconds: float) -> list[float]:
    """Seconds of each call, for as long as that; after a call that is not counted."""
    for number in range(WARM_UP):
        ask(inputs.batch(subject.way, size, number))
    taken: list[float] = []
    begun = time.perf_counter()
    while not taken or time.perf_counter() - begun < seconds:
        batch = inputs.batch(subject.way, size, len(taken))
        started = time.perf_counter()
        ask(batch)
        taken.append(time.perf_counter() - started)
    return taken


def _repeated(turns: Sequence[Any], rounds: int) -> Iterator[Any]:
    for _ in range(rounds):
        yield from turns
