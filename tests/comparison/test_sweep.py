"""`thumbnet sweep`: every ratio and student option, and the recommendation."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from thumbnet import SweepSettings, sweep
from thumbnet.cli import main
from thumbnet.comparison.results import Row
from thumbnet.comparison.statistics import Interval, spread
from thumbnet.comparison.sweep import recommend
from thumbnet.config.comparison import student_option
from thumbnet.errors import ConfigError, DataError
from thumbnet.run_folder import RunFolder

FLAGS = ["--teacher", "tiny_networks:two_stages", "--image-side", "32", "--epochs", "1", "--batch-size", "8"]
FLAGS += ["--workers", "0", "--device", "cpu", "--loss.kd", "0", "--loss.fm", "0", "--timing-rounds", "2"]
FLAGS += ["--student.detail-steps", "6"]


def row(name: str, macs: int, drop: float, low: float, high: float) -> Row:
    return Row(
        name=name,
        kind="alternative",
        metric=spread([0.9 - drop]),
        drop=Interval(mean=drop, low=low, high=high),
        student_macs=macs,
        downscaler_macs=10,
        seeds=(0,),
    )


def test_a_sweep_makes_a_row_of_each_combination_and_says_why_one_cannot_run(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--ratios", "2,4,5", "--students", "plain,keep_stem_resolution,detail_decoder"]
    options += ["--max-drop", "100"]
    code = main(["sweep", *FLAGS, "--data", str(photos), "--output", str(tmp_path / "out"), *options])
    out = capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    rows = {found["name"]: found for found in content["rows"]}
    assert code == 0
    assert "ratio 5 does not divide" in rows["ratio5-plain"]["failures"][0]
    assert not (tmp_path / "out" / "ratio5-plain-seed0").exists()
    assert "ratio 3 or more" in rows["ratio2-detail_decoder"]["failures"][0]
    assert rows["ratio4-detail_decoder"]["student_macs"] > rows["ratio4-keep_stem_resolution"]["student_macs"]
    for name in ("ratio2-plain", "ratio2-keep_stem_resolution", "ratio4-plain", "ratio4-keep_stem_resolution"):
        assert rows[name]["metric"]["mean"] >= 0
    possible = [found for name, found in rows.items() if name.startswith("ratio") and found["metric"]]
    cheapest = min(possible, key=lambda found: found["student_macs"] + found["downscaler_macs"])
    assert content["recommendation"]["name"] == cheapest["name"]
    assert f"thumbnet predict {tmp_path / 'out'}/{cheapest['name']}-seed0" in out.replace("\n", "")
    assert content["recommendation"]["reason"] in (tmp_path / "out" / "comparison.md").read_text()
    assert (tmp_path / "out" / "pareto_macs.png").exists()
    weights = {
        name: RunFolder(tmp_path / "out" / f"{name}-seed0").read_config()["recorded"]["losses"]["em"]
        for name in ("ratio2-plain", "ratio4-plain", "ratio4-keep_stem_resolution")
    }
    expected = {"ratio2-plain": 2, "ratio4-plain": 10, "ratio4-keep_stem_resolution": 2}
    assert weights == expected, "each student has the weight for its own distance from the teacher"


def test_a_sweep_of_which_nothing_can_run_says_why(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--ratios", "5", "--students", "plain"]
    code = main(["sweep", *FLAGS, "--data", str(photos), "--output", str(tmp_path / "out"), *options])
    assert code == 2
    assert "ratio5-plain failed: ratio 5 does not divide" in capsys.readouterr().out


def test_the_cheapest_within_the_limit_is_recommended() -> None:
    rows = [row("a", 900, 0.005, 0.0, 0.01), row("b", 300, 0.018, 0.005, 0.03), row("c", 100, 0.05, 0.03, 0.07)]
    found = recommend(rows, 2.0, Path("out"))
    assert (found.name, found.within, found.surely) == ("b", True, False)
    assert "the upper end of its interval is not within it" in found.reason
    assert found.command == "thumbnet predict out/b-seed0 PICTURES"
    assert recommend(rows, 3.0, Path("out")).surely


def test_a_recommendation_says_which_runs_it_does_not_rest_on() -> None:
    rows = [replace(row("a", 300, 0.01, 0.0, 0.02), failures=("not enough memory",)), row("b", 900, 0.0, 0.0, 0.01)]
    reason = recommend(rows, 2.0, Path("out")).reason
    assert reason.endswith("Other runs of a failed (not enough memory), so this is of those that finished.")
    assert "failed" not in recommend(rows[1:], 2.0, Path("out")).reason


def test_a_drop_of_exactly_the_limit_is_within_it() -> None:
    assert recommend([row("a", 900, 0.3 - 0.28, 0.0, 0.03)], 2.0, Path("out")).within


def test_where_none_is_within_the_limit_the_nearest_is_named() -> None:
    rows = [row("a", 900, 0.03, 0.02, 0.04), row("b", 300, 0.05, 0.04, 0.06)]
    found = recommend(rows, 2.0, Path("out"))
    assert (found.name, found.within) == ("a", False)
    assert "None is within 2 points; a comes nearest" in found.reason


def test_a_metric_without_paired_drop_is_judged_by_its_mean() -> None:
    teacher = Row(name="teacher", kind="reference", metric=spread([0.9]))
    student = Row(name="a", kind="alternative", metric=spread([0.89]), student_macs=5, downscaler_macs=1, seeds=(0,))
    found = recommend([teacher, student], 2.0, Path("out"))
    assert (found.name, found.within, found.surely) == ("a", True, False)
    assert "not known" in found.reason


def test_nothing_is_recommended_where_nothing_ran() -> None:
    assert recommend([], 2.0, Path("out")).command is None


def test_what_would_keep_every_combination_from_running_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        sweep(teacher="tiny_networks:two_stages", data="nowhere", output=tmp_path / "out", image_side=32, quiet=True)
    assert not (tmp_path / "out").exists()


def test_a_student_option_has_the_name_of_its_setting() -> None:
    assert student_option("keep_stride_2").keep_stride == 2
    for name in ("keep_stem_resolution", "dilate_last_stage", "detail_decoder"):
        assert getattr(student_option(name), name) is True
    with pytest.raises(ConfigError, match=r"students is keep_stride, .*keep_stride_N"):
        SweepSettings(students=("keep_stride",))


@pytest.mark.parametrize(
    ("name", "value"), [("ratios", ()), ("ratios", (2, 9)), ("seeds", (-1,)), ("max_drop", -1.0), ("timing_rounds", -1)]
)
def test_settings_of_a_sweep_are_checked(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        SweepSettings(**{name: value})  # type: ignore[arg-type]
