"""The page says what a reader wants to know, and is all in one file."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from report_run import EPOCHS, EVALUATION, STUDENT, TEACHER, Page, make_run
from thumbnet.report import write_report
from thumbnet.run_folder import RunFolder


def test_the_page_says_how_natural_the_thumbnails_are(run: RunFolder) -> None:
    run.write_evaluation({**EVALUATION, "naturalness": {"ssim": 0.98765, "delta_e": 1.5, "levels": 3.0, "psnr": None}})
    page = Page.of(run)
    assert page.row("SSIM") == ["0.988", "structural similarity; 1 is the same picture"]
    assert page.row("ΔE")[0] == "1.50"
    assert page.row("levels")[0] == "3.00"
    assert page.row("PSNR")[0] == "–"


def many_classes(count: int) -> dict[str, Any]:
    """Class 7 loses most, then class 6, down to class 0; every other class loses nothing."""
    teacher = {f"class {i}": 0.9 for i in range(count)}
    student = {name: 0.9 - (0.1 * i if 0 < i < 8 else 0) for i, name in enumerate(teacher)}
    return {**EVALUATION, "teacher": {**TEACHER, "per_class": teacher}, "student": {**STUDENT, "per_class": student}}


def links(page: Page) -> Iterator[str]:
    for _, attributes in page.elements:
        yield from (
            attributes[name] for name in ("src", "href", "xlink:href", "srcset", "action") if name in attributes
        )
        yield from re.findall(r"url\(\s*[\"']?([^)\"']+)", " ".join(attributes.values()))
    for style in re.findall(r"<style[^>]*>(.*?)</style>", page.html, re.DOTALL):
        yield from re.findall(r"url\(\s*[\"']?([^)\"']+)", style)


# What a reader learns.


def test_the_headline_says_what_is_kept_and_what_is_saved(run: RunFolder) -> None:
    text = Page.of(run).text

    assert "The student keeps 88.9% of the teacher's accuracy, on thumbnails with 16 times fewer pixels." in text
    assert "timm/resnet18" in text
    assert "25% held out, 400 pictures" in text
    assert "4 per side: 16 times fewer pixels" in text
    assert "image 192 px, thumbnail 48 px" in text


def test_accuracies_stand_side_by_side_with_their_standard_errors(run: RunFolder) -> None:
    page = Page.of(run)

    assert ["", "teacher", "untrained, bicubic", "student"] in page.rows
    # sqrt(0.9 * 0.1 / 400) = 1.5 points, sqrt(0.55 * 0.45 / 400) = 2.49, sqrt(0.8 * 0.2 / 400) = 2.
    assert page.row("top-1") == ["90.0% ± 1.5", "55.0% ± 2.5", "80.0% ± 2.0"]


def test_cost_is_given_for_the_student_alone_and_with_its_downscaler(run: RunFolder) -> None:
    page = Page.of(run)

    assert page.row("MACs per picture, network alone") == ["282 M", "22.1 M", "22.1 M"]
    assert page.row("MACs, downscaler + network") == ["–", "–", "36.7 M"]
    assert page.row("parameters") == ["3.37 M", "3.37 M", "3.37 M"]
    assert "12.7 times fewer, 7.69 times fewer with the downscaler" in page.text


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        (30e6, "1.36 times fewer, 1.22 times as many with the downscaler"),
        (20e6, "1.11 times as many, 1.83 times as many with the downscaler"),
    ],
)
def test_a_student_that_costs_more_than_its_teacher_is_not_said_to_cost_less(
    tmp_path: Path, teacher: float, said: str
) -> None:
    page = Page.of(make_run(tmp_path, {**EVALUATION, "teacher": {**EVALUATION["teacher"], "macs": teacher}}))

    assert said in page.text


def test_agreement_and_bytes_are_shown(run: RunFolder) -> None:
    text = Page.of(run).text

    assert "84.3%" in text
    assert "34.4 kB → 3.61 kB" in text


@pytest.mark.parametrize(("classes", "shown"), [(5, False), (6, True)])
def test_top5_is_shown_only_where_five_answers_can_be_wrong(tmp_path: Path, classes: int, shown: bool) -> None:
    page = Page.of(make_run(tmp_path, many_classes(classes)))

    assert any(row[0] == "top-5" for row in page.rows) == shown


def test_classes_come_with_what_the_student_loses_most_first(run: RunFolder) -> None:
    rows = Page.of(run).rows

    header = rows.index(["class", "teacher", "student", "difference"])
    assert rows[header + 1 :][:2] == [["dog", "85.0%", "70.0%", "−15.0"], ["cat", "95.0%", "90.0%", "−5.0"]]


@pytest.mark.parametrize(("classes", "rows"), [(50, 50), (51, 10)])
def test_of_many_classes_only_those_that_lose_most_are_shown(tmp_path: Path, classes: int, rows: int) -> None:
    page = Page.of(make_run(tmp_path, many_classes(classes)))

    shown = [row[0] for row in page.rows if row[0].startswith("class ")]
    assert len(shown) == rows
    assert shown[:3] == ["class 7", "class 6", "class 5"]


def test_a_class_without_a_measured_accuracy_is_shown_as_unknown(tmp_path: Path) -> None:
    student = {**STUDENT, "per_class": {"cat": float("nan"), "dog": 0.7}}

    page = Page.of(make_run(tmp_path, {**EVALUATION, "student": student}))

    assert page.row("cat") == ["95.0%", "–", "–"]


# Curves.


def test_each_loss_term_and_the_accuracy_have_a_panel(run: RunFolder) -> None:
    page = Page.of(run)

    assert page.drawings() == [
        "top-1 by epoch: from 70.0% at epoch 1 to 80.0% at epoch 2",
        "mm by epoch: from 3×10⁻⁵ at epoch 1 to 5×10⁻⁵ at epoch 2",
        "cl by epoch: from 0.9 at epoch 1 to 0.5 at epoch 2",
        "kd by epoch: from 2.4 at epoch 1 to 2.3 at epoch 2",
    ]
    assert len(page.all("svg")) == 4
    assert "kd, knowledge distillation, weight 2.5" in page.text


def test_a_loss_of_the_users_own_has_a_panel_too(run: RunFolder) -> None:
    run.append_metrics({**EPOCHS[1], "epoch": 3, "edges": 0.25})

    assert "edges by epoch: 0.25 at epoch 3" in Page.of(run).drawings()


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [((5.0, 0.5), True), ((5.0, 0.6), False), ((5.0, 0.0), False), ((5.0, -1.0), False)],
    ids=["tenfold", "less", "zero", "negative"],
)
def test_only_positive_losses_of_wide_range_are_drawn_logarithmically(
    tmp_path: Path, values: tuple[float, float], logarithmic: bool
) -> None:
    run = make_run(tmp_path)
    for epoch, value in enumerate(values, start=1):
        run.append_metrics({"epoch": epoch, "step": epoch, "cl": value})

    assert ("logarithmic scale" in Page.of(run).text) == logarithmic


def test_teacher_and_untrained_student_are_lines_beside_the_curve(run: RunFolder) -> None:
    top1_drawing = re.findall(r"<svg.*?</svg>", Page.of(run).html, re.DOTALL)[0]

    assert "var(--teacher)" in top1_drawing
    assert "var(--bicubic)" in top1_drawing


def test_accuracies_from_another_data_set_are_not_drawn_beside_the_curve(run: RunFolder) -> None:
    run.write_evaluation({**EVALUATION, "data": {"name": "elsewhere", "pictures": 9, "description": "elsewhere"}})

    top1_drawing = re.findall(r"<svg.*?</svg>", Page.of(run).html, re.DOTALL)[0]
    assert "var(--teacher)" not in top1_drawing


# Thumbnails.


def test_samples_are_embedded_side_by_side_with_words_for_who_cannot_see_them(run: RunFolder) -> None:
    pictures = Page.of(run).all("img")

    files = [f"{number:02d}-{kind}.png" for number in range(2) for kind in ("image", "bicubic", "thumbnail")]
    embedded = [base64.b64decode(picture["src"].removeprefix("data:image/png;base64,")) for picture in pictures]
    assert embedded == [(run.samples / name).read_bytes() for name in files]
    assert [picture["alt"] for picture in pictures[:3]] == [
        "Sample 1: image",
        "Sample 1: bicubic thumbnail",
        "Sample 1: downscaler's thumbnail",
    ]


def test_samples_of_an_evaluation_that_was_cut_off_do_no_harm(run: RunFolder) -> None:
    run.evaluation.unlink()
    (run.samples / "01-thumbnail.png").unlink()

    assert len(Page.of(run).all("img")) == 5


# What was run.


def test_settings_versions_and_fingerprint_are_kept_on_the_page(run: RunFolder) -> None:
    page = Page.of(run)

    assert page.all("details")
    assert "channels: 16" in page.text
    assert "recorded:" not in page.text
    assert "torch2.8.0" in page.text.replace(" ", "")
    assert "5e80e98c" in page.text


def test_unreadable_pictures_are_counted_and_the_first_are_named(run: RunFolder) -> None:
    assert "Every picture could be read." in Page.of(run).text

    run.write_unreadable([{"split": "train", "picture": f"{i}.jpg", "reason": "it is cut off"} for i in range(1200)])
    page = Page.of(run)

    assert "1,200 pictures could not be read and were left out." in page.text
    assert page.row("0.jpg") == ["it is cut off"]
    assert sum(row[0].endswith(".jpg") for row in page.rows) == 10


# A page that may be sent to anyone.


def test_the_page_refers_to_nothing_outside_itself(run: RunFolder) -> None:
    page = Page.of(run)

    found = list(links(page))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert found
    assert all(link.startswith("data:") or link.removeprefix("#") in ids for link in found)
    assert not page.all("script")
    assert not page.all("link")
    assert "@import" not in page.html


def test_ids_occur_once_however_many_drawings_there_are(run: RunFolder) -> None:
    ids = [attributes["id"] for _, attributes in Page.of(run).elements if "id" in attributes]

    assert len(ids) == len(set(ids))


def test_what_comes_from_the_run_is_text_and_never_markup(tmp_path: Path) -> None:
    bad = "<script>alert('1')</script>"
    per_class = {bad: 0.5}
    data = {"name": bad, "pictures": 4, "description": bad}
    evaluation = {**EVALUATION, "data": data}
    evaluation |= {name: {**TEACHER, "per_class": per_class} for name in ("teacher", "student")}
    run = make_run(tmp_path, evaluation, teacher=bad, data=bad, downscaler={"kind": bad})
    run.append_metrics({"epoch": 1, "step": 1, bad: 0.5, '"><script>': 0.5})
    run.write_unreadable([{"split": "train", "picture": bad, "reason": bad}])

    page = Page.of(run)

    assert not page.all("script")
    assert page.row(bad)[0] == "50.0%"
    assert f"{bad} by epoch: 0.5 at epoch 1" in page.drawings()


def test_the_same_run_gives_the_same_page(run: RunFolder) -> None:
    assert write_report(run).read_bytes() == write_report(run).read_bytes()


def test_every_table_has_a_caption_and_named_rows(run: RunFolder) -> None:
    page = Page.of(run)

    assert len(page.all("caption")) == len(page.all("table")) == 2
    assert {attributes["scope"] for attributes in page.all("th")} == {"row", "col"}
