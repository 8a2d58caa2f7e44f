"""Settings of `thumbnet benchmark`: what is timed, for how long, and where the result goes."""

from dataclasses import dataclass

from thumbnet.config.checks import require


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """Speed and memory of a run's networks beside its teacher's.

    Attributes:
        output: Folder for the result; by default `benchmark` in the run.
        data: Pictures to time with, as `--data` of `train`; by default the run's own held-out ones, else the sample
            data `elpv`. Those that are no JPEG files are encoded as such, at quality 90.
        pictures: How many different ones.
        rounds: Every network is timed once in each, in turn; at least 3 for a median that means something.
        seconds: How long one network is timed in one round; at least one batch goes through.
        batches: Batch sizes besides 1, of which the fastest counts, by network; the two fastest in a short trial are
            timed.
        threads: Of each network; by default one a core.
        int8: Time 8-bit networks too.
        memory: Measure memory, with one picture and with the largest of `batches`; each way in a process of its own.
    """

    output: str | None = None
    data: str | None = None
    pictures: int = 64
    rounds: int = 5
    seconds: float = 1.0
    batches: tuple[int, ...] = (4, 16, 32)
    threads: int | None = None
    int8: bool = True
    memory: bool = True

    def __post_init__(self) -> None:
        require(self.rounds >= 1, "rounds", self.rounds, "1 or more")
        require(self.seconds > 0, "seconds", self.seconds, "more than 0")
        require(all(batch >= 1 for batch in self.batches), "batches", self.batches, "1 or more each")
        require(self.pictures >= 1, "pictures", self.pictures, "1 or more")
        require(self.threads is None or self.threads >= 1, "threads", self.threads, "1 or more")

    @property
    def memory_batches(self) -> tuple[int, int]:
        """Batch sizes at which memory is measured: one picture, and the same number for all."""
        return 1, max(1, *self.batches)
