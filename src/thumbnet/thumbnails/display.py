"""What a long run shows: pictures and bytes a second, failures so far, time left."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.progress import BarColumn, Progress, TextColumn

from thumbnet.progress import Announcer
from thumbnet.thumbnails.blocks import Source

LINE_SECONDS = 30


@dataclass(kw_only=True)
class Tally:
    """Counts of one run, and when it began.

    Attributes:
        done: Thumbnails made.
        failed: Pictures, or parts of the input, that failed.
        source_bytes: Bytes of pictures read.
        thumbnail_bytes: Bytes of thumbnails made.
        blocks: Blocks finished, or found finished.
        seconds: Processor seconds of each stage, over all processes.
        started: When the run began, by the monotonic clock.
        started_blocks: Blocks that an earlier run had finished.
        first: When the first pictures arrived; starting processes takes seconds.
    """

    done: int = 0
    failed: int = 0
    source_bytes: int = 0
    thumbnail_bytes: int = 0
    blocks: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    started_blocks: int = 0
    first: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return max(time.monotonic() - self.started, 1e-9)

    @property
    def to_first(self) -> float:
        """Seconds until the first pictures arrived."""
        return self.elapsed if self.first is None else self.first - self.started

    def add_seconds(self, more: dict[str, float]) -> None:
        """Adds to the seconds of each stage."""
        for stage, seconds in more.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


class BlockCount:
    """How many blocks an input has, counted beside the work; None until it is known."""

    def __init__(self, source: Source) -> None:
        self.total: int | None = None
        threading.Thread(target=self._count, args=(source,), daemon=True).start()

    def _count(self, source: Source) -> None:
        try:
            self.total = sum(1 for _ in source.blocks())
        except Exception:  # whatever is wrong, the run itself meets it and says so
            self.total = None


@contextmanager
def shown(announcer: Announcer, tally: Tally, count: BlockCount) -> Iterator["Display"]:
    """A line that tells how the run is going, until it ends."""
    hidden = not announcer.console.is_terminal
    columns = (BarColumn(bar_width=12), TextColumn("{task.fields[line]}"))
    with Progress(*columns, console=announcer.console, transient=True, disable=hidden) as bar:
        yield Display(announcer, bar, tally, count, hidden)


class Display:
    """Shows a tally; see `shown`."""

    def __init__(self, announcer: Announcer, bar: Progress, tally: Tally, count: BlockCount, plain: bool) -> None:
        self._announcer, self._bar, self._tally, self._count, self._plain = announcer, bar, tally, count, plain
        self._task = bar.add_task("", total=None, line="starting")
        self._said = time.monotonic()

    def update(self) -> None:
        """Shows the tally as it is now; where nobody watches, as one line every half minute."""
        total, tally = self._count.total, self._tally
        line = describe(tally, total)
        self._bar.update(self._task, total=total, completed=tally.blocks, line=line)
        if self._plain and time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            self._announcer.say(line)


def describe(tally: Tally, total_blocks: int | None) -> str:
    """`12,345 pictures · 310/s · 28.1 MB/s in · 1.9 MB/s out · 3 failed · 0:12:01 left`."""
    pictures, seconds = tally.done + tally.failed, tally.elapsed
    parts = [
        f"{pictures:,} pictures",
        f"{pictures / seconds:,.0f}/s",
        f"{tally.source_bytes / 1e6 / seconds:.1f} MB/s in",
        f"{tally.thumbnail_bytes / 1e6 / seconds:.1f} MB/s out",
        f"{tally.failed:,} failed",
    ]
    made = tally.blocks - tally.started_blocks
    if total_blocks and made:
        left = seconds / made * (total_blocks - tally.blocks)
        parts.append(f"{duration(left)} left")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """`1:02:03`; days are hours."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
