"""An export is three graphs that need nothing but themselves, or one line that says why there is none."""

import importlib.util
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thumbnet import ThumbNet
from thumbnet.config import ExportSettings
from thumbnet.data.working_view import view_of
from thumbnet.errors import ConfigError, DataError, ExportError

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'thumbnet[onnx]'")

import onnx

from thumbnet.deployment.exported_folder import read_export
from thumbnet.deployment.formats import onnx_format
from thumbnet.deployment.runtime import open_graph, open_session

GRAPHS = ("downscaler.onnx", "student.onnx", "thumbnet.onnx", "browser.onnx")


@pytest.fixture(scope="module")
def pictures(photos: Path) -> list[Image.Image]:
    return [Image.open(file).convert("RGB") for file in sorted((photos / "val").rglob("*.png"))]


def views(bundle: ThumbNet, pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([view_of(one, bundle.description.preprocessing, bundle.description.ratio) for one in pictures])


def shape(value: Any) -> list[Any]:
    return [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]


def test_the_folder_holds_graphs_description_and_report(exported: Any) -> None:
    names = {file.name for file in exported.folder.iterdir()}
    assert {*GRAPHS, "export.json", "report.json"} <= names
    assert json.loads((exported.folder / "report.json").read_text()) == exported.report


def test_the_sides_of_pictures_and_the_number_of_pictures_are_open(exported: Any) -> None:
    graphs = {name: onnx.load(exported.folder / name).graph for name in GRAPHS}
    assert shape(graphs["downscaler.onnx"].input[0]) == ["batch", "height", "width", 3]
    assert shape(graphs["downscaler.onnx"].output[0]) == ["batch", "thumbnail_height", "thumbnail_width", 3]
    assert shape(graphs["student.onnx"].input[0]) == ["batch", 8, 8, 3]
    assert shape(graphs["student.onnx"].output[0]) == ["batch", 2]
    assert [value.name for value in graphs["thumbnet.onnx"].output] == ["thumbnail", "probabilities"]


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 8, 8), (3, 32, 64), (2, 100, 4)])
def test_the_downscaler_takes_any_sides_that_the_ratio_divides(
    exported: Any, bundle: ThumbNet, batch: int, height: int, width: int
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    thumbnail = open_graph(exported.folder / "downscaler.onnx")(picture)
    assert (thumbnail.shape, thumbnail.dtype) == ((batch, height // 4, width // 4, 3), np.uint8)
    expected = bundle.thumbnail_maker().thumbnails(picture)
    assert np.abs(thumbnail.astype(int) - expected).max() <= 1  # where the exact value is halfway between two


def test_the_pair_answers_as_the_bundle_does(exported: Any, bundle: ThumbNet, pictures: list[Image.Image]) -> None:
    thumbnails = open_graph(exported.folder / "downscaler.onnx")(views(bundle, pictures))
    scores = open_graph(exported.folder / "student.onnx")(thumbnails)
    for picture, thumbnail, score in zip(pictures, thumbnails, scores, strict=True):
        assert np.array_equal(thumbnail, np.asarray(bundle.thumbnail(picture)))
        answer = bundle.classify(picture)
        assert answer.label == bundle.labels[int(score.argmax())]
        assert answer.score == pytest.approx(float(score.max()), abs=1e-5)


def test_the_whole_takes_pictures_of_any_size_and_several_of_one(
    exported: Any, bundle: ThumbNet, pictures: list[Image.Image]
) -> None:
    whole = open_session(exported.folder / "thumbnet.onnx")
    batch = np.stack([np.asarray(picture) for picture in pictures])
    thumbnails, scores = whole.run(["thumbnail", "probabilities"], {"picture": batch})
    for picture, thumbnail, score in zip(pictures, thumbnails, scores, strict=True):
        assert np.abs(thumbnail.astype(int) - np.asarray(bundle.thumbnail(picture))).max() <= 1
        assert score.max() == pytest.approx(bundle.classify(picture).score, abs=0.01)
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(pictures)))
    for size in ((97, 61), (33, 200), (12, 9)):
        picture = np.asarray(pictures[0].resize(size))[None]
        assert whole.run(["thumbnail"], {"picture": picture})[0].shape == (1, 8, 8, 3)


def test_each_graph_says_what_it_is(exported: Any, bundle: ThumbNet) -> None:
    described = read_export(exported.folder)
    assert (described.labels, described.image_side, described.thumbnail_side) == (("flat", "round"), 32, 8)
    assert described.preprocessing == bundle.description.preprocessing
    for name in GRAPHS:
        model = onnx.load(exported.folder / name)
        notes = {note.key: note.value for note in model.metadata_props}
        assert json.loads(notes["labels"]) == ["flat", "round"]
        assert json.loads(notes["versions"])["torch"] == version("torch")
        assert (model.producer_name, model.producer_version) == ("thumbnet", version("thumbnet"))
        onnx.checker.check_model(model, full_check=True)


def test_the_graphs_tell_nothing_of_the_machine_that_made_them(exported: Any) -> None:
    for name in GRAPHS:
        content = (exported.folder / name).read_bytes()
        for trace in (str(Path.home()), str(Path(__file__).parents[2]), "site-packages", "torch.onnx", "stack_trace"):
            assert trace.encode() not in content
        assert not any(node.metadata_props for node in onnx.load(exported.folder / name).graph.node)


def test_the_report_says_how_near_export_and_bundle_are(exported: Any) -> None:
    report = exported.report
    assert (report["passed"], report["metric"], report["pictures"], report["unreadable"]) == (True, "top1", 12, 0)
    for name in ("pair", "whole", "browser"):
        assert report[name]["top1"] == pytest.approx(report["bundle"]["top1"], abs=0.002)
        assert report[name]["agreement"] == 1
        assert report[name]["thumbnails"]["largest_level_difference"] <= 1
    assert set(GRAPHS) <= set(report["size_bytes"])
    assert all(report["size_bytes"][name] == (exported.folder / name).stat().st_size for name in report["size_bytes"])


def test_missing_packages_are_named_in_one_line(
    export_again: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    with pytest.raises(ExportError, match=r"needs the package onnxscript; run: pip install 'thumbnet\[onnx\]'"):
        export_again(tmp_path / "export")


def test_a_run_that_makes_no_pictures_is_refused(
    export_again: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ThumbNet, "makes_pictures", property(lambda _: False))
    with pytest.raises(ExportError, match="is a bound and makes no picture"):
        export_again(tmp_path / "export")


def test_an_export_is_replaced_only_when_asked(export_again: Callable[..., Any], tmp_path: Path) -> None:
    folder = export_again(tmp_path / "export").folder
    with pytest.raises(ConfigError, match="give --overwrite to replace it"):
        export_again(folder)
    (folder / "student.onnx").write_bytes(b"old")
    export_again(folder, overwrite=True)
    assert (folder / "student.onnx").stat().st_size > 3
    assert [path.name for path in tmp_path.iterdir()] == ["export"]  # no temporary folder is left


def test_a_folder_that_holds_something_else_is_never_replaced(export_again: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    with pytest.raises(ConfigError, match="holds something that is no export"):
        export_again(tmp_path / "letters", overwrite=True)
    assert (tmp_path / "letters" / "dear.txt").read_text() == "dear"


def test_data_that_is_named_and_not_there_is_one_line(export_again: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        export_again(tmp_path / "export", verify_data=str(tmp_path / "nowhere"))
    assert "nowhere" in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize("wrong", [{"verify_limit": 0}, {"max_drop": -1.0}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ExportSettings(output="somewhere", **wrong)


def test_needed_packages_are_those_of_the_extra() -> None:
    assert set(onnx_format.NEEDED) == {"onnx", "onnxruntime", "onnxscript"}
