"""The tables and key numbers of the report, made from evaluation.json.

Pure functions of what was measured: anything of it may be missing. Knows no HTML and no files.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thumbnet.report.wording import METRICS, UNKNOWN, percent, points, quantity, standard_error, times

NETWORKS = {"teacher": "teacher", "untrained_bicubic": "untrained, bicubic", "student": "student"}
MOST_CLASSES, WORST_CLASSES = 50, 10

Evaluation = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """What a table shows in one place; `note` is set smaller beside it."""

    value: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows by their name; the first column heads the names."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class KeyNumber:
    """One number that a reader looks for first, with its meaning."""

    name: str
    value: str
    meaning: str


def evaluated_networks(evaluation: Evaluation) -> list[str]:
    """Keys of the networks that were measured, in the order of the report."""
    return [name for name in NETWORKS if name in evaluation]


def key_sentence(evaluation: Evaluation | None, ratio: int) -> str:
    """What came out, in one sentence, whatever was measured."""
    if evaluation is None or not evaluated_networks(evaluation):
        return "This run has not been evaluated yet."
    thumbnails = f"on thumbnails with {times(ratio**2)} times fewer pixels" if ratio > 1 else "on pictures of full size"
    if (evaluation.get("bytes") or {}).get("thumbnail", 0) is None:
        thumbnails = "handed every pixel of the image: a bound, not a thumbnail"
    retention = evaluation.get("retention")
    if retention is not None:
        return f"The student keeps {percent(retention)} of the teacher's accuracy, {thumbnails}."
    pictures = evaluation.get("data", {}).get("pictures")
    counted = f"{pictures:,} pictures" if pictures else "the pictures"
    who = "student" if "student" in evaluation else "teacher"
    where = f", {thumbnails}" if who == "student" else ""
    metric = evaluation.get("metric", "top1")
    if metric == "map":
        return f"The {who}'s mean average precision is {percent(evaluation[who]['map'])} on {counted}{where}."
    if metric == "agreement":
        agreement = percent(evaluation.get("agreement"))
        return f"The student says the same as the teacher of {agreement} of {counted}{where}."
    return f"The {who} classifies {percent(evaluation[who]['top1'])} of {counted} correctly{where}."


def key_numbers(evaluation: Evaluation) -> list[KeyNumber]:
    """Retention, agreement, and what is saved in bytes and MACs; those that were measured."""
    found = []
    if evaluation.get("retention") is not None:
        metric = METRICS[evaluation.get("metric", "top1")]
        meaning = f"the student's {metric} divided by the teacher's"
        found.append(KeyNumber("retention", percent(evaluation["retention"]), meaning))
    if evaluation.get("agreement") is not None:
        labels = "labels on which student and teacher say the same"
        single = "pictures to which student and teacher give the same class"
        meaning = f"share of the {labels if evaluation.get('metric') == 'map' else single}"
        found.append(KeyNumber("agreement", percent(evaluation["agreement"]), meaning))
    sizes = evaluation.get("bytes")
    if sizes and sizes["thumbnail"] is not None:
        image, thumbnail = quantity(sizes["image"], "B"), quantity(sizes["thumbnail"], "B")
        meaning = "mean size of a picture file as it is stored, and of its thumbnail as PNG"
        meaning += _said([_change(sizes["image"], sizes["thumbnail"])])
        found.append(KeyNumber("bytes", f"{image} → {thumbnail}", meaning))
    if "teacher" in evaluation and "student" in evaluation:
        found.append(_compute(evaluation))
    return found


def accuracy_table(evaluation: Evaluation) -> Table:
    """Accuracy and cost of every network that was measured, a column each."""
    names = evaluated_networks(evaluation)
    pictures = evaluation.get("data", {}).get("pictures")
    metric = evaluation.get("metric", "top1")
    # A mean average precision is no share of the pictures, and has no binomial error.
    counted = None if metric == "map" else pictures
    shares = {**{name: evaluation[name].get(metric) for name in names}}
    if metric == "agreement":
        shares["student"] = evaluation.get("agreement")
    rows = [(METRICS[metric], tuple(_accuracy_cell(shares[name], counted) for name in names))]
    # With five classes or fewer every answer is among the first five.
    if metric == "top1" and any(len(evaluation[name].get("per_class", ())) > 5 for name in names):
        rows.append(("top-5", tuple(_accuracy_cell(evaluation[name].get("top5"), pictures) for name in names)))
    rows.append(("MACs per picture, network alone", _cells(names, lambda name: _cost(evaluation, name, "macs"))))
    if "downscaler" in evaluation:
        rows.append(("MACs, downscaler + network", _cells(names, lambda name: _with_downscaler(evaluation, name))))
    rows.append(("parameters", _cells(names, lambda name: _cost(evaluation, name, "parameters"))))
    if "downscaler" in evaluation:
        extra = evaluation["downscaler"].get("parameters")
        rows.append(("parameters of the downscaler", _cells(names, lambda name: extra if name == "student" else None)))
    caption = _accuracy_caption(pictures, errors=counted is not None)
    return Table(caption, ("", *(NETWORKS[name] for name in names)), tuple(rows))


def naturalness_table(evaluation: Evaluation) -> Table | None:
    """How far the thumbnails are from bicubic ones; None where that was not measured."""
    measured = evaluation.get("naturalness")
    if not measured:
        return None
    rows = (
        ("SSIM", _rounded(measured.get("ssim"), 3), "structural similarity; 1 is the same picture"),
        ("ΔE", _rounded(measured.get("delta_e"), 2), "mean colour difference; about 2.3 is just noticeable"),
        ("levels", _rounded(measured.get("levels"), 2), "mean difference of a pixel's colour values, of 255"),
        (
            "PSNR",
            _rounded(measured.get("psnr"), 1, " dB"),
            "peak signal-to-noise ratio; – where there is no difference",
        ),
    )
    caption = "How natural the thumbnails look: their distance from bicubic ones, which hold nothing but the image."
    return Table(
        caption, ("", "value", "what it says"), tuple((name, (value, Cell(said))) for name, value, said in rows)
    )


def _rounded(value: float | None, digits: int, unit: str = "") -> Cell:
    return Cell(UNKNOWN if value is None else f"{value:.{digits}f}{unit}")


def class_table(evaluation: Evaluation) -> Table | None:
    """Accuracy (or average precision) by class, what lost most first; only the ten worst of more than fifty classes."""
    shares = {name: evaluation.get(name, {}).get("per_class") for name in ("teacher", "student")}
    known = {name: values for name, values in shares.items() if values}
    if not known:
        return None
    compared = len(known) == 2
    order = _by_loss(known)
    shown = order if len(order) <= MOST_CLASSES else order[:WORST_CLASSES]
    rows = []
    for label in shown:
        cells = [Cell(percent(values.get(label))) for values in known.values()]
        if compared:
            lost = _difference(known["teacher"].get(label), known["student"].get(label))
            cells.append(Cell(UNKNOWN if lost is None else points(lost)))
        rows.append((label, tuple(cells)))
    columns = ("class", *known, *(["difference"] if compared else []))
    precisions = evaluation.get("metric", "top1") == "map"
    return Table(_class_caption(len(order), len(shown), compared, precisions), columns, tuple(rows))


def _compute(evaluation: Evaluation) -> KeyNumber:
    teacher, student = _cost(evaluation, "teacher", "macs"), _cost(evaluation, "student", "macs")
    both = _with_downscaler(evaluation, "student") if "downscaler" in evaluation else None
    alone, with_downscaler = _change(teacher, student), _change(teacher, both)
    changes = [alone, with_downscaler and f"{with_downscaler} with the downscaler"]
    meaning = f"per picture, teacher and student alone{_said(changes)}"
    return KeyNumber("MACs", f"{quantity(teacher)} → {quantity(student)}", meaning)


def _accuracy_caption(pictures: int | None, errors: bool) -> str:
    if not pictures:
        return "Accuracy and cost."
    explained = " ± is one binomial standard error, in percentage points." if errors else ""
    return f"Accuracy and cost, on {pictures:,} pictures.{explained}"


def _class_caption(classes: int, shown: int, compared: bool, precisions: bool) -> str:
    what = "Average precision" if precisions else "Accuracy"
    unit = "; difference in percentage points" if compared else ""
    if shown == classes:
        first = "those that lose most first" if compared else "the lowest first"
        return f"{what} by class, {first}{unit}."
    which = "that lose most" if compared else "where it is lowest"
    return f"{what} of the {shown} of {classes:,} classes {which}{unit}."


def _accuracy_cell(share: float | None, pictures: int | None) -> Cell:
    if share is None or not pictures:
        return Cell(percent(share))
    return Cell(percent(share), f"± {100 * standard_error(share, pictures):.1f}")


def _cells(names: Sequence[str], count: Callable[[str], float | None]) -> tuple[Cell, ...]:
    return tuple(Cell(quantity(count(name))) for name in names)


def _cost(evaluation: Evaluation, name: str, what: str) -> float | None:
    # Evaluations of earlier versions have no costs of the untrained copy, which were then the student's.
    same = evaluation.get("student", {}).get(what) if name == "untrained_bicubic" else None
    value: float | None = evaluation.get(name, {}).get(what, same)
    return value


def _with_downscaler(evaluation: Evaluation, name: str) -> float | None:
    downscaler, network = evaluation["downscaler"].get("macs"), _cost(evaluation, name, "macs")
    # The teacher has no downscaler, and the plain bicubic filter's own cost is not recorded.
    return None if name != "student" or downscaler is None or network is None else downscaler + network


def _change(before: float | None, after: float | None) -> str:
    """`12.7 times fewer` or `1.03 times as many`; nothing where either is unknown or they are the same when rounded."""
    if not before or not after:
        return ""
    factor = times(max(before / after, after / before))
    if factor == times(1):
        return ""
    return f"{factor} times fewer" if before > after else f"{factor} times as many"


def _said(changes: Sequence[str]) -> str:
    known = ", ".join(change for change in changes if change)
    return f": {known}" if known else ""


def _difference(teacher: float | None, student: float | None) -> float | None:
    if teacher is None or student is None or math.isnan(teacher) or math.isnan(student):
        return None
    return student - teacher


def _by_loss(known: Mapping[str, Mapping[str, float]]) -> list[str]:
    def key(label: str) -> float:
        values = [by_class.get(label) for by_class in known.values()]
        change = _difference(values[0], values[1]) if len(values) == 2 else _difference(0.0, values[0])
        return math.inf if change is None else change

    labels = dict.fromkeys(label for values in known.values() for label in values)
    return sorted(labels, key=key)
