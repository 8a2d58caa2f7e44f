"""What a recipe may add to training: mixes, changed views, and pictures without labels; from settings to run folder."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import write_photos
from thumbnet import ThumbNet, fit, train_teacher
from thumbnet.config import (
    CacheSettings,
    DownscalerSettings,
    LossSettings,
    MixSettings,
    ThumbnailSettings,
    TrainSettings,
    ViewSettings,
)
from thumbnet.data.preprocessing import Preprocessing, normalise
from thumbnet.errors import ThumbNetError
from thumbnet.networks.teacher import Teacher
from thumbnet.objective import StepTensors, Term
from thumbnet.report import write_report
from thumbnet.run_folder import RunFolder
from tiny_networks import two_stages

Settings = Callable[..., TrainSettings]
FRESH = ViewSettings()


def test_teacher_and_student_see_the_same_mix_and_labels_are_mixed_with_it(tiny_settings: Settings) -> None:
    seen: list[StepTensors] = []

    def look(step: StepTensors) -> torch.Tensor:
        seen.append(step)
        return step.thumbnail.mean()

    settings = tiny_settings(
        views=FRESH, mix=MixSettings(mixup=1.0), epochs=1, downscaler=DownscalerSettings(kind="area")
    )
    fit(settings, terms={"look": Term(0.001, look)}, quiet=True)
    for step in seen:
        assert step.label.shape == (8, 2)
        torch.testing.assert_close(step.label.sum(dim=1), torch.ones(8))
        # The thumbnail is the mean of the mixed image's 4×4 blocks: E saw the mix.
        means = torch.nn.functional.avg_pool2d(step.image, 4)
        torch.testing.assert_close(step.thumbnail, means, atol=1 / 255, rtol=0)
        off_grid = (step.image * 255 - (step.image * 255).round()).abs().max()
        assert off_grid > 0.1, "the image is a mix, off the grid of 8 bits"
    assert any(0.05 < float(step.label.max(dim=1).values.min()) < 0.95 for step in seen)


def test_cached_answers_to_flipped_views_and_mixes_reach_the_losses_without_the_teacher(
    tiny_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first of two equal runs fills the cache; the second meets no view as it is, and never runs the teacher."""
    views = ViewSettings(per_image=1, cached_flips=True)
    fit(tiny_settings(views=replace(views, cached_flips=False), epochs=1), quiet=True)
    seen: list[StepTensors] = []

    def look(step: StepTensors) -> torch.Tensor:
        seen.append(step)
        return step.thumbnail.mean()

    settings = tiny_settings(views=views, mix=MixSettings(mixup=1.0, cutmix=1.0), epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Teacher, "forward", None)
        fit(settings, terms={"look": Term(0.001, look)}, overwrite=True)
    assert "mix: what the teacher says of a mix is taken as the mix of its cached answers" in capsys.readouterr().err
    for step in seen:
        assert step.teacher_logits is not None
        assert step.label.shape == step.teacher_logits.shape == (8, 2)
        at_temperature = torch.exp(step.teacher_logits / settings.loss.temperature).sum(dim=1)
        torch.testing.assert_close(at_temperature, torch.ones(8))  # logarithms of mixed probabilities


def test_the_teacher_is_asked_about_fixed_views_that_are_mixes_and_batches_are_not_mixed_again(
    tiny_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers of a run without mixes are not taken; of two equal runs with them, the second reads the first one's."""
    mix = MixSettings(mixup=1.0, mixed_views=2)
    settings = tiny_settings(
        views=ViewSettings(per_image=2), mix=mix, epochs=1, downscaler=DownscalerSettings(kind="area")
    )
    unmixed: list[torch.Tensor] = []

    def keep(step: StepTensors) -> torch.Tensor:
        unmixed.append(step.image)
        return step.thumbnail.mean()

    fit(replace(settings, mix=MixSettings()), terms={"keep": Term(0.001, keep)}, quiet=True)
    fit(settings, quiet=True, overwrite=True)
    seen: list[StepTensors] = []

    def look(step: StepTensors) -> torch.Tensor:
        seen.append(step)
        return step.thumbnail.mean()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Teacher, "forward", None)
        fit(settings, terms={"look": Term(0.001, look)}, overwrite=True)
    assert "the mix of its cached answers" not in capsys.readouterr().err
    teacher, preprocessing = two_stages().eval(), Preprocessing(image_side=32)
    for step, plain in zip(seen, unmixed, strict=True):
        assert not bool((step.image == plain).all(dim=(1, 2, 3)).any()), "every picture is a mix"
        assert bool((step.label.max(dim=1).values < 1).any()), "labels of two classes"
        levels = step.image * 255
        torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)  # mixed once, then rounded
        asked = teacher(normalise(step.image, preprocessing.mean, preprocessing.std))
        torch.testing.assert_close(step.teacher_logits, asked, atol=2e-2, rtol=1e-2)  # kept in half precision


