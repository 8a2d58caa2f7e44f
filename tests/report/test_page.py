import base64
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from thumbnet.errors import CheckpointError
from thumbnet.report import write_report
from thumbnet.report.wording import loss_value, points, quantity
from thumbnet.run_folder import RunFolder

SETTINGS = {
    "teacher": "timm/resnet18",
    "data": "photos/cells",
    "ratio": 4,
    "image_side": None,
    "epochs": 3,
    "loss": {"mm": 1.0, "cl": 1.0, "kd": 2.5, "fm": 0.0},
    "downscaler": {"kind": "residual", "channels": 16},
    "recorded": {"data_fingerprint": "5e80e98c", "versions": {"python": "3.11.7", "torch": "2.8.0"}},
}
TEACHER = {
    "top1": 0.90,
    "top5": 0.99,
    "per_class": {"cat": 0.95, "dog": 0.85},
    "macs": 282_057_088,
    "parameters": 3_373_570,
}
STUDENT = {
    "top1": 0.80,
    "top5": 0.97,
    "per_class": {"cat": 0.90, "dog": 0.70},
    "macs": 22_126_928,
    "parameters": 3_373_570,
}
EVALUATION = {
    "student": STUDENT,
    "downscaler": {"macs": 14_561_280, "parameters": 2_438},
    "ratio": 4,
    "image_side": 192,
    "thumbnail_side": 48,
    "teacher": TEACHER,
    "untrained_bicubic": {"top1": 0.55, "top5": 0.88, "per_class": {"cat": 0.5, "dog": 0.6}},
    "retention": 0.8889,
    "agreement": 0.8432,
    "data": {"name": "photos/cells", "pictures": 400, "description": "25% held out"},
    "bytes": {"image": 34_428, "thumbnail": 3_608},
}
EPOCHS = [
    {"epoch": 1, "step": 10, "mm": 3e-5, "cl": 0.9, "kd": 2.4, "top1": 0.70, "lr": 0.001, "seconds": 3.0},
    {"epoch": 2, "step": 20, "mm": 5e-5, "cl": 0.5, "kd": 2.3, "top1": 0.80, "lr": 0.0, "seconds": 3.0},
]


class Page(HTMLParser):
    """A page as its reader meets it: elements with their attributes, and tables as lists of rows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)

    @classmethod
    def of(cls, run: RunFolder) -> "Page":
        return cls(write_report(run).read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.words.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def row(self, name: str) -> list[str]:
        return next(row[1:] for row in self.rows if row and row[0] == name)

    def drawings(self) -> list[str]:
        return [attributes["aria-label"] for attributes in self.all("div") if attributes.get("role") == "img"]


def make_run(folder: Path, evaluation: dict[str, Any] | None = None, **settings: Any) -> RunFolder:
    run = RunFolder(folder / "cells-4")
    run.begin({**SETTINGS, **settings}, overwrite=False)
    if evaluation is not None:
        run.write_evaluation(evaluation)
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run with two epochs, two samples and no unreadable picture."""
    run = make_run(tmp_path, EVALUATION)
    for record in EPOCHS:
        run.append_metrics(record)
    run.write_unreadable([])
    run.samples.mkdir()
    for number in range(2):
        for kind, side in (("image", 16), ("bicubic", 4), ("thumbnail", 4)):
            Image.new("RGB", (side, side), (number, 40, side)).save(run.samples / f"{number:02d}-{kind}.png")
    return run


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in EVALUATION.items() if name not in names}


def test_the_page_says_how_natural_the_thumbnails_are(run: RunFolder) -> None:
    run.write_evaluation({**EVALUATION, "naturalness": {"ssim": 0.98765, "delta_e": 1.5, "levels": 3.0, "psnr": None}})
    page = Page.of(run)
    assert page.row("SSIM") == ["0.988", "structural similarity; 1 is the same picture"]
    assert page.row("ΔE")[0] == "1.50"
    assert page.row("levels")[0] == "3.00"
    assert page.row("PSNR")[0] == "–"


def test_an_evaluation_from_before_naturalness_was_measured_is_shown_without_it(run: RunFolder) -> None:
    page = Page.of(run)
    assert "How natural" not in page.text
    assert "Thumbnails" in page.text


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
    assert "12.7 times fewer, 7.69 times with the downscaler" in page.text


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


# Numbers in words.


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (None, "–"),
        (0, "0"),
        (812, "812"),
        (2_438, "2.44 k"),
        (22_126_928, "22.1 M"),
        (999_999, "1 M"),
        (4.1e9, "4.1 G"),
    ],
)
def test_counts_have_three_digits_and_a_prefix(count: float | None, written: str) -> None:
    assert quantity(count) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0"), (0.4129, "0.413"), (7.4e-5, "7.4×10⁻⁵"), (1e-4, "10⁻⁴"), (-0.5, "−0.5"), (2.5e6, "2.5×10⁶")],
)
def test_losses_too_small_or_large_to_read_become_powers_of_ten(value: float, written: str) -> None:
    assert loss_value(value) == written


@pytest.mark.parametrize(("difference", "written"), [(0.012, "+1.2"), (-0.107, "−10.7"), (-0.0001, "0.0")])
def test_differences_carry_their_sign(difference: float, written: str) -> None:
    assert points(difference) == written
