"""An export that answers otherwise than its bundle is refused, whatever labels the pictures have."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from thumbnet import ThumbNet
from thumbnet.config import TrainSettings
from thumbnet.data.labelled import Pictures
from thumbnet.errors import ExportError
from thumbnet.networks.assembly import assemble
from thumbnet.progress import Announcer

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'thumbnet[onnx]'")

import onnx

from thumbnet.deployment.exported_folder import read_export
from thumbnet.deployment.formats import onnx_format
from thumbnet.deployment.gate import Engines, compare
from thumbnet.deployment.graphs import student_graph
from thumbnet.deployment.runtime import open_graph

QUIET = Announcer(quiet=True)


@pytest.fixture(scope="module")
def engines(exported: Any) -> Engines:
    return Engines(
        downscaler=open_graph(exported.folder / "downscaler.onnx"),
        student=open_graph(exported.folder / "student.onnx"),
    )


@pytest.fixture(scope="module")
def labelled(photos: Path) -> Pictures:
    files = tuple(sorted((photos / "val").rglob("*.png")))
    return Pictures(
        files=files,
        labels=tuple(int(file.parent.name == "round") for file in files),
        classes=("flat", "round"),
        names=tuple(file.name for file in files),
    )


def broken_student(bundle: ThumbNet) -> Any:
    """A student that says the opposite, as one with swapped labels would."""
    student = student_graph(bundle)
    answer = student.graph.node[-1].output[0]
    opposite = onnx.helper.make_node("Sub", ["one_", "right_"], [answer])
    student.graph.node[-1].output[0] = "right_"
    student.graph.node.append(opposite)
    student.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1), "one_"))
    return student


@pytest.fixture
def wrong_student(export_again: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_format, "student_graph", broken_student)


@pytest.mark.usefixtures("wrong_student")
def test_a_wrong_graph_leaves_nothing_but_the_report(export_again: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"it answers otherwise than the bundle on 100\.00%") as error:
        export_again(tmp_path / "export")
    assert "\n" not in str(error.value)
    assert [file.name for file in (tmp_path / "export").iterdir()] == ["report.json"]
    report = json.loads((tmp_path / "export" / "report.json").read_text())
    assert not report["passed"]
    assert report["pair"]["agreement"] == 0
    # Half of its answers are right, as the bundle's are: the accuracy alone would have let it through.
    assert report["pair"]["drop"] == 0


def test_after_a_refusal_the_same_folder_can_be_exported_to(
    export_again: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(onnx_format, "student_graph", broken_student)
        with pytest.raises(ExportError):
            export_again(tmp_path / "export")
    assert export_again(tmp_path / "export").report["passed"]


@pytest.mark.usefixtures("wrong_student")
def test_an_older_export_stays_where_a_new_one_is_refused(
    export_again: Callable[..., Any], exported: Any, tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    for file in exported.folder.iterdir():
        (tmp_path / "export" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ExportError, match=r"report\.failed\.json"):
        export_again(tmp_path / "export", overwrite=True)
    for file in exported.folder.iterdir():
        assert (tmp_path / "export" / file.name).read_bytes() == file.read_bytes()
    assert not json.loads((tmp_path / "export" / "report.failed.json").read_text())["passed"]


@pytest.mark.usefixtures("wrong_student")
def test_as_much_as_is_allowed_is_let_through(export_again: Callable[..., Any], tmp_path: Path) -> None:
    assert export_again(tmp_path / "export", max_drop=100).report["passed"]


def test_pictures_without_labels_are_compared_by_the_answers(
    bundle: ThumbNet, engines: Engines, labelled: Pictures
) -> None:
    unlabelled = replace(labelled, labels=(-1,) * len(labelled), kind="none")
    report = compare(bundle, engines, unlabelled, 0.0, QUIET)
    assert (report["passed"], report["metric"], report["bundle"]) == (True, "agreement", {})
    assert (report["pair"]["agreement"], report["pair"]["drop"]) == (1, 0)


def test_of_shares_of_classes_the_largest_is_the_label(bundle: ThumbNet, engines: Engines, labelled: Pictures) -> None:
    shares = np.array([[0.3, 0.7] if label else [0.6, 0.4] for label in labelled.labels], dtype=np.float32)
    soft = compare(bundle, engines, replace(labelled, labels=shares, kind="soft"), 0.002, QUIET)
    single = compare(bundle, engines, labelled, 0.002, QUIET)
    assert soft["bundle"] == single["bundle"]
    assert soft["metric"] == "top1"


def test_of_several_labels_each_yes_or_no_counts(bundle: ThumbNet, engines: Engines, labelled: Pictures) -> None:
    several = ThumbNet(replace(bundle.description, multilabel=True), bundle.downscaler, bundle.student)
    made = replace(engines, student=open_graph(student_graph(several).SerializeToString()))
    answers = np.array([[1, label] for label in labelled.labels], dtype=np.float32)
    report = compare(several, made, replace(labelled, labels=answers, kind="multi"), 0.002, QUIET)
    assert (report["passed"], report["metric"]) == (True, "labels_right")
    assert report["pair"]["largest_probability_difference"] < 1e-5
    # Probabilities that sum to 1 are not those of a classifier of several labels.
    found = compare(several, engines, replace(labelled, labels=answers, kind="multi"), 0.002, QUIET)
    assert found["pair"]["largest_probability_difference"] > 0.01


def test_pictures_that_cannot_be_read_are_left_out_and_counted(
    bundle: ThumbNet, engines: Engines, labelled: Pictures, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    files = (*labelled.files[:3], tmp_path / "broken.png")
    pictures = replace(labelled, files=files, labels=labelled.labels[:4], names=labelled.names[:4])
    report = compare(bundle, engines, pictures, 0.0, QUIET)
    assert (report["pictures"], report["unreadable"]) == (3, 1)
    report = compare(bundle, engines, pictures.select([3]), 0.0, QUIET)
    assert (report["passed"], report["pictures"]) == (False, 0)
    assert "none of the pictures" in report["problems"][0]


def test_an_export_is_not_judged_by_the_few_pictures_that_can_be_read(
    bundle: ThumbNet, engines: Engines, labelled: Pictures, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    files = (labelled.files[0], *[tmp_path / "broken.png"] * 2)
    pictures = replace(labelled, files=files, labels=labelled.labels[:3], names=labelled.names[:3])
    report = compare(bundle, engines, pictures, 0.0, QUIET)
    assert (report["passed"], report["pair"]["agreement"]) == (False, 1)
    assert "only 1 of the 3 pictures" in report["problems"][0]


def test_other_thumbnails_are_refused_whatever_the_answers(
    bundle: ThumbNet, engines: Engines, labelled: Pictures
) -> None:
    def brighter(views: np.ndarray) -> np.ndarray:
        return (engines.downscaler(views).astype(int) + 3).clip(0, 255).astype(np.uint8)

    report = compare(bundle, replace(engines, downscaler=brighter), labelled, 1.0, QUIET)
    assert report["problems"] == ["its thumbnails differ from the bundle's by 3.00 levels, more than the 0.1 allowed"]
    assert not report["passed"]
    assert compare(bundle, replace(engines, downscaler=brighter), labelled, 1.0, QUIET, allowed_levels=3)["passed"]


def test_a_downscaler_for_one_size_only_is_found_out(bundle: ThumbNet, engines: Engines, labelled: Pictures) -> None:
    def for_one_size(views: np.ndarray) -> np.ndarray:
        made = engines.downscaler(views)
        return made if views.shape[1] == views.shape[2] else np.zeros_like(made)

    report = compare(bundle, replace(engines, downscaler=for_one_size), labelled, 1.0, QUIET)
    assert (report["passed"], report["pair"]["thumbnails"]["mean_level_difference"] < 0.1) == (False, True)
    assert compare(bundle, replace(engines, downscaler=for_one_size, any_size=False), labelled, 1.0, QUIET)["passed"]


def test_a_downscaler_that_fails_at_another_size_is_a_refusal_not_a_traceback(
    bundle: ThumbNet, engines: Engines, labelled: Pictures
) -> None:
    def fixed(views: np.ndarray) -> np.ndarray:
        if views.shape[1] != views.shape[2]:
            raise RuntimeError("Got invalid dimensions for input: view")
        return engines.downscaler(views)

    report = compare(bundle, replace(engines, downscaler=fixed), labelled, 1.0, QUIET)
    assert report["problems"] == [
        "its downscaler takes views of one size only (Got invalid dimensions for input: view)"
    ]

    def squared(views: np.ndarray) -> np.ndarray:
        side = min(views.shape[1:3])
        return engines.downscaler(views[:, :side, :side])

    report = compare(bundle, replace(engines, downscaler=squared), labelled, 1.0, QUIET)
    assert report["problems"] == ["its downscaler gives views of another size a thumbnail of the wrong size"]


def test_verification_takes_other_data_and_as_much_of_it_as_asked(
    export_again: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "unsorted").mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (50, 41, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "unsorted" / f"{number}.png")
    made = export_again(tmp_path / "export", verify_data=str(tmp_path / "unsorted"), verify_limit=3, max_drop=40)
    assert (made.report["metric"], made.report["pictures"]) == ("agreement", 3)
    assert made.report["data"] == str(tmp_path / "unsorted")


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a network that is large enough to be made smaller."""
    settings = TrainSettings(
        teacher="timm/test_resnet", data="none", output="none", teacher_weights="random", image_side=64, ratio=2
    )
    torch.manual_seed(0)
    assembly = assemble(settings, ("flat", "round"), tap_features=False)
    made = ThumbNet.from_training(assembly.pair, assembly.preprocessing, assembly.classes, settings)
    made.save(tmp_path_factory.mktemp("resnet"))
    return tmp_path_factory.getbasetemp() / "resnet0"


def test_8_bit_networks_are_smaller_and_within_their_drop(
    make_export: Callable[..., Any], resnet: Path, photos: Path, tmp_path: Path
) -> None:
    data = {"run": resnet, "verify_data": str(photos)}
    exact, small = make_export(tmp_path / "float", **data), make_export(tmp_path / "int8", **data, int8=True)
    assert (read_export(exact.folder).precision, read_export(small.folder).precision) == ("float", "int8")
    assert (exact.report["allowed_drop"], small.report["allowed_drop"]) == (0.002, 0.01)
    assert small.report["passed"]
    for name in ("student.onnx", "thumbnet.onnx"):
        assert small.report["size_bytes"][name] < 0.5 * exact.report["size_bytes"][name]
    assert small.report["pair"]["thumbnails"]["mean_level_difference"] < 2