def test_mixed_views_are_the_same_where_their_pixels_are_not_kept(tiny_settings: Settings, tmp_path: Path) -> None:
    mix = MixSettings(mixup=1.0, mixed_views=1)
    students = [
        fit(
            tiny_settings(
                mix=mix, epochs=1, output=str(tmp_path / name), cache=CacheSettings(limit_gb=0.1, pixels=kept)
            ),
            quiet=True,
        ).student.state_dict()
        for name, kept in (("kept", True), ("read", False))
    ]
    for name, tensor in students[0].items():
        torch.testing.assert_close(tensor, students[1][name], atol=0, rtol=0)


def test_a_teacher_has_no_fixed_views_to_mix_and_trains(tiny_settings: Settings) -> None:
    settings = tiny_settings(mix=MixSettings(mixup=1.0, mixed_views=1), epochs=1)
    assert train_teacher(settings, quiet=True).exists()


def test_mixed_views_without_labels_are_learned_from(tiny_settings: Settings, tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("flat\nround\n")
    mix = MixSettings(mixup=1.0, mixed_views=1)
    settings = tiny_settings(mix=mix, epochs=1, unlabelled=True, class_map=str(names))
    fit(settings, quiet=True)
    assert "cl" not in RunFolder(settings.output).read_metrics()[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"views": ViewSettings(per_image=2), "mix": MixSettings(mixup=1.0, cutmix=1.0, mixed_views=1)},
        {"mix": MixSettings(mixup=0.4, cutmix=1.0, probability=0.7)},
        {"thumbnail": ThumbnailSettings(codec_noise=0.5, codec="webp", quality=(20, 90))},
        {"views": ViewSettings(dihedral=True, randaugment=7, random_erasing=0.3)},
        {"views": ViewSettings(per_image=2, dihedral=True, randaugment=7, random_erasing=0.3)},
        {"views": ViewSettings(per_image=2, cached_flips=True), "mix": MixSettings(mixup=0.4, cutmix=1.0)},
    ],
)
def test_a_run_with_mixes_and_changed_views_goes_on_bit_for_bit(
    changes: dict[str, Any], tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"views": FRESH, **changes, "checkpoint_minutes": 1e-9}
    whole = fit(tiny_settings(**values, output=str(tmp_path / "whole")), quiet=True)

    class StopError(Exception):
        pass

    calls = 0

    def stop(step: StepTensors) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise StopError
        return 0 * step.thumbnail.mean()

    stopped = tiny_settings(**values, output=str(tmp_path / "stopped"))
    quiet_term = {"stop": Term(1e-9, stop, needs_teacher=False, needs_features=False)}
    with pytest.raises(StopError):
        fit(stopped, terms=quiet_term, quiet=True)
    calls = 100
    again = fit(stopped, terms=quiet_term, resume=True, quiet=True)
    for name, tensor in whole.student.state_dict().items():
        torch.testing.assert_close(tensor, again.student.state_dict()[name], atol=0, rtol=0)


def thumbnails_trained_on(settings: TrainSettings) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []

    def look(step: StepTensors) -> torch.Tensor:
        seen.append(step.thumbnail.detach())
        return 0 * step.thumbnail.mean()

    fit(settings, terms={"look": Term(1e-9, look)}, quiet=True)
    return seen


