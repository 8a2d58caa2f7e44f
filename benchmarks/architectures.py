"""Which classifiers work, with which change: one training step and one bundle for every family, with random weights.

Writes benchmarks/results/architectures.json and docs/architectures.md, the page that is made from it.

python benchmarks/architectures.py            # every family; some minutes on one core
python benchmarks/architectures.py --page     # the page alone
"""

import copy
import json
import platform
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from thumbnet import ThumbNet
from thumbnet.config import StudentSettings, TrainSettings
from thumbnet.errors import ThumbNetError
from thumbnet.networks.adapters import PLAIN, adapter_for
from thumbnet.networks.assembly import Assembly, assemble
from thumbnet.networks.student import fit_student, option_name
from thumbnet.profiling import count_parameters

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "architectures.json"
PAGE = ROOT / "docs" / "architectures.md"
CLASSES = ("ant", "bee", "cat", "dog")
RATIOS = (2, 4)
OPTIONS = (
    StudentSettings(keep_stem_resolution=True),
    StudentSettings(keep_stride=2),
    StudentSettings(dilate_last_stage=True),
)
# Family, teacher, side: small ones, at which a family's troubles show; Inception-v3 needs 75 px for its thumbnails.
FAMILIES: tuple[tuple[str, str, int], ...] = (
    ("ResNet-18", "timm/resnet18", 64),
    ("ResNet-D", "timm/resnet26d", 64),
    ("DenseNet", "timm/densenet121", 128),
    ("GoogLeNet", "torchvision/googlenet", 64),
    ("MobileNet-v2", "timm/mobilenetv2_100", 64),
    ("MobileNet-v3", "timm/mobilenetv3_small_100", 64),
    ("MobileNet-v4", "timm/mobilenetv4_conv_small", 64),
    ("EfficientNet", "timm/efficientnet_b0", 64),
    ("EfficientNet-Lite", "timm/tf_efficientnet_lite0", 64),
    ("RegNet", "timm/regnety_004", 64),
    ("ConvNeXt", "timm/convnext_atto", 128),
    ("SqueezeNet", "torchvision/squeezenet1_1", 128),
    ("ShuffleNet-v2", "torchvision/shufflenet_v2_x1_0", 64),
    ("MNASNet", "torchvision/mnasnet0_5", 64),
    ("NFNet", "timm/eca_nfnet_l0", 64),
    ("RepVGG", "timm/repvgg_a0", 64),
    ("CSPNet", "timm/cspresnet50", 64),
    ("GhostNet", "timm/ghostnet_100", 64),
    ("ViT", "timm/vit_tiny_patch16_224", 128),
    ("DeiT, distilled", "timm/deit_tiny_distilled_patch16_224", 128),
    ("LeViT, distilled", "timm/levit_128s", 224),
    ("ResNet-50", "torchvision/resnet50", 64),
    ("ResNeXt", "timm/resnext50_32x4d", 64),
    ("WideResNet", "timm/wide_resnet50_2", 64),
    ("VGG, batch norm", "torchvision/vgg11_bn", 128),
    ("Inception-v3", "torchvision/inception_v3", 300),
    ("HRNet", "timm/hrnet_w18_small", 128),
    ("ViT", "torchvision/vit_b_16", 128),
    ("DeiT", "timm/deit_tiny_patch16_224", 128),
    ("Swin", "timm/swin_tiny_patch4_window7_224", 128),
    ("Swin", "torchvision/swin_t", 128),
)
INTRODUCTION = """# Architectures

Written by `python benchmarks/architectures.py`; do not edit.

Every teacher below, with random weights and at the side given, was trained one step with classification and feature
mapping, and its bundle was saved, loaded and asked again for the same answer. A change is made by itself, by the
adapter of the family in `networks/adapters.py`.
`thumbnet info --teacher NAME --ratio 4` prints costs and features at a teacher's own side.
"""


def examine(teacher: str, side: int, ratio: int, options: tuple[StudentSettings, ...] = OPTIONS) -> dict[str, Any]:
    """What becomes of one teacher at one ratio; where it fails, the error's one line."""
    settings = TrainSettings(
        teacher=teacher, data="none", output="none", teacher_weights="random", ratio=ratio, image_side=side
    )
    torch.manual_seed(0)
    try:
        assembly = assemble(settings, CLASSES, tap_features=True)
    except ThumbNetError as error:
        return {"outcome": "error", "error": str(error), "options": {}}
    network = assembly.teacher.tapped.network
    layer = assembly.pair.student.layers[0]
    adapter = adapter_for(network)
    result: dict[str, Any] = {
        "outcome": "works" if adapter is PLAIN else "works with a change",
        "change": None if adapter is PLAIN else adapter.name,
        "thumbnail_side": side // ratio,
        "parameters": {
            "teacher": count_parameters(network),
            "student": count_parameters(assembly.pair.student.network),
        },
        "layer": layer,
        "teacher_features": list(assembly.feature_shapes[layer]),
        # The teacher's weights being random is no news here.
        "warnings": list(assembly.warnings[1:]),
        "options": {option_name(option): try_option(network, option, side, ratio, layer) for option in options},
    }
    result["student_features"] = train_one_step(assembly)
    check_bundle(assembly, settings)
    return result


