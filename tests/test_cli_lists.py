"""Settings of several values, given as `a,b,c`: text is taken as it stands, numbers are numbers."""

from typing import Any

import pytest

from thumbnet.cli.arguments import normalise_flags
from thumbnet.cli.parser import build_parser

PARSER = build_parser()
COMPARE = ("compare", "one.yaml", "--output", "out")


def parsed(*arguments: str) -> Any:
    found = PARSER.parse_args(normalise_flags(arguments))
    return found[found.subcommand]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("*fine", ("*fine",)),
        ("*_fine,b*", ("*_fine", "b*")),
        ("[ab]*", ("[ab]*",)),
        ("8", ("8",)),
        ("0,1", ("0", "1")),
        ("true, null,1e3", ("true", "null", "1e3")),
        ("hf/cells:small", ("hf/cells:small",)),
        ("photos: new,#2,a\\b,{x}", ("photos: new", "#2", "a\\b", "{x}")),
        ("bob's,été,😀", ("bob's", "été", "😀")),
        ("", ()),
    ],
)
def test_text_is_taken_as_it_stands(typed: str, meant: tuple[str, ...]) -> None:
    found = parsed(*COMPARE, "--ours", typed, f"--bounds={typed}", "--best-of", typed, f"--splits={typed}")
    assert (found.ours, found.bounds, found.best_of, found.splits) == (meant,) * 4


@pytest.mark.parametrize("typed", ["'*fine',8", '"*fine","8"', '["*fine", "8"]', "['*fine', '8']"])
def test_text_may_be_quoted_or_written_as_a_list_of_yaml(typed: str) -> None:
    assert parsed(*COMPARE, "--ours", typed).ours == ("*fine", "8")


def test_a_comma_within_quotes_separates_nothing() -> None:
    assert parsed(*COMPARE, "--splits", '"cells, old",new').splits == ("cells, old", "new")


def test_other_commands_take_text_in_the_same_way() -> None:
    assert parsed("serve", "run", "--allowed-hosts", "*").allowed_hosts == ("*",)
    train = ("train", "--teacher", "timm/a", "--data", "photos", "--output", "run")
    assert parsed(*train, "--feature_mapping.layers", "1,2").feature_mapping.layers == ("1", "2")
    sweep = ("sweep", *train[1:], "--students", "plain,keep_stride_2", "--ratios", "2,4")
    assert (parsed(*sweep).students, parsed(*sweep).ratios) == (("plain", "keep_stride_2"), (2, 4))


def test_numbers_stay_numbers() -> None:
    assert parsed(*COMPARE, "--seeds", "0,1").seeds == (0, 1)
    assert parsed("benchmark", "run", "--batches=4,8").batches == (4, 8)
