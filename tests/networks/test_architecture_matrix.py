"""Every family of classifiers becomes a student that trains, and a bundle that answers the same after a reload."""

import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmark_scripts import script

ROOT = Path(__file__).parent.parent.parent
WORKS = "works"
TOKENS = "position embeddings resized, tokens read as maps"
BOTH, FINER, COARSER = (2, 4), (2,), (4,)
# Small members of each family at small sides; the page's own rows are the makers' networks, each at both ratios.
SMALL = (
    ("timm/resnet18", 64, WORKS, BOTH),
    ("narrow_networks:resnet50", 64, WORKS, BOTH),
    ("timm/resnet26d", 64, WORKS, BOTH),
    ("narrow_networks:resnext50", 64, WORKS, BOTH),
    ("narrow_networks:wide_resnet50", 64, WORKS, BOTH),
    ("narrow_networks:vgg11_bn", 128, WORKS, BOTH),
    ("narrow_networks:timm_vgg11_bn", 128, WORKS, BOTH),
    ("narrow_networks:densenet", 64, WORKS, BOTH),
    ("torchvision/googlenet", 64, "auxiliary heads left out", BOTH),
    ("torchvision/inception_v3", 152, "auxiliary heads left out", FINER),
    ("torchvision/inception_v3", 304, "auxiliary heads left out", COARSER),
    ("timm/mobilenetv2_050", 64, WORKS, BOTH),
    ("timm/mobilenetv3_small_050", 64, WORKS, BOTH),
    ("timm/mobilenetv4_conv_small_050", 64, WORKS, BOTH),
    ("timm/efficientnet_lite0", 64, WORKS, BOTH),
    ("timm/tf_efficientnet_b0", 64, WORKS, BOTH),
    ("timm/regnetx_002", 64, WORKS, BOTH),
    ("timm/convnext_atto", 64, WORKS, FINER),
    ("timm/convnext_atto", 128, WORKS, COARSER),
    ("narrow_networks:torchvision_convnext", 64, WORKS, BOTH),
    ("torchvision/squeezenet1_1", 128, WORKS, BOTH),
    ("torchvision/shufflenet_v2_x0_5", 64, WORKS, BOTH),
    ("torchvision/mnasnet0_5", 64, WORKS, BOTH),
    ("timm/nf_regnet_b0", 64, WORKS, BOTH),
    ("timm/repvgg_a0", 64, WORKS, BOTH),
    ("timm/cspresnet50", 64, WORKS, BOTH),
    ("timm/ghostnet_050", 64, WORKS, BOTH),
    ("timm/hrnet_w18_small", 128, WORKS, BOTH),
    ("timm/vit_tiny_patch16_224", 64, TOKENS, BOTH),
    ("narrow_networks:torchvision_vit", 64, TOKENS, BOTH),
    ("timm/deit_tiny_distilled_patch16_224", 64, TOKENS, BOTH),
    ("narrow_networks:deit3", 64, TOKENS, BOTH),
    ("narrow_networks:swin", 128, "windows and their tables resized, features read channels last", BOTH),
    ("narrow_networks:torchvision_swin", 128, "features read channels last", BOTH),
    ("tiny_networks:two_stages", 64, WORKS, BOTH),
)
CASES = [(teacher, side, outcome, ratio) for teacher, side, outcome, ratios in SMALL for ratio in ratios]
TOO_SMALL = (("torchvision/inception_v3", 152, 4, 75), ("timm/levit_128s", 224, 2, 209))
ONE_STEP = ("timm/vit_tiny_patch16_224", "narrow_networks:torchvision_vit", "timm/deit_tiny_distilled_patch16_224")
ONE_STEP += ("narrow_networks:deit3", "narrow_networks:swin", "narrow_networks:torchvision_swin")
# Their branches need the stride of the last step, or have it in no layer.
NO_DILATION = (*ONE_STEP, "torchvision/inception_v3", "timm/hrnet_w18_small")


