"""The results page says what the JSON files say."""

from pathlib import Path

import pytest

from benchmark_scripts import script

ROOT = Path(__file__).parent.parent


def test_the_results_page_is_what_the_json_files_give() -> None:
    assert (ROOT / "docs" / "results.md").read_text() == script("write_results").render()


def test_no_two_sections_have_one_heading() -> None:
    headings = [line for line in script("write_results").render().splitlines() if line.startswith("#")]
    assert len(headings) == len(set(headings))


def test_a_difference_over_trainings_has_their_chance_in_its_interval() -> None:
    pairs = script("study_pairs")

    def study(learned: list[float], bicubic: list[float]) -> dict[str, dict[str, dict[str, list[float]]]]:
        names = (pairs.FINE, "bicubic_all_fine")
        return {name: {"metric": {"values": found}} for name, found in zip(names, (learned, bicubic), strict=True)}

    studies = {"one": study([0.95, 0.96], [0.94, 0.94]), "two": study([0.97], [0.96]), "three": study([0.98], [0.97])}
    found = pairs.over_trainings(studies, list(studies), "bicubic_all_fine")
    # 1, 2, 1 and 1 points: mean 1.25, standard error 0.25, and 3.182 of them on each side
    assert found == pytest.approx({"mean": 0.0125, "low": 0.0125 - 3.182 * 0.0025, "high": 0.0125 + 3.182 * 0.0025})
    with pytest.raises(ValueError, match="is one of them the other"):
        pairs.over_trainings(studies | {"four": studies["two"]}, [*studies, "four"], "bicubic_all_fine")
