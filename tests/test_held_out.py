"""A run is evaluated on the pictures that were held out of its training, or says that it is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import tiny_values, write_photos
from row_makers import write_table
from thumbnet import evaluate, fit
from thumbnet.config import ColumnSettings
from thumbnet.errors import ConfigError, DataError
from thumbnet.run_folder import RunFolder

WARNING = "are not those of the training of"
HERE: dict[str, Any] = {"allow_code": True, "workers": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `all`, 24 pictures of two classes, and `run`, a run with a quarter of them held out; not to be changed."""
    folder = tmp_path_factory.mktemp("held-out")
    data = write_photos(folder, {"all": {"flat": 12, "round": 12}}) / "all"
    fit(**{**tiny_values(data, folder / "run"), "epochs": 1, "holdout": 0.25}, quiet=True)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of run and pictures that a test may change."""
    shutil.copytree(trained, tmp_path / "copy")
    config = tmp_path / "copy" / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(trained), str(tmp_path / "copy")))
    return config.parent


def description(run: Path) -> str:
    return str(json.loads((run / "evaluation.json").read_text())["data"]["description"])


def test_another_share_than_the_runs_is_refused_on_its_own_data(run: Path) -> None:
    before = (run / "evaluation.json").read_bytes()
    with pytest.raises(ConfigError) as caught:
        evaluate(run, holdout=0.5, **HERE)
    problem = f"holdout: {run} was trained on this data with --holdout 0.25, not 0.5"
    assert str(caught.value) == f"{problem}; leave --holdout out, or give other pictures as --data"
    assert (run / "evaluation.json").read_bytes() == before


def test_a_share_is_refused_where_the_data_has_its_own_pictures_to_evaluate_on(trained_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"was trained on this data with no --holdout, not 0\.5"):
        evaluate(trained_run, holdout=0.5, **HERE)


def test_a_share_of_other_data_is_free(run: Path, tmp_path: Path) -> None:
    other = write_photos(tmp_path, {"others": {"flat": 4, "round": 4}}, seed=5) / "others"
    assert evaluate(run, str(other), holdout=0.5, **HERE)["data"]["pictures"] == 4


def test_other_pictures_may_be_in_columns_of_other_names(run: Path, tmp_path: Path) -> None:
    folder = write_photos(tmp_path, {"others": {"flat": 3, "round": 3}}, seed=5)
    rows = [{"seen": str(file), "shape": file.parent.name} for file in sorted(folder.glob("others/*/*"))]
    table = write_table(tmp_path / "others.csv", rows)
    with pytest.raises(DataError, match="column"):
        evaluate(run, str(table), **HERE)
    result = evaluate(run, str(table), columns=ColumnSettings(picture="seen", label="shape"), **HERE)
    assert result["data"]["pictures"] == 6


def test_other_columns_are_refused_on_the_runs_own_data(run: Path) -> None:
    with pytest.raises(ConfigError, match="leave --columns out, or give other pictures as --data"):
        evaluate(run, columns=ColumnSettings(label="shape"), **HERE)


def test_the_same_pictures_are_evaluated_without_a_word(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(run, holdout=0.25, **HERE)["data"]["pictures"] == 6
    assert WARNING not in capsys.readouterr().err
    assert description(run) == "25% held out of all"


def test_other_pictures_than_those_held_out_are_named_as_such(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        (run.parent / "all" / "flat" / f"{number:03d}.png").unlink()
    evaluate(run, **HERE)
    said = " ".join(capsys.readouterr().err.split())
    problem = f"the 5 pictures that are held out now {WARNING} {run}, which may have seen some of them"
    assert f"{problem}; put the pictures back, or evaluate others with --data" in said
    assert description(run) == "25% held out of all, others than in training"


def test_a_run_from_before_this_was_recorded_is_evaluated_as_ever(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["recorded"]["held_out_fingerprint"]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run.parent / "all" / "flat" / "000.png").unlink()
    assert evaluate(run, **HERE)["data"]["pictures"] == 6
    assert WARNING not in capsys.readouterr().err


def test_a_table_by_another_name_keeps_the_pictures_held_out(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("datasets")
    data = shutil.copytree(trained / "all", tmp_path / "all")
    rows = [{"path": str(file), "label": file.parent.name} for file in sorted(data.rglob("*.png"))]
    table = write_table(tmp_path / "all.csv", rows)
    fit(**{**tiny_values(table, tmp_path / "run"), "epochs": 1, "holdout": 0.25}, quiet=True)
    before = RunFolder(tmp_path / "run").predictions.read_bytes()
    monkeypatch.chdir(tmp_path)
    evaluate("run", "all.csv", **HERE)
    assert RunFolder(tmp_path / "run").predictions.read_bytes() == before
    assert WARNING not in capsys.readouterr().err
