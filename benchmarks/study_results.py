"""The sections of docs/results.md on what a student reaches: the studies, and E by itself."""

from collections.abc import Callable
from typing import Any

from thumbnet.config import StudentSettings

Row = dict[str, Any]
Rows = dict[str, Row]


def share_kept(row: dict[str, Any]) -> str:
    """The share of the teacher's accuracy, with its interval."""
    return share({"mean": row["retention"], **{end: row["retention_interval"][end] for end in ("low", "high")}})


def share(found: dict[str, float]) -> str:
    """A share in percent, with its interval."""
    return f"{100 * found['mean']:.1f}% [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def top(row: dict[str, Any]) -> str:
    """Top-1, mean over seeds."""
    return f"{100 * row['metric']['mean']:.1f}%"


def macs(row: Row) -> str:
    """Of the student and, where there is one, of the downscaler, in millions."""
    downscaler = f" (+ {row['downscaler_macs'] / 1e6:.1f})" if row["downscaler_macs"] else ""
    return f"{row['student_macs'] / 1e6:.1f}{downscaler}"


def seeds_of(row: dict[str, Any]) -> str:
    """How many, in words."""
    count = len(row["seeds"])
    return f"{count} seeds" if count > 1 else "one seed"


def points(difference: dict[str, float]) -> str:
    """A difference in points, with its interval."""
    limits = f"[{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}]"
    return f"{100 * difference['mean']:+.1f} {limits}"


def study_of(title: str, note: str = "", drawn: str = "") -> Callable[[dict[str, Any]], str]:
    """The section of a comparison of recipes/study on one data set.

    Args:
        title: Its heading.
        note: What that leaves out.
        drawn: The study whose pictures (`benchmarks/study_pictures.py`) stand in it; none by default.
    """

    def study(result: dict[str, Any]) -> str:
        seeds = len(result["seeds"])
        counted = f"{seeds} seed{'s' if seeds > 1 else ''}, {result['pictures']:,} held-out pictures"
        splits = len(result["settings"].get("splits", ()))
        counted += {0: "", 1: " of one quarter"}.get(splits, f" of {splits} splits")
        network = "Lite1" if "efficientnet_lite1" in result["command"] else "Lite0"
        lines = [
            f"## {title}\n",
            f"EfficientNet-{network}; recipes of [recipes/study](alternatives.md), the same data, views, epochs and",
            f"optimiser for each{_steps_before(result)}; {counted}, {result['hours']:.1f} hours of training epochs.",
            f"Brackets: 95% intervals, paired over {_drawn(result)}; differences in points. SSIM and ΔE (colour difference): to bicubic",
            f"thumbnails.{' ' + note if note else ''}\n",
            "| recipe | seeds | MMACs: S (+ E) | top-1 ± std | retention | bytes | SSIM | ΔE | against | difference |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
        ]
        lines += [_row(row) for row in result["rows"] if row["metric"]]
        return "\n".join([*lines, *(pareto(drawn, "macs", "bytes") if drawn else ()), ""])

    return study


def _steps_before(result: dict[str, Any]) -> str:
    """That students which read hidden detail have steps before their epochs, where one of the rows is such a one."""
    if not any("detail" in row["name"] for row in result["rows"]):
        return ""
    return f" (where detail is hidden, {StudentSettings().detail_steps:,} steps on crops before them)"


def pareto(study: str, *costs: str) -> list[str]:
    """Pictures of accuracy against costs, as `benchmarks/study_pictures.py` draws them."""
    said = {"macs": "MACs", "latency": "latency", "bytes": "bytes a picture"}
    return [f"\n![Accuracy against {said[cost]}](pictures/study_{study}_{cost}.png)" for cost in costs]


def _drawn(result: dict[str, Any]) -> str:
    """Over what the intervals are: comparisons that were kept before splits were drawn say nothing of them."""
    if len(result["settings"].get("splits", ())) > 1:
        return (
            "splits, seeds and pictures" if "splits, seeds" in result["notes"][0] else "pictures and seeds, not splits"
        )
    return "pictures and seeds"