def try_option(teacher: nn.Module, option: StudentSettings, side: int, ratio: int, layer: str) -> dict[str, Any]:
    """The width of a layer's features with an option, px, or the error's one line."""
    student = copy.deepcopy(teacher).requires_grad_(False)
    try:
        fit = fit_student(student, option, side, side // ratio)
    except ThumbNetError as error:
        return {"error": str(error)}
    return {"features_side": next(trace.shape[-1] for trace in fit.at_thumbnail_side if trace.name == layer)}


def train_one_step(assembly: Assembly) -> list[int]:
    """One step on random pictures: every weight of S has a finite gradient and S changes. Gives the features' shape."""
    pair = assembly.pair.train()
    side = assembly.preprocessing.image_side
    image = torch.rand(2, 3, side, side)
    with torch.no_grad():
        _, teacher_features = assembly.teacher(image)
    output = pair(image)
    loss = functional.cross_entropy(output.logits, torch.tensor([0, 1]))
    for layer, decoded in output.decoded.items():
        assert decoded.shape == teacher_features[layer].shape
        loss = loss + functional.mse_loss(decoded, teacher_features[layer])
    optimizer = torch.optim.SGD(pair.parameters(), lr=1e-4)
    loss.backward()
    gradients = [parameter.grad for parameter in pair.student.parameters() if parameter.grad is not None]
    assert gradients, "no gradient reaches the student"
    assert all(torch.isfinite(gradient).all() for gradient in gradients), "a gradient is not finite"
    nn.utils.clip_grad_norm_(pair.parameters(), 1.0)
    optimizer.step()
    for module in pair.student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()  # those of two noise pictures make random weights overflow
    (features,) = output.features.values()
    return list(features.shape[1:])


def check_bundle(assembly: Assembly, settings: TrainSettings) -> None:
    """Saves, loads, and classifies a picture as before."""
    bundle = ThumbNet.from_training(assembly.pair, assembly.preprocessing, CLASSES, settings)
    picture = Image.effect_noise((64, 64), 80).convert("RGB")
    before = bundle.classify(picture)
    with tempfile.TemporaryDirectory() as folder:
        bundle.save(folder)
        after = ThumbNet.load(folder, allow_code=True).classify(picture)
    same = before.label == after.label and abs(before.score - after.score) < 1e-5
    assert same, f"the bundle answers {after}, not {before}"


def render() -> str:
    """The page."""
    result = json.loads(RESULT.read_text())
    lines = [INTRODUCTION, "| family | teacher | side | " + " | ".join(f"ratio {ratio}" for ratio in RATIOS) + " |"]
    lines.append("| --- | --- | ---: | --- | --- |")
    for row in result["rows"]:
        cells = [_outcome(row["ratios"][str(ratio)]) for ratio in RATIOS]
        lines.append(f"| {row['family']} | `{row['teacher']}` | {row['side']} | {' | '.join(cells)} |")
    lines += ["", "## Parameters, features and options, at ratio 4", ""]
    lines.append(
        "Features are those of the layer that is tapped by default. An option gives the width of the last features.\n"
    )
    names = [str(option_name(option)) for option in OPTIONS]
    lines.append(f"| teacher | parameters T | S | layer | T | S | {' | '.join(f'`{name}`' for name in names)} |")
    lines.append("| --- | ---: | ---: | --- | --- | --- | --- | --- | --- |")
    for row in result["rows"]:
        found = row["ratios"]["4"]
        if found["outcome"] == "error":
            continue
        parameters = found["parameters"]
        fewer = parameters["student"] - parameters["teacher"]
        sizes = ("×".join(map(str, found[key])) for key in ("teacher_features", "student_features"))
        options = (_option(found["options"][name]) for name in names)
        costs = (f"{parameters['teacher']:,}", f"{fewer:+,}" if fewer else "same")
        cells = (*costs, f"`{found['layer']}`", *sizes, *options)
        lines.append(f"| `{row['teacher']}` | {' | '.join(cells)} |")
    lines += ["", "## What is said", ""]
    for row in result["rows"]:
        for ratio in RATIOS:
            lines += [f"- `{row['teacher']}`, ratio {ratio}: {said}" for said in _said(row["ratios"][str(ratio)])]
    source = "[architectures.json](../benchmarks/results/architectures.json)"
    return "\n".join([*lines, "", f"`{result['command']}` · {result['versions']} · {result['date']} · {source}\n"])


def _outcome(found: dict[str, Any]) -> str:
    if found["outcome"] == "error":
        return f"error: {found['error']}"
    text = f"works, with {found['change']}" if found["change"] else "works"
    return text + (" (warns)" if found["warnings"] else "")


def _option(found: dict[str, Any]) -> str:
    return f"{found['features_side']} px" if "features_side" in found else "no"


def _said(found: dict[str, Any]) -> list[str]:
    return [*found.get("warnings", []), *(other["error"] for other in found["options"].values() if "error" in other)]


def main() -> None:
    import timm
    import torchvision

    torch.set_num_threads(1)
    versions = f"torch {torch.__version__}, timm {timm.__version__}, torchvision {torchvision.__version__}"
    versions += f", Python {platform.python_version()}"
    rows: list[dict[str, Any]] = []
    for family, teacher, side in FAMILIES if "--page" not in sys.argv else ():
        ratios = {str(ratio): examine(teacher, side, ratio, OPTIONS if ratio == 4 else ()) for ratio in RATIOS}
        rows.append({"family": family, "teacher": teacher, "side": side, "ratios": ratios})
        command = "python benchmarks/architectures.py"
        result = {"command": command, "versions": versions, "date": date.today().isoformat(), "rows": rows}
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
        print(teacher, {ratio: found["outcome"] for ratio, found in ratios.items()}, flush=True)
    PAGE.write_text(render())
    print(PAGE)


if __name__ == "__main__":
    main()
