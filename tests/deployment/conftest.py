"""One export of the tiny trained run, shared by the tests of what is made of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thumbnet import ThumbNet
from thumbnet.config import ExportSettings
from thumbnet.progress import Announcer


@pytest.fixture(scope="session")
def bundle(trained_run: Path) -> ThumbNet:
    return ThumbNet.load(trained_run, allow_code=True)


@pytest.fixture(scope="session")
def make_export(trained_run: Path) -> Callable[..., Any]:
    """Exports the tiny run, or another, with any settings."""
    pytest.importorskip("onnxscript", reason="the packages of export are not installed: pip install 'thumbnet[onnx]'")
    from thumbnet.deployment.export import export

    def make(output: Path, run: Path = trained_run, overwrite: bool = False, **settings: Any) -> Any:
        return export(
            run,
            ExportSettings(output=str(output), **settings),
            overwrite=overwrite,
            allow_code=True,
            announcer=Announcer(quiet=True),
        )

    return make


@pytest.fixture(scope="session")
def exported(make_export: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An export of the tiny run in floating point; tests must not change it."""
    return make_export(tmp_path_factory.mktemp("exports") / "tiny")


@pytest.fixture
def export_again(make_export: Callable[..., Any], exported: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The same with the networks' graphs at hand, for tests of what is done with them: torch takes seconds for each."""
    import onnx

    from thumbnet.deployment.formats import onnx_format

    def ready(name: str) -> Callable[[ThumbNet], Any]:
        return lambda _: onnx.load(exported.folder / name)

    monkeypatch.setattr(onnx_format, "downscaler_graph", ready("downscaler.onnx"))
    monkeypatch.setattr(onnx_format, "student_graph", ready("student.onnx"))
    return make_export
