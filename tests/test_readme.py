"""The README's Python runs as it is written, on a small data set in place of the reader's."""

import re
from pathlib import Path
from typing import Any

import pytest

import thumbnet
from conftest import tiny_values
from thumbnet.run_folder import RunFolder

README = (Path(__file__).parent.parent / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_snippet_that_uses_a_bundle_runs(
    trained_run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = thumbnet.ThumbNet.load
    monkeypatch.setattr(thumbnet.ThumbNet, "load", lambda run: load(trained_run, allow_code=True))
    picture = photos / "val" / "flat" / "000.png"
    exec(SNIPPETS[0].replace("b.jpg", str(picture)), {})
    assert "flat" in capsys.readouterr().out


def test_the_snippet_with_a_loss_of_ones_own_runs(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = thumbnet.fit

    def small_fit(terms: dict[str, thumbnet.Term], **given: Any) -> thumbnet.ThumbNet:
        assert {"teacher", "teacher_weights", "data", "output"} == given.keys()
        return fit(**tiny_values(photos, tmp_path / "run"), terms=terms, quiet=True)

    monkeypatch.setattr(thumbnet, "fit", small_fit)
    exec(SNIPPETS[1], {})
    assert "brightness" in RunFolder(tmp_path / "run").read_metrics()[0]


def test_every_command_and_flag_in_the_readme_exists() -> None:
    from thumbnet.cli.arguments import flags_of
    from thumbnet.cli.parser import build_parser

    parser = build_parser()
    for command, rest in re.findall(r"^thumbnet ([\w-]+)(.*(?:\\\n.*)?)", README, flags=re.MULTILINE):
        known = flags_of(parser, command)
        assert command in flags_of(parser, "")
        for flag in re.findall(r"--([\w.-]+)", rest.split("#")[0]):
            assert flag.replace("-", "_") in known, f"thumbnet {command} --{flag}"
