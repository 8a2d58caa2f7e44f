"""Writes docs/results.md from the JSON files in benchmarks/results; every number on that page comes from one of them.

python benchmarks/write_results.py
"""

import json
from pathlib import Path
from typing import Any

import archive_results
import deployment_results
import solar_results
import study_results
import study_summary

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "results.md"


def main() -> None:
    PAGE.write_text(render())
    print(PAGE)


def render() -> str:
    parts = ["# Results\n\nWritten by `python benchmarks/write_results.py`; do not edit.\n"]
    parts.append(study_summary.known_so_far(RESULTS))
    for name, section in (
        ("study_imagenette", study_results.study_of("Ten classes of ImageNet (`imagenette224`), 224 px")),
        ("study_imagenette_long", study_results.study_of("The same, 24 epochs on four views instead of six on two")),
        (
            "study_imagenette_fine_long",
            study_results.study_of("The same with finer features, 16 epochs on four views, half the learning rate"),
        ),
        (
            "study_imagenette_detail",
            study_results.study_of(
                "About a quarter of the teacher's compute: six epochs on two views, half the learning rate"
            ),
        ),
        ("study_imagenette_first_layer", study_results.study_of("The same student and compute, two seeds")),
        (
            "study_imagenette_fine_losses",
            study_results.study_of(
                "The same student behind bicubic thumbnails with labels, distillation and feature mapping, one after the other"
            ),
        ),
        (
            "study_imagenette_fine_again",
            study_results.study_of("The same runs, against the best of all students on bicubic thumbnails"),
        ),
        (
            "study_imagenette_equal_compute",
            study_results.study_of("The same runs, beside a bicubic thumbnail of ratio 2 for the same compute"),
        ),
        (
            "study_imagenette_fine_others",
            study_results.study_of("The same student beside learned resizers and the losses of others, trained anew"),
        ),
        (
            "study_imagenette_longer_start",
            study_results.study_of(
                "The same student with a start four times as long (`student.detail_steps 4000`), beside it"
            ),
        ),
        ("stored_thumbnails", study_results.stored_thumbnails),
        ("stored_thumbnails_fine", study_results.stored_thumbnails),
        (
            "study_imagenette_bounds",
            study_results.study_of("What bounds these students: every pixel in place of a thumbnail"),
        ),
        ("study_imagenette_whole_compute", study_results.study_of("The teacher's compute: three epochs at 2.5e-4")),
        ("stored_thumbnails_whole_compute", study_results.stored_thumbnails),
        (
            "study_imagenette_ratio2_bicubic",
            study_results.study_of("A quarter of that compute, from bicubic thumbnails of ratio 2"),
        ),
        ("stored_thumbnails_ratio2", study_results.stored_thumbnails),
        (
            "naturalness_imagenette",
            study_results.naturalness_of("What naturalness costs the same student", "naturalness_imagenette"),
        ),
        ("study_imagenette_detail_long", study_results.study_of("The same students, ten epochs on four views")),
        (
            "study_imagenette_mixup",
            study_results.study_of("The same student, 20 epochs on four views with mixup (`mix.mixup 0.2`)"),
        ),
        ("study_imagenette_progressive_ratio2", study_results.study_of("Ratio 2, four epochs on four views")),
        (
            "study_imagenette_progressive",
            study_results.study_of("Sides that shrink: ten epochs at ratio 4 from that student (`student.weights`)"),
        ),
        ("crop_shares", study_results.crop_shares),
        ("crop_shares_plain", study_results.crop_shares),
        (
            "study_imagenette_embedding",
            study_results.study_of(
                "The finer student with the detail start, ten epochs on four views, `loss.em 10` instead of 2"
            ),
        ),
        (
            "study_imagenette_wider_views",
            study_results.study_of(
                "The plain student, 12 epochs on four views at the default crop share: wider views, a heavier `loss.em`"
            ),
        ),
        (
            "study_imagenette_mixed_views",
            study_results.study_of(
                "The plain student, 24 epochs on four views, two of them mixes, `loss.em 10`, at the default crop share"
            ),
        ),
        (
            "study_imagenette_defaults",
            study_results.study_of(
                "The plain student, 30 epochs of fresh views, `loss.mm 100`, `loss.em 2` (the defaults then; today with `--set loss.em=2`)"
            ),
        ),
        (
            "study_imagenette_defaults_mixup",
            study_results.study_of(
                "The same with `loss.em 2`, half of the batches mixed (`mix.mixup 1`), the teacher asked about each mix (today `--set loss.em=2`)"
            ),
        ),
        (
            "study_imagenette_defaults_heavier_em",
            study_results.study_of(
                "The plain student by the defaults of today: 30 epochs of fresh views, `loss.em 10`"
            ),
        ),
        (
            "study_imagenette_defaults_heavier_em_mixup",
            study_results.study_of("The same, half of the batches mixed, the teacher asked about each mix"),
        ),
        (
            "study_imagenette_defaults_fine",
            study_results.study_of("The finer student by the defaults: `--student.keep_stem_resolution`"),
        ),
        (
            "study_imagenette_ratio2",
            study_results.study_of("Ratio 2 with the teacher's whole compute: three epochs on four views at 2.5e-4"),
        ),
        (
            "study_imagenette_alternatives",
            study_results.study_of("The first table's plain student and its alternatives, run anew"),
        ),
        ("study_imagenette_lr", study_results.study_of("The first table's plain student at half the learning rate")),
        ("study_elpv", study_results.study_of("Solar cells (`elpv`), 192 px")),
        ("study_elpv_detail", study_results.study_of("Solar cells: detail hidden in the thumbnail")),
        (
            "study_elpv_folds",
            study_results.study_of("Solar cells: each quarter held out in turn, behind a teacher of its own"),
        ),
        (
            "study_elpv_folds_again",
            study_results.study_of("The same quarters once more: teachers and students trained anew"),
        ),
        ("stored_thumbnails_elpv", study_results.stored_thumbnails),
        (
            "study_elpv_fresh",
            study_results.study_of("Solar cells: two quarters, 30 epochs of fresh views, `loss.em` 2 and 10"),
        ),
        ("study_elpv_fresh_mixup", study_results.study_of("One of these quarters, half of the batches mixed")),
        ("study_elpv_folds_two_seeds", study_results.study_of("Three of these quarters with a second seed")),
        (
            "study_elpv_fine_alternatives",
            study_results.study_of("One of these quarters with learned resizers at the finer student's compute"),
        ),
        (
            "study_elpv_lite1",
            study_results.study_of("One of these quarters with another network as teacher and student"),
        ),
        ("study_elpv_ratio2", study_results.study_of("Solar cells at ratio 2: 192 px images, 96 px thumbnails")),
        ("naturalness_elpv", study_results.naturalness_of("What naturalness costs on solar cells", "naturalness_elpv")),
        ("transfer", study_results.transfer),
        ("reading_and_answering", study_results.reading),
        ("formats_elpv", solar_results.formats),
        ("formats_elpv_noise", solar_results.formats_after_noise),
        ("elpv", solar_results.study),
        ("timm_parity_imagenet", parity_of_pretrained),
        ("timm_parity", parity_of_fine_tuned),
        ("cached_epoch", cached_epoch),
        ("loop_overhead", loop),
        ("allocator", allocator),
        ("padded_first", padded_first),
        ("archive_speed", archive_results.speed),
        ("archive_memory", archive_results.memory),
        ("archive_ray", archive_results.ray),
        ("archive_writer", archive_results.writer),
        ("reduced_decoding", archive_results.reduced),
        ("downscaler_floor", archive_results.floor),
        ("inference_timm_resnet50", deployment_results.inference),
        ("server_load", deployment_results.server),
        ("cold_start", deployment_results.cold_start),
    ):
        file = RESULTS / f"{name}.json"
        if file.exists():
            result = json.loads(file.read_text())
            parts.append(section(result))
            source = f"[{name}.json](../benchmarks/results/{name}.json)"
            parts.append(f"`{result['command']}` · {_machine(result['hardware'])} · {result['date']} · {source}\n")
    return "\n".join(part for part in (*parts, archive_results.plan()) if part)


