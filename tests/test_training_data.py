"""Training on every kind of data and of label, from the files to the report and the bundle."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from conftest import tiny_values
from row_makers import write_parquet, write_shards, write_table
from stopping_term import stopping_at
from thumbnet import StepTensors, Term, ThumbNet, fit, train_teacher
from thumbnet.config import DownscalerSettings, LossSettings, OptimizerSettings, StudentSettings, ViewSettings
from thumbnet.data.preprocessing import picture_to_image
from thumbnet.errors import ConfigError, DataError
from thumbnet.evaluation import evaluate
from thumbnet.run_folder import RunFolder

pytest.importorskip("datasets")
FRESH = ViewSettings(per_image=0)


def pictures_of(photos: Path, split: str) -> list[tuple[Path, str]]:
    return [(path, path.parent.name) for path in sorted((photos / split).glob("*/*.png"))]


def in_table(photos: Path, label: Callable[[str], Any], column: str = "label") -> list[dict[str, Any]]:
    return [
        {"path": str(path), column: label(name), "split": split}
        for split in ("train", "val")
        for path, name in pictures_of(photos, split)
    ]


def in_bytes(photos: Path, split: str) -> list[dict[str, Any]]:
    return [{"image": path.read_bytes(), "label": name} for path, name in pictures_of(photos, split)]


def in_shards(photos: Path, folder: Path) -> Path:
    for split in ("train", "val"):
        rows = [
            {"png": path.read_bytes(), "cls": str(int(name == "round")).encode()}
            for path, name in pictures_of(photos, split)
        ]
        write_shards(folder / split, rows)
    return folder


def metrics_of(run: str | Path) -> list[Mapping[str, Any]]:
    return [
        {name: value for name, value in line.items() if name != "seconds"} for line in RunFolder(run).read_metrics()
    ]


def weights(run: str | Path) -> dict[str, Tensor]:
    bundle = Path(run) / "bundle"
    return {**load_file(bundle / "student.safetensors"), **load_file(bundle / "downscaler.safetensors")}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def rows_of(run: Path) -> list[dict[str, str]]:
    with open(run / "predictions.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# One label.


def test_a_table_of_paths_trains_as_its_folder_does(photos: Path, tmp_path: Path, trained_run: Path) -> None:
    """Pictures, labels and order are the same, and so is all but what hangs on the pictures' names."""
    table = write_table(tmp_path / "t.csv", in_table(photos, str))
    fit(**tiny_values(table, tmp_path / "run"), quiet=True)
    evaluation = RunFolder(tmp_path / "run").read_evaluation()
    assert evaluation is not None
    assert (evaluation["metric"], evaluation["data"]["pictures"]) == ("top1", 12)
    assert evaluation["teacher"] == (RunFolder(trained_run).read_evaluation() or {})["teacher"]
    assert "val of t.csv" in (tmp_path / "run" / "report.html").read_text()


def test_pictures_within_parquet_train_with_the_teachers_cache(photos: Path, tmp_path: Path) -> None:
    train, val = (write_parquet(tmp_path / f"{split}.parquet", in_bytes(photos, split)) for split in ("train", "val"))
    values = tiny_values(train, tmp_path / "run")
    fit(**values, evaluation_data=val, quiet=True)
    assert len(rows_of(tmp_path / "run")) == 12
    assert len(metrics_of(tmp_path / "run")) == 2


def test_shards_train_and_are_evaluated_on_again(photos: Path, tmp_path: Path) -> None:
    fit(**tiny_values(in_shards(photos, tmp_path / "shards"), tmp_path / "run"), quiet=True)
    before = RunFolder(tmp_path / "run").read_evaluation()
    result = evaluate(tmp_path / "run", allow_code=True, workers=0, device="cpu")
    assert result == before
    assert {row["label"] for row in rows_of(tmp_path / "run")} == {"0", "1"}


# Several labels.


