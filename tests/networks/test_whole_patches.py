"""Thumbnails that patches do not divide are padded, so that a transformer reads all of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from thumbnet import ThumbNet
from thumbnet.config import StudentSettings, TrainSettings
from thumbnet.networks.adapters import fit_to_side
from thumbnet.networks.assembly import assemble
from thumbnet.networks.hugging_face import build_from_config
from thumbnet.networks.student import fit_student, make_student, padding_warning
from thumbnet.networks.whole_patches import Padding, patch_side

FINE = StudentSettings(keep_stem_resolution=True)
DECODER = StudentSettings(detail_decoder=True)


def timm_transformer() -> nn.Module:
    return timm.create_model("vit_tiny_patch16_224", embed_dim=24, depth=2, num_heads=2, num_classes=5)


def torchvision_transformer() -> nn.Module:
    network = VisionTransformer(224, 16, 2, 2, 24, 48, num_classes=5)
    nn.init.normal_(network.heads.get_submodule("head").weight)  # which starts at zero, so nothing would be read
    return network


def hugging_face_transformer() -> nn.Module:
    pytest.importorskip("transformers")
    small = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    return build_from_config({"model_type": "vit", **small, "num_labels": 5}, "hf/vit", None)


def patches_in_a_row() -> nn.Module:
    layers = (nn.Conv2d(3, 8, 16, stride=16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return nn.Sequential(*layers)


BUILDERS = [timm_transformer, torchvision_transformer, hugging_face_transformer, patches_in_a_row]


def unread(student: nn.Module, side: int) -> float:
    """The share of pixels that no answer depends on."""
    thumbnail = torch.rand(1, 3, side, side, requires_grad=True)
    student.eval()(thumbnail).square().sum().backward()
    assert isinstance(thumbnail.grad, Tensor)
    return float((thumbnail.grad.abs().sum(dim=1) == 0).float().mean())


@pytest.mark.parametrize(
    ("ratio", "settings"), [(4, StudentSettings()), (8, StudentSettings()), (4, FINE), (8, DECODER)]
)
@pytest.mark.parametrize("build", BUILDERS)
def test_every_pixel_of_the_thumbnail_is_read(
    build: Callable[[], nn.Module], ratio: int, settings: StudentSettings
) -> None:
    torch.manual_seed(0)
    network = build()
    fit_to_side(network, 224)
    assert unread(make_student(network, settings, 224, 224 // ratio), 224 // ratio) == 0.0


def test_the_features_are_as_many_as_the_ratio_leaves() -> None:
    fit = fit_student(timm_transformer(), StudentSettings(), 224, 56)
    (blocks,) = [trace for trace in fit.at_thumbnail_side if trace.name == "blocks"]
    assert blocks.shape[1:] == (4, 4)
    assert padding_warning(fit, 4) is None


def test_a_side_that_patches_divide_is_left_as_it_is() -> None:
    student = timm_transformer()
    fit_student(student, StudentSettings(), 256, 64)
    assert not student._forward_pre_hooks


def test_windows_that_overlap_are_no_patches(tiny_classifier: nn.Module) -> None:
    fit = fit_student(tiny_classifier, StudentSettings(), 32, 8)
    assert patch_side(tiny_classifier, fit.at_image_side, 32) == 1


def test_a_thumbnail_is_padded_by_its_border_on_all_sides() -> None:
    padded = Padding(4)(nn.Identity(), (torch.arange(36.0).view(1, 1, 6, 6),))
    assert padded.shape == (1, 1, 8, 8)
    assert torch.equal(padded[..., 1:-1, 1:-1], torch.arange(36.0).view(1, 1, 6, 6))
    assert torch.equal(padded[0, 0, 0, 1:-1], torch.arange(6.0))


def test_a_bundle_pads_as_its_training_did(tmp_path: Path) -> None:
    settings = TrainSettings(
        teacher="timm/vit_tiny_patch16_224", data="none", output="none", teacher_weights="random", ratio=4
    )
    assembly = assemble(settings, ("ant", "bee"), tap_features=True)
    assembly.pair(torch.rand(2, 3, 224, 224)).logits.sum().backward()
    bundle = ThumbNet.from_training(assembly.pair, assembly.preprocessing, ("ant", "bee"), settings)
    bundle.save(tmp_path / "bundle")
    loaded = ThumbNet.load(tmp_path / "bundle")
    thumbnail = torch.rand(1, 3, 56, 56)
    assert torch.equal(loaded.logits(thumbnail), bundle.logits(thumbnail))
    assert unread(loaded.student, 56) == 0.0
