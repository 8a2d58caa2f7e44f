"""What goes wrong while a comparison is under way costs one row or one picture, never the rest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from thumbnet import compare, training
from thumbnet.cli import main
from thumbnet.comparison import figures
from thumbnet.comparison import runs as comparison_runs
from thumbnet.comparison.results import Results, Row
from thumbnet.comparison.statistics import spread
from thumbnet.comparison.study import Comparison, Study, write
from thumbnet.errors import TrainingError

Write = Callable[..., str]


def test_a_failure_in_training_does_not_stop_the_others(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = comparison_runs.fit

    def fails_for_bad(settings: Any, **how: Any) -> None:
        if "bad" in settings.output:
            raise TrainingError("the loss is\nnot finite")
        fit(settings, **how)

    monkeypatch.setattr(comparison_runs, "fit", fails_for_bad)
    recipes = [write_recipe(tmp_path, name, epochs=1) for name in ("bad", "good")]
    code = main(["compare", *recipes, "--output", str(tmp_path / "out"), "--timing-rounds", "0"])
    assert code == 2
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["failures"] == {"bad-seed0": "the loss is not finite"}
    assert [row["name"] for row in content["rows"]][-2:] == ["bad", "good"]


def test_a_recipe_that_does_not_fit_into_memory_does_not_stop_the_others(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_loop = training.run_loop

    def fits_unless_large(plan: Any) -> Any:
        if "large" in plan.settings.output:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 1 GiB")
        return run_loop(plan)

    monkeypatch.setattr(training, "run_loop", fits_unless_large)
    recipes = [write_recipe(tmp_path, name, epochs=1) for name in ("large", "small")]
    found = compare(recipes=recipes, output=tmp_path / "out", timing_rounds=0, quiet=True)
    assert found.results is not None
    assert [row.name for row in found.results.rows if row.metric][-1] == "small"
    (failed,) = found.failed
    assert failed.failure is not None
    assert "not enough memory (CUDA out of memory. Tried to allocate 20.00 GiB)" in failed.failure
    assert "--optimizer.accumulation_steps" in failed.failure
    assert not failed.run.path.exists()


def test_recipes_that_are_all_bounds_are_compared_and_drawn(write_recipe: Write, tmp_path: Path) -> None:
    recipes = [
        write_recipe(tmp_path, "area", downscaler={"kind": "area"}),
        write_recipe(tmp_path, "bicubic", downscaler={"kind": "bicubic"}),
    ]
    given = ["--output", str(tmp_path / "out"), "--timing-rounds", "0", "--bounds", "*ic,a*"]
    assert main(["compare", *recipes, *given]) == 0
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert {row["name"] for row in content["rows"] if row["kind"] == "bound"} == {"area", "bicubic"}
    assert (tmp_path / "out" / "pareto_naturalness.png").read_bytes().startswith(b"\x89PNG")


def test_the_numbers_are_on_disk_before_the_first_picture_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> bytes:
        raise RuntimeError("no font")

    monkeypatch.setattr(figures, "_draw", fails)
    rows = tuple(Row(name=name, kind="ours", metric=spread([0.5]), student_macs=10) for name in ("a", "b"))
    results = Results(metric="top1", paired_on="top1", pictures=3, rows=rows)
    study = Study(title="Comparison", recipes=(), seeds=(0,), output=tmp_path)
    with pytest.raises(RuntimeError, match="no font"):
        write(Comparison(results=results, runs=(), notes=(), folder=tmp_path), study)
    assert {file.name for file in tmp_path.iterdir()} == {"comparison.json", "comparison.md", "comparison.csv"}
    assert "pareto_macs.png" in (tmp_path / "comparison.md").read_text()
