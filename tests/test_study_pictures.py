"""Pareto pictures of comparisons that are kept as JSON."""

from pathlib import Path

from PIL import Image

from benchmark_scripts import BENCHMARKS, script


def test_a_kept_comparison_is_drawn_without_its_runs(tmp_path: Path) -> None:
    script("study_pictures").main(["elpv_sweep", "--output", str(tmp_path)])
    costs = ("bytes", "latency", "macs", "naturalness")
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"study_elpv_sweep_{cost}.png" for cost in costs]
    for file in tmp_path.iterdir():
        with Image.open(file) as picture:
            assert picture.width > 900


def test_every_picture_that_the_results_show_is_there() -> None:
    docs = BENCHMARKS.parent / "docs"
    page = (docs / "results.md").read_text()
    shown = [line.partition("](")[2].rstrip(")") for line in page.splitlines() if line.startswith("![")]
    assert len(shown) >= 5
    assert [name for name in shown if not (docs / name).is_file()] == []
