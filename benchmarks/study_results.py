"""The sections of docs/results.md on what a student reaches: the studies, and E by itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

STUDIES = (
    "imagenette",
    "imagenette_long",
    "imagenette_fine_long",
    "imagenette_detail",
    "imagenette_first_layer",
    "imagenette_detail_long",
    "imagenette_alternatives",
    "elpv",
    "elpv_ratio2",
    "elpv_detail",
    "imagenette_lr",
)


def known_so_far(results: Path) -> str:
    """In words, with the numbers of the studies: when to use ThumbNet, and what is not known."""
    studies = {
        name: {row["name"]: row for row in json.loads((results / f"study_{name}.json").read_text())["rows"]}
        for name in STUDIES
    }
    imagenette, longer, finer, detail, pair, detail_longer, plain, elpv, half, detail_elpv, slower = studies.values()
    ours, finer_ours, whole = detail["thumbnet_detail"], pair["thumbnet_fine_detail"], detail["thumbnet_ratio2"]
    filtered = detail["bicubic_all_fine"]
    tops = {name: 100 * row["metric"]["mean"] for name, row in elpv.items() if row["metric"]}
    stored = json.loads((results / "formats_elpv.json").read_text())["formats"]
    webp = stored["webp:80"]["thumbnail"]
    shares = (100 * webp["top1"], 100 * stored["png"]["thumbnail"]["top1"])
    sharper = json.loads((results / "transfer.json").read_text())
    found = sharper["retrieval"]["paired_differences"]["learned - bicubic"]["average_precision"]
    trained = sharper["students"]["paired_differences"]["learned - bicubic"]
    lines = [
        "## What is known so far\n",
        "The study of all recipes is begun and not complete: the tables below hold the recipes and seeds that ran, after a few",
        "epochs on a processor. Share of the teacher's accuracy that the student keeps:\n",
        "| | MACs of the teacher's | elpv | Imagenette |",
        "| --- | ---: | ---: | ---: |",
        f"| ratio 2 | 1/4 | {_kept(half['thumbnet'])} | {_kept(detail['thumbnet_ratio2'])} |",
        f"| ratio 4, `keep_stem_resolution`, bicubic thumbnails | 1/4 | {_kept(detail_elpv['bicubic_all_fine'])} |"
        f" {_kept(filtered)}; 16 epochs: {_kept(finer['bicubic_all_fine'])} |",
        f"| the same and `downscaler.start detail` | 1/4 | {_kept(detail_elpv['thumbnet_fine_detail'])} | {_kept(finer_ours)} |",
        f"| ratio 4, `detail_decoder` | 0.3 | {_kept(detail_elpv['thumbnet_detail'])} | {_kept(ours)};"
        f" 10 epochs: {_kept(detail_longer['thumbnet_detail'])} |",
        f"| ratio 4, plain | 1/13 | {_kept(elpv['thumbnet'])} | {_kept(imagenette['thumbnet'])};"
        f" 24 epochs: {_kept(longer['thumbnet'])} |\n",
        "- **ThumbNet is worth it** where pictures are kept, sent or classified many times: thumbnails of elpv as WebP",
        f"  at quality 80 take {webp['bytes']} bytes and are classified as well as lossless ones",
        f"  ({shares[0]:.1f}% and {shares[1]:.1f}%).",
        "- **At a quarter of the teacher's MACs**, ratio 2 came out ahead of ratio 4 with finer features, by"
        f" {_points(whole['difference'])} points on Imagenette",
        "  (one seed; on elpv within the noise), for thumbnails of four times the pixels"
        f" ({whole['picture_bytes']:,.0f} bytes as PNG, {filtered['picture_bytes']:,.0f} at ratio 4).",
        "  That is also about the most that a downscaler could win back at ratio 4 and this compute and schedule. Ratio 4 where",
        "  thumbnails are kept or sent, ratio 2 where only compute counts.",
        "- **The downscaler is worth something where the student can read it.** On Imagenette, ahead of the best fixed filter at equal"
        " compute:",
        f"  {_points(finer_ours['difference'])} points for the same student with `--downscaler.start detail` ({_seeds(finer_ours)}),"
        f" {_points(ours['difference'])} with",
        f"  `--student.detail_decoder` ({_seeds(ours)}). Thumbnails take {finer_ours['picture_bytes']:,.0f} and"
        f" {ours['picture_bytes']:,.0f} bytes as PNG, bicubic ones {filtered['picture_bytes']:,.0f}. On elpv the two",
        f"  are at {_points(detail_elpv['thumbnet_fine_detail']['difference'])} and"
        f" {_points(detail_elpv['thumbnet_detail']['difference'])}: no difference that its 656 pictures could show.",
        f"- **Keep such thumbnails without loss** (PNG, lossless WebP): stored as JPEG of quality 90 the differences are"
        f" {_compressed(results, 'stored_thumbnails_fine')}",
        f"  and {_compressed(results, 'stored_thumbnails')} points, for compression takes the hidden detail away. Training on"
        " compressed ones was not tried with it.",
        "- **Else a bicubic thumbnail is as good** (`--downscaler.kind bicubic`): no other comparison below shows a gain of the learned",
        "  downscaler in accuracy, and a filter costs less and makes smaller files. On other data and another network",
        f"  than it was trained with, frozen, it changed the student by {_points(trained)} points and retrieval by {_points(found)} points",
        "  of average precision (one seed).",
        "- **Not a small network at full size** at about equal compute, on elpv, one seed: a smaller network",
        f"  from a random start reaches {tops['smaller_network']:.1f}%, the teacher pruned {tops['pruned']:.1f}%, students on thumbnails"
        f" {tops['bicubic_all']:.1f}%",
        "  (the last difference is within the noise; a smaller network with pretrained weights was not tried).",
        "- **Half the learning rate** (`--lr 5e-4`) on Imagenette, six epochs, one seed: bicubic thumbnails with `keep_stem_resolution`"
        f" {100 * detail['bicubic_all_fine']['metric']['mean']:.1f}%",
        f"  instead of {100 * imagenette['bicubic_all_fine']['metric']['mean']:.1f}%, the plain student"
        f" {100 * slower['thumbnet']['metric']['mean']:.1f}% instead of {100 * imagenette['thumbnet']['metric']['mean']:.1f}%.",
        "- **What the plain student learns from** on Imagenette (one seed, six epochs, bicubic thumbnails):"
        f" labels alone {_top(plain['bicubic_cl'])}, and the teacher's",
        f"  answers {_top(plain['bicubic_cl_kd'])}, and its features {_top(plain['bicubic_cl_kd_fm'])}, and its embedding"
        f" {_top(plain['bicubic_all'])}; only norms and head trained {_top(plain['fixres'])}; on MULLER's",
        f"  thumbnails {_top(plain['muller'])}, on ThumbNet's {_top(plain['thumbnet'])}.",
        "- **Feature mapping** has not been seen to help the plain student: on Imagenette it has"
        f" {_top(plain['thumbnet_without_fm'])} without and {_top(plain['thumbnet'])} with",
        f"  all losses (one seed), on elpv {tops['thumbnet_without_fm']:.1f}% and {tops['thumbnet']:.1f}% (three seeds)."
        f" Without distillation it did better on elpv ({tops['thumbnet_without_kd']:.1f}%), a",
        "  weak teacher of two classes. Finer students were not tried without either, so no default moves on it.",
        "- **Not known yet**: more than one or two seeds of most rows, other networks, fresh views, hundreds of epochs.\n",
    ]
    return "\n".join(lines)


def _kept(row: dict[str, Any]) -> str:
    return f"{100 * row['retention']:.1f}%"


def _top(row: dict[str, Any]) -> str:
    return f"{100 * row['metric']['mean']:.1f}%"


def _seeds(row: dict[str, Any]) -> str:
    count = len(row["seeds"])
    return f"{count} seeds" if count > 1 else "one seed"


def _compressed(results: Path, name: str) -> str:
    """How far ours is ahead on thumbnails stored as JPEG of quality 90."""
    formats = json.loads((results / f"{name}.json").read_text())["formats"]
    return _points(next(iter(formats["jpeg:90"]["paired_differences"].values())))


def _points(difference: dict[str, float]) -> str:
    limits = f"[{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}]"
    return f"{100 * difference['mean']:+.1f} {limits}"


def study_of(title: str) -> Callable[[dict[str, Any]], str]:
    """The section of a comparison of recipes/study on one data set."""

    def study(result: dict[str, Any]) -> str:
        seeds = len(result["seeds"])
        counted = f"{seeds} seed{'s' if seeds > 1 else ''}, {result['pictures']:,} held-out pictures"
        lines = [
            f"## {title}\n",
            "EfficientNet-Lite0; recipes of [recipes/study](alternatives.md), the same data, views, epochs and",
            f"optimiser for each; {counted}, {result['hours']:.1f} hours of training epochs.",
            "Brackets: 95% intervals, paired over pictures and seeds; differences in points. ΔE: colour difference to bicubic thumbnails.\n",
            "| recipe | seeds | MMACs: S (+ E) | top-1 ± std | retention | bytes | ΔE | against | difference |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
        ]
        lines += [_row(row) for row in result["rows"] if row["metric"]]
        return "\n".join([*lines, ""])

    return study


def _row(row: dict[str, Any]) -> str:
    name = f"**{row['name']}**" if row["kind"] == "ours" else row["name"]
    name += " (a bound)" if row["kind"] == "bound" else ""
    std = f" ± {100 * row['metric']['std']:.1f}" if row["metric"]["std"] is not None else ""
    macs = f"{row['student_macs'] / 1e6:.1f}"
    macs += f" (+ {row['downscaler_macs'] / 1e6:.1f})" if row["downscaler_macs"] else ""
    kept = f"{100 * row['retention']:.1f}%"
    if limits := row["retention_interval"]:
        kept += f" [{100 * limits['low']:.1f}, {100 * limits['high']:.1f}]"
    size = f"{row['picture_bytes']:,.0f}" if row["picture_bytes"] else ""
    # Comparisons that were kept before it was measured do not have it.
    colour = "" if row.get("delta_e") is None else f"{row['delta_e']:.1f}"
    found = row["difference"]
    apart = f"{100 * found['mean']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]" if found else ""
    cells = (name, len(row["seeds"]) or "", macs, f"{100 * row['metric']['mean']:.1f}{std}", kept, size, colour)
    return f"| {' | '.join(map(str, cells))} | {row['against'] or ''} | {apart} |"


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
            _points(apart) if apart else "",
            f"{100 * retrieval['means'][arm]['average_precision']:.1f}",
            _points(found["average_precision"]) if found else "",
            f"{students['naturalness'][arm]['delta_e']:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    full = 100 * retrieval["means"]["image"]["average_precision"]
    return "\n".join([*lines, "", f"Full pictures have an average precision of {full:.1f}.\n"])


def stored_thumbnails(result: dict[str, Any]) -> str:
    """What students make of stored thumbnails, ours beside others."""
    first, formats = result["first"], result["formats"]
    others = [run for run in next(iter(formats.values()))["runs"] if run != first]
    names = [run.rpartition("-seed")[0] for run in (first, *others)]
    lines = [
        "### The same students on stored thumbnails\n",
        f"Top-1 and bytes of a thumbnail in each format, none trained on compressed ones; {names[0]} ahead by points [95% interval].\n",
        f"| format | {' | '.join(f'{name} | bytes' for name in names)} | {' | '.join(f'ahead of {name}' for name in names[1:])} |",
        f"| --- | {' | '.join(['---: | ---:'] * len(names))} | {' | '.join(['---:'] * len(others))} |",
    ]
    for form, found in formats.items():
        runs = [found["runs"][run] for run in (first, *others)]
        cells = [f"{100 * run['top1']:.1f} | {run['bytes']:,}" for run in runs]
        cells += [_points(found["paired_differences"][other]) for other in others]
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def naturalness_of(title: str, name: str) -> Callable[[dict[str, Any]], str]:
    """What naturalness costs on one data set; the figure lies beside the JSON of that name."""

    def naturalness(result: dict[str, Any]) -> str:
        finer = ", `keep_stem_resolution`" if result["student"]["keep_stem_resolution"] else ""
        lines = [
            f"### {title}\n",
            f"Ratio {result['ratio']}{finer}, {result['epochs']} epochs, {_seeds(result)}. SSIM and ΔE are distances from bicubic",
            "thumbnails; the weight is that of the loss that holds thumbnails natural.\n",
            f"![Accuracy against SSIM and ΔE](../benchmarks/results/{name}.png)\n",
            "| downscaler | starts | its learning rate | loss and weight | top-1 | SSIM | ΔE |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for point in result["points"]:
            fixed = point["kind"] == "bicubic"
            told = (
                ("", "", "")
                if fixed
                else (point["start"], f"× {point['lr_factor']:g}", f"{point['loss']} {point['weight']:g}")
            )
            measured = (f"{100 * point['top1']:.1f}%", f"{point['ssim']:.3f}", f"{point['delta_e']:.1f}")
            lines.append(f"| {' | '.join((point['kind'], *told, *measured))} |")
        return "\n".join([*lines, ""])

    return naturalness
