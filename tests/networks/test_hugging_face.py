"""Classifiers of `transformers`: from a local folder, without a hub; tiny and with random weights."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from thumbnet import ThumbNet
from thumbnet.config import TrainSettings
from thumbnet.data.preprocessing import normalise, picture_to_image, working_view
from thumbnet.errors import NetworkError
from thumbnet.networks.architectures import build_classifier
from thumbnet.networks.assembly import assemble
from thumbnet.networks.hugging_face import take_rgb
from thumbnet.networks.taps import trace_layers

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


def save_mobilevit(folder: Path) -> Path:
    """A model that its image processor shows blue, green, red."""
    torch.manual_seed(0)
    config = transformers.MobileViTConfig(
        image_size=64, hidden_sizes=[8, 12, 16], neck_hidden_sizes=[4, 4, 8, 8, 8, 8, 16], num_labels=2
    )
    model = transformers.AutoModelForImageClassification.from_config(config)
    nn.init.normal_(model.mobilevit.conv_stem.convolution.weight)
    model.save_pretrained(folder)
    processor = {"size": {"shortest_edge": 72}, "crop_size": {"height": 64, "width": 64}, "do_flip_channel_order": True}
    (folder / "preprocessor_config.json").write_text(
        json.dumps({**processor, "image_processor_type": "MobileViTImageProcessor"})
    )
    return folder


def test_a_network_that_its_makers_show_blue_green_red_sees_the_same_in_red_green_blue(tmp_path: Path) -> None:
    folder = save_mobilevit(tmp_path)
    levels = np.random.default_rng(0).integers(0, 256, (72, 96, 3), dtype=np.uint8)
    picture = Image.fromarray(levels)
    shown = transformers.AutoImageProcessor.from_pretrained(folder)(picture, return_tensors="pt")["pixel_values"]
    original = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()

    found = build_classifier(str(folder), "pretrained")
    assert found.preprocessing is not None
    image = picture_to_image(working_view(picture, found.preprocessing)).unsqueeze(0)
    seen = normalise(image, found.preprocessing.mean, found.preprocessing.std)
    network = found.network.eval()
    # What comes behind the first layer hardly depends on the picture in a network that nobody trained.
    answer, expected = network.get_submodule("model.mobilevit.conv_stem")(seen), original.mobilevit.conv_stem(shown)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(original.mobilevit.conv_stem(seen), expected, rtol=0, atol=1e-3)
    assert torch.equal(original.classifier.weight, network.get_submodule("model.classifier").weight)


def test_a_network_whose_colours_cannot_be_swapped_is_refused() -> None:
    two = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1), nn.Conv2d(3, 4, 1))
    with pytest.raises(NetworkError, match="2 of its convolutions take three channels, not one; give a") as said:
        take_rgb(two, "hf/some")
    assert "\n" not in str(said.value)


def test_an_image_processor_that_thumbnet_cannot_follow_is_refused_by_name(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    content = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps({**content, "do_resize": False}))
    with pytest.raises(NetworkError, match=f"teacher: {folder}'s ViTImageProcessor does not resize pictures; change"):
        build_classifier(str(folder), "pretrained")


def test_a_model_without_an_image_processor_says_nothing_of_its_pictures(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    (folder / "preprocessor_config.json").unlink()
    assert build_classifier(str(folder), "pretrained").preprocessing is None


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


def test_registers_are_no_part_of_the_map() -> None:
    config = {"model_type": "dinov2_with_registers", **SMALL, "image_size": 32, "patch_size": 8, "num_labels": 2}
    network = build_classifier("hf/a/b", "random", config=config).network
    traces = {trace.name: trace for trace in trace_layers(network, 16)}  # four patches beside five other tokens
    assert traces["model.dinov2_with_registers"].shape == (24, 2, 2)
