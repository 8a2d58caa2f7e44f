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

from architectures_page import page_of
from thumbnet import ThumbNet
from thumbnet.config import StudentSettings, TrainSettings
from thumbnet.errors import ThumbNetError
from thumbnet.networks.adapters import PLAIN, adapter_for
from thumbnet.networks.assembly import Assembly, assemble
from thumbnet.networks.processor_layers import fit_to_processor
from thumbnet.networks.student import fit_student, option_name
from thumbnet.networks.synchronised_norm import view_of
from thumbnet.networks.taps import EMBEDDING
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
    ("ResNet", "timm/resnet18", 128),
    ("ResNet", "torchvision/resnet50", 128),
    ("ResNet-D", "timm/resnet26d", 128),
    ("ResNeXt", "timm/resnext50_32x4d", 128),
    ("WideResNet", "timm/wide_resnet50_2", 128),
    ("VGG, batch norm", "torchvision/vgg11_bn", 128),
    ("VGG, batch norm", "timm/vgg11_bn", 128),
    ("DenseNet", "timm/densenet121", 128),
    ("GoogLeNet", "torchvision/googlenet", 128),
    ("Inception-v3", "torchvision/inception_v3", 304),
    ("Inception-v3", "timm/inception_v3", 304),
    ("MobileNet-v2", "timm/mobilenetv2_100", 128),
    ("MobileNet-v3", "timm/mobilenetv3_small_100", 128),
    ("MobileNet-v4", "timm/mobilenetv4_conv_small", 128),
    ("EfficientNet", "timm/efficientnet_b0", 128),
    ("EfficientNet-Lite", "timm/tf_efficientnet_lite0", 128),
    ("RegNet", "timm/regnety_004", 128),
    ("ConvNeXt", "timm/convnext_atto", 128),
    ("ConvNeXt", "torchvision/convnext_tiny", 128),
    ("SqueezeNet", "torchvision/squeezenet1_1", 128),
    ("ShuffleNet-v2", "torchvision/shufflenet_v2_x1_0", 128),
    ("MNASNet", "torchvision/mnasnet0_5", 128),
    ("NFNet", "timm/eca_nfnet_l0", 128),
    ("RepVGG", "timm/repvgg_a0", 128),
    ("CSPNet", "timm/cspresnet50", 128),
    ("GhostNet", "timm/ghostnet_100", 128),
    ("HRNet", "timm/hrnet_w18_small", 128),
    ("ViT", "timm/vit_tiny_patch16_224", 128),
    ("ViT", "torchvision/vit_b_16", 128),
    ("DeiT", "timm/deit_tiny_patch16_224", 128),
    ("DeiT, distilled", "timm/deit_tiny_distilled_patch16_224", 128),
    ("DeiT-3", "timm/deit3_small_patch16_224", 128),
    ("LeViT, distilled", "timm/levit_128s", 224),
    ("Swin", "timm/swin_tiny_patch4_window7_224", 128),
    ("Swin", "torchvision/swin_t", 128),
    ("Hugging Face, ViT", "hf/vit", 64),
    ("Hugging Face, ResNet", "hf/resnet", 64),
    ("Hugging Face, ConvNeXt", "hf/convnext", 64),
    ("Hugging Face, Swin", "hf/swin", 64),
    ("A module of one's own", "architectures:own_module", 64),
)
# Small models of `transformers`, built into a folder: kind of configuration, and its values.
SMALL_ATTENTION = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
SMALL_STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}
HUGGING_FACE: dict[str, dict[str, Any]] = {
    "vit": {**SMALL_ATTENTION, "image_size": 64, "patch_size": 8},
    "resnet": {**SMALL_STAGES, "embedding_size": 8, "layer_type": "basic"},
    "convnext": {**SMALL_STAGES, "num_stages": 2, "image_size": 64},
    "swin": {"image_size": 64, "patch_size": 4, "embed_dim": 12, "depths": [1, 1], "num_heads": [2, 2]}
    | {"window_size": 2},
}


def own_module(num_classes: int = 4) -> nn.Module:
    """A plain classifier, as a user may have written it."""
    layers: list[nn.Module] = []
    for before, after in ((3, 8), (8, 16), (16, 16)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes))


