"""Where the student can read it, detail is hidden without a flag."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundle_weights import same, weights
from command_line import Run
from thumbnet import fit
from thumbnet.config import DownscalerSettings, StudentSettings, ThumbnailSettings, TrainSettings
from thumbnet.errors import ConfigError
from thumbnet.networks.assembly import assemble
from thumbnet.run_folder import RunFolder

Settings = Callable[..., TrainSettings]
FINER = StudentSettings(keep_stem_resolution=True, detail_steps=6)
DETAIL = DownscalerSettings(start="detail")
SAID = "hides detail: keep its thumbnails without loss"
DEFAULT = DownscalerSettings()


@pytest.mark.parametrize(
    ("start", "changes"),
    [
        ("detail", {"student": FINER}),
        ("detail", {"student": FINER, "ratio": 2}),
        ("natural", {}),
        ("natural", {"student": StudentSettings(keep_stride=2)}),
        ("natural", {"student": FINER, "thumbnail": ThumbnailSettings(codec_noise=0.5)}),
        ("natural", {"student": FINER, "downscaler": DownscalerSettings(start="natural")}),
        ("natural", {"student": FINER, "downscaler": DownscalerSettings(kind="bicubic")}),
        ("natural", {"student": FINER, "downscaler": DownscalerSettings(kind="paper")}),
        ("natural", {"student": FINER, "downscaler": DownscalerSettings(weights="runs/other")}),
        ("natural", {"student": replace(FINER, weights="random")}),
        ("natural", {"student": replace(FINER, prune=0.3)}),
        ("natural", {"student": replace(FINER, trainable="norms_and_head")}),
        ("natural", {"student": replace(FINER, extra_ratios=(2,))}),
        ("natural", {"student": replace(FINER, detail_steps=0)}),
        ("detail", {"student": replace(FINER, network="timm/resnet18", weights="pretrained")}),
        ("detail", {"student": replace(FINER, keep_stem_resolution=False, keep_stride=1)}),
        ("random", {"student": FINER, "downscaler": DownscalerSettings(start="random")}),
    ],
)
def test_detail_is_the_default_where_the_student_can_read_it(
    tiny_settings: Settings, start: str, changes: dict[str, Any]
) -> None:
    assert tiny_settings(**changes).downscaler_start == start


def test_by_default_a_finer_run_hides_detail_and_says_so(
    tiny_settings: Settings, tmp_path: Path, thumbnet: Run
) -> None:
    made = {}
    for name, chosen in (("default", DEFAULT), ("asked", DETAIL), ("natural", DownscalerSettings(start="natural"))):
        settings = tiny_settings(student=FINER, downscaler=chosen, output=str(tmp_path / name), epochs=1)
        bundle = fit(settings, quiet=True)
        assert bundle.description.hides_detail is (name != "natural")
        made[name] = weights(tmp_path / name)
        bundle.save_pretrained(tmp_path / f"{name}-card")
        card = (tmp_path / f"{name}-card" / "README.md").read_text()
        report = RunFolder(settings.output).report.read_text()
        said = [SAID in report, SAID in card, "hides detail" in thumbnet("info", settings.output, "--allow-code")[1]]
        assert said == [name != "natural"] * 3
    assert same(made["default"], made["asked"])
    assert not same(made["default"], made["natural"])


@pytest.mark.parametrize("student", [FINER, StudentSettings(), StudentSettings(detail_decoder=True, detail_steps=6)])
def test_a_downscaler_taken_over_goes_on_hiding_detail(
    tiny_settings: Settings, tmp_path: Path, student: StudentSettings
) -> None:
    fit(tiny_settings(student=FINER, output=str(tmp_path / "first"), epochs=1), quiet=True)
    chosen = DownscalerSettings(weights=str(tmp_path / "first"))
    bundle = fit(tiny_settings(student=student, downscaler=chosen, epochs=1), quiet=True)
    assert bundle.description.hides_detail
    assert "pm" in RunFolder(tiny_settings().output).read_metrics()[0]


def test_a_network_whose_first_layer_cannot_read_it_starts_plainly_by_default(tiny_settings: Settings) -> None:
    settings = tiny_settings(teacher="timm/vgg11", teacher_weights="random", student=FINER, image_side=128)
    assembly = assemble(settings, ("flat", "round"), tap_features=False)
    assert (assembly.downscaler.start, assembly.first_layers) == ("natural", {})


def test_such_a_network_is_trained_without_what_detail_needs(
    tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thumbnet.networks.assembly.reads_detail", lambda *_: False)
    settings = tiny_settings(student=FINER, epochs=1)
    assert not fit(settings, quiet=True).description.hides_detail
    assert "pm" not in RunFolder(settings.output).read_metrics()[0]


def test_a_run_goes_on_with_the_start_that_it_had(tiny_settings: Settings, tmp_path: Path) -> None:
    def rewritten(output: Path, old: str, new: str) -> None:
        config = RunFolder(output).config
        text = config.read_text()
        assert old in text
        config.write_text(text.replace(old, new))

    plain = tiny_settings(output=str(tmp_path / "plain"), epochs=1)
    fit(plain, quiet=True)
    rewritten(tmp_path / "plain", "start: null", "start: natural")  # as runs from before this default say
    fit(plain, resume=True, quiet=True)
    with pytest.raises(ConfigError, match=r"was begun with student\.keep_stem_resolution False, not True"):
        fit(plain, student=FINER, resume=True, quiet=True)
    natural = DownscalerSettings(start="natural")
    finer = tiny_settings(student=FINER, downscaler=natural, output=str(tmp_path / "finer"), epochs=1)
    fit(finer, quiet=True)
    rewritten(tmp_path / "finer", "  start: natural\n", "")  # as the first runs say
    with pytest.raises(ConfigError, match=r"was begun with downscaler\.start natural, not detail"):
        fit(finer, downscaler=DEFAULT, resume=True, quiet=True)
    fit(finer, resume=True, quiet=True)
