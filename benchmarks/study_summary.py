"""What the studies say together: the first section of docs/results.md, its numbers from their JSON."""

import json
from pathlib import Path
from typing import Any

from study_results import kept, points, seeds_of, top

Rows = dict[str, dict[str, Any]]


def known_so_far(results: Path) -> str:
    """In words, with the numbers of the studies: when to use ThumbNet, and what is not known."""
    studies = {file.stem.removeprefix("study_"): _rows(file) for file in results.glob("study_*.json")}
    parts = (
        _shares(studies),
        _where_it_is_worth_it(studies, results),
        _the_downscaler(studies, results),
        _other_choices(studies),
        _losses(studies),
    )
    return "\n".join(line for part in parts for line in part)


def _rows(study: Path) -> Rows:
    return {row["name"]: row for row in json.loads(study.read_text())["rows"]}


def _shares(studies: dict[str, Rows]) -> list[str]:
    detail, longer = studies["imagenette_detail"], studies["imagenette_detail_long"]
    pair, elpv = studies["imagenette_first_layer"], studies["elpv_detail"]
    longest = studies["imagenette_fine_long"]
    return [
        "## What is known so far\n",
        "The study of all recipes is begun and not complete: the tables below hold the recipes and seeds that ran, after a few",
        "epochs on a processor. Share of the teacher's accuracy that the student keeps, after six epochs on Imagenette, and what it aims at:\n",
        "| | MACs of the teacher's | aim | elpv | Imagenette |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| ratio 2 | 1/4 | 100%, within the interval | {kept(studies['elpv_ratio2']['thumbnet'])} |"
        f" {kept(detail['thumbnet_ratio2'])} |",
        f"| ratio 4, `keep_stem_resolution`, bicubic thumbnails | 1/4 | | {kept(elpv['bicubic_all_fine'])} |"
        f" {kept(detail['bicubic_all_fine'])}; 10 epochs: {kept(longer['bicubic_all_fine'])}; 16: {kept(longest['bicubic_all_fine'])} |",
        f"| the same and `downscaler.start detail` | 1/4 | 97% | {kept(elpv['thumbnet_fine_detail'])} |"
        f" {kept(pair['thumbnet_fine_detail'])}; 10 epochs: {kept(longer['thumbnet_fine_detail'])} |",
        f"| ratio 4, `detail_decoder` | 0.3 | | {kept(elpv['thumbnet_detail'])} | {kept(detail['thumbnet_detail'])};"
        f" 10 epochs: {kept(longer['thumbnet_detail'])} |",
        f"| ratio 4, plain | 1/13 | 93% | {kept(studies['elpv']['thumbnet'])} | {kept(studies['imagenette']['thumbnet'])};"
        f" 24 epochs: {kept(studies['imagenette_long']['thumbnet'])} |\n",
    ]


def _where_it_is_worth_it(studies: dict[str, Rows], results: Path) -> list[str]:
    stored = json.loads((results / "formats_elpv.json").read_text())["formats"]
    webp = stored["webp:80"]["thumbnail"]
    shares = (100 * webp["top1"], 100 * stored["png"]["thumbnail"]["top1"])
    whole, filtered = (studies["imagenette_detail"][name] for name in ("thumbnet_ratio2", "bicubic_all_fine"))
    return [
        "- **ThumbNet is worth it** where pictures are kept, sent or classified many times: thumbnails of elpv as WebP",
        f"  at quality 80 take {webp['bytes']} bytes and are classified as well as lossless ones",
        f"  ({shares[0]:.1f}% and {shares[1]:.1f}%).",
        "- **At a quarter of the teacher's MACs**, ratio 2 came out ahead of ratio 4 with finer features, by"
        f" {points(whole['difference'])} points on Imagenette",
        "  (one seed; on elpv within the noise), for thumbnails of four times the pixels"
        f" ({whole['picture_bytes']:,.0f} bytes as PNG, {filtered['picture_bytes']:,.0f} at ratio 4).",
        "  That is also about the most that a downscaler could win back at ratio 4 and this compute and schedule. Ratio 4 where",
        "  thumbnails are kept or sent, ratio 2 where only compute counts.",
    ]


