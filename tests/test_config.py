"""Every setting: its checks, and its way to a file and back."""

import math
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest
import yaml

from thumbnet import config
from thumbnet.config import (
    CacheSettings,
    ColumnSettings,
    DownscalerKind,
    DownscalerSettings,
    FeatureMappingSettings,
    LossSettings,
    MixSettings,
    OptimizerSettings,
    StudentSettings,
    ThumbnailSettings,
    TrainSettings,
    ViewSettings,
    settings_from_dict,
    student_channels,
)
from thumbnet.errors import ConfigError

REQUIRED: dict[str, Any] = {"teacher": "timm/resnet50", "data": "photos", "output": "runs/photos"}
GROUPS = (
    LossSettings,
    DownscalerSettings,
    StudentSettings,
    ThumbnailSettings,
    FeatureMappingSettings,
    ColumnSettings,
    ViewSettings,
    MixSettings,
    OptimizerSettings,
    CacheSettings,
)
CHANGED = TrainSettings(
    **REQUIRED,
    teacher_weights="teacher.safetensors",
    ratio=8,
    image_side=96,
    epochs=3,
    batch_size=12,
    lr=0.01,
    workers=0,
    holdout=0.25,
    loss=LossSettings(mm=0.0, kd=3.5, temperature=4.0, label_smoothing=0.1),
    downscaler=DownscalerSettings(kind="paper", channels=4),
    thumbnail=ThumbnailSettings(eight_bit=False, codec_noise=0.25, codec="webp", quality=(40, 80)),
    student=StudentSettings(
        keep_stem_resolution=True,
        network="timm/resnet18",
        weights="runs/other",
        trainable="norms_and_head",
        drop_path=0.1,
        extra_ratios=(2, 4),
        prune=0.5,
    ),
    feature_mapping=FeatureMappingSettings(
        layers=("layer3", "layer4"), student_layers=("layer2", "layer3"), channels=64
    ),
    views=ViewSettings(per_image=4, scale=(0.25, 0.75), aspect=(1.0, 1.0), vertical_flip=0.5, crop_share=0.9),
    optimizer=OptimizerSettings(accumulation_steps=3, mixed_precision="bf16", ema_decay=0.0),
    columns=ColumnSettings(picture="file", label="kind"),
    mix=MixSettings(mixup=0.5, probability=0.5, mixed_views=1),
    cache=CacheSettings(folder="cache", limit_gb=0.5),
)