def _row(row: dict[str, Any]) -> str:
    name = f"**{row['name']}**" if row["kind"] == "ours" else row["name"]
    name += " (a bound)" if row["kind"] == "bound" else ""
    std = f" ± {100 * row['metric']['std']:.1f}" if row["metric"]["std"] is not None else ""
    kept = f"{100 * row['retention']:.1f}%"
    if limits := row["retention_interval"]:
        kept += f" [{100 * limits['low']:.1f}, {100 * limits['high']:.1f}]"
    size = f"{row['picture_bytes']:,.0f}" if row["picture_bytes"] else ""
    # Comparisons that were kept before it was measured do not have it.
    likeness = "" if row.get("ssim") is None else f"{row['ssim']:.3f}"
    colour = "" if row.get("delta_e") is None else f"{row['delta_e']:.1f}"
    found = row["difference"]
    apart = f"{100 * found['mean']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]" if found else ""
    cells = (
        name,
        len(row["seeds"]) or "",
        macs(row),
        f"{100 * row['metric']['mean']:.1f}{std}",
        kept,
        size,
        likeness,
        colour,
    )
    return f"| {' | '.join(map(str, cells))} | {row['against'] or ''} | {apart} |"


def sweep_of(title: str, drawn: str) -> Callable[[dict[str, Any]], str]:
    """The section of a sweep over ratios and student options, with what it recommends and its pictures."""

    def sweep(result: dict[str, Any]) -> str:
        lines = [
            f"## {title}\n",
            f"{result['pictures']:,} held-out pictures, one seed; settings that are not in the command are the defaults. Latency:",
            "from a decoded picture at the image side to the answer, one at a time, the downscaler included.\n",
            "| student | MMACs: S (+ E) | ms | top-1 | drop, points | bytes |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for row in result["rows"]:
            taken = f"{row['latency_ms']:.1f}" if row["latency_ms"] else ""
            drop = points(row["drop"]) if row["drop"] else ""
            size = f"{row['picture_bytes']:,.0f}" if row["picture_bytes"] else ""
            lines.append(f"| {' | '.join((row['name'], macs(row), taken, top(row), drop, size))} |")
        pictures = pareto(drawn, "macs", "latency", "bytes")
        return "\n".join([*lines, "", result["recommendation"]["reason"], *pictures, ""])

    return sweep


def transfer(result: dict[str, Any]) -> str:
    """E of one data set and network, frozen, for another data set and network."""
    students, retrieval = result["students"], result["retrieval"]
    network = result["teacher"].rpartition(":")[2]
    lines = [
        "## The downscaler by itself: other pictures, another network\n",
        f"E trained on {result['source']['data']} with EfficientNet-Lite0, frozen, makes the thumbnails of {result['data']} for a"
        f" student of {network}",
        f"(its teacher has {100 * students['teacher_top1']:.1f}%); fixed filters from the same start, {result['epochs']} epochs,"
        f" {len(students['seeds'])} seed{'s' if len(students['seeds']) > 1 else ''}, {students['pictures']} held-out pictures.",
        "Retrieval: thumbnails enlarged to the full side, by cosine of the full-size network's features, pictures of the same class.",
        "Differences in points, 95% intervals, paired over pictures and seeds.\n",
        "| thumbnails | student, top-1 | learned ahead by | retrieval, average precision | learned ahead by | ΔE |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for arm, tops in students["top1"].items():
        apart = students["paired_differences"].get(f"learned - {arm}")
        found = retrieval["paired_differences"].get(f"learned - {arm}")
        cells = (
            f"**{arm}**" if apart is None else arm,
            f"{100 * sum(tops) / len(tops):.1f}",
            points(apart) if apart else "",
            f"{100 * retrieval['means'][arm]['average_precision']:.1f}",
            points(found["average_precision"]) if found else "",
            f"{students['naturalness'][arm]['delta_e']:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    full = 100 * retrieval["means"]["image"]["average_precision"]
    return "\n".join([*lines, "", f"Full pictures have an average precision of {full:.1f}.\n"])


def stored_thumbnails_of(title: str) -> Callable[[dict[str, Any]], str]:
    """The section on what students make of stored thumbnails, ours beside others."""
    return lambda result: f"### {title}\n\n{_stored_thumbnails(result)}"


def _stored_thumbnails(result: dict[str, Any]) -> str:
    first, formats = result["first"], result["formats"]
    others = [run for run in next(iter(formats.values()))["runs"] if run != first]
    names = [run.rpartition("-seed")[0] for run in (first, *others)]
    ahead = [f"ahead of {name}" for name in names[1:]]
    compared = f"; {names[0]} ahead by points [95% interval]" if others else ""
    headings = [column for name in names for column in (name, "bytes")]
    lines = [
        f"Top-1 and bytes of a thumbnail in each format, none trained on compressed ones{compared}.\n",
        f"| {' | '.join(('format', *headings, *ahead))} |",
        f"| --- |{' ---: |' * len(headings + ahead)}",
    ]
    for form, found in formats.items():
        runs = [found["runs"][run] for run in (first, *others)]
        cells = [form, *(f"{100 * run['top1']:.1f} | {run['bytes']:,}" for run in runs)]
        cells += [points(found["paired_differences"][other]) for other in others]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def crop_shares(result: dict[str, Any]) -> str:
    """What finished students keep where evaluation shows less of the picture."""
    names = ", ".join(name.partition("-seed")[0] for name in result["runs"])
    lines = [
        f"### How much of the picture is shown (`views.crop_share`): {names}\n",
        "The same networks on centre crops of that share of the side; training draws its views from the whole picture in any case.",
        "The teacher is asked about the very same crop. 0.875 is the share that this teacher was made with, and so the default; the",
        "study's recipes show all of the picture. These pictures have 224 px, so a smaller crop is enlarged.\n",
        "| student | crop share | teacher, top-1 | student, top-1 | retention |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, run in result["runs"].items():
        for row in run["rows"]:
            share, found = f"{row['crop_share']:g}", row["retention"]
            tops = f"{100 * row['teacher_top1']:.1f} | {100 * row['student_top1']:.1f}"
            limits = f"[{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
            lines.append(f"| {name.partition('-seed')[0]} | {share} | {tops} | {100 * found['mean']:.1f}% {limits} |")
    return "\n".join([*lines, ""])


def naturalness_of(title: str, name: str) -> Callable[[dict[str, Any]], str]:
    """What naturalness costs on one data set; the figure lies beside the JSON of that name."""

    def naturalness(result: dict[str, Any]) -> str:
        finer = ", `keep_stem_resolution`" if result["student"]["keep_stem_resolution"] else ""
        lines = [
            f"### {title}\n",
            f"Ratio {result['ratio']}{finer}, {result['epochs']} epochs, {seeds_of(result)}. SSIM and ΔE are distances from bicubic",
            "thumbnails; the weight is that of the loss that holds thumbnails natural.\n",
            f"![Accuracy against SSIM and ΔE](../benchmarks/results/{name}.png)\n",
            "| downscaler | starts | its learning rate | loss and weight | top-1 | SSIM | ΔE |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        # The first curves did not keep which pictures were answered rightly.
        paired = "beside_bicubic" in result["points"][0]
        if paired:
            lines[-2:] = [f"{lines[-2]} beside bicubic |", f"{lines[-1]} ---: |"]
        for point in result["points"]:
            fixed = point["kind"] == "bicubic"
            told = (
                ("", "", "")
                if fixed
                else (point["start"], f"× {point['lr_factor']:g}", f"{point['loss']} {point['weight']:g}")
            )
            measured = (f"{100 * point['top1']:.1f}%", f"{point['ssim']:.3f}", f"{point['delta_e']:.1f}")
            beside = () if not paired else ("",) if fixed else (points(point["beside_bicubic"]),)
            lines.append(f"| {' | '.join((point['kind'], *told, *measured, *beside))} |")
        return "\n".join([*lines, ""])

    return naturalness


def reading(result: dict[str, Any]) -> str:
    """The section on what one answer costs from stored bytes on."""
    times, sizes = result["milliseconds"], result["bytes"]
    lines = [
        "## From stored bytes to an answer\n",
        f"{result['pictures']} pictures of Imagenette and their bicubic thumbnails at ratio {result['ratio']}; medians of"
        f" {result['rounds']} rounds, {result['threads']} threads,",
        f"networks in batches of {result['batch_size']} with random weights. Reading a picture is decoding, resizing and cropping it.\n",
        "| read | bytes | ms |",
        "| --- | ---: | ---: |",
    ]
    lines += [f"| {name} | {size:,.0f} | {times[f'read {name}']:.2f} |" for name, size in sizes.items()]
    lines += ["", "| network | ms |", "| --- | ---: |"]
    lines += [f"| {name} | {taken:.2f} |" for name, taken in times.items() if not name.startswith("read ")]
    return "\n".join([*lines, ""])
