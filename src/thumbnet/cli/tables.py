"""Results as tables for a terminal."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from thumbnet.bundle import ThumbNet
from thumbnet.classification import Classification
from thumbnet.comparison.results import Results
from thumbnet.comparison.table import cells
from thumbnet.networks.student import in_words
from thumbnet.preview import NetworkPreview, Preview
from thumbnet.profiling import count_parameters, format_macs
from thumbnet.report.wording import METRICS

MOST_CLASSES = 20
ROWS = (
    ("teacher", "teacher on images"),
    ("untrained_bicubic", "untrained on bicubic thumbnails"),
    ("student", "ThumbNet: student on thumbnails"),
)


def evaluation_table(result: dict[str, Any]) -> Table:
    """Accuracies and costs, one network a row."""
    data = result["data"]
    table = Table(title=f"{data['name']}: {data['pictures']:,} pictures ({data['description']})", title_justify="left")
    metric = result.get("metric", "top1")
    many_classes = len(result["student" if "student" in result else "teacher"].get("per_class", ())) > 5
    many_classes = many_classes and metric == "top1"
    for heading in ("", METRICS[metric], *(["top-5"] if many_classes else []), "MACs", "bytes"):
        table.add_column(heading, justify="left" if not heading else "right")
    sides = {"teacher": "image", "untrained_bicubic": "thumbnail", "student": "thumbnail"}
    for key, name in ROWS:
        if key in result:
            top5 = [f"{result[key]['top5']:.2%}"] if many_classes else []
            # Evaluations of earlier versions have no costs of the untrained copy, which were then the student's.
            macs = result[key].get("macs", result["student"]["macs"] if "student" in result else 0)
            size = result.get("bytes", {}).get(sides[key]) if key != "untrained_bicubic" else None
            share = result.get(metric) if metric == "agreement" and key == "student" else result[key].get(metric)
            shown = "" if share is None else f"{share:.2%}"
            table.add_row(name, shown, *top5, format_macs(macs), f"{size:,}" if size else "")
    notes = []
    if result.get("retention") is not None:
        notes.append(f"retention {result['retention']:.1%}, agreement with the teacher {result['agreement']:.1%}")
    if "downscaler" in result:
        notes.append(f"downscaler {format_macs(result['downscaler']['macs'])} MACs")
    table.caption = "; ".join(notes) or None
    table.caption_justify = "left"
    return table


def formats_table(result: dict[str, Any]) -> Table:
    """One format of thumbnails a row, with what the teacher makes of pictures stored in the same bytes."""
    metric, data = result["metric"], result["data"]
    table = Table(title=f"{data['name']}: {data['pictures']:,} pictures, stored", title_justify="left")
    for heading in ("thumbnail as", "bytes", METRICS[metric], "teacher, full size", "teacher, shrunk"):
        table.add_column(heading, justify="left" if heading == "thumbnail as" else "right")
    for name, ways in result["formats"].items():
        small = ways["thumbnail"]
        table.add_row(
            name,
            f"{small['bytes']:,}",
            f"{small[metric]:.2%}" if metric in small else "",
            *(_at_same_bytes(ways.get(way), metric) for way in ("full_size", "shrunk")),
        )
    table.caption = "the teacher's columns: pictures as JPEG in the same bytes, at the image side or shrunk"
    table.caption_justify = "left"
    return table


def _at_same_bytes(stored: dict[str, Any] | None, metric: str) -> str:
    if stored is None or metric not in stored:
        return ""
    more = "" if stored["fits"] else f", {stored['bytes']:,} bytes at least"
    return f"{stored[metric]:.2%} ({stored['side']} px, {stored['stored_as']}{more})"


def class_table(result: dict[str, Any]) -> Table:
    """Accuracy by class, those that lose most against the teacher first."""
    student, teacher = result["student"].get("per_class", {}), result.get("teacher", {}).get("per_class", {})
    losses = {name: teacher.get(name, 0.0) - share for name, share in student.items()}
    chosen = sorted(student, key=lambda name: -losses[name])[:MOST_CLASSES]
    left_out = f" (the {MOST_CLASSES} of {len(student)} that lose most)" if len(student) > MOST_CLASSES else ""
    table = Table(title=f"by class{left_out}", title_justify="left")
    table.add_column("class", overflow="fold")
    for heading in (["teacher"] if teacher else []) + ["student"]:
        table.add_column(heading, justify="right")
    for name in chosen:
        shares = ([teacher[name]] if teacher else []) + [student[name]]
        table.add_row(name, *(f"{share:.2%}" for share in shares))
    return table


def comparison_table(results: Results) -> Table:
    """One recipe a row: comparison.md in fewer and narrower columns, intervals and rivals on lines of their own."""
    table = Table(box=box.SIMPLE)
    table.add_column("recipe", overflow="fold")
    for heading in (
        f"{METRICS[results.metric]}\nstd",
        "retention",
        "MACs\n+ downscaler",
        "ms",
        "bytes\nΔE",
        "difference\nto",
    ):
        table.add_column(heading, justify="right", overflow="fold")
    for row in results.rows:
        name, metric, std, retention, _, student, downscaler, latency, size, colour, against, difference = cells(row)
        lines = ((metric, std), retention.split(" [", 1), (student, f"+ {downscaler}" if downscaler else ""))
        to = (*difference.split(" [", 1), against) if row.against else ()
        shown = ["\n".join(part if not part.endswith("]") else f"\\[{part}" for part in line) for line in (*lines, to)]
        table.add_row(name, *shown[:3], latency, f"{size}\n{colour}", shown[3])
    return table


def predictions_table(answers: Sequence[tuple[str, Classification]]) -> Table:
    """One picture a row, with what it was taken for."""
    table = Table()
    for heading in ("file", "taken as", "label", "score"):
        table.add_column(heading, overflow="fold")
    for file, answer in answers:
        labels = "\n".join(one.label for one in answer.ranked)
        scores = "\n".join(f"{one.score:.1%}" for one in answer.ranked)
        table.add_row(file, f"{answer.given}", labels, scores)
    return table


def info_table(bundle: ThumbNet) -> Table:
    """What a bundle is."""
    description = bundle.description
    shown = ", ".join(bundle.labels[:8]) + (f", … ({len(bundle.labels)})" if len(bundle.labels) > 8 else "")
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = {
        "architecture": description.architecture,
        "labels": shown,
        "ratio": f"{description.ratio} per side, {description.ratio**2} times fewer pixels",
        "image": description.preprocessing.summary,
        "thumbnail": f"{bundle.thumbnail_side} px",
        "downscaler": f"{description.downscaler.kind}, {format_macs(bundle.downscaler_macs)} MACs"
        + (", hides detail: keep its thumbnails without loss" if description.hides_detail else ""),
        "student": f"{format_macs(bundle.student_macs)} MACs, "
        f"{count_parameters(bundle.student):,} parameters"
        + (f", {option}" if (option := in_words(description.student)) else "")
        + (", reparameterised" if description.reparameterised else ""),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def preview_table(teacher: str, ratio: int, found: Preview) -> Table:
    """What a teacher and its student would be, one network and option a row."""
    layers = ", ".join(found.teacher.features)
    table = Table(title=f"{teacher}, ratio {ratio}; tapped: {layers}", title_justify="left")
    table.add_column("", overflow="fold")
    for heading in ("side", "MACs", "parameters", "features"):
        table.add_column(heading, justify="right")
    table.add_row("teacher", *_preview_cells(found.teacher))
    for option, student in found.students.items():
        name = f"student, {option}" + (" (chosen)" if option == found.chosen else "")
        cells = _preview_cells(student) if isinstance(student, NetworkPreview) else ["", "", "", "not possible"]
        table.add_row(name, *cells)
    table.add_row("downscaler", "", format_macs(found.downscaler_macs), f"{found.downscaler_parameters:,}", "")
    return table


def preview_notes(found: Preview) -> list[str]:
    """Why an option is not possible, and what to know of one that is; a line each."""
    notes = []
    for option, student in found.students.items():
        note = student.warning if isinstance(student, NetworkPreview) else student
        if note:
            notes.append(f"{option}: {note}")
    return notes


def _preview_cells(network: NetworkPreview) -> list[str]:
    sizes = "\n".join("×".join(map(str, shape)) for shape in network.features.values())
    return [f"{network.side} px", format_macs(network.macs), f"{network.parameters:,}", sizes]