@pytest.mark.parametrize(
    ("group", "name", "wrong", "edges"),
    [
        (LossSettings, "mm", [-0.1, math.nan], [0.0]),
        (LossSettings, "cl", [-0.1, math.nan], [0.0]),
        (LossSettings, "kd", [-0.1, math.nan], [0.0]),
        (LossSettings, "fm", [-0.1, math.nan], [0.0]),
        (LossSettings, "temperature", [0.0, -1.0, math.nan], [0.001]),
        (LossSettings, "label_smoothing", [-0.1, 1.0], [0.0, 0.999]),
        (DownscalerSettings, "channels", [3, 0, -1], [4]),
        (ViewSettings, "per_image", [-1], [0, 1]),
        (ViewSettings, "scale", [(0.0, 1.0), (0.6, 0.5), (0.5, 1.1)], [(0.1, 0.1), (1.0, 1.0)]),
        (ViewSettings, "aspect", [(0.0, 1.0), (1.3, 1.2), (-1.0, 1.0)], [(0.1, 5.0), (1.0, 1.0)]),
        (ViewSettings, "horizontal_flip", [-0.1, 1.1], [0.0, 1.0]),
        (ViewSettings, "vertical_flip", [-0.1, 1.1], [0.0, 1.0]),
        (ViewSettings, "randaugment", [-1, 31], [0, 30]),
        (ViewSettings, "randaugment_changes", [0], [1]),
        (ViewSettings, "random_erasing", [-0.1, 1.1], [0.0, 1.0]),
        (MixSettings, "mixup", [-0.1, math.nan], [0.0, 0.2]),
        (MixSettings, "cutmix", [-0.1, math.nan], [0.0, 1.0]),
        (MixSettings, "probability", [0.0, 1.1], [0.01, 1.0]),
        (MixSettings, "mixed_views", [-1], [0]),
        (ThumbnailSettings, "codec_noise", [-0.1, 1.1, math.nan], [0.0, 1.0]),
        (ThumbnailSettings, "quality", [(0, 50), (60, 50), (50, 101)], [(1, 100), (70, 70)]),
        (StudentSettings, "keep_stride", [0, -1], [1, 4, None]),
        (StudentSettings, "detail_steps", [-1], [0, 10]),
        (StudentSettings, "drop_path", [-0.1, 1.0, math.nan], [0.0, 0.9]),
        (StudentSettings, "prune", [-0.1, 0.96, math.nan], [0.0, 0.95]),
        (ViewSettings, "crop_share", [0.0, 1.1, -0.5], [0.01, 1.0, None]),
        (OptimizerSettings, "weight_decay", [-0.1], [0.0]),
        (OptimizerSettings, "warmup_share", [-0.1, 1.0], [0.0, 0.99]),
        (OptimizerSettings, "downscaler_lr_factor", [0.0, -1.0], [0.001]),
        (OptimizerSettings, "clip_grad_norm", [-0.1], [0.0]),
        (OptimizerSettings, "ema_decay", [-0.1, 1.0], [0.0, 0.9999]),
        (OptimizerSettings, "accumulation_steps", [0, -1], [1]),
        (CacheSettings, "limit_gb", [0.0, -1.0], [0.001]),
        (TrainSettings, "ratio", [0, -4, 9], [2, 3, 4, 5, 6, 7, 8]),
        (TrainSettings, "image_side", [0, -1], [1, None]),
        (TrainSettings, "epochs", [0, -1], [1]),
        (TrainSettings, "evaluate_every", [0, -1], [1, 1000]),
        (TrainSettings, "batch_size", [0, -1], [1]),
        (TrainSettings, "lr", [0.0, -0.1, math.nan], [1e-9]),
        (TrainSettings, "workers", [-1], [0, None]),
        (TrainSettings, "holdout", [0.0, 1.0, -0.1], [0.01, 0.99, None]),
        (TrainSettings, "allow_unreadable", [-0.1, 1.1], [0.0, 1.0]),
        (TrainSettings, "checkpoint_minutes", [0.0, -1.0], [0.001]),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_settings_name(
    group: type, name: str, wrong: list[Any], edges: list[Any]
) -> None:
    required = REQUIRED if group is TrainSettings else {}
    owner = next((field.name for field in fields(TrainSettings) if field.type is group), None)
    full_name = f"{owner}.{name}" if owner else name
    for value in wrong:
        with pytest.raises(ConfigError) as caught:
            group(**required, **{name: value})
        message = str(caught.value)
        assert message.startswith(f"{full_name} is {value}, but must be ")
        assert "\n" not in message
    for value in edges:
        assert getattr(group(**required, **{name: value}), name) == value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"student": {"keep_stem_resolution": True, "keep_stride": 2}}, "student.keep_stem_resolution is True"),
        ({"student": {"keep_stem_resolution": True, "dilate_last_stage": True}}, "student.keep_stem_resolution is"),
        ({"student": {"keep_stride": 2, "dilate_last_stage": True}}, "student.keep_stride is 2"),
        ({"student": {"extra_ratios": [2, 2]}}, "student.extra_ratios is [2, 2], but must be different whole numbers"),
        ({"student": {"extra_ratios": [9]}}, "student.extra_ratios is [9]"),
        ({"student": {"extra_ratios": [2, 4]}}, "student.extra_ratios is [2, 4], but must be others than ratio 4"),
        (
            {"student": {"extra_ratios": [2], "upsample": True}},
            "student.extra_ratios is [2], but must be given without",
        ),
        (
            {"student": {"extra_ratios": [2]}, "downscaler": {"kind": "all_information"}},
            "student.extra_ratios is [2], but must be left out with downscaler.kind all_information",
        ),
        ({"student": {"upsample": True, "keep_stride": 2}}, "student.upsample is True, but must be given without keep"),
        ({"feature_mapping": {"student_layers": ["a", "b"]}}, "feature_mapping.student_layers is 2 name(s), but must"),
        ({"multilabel": True, "unlabelled": True}, "multilabel is True"),
        ({"streaming": True, "steps_per_epoch": 5, "views": {"per_image": 1}}, "views.per_image is 1"),
        ({"views": {"cached_flips": True}}, "views.cached_flips is True, but must be false with --views.per_image 0"),
        (
            {"mix": {"mixup": 1.0, "mixed_views": 3}, "views": {"per_image": 2}},
            "mix.mixed_views is 3, but must be at most",
        ),
        (
            {"mix": {"mixed_views": 1}, "views": {"per_image": 2}},
            "mix.mixed_views is 1, but must be 0 without --mix.mixup",
        ),
        ({"streaming": True}, "steps_per_epoch is None, but must be given with --streaming"),
        ({"steps_per_epoch": 5}, "steps_per_epoch is 5"),
        ({"streaming": True, "steps_per_epoch": 0}, "steps_per_epoch is 0, but must be 1 or more"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from_dict({**REQUIRED, **settings})
    assert str(caught.value).startswith(message)


def test_without_labels_there_is_no_loss_of_labels() -> None:
    settings = TrainSettings(**REQUIRED, unlabelled=True, loss=LossSettings(cl=2.0, kd=3.0))
    assert (settings.loss.cl, settings.loss.kd) == (0.0, 3.0)
    assert settings_from_dict(settings.as_dict()) == settings


def test_slices_of_a_batch_must_divide_it() -> None:
    with pytest.raises(
        ConfigError, match=r"optimizer\.accumulation_steps is 3, but must be a divisor of batch_size \(32\)"
    ):
        TrainSettings(**REQUIRED, batch_size=32, optimizer=OptimizerSettings(accumulation_steps=3))
    TrainSettings(**REQUIRED, batch_size=32, optimizer=OptimizerSettings(accumulation_steps=8))


@pytest.mark.parametrize("settings", [TrainSettings(**REQUIRED), CHANGED], ids=["defaults", "changed"])
def test_settings_survive_a_yaml_file(settings: TrainSettings) -> None:
    assert settings_from_dict(settings.as_dict()) == settings
    assert settings_from_dict(yaml.safe_load(yaml.safe_dump(settings.as_dict()))) == settings


def test_the_changed_settings_above_change_every_group() -> None:
    defaults = TrainSettings(**REQUIRED)
    groups = [field.name for field in fields(TrainSettings) if is_dataclass(field.type)]
    assert len(groups) == len(GROUPS)
    assert all(getattr(CHANGED, group) != getattr(defaults, group) for group in groups)


def test_what_a_file_leaves_out_takes_its_default() -> None:
    settings = settings_from_dict({**REQUIRED, "ratio": 2, "loss": {"kd": 3.0}})
    assert settings == TrainSettings(**REQUIRED, ratio=2, loss=LossSettings(kd=3.0))


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({**REQUIRED, "rato": 4}, "rato"),
        ({**REQUIRED, "loss": {"kl": 1.0}}, "kl"),
        ({**REQUIRED, "optimizer": {"lr": 1.0}}, "lr"),
        ({"teacher": "timm/resnet50", "data": "photos"}, "output"),
    ],
)
def test_an_unknown_or_missing_key_is_named(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^settings: .*'{key}'.*; see `thumbnet train --help`"):
        settings_from_dict(values)


def test_a_file_passes_the_same_checks() -> None:
    with pytest.raises(ConfigError, match=r"loss\.kd is -1\.0"):
        settings_from_dict({**REQUIRED, "loss": {"kd": -1.0}})


@pytest.mark.parametrize("settings", [TrainSettings(**REQUIRED), *(group() for group in GROUPS)])
def test_settings_are_frozen_and_keyword_only(settings: Any) -> None:
    for field in fields(settings):
        assert field.kw_only
        with pytest.raises(FrozenInstanceError):
            setattr(settings, field.name, getattr(settings, field.name))


@pytest.mark.parametrize("group", [TrainSettings, *GROUPS])
def test_every_setting_is_described(group: type) -> None:
    assert group.__doc__ is not None
    for field in fields(group):
        assert f"    {field.name}: " in group.__doc__


def test_fixed_downscalers_are_among_the_kinds() -> None:
    assert set(config.FIXED_DOWNSCALERS) < set(config.DownscalerKind.__args__)


@pytest.mark.parametrize("kind", ["residual", "paper", "learned_resizer", "muller", "all_information"])
def test_full_size_is_for_filters_alone(kind: DownscalerKind) -> None:
    with pytest.raises(ConfigError, match=f"downscaler.kind is {kind}, but must be one of bicubic, area, lanczos with"):
        TrainSettings(**REQUIRED, ratio=1, downscaler=DownscalerSettings(kind=kind))
    for fixed in ("bicubic", "area", "lanczos"):
        assert TrainSettings(**REQUIRED, ratio=1, downscaler=DownscalerSettings(kind=fixed)).ratio == 1


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"kind": "bicubic", "start": "random"}, "downscaler.start is random, but must be natural with the kind"),
        ({"kind": "muller", "start": "detail"}, "downscaler.start is detail, but must be natural with the kind"),
        ({"kind": "all_information", "start": "detail"}, "downscaler.start is detail, but must be natural with"),
        ({"kind": "muller", "start": "random"}, "downscaler.start is random, but must be natural with the kind"),
        ({"weights": "runs/one", "start": "random"}, "downscaler.start is random, but must be left out with"),
        ({"kind": "area", "weights": "runs/one"}, "downscaler.weights is runs/one, but must be left out with the kind"),
        ({"frozen": True}, "downscaler.frozen is True, but must be given with downscaler.weights"),
    ],
)
def test_a_downscalers_start_and_weights_fit_its_kind(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        DownscalerSettings(**wrong)


def test_the_student_takes_three_channels_but_for_all_information() -> None:
    assert student_channels(DownscalerSettings(), 4) == 3
    assert student_channels(DownscalerSettings(kind="all_information"), 4) == 51


def test_a_bound_that_makes_no_picture_has_none_to_compress() -> None:
    bound = DownscalerSettings(kind="all_information")
    with pytest.raises(
        ConfigError, match=r"thumbnail\.codec_noise is 0\.5, but must be 0 with downscaler\.kind all_inf"
    ):
        TrainSettings(teacher="t", data="d", output="o", downscaler=bound, thumbnail=ThumbnailSettings(codec_noise=0.5))


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"epochs": "many"}, "epochs is many"),
        ({"image_side": "large"}, "image_side is large"),
        ({"loss": {"kd": "x"}}, r"loss\.kd is x"),
        ({"student": {"keep_stride": "x"}}, r"student\.keep_stride is x"),
    ],
)
def test_a_word_in_a_numbers_place_is_named(values: dict[str, Any], setting: str) -> None:
    with pytest.raises(ConfigError, match=f"^{setting}, but must be a number$"):
        settings_from_dict({**REQUIRED, **values})
