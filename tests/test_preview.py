"""What a student would be is said before any training, and without data: sides, costs, features, what cannot be had."""

from dataclasses import replace
from typing import Any

import pytest

from thumbnet.config import DownscalerSettings, FeatureMappingSettings, StudentSettings, TrainSettings
from thumbnet.errors import ConfigError, NetworkError
from thumbnet.networks.architectures import build_classifier
from thumbnet.networks.assembly import assemble
from thumbnet.networks.downscaler import build_downscaler
from thumbnet.networks.student import make_student
from thumbnet.preview import NetworkPreview, Preview, preview, preview_lines
from thumbnet.profiling import count_macs, count_parameters

TINY = "tiny_networks:two_stages"


def settings(teacher: str = TINY, **changes: Any) -> TrainSettings:
    values: dict[str, Any] = {"teacher_weights": "random", "ratio": 4, "image_side": 32} | changes
    return TrainSettings(teacher=teacher, data="nowhere", output="nowhere", **values)


def student(found: Preview, option: str) -> NetworkPreview:
    one = found.students[option]
    assert isinstance(one, NetworkPreview)
    return one


def test_teacher_student_and_downscaler_have_the_costs_of_the_networks_themselves() -> None:
    found = preview(settings())
    teacher = build_classifier(TINY, "random").network
    assert (found.teacher.side, found.teacher.macs) == (32, count_macs(teacher, 32))
    plain = student(found, "plain")
    assert (plain.side, plain.macs) == (8, count_macs(make_student(teacher, StudentSettings(), 32, 8), 8))
    assert plain.parameters == found.teacher.parameters == count_parameters(teacher)
    downscaler = build_downscaler(settings().downscaler, 4)
    assert found.downscaler_macs == count_macs(downscaler, 32)
    assert found.downscaler_parameters == count_parameters(downscaler)


def test_every_option_of_the_student_is_shown_with_its_features() -> None:
    found = preview(settings())
    finer = ["keep_stem_resolution", "keep_stride 2", "dilate_last_stage", "detail_decoder"]
    assert list(found.students) == ["plain", *finer]
    assert found.teacher.features == {"1": (16, 8, 8)}
    assert student(found, "plain").features == {"1": (16, 2, 2)}
    for option in list(found.students)[1:]:
        assert student(found, option).features == {"1": (16, 4, 4)}
        assert student(found, option).macs > student(found, "plain").macs
    assert student(found, "keep_stem_resolution").macs > student(found, "keep_stride 2").macs


def test_a_detail_decoder_is_an_option_where_there_is_detail_to_read() -> None:
    everything = DownscalerSettings(kind="all_information")
    for without in (settings(ratio=2), settings(downscaler=everything)):
        assert "detail_decoder" not in preview(without).students


def test_the_chosen_option_and_layers_are_those_of_the_settings() -> None:
    chosen = settings(student=StudentSettings(keep_stride=2), feature_mapping=FeatureMappingSettings(layers=("0", "1")))
    found = preview(chosen)
    assert found.chosen == "keep_stride 2"
    assert found.teacher.features == {"0": (8, 16, 16), "1": (16, 8, 8)}
    assert preview(settings()).chosen == "plain"


def test_an_option_that_a_network_does_not_have_is_said_beside_those_that_it_has() -> None:
    found = preview(settings("narrow_networks:torchvision_vit", image_side=64))
    reason = found.students["dilate_last_stage"]
    assert isinstance(reason, str)
    assert reason.startswith("student.dilate_last_stage: ")
    assert student(found, "keep_stem_resolution").features == {"encoder": (32, 2, 2)}


def test_features_that_come_out_too_small_are_warned_about() -> None:
    warning = student(preview(settings("torchvision/squeezenet1_1", image_side=128)), "plain").warning
    assert warning is not None
    assert "the student's features at 'features' are 1 px wide, not 2" in warning


def test_a_ratio_or_teacher_that_does_not_fit_is_one_line() -> None:
    with pytest.raises(ConfigError, match="ratio 4 does not divide the image side 30 px; give --image-side 32"):
        preview(settings(image_side=30))
    with pytest.raises(NetworkError, match="does not say the side of its input; give --image-side"):
        preview(settings(image_side=None))
    with pytest.raises(NetworkError, match="timm has no network 'resnet19'"):
        preview(settings("timm/resnet19"))


@pytest.mark.parametrize("tapped", [True, False])
def test_a_run_says_the_same_of_its_networks_before_it_trains_them(tapped: bool) -> None:
    chosen = replace(settings(), student=StudentSettings(keep_stem_resolution=True))
    lines = preview_lines(assemble(chosen, ("a", "b"), tap_features=tapped), chosen)
    assert [line.partition(":")[0] for line in lines] == ["teacher", "student", "downscaler"]
    assert lines[0].startswith("teacher: 32 px, ")
    assert lines[0].endswith("features 1 16×8×8")
    assert lines[1].startswith("student: 8 px, ")
    assert lines[1].endswith("features 1 16×4×4, keep_stem_resolution")
    assert lines[2].startswith("downscaler: residual, ")
