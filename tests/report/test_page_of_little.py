"""The page of a run of which less is known."""

import re
from pathlib import Path
from typing import Any

import pytest

from report_run import EVALUATION, TEACHER, Page, make_run
from thumbnet.errors import CheckpointError
from thumbnet.report import write_report
from thumbnet.run_folder import RunFolder


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in EVALUATION.items() if name not in names}


def test_an_evaluation_from_before_naturalness_was_measured_is_shown_without_it(run: RunFolder) -> None:
    page = Page.of(run)
    assert "How natural" not in page.text
    assert "Thumbnails" in page.text


# Runs of which less is known.


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    page = Page.of(make_run(tmp_path))

    assert "This run has not been evaluated yet." in page.text
    assert "No epoch is finished yet." in page.text
    assert "0 of 3" in page.text


def test_without_a_teacher_at_hand_the_student_is_shown_alone(tmp_path: Path) -> None:
    evaluation = without("teacher", "untrained_bicubic", "retention", "agreement")

    page = Page.of(make_run(tmp_path, evaluation))

    assert (
        "The student classifies 80.0% of 400 pictures correctly, on thumbnails with 16 times fewer pixels." in page.text
    )
    assert page.row("top-1") == ["80.0% ± 2.0"]
    assert page.row("dog") == ["70.0%"]
    assert "The teacher was not at hand" in page.text


def test_a_teacher_that_is_never_right_leaves_no_retention(tmp_path: Path) -> None:
    page = Page.of(make_run(tmp_path, {**EVALUATION, "retention": None}))

    assert "The student classifies 80.0% of 400 pictures correctly" in page.text


def test_a_run_that_trained_a_teacher_speaks_of_no_thumbnails(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"teacher": TEACHER, "data": EVALUATION["data"]})
    run.append_metrics({"epoch": 1, "step": 10, "cl": 0.5, "top1": 0.9, "lr": 0.0, "seconds": 1.0})

    page = Page.of(run)

    assert "The teacher classifies 90.0% of 400 pictures correctly." in page.text
    assert page.row("top-1") == ["90.0% ± 1.5"]
    assert len(page.drawings()) == 2
    assert "pixels" not in page.text
    assert "student" not in page.text.partition("Settings")[0].lower()


def test_a_damaged_file_is_named(run: RunFolder) -> None:
    run.unreadable.write_text('{"picture": ')

    with pytest.raises(CheckpointError, match=re.escape(str(run.unreadable))):
        write_report(run)
    assert not run.report.exists()
