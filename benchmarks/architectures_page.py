"""docs/architectures.md from its JSON: which classifiers work, with which change."""

from collections.abc import Sequence
from typing import Any

INTRODUCTION = """# Architectures

Written by `python benchmarks/architectures.py`; do not edit.

Every teacher below, with random weights and at the side given, was trained one step with classification and feature
mapping, and its bundle was saved, loaded and asked again for the same answer. A change is made by itself, by the
adapter of the family in `networks/adapters.py`.
`hf/KIND` is a small model of that kind in a local folder, `architectures:own_module` a user's own factory.
`thumbnet info --teacher NAME --ratio 4` prints costs and features at a teacher's own side.
"""


def page_of(result: dict[str, Any], ratios: Sequence[int], names: Sequence[str]) -> str:
    """The page; `names` are those of the options."""
    lines = [INTRODUCTION, "| family | teacher | side | " + " | ".join(f"ratio {ratio}" for ratio in ratios) + " |"]
    lines.append("| --- | --- | ---: | --- | --- |")
    for row in result["rows"]:
        cells = [_outcome(row["ratios"][str(ratio)]) for ratio in ratios]
        lines.append(f"| {row['family']} | `{row['teacher']}` | {row['side']} | {' | '.join(cells)} |")
    lines += ["", "## Parameters, features and options, at ratio 4", ""]
    lines.append(
        "Features are those of the layer that is tapped by default. An option gives the width of the last features.\n"
    )
    lines.append(f"| teacher | parameters T | S | layer | T | S | {' | '.join(f'`{name}`' for name in names)} |")
    lines.append("| --- | ---: | ---: | --- | --- | --- | --- | --- | --- |")
    for row in result["rows"]:
        found = row["ratios"]["4"]
        if found["outcome"] == "error":
            continue
        sizes = ("×".join(map(str, found[key])) for key in ("teacher_features", "student_features"))
        options = (_option(found["options"][name]) for name in names)
        cells = (f"{found['parameters']['teacher']:,}", _parameters(found), f"`{found['layer']}`", *sizes, *options)
        lines.append(f"| `{row['teacher']}` | {' | '.join(cells)} |")
    lines += ["", "## What is said", ""]
    for row in result["rows"]:
        for ratio in ratios:
            lines += [f"- `{row['teacher']}`, ratio {ratio}: {said}" for said in _said(row["ratios"][str(ratio)])]
    source = "[architectures.json](../benchmarks/results/architectures.json)"
    return "\n".join([*lines, "", f"`{result['command']}` · {result['versions']} · {result['date']} · {source}\n"])


def _outcome(found: dict[str, Any]) -> str:
    if found["outcome"] == "error":
        return f"error: {found['error']}"
    text = f"works, with {found['change']}" if found["change"] else "works"
    return text + (" (warns)" if found["warnings"] else "")


def _parameters(found: dict[str, Any]) -> str:
    parameters = found["parameters"]
    fewer = parameters["student"] - parameters["teacher"]
    fused = f", fused for export {parameters['fused']:,}" if "fused" in parameters else ""
    return (f"{fewer:+,}" if fewer else "same") + fused


def _option(found: dict[str, Any]) -> str:
    return f"{found['features_side']} px" if "features_side" in found else "no"


def _said(found: dict[str, Any]) -> list[str]:
    return [*found.get("warnings", []), *(other["error"] for other in found["options"].values() if "error" in other)]
