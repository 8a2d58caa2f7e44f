"""Memory: each subject in a new process, which loads it, answers, and says how far it grew."""

import resource
import sys
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from thumbnet.deployment.benchmark.subjects import Subject, load
from thumbnet.errors import ThumbNetError

CALLS = 3
_STATUS = Path("/proc/self/status")
_RESET_PEAK = Path("/proc/self/clear_refs")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Of one subject at one batch size, in MB.

    Attributes:
        loaded: The process with its networks loaded, before the first answer.
        peak: The most that it took while it answered.
    """

    loaded: float
    peak: float

    @property
    def inference(self) -> float:
        """What answering took on top of the networks."""
        return self.peak - self.loaded


def memory_of(subject: Subject, batch: Any) -> Memory:
    """Measures one subject on one batch.

    Raises:
        ThumbNetError: If its process dies, for want of memory say.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(theirs, subject, batch), daemon=True)
    process.start()
    theirs.close()
    try:
        measured: Memory = ours.recv()
        return measured
    except EOFError as error:
        process.join()
        raise ThumbNetError(f"the process that measured {subject.name} ended with {process.exitcode}") from error
    finally:
        process.join()


def _measure(answer_to: Connection, subject: Subject, batch: Any) -> None:
    ask = load(subject)
    loaded = _resident()
    if _RESET_PEAK.exists():
        _RESET_PEAK.write_text("5")
    for _ in range(CALLS):
        ask(batch)
    answer_to.send(Memory(loaded=loaded, peak=_peak()))


def _resident() -> float:
    return _status("VmRSS") if _STATUS.exists() else _peak()


def _peak() -> float:
    if _STATUS.exists():
        return _status("VmHWM")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _status(name: str) -> float:
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024 / 1e6
