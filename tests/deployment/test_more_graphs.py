"""The graph of a page that makes thumbnails, and the teacher beside its student."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from thumbnet import ThumbNet, fit
from thumbnet.cli import main
from thumbnet.config import ExportSettings, StudentSettings
from thumbnet.data.preprocessing import normalise
from thumbnet.data.working_view import view_of
from thumbnet.errors import ConfigError, ExportError

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'thumbnet[onnx]'")

import onnx

from thumbnet.deployment.graphs import teacher_network
from thumbnet.deployment.run_teacher import teacher_of
from thumbnet.deployment.runtime import open_graph, open_session

# The CPU kernels of onnxruntime-web are those of onnxruntime; what other domains have is not all there.
STANDARD = {"", "ai.onnx"}


@pytest.mark.parametrize("size", [(40, 40), (97, 61), (61, 97), (8, 8), (640, 400)])
def test_a_page_gets_the_learned_and_the_plain_thumbnail_of_a_picture_of_any_size(
    exported: Any, bundle: ThumbNet, photos: Path, size: tuple[int, int]
) -> None:
    picture = Image.open(photos / "val" / "round" / "000.png").resize(size)
    session = open_session(exported.folder / "browser.onnx")
    assert [value.name for value in session.get_outputs()] == ["thumbnail", "plain"]
    thumbnail, plain = session.run(None, {"picture": np.asarray(picture)[None]})
    view = Image.fromarray(view_of(picture, bundle.description.preprocessing, bundle.description.ratio))
    resized = np.asarray(view.resize((8, 8), Image.Resampling.BICUBIC))
    assert thumbnail.dtype == plain.dtype == np.uint8
    assert np.abs(thumbnail[0].astype(int) - np.asarray(bundle.thumbnail(picture))).max() <= 1
    assert np.abs(plain[0].astype(int) - resized).max() <= 1


def test_a_page_needs_standard_operators_only(exported: Any) -> None:
    model = onnx.load(exported.folder / "browser.onnx")
    assert {one.domain for one in model.opset_import} <= STANDARD
    assert {node.domain for node in model.graph.node} <= STANDARD


def test_the_report_says_how_near_the_pages_thumbnails_are(exported: Any) -> None:
    assert exported.report["compared"] == ["pair", "whole", "browser"]
    assert exported.report["browser"]["thumbnails"] == exported.report["whole"]["thumbnails"]
    assert exported.report["plain_beside_pillow"]["largest_level_difference"] <= 1


def test_there_is_no_teacher_unless_asked_for(exported: Any) -> None:
    assert not (exported.folder / "teacher.onnx").exists()


def test_the_teacher_is_written_and_verified_where_asked_for(
    export_again: Callable[..., Any], trained_run: Path, bundle: ThumbNet, photos: Path, tmp_path: Path
) -> None:
    made = export_again(tmp_path / "export", with_teacher=True)
    teacher = teacher_network(teacher_of(trained_run, bundle, allow_code=True), bundle)
    files = sorted((photos / "val").rglob("*.png"))
    preprocessing, ratio = bundle.description.preprocessing, bundle.description.ratio
    views = np.stack([view_of(Image.open(file).convert("RGB"), preprocessing, ratio) for file in files])
    with torch.inference_mode():
        expected = teacher(torch.from_numpy(views)).numpy()
    assert open_graph(made.folder / "teacher.onnx")(views) == pytest.approx(expected, abs=1e-5)
    right = expected.argmax(axis=1) == np.array([file.parent.name == "round" for file in files])
    assert made.report["torch_teacher"]["top1"] == pytest.approx(right.mean())
    assert made.report["teacher"]["agreement"] == 1
    assert "teacher.onnx" in made.report["size_bytes"]


def test_a_wrong_teacher_is_refused_too(
    export_again: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumbnet.deployment.formats import onnx_format

    true = onnx_format.teacher_graph

    def swapped(teacher: torch.nn.Module, bundle: ThumbNet) -> Any:
        head = teacher[-1]  # type: ignore[index]
        before = {name: values.clone() for name, values in head.state_dict().items()}
        head.load_state_dict({name: values.flip(0) for name, values in before.items()})
        graph = true(teacher, bundle)
        head.load_state_dict(before)
        return graph

    monkeypatch.setattr(onnx_format, "teacher_graph", swapped)
    with pytest.raises(ExportError, match=r"on 100\.00% of the pictures"):
        export_again(tmp_path / "export", with_teacher=True)
    assert not (tmp_path / "export" / "teacher.onnx").exists()


def test_a_bundle_alone_has_no_teacher(export_again: Callable[..., Any], trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run / "bundle", tmp_path / "bundle")
    said = "does not say what its teacher was; give the run's folder, or leave --with-teacher out$"
    with pytest.raises(ExportError, match=said) as error:
        export_again(tmp_path / "export", run=tmp_path / "bundle", with_teacher=True)
    assert "\n" not in str(error.value)


def test_a_teacher_whose_weights_are_gone_is_one_line(trained_run: Path, bundle: ThumbNet, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    gone = f"teacher_weights: {tmp_path / 'gone.safetensors'}"
    config.write_text(config.read_text().replace("teacher_weights: pretrained", gone))
    for without, advice in ((None, "bring it back"), ("leave it out", "bring it back, or leave it out")):
        with pytest.raises(ExportError, match=rf"the run's teacher is not at hand .*\); {advice}$") as error:
            teacher_of(tmp_path / "run", bundle, allow_code=True, without=without)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("other", ["torch-export", "openvino", "executorch"])
def test_the_teacher_is_for_onnx(other: Any) -> None:
    with pytest.raises(ConfigError, match="with_teacher"):
        ExportSettings(output="somewhere", format=other, with_teacher=True)


def test_the_command_says_what_was_verified_and_written(
    export_again: Callable[..., Any], trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--output", str(tmp_path / "export"), "--with-teacher", "--allow-code", "--max-drop", "0"]
    assert main(["export", str(trained_run), *flags]) == 0
    said = capsys.readouterr().out
    assert "verified on 12 pictures of" in said
    for name in ("downscaler and student", "thumbnet.onnx", "browser.onnx, then student", "teacher.onnx"):
        assert f"{name}: top1" in said
    assert f"written: {tmp_path / 'export'}" in said
    assert main(["export", str(trained_run), *flags]) != 0
    assert "give --overwrite to replace it" in capsys.readouterr().err


@pytest.mark.parametrize("upsample", [False, True])
def test_a_student_that_reads_detail_answers_in_graphs_as_in_training(
    make_export: Callable[..., Any], tiny_settings: Callable[..., Any], photos: Path, tmp_path: Path, upsample: bool
) -> None:
    student = StudentSettings(detail_decoder=True, detail_steps=20, upsample=upsample)
    bundle = fit(tiny_settings(student=student), quiet=True)
    make_export(tmp_path / "export", Path(tiny_settings().output), verify_data=str(photos))
    pictures = [Image.open(file).convert("RGB") for file in sorted((photos / "val").rglob("*.png"))]
    thumbnails = np.stack([np.asarray(bundle.thumbnail(picture)) for picture in pictures])
    (shares,) = open_session(tmp_path / "export" / "student.onnx").run(None, {"thumbnail": thumbnails})
    with torch.no_grad():
        wanted = bundle.student(normalised(thumbnails, bundle)).softmax(1).numpy()
    assert np.abs(shares - wanted).max() < 1e-4


def normalised(thumbnails: np.ndarray, bundle: ThumbNet) -> torch.Tensor:
    preprocessing = bundle.description.student_preprocessing
    values = torch.from_numpy(thumbnails.copy()).permute(0, 3, 1, 2).float() / 255
    return normalise(values, preprocessing.mean, preprocessing.std)
