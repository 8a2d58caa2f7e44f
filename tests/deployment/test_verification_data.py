"""Where an export finds its pictures, and where their copies lie."""

from pathlib import Path

import pytest

from row_makers import write_table
from thumbnet import ThumbNet
from thumbnet.config import ExportSettings
from thumbnet.deployment.verification_data import open_verification_data
from thumbnet.progress import Announcer

pytest.importorskip("datasets")


def test_copies_of_other_data_lie_where_training_and_evaluation_have_theirs(
    trained_run: Path, bundle: ThumbNet, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = sorted((photos / "val").rglob("*.png"))
    table = write_table(tmp_path / "t.csv", [{"file": str(file), "label": file.parent.name} for file in files])
    settings = ExportSettings(output=str(tmp_path / "export"), verify_data=str(table))
    found = open_verification_data(trained_run, bundle, settings, Announcer(quiet=True))
    assert len(found.verified) == len(files)
    assert [path.name for path in (tmp_path / "cache" / "thumbnet").iterdir()] == ["datasets"]