def on_the_grid(thumbnail: torch.Tensor) -> bool:
    return torch.equal(thumbnail, (thumbnail * 255).round() / 255)


def test_without_eight_bit_training_is_off_the_grid_and_the_bundle_is_on_it(tiny_settings: Settings) -> None:
    settings = tiny_settings(thumbnail=ThumbnailSettings(eight_bit=False), epochs=1)
    assert not any(on_the_grid(thumbnail) for thumbnail in thumbnails_trained_on(settings))
    bundle = ThumbNet.load(settings.output, allow_code=True)
    assert on_the_grid(bundle.thumbnails(torch.rand(2, 3, 32, 32)))


def test_with_codec_noise_the_student_trains_on_what_a_lossy_file_holds(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    plain = tiny_settings(output=str(tmp_path / "plain"), downscaler=DownscalerSettings(kind="area"), epochs=1)
    noisy = replace(
        plain, output=str(tmp_path / "noisy"), thumbnail=ThumbnailSettings(codec_noise=0.5, quality=(10, 20))
    )
    pairs = list(zip(thumbnails_trained_on(plain), thumbnails_trained_on(noisy), strict=True))
    assert all(on_the_grid(thumbnail) for _, thumbnail in pairs)
    changed = [not torch.equal(*two) for pair in pairs for two in zip(*pair, strict=True)]
    assert 0.2 < sum(changed) / len(changed) < 0.8


def test_pictures_without_labels_are_learned_from_by_the_teachers_word(tiny_settings: Settings, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "unsorted", {"train": {"a": 10, "b": 6}, "val": {"c": 5, "d": 4}})
    names = tmp_path / "classes.txt"
    names.write_text("flat\nround\n")
    settings = tiny_settings(data=str(folder), unlabelled=True, class_map=str(names))
    bundle = fit(settings, quiet=True)
    assert bundle.labels == ("flat", "round")
    run = RunFolder(settings.output)
    records = run.read_metrics()
    assert "cl" not in records[0]
    assert all(0 <= record["agreement"] <= 1 and "top1" not in record for record in records)
    evaluation = run.read_evaluation() or {}
    assert evaluation["metric"] == "agreement"
    assert evaluation["agreement"] == pytest.approx(records[-1]["agreement"])
    assert evaluation["data"]["pictures"] == 9
    assert "top1" not in evaluation["student"]
    assert evaluation["retention"] is None
    page = write_report(run).read_text()
    assert "agreement with the teacher" in page
    lines = run.predictions.read_text().splitlines()
    assert lines[0].startswith("picture,label,student")
    assert lines[1].split(",")[1] == ""


def test_labels_that_are_not_there_cannot_be_learned_from(tiny_settings: Settings, photos: Path) -> None:
    with pytest.raises(ThumbNetError, match="names of its outputs are not known; give them with --class-map"):
        fit(tiny_settings(unlabelled=True), quiet=True)
    with pytest.raises(ThumbNetError, match="every loss has weight 0"):
        fit(tiny_settings(unlabelled=True, loss=LossSettings(mm=0.0, kd=0.0, fm=0.0, em=0.0)), quiet=True)


def test_a_class_map_gives_the_order_of_the_outputs(tiny_settings: Settings, tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("round\nflat\n")
    settings = tiny_settings(class_map=str(names), epochs=1)
    assert fit(settings, quiet=True).labels == ("round", "flat")
    assert ThumbNet.load(settings.output, allow_code=True).labels == ("round", "flat")
    evaluation = json.loads(RunFolder(settings.output).evaluation.read_text())
    assert set(evaluation["student"]["per_class"]) == {"round", "flat"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("round\nround\n", "'round' is in"),
        ("flat\n", "fewer than two"),
        (None, "cannot read"),
        ("a\nb\n", "'flat' is not"),
    ],
)
def test_a_class_map_that_cannot_be_is_refused(
    content: str | None, problem: str, tiny_settings: Settings, tmp_path: Path
) -> None:
    names = tmp_path / "classes.txt"
    if content is not None:
        names.write_text(content)
    with pytest.raises(ThumbNetError, match=problem):
        fit(tiny_settings(class_map=str(names)), quiet=True)
