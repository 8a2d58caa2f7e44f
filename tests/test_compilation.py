"""Compiled training is the same training, and what a bundle and a checkpoint hold does not show it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.exc import BackendCompilerFailed, TorchDynamoException

from thumbnet import fit
from thumbnet.compilation import compiler_errors
from thumbnet.config import TrainSettings, ViewSettings
from thumbnet.errors import ConfigError
from thumbnet.run_folder import RunFolder

Settings = Callable[..., TrainSettings]
PLAIN: dict[str, Any] = {"teacher": "tiny_networks:without_dropout", "views": ViewSettings(), "epochs": 2}
needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("g++", "c++", "clang++")), reason="needs a C++ compiler"
)


@needs_compiler
@pytest.mark.timeout(300)
def test_compiled_networks_learn_the_same(tiny_settings: Settings, tmp_path: Path) -> None:
    torch.compiler.reset()
    plain, compiled = (tiny_settings(output=str(tmp_path / name), **PLAIN) for name in ("plain", "compiled"))
    fit(plain, quiet=True)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    fit(compiled, compile=True, quiet=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > before
    first, second = (RunFolder(settings.output).read_metrics() for settings in (plain, compiled))
    for expected, found in zip(first, second, strict=True):
        for loss in ("mm", "cl", "kd", "fm"):
            assert found[loss] == pytest.approx(expected[loss], rel=1e-3, abs=1e-6), loss
    names, compiled_names = (
        load_file(Path(settings.output) / "bundle" / "student.safetensors").keys() for settings in (plain, compiled)
    )
    assert compiled_names == names
    state = torch.load(RunFolder(compiled.output).checkpoint, weights_only=True)
    assert not [name for name in (*state["pair"], *state["average"]) if "_orig_mod" in name]


def test_what_the_compiler_says_is_one_line(tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pair: Any) -> None:
        def fail(*inputs: Any) -> None:
            raise BackendCompilerFailed(refuse, RuntimeError("No working C++ compiler found\nin this place"), None)

        pair.student.forward = fail

    monkeypatch.setattr("thumbnet.preparation.compile_pair", refuse)
    settings = tiny_settings(**PLAIN)
    with pytest.raises(ConfigError, match=r"^compile: .*No working C\+\+ compiler found.*leave --compile out$"):
        fit(settings, compile=True, quiet=True)
    assert not Path(settings.output).exists()


def test_a_silent_compiler_is_named_by_its_kind() -> None:
    with pytest.raises(ConfigError, match="TorchDynamoException"), compiler_errors():
        raise TorchDynamoException
