"""Sections of docs/results.md on archives of thumbnails; each a function of what its JSON holds."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
BILLION = 1_000_000_000
CORES_A_NODE = 64


def speed(result: dict[str, Any]) -> str:
    lines = [
        "## Archives: pictures a second\n",
        f"`thumbnet thumbnail` beside ordinary thumbnails of {result['thumbnail_side']} px: PNG files in a mirrored folder,",
        "two processes each, rounds in turn, medians, after start-up. Small: JPEGs of 500×375 px; large: of 4000×3000.",
        f"Other work was on the machine (load {result['load']} at the end): read ratios, not rates.\n",
        "| | small, pictures/s | large, pictures/s |",
        "| --- | ---: | ---: |",
    ]
    small, large = (result[kind]["pictures_per_second"] for kind in ("small", "large"))
    lines += [
        f"| {'**ThumbNet**' if name == 'thumbnet' else name} | {small[name]:.0f} | {large[name]:.1f} |"
        for name in small
    ]
    ratios = [result[kind]["ratio_to"] for kind in ("small", "large")]
    pillow, vips = ([each[name] for each in ratios] for name in ("pillow draft + thumbnail", "libvips"))
    lines += [
        "",
        f"So ThumbNet reaches {pillow[0]:.2f} (small) and {pillow[1]:.2f} (large) of Pillow's rate, {vips[0]:.2f} and",
        f"{vips[1]:.2f} of libvips's. An ordinary thumbnail is decoded at a quarter or an eighth of the size; E works on",
        "the picture that the classifier was trained on, so a small JPEG has to be decoded whole. Milliseconds a",
        "picture on one core:\n",
        f"| | {' | '.join(result['small']['split_ms'])} | all |",
        f"| --- |{' ---: |' * (len(result['small']['split_ms']) + 1)}",
    ]
    for kind in ("small", "large"):
        split = result[kind]["split_ms"].values()
        lines.append(f"| {kind} | {' | '.join(f'{value:.2f}' for value in split)} | {sum(split):.1f} |")
    return "\n".join([*lines, ""])


def memory(result: dict[str, Any]) -> str:
    lines = [
        "## Archives: memory and time over the number of pictures\n",
        "All processes of the command, what they share counted once; two workers.\n",
        "| pictures | peak memory, MB | seconds after start-up |",
        "| ---: | ---: | ---: |",
    ]
    for row in result["rows"]:
        lines.append(f"| {row['pictures']:,} | {row['peak_memory_mb']:,.0f} | {row['working_seconds']:.1f} |")
    lines += [
        "",
        f"Peak memory of the largest is {result['peak_memory_ratio']:.2f} times that of the smallest; a line"
        f" ({result['constant_seconds']:.1f} s, and",
        f"{1e3 * result['seconds_a_picture']:.1f} ms a picture) is off by at most {result['largest_deviation_from_linear']:.1%}.\n",
    ]
    return "\n".join(lines)


def ray(result: dict[str, Any]) -> str:
    rates = result["pictures_per_second"]
    return "\n".join(
        [
            "## Archives: Ray Data beside the local engine\n",
            f"{result['pictures']:,} pictures of 500×375 px, two cores, after start-up: {rates['ray']:.0f} pictures/s by Ray, {rates['local']:.0f} by the local engine,",
            f"a share of {result['ray_share_of_local']:.2f}.\n",
        ]
    )


def writer(result: dict[str, Any]) -> str:
    rates = result["pictures_per_second"]
    told = ", ".join(f"{container} {rate:,.0f}" for container, rate in rates.items())
    return "\n".join(
        [
            "## Archives: the one writer\n",
            "Both engines hand thumbnails to one writer. With thumbnails ready in memory, listing, writing, hashing and recording",
            f"reach, in pictures a second: {told}.\n",
        ]
    )


def reduced(result: dict[str, Any]) -> str:
    lines = [
        "## Decoding at reduced size\n",
        "`thumbnail(path)` decodes a large JPEG at reduced size, `thumbnail(picture)` resizes all pixels of an opened one.",
        f"Difference of the thumbnails, in levels of 255, and time for decoding and downscaling; {result['pictures']} mosaics of real pictures.\n",
        "| JPEG | mean difference | largest | reduced, ms | whole, ms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in result["sizes"]:
        size = "×".join(map(str, row["size"]))
        differences = f"{row['mean_difference_levels']:.2f} | {row['largest_difference_levels']}"
        lines.append(f"| {size} | {differences} | {row['reduced_ms']:.1f} | {row['full_ms']:.1f} |")
    return "\n".join([*lines, ""])


def floor(result: dict[str, Any]) -> str:
    lines = [
        "## The downscaler and its floor\n",
        f"`{result['downscaler']}` at {result['image_side']} px, {result['macs'] / 1e6:.1f} M MACs, one core. By arithmetic it cannot take less than "
        f"{result['floor']['arithmetic_ms']:.2f} ms",
        f"({result['peak_gflops']:.0f} GFLOP/s in a matrix product), by memory {result['floor']['memory_ms']:.3f} ms. Measured, ms a picture:\n",
        "| | " + " | ".join(result["milliseconds_a_picture"]) + " |",
        "| --- |" + " ---: |" * len(result["milliseconds_a_picture"]),
        "| ms | " + " | ".join(f"{value:.2f}" for value in result["milliseconds_a_picture"].values()) + " |",
        "",
        f"The best is {result['best_over_floor']:.1f} times the floor.\n",
    ]
    return "\n".join(lines)


def plan() -> str:
    """A plan on paper for a billion pictures, from the measured rates; empty where they are not there."""
    files = [RESULTS / f"archive_{name}.json" for name in ("writer", "speed", "ray")]
    if not all(file.exists() for file in files):
        return ""
    writer_result, speeds, ray_result = (json.loads(file.read_text()) for file in files)
    core = {kind: speeds[kind]["pictures_per_second"]["thumbnet"] / speeds["workers"] for kind in ("small", "large")}
    share, rates = ray_result["ray_share_of_local"], writer_result["pictures_per_second"]
    splits = [speeds[kind]["split_ms"] for kind in ("small", "large")]
    shares = [split["downscale (E)"] / sum(split.values()) for split in splits]
    size = writer_result["thumbnail_bytes_a_picture"]
    lines = [
        "## A billion pictures, on paper\n",
        "Nothing of this was run. Rates are those above, of one core here and one writer; a node is taken to have"
        f" {CORES_A_NODE} such cores.\n",
        "| | 500×375 px | 12 megapixels |",
        "| --- | ---: | ---: |",
        "| core-hours, Ray's share counted | "
        + " | ".join(f"{BILLION / (rate * share) / 3600:,.0f}" for rate in core.values())
        + " |",
        f"| nodes that keep one writer of shards busy ({rates['webdataset']:,.0f} pictures/s) | "
        + " | ".join(f"{rates['webdataset'] / (rate * share * CORES_A_NODE):.1f}" for rate in core.values())
        + " |",
        f"| hours with 16 commands, each on a sixteenth, and {CORES_A_NODE} cores each | "
        + " | ".join(f"{_hours(rate * share, rates['webdataset']):,.0f}" for rate in core.values())
        + " |",
        "",
        f"- **Bytes.** Thumbnails take {size * BILLION / 1e12:.1f} TB as PNG, the manifest {ray_result['manifest_bytes_a_picture'] * BILLION / 1e9:.0f} GB. "
        "The pictures themselves are read once.",
        f"- **What costs.** Core-hours above all; an accelerator takes over E alone, {shares[0]:.0%} of a small picture's time and",
        f"  {shares[1]:.0%} of a large one's. Then reading the input, one request a picture unless it is in shards.",
        f"- **What breaks first.** The one writer: {rates['folder']:,.0f} files a second into a folder, {rates['webdataset']:,.0f} pictures into shards, "
        f"{rates['parquet']:,.0f} into",
        "  tables. Then file systems with a billion small files: use shards or tables. Then the manifest's files, one a block:",
        f"  {BILLION // 500:,} with blocks of 500, {BILLION // 10_000:,} with `--block-pictures 10000`.",
        "- **What to do.** One command for each part of the input (a prefix, a pattern of shards), each with an output and a",
        "  manifest of its own and a Ray cluster or a node behind it. They share nothing, so a part that fails is gone on with",
        "  alone.\n",
    ]
    return "\n".join(lines)


def _hours(rate: float, most: float) -> float:
    return BILLION / 16 / min(rate * CORES_A_NODE, most) / 3600