@pytest.fixture(scope="module")
def several(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table where every picture is `small`, the round ones are `round` too, and `none` is none's."""
    labels = {"flat": "small", "round": "round|small"}
    return write_table(tmp_path_factory.mktemp("several") / "t.csv", in_table(photos, labels.__getitem__))


@pytest.fixture(scope="module")
def multilabel_run(several: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "several"
    fit(**{**tiny_values(several, output), "views": FRESH, "epochs": 3}, multilabel=True, quiet=True)
    return output


def test_several_labels_are_measured_by_mean_average_precision(multilabel_run: Path) -> None:
    evaluation = RunFolder(multilabel_run).read_evaluation()
    assert evaluation is not None
    assert evaluation["metric"] == "map"
    for network in ("teacher", "student", "untrained_bicubic"):
        assert {"map", "f1", "per_class"} <= evaluation[network].keys()
        assert evaluation[network].keys().isdisjoint({"top1", "top5"})
    assert evaluation["student"]["per_class"].keys() == {"round", "small"}
    assert evaluation["retention"] == evaluation["student"]["map"] / evaluation["teacher"]["map"]
    assert 0 <= evaluation["agreement"] <= 1
    assert all(0 <= line["map"] <= 1 and "top1" not in line for line in metrics_of(multilabel_run))


def test_several_labels_are_joined_in_the_predictions(multilabel_run: Path) -> None:
    assert {row["label"] for row in rows_of(multilabel_run)} == {"small", "round|small"}
    assert all(set(row["student"].split("|")) <= {"", "round", "small"} for row in rows_of(multilabel_run))


def test_the_report_of_several_labels_says_what_is_measured(multilabel_run: Path) -> None:
    page = (multilabel_run / "report.html").read_text()
    assert "mean average precision" in page
    assert "top-1" not in page


def test_a_bundle_of_several_labels_gives_scores_that_stand_alone(multilabel_run: Path, photos: Path) -> None:
    bundle = ThumbNet.load(multilabel_run, allow_code=True)
    picture = Image.open(photos / "val" / "round" / "000.png")
    logits = bundle.logits(picture_to_image(bundle.thumbnail(picture)).unsqueeze(0))[0]
    scores = {one.label: one.score for one in bundle.classify(picture, top=2).ranked}
    assert scores == pytest.approx(dict(zip(bundle.labels, torch.sigmoid(logits).tolist(), strict=True)))


def test_a_teacher_of_several_labels_is_trained_and_teaches(several: Path, tmp_path: Path) -> None:
    values = {**tiny_values(several, tmp_path / "teacher"), "epochs": 12, "lr": 1e-2}
    weights_file = train_teacher(**values, multilabel=True, quiet=True)
    evaluation = RunFolder(tmp_path / "teacher").read_evaluation()
    assert evaluation is not None
    assert evaluation["metric"] == "map"
    assert evaluation["teacher"]["map"] > 0.95
    lines = metrics_of(tmp_path / "teacher")
    assert lines[-1]["cl"] < 0.7 * lines[0]["cl"]
    values = {**tiny_values(several, tmp_path / "run"), "epochs": 1, "teacher_weights": str(weights_file)}
    fit(**values, multilabel=True, quiet=True)
    assert (RunFolder(tmp_path / "run").read_evaluation() or {})["teacher"]["map"] == evaluation["teacher"]["map"]


def test_folders_have_one_label_a_picture(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^data: folders give one label a picture; for --multilabel give a .csv"):
        fit(**tiny_values(photos, tmp_path / "run"), multilabel=True, quiet=True)


# Shares.


def test_shares_are_learned_from(photos: Path, tmp_path: Path) -> None:
    shares = {"flat": "[0.9, 0.1]", "round": "[0.2, 0.8]"}
    table = write_table(tmp_path / "t.csv", in_table(photos, shares.__getitem__))
    (tmp_path / "classes.txt").write_text("flat\nround\n")
    seen: list[Tensor] = []

    def look(step: StepTensors) -> Tensor:
        seen.append(step.label)
        return step.student_logits.sum() * 0

    values = tiny_values(table, tmp_path / "run")
    terms = {"look": Term(1.0, look, needs_teacher=False)}
    fit(**values, class_map=tmp_path / "classes.txt", terms=terms, quiet=True)
    assert seen[0].shape == (8, 2)
    assert torch.allclose(seen[0].sum(dim=1), torch.ones(8))
    evaluation = RunFolder(tmp_path / "run").read_evaluation()
    assert evaluation is not None
    assert evaluation["metric"] == "top1"
    assert {row["label"] for row in rows_of(tmp_path / "run")} == {"flat", "round"}


# Streams.


def streamed(data: Path, output: Path, **changes: Any) -> dict[str, Any]:
    values = {"views": FRESH, "streaming": True, "steps_per_epoch": 2, "epochs": 3}
    return {**tiny_values(data, output), **values, **changes}


@pytest.fixture(scope="module")
def shards(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return in_shards(photos, tmp_path_factory.mktemp("streams") / "shards")


def test_streamed_shards_train_from_first_to_last(shards: Path, tmp_path: Path) -> None:
    fit(**streamed(shards, tmp_path / "run"), quiet=True)
    assert [line["step"] for line in metrics_of(tmp_path / "run")] == [2, 4, 6]
    evaluation = RunFolder(tmp_path / "run").read_evaluation()
    assert evaluation is not None
    assert evaluation["data"]["description"] == "val of shards"
    assert (tmp_path / "run" / "report.html").exists()


def test_streamed_parquet_trains_every_downscaler_and_in_slices(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paper's downscaler looks at the first batch before training begins."""
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0, raising=False)
    train, val = (write_parquet(tmp_path / f"{split}.parquet", in_bytes(photos, split)) for split in ("train", "val"))
    values = streamed(train, tmp_path / "run", epochs=1, downscaler=DownscalerSettings(kind="paper"))
    fit(**values, evaluation_data=val, optimizer=OptimizerSettings(accumulation_steps=2), quiet=True)
    assert metrics_of(tmp_path / "run")[0]["step"] == 2


def test_a_streamed_finer_student_begins_with_detail_that_takes_more_than_an_epoch(
    shards: Path, tmp_path: Path
) -> None:
    finer = StudentSettings(keep_stem_resolution=True, detail_steps=10)
    bundle = fit(**streamed(shards, tmp_path / "run", epochs=1, student=finer), quiet=True)
    assert bundle.description.hides_detail
    assert metrics_of(tmp_path / "run")[0]["step"] == 2


def test_a_streamed_teacher_is_trained(shards: Path, tmp_path: Path) -> None:
    file = train_teacher(**streamed(shards, tmp_path / "run", epochs=1), quiet=True)
    assert file.exists()


@pytest.mark.parametrize("stop_at", [4, 6])
def test_a_streamed_run_that_was_stopped_ends_with_the_same_weights(shards: Path, tmp_path: Path, stop_at: int) -> None:
    """Stopped within an epoch, where every step has a checkpoint."""
    fit(**streamed(shards, tmp_path / "whole"), terms=stopping_at(), quiet=True)
    stopped = streamed(shards, tmp_path / "stopped", checkpoint_minutes=1e-9)
    with pytest.raises(KeyboardInterrupt):
        fit(**stopped, terms=stopping_at(stop_at), quiet=True)
    state = torch.load(tmp_path / "stopped" / "checkpoints" / "last" / "state.pt", weights_only=True)
    assert state["position"]["step"] == stop_at - 1
    fit(**stopped, terms=stopping_at(), resume=True, quiet=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert metrics_of(tmp_path / "whole") == metrics_of(tmp_path / "stopped")


def test_streamed_pictures_that_cannot_be_read_are_listed_in_the_run(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = in_table(photos, str)
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    table = write_table(tmp_path / "t.csv", [{**rows[0], "path": str(tmp_path / "damaged.png")}, *rows[1:]])
    with pytest.raises(DataError, match=r"1 of \d+ pictures .* cannot be used, such as .*damaged.png"):
        fit(**streamed(table, tmp_path / "strict", steps_per_epoch=3), quiet=True)
    assert not (tmp_path / "strict").exists()
    fit(**streamed(table, tmp_path / "run", steps_per_epoch=3, allow_unreadable=0.1, epochs=2))
    (listed,) = (tmp_path / "run" / "unreadable.jsonl").read_text().splitlines()
    assert json.loads(listed)["split"] == "train"
    assert json.loads(listed)["picture"].endswith("damaged.png")
    assert "left out" in capsys.readouterr().err


def test_a_stream_whose_files_changed_is_not_resumed(photos: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", in_table(photos, str))
    values = streamed(table, tmp_path / "run", epochs=1, loss=LossSettings(mm=0.0, kd=0.0, fm=0.0))
    fit(**values, quiet=True)
    write_table(table, in_table(photos, str)[1:])
    with pytest.raises(ConfigError, match="the pictures changed since"):
        fit(**values, resume=True, quiet=True)
