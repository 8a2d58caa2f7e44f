"""A teacher by itself gets the accuracy that timm's own code gives it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.utils import accuracy
from torch import Tensor, nn

import thumbnet
from thumbnet.accuracy import logits_of
from thumbnet.cli.main import main
from thumbnet.config import TrainSettings, ViewSettings
from thumbnet.data.batches import LoaderSettings, evaluation_loader
from thumbnet.data.folders import Pictures, open_folder
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.data.samples import open_elpv
from thumbnet.errors import DataError, NetworkError
from thumbnet.networks.data_config import timm_preprocessing
from thumbnet.networks.feature_mapping import FeatureMapping
from thumbnet.networks.pair import Pair
from thumbnet.networks.taps import TappedNetwork
from thumbnet.progress import Announcer

# Trained at 176 px, tested by its makers at 224 px.
TWO_SIDES = "resnet10t.c3_in1k"
MODES = ("RGB", "L", "P", "RGBA")


@pytest.fixture(scope="module")
def classes_of_all_sizes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six classes of four pictures: waves of many sizes, as PNG and JPEG, in several modes."""
    folder = tmp_path_factory.mktemp("waves")
    random = np.random.default_rng(0)
    for label in range(6):
        (folder / f"class{label}").mkdir()
        for number in range(4):
            height, width = (int(side) for side in random.integers(20, 260, 2))
            y, x = np.mgrid[0:height, 0:width]
            phases = random.uniform(0, 6, 3)
            waves = [np.sin(phase + (label + 1) * x / 40 + number * y / 30) for phase in phases]
            picture = Image.fromarray((127 + 120 * np.stack(waves, axis=2)).astype(np.uint8))
            mode = MODES[(label + number) % len(MODES)]
            suffix = "jpg" if mode in ("RGB", "L") else "png"
            picture.convert(mode).save(folder / f"class{label}" / f"{number}.{suffix}")
    return folder


@torch.no_grad()
def by_timm(network: nn.Module, folder: Path, use_test_size: bool = False) -> tuple[Tensor, Tensor]:
    """Logits and labels by the code of timm's validate.py, with its prefetcher off."""
    config = resolve_data_config(model=network, use_test_size=use_test_size)
    dataset = create_dataset("", root=str(folder))
    loader = create_loader(dataset, batch_size=8, use_prefetcher=False, num_workers=0, **config)
    answers = [(network(images), labels) for images, labels in loader]
    return torch.cat([logits for logits, _ in answers]), torch.cat([labels for _, labels in answers])


