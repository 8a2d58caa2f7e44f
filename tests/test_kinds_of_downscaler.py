"""Every kind of downscaler trains, ships and is measured; the bound makes no pictures; ratio 1 is full size."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from thumbnet import ThumbNet, fit
from thumbnet.cli import main
from thumbnet.config import DownscalerKind, DownscalerSettings, StudentSettings, TrainSettings
from thumbnet.data.preprocessing import image_to_picture, picture_to_image
from thumbnet.errors import ConfigError
from thumbnet.preview import preview
from thumbnet.run_folder import RunFolder
from thumbnet.training import teacher_settings

Settings = Callable[..., TrainSettings]
BOUND = DownscalerSettings(kind="all_information")


@pytest.fixture
def bound_run(tiny_settings: Settings) -> RunFolder:
    settings = tiny_settings(downscaler=BOUND, epochs=1)
    fit(settings, quiet=True)
    return RunFolder(settings.output)


@pytest.mark.parametrize("kind", ["learned_resizer", "muller", "all_information", "paper"])
def test_a_saved_bundle_gives_the_same_thumbnails_and_answers(
    kind: DownscalerKind, tiny_settings: Settings, tmp_path: Path
) -> None:
    settings = tiny_settings(downscaler=DownscalerSettings(kind=kind, channels=8), epochs=1, lr=0.05)
    bundle = fit(settings, quiet=True)
    bundle.save(tmp_path / "copy")
    copy = ThumbNet.load(tmp_path / "copy", allow_code=True)
    image = torch.rand(2, 3, 32, 32)
    assert torch.equal(copy.thumbnails(image), bundle.thumbnails(image))
    assert torch.equal(copy.logits(copy.thumbnails(image)), bundle.logits(bundle.thumbnails(image)))
    assert copy.description.downscaler == DownscalerSettings(kind=kind, channels=8)


def test_a_random_start_trains_and_leaves_paper_uncalibrated(tiny_settings: Settings, tmp_path: Path) -> None:
    answers, scales = [], []
    for start in ("natural", "random"):
        chosen = DownscalerSettings(kind="paper", start=start)  # type: ignore[arg-type]
        bundle = fit(tiny_settings(output=str(tmp_path / start), downscaler=chosen, epochs=1, lr=1e-6), quiet=True)
        answers.append(bundle.thumbnails(torch.full((1, 3, 32, 32), 0.4)))
        scales.append(bundle.downscaler.get_parameter("layers.norm1.weight")[:3])
    assert (answers[0] - 0.4).abs().max() < 0.1
    assert (answers[1] - 0.4).abs().max() > 0.2
    assert (scales[0] - 1).abs().min() > 0.1
    assert torch.allclose(scales[1], torch.ones(3), atol=1e-3)


def test_the_bound_is_measured_and_shown_without_a_thumbnail(bound_run: RunFolder) -> None:
    evaluation = bound_run.read_evaluation()
    assert evaluation is not None
    assert evaluation["bytes"]["thumbnail"] is None
    assert evaluation["bytes"]["image"] > 0
    # The widened first layer: 4 × 4 outputs of 8 channels, 3 × 3 taps, 48 channels more.
    assert evaluation["student"]["macs"] == preview_macs(DownscalerSettings(kind="area")) + 4 * 4 * 8 * 9 * 48
    assert evaluation["student"]["macs"] == preview_macs(BOUND)
    assert {path.name.partition("-")[2] for path in bound_run.samples.iterdir()} == {"image.png", "bicubic.png"}
    assert "a bound, not a thumbnail" in bound_run.report.read_text()


def test_the_untrained_copy_of_the_bound_costs_what_a_plain_student_does(bound_run: RunFolder) -> None:
    evaluation = bound_run.read_evaluation()
    assert evaluation is not None
    assert evaluation["untrained_bicubic"]["macs"] == preview_macs(DownscalerSettings(kind="area"))
    assert evaluation["untrained_bicubic"]["macs"] < evaluation["student"]["macs"]


def test_a_pruned_student_that_takes_all_information_is_rebuilt_from_its_bundle(tiny_settings: Settings) -> None:
    settings = tiny_settings(downscaler=BOUND, epochs=1, student=StudentSettings(prune=0.4))
    bundle = fit(settings, quiet=True)
    copy = ThumbNet.load(settings.output, allow_code=True)
    image = torch.rand(2, 3, 32, 32)
    assert torch.equal(copy.logits(copy.thumbnails(image)), bundle.logits(bundle.thumbnails(image)))


def preview_macs(downscaler: DownscalerSettings) -> int:
    settings = TrainSettings(
        teacher="tiny_networks:two_stages", data="none", output="none", image_side=32, downscaler=downscaler
    )
    found = preview(settings).students["plain"]
    assert not isinstance(found, str)
    return found.macs


def test_the_bound_classifies_pictures_and_makes_none(
    bound_run: RunFolder, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = ThumbNet.load(bound_run.path, allow_code=True)
    picture = Image.open(photos / "val" / "round" / "000.png")
    assert bundle.classify(picture).given == "picture"
    assert bundle.classify(picture.resize((8, 8))).given == "picture"
    with pytest.raises(ConfigError, match="all_information is a bound and makes no picture"):
        bundle.classify(picture.resize((8, 8)), given="thumbnail")
    with pytest.raises(ConfigError, match="all_information is a bound and makes no picture"):
        bundle.thumbnail(picture)
    command = ["thumbnail", str(bound_run.path), str(photos), str(tmp_path / "thumbnails"), "--allow-code"]
    assert main(command) == 2
    assert "all_information is a bound and makes no picture" in capsys.readouterr().err
    assert not (tmp_path / "thumbnails").exists()
    assert main(["evaluate", str(bound_run.path), "--formats", "png", "--allow-code"]) == 2
    assert "all_information is a bound and makes no picture" in capsys.readouterr().err
    assert main(["info", str(bound_run.path), "--allow-code"]) == 0


def test_at_ratio_1_the_thumbnail_is_the_picture_and_the_student_trains(
    tiny_settings: Settings, photos: Path, tmp_path: Path
) -> None:
    settings = tiny_settings(ratio=1, downscaler=DownscalerSettings(kind="bicubic"), epochs=1)
    bundle = fit(settings, quiet=True)
    evaluation = RunFolder(settings.output).read_evaluation()
    assert evaluation is not None
    assert (evaluation["ratio"], evaluation["thumbnail_side"]) == (1, 32)
    assert evaluation["downscaler"] == {"macs": 0, "parameters": 0}
    assert evaluation["untrained_bicubic"]["top1"] == evaluation["teacher"]["top1"]
    assert evaluation["student"]["macs"] == evaluation["teacher"]["macs"]
    pixels = torch.randint(0, 256, (3, 32, 32)) / 255
    picture = image_to_picture(pixels)
    assert torch.equal(picture_to_image(picture), bundle.thumbnails(picture_to_image(picture)[None])[0])
    main(["thumbnail", settings.output, str(photos / "val"), str(tmp_path / "out"), "--allow-code"])
    assert Image.open(tmp_path / "out" / "thumbnails" / "round" / "000.png").size == (32, 32)


def test_settings_of_full_size_are_settings_for_training_a_teacher_too(tiny_settings: Settings) -> None:
    settings = tiny_settings(ratio=1, downscaler=DownscalerSettings(kind="bicubic"))
    assert teacher_settings(settings).downscaler == DownscalerSettings()


def test_a_finer_student_at_ratio_1_still_meets_the_teachers_features(tiny_settings: Settings) -> None:
    chosen = DownscalerSettings(kind="area")
    fit(
        tiny_settings(ratio=1, downscaler=chosen, student=StudentSettings(keep_stem_resolution=True), epochs=1),
        quiet=True,
    )


def test_a_random_start_and_a_frozen_downscaler_are_flags(
    trained_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["--teacher", "tiny_networks:two_stages", "--image-side", "32", "--epochs", "1", "--workers", "0"]
    tiny += ["--data", str(photos), "--feature_mapping.layers", '["1"]', "--batch-size", "8", "--device", "cpu"]
    frozen = ["--downscaler.weights", str(trained_run), "--downscaler.frozen", "--output", str(tmp_path / "frozen")]
    assert main(["train", *tiny, *frozen]) == 0
    assert "downscaler: residual, " in (said := capsys.readouterr().err)
    assert ", frozen" in said
    shipped = [folder / "bundle" / "downscaler.safetensors" for folder in (trained_run, tmp_path / "frozen")]
    assert shipped[0].read_bytes() == shipped[1].read_bytes()
    random = ["--downscaler.start", "random", "--output", str(tmp_path / "random")]
    assert main(["train", *tiny, *random]) == 0
    assert main(["train", "--resume", "--output", str(tmp_path / "frozen")]) == 0
