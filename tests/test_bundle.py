"""A bundle is all that is needed: it thumbnails, classifies, saves and loads, and runs nobody's code unasked."""

import json
import shutil
import sys
import unittest.mock
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from thumbnet import ThumbNet
from thumbnet.config import StudentSettings, TrainSettings
from thumbnet.data.preprocessing import image_to_picture, normalise, picture_to_image
from thumbnet.errors import CheckpointError, ConfigError, PictureError
from thumbnet.networks.assembly import assemble
from thumbnet.profiling import count_parameters


@pytest.fixture(scope="module")
def bundle(trained_run: Path) -> ThumbNet:
    return ThumbNet.load(trained_run, allow_code=True)


@pytest.fixture
def picture(photos: Path) -> Image.Image:
    return Image.open(photos / "val" / "round" / "000.png")


def through_png(picture: Image.Image) -> Image.Image:
    buffer = BytesIO()
    picture.save(buffer, format="png")
    return Image.open(BytesIO(buffer.getvalue()))


def test_a_bundle_from_before_crop_modes_loads(trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run / "bundle", tmp_path / "old")
    file = tmp_path / "old" / "thumbnet.json"
    content = json.loads(file.read_text())
    assert content["preprocessing"].pop("crop_mode") == "center"
    file.write_text(json.dumps(content))
    assert ThumbNet.load(tmp_path / "old", allow_code=True).description.preprocessing.crop_mode == "center"


def test_a_bundle_from_before_hugging_face_and_fused_branches_loads(trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run / "bundle", tmp_path / "old")
    file = tmp_path / "old" / "thumbnet.json"
    content = json.loads(file.read_text())
    assert (content.pop("config"), content.pop("reparameterised")) == (None, False)
    assert content["student"].pop("keep_stride") is None
    assert content["student"].pop("dilate_last_stage") is False
    for later in ("network", "weights", "trainable", "upsample", "drop_path", "prune", "extra_ratios"):
        content["student"].pop(later)
    for later in ("student_mean", "student_std", "pruned"):
        assert content.pop(later) is None
    file.write_text(json.dumps(content))
    old = ThumbNet.load(tmp_path / "old", allow_code=True)
    assert old.description == ThumbNet.load(trained_run, allow_code=True).description


@pytest.fixture(scope="module")
def repvgg() -> ThumbNet:
    settings = TrainSettings(
        teacher="timm/repvgg_a0", data="none", output="none", teacher_weights="random", image_side=64, ratio=2
    )
    torch.manual_seed(0)
    assembly = assemble(settings, ("ant", "bee"), tap_features=False)
    return ThumbNet.from_training(assembly.pair, assembly.preprocessing, assembly.classes, settings)


def test_fused_branches_give_the_same_answer_after_a_reload_with_fewer_weights(
    repvgg: ThumbNet, tmp_path: Path
) -> None:
    thumbnail = torch.rand(2, 3, 32, 32)
    before = repvgg.logits(thumbnail)
    repvgg.reparameterised().save(tmp_path / "fused")
    loaded = ThumbNet.load(tmp_path / "fused")
    assert loaded.description.reparameterised
    assert torch.allclose(loaded.logits(thumbnail), before, atol=1e-4)
    assert count_parameters(loaded.student) < count_parameters(repvgg.student)
    # The bundle that was fused stays as it was, and a fused one can be fused again.
    assert not repvgg.description.reparameterised
    assert torch.equal(repvgg.logits(thumbnail), before)
    assert torch.equal(loaded.reparameterised().logits(thumbnail), loaded.logits(thumbnail))


