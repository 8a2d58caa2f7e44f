"""A downscaler that one run has trained makes the thumbnails of another, and can be kept as it was."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from thumbnet import ThumbNet, fit
from thumbnet.config import DownscalerSettings, LossSettings, OptimizerSettings, TrainSettings
from thumbnet.errors import CheckpointError, ConfigError
from thumbnet.networks.assembly import assemble
from thumbnet.optimization import build_optimizer
from thumbnet.trained_downscaler import load_trained_downscaler

Settings = Callable[..., TrainSettings]


@pytest.fixture(scope="module")
def trained(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose downscaler is far from where any training starts."""
    bundle = ThumbNet.load(trained_run, allow_code=True)
    torch.manual_seed(7)
    with torch.no_grad():
        for value in bundle.downscaler.state_dict().values():
            if value.is_floating_point():
                value.add_(0.1 * torch.rand_like(value))
    folder = tmp_path_factory.mktemp("trained")
    bundle.save(folder)
    return folder


def taken(trained: Path, **changes: Any) -> DownscalerSettings:
    return DownscalerSettings(weights=str(trained), **changes)


@pytest.mark.parametrize("kind", ["residual", "paper"])
def test_a_frozen_downscaler_ships_byte_for_byte_as_it_was(
    kind: str, tiny_settings: Settings, trained: Path, tmp_path: Path
) -> None:
    if kind == "paper":
        fit(tiny_settings(output=str(tmp_path / "first"), epochs=1, downscaler=DownscalerSettings(kind="paper")))
        trained = tmp_path / "first"
    chosen = DownscalerSettings(kind=kind, weights=str(trained), frozen=True)  # type: ignore[arg-type]
    first = (trained / "bundle" if kind == "paper" else trained) / "downscaler.safetensors"
    optimizer = OptimizerSettings(weight_decay=0.1, ema_decay=0.9)
    fit(tiny_settings(downscaler=chosen, lr=0.01, optimizer=optimizer), quiet=True)
    second = Path(tiny_settings().output) / "bundle" / "downscaler.safetensors"
    assert first.read_bytes() == second.read_bytes()


def test_a_downscaler_that_is_not_frozen_goes_on_from_its_weights(tiny_settings: Settings, trained: Path) -> None:
    before = load_file(trained / "downscaler.safetensors")
    settings = tiny_settings(downscaler=taken(trained), epochs=1, lr=1e-4, optimizer=OptimizerSettings(ema_decay=0.0))
    fit(settings, quiet=True)
    after = load_file(Path(settings.output) / "bundle" / "downscaler.safetensors")
    moved = {name: (after[name] - before[name]).abs().max() for name in before if before[name].dim() == 4}
    assert all(0 < distance < 0.01 for distance in moved.values())


def test_a_frozen_downscaler_has_no_gradients_no_training_mode_and_no_optimiser_entry(
    tiny_settings: Settings, trained: Path
) -> None:
    settings = tiny_settings(downscaler=taken(trained, frozen=True))
    pair = assemble(settings, ("flat", "round"), tap_features=False).pair.train()
    assert not any(module.training for module in pair.downscaler.modules())
    assert pair.student.training
    assert not any(parameter.requires_grad for parameter in pair.downscaler.parameters())
    optimised = {
        id(p) for group in build_optimizer(pair, settings.optimizer, 0.1).param_groups for p in group["params"]
    }
    assert not optimised & {id(parameter) for parameter in pair.downscaler.parameters()}
    assert pair.downscaler not in pair.trained_parts


def test_the_bundle_says_nothing_of_where_its_downscaler_came_from(tiny_settings: Settings, trained: Path) -> None:
    settings = tiny_settings(downscaler=taken(trained, frozen=True), epochs=1)
    fit(settings, quiet=True)
    shutil.rmtree(Path(settings.output) / "checkpoints")
    bundle = ThumbNet.load(settings.output, allow_code=True)
    image = torch.rand(2, 3, 32, 32)
    assert torch.equal(bundle.thumbnails(image), ThumbNet.load(trained, allow_code=True).thumbnails(image))
    assert str(trained) not in (Path(settings.output) / "bundle" / "thumbnet.json").read_text()


def test_moment_matching_alone_has_nothing_to_pull_on_and_does_no_harm(tiny_settings: Settings, trained: Path) -> None:
    settings = tiny_settings(downscaler=taken(trained, frozen=True), epochs=1, loss=LossSettings(mm=5.0))
    fit(settings, quiet=True)


@pytest.mark.parametrize(
    ("changes", "ratio", "named"),
    [
        ({}, 2, "holds a downscaler of ratio 4, not 2; give --ratio 4, or another run"),
        ({"kind": "paper"}, 4, r"of downscaler\.kind residual, not paper; give --downscaler\.kind residual"),
        ({"channels": 8}, 4, r"of downscaler\.channels 16, not 8; give --downscaler\.channels 16"),
    ],
)
def test_another_downscaler_than_asked_for_is_named(
    trained: Path, changes: dict[str, Any], ratio: int, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        load_trained_downscaler(torch.nn.Identity(), taken(trained, **changes), ratio)


def test_a_folder_without_a_bundle_is_named(tiny_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no bundle in .*nowhere"):
        fit(tiny_settings(downscaler=taken(tmp_path / "nowhere")), quiet=True)


def test_a_run_is_not_replaced_by_one_that_needs_its_downscaler(tiny_settings: Settings, trained_run: Path) -> None:
    with pytest.raises(ConfigError, match="--overwrite would remove"):
        fit(
            tiny_settings(output=str(trained_run), downscaler=taken(trained_run / "bundle")), overwrite=True, quiet=True
        )
    assert (trained_run / "bundle").exists()