def spread(name: str, folder: Path) -> Any:
    """A network of timm's with random weights and answers that differ from picture to picture."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(name, pretrained=False, num_classes=6).eval()
        nn.init.normal_(network.get_classifier().weight, std=2.0)
    with torch.no_grad():
        network.get_classifier().bias.sub_(by_timm(network, folder)[0].mean(dim=0))
    return network


@pytest.fixture(scope="module")
def spread_network(classes_of_all_sizes: Path) -> Any:
    return spread("test_vit.r160_in1k", classes_of_all_sizes)


def by_us(network: nn.Module, pictures: Pictures, preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    pair = Pair(nn.Identity(), TappedNetwork(network), FeatureMapping({}), preprocessing.mean, preprocessing.std)
    loader = evaluation_loader(pictures, preprocessing, 8, LoaderSettings(workers=0))
    return logits_of(pair, loader, torch.device("cpu"))


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_every_picture_gets_the_logits_that_it_gets_by_timm(
    mode: str, classes_of_all_sizes: Path, spread_network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {**spread_network.pretrained_cfg, "crop_mode": mode}
    monkeypatch.setattr(spread_network, "pretrained_cfg", config)
    preprocessing = timm_preprocessing(spread_network)
    assert preprocessing is not None
    ours, our_labels = by_us(spread_network, open_folder(classes_of_all_sizes).evaluation, preprocessing)
    timms, timms_labels = by_timm(spread_network, classes_of_all_sizes)
    assert torch.equal(our_labels, timms_labels)
    torch.testing.assert_close(ours, timms, rtol=0, atol=1e-4)
    assert torch.equal(ours.argmax(dim=1), timms.argmax(dim=1))
    assert len(set(ours.argmax(dim=1).tolist())) > 2


@pytest.mark.parametrize(("image_side", "use_test_size"), [(None, False), (224, True)])
def test_the_accuracies_are_timms_at_the_training_side_and_at_the_side_of_the_makers_test(
    image_side: int | None, use_test_size: bool, classes_of_all_sizes: Path, tmp_path: Path
) -> None:
    network = spread(TWO_SIDES, classes_of_all_sizes)
    weights = tmp_path / "teacher.safetensors"
    save_file(network.state_dict(), weights)
    result = thumbnet.evaluate_teacher(
        teacher=f"timm/{TWO_SIDES}",
        data=str(classes_of_all_sizes),
        teacher_weights=str(weights),
        image_side=image_side,
        workers=0,
        device="cpu",
        announcer=Announcer(quiet=True),
    )
    top1, top5 = accuracy(*by_timm(network, classes_of_all_sizes, use_test_size), topk=(1, 5))
    assert 100 * result["teacher"]["top1"] == pytest.approx(float(top1), abs=0.1)
    assert 100 * result["teacher"]["top5"] == pytest.approx(float(top5), abs=0.1)
    assert result["image_side"] == (image_side or 176)


def test_photographs_of_the_sample_data_get_the_logits_that_they_get_by_timm(
    spread_network: Any, tmp_path: Path
) -> None:
    elpv = open_elpv().evaluation
    chosen = elpv.select(list(range(0, len(elpv), math.ceil(len(elpv) / 64))))
    for path, label in zip(chosen.files, chosen.labels, strict=True):
        # timm orders classes by name, the sample data do not.
        folder = tmp_path / f"{label}-{elpv.classes[label]}"
        folder.mkdir(exist_ok=True)
        (folder / path.name).symlink_to(path)
    pictures = open_folder(tmp_path).evaluation
    preprocessing = timm_preprocessing(spread_network)
    assert preprocessing is not None
    ours, our_labels = by_us(spread_network, pictures, preprocessing)
    timms, timms_labels = by_timm(spread_network, tmp_path)
    assert len(pictures) > 50
    assert torch.equal(our_labels, timms_labels)
    torch.testing.assert_close(ours, timms, rtol=0, atol=1e-4)
    assert torch.equal(ours.argmax(dim=1), timms.argmax(dim=1))


# What it says, and what it refuses.


@pytest.fixture
def tiny(photos: Path) -> dict[str, Any]:
    return {"teacher": "tiny_networks:two_stages", "data": str(photos), "teacher_weights": "random", "image_side": 32}


def test_the_result_says_what_was_measured(tiny: dict[str, Any]) -> None:
    result = thumbnet.evaluate_teacher(**tiny, workers=0, device="cpu", announcer=Announcer(quiet=True))
    assert set(result["teacher"]) == {"top1", "top5", "per_class", "macs", "parameters"}
    assert result["data"]["pictures"] == 12
    assert "32 px, crop share 0.875 (of 36 px), bicubic" in result["preprocessing"]


def test_settings_of_a_training_will_do(tiny_settings: Callable[..., TrainSettings]) -> None:
    settings = tiny_settings(teacher_weights="random", views=ViewSettings(crop_share=1.0))
    result = thumbnet.evaluate_teacher(settings, image_side=40, announcer=Announcer(quiet=True))
    assert (result["image_side"], result["preprocessing"][:26]) == (40, "40 px, crop share 1 (of 40")


def test_the_makers_test_is_named_where_it_differs(
    classes_of_all_sizes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"teacher": f"timm/{TWO_SIDES}", "data": str(classes_of_all_sizes), "teacher_weights": "random"}
    thumbnet.evaluate_teacher(**settings, workers=0, device="cpu")
    shown = capsys.readouterr().err
    assert "preprocessing: 176 px, crop share 0.875" in shown
    assert "its makers test it at 224 px (--image-side 224)" in shown


def test_training_says_how_pictures_are_prepared(
    tiny_settings: Callable[..., TrainSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    thumbnet.train_teacher(tiny_settings(epochs=1))
    assert "preprocessing: 32 px, crop share 0.875 (of 36 px), bicubic, mean (" in capsys.readouterr().err


def test_a_teacher_of_other_classes_than_the_datas_is_refused(tiny: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="teacher gives 1000 classes, the data has 2"):
        thumbnet.evaluate_teacher(
            **{**tiny, "teacher": "tiny_networks:thousand_classes", "teacher_weights": "pretrained"},
            announcer=Announcer(quiet=True),
        )


def test_a_folder_that_is_missing_is_refused(tiny: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no folder at nowhere"):
        thumbnet.evaluate_teacher(**{**tiny, "data": "nowhere"})


# On the command line.


def test_evaluate_takes_a_teacher_in_place_of_a_run(
    tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "teacher.json"
    flags = ["--teacher", tiny["teacher"], "--teacher-weights", "random", "--data", tiny["data"], "--image-side", "32"]
    assert main(["evaluate", *flags, "--workers", "0", "--device", "cpu", "--output", str(output)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "teacher on images" in shown
    assert "12 pictures (val/ of" in shown
    assert set(json.loads(output.read_text())) >= {"teacher", "preprocessing", "image_side", "data"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to evaluate; give a run folder, or --teacher NAME and --data FOLDER"),
        (["--teacher", "timm/resnet18"], "nothing to evaluate; give a run folder, or --teacher NAME and --data FOLDER"),
        (
            ["runs/some", "--image-side", "64"],
            "--image-side is for a teacher by itself; leave it out, or leave the run",
        ),
        (["runs/some", "--teacher", "timm/resnet18"], "--teacher is for a teacher by itself"),
    ],
)
def test_evaluate_asks_for_a_run_or_a_teacher(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments]) == 2
    assert message in capsys.readouterr().err
