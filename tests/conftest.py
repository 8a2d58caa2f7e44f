"""A small data set and a small trained run, shared by the tests of everything above the networks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image

from command_line import Run
from thumbnet import fit
from thumbnet.cli import main
from thumbnet.config import CacheSettings, FeatureMappingSettings, TrainSettings, ViewSettings

# Two test processes on two cores: more threads would wait for each other.
torch.set_num_threads(1)
# A busy machine is slow, and no test is wrong for it.
hypothesis.settings.register_profile("any_machine", deadline=None)
hypothesis.settings.load_profile("any_machine")
TINY = "tiny_networks:two_stages"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """What is measured with all cores leaves them set, and with more threads sums are rounded in another way."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Keeps tests out of the user's cache, and the user's cache out of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def write_photos(folder: Path, counts: dict[str, dict[str, int]], side: int = 40, seed: int = 0) -> Path:
    """Pictures that a classifier can tell apart: `round` ones are brighter in the middle, `flat` ones are not."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    for split, classes in counts.items():
        for name, count in classes.items():
            for number in range(count):
                pixels = random.normal(110, 12, (side, side, 3))
                if name == "round":
                    pixels += 70 * np.exp(-4 * (x**2 + y**2))[..., None]
                target = folder / split / name
                target.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train` with 24 and `val` with 12 pictures of two classes."""
    counts = {"train": {"flat": 12, "round": 12}, "val": {"flat": 6, "round": 6}}
    return write_photos(tmp_path_factory.mktemp("photos"), counts)


@pytest.fixture
def tiny_settings(photos: Path, tmp_path: Path) -> Callable[..., TrainSettings]:
    """Settings of a run that takes about a second; any field can be changed."""

    def make(**changes: Any) -> TrainSettings:
        return TrainSettings(**{**tiny_values(photos, tmp_path / "run"), **changes})

    return make


def tiny_values(data: Path, output: Path) -> dict[str, Any]:
    return {
        "teacher": TINY,
        "data": str(data),
        "output": str(output),
        "image_side": 32,
        "ratio": 4,
        "epochs": 2,
        "batch_size": 8,
        "workers": 0,
        "device": "cpu",
        "feature_mapping": FeatureMappingSettings(layers=("1",)),
        "views": ViewSettings(per_image=2),
        "cache": CacheSettings(limit_gb=0.1),
    }


@pytest.fixture
def thumbnet(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; gives exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def trained_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; tests must not change it."""
    output = tmp_path_factory.mktemp("runs") / "trained"
    fit(**tiny_values(photos, output), quiet=True)
    return output
