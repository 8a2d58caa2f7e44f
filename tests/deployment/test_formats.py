"""Every other format passes the same gate by its own engine, and its files answer as the bundle does."""

import json
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from thumbnet import ThumbNet
from thumbnet.config import ExportSettings
from thumbnet.data.working_view import view_of
from thumbnet.deployment.exported_folder import read_export
from thumbnet.deployment.runtime import ThumbNetRuntime
from thumbnet.errors import CheckpointError, ConfigError, ExportError


@pytest.fixture(scope="module")
def views(bundle: ThumbNet, photos: Path) -> np.ndarray:
    pictures = [Image.open(file).convert("RGB") for file in sorted((photos / "val").rglob("*.png"))]
    return np.stack([view_of(one, bundle.description.preprocessing, bundle.description.ratio) for one in pictures])


def check(made: Any, format_: str, files: set[str]) -> None:
    assert {file.name for file in made.folder.iterdir()} == {*files, "export.json", "report.json"}
    assert (made.report["compared"], made.report["format"]) == (["pair"], format_)
    assert made.report["pair"]["agreement"] == 1
    assert made.report["pair"]["thumbnails"]["largest_level_difference"] <= 1
    described = read_export(made.folder)
    assert (described.engine, described.opset, described.labels) == (format_, None, ("flat", "round"))


def answers(bundle: ThumbNet, views: np.ndarray) -> list[float]:
    return [bundle.classify(Image.fromarray(view), given="picture").score for view in views]


@pytest.fixture(scope="module")
def torch_export(make_export: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_export(tmp_path_factory.mktemp("torch") / "export", format="torch-export")


def test_programs_of_torch_export_run_without_this_package(
    torch_export: Any, bundle: ThumbNet, views: np.ndarray
) -> None:
    check(torch_export, "torch-export", {"downscaler.pt2", "student.pt2"})
    downscaler, student = (
        torch.export.load(torch_export.folder / f"{name}.pt2").module() for name in ("downscaler", "student")
    )
    for count in (1, 5):
        thumbnails = downscaler(torch.from_numpy(views[:count]))
        expected = bundle.thumbnail_maker().thumbnails(views[:count])
        assert np.abs(thumbnails.numpy().astype(int) - expected).max() <= 1
        assert student(thumbnails).shape == (count, 2)
    assert downscaler(torch.zeros(2, 64, 100, 3, dtype=torch.uint8)).shape == (2, 16, 25, 3)


def test_they_tell_nothing_of_the_machine(torch_export: Any) -> None:
    import zipfile

    for file in torch_export.folder.glob("*.pt2"):
        with zipfile.ZipFile(BytesIO(file.read_bytes())) as stored:
            content = b"".join(stored.read(name) for name in stored.namelist())
        for trace in (str(Path.home()), str(Path(__file__).parents[2]), "site-packages", "tests/"):
            assert trace.encode() not in content


def test_the_runtime_names_an_export_for_another_engine(torch_export: Any) -> None:
    with pytest.raises(CheckpointError, match="is an export for torch-export, and this runtime reads those for onnx"):
        ThumbNetRuntime.load(torch_export.folder)


def test_openvino_answers_as_the_bundle_does(
    make_export: Callable[..., Any], bundle: ThumbNet, views: np.ndarray, tmp_path: Path
) -> None:
    openvino = pytest.importorskip("openvino", reason="openvino is not installed: pip install 'thumbnet[openvino]'")
    made = make_export(tmp_path / "export", format="openvino")
    check(made, "openvino", {"downscaler.xml", "downscaler.bin", "student.xml", "student.bin"})
    core = openvino.Core()  # one: of two the last to go leaves signals without a stack
    downscaler, student = (
        core.compile_model(made.folder / f"{name}.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        for name in ("downscaler", "student")
    )
    assert downscaler(np.zeros((3, 64, 100, 3), np.uint8))[0].shape == (3, 16, 25, 3)
    scores = student(downscaler(views)[0])[0]
    assert scores.max(axis=1) == pytest.approx(answers(bundle, views), abs=0.01)  # a level may be another


def test_after_an_export_for_openvino_the_process_still_takes_signals(exported: Any) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed: pip install 'thumbnet[openvino]'")
    program = (
        "import faulthandler, gc, os, signal, onnx\n"
        "from thumbnet.deployment.formats.openvino_format import _converted, _opened\n"
        "faulthandler.enable()\n"
        f"files = _converted(onnx.load({str(exported.folder / 'student.onnx')!r}), 'student')\n"
        "engines = [_opened(files['student.xml'], files['student.bin']) for _ in range(2)]\n"
        "while engines:\n"
        "    engines.pop(0)\n"
        "    gc.collect()\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('taken'))\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "taken\n"), done.stderr


def test_openvino_runs_8_bit_networks(make_export: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed: pip install 'thumbnet[openvino]'")
    made = make_export(tmp_path / "export", format="openvino", int8=True, max_drop=9)
    assert json.loads((made.folder / "export.json").read_text())["precision"] == "int8"
    # OpenVINO keeps weights as they are computed with.
    assert b'element_type="i8"' in (made.folder / "student.xml").read_bytes()


def test_executorch_answers_as_the_bundle_does(
    make_export: Callable[..., Any], bundle: ThumbNet, views: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("executorch", reason="executorch is not installed: pip install 'thumbnet[executorch]'")
    from executorch.runtime import Runtime

    made = make_export(tmp_path / "export", format="executorch")
    check(made, "executorch", {"downscaler.pte", "student.pte"})
    programs = [Runtime.get().load_program(made.folder / f"{name}.pte") for name in ("downscaler", "student")]
    downscaler, student = (program.load_method("forward") for program in programs)
    for view, expected in zip(views[:4], answers(bundle, views[:4]), strict=True):
        thumbnail = downscaler.execute([torch.from_numpy(view[None])])[0]
        assert float(student.execute([thumbnail])[0].max()) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("format_", "package"), [("openvino", "openvino"), ("executorch", "executorch")])
def test_a_missing_package_is_named_with_its_extra(
    make_export: Callable[..., Any], tmp_path: Path, format_: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(ExportError, match=rf"{format_} needs the package {package}; run: pip install 'thumbnet\["):
        make_export(tmp_path / "export", format=format_)


@pytest.mark.parametrize("other", ["torch-export", "executorch"])
def test_8_bits_are_for_onnx_and_openvino(other: Any) -> None:
    with pytest.raises(ConfigError, match=f"int8 is True, but must be false for {other}"):
        ExportSettings(output="somewhere", format=other, int8=True)
