"""Every family of classifiers becomes a student that trains, and a bundle that answers the same after a reload."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
# Small members of each family at small sides; the page's own rows are the makers' sides.
SMALL = (
    ("timm/resnet18", 64, "works"),
    ("torchvision/resnet50", 64, "works"),
    ("timm/resnet26d", 64, "works"),
    ("timm/resnext26ts", 64, "works"),
    ("torchvision/wide_resnet50_2", 64, "works"),
    ("narrow_networks:vgg11_bn", 128, "works"),
    ("timm/densenet121", 128, "works"),
    ("torchvision/googlenet", 64, "auxiliary heads left out"),
    ("torchvision/inception_v3", 300, "auxiliary heads left out"),
    ("timm/mobilenetv2_050", 64, "works"),
    ("timm/mobilenetv3_small_050", 64, "works"),
    ("timm/mobilenetv4_conv_small_050", 64, "works"),
    ("timm/efficientnet_lite0", 64, "works"),
    ("timm/tf_efficientnet_b0", 64, "works"),
    ("timm/regnetx_002", 64, "works"),
    ("timm/convnext_atto", 128, "works"),
    ("torchvision/squeezenet1_1", 128, "works"),
    ("torchvision/shufflenet_v2_x0_5", 64, "works"),
    ("torchvision/mnasnet0_5", 64, "works"),
    ("timm/nf_regnet_b0", 64, "works"),
    ("timm/repvgg_a0", 64, "works"),
    ("timm/cspresnet50", 64, "works"),
    ("timm/ghostnet_050", 64, "works"),
    ("timm/hrnet_w18_small", 128, "works"),
    ("timm/vit_tiny_patch16_224", 128, "position embeddings resized, tokens read as maps"),
    ("narrow_networks:torchvision_vit", 64, "position embeddings resized, tokens read as maps"),
    ("timm/deit_tiny_distilled_patch16_224", 128, "position embeddings resized, tokens read as maps"),
    ("narrow_networks:swin", 128, "windows and their tables resized, features read channels last"),
    ("narrow_networks:torchvision_swin", 128, "features read channels last"),
    ("timm/levit_128s", 224, "both heads' mean"),
    ("tiny_networks:two_stages", 64, "works"),
)
ONE_STEP = ("timm/vit_tiny_patch16_224", "narrow_networks:torchvision_vit", "timm/deit_tiny_distilled_patch16_224")
ONE_STEP += ("narrow_networks:swin", "narrow_networks:torchvision_swin")
# Their branches need the stride of the last step, or have it in no layer.
NO_DILATION = (*ONE_STEP, "torchvision/inception_v3", "timm/hrnet_w18_small")


@pytest.fixture(scope="module")
def architectures() -> ModuleType:
    found = importlib.util.spec_from_file_location("architectures", ROOT / "benchmarks" / "architectures.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("ratio", [2, 4])
@pytest.mark.parametrize(("teacher", "side", "outcome"), SMALL)
def test_a_family_trains_and_its_bundle_answers_the_same(
    architectures: ModuleType, teacher: str, side: int, outcome: str, ratio: int
) -> None:
    options = architectures.OPTIONS if ratio == 2 else ()
    found = architectures.examine(teacher, side, ratio, options)
    assert "error" not in found, found
    assert (found["change"] or "works") == outcome
    check_sizes(found, ratio)
    for name, option in found["options"].items():
        check_option(teacher, name, option, found)


def check_sizes(found: dict[str, Any], ratio: int) -> None:
    channels, side, _ = found["teacher_features"]
    assert found["student_features"][0] == channels
    assert found["student_features"][1] >= side // ratio
    parameters = found["parameters"]
    assert parameters["student"] <= parameters["teacher"]
    if found["change"] in (None, "auxiliary heads left out", "features read channels last"):
        assert parameters["student"] == parameters["teacher"]


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
    assert {row["teacher"] for row in rows} <= {teacher for _, teacher, _ in architectures.FAMILIES}
    for row in rows:
        for found in row["ratios"].values():
            assert found["outcome"] != "error" or "give a smaller --ratio or a larger --image-side" in found["error"]
