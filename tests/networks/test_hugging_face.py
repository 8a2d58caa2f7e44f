"""Classifiers of `transformers`: from a local folder, without a hub; tiny and with random weights."""

import json
import sys
from pathlib import Path

import pytest
import torch

from thumbnet import ThumbNet
from thumbnet.config import TrainSettings
from thumbnet.errors import NetworkError
from thumbnet.networks.architectures import build_classifier
from thumbnet.networks.assembly import assemble
from thumbnet.networks.hugging_face import preprocessing_of

transformers = pytest.importorskip("transformers")
SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
CONFIGS = {
    "vit": lambda labels: transformers.ViTConfig(**SMALL, image_size=64, patch_size=8, **labels),
    "resnet": lambda labels: transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **labels
    ),
    "convnext": lambda labels: transformers.ConvNextConfig(
        num_stages=2, hidden_sizes=[8, 16], depths=[1, 1], image_size=64, **labels
    ),
    "swin": lambda labels: transformers.SwinConfig(
        image_size=64, patch_size=4, embed_dim=12, depths=[1, 1], num_heads=[2, 2], window_size=2, **labels
    ),
}
LABELS = ("ant", "bee")
PROCESSOR = {"size": {"height": 64, "width": 64}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}


def save_model(folder: Path, kind: str = "vit", labels: tuple[str, ...] | None = LABELS) -> Path:
    torch.manual_seed(0)
    names = {"id2label": dict(enumerate(labels))} if labels else {"num_labels": 3}
    config = CONFIGS[kind](names)
    transformers.AutoModelForImageClassification.from_config(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({**PROCESSOR, "do_normalize": True, "image_processor_type": "ViTImageProcessor"})
    )
    return folder


def settings(teacher: str, ratio: int = 2) -> TrainSettings:
    return TrainSettings(
        teacher=teacher, data="none", output="none", teacher_weights="pretrained", ratio=ratio, image_side=64
    )


@pytest.mark.parametrize("ratio", [2, 4])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_model_in_a_folder_becomes_a_bundle_that_needs_no_folder(tmp_path: Path, kind: str, ratio: int) -> None:
    folder = save_model(tmp_path / "model", kind)
    chosen = settings(f"hf/{folder}", ratio)
    assembly = assemble(chosen, LABELS, tap_features=True)
    image = torch.rand(2, 3, 64, 64)
    output = assembly.pair(image)
    _, features = assembly.teacher(image)
    (layer,) = features
    assert features[layer].shape[1:] == assembly.feature_shapes[layer]
    assert output.features[layer].shape[-1] == features[layer].shape[-1] // ratio
    output.logits.sum().backward()
    teacher, student = assembly.teacher.tapped.network, assembly.pair.student.network
    assert {k: v.shape for k, v in student.state_dict().items()} == {
        k: v.shape for k, v in teacher.state_dict().items()
    }

    bundle = ThumbNet.from_training(assembly.pair, assembly.preprocessing, LABELS, chosen)
    bundle.save(tmp_path / "bundle")
    folder.rename(tmp_path / "gone")
    loaded = ThumbNet.load(tmp_path / "bundle")
    thumbnail = torch.rand(1, 3, 64 // ratio, 64 // ratio)
    assert torch.equal(loaded.logits(thumbnail), bundle.logits(thumbnail))


def test_the_makers_weights_labels_and_preprocessing_are_taken_over(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    original = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    found = build_classifier(str(folder), "pretrained")
    image = torch.rand(1, 3, 64, 64)
    assert torch.allclose(found.network.eval()(image), original(image).logits, atol=1e-5)
    assert found.label_sets == (LABELS,)
    assert found.preprocessing is not None
    assert (found.preprocessing.image_side, found.preprocessing.interpolation) == (64, "bilinear")
    assert (found.preprocessing.mean, found.preprocessing.std) == ((0.5,) * 3, (0.25,) * 3)


def test_labels_that_nobody_named_are_no_labels(tmp_path: Path) -> None:
    assert build_classifier(str(save_model(tmp_path, labels=None)), "random").label_sets == ()


def test_another_number_of_classes_gets_a_new_head(tmp_path: Path) -> None:
    found = build_classifier(str(save_model(tmp_path)), "pretrained", classes=5)
    assert found.network(torch.rand(1, 3, 64, 64)).shape == (1, 5)
    assert found.label_sets == ()


def test_random_is_not_pretrained(tmp_path: Path) -> None:
    save_model(tmp_path)
    random = build_classifier(str(tmp_path), "random").network
    trained = build_classifier(str(tmp_path), "pretrained").network
    assert not torch.equal(next(random.parameters()), next(trained.parameters()))


@pytest.mark.parametrize(
    ("processor", "side", "share"),
    [
        (
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True},
            224,
            0.875,
        ),
        ({"size": {"height": 224, "width": 224}}, 224, 1.0),
        ({"size": 384}, 384, 1.0),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.9}, 224, 0.9),
    ],
)
def test_every_way_to_write_a_side_is_understood(processor: dict[str, object], side: int, share: float) -> None:
    found = preprocessing_of(processor)
    assert found is not None
    assert (found.image_side, found.crop_share) == (side, share)


def test_without_transformers_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(NetworkError, match=r"needs the package transformers; .* 'thumbnet\[hf\]'"):
        build_classifier("hf/google/vit", "random")


def test_a_folder_that_is_no_model_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(NetworkError, match="teacher: no model") as caught:
        build_classifier(str(tmp_path), "random")
    assert "\n" not in str(caught.value)


TINY = {"model_type": "vit", "num_labels": 2, **SMALL, "image_size": 32, "patch_size": 8}


def test_a_strangers_configuration_chooses_no_kernels_and_no_files() -> None:
    wrapped = {"model_type": "timm_wrapper", "architecture": "resnet18", "num_labels": 2}
    reaching = {"model_args": {"checkpoint_path": "/elsewhere.pth"}}
    build_classifier("hf/a/b", "random", config={**TINY, "attn_implementation": "kernels-community/flash-attn"})
    build_classifier("hf/a/b", "random", config={**wrapped, **reaching})


@pytest.mark.parametrize("change", [{"hidden_size": "a"}, {"num_attention_heads": 0}, {"model_type": "nothing"}])
def test_a_configuration_that_makes_no_network_is_one_line(change: dict[str, object]) -> None:
    with pytest.raises(NetworkError, match="teacher: hf/a/b ") as caught:
        build_classifier("hf/a/b", "random", config={**TINY, **change})
    assert "\n" not in str(caught.value)
