"""What a launcher starts in the tests of several processes: one run after another, told by a JSON file.

    several_processes.py RUNS.json

Each entry: `settings` (of `train_teacher` if `teacher` is true, else of `fit`), `resume`, and `stop`, the optimiser
step before which every process is interrupted. `fails_in` names the process that meets a user's error there instead;
the program then is the command line's.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

import thumbnet.loop
from thumbnet import fit, processes, train_teacher
from thumbnet.config.run import settings_from_dict
from thumbnet.errors import DataError

torch.set_num_threads(1)


@contextlib.contextmanager
def stopping(step: int | None, error: BaseException) -> Iterator[None]:
    """Raises before optimiser step `step`."""
    original = thumbnet.loop._step

    def stop(loop: thumbnet.loop.Loop) -> None:
        if loop.state.position.step == step:
            raise error
        original(loop)

    thumbnet.loop._step = stop
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        thumbnet.loop._step = original


def main() -> None:
    for run in json.loads(Path(sys.argv[1]).read_text()):
        settings = settings_from_dict(run["settings"])
        train = train_teacher if run.get("teacher") else fit
        with stopping(run.get("stop"), KeyboardInterrupt()):
            train(settings, resume=run.get("resume", False))


def command_line_that_fails_in_the_second_process() -> int:
    from thumbnet.cli import main as thumbnet_command

    error = DataError("data: 003.png: it is gone; put it back")
    with stopping(1 if processes.rank() == 1 else None, error):
        return thumbnet_command(sys.argv[2:])
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "failing":
        sys.exit(command_line_that_fails_in_the_second_process())
    main()
