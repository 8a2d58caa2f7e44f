"""What tests of the command line share: how a command answers, and what an error that a user can cause looks like."""

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
TINY_FLAGS = ["--teacher", "tiny_networks:two_stages", "--image-side", "32", "--epochs", "1", "--batch-size", "8"]


def assert_one_clear_line(answer: tuple[int, str, str], *words: str, code: int = 2) -> None:
    found, _, err = answer
    lines = [line for line in err.splitlines() if line.startswith("thumbnet: error: ")]
    assert found == code, err
    assert len(lines) == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in lines[0]
