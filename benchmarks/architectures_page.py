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

HUGGING_FACE = """
## What models of Hugging Face see

What a model's image processor says is taken over: which side is resized and by which filter, what is cut out, how
levels are scaled and normalised, EfficientNet's second division too. MobileViT takes blue, green, red: its first layer
is turned round when its own weights are loaded. `tests/networks/test_image_processors.py` compares every value with the
processors of ViT, Swin, DeiT, SigLIP, ConvNeXt, ResNet, RegNet, CLIP, BiT, DINOv2, EfficientNet, MobileViT, MobileNet,
PVT, LeViT, PoolFormer, BEiT and SegFormer that resize by Pillow. Two things remain:

- Processors that resize by torchvision round a level otherwise, now and then two, of 255.
- Where what is left beside the cut is odd, these processors put the smaller half first. ThumbNet, timm and torchvision
  round to the even half: for one picture in four the cut is one pixel beside.

What ThumbNet cannot show is refused in one line: processors that do not resize, that leave pictures oblong (TextNet,
Donut), cut before they resize (Perceiver), or give no picture (ImageGPT, SigLIP 2). Each is shown one picture when its
model is loaded, so that a step nobody said (PP-LCNet swaps colours) is found.
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
    lines += [HUGGING_FACE, "## What is said", ""]
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