@pytest.fixture(scope="module")
def architectures() -> ModuleType:
    return script("architectures")


@pytest.mark.parametrize(("teacher", "side", "outcome", "ratio"), CASES)
def test_a_family_trains_and_its_bundle_answers_the_same(
    architectures: ModuleType, teacher: str, side: int, outcome: str, ratio: int
) -> None:
    options = architectures.OPTIONS if ratio == 2 else ()
    found = architectures.examine(teacher, side, ratio, options)
    assert "error" not in found, found
    assert (found["change"] or WORKS) == outcome
    check_sizes(found, ratio)
    for name, option in found["options"].items():
        check_option(teacher, name, option, found)


@pytest.mark.parametrize(("teacher", "side", "ratio", "smallest"), TOO_SMALL)
def test_a_thumbnail_that_a_family_cannot_take_is_said_with_the_smallest_side(
    architectures: ModuleType, teacher: str, side: int, ratio: int, smallest: int
) -> None:
    error = architectures.examine(teacher, side, ratio, ())["error"]
    assert error.startswith(f"student breaks at {side // ratio}×{side // ratio} px in layer '")
    advice = f"the smallest side that works is {smallest} px: give a smaller --ratio or a larger --image-side"
    assert error.endswith(advice)
    assert "\n" not in error


@pytest.mark.parametrize("kind", ["vit", "resnet", "convnext", "swin"])
def test_hugging_faces_families_train_at_both_ratios(architectures: ModuleType, kind: str) -> None:
    pytest.importorskip("transformers")
    for ratio, found in architectures.examine_ratios(f"hf/{kind}", 64).items():
        assert "error" not in found, found
        check_sizes(found, int(ratio))
        assert found["options"].get("keep_stem_resolution", {"features_side": 4})["features_side"] == 4


def test_branches_for_training_are_fused_for_export(architectures: ModuleType) -> None:
    found = architectures.examine("timm/repvgg_a0", 32, 2, ())
    assert found["parameters"]["fused"] < found["parameters"]["student"]
    assert "fused" not in architectures.examine("tiny_networks:two_stages", 32, 2, ())["parameters"]


def check_sizes(found: dict[str, Any], ratio: int) -> None:
    channels, side, _ = found["teacher_features"]
    assert found["student_features"][0] == channels
    # Whoever loses a row is told so; others have all of them.
    assert found["warnings"] or found["student_features"][1] == math.ceil(side / ratio)
    assert found["student_features"][1] >= math.ceil(side / ratio) - 1
    parameters = found["parameters"]
    # Fewer positions are learned where they are part of the weights.
    learned_positions = found["change"] in (TOKENS, "windows and their tables resized, features read channels last")
    assert parameters["student"] == parameters["teacher"] or learned_positions
    assert parameters["student"] <= parameters["teacher"]


def check_option(teacher: str, name: str, option: dict[str, Any], found: dict[str, Any]) -> None:
    impossible = (name == "keep_stride 2" and teacher in ONE_STEP) or (
        name == "dilate_last_stage" and teacher in NO_DILATION
    )
    if impossible:
        assert option["error"].startswith(f"student.{name}: ")
        assert "keep_stem_resolution" in option["error"] or "give 1 alone" in option["error"]
        assert "\n" not in option["error"]
    else:
        assert option["features_side"] > found["student_features"][1]


def test_the_page_is_what_the_json_gives(architectures: ModuleType) -> None:
    assert (ROOT / "docs" / "architectures.md").read_text() == architectures.render()


def test_a_row_that_fails_says_what_to_do(architectures: ModuleType) -> None:
    rows = json.loads(architectures.RESULT.read_text())["rows"]
    assert [row["teacher"] for row in rows] == [teacher for _, teacher, _ in architectures.FAMILIES]
    for row in rows:
        for found in row["ratios"].values():
            assert found["outcome"] != "error" or "give a smaller --ratio or a larger --image-side" in found["error"]
