"""The study of solar cells that every student was first tried on."""

from typing import Any

ROWS = {
    "teacher": "teacher, on images",
    "untrained_bicubic": "untrained, bicubic thumbnails",
    "bicubic_cl": "bicubic + cl",
    "bicubic_cl_kd_fm": "bicubic + cl + kd + fm",
    "thumbnet": "**ThumbNet** (residual + mm + cl + kd + fm)",
    "untrained_bicubic_fine": "untrained, bicubic thumbnails, `keep_stem_resolution`",
    "bicubic_cl_kd_fm_fine": "bicubic + cl + kd + fm, `keep_stem_resolution`",
    "thumbnet_fine": "**ThumbNet**, `keep_stem_resolution`, `downscaler.start natural`",
}


def study(result: dict[str, Any]) -> str:
    rows = result["rows"]
    teacher = rows["teacher"]["top1"]["mean"]
    seeds = len(result["seeds"])
    lines = [
        "## Solar cells (`elpv`), ratio 4: 192 px images, 48 px thumbnails\n",
        f"EfficientNet-Lite0; one teacher, {seeds} seeds of every student, equal epochs; recipes in `recipes/elpv`.",
        f"{result['pictures']} held-out pictures: the top-1 of one run has a standard error of about 1.4 points, so",
        "read the paired differences below the table, not the rows' last digits.\n",
        "| student | MMACs (with downscaler) | top-1, mean ± std | retention |",
        "| --- | ---: | ---: | ---: |",
    ]
    for key, name in ROWS.items():
        if key in rows:
            row = rows[key]
            std = row["top1"]["std"]
            spread = f" ± {100 * std:.1f}" if std else ""
            kept = "" if key == "teacher" else f"{100 * row['top1']['mean'] / teacher:.1f}%"
            with_e = f" ({(row['macs'] + row['downscaler_macs']) / 1e6:.1f})" if "downscaler_macs" in row else ""
            lines.append(
                f"| {name} | {row['macs'] / 1e6:.1f}{with_e} | {100 * row['top1']['mean']:.1f}{spread} | {kept} |"
            )
    lines += ["", "| paired difference | points | 95% interval |", "| --- | ---: | ---: |"]
    for name, difference in result["paired_differences"].items():
        points = " | ".join(
            (f"{100 * difference['mean']:+.1f}", f"{100 * difference['low']:+.1f} to {100 * difference['high']:+.1f}")
        )
        lines.append(f"| {name.replace('_', ' ')} | {points} |")
    sizes = rows["thumbnet"]["thumbnail_bytes"]["mean"]
    return "\n".join([*lines, "", f"A thumbnail takes {sizes / 1000:.1f} kB as PNG.\n"])
