"""What a command shows while it works: one line for each thing it did, a bar with the time left while it does it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")


class Announcer:
    """Lines and bars on standard error, so that standard output holds results only.

    Args:
        quiet: Say nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """One plain line."""
        self.console.print(line, markup=False)

    def warn(self, line: str) -> None:
        """One line that asks for attention."""
        self.console.print(f"warning: {line}", markup=False, style="yellow")

    def track(self, items: Iterable[Item], total: int, description: str) -> Iterator[Item]:
        """A bar over `items` with the time left."""
        with self._bar() as bar:
            task = bar.add_task(description, total=total, losses="")
            for item in items:
                yield item
                bar.advance(task)

    @contextmanager
    def working(self, description: str) -> Iterator[None]:
        """A sign of life while something of unknown length is done."""
        with self.console.status(description):
            yield

    def steps(self, total: int, description: str) -> "StepBar":
        """A bar that also shows losses; use it as a context."""
        return StepBar(self._bar(), total, description)

    def _bar(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        losses = TextColumn("{task.fields[losses]}")
        # Where nobody watches, a bar is only blank lines in a log.
        hidden = not self.console.is_terminal
        return Progress(*columns, *times, losses, console=self.console, transient=True, disable=hidden)


class StepBar:
    """The bar of a training run."""

    def __init__(self, bar: Progress, total: int, description: str) -> None:
        self.bar = bar
        self.task = bar.add_task(description, total=total, losses="")

    def __enter__(self) -> "StepBar":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def update(self, done: int, losses: Mapping[str, float]) -> None:
        """Moves the bar to `done` steps and shows the losses by name."""
        self.bar.update(self.task, completed=done, losses=format_losses(losses))


def format_losses(losses: Mapping[str, float]) -> str:
    """`cl 0.412  kd 0.880`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