@pytest.mark.parametrize(
    "student",
    [
        StudentSettings(upsample=True),
        StudentSettings(upsample=True, detail_decoder=True),
        StudentSettings(network="timm/test_efficientnet", weights="random", keep_stride=2),
        StudentSettings(drop_path=0.2, trainable="norms_and_head", weights="random", extra_ratios=(4,)),
        StudentSettings(prune=0.4),
        StudentSettings(prune=0.4, network="timm/test_resnet", weights="random", keep_stem_resolution=True),
    ],
)
def test_every_kind_of_student_is_rebuilt_from_its_bundle_alone(student: StudentSettings, tmp_path: Path) -> None:
    ratio = 4 if student.detail_decoder else 2
    settings = TrainSettings(
        teacher="timm/test_resnet",
        data="none",
        output="none",
        teacher_weights="random",
        image_side=64,
        ratio=ratio,
        student=student,
    )
    assembly = assemble(settings, ("ant", "bee"), tap_features=False)
    made = ThumbNet.from_training(assembly.pair, assembly.preprocessing, assembly.classes, settings)
    made.save(tmp_path)
    with unittest.mock.patch.dict(sys.modules, {"torch_pruning": None}):
        loaded = ThumbNet.load(tmp_path)
    assert loaded.description == made.description
    thumbnail = torch.rand(2, 3, 64 // ratio, 64 // ratio)
    answer = assembly.pair.eval().student(normalise(thumbnail, assembly.pair.mean, assembly.pair.std))[0]
    assert torch.equal(loaded.logits(thumbnail), answer)
    assert torch.equal(made.logits(thumbnail), answer)
    # Where it came from and how it trained stay behind.
    stored = loaded.description.student
    assert (stored.network, stored.weights, stored.trainable, stored.drop_path) == (None, None, "all", 0.0)


def test_a_student_without_branches_is_the_same_when_fused(bundle: ThumbNet, tmp_path: Path) -> None:
    bundle.reparameterised().save(tmp_path / "same")
    loaded = ThumbNet.load(tmp_path / "same", allow_code=True)
    thumbnail = torch.rand(2, 3, 8, 8)
    assert torch.equal(loaded.logits(thumbnail), bundle.logits(thumbnail))


def test_it_knows_its_sizes_and_labels(bundle: ThumbNet) -> None:
    assert (bundle.image_side, bundle.thumbnail_side, bundle.labels) == (32, 8, ("flat", "round"))


def test_a_thumbnail_is_an_ordinary_8_bit_rgb_picture(bundle: ThumbNet, picture: Image.Image) -> None:
    thumbnail = bundle.thumbnail(picture)
    assert (thumbnail.mode, thumbnail.size) == ("RGB", (8, 8))


def test_a_thumbnail_saved_as_png_gives_the_student_bit_identical_input(bundle: ThumbNet) -> None:
    image = torch.rand(4, 3, 32, 32)
    for values in bundle.thumbnails(image):
        assert torch.equal(picture_to_image(through_png(image_to_picture(values))), values)


def test_picture_and_saved_thumbnail_get_the_same_answer_to_the_last_bit(
    bundle: ThumbNet, picture: Image.Image
) -> None:
    from_picture = bundle.classify(picture, top=2)
    from_thumbnail = bundle.classify(through_png(bundle.thumbnail(picture)), top=2)
    assert from_picture.ranked == from_thumbnail.ranked
    assert (from_picture.given, from_thumbnail.given) == ("picture", "thumbnail")


def test_the_answer_is_ranked_and_its_scores_sum_to_one(bundle: ThumbNet, picture: Image.Image) -> None:
    answer = bundle.classify(picture, top=5)
    scores = [one.score for one in answer.ranked]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1)
    assert (answer.label, answer.score) == (answer.ranked[0].label, answer.ranked[0].score)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "1", "I;16"])
def test_pictures_of_any_mode_and_shape_are_taken(bundle: ThumbNet, mode: str) -> None:
    if mode == "I;16":
        wide = Image.fromarray(np.full((50, 90), 30000, dtype=np.uint16))
    else:
        wide = Image.new("RGB", (90, 50), (120, 80, 40)).convert(mode)
    assert bundle.thumbnail(wide).size == (8, 8)


def test_a_picture_of_one_pixel_is_refused(bundle: ThumbNet) -> None:
    with pytest.raises(PictureError, match="1×1 pixels hold no picture"):
        bundle.classify(Image.new("RGB", (1, 1)))


