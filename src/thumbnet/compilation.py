"""`torch.compile` for training: what is compiled, and what goes wrong with it in one line."""

import contextlib
from collections.abc import Iterator

from torch._dynamo.exc import TorchDynamoException

from thumbnet.errors import ConfigError
from thumbnet.networks.pair import Pair
from thumbnet.networks.teacher import Teacher


def compile_pair(pair: Pair) -> None:
    """Has the student and the decoders compiled when they first run; states and copies of the pair do not change.

    The downscaler is left out: the compiler's replicated padding fails on images in channels-last order, and its two
    layers are a small part of a step.
    """
    # The networks inside the taps: registering a hook cannot be compiled, a registered one can.
    pair.student.network.compile()
    pair.feature_mapping.compile()


def compile_teacher(teacher: Teacher) -> None:
    """Has the teacher compiled when it is first asked."""
    teacher.tapped.network.compile()


@contextlib.contextmanager
def compiler_errors() -> Iterator[None]:
    """Turns a failure of the compiler into one line.

    Raises:
        ConfigError: If the networks cannot be compiled here, for example because no C++ compiler is installed.
    """
    try:
        yield
    except TorchDynamoException as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1]) or type(error).__name__
        raise ConfigError(f"compile: the networks cannot be compiled here ({reason}); leave --compile out") from error
