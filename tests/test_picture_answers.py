"""What runs of different comparisons answered rightly is kept, and pairs picture by picture."""

import csv
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmark_scripts import script

KINDS = {"teacher": "reference", "thumbnet": "ours", "bicubic": "alternative"}
LABELS = ["cat", "dog", "cat", "dog", "cat", "dog", "cat", "dog", "cat", "dog"]


@pytest.fixture
def answers() -> ModuleType:
    return script("picture_answers")


def write_run(folder: Path, wrong: set[int], labels: list[str] = LABELS) -> None:
    folder.mkdir(parents=True)
    with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["picture", "label", "teacher", "student"])
        for number, label in enumerate(labels):
            table.writerow([f"{number}.png", label, label, "fish" if number in wrong else label])


def test_runs_of_two_comparisons_pair_picture_by_picture(answers: ModuleType, tmp_path: Path) -> None:
    write_run(tmp_path / "monday" / "thumbnet-seed0", wrong={0})
    write_run(tmp_path / "friday" / "bicubic-seed0", wrong={0, 1, 2})
    monday, friday = answers.of_study(tmp_path / "monday"), answers.of_study(tmp_path / "friday")
    found = answers.difference((monday, "thumbnet"), (friday, "bicubic"))
    assert found.mean == pytest.approx(0.2)
    assert 0 <= found.low < found.mean < found.high
    # Two students that miss the same pictures differ by nothing, however the pictures are drawn.
    same = answers.difference((monday, "thumbnet"), (monday, "thumbnet"))
    assert (same.low, same.mean, same.high) == (0, 0, 0)


def test_splits_are_paired_split_by_split(answers: ModuleType, tmp_path: Path) -> None:
    for split, wrong in (("fold0", {1}), ("fold1", set())):
        write_run(tmp_path / split / "thumbnet-seed0", wrong=set())
        write_run(tmp_path / split / "bicubic-seed0", wrong=wrong)
    kept = answers.of_study(tmp_path)
    assert sorted(kept["pictures"]) == ["fold0", "fold1"]
    found = answers.difference((kept, "thumbnet"), (kept, "bicubic"))
    assert found.mean == pytest.approx(1 / 20)
    assert found.low == 0


def test_only_the_seeds_of_both_are_paired(answers: ModuleType, tmp_path: Path) -> None:
    write_run(tmp_path / "a" / "thumbnet-seed0", wrong=set())
    write_run(tmp_path / "a" / "thumbnet-seed1", wrong=set(range(10)))
    write_run(tmp_path / "b" / "bicubic-seed0", wrong={3})
    ours, other = answers.of_study(tmp_path / "a"), answers.of_study(tmp_path / "b")
    assert answers.difference((ours, "thumbnet"), (other, "bicubic")).mean == pytest.approx(0.1)
    write_run(tmp_path / "c" / "bicubic-seed2", wrong={3})
    with pytest.raises(ValueError, match="no seed in common"):
        answers.difference((ours, "thumbnet"), (answers.of_study(tmp_path / "c"), "bicubic"))


def test_other_pictures_or_other_labels_do_not_pair(answers: ModuleType, tmp_path: Path) -> None:
    write_run(tmp_path / "a" / "thumbnet-seed0", wrong=set())
    write_run(tmp_path / "b" / "bicubic-seed0", wrong=set(), labels=LABELS[::-1])
    with pytest.raises(ValueError, match="different pictures"):
        answers.difference(
            (answers.of_study(tmp_path / "a"), "thumbnet"), (answers.of_study(tmp_path / "b"), "bicubic")
        )
    write_run(tmp_path / "a" / "bicubic-seed0", wrong=set(), labels=LABELS[::-1])
    with pytest.raises(ValueError, match="other pictures"):
        answers.of_study(tmp_path / "a")


@pytest.mark.parametrize("kind", ["compare", "sweep"])
def test_a_kept_study_holds_its_answers_and_no_path_of_the_machine(
    kind: str,
    answers: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study, results = tmp_path / "runs" / "solar", tmp_path / "results"
    results.mkdir()
    write_run(study / "thumbnet-seed0", wrong={4})
    write_run(study / "bicubic-seed0", wrong={4, 5})
    settings: dict[str, object] = {"output": str(study), "data": str(tmp_path / "pictures")}
    settings["teacher_weights"] = str(tmp_path / "teacher.safetensors")
    if kind == "sweep":
        settings = {"sweep": {"ratios": [2, 4]}, "train": settings}
    command = f"thumbnet compare a.yaml --data {tmp_path / 'pictures'} --output {study}"
    rows = [{"name": name, "kind": kind, "metric": {"mean": 1}} for name, kind in KINDS.items()]
    (study / "comparison.json").write_text(json.dumps({"settings": settings, "command": command, "rows": rows}))
    monkeypatch.setattr(sys, "argv", ["keep_study", str(study), "solar", "--results", str(results)])
    script("keep_study").main()
    written = (results / "study_solar.json").read_text()
    assert str(tmp_path) not in written
    kept = json.loads(written)
    assert answers.row_of(kept["answers"], "thumbnet")[1][0][0].tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    ahead = kept["ours_ahead_by"]["thumbnet"]
    assert list(ahead) == ["bicubic"]
    assert ahead["bicubic"]["mean"] == pytest.approx(0.1)
    capsys.readouterr()
    monkeypatch.setattr(answers, "RESULTS", results)
    monkeypatch.setattr(sys, "argv", ["picture_answers", "study_solar:thumbnet", "study_solar:bicubic"])
    answers.main()
    assert capsys.readouterr().out.startswith("+10.0 [")


def test_a_setting_is_paired_across_comparisons_only_where_both_keep_their_answers(
    answers: ModuleType, tmp_path: Path
) -> None:
    pairs = script("study_pairs")
    trial = pairs.Trial("mixup", "plain", "ten pictures", "friday", "thumbnet", "bicubic", other_study="monday")
    write_run(tmp_path / "friday" / "thumbnet-seed0", wrong={0})
    write_run(tmp_path / "monday" / "bicubic-seed0", wrong={0, 1, 2})
    kept = {day: answers.of_study(tmp_path / day) for day in ("friday", "monday")}
    assert pairs._across(trial, kept).startswith("+20.0 [")
    assert pairs._across(trial, {"friday": kept["friday"]}) == ""


def test_trainings_of_several_comparisons_pool_with_their_pictures(answers: ModuleType, tmp_path: Path) -> None:
    pairs = script("study_pairs")
    for day, wrong in (("monday", {0, 1}), ("friday", {0, 1, 2, 3})):
        write_run(tmp_path / day / f"{pairs.FINE}-seed0", wrong=set())
        write_run(tmp_path / day / "other-seed0", wrong=wrong)
    kept = {day: answers.of_study(tmp_path / day) for day in ("monday", "friday")}
    found = pairs.over_trainings_and_pictures(kept, ["monday", "friday"], "other")
    assert found["mean"] == pytest.approx(0.3)  # of 0.2 and 0.4
    assert found["low"] < 0.3 < found["high"]

    write_run(tmp_path / "sunday" / f"{pairs.FINE}-seed0", wrong=set(), labels=LABELS[::-1])
    write_run(tmp_path / "sunday" / "other-seed0", wrong={0}, labels=LABELS[::-1])
    kept["sunday"] = answers.of_study(tmp_path / "sunday")
    with pytest.raises(ValueError, match="different pictures"):
        pairs.over_trainings_and_pictures(kept, list(kept), "other")