def save_hugging_face(kind: str, folder: str) -> str:
    """Writes a small model of `transformers`, with random weights, and gives its teacher's name."""
    import transformers

    config = transformers.AutoConfig.for_model(kind, num_labels=len(CLASSES), **HUGGING_FACE[kind])
    transformers.AutoModelForImageClassification.from_config(config).save_pretrained(folder)
    return f"hf/{folder}"


def examine(teacher: str, side: int, ratio: int, options: tuple[StudentSettings, ...] = OPTIONS) -> dict[str, Any]:
    """What becomes of one teacher at one ratio; where it fails, the error's one line."""
    settings = TrainSettings(
        teacher=teacher, data="none", output="none", teacher_weights="random", ratio=ratio, image_side=side
    )
    torch.manual_seed(0)
    try:
        assembly = assemble(settings, CLASSES, tap_features=True, tap_embedding=True)
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
    fused = check_bundle(assembly, settings)
    if fused < result["parameters"]["student"]:
        result["parameters"]["fused"] = fused
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
    output = fit_to_processor(view_of(pair))(image)
    loss = functional.cross_entropy(output.logits, torch.tensor([0, 1]))
    for layer, decoded in output.decoded.items():
        assert decoded.shape == teacher_features[layer].shape
        loss = loss + functional.mse_loss(decoded, teacher_features[layer])
    embeddings = (output.features[EMBEDDING], teacher_features[EMBEDDING])
    assert embeddings[0].shape == embeddings[1].shape == (2, *assembly.feature_shapes[EMBEDDING])
    loss = loss + functional.mse_loss(*embeddings)
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
    features = output.features[pair.student.layers[0]]
    return list(features.shape[1:])


def check_bundle(assembly: Assembly, settings: TrainSettings) -> int:
    """Saves, loads, and classifies a picture as before, fused for export too. Gives the fused student's parameters."""
    bundle = ThumbNet.from_training(assembly.pair, assembly.preprocessing, CLASSES, settings)
    fused = bundle.reparameterised()
    check_reload(bundle, bundle, 1e-5)
    if count_parameters(fused.student) < count_parameters(bundle.student):
        check_reload(fused, bundle, 1e-3)
    return count_parameters(fused.student)


def check_reload(saved: ThumbNet, original: ThumbNet, tolerance: float) -> None:
    picture = Image.effect_noise((64, 64), 80).convert("RGB")
    with tempfile.TemporaryDirectory() as folder:
        saved.save(folder)
        loaded = ThumbNet.load(folder, allow_code=True)
    after, before = (
        {one.label: one.score for one in bundle.classify(picture, top=len(CLASSES)).ranked}
        for bundle in (loaded, original)
    )
    same = all(abs(after[label] - before[label]) < tolerance for label in CLASSES)
    assert same, f"the bundle answers {after}, not {before}"


def render() -> str:
    """The page."""
    return page_of(json.loads(RESULT.read_text()), RATIOS, [str(option_name(option)) for option in OPTIONS])


def examine_ratios(teacher: str, side: int) -> dict[str, Any]:
    """What becomes of one teacher at every ratio, and under every option at ratio 4."""
    with tempfile.TemporaryDirectory() as folder:
        kind = teacher.removeprefix("hf/")
        name = save_hugging_face(kind, folder) if teacher.startswith("hf/") else teacher
        return {str(ratio): examine(name, side, ratio, OPTIONS if ratio == 4 else ()) for ratio in RATIOS}


def main() -> None:
    import timm
    import torchvision
    import transformers

    torch.set_num_threads(1)
    versions = f"torch {torch.__version__}, timm {timm.__version__}, torchvision {torchvision.__version__}"
    versions += f", transformers {transformers.__version__}, Python {platform.python_version()}"
    rows = []
    for family, teacher, side in FAMILIES if "--page" not in sys.argv else ():
        rows.append({"family": family, "teacher": teacher, "side": side, "ratios": examine_ratios(teacher, side)})
        command = "python benchmarks/architectures.py"
        result = {"command": command, "versions": versions, "date": date.today().isoformat(), "rows": rows}
        RESULT.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        print(teacher, flush=True)
    PAGE.write_text(render())
    print(PAGE)


if __name__ == "__main__":
    main()