def test_asking_for_no_class_or_calling_a_picture_a_thumbnail_is_refused(
    bundle: ThumbNet, picture: Image.Image
) -> None:
    with pytest.raises(ConfigError, match="top is 0"):
        bundle.classify(picture, top=0)
    with pytest.raises(ConfigError, match="thumbnails of this bundle are 8×8 px"):
        bundle.classify(picture, given="thumbnail")


def test_a_full_picture_of_the_thumbnails_size_can_be_said_to_be_one(bundle: ThumbNet) -> None:
    assert bundle.classify(Image.new("RGB", (8, 8)), given="picture").given == "picture"


def test_saving_and_loading_changes_nothing(bundle: ThumbNet, picture: Image.Image, tmp_path: Path) -> None:
    bundle.save(tmp_path / "copy")
    copy = ThumbNet.load(tmp_path / "copy", allow_code=True)
    assert copy.description == bundle.description
    assert copy.classify(picture, top=2) == bundle.classify(picture, top=2)
    assert copy.thumbnail(picture).tobytes() == bundle.thumbnail(picture).tobytes()


def test_a_bundle_is_smaller_than_two_networks_for_it_holds_no_teacher(trained_run: Path) -> None:
    files = {path.name for path in (trained_run / "bundle").iterdir()}
    assert files == {"thumbnet.json", "student.safetensors", "downscaler.safetensors"}


def test_a_strangers_factory_is_not_imported_unless_allowed(trained_run: Path) -> None:
    with pytest.raises(CheckpointError, match="runs that code; if you trust it"):
        ThumbNet.load(trained_run)


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no bundle in"):
        ThumbNet.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("thumbnet.json", b"{"),
        ("thumbnet.json", b"[]"),
        ("thumbnet.json", b'{"format": 1}'),
        ("thumbnet.json", b'{"format": 99}'),
        ("student.safetensors", b"not weights"),
        ("downscaler.safetensors", b""),
    ],
)
def test_a_damaged_bundle_is_named_in_one_line(trained_run: Path, tmp_path: Path, file: str, content: bytes) -> None:
    shutil.copytree(trained_run / "bundle", tmp_path / "bundle")
    (tmp_path / "bundle" / file).write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        ThumbNet.load(tmp_path, allow_code=True)
    assert file in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bundle_of_other_labels_than_its_weights_is_refused(trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run / "bundle", tmp_path / "bundle")
    description = tmp_path / "bundle" / "thumbnet.json"
    content = json.loads(description.read_text())
    description.write_text(json.dumps({**content, "labels": ["a", "b", "c"]}))
    with pytest.raises(CheckpointError, match="does not fit"):
        ThumbNet.load(tmp_path, allow_code=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"ratio": "4"},
        {"ratio": 40},
        {"architecture": 3},
        {"multilabel": "no"},
        {"config": {}},
        {"config": [1]},
        {"config": {"model_type": "vit"}},
        {"labels": ["flat", "flat"]},
        {"pruned": [1]},
        {"pruned": {"0.0.weight": "small"}},
        {"student_mean": [0.5]},
        {"preprocessing": {"crop_share": 0}},
        {"preprocessing": {"interpolation": "magic"}},
        {"preprocessing": {"mean": [0.5]}},
        {"preprocessing": {"std": [0.0, 1.0, 1.0]}},
        {"preprocessing": {"image_side": 31}},
        {"preprocessing": {"image_side": 400_000}},
    ],
)
def test_a_strangers_description_is_checked_before_it_is_used(
    trained_run: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    shutil.copytree(trained_run / "bundle", tmp_path / "bundle")
    description = tmp_path / "bundle" / "thumbnet.json"
    content = json.loads(description.read_text())
    inner = {**content["preprocessing"], **changes.pop("preprocessing", {})}
    description.write_text(json.dumps({**content, **changes, "preprocessing": inner}))
    with pytest.raises(CheckpointError, match=r"thumbnet\.json is damaged"):
        ThumbNet.load(tmp_path, allow_code=True)