def _the_downscaler(studies: dict[str, Rows], results: Path) -> list[str]:
    detail, longer = studies["imagenette_detail"], studies["imagenette_detail_long"]
    ours, fine = detail["thumbnet_detail"], studies["imagenette_first_layer"]["thumbnet_fine_detail"]
    elpv = [studies["elpv_detail"][name] for name in ("thumbnet_fine_detail", "thumbnet_detail")]
    sharper = json.loads((results / "transfer.json").read_text())
    found = sharper["retrieval"]["paired_differences"]["learned - bicubic"]["average_precision"]
    trained = sharper["students"]["paired_differences"]["learned - bicubic"]
    return [
        "- **The downscaler is worth something where the student can read it.** On Imagenette, ahead of the best fixed filter at equal"
        " compute:",
        f"  {points(fine['difference'])} points for the same student with `--downscaler.start detail` ({seeds_of(fine)};"
        f" after ten epochs on four views {points(longer['thumbnet_fine_detail']['difference'])},"
        f" {seeds_of(longer['thumbnet_fine_detail'])}), {points(ours['difference'])} with",
        f"  `--student.detail_decoder` ({seeds_of(ours)}). The aim is one point. Thumbnails take {fine['picture_bytes']:,.0f} and"
        f" {ours['picture_bytes']:,.0f} bytes as PNG, bicubic ones {detail['bicubic_all_fine']['picture_bytes']:,.0f}. On elpv the two",
        f"  are at {points(elpv[0]['difference'])} and {points(elpv[1]['difference'])}:"
        " no difference that its 656 pictures could show.",
        "  [What such thumbnails look like](decisions/0016-detail-for-the-first-layer.md).",
        f"- **Keep such thumbnails without loss** (PNG, lossless WebP): stored as JPEG of quality 90 the differences are"
        f" {_compressed(results, 'stored_thumbnails_fine')}",
        f"  and {_compressed(results, 'stored_thumbnails')} points, for compression takes the hidden detail away. Training on"
        " compressed ones was not tried with it.",
        "- **Else a bicubic thumbnail is as good** (`--downscaler.kind bicubic`): no other comparison below shows a gain of the learned",
        "  downscaler in accuracy, and a filter costs less and makes smaller files. On other data and another network",
        f"  than it was trained with, frozen, it changed the student by {points(trained)} points and retrieval by {points(found)} points",
        "  of average precision (one seed).",
    ]


def _other_choices(studies: dict[str, Rows]) -> list[str]:
    elpv, imagenette = studies["elpv"], studies["imagenette"]
    detail = studies["imagenette_detail"]
    return [
        "- **Not a small network at full size** at about equal compute, on elpv, one seed: a smaller network",
        f"  from a random start reaches {top(elpv['smaller_network'])}, the teacher pruned {top(elpv['pruned'])}, students on thumbnails"
        f" {top(elpv['bicubic_all'])}",
        "  (the last difference is within the noise; a smaller network with pretrained weights was not tried). On Imagenette the teacher",
        f"  pruned to a quarter of its MACs reaches {top(detail['pruned_fine'])} in six epochs, ThumbNet"
        f" {top(detail['thumbnet_fine_detail'])}: what is cut in one step has to be",
        "  learned anew, and longer schedules were not tried.",
        "- **Half the learning rate** (`--lr 5e-4`) on Imagenette, six epochs, one seed: bicubic thumbnails with `keep_stem_resolution`"
        f" {top(detail['bicubic_all_fine'])}",
        f"  instead of {top(imagenette['bicubic_all_fine'])}, the plain student"
        f" {top(studies['imagenette_lr']['thumbnet'])} instead of {top(imagenette['thumbnet'])}.",
    ]


def _losses(studies: dict[str, Rows]) -> list[str]:
    plain, elpv = studies["imagenette_alternatives"], studies["elpv"]
    return [
        "- **What the plain student learns from** on Imagenette (one seed, six epochs, bicubic thumbnails):"
        f" labels alone {top(plain['bicubic_cl'])}, and the teacher's",
        f"  answers {top(plain['bicubic_cl_kd'])}, and its features {top(plain['bicubic_cl_kd_fm'])}, and its embedding"
        f" {top(plain['bicubic_all'])}; only norms and head trained {top(plain['fixres'])}; on MULLER's",
        f"  thumbnails {top(plain['muller'])}, on ThumbNet's {top(plain['thumbnet'])}.",
        "- **Feature mapping** has not been seen to help the plain student: on Imagenette it has"
        f" {top(plain['thumbnet_without_fm'])} without and {top(plain['thumbnet'])} with",
        f"  all losses (one seed), on elpv {top(elpv['thumbnet_without_fm'])} and {top(elpv['thumbnet'])} (three seeds)."
        f" Without distillation it did better on elpv ({top(elpv['thumbnet_without_kd'])}), a",
        "  weak teacher of two classes. Finer students were not tried without either, so no default moves on it.",
        "- **Not known yet**: more than one or two seeds of most rows, other networks, hundreds of epochs.\n",
    ]


def _compressed(results: Path, name: str) -> str:
    """How far ours is ahead on thumbnails stored as JPEG of quality 90."""
    formats = json.loads((results / f"{name}.json").read_text())["formats"]
    return points(next(iter(formats["jpeg:90"]["paired_differences"].values())))
