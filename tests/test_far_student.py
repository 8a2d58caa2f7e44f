"""How heavy the embedding is where nothing is given: a student far from its teacher listens to it more."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from thumbnet import fit
from thumbnet.config import DownscalerSettings, LossSettings, StudentSettings, TrainSettings
from thumbnet.preview import default_lines
from thumbnet.run_folder import RunFolder

REQUIRED: dict[str, Any] = {"teacher": "timm/resnet50", "data": "photos", "output": "runs/photos"}
FAR = TrainSettings(**REQUIRED, ratio=4)
NEAR = replace(FAR, student=StudentSettings(keep_stem_resolution=True))


@pytest.mark.parametrize(
    ("ratio", "student", "coarser", "em"),
    [
        (4, StudentSettings(), 4, 10),
        (3, StudentSettings(), 3, 10),
        (8, StudentSettings(keep_stem_resolution=True), 4, 10),
        (2, StudentSettings(), 2, 2),
        (4, StudentSettings(keep_stem_resolution=True), 2, 2),
        (4, StudentSettings(detail_decoder=True), 2, 2),
        (2, StudentSettings(keep_stem_resolution=True), 1, 2),
        (8, StudentSettings(upsample=True), 1, 2),
        (4, StudentSettings(keep_stride=2), 2, 2),
        (4, StudentSettings(dilate_last_stage=True), 2, 2),
        (4, StudentSettings(weights="runs/other"), 4, 10),
        (4, StudentSettings(network="timm/lcnet_035"), 4, 2),
        (4, StudentSettings(weights="random"), 4, 2),
        (4, StudentSettings(prune=0.5), 4, 2),
    ],
)
def test_a_copy_with_features_more_than_twice_as_coarse_has_a_heavier_embedding(
    ratio: int, student: StudentSettings, coarser: int, em: int
) -> None:
    settings = TrainSettings(**REQUIRED, ratio=ratio, student=student)
    assert settings.coarser == coarser
    assert settings.loss_weights == LossSettings(em=em)


def test_full_size_is_near() -> None:
    settings = replace(FAR, ratio=1, downscaler=DownscalerSettings(kind="bicubic"))
    assert (settings.coarser, settings.loss_weights.em) == (1, 2)


def test_a_weight_that_is_given_is_taken_and_the_others_stay() -> None:
    given = replace(FAR, loss=LossSettings(em=3.0, kd=0.5))
    assert given.loss_weights == given.loss
    assert replace(FAR, loss=LossSettings(kd=0.5)).loss_weights == LossSettings(kd=0.5, em=10.0)
    assert replace(FAR, loss=LossSettings(em=0.0)).loss_weights.em == 0


def test_a_run_says_which_weight_it_takes_unless_it_was_told() -> None:
    assert default_lines(FAR) == ("learning rate: 0.001 at its peak", "embedding matching: weight 10")
    assert default_lines(NEAR) == ("learning rate: 0.0005 at its peak", "embedding matching: weight 2")
    alone = ("learning rate: 0.001 at its peak",)
    assert default_lines(replace(FAR, loss=LossSettings(em=10.0))) == alone
    assert default_lines(FAR, own_terms=("em",)) == alone, "a loss of the user's own has the user's weight"


def test_a_run_trains_with_that_weight_and_keeps_that_none_was_given(
    tiny_settings: Callable[..., TrainSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tiny_settings(epochs=1)
    fit(settings)
    config = RunFolder(settings.output).read_config()
    assert config["recorded"]["losses"]["em"] == 10.0
    assert config["loss"]["em"] is None
    assert "embedding matching: weight 10" in capsys.readouterr().err
    assert "<b>em</b>, embedding matching, weight 10" in RunFolder(settings.output).report.read_text()
