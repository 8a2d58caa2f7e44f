"""Runs one command, and turns what goes wrong into one line and an exit code.

0: done. 1: a fault that is not the user's (a full disk, or a defect, which keeps its traceback). 2: something the user
can put right. 130: interrupted.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentError

from thumbnet.cli.arguments import explain, normalise_flags, resume_from_run
from thumbnet.cli.parser import build_parser
from thumbnet.errors import ConfigError, ThumbNetError

TRAINING = ("train", "train-teacher")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `thumbnet ARGUMENTS`.

    Args:
        arguments: Without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    given = normalise_flags(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    if not given:
        parser.print_help()
        return 2
    try:
        parsed = parser.parse_args(resume_from_run(given))
        command = _command(parsed.subcommand)
        if _launched_together() and parsed.subcommand not in TRAINING:
            raise ConfigError(f"`thumbnet {parsed.subcommand}` runs in one process; start it without a launcher")
        code: int = command(parser.instantiate(parsed)[parsed.subcommand])
    except ArgumentError as error:
        return _fail(explain(error, parser, given), 2)
    except ThumbNetError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted; a training run or an archive goes on with --resume", 130)
    except BrokenPipeError:
        return 1
    return code


def _command(name: str) -> Callable[[Any], int]:
    """The function of a command; imported here, since help and mistyped flags should not wait for torch."""
    if name == "serve":  # needs none
        from thumbnet.cli.serve_command import serve

        return serve
    from thumbnet.cli import commands

    command: Callable[[Any], int] = getattr(commands, name.replace("-", "_"))
    return command


def _launched_together() -> bool:
    return os.environ.get("WORLD_SIZE", "1") != "1"


def _fail(message: str, code: int) -> int:
    if _launched_together():
        from thumbnet.processes import speaks

        if not speaks():
            return code
    print(f"thumbnet: error: {' '.join(message.split())}", file=sys.stderr)
    return code
