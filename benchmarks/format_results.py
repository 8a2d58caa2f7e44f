"""The sections of docs/results.md on what storing thumbnails costs, beside the teacher on pictures in as many bytes."""

from collections.abc import Callable
from typing import Any


def formats_of(title: str) -> Callable[[dict[str, Any]], str]:
    """The section on what storing thumbnails costs, beside the teacher on pictures in as many bytes."""
    return lambda result: f"## {title}\n\n{_formats(result)}"


def _formats(result: dict[str, Any]) -> str:
    pixels = f"{result['thumbnail_side']} px thumbnails of {result['image_side']} px pictures"
    lines = [
        f"ThumbNet on {result['data']['name']}: {pixels},",
        f"one run, {result['data']['pictures']:,} held-out pictures, trained without `thumbnail.codec_noise`.",
        "Beside it the teacher, as it is, on pictures in the same bytes: JPEG at full size, and shrunk and JPEG at",
        "quality 75.\n",
        "| thumbnail as | bytes | student, top-1 | teacher, full size | teacher, shrunk |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, row in result["formats"].items():
        others = " | ".join(_stored_picture(row[way]) for way in ("full_size", "shrunk"))
        own = row["thumbnail"]
        lines.append(f"| {name} | {own['bytes']:,} | {100 * own['top1']:.1f} | {others} |")
    return "\n".join([*lines, ""])


def formats_after_noise(result: dict[str, Any]) -> str:
    lines = [
        "### The same student trained on compressed thumbnails\n",
        "Half of its training thumbnails went through JPEG of quality 30 to 95 (`thumbnail.codec_noise 0.5`); the same",
        "epochs, views and seed, one run.\n",
        "| thumbnail as | bytes | student, top-1 |",
        "| --- | ---: | ---: |",
    ]
    for name, row in result["formats"].items():
        own = row["thumbnail"]
        lines.append(f"| {name} | {own['bytes']:,} | {100 * own['top1']:.1f} |")
    return "\n".join([*lines, ""])


def _stored_picture(row: dict[str, Any]) -> str:
    least = "" if row["fits"] else f", {row['bytes']:,} bytes at least"
    return f"{100 * row['top1']:.1f} ({row['side']} px, {row['stored_as']}{least})"