def _machine(hardware: str | dict[str, Any]) -> str:
    if isinstance(hardware, str):
        return hardware
    cores = f"{hardware['cores']} CPU cores, {hardware['machine']}"
    return f"{cores}, {hardware['accelerator']}" if hardware["accelerator"] else cores


def parity_of_pretrained(result: dict[str, Any]) -> str:
    heading = "## The teacher's accuracy, by ThumbNet and by timm\n\n"
    known = f"its {result['pictures']:,} pictures are of 10 of the network's 1000 classes, found by name"
    return f"{heading}{_parity('with its ImageNet weights', result)}; {known}.\n"


def parity_of_fine_tuned(result: dict[str, Any]) -> str:
    return f"{_parity('fine-tuned', result)} ({result['pictures']:,} pictures).\n"


def _parity(weights: str, result: dict[str, Any]) -> str:
    ours, timms = result["thumbnet"], result["timm"]
    return (
        f"`{result['teacher']}` {weights}, on `{result['data']}`, prepared as its makers do "
        f"({result['preprocessing']}): top-1 {100 * ours['top1']:.2f}% by `thumbnet.evaluate_teacher`, "
        f"{100 * timms['top1']:.2f}% by timm's own code, a difference of {result['difference_points']:.2f} points"
    )


def cached_epoch(result: dict[str, Any]) -> str:
    lines = [
        "## A cached epoch against an uncached one\n",
        f"Training steps of {result['pictures']} pictures, ratio 4, all four losses; medians, in turns, one process.\n",
        "| teacher | uncached, s | cached, s | cached / uncached |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, row in result["teachers"].items():
        times = f"{row['epoch_s']['uncached']:.1f} | {row['epoch_s']['cached']:.1f}"
        lines.append(f"| {name} at {row['image_side']} px | {times} | {row['cached_share_of_uncached']:.2f} |")
    return "\n".join([*lines, ""])


def loop(result: dict[str, Any]) -> str:
    seconds = result["epoch_s"]
    compared = f"{seconds['loop']:.2f} s by the loop, {seconds['bare']:.2f} s by the same step as a bare torch loop"
    return f"## What the loop costs\n\n{compared}: {100 * result['overhead']:+.1f}%.\n"


def allocator(result: dict[str, Any]) -> str:
    kept, given = result["kept"], result["given_back"]
    return (
        "## Keeping freed memory (`devices.keep_freed_memory`)\n\n"
        f"Training steps of {result['network']}: {kept['pictures_per_s']:.1f} pictures/s with, "
        f"{given['pictures_per_s']:.1f} without ({result['speedup']:.2f} times); peak memory "
        f"{kept['peak_memory_mb']:,.0f} MB with, {given['peak_memory_mb']:,.0f} MB without.\n"
    )


def padded_first(result: dict[str, Any]) -> str:
    """Training with depthwise convolutions that pad first, beside PyTorch's own."""
    lines = [
        "## Depthwise convolutions on small features (`networks/processor_layers.py`)",
        "",
        f"Training steps of EfficientNet-Lite0, {result['image_side']} px, ratio {result['ratio']}, {result['pictures']} "
        f"pictures, all losses, on a processor with {result['capability']}; medians, in turns.",
        "",
        "| student | PyTorch's, s | padded first, s | times as fast |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, row in result["students"].items():
        seconds = row["epoch_s"]
        lines.append(f"| {name} | {seconds['plain']:.1f} | {seconds['padded']:.1f} | {row['speedup']:.2f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
