"""Writes docs/results.md from the JSON files in benchmarks/results; every number on that page comes from one of them.

python benchmarks/write_results.py
"""

import json
from pathlib import Path
from typing import Any

import archive_results
import deployment_results
import study_results
import study_sections
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
        *study_sections.IMAGENETTE,
        *study_sections.DRAWINGS,
        *study_sections.CELLS,
        ("transfer", study_results.transfer),
        ("reading_and_answering", study_results.reading),
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
