"""The learning rate that a student takes where none is given."""

from dataclasses import replace
from typing import Any

import pytest

from thumbnet.config import DownscalerSettings, StudentSettings, TrainSettings

REQUIRED: dict[str, Any] = {"teacher": "timm/resnet50", "data": "photos", "output": "runs/photos"}


@pytest.mark.parametrize(
    ("ratio", "student", "lr"),
    [
        (4, StudentSettings(), 1e-3),
        (8, StudentSettings(), 1e-3),
        (3, StudentSettings(), 7.5e-4),
        (2, StudentSettings(), 5e-4),
        (4, StudentSettings(keep_stem_resolution=True), 5e-4),
        (4, StudentSettings(detail_decoder=True), 5e-4),
        (2, StudentSettings(keep_stem_resolution=True), 2.5e-4),
        (4, StudentSettings(upsample=True), 2.5e-4),
        (4, StudentSettings(upsample=True, detail_decoder=True), 2.5e-4),
        (4, StudentSettings(weights="runs/other"), 1e-3),
        (2, StudentSettings(network="timm/lcnet_035"), 1e-3),
        (2, StudentSettings(weights="random"), 1e-3),
        (2, StudentSettings(prune=0.5), 1e-3),
    ],
)
def test_a_student_near_its_teacher_learns_more_slowly(ratio: int, student: StudentSettings, lr: float) -> None:
    settings = TrainSettings(**REQUIRED, ratio=ratio, student=student)
    assert settings.peak_lr == pytest.approx(lr)
    assert replace(settings, lr=0.07).peak_lr == 0.07


def test_full_size_has_the_rate_of_features_as_fine_as_the_teachers() -> None:
    settings = TrainSettings(**REQUIRED, ratio=1, downscaler=DownscalerSettings(kind="bicubic"))
    assert settings.peak_lr == pytest.approx(2.5e-4)
