"""Pictures that are bytes within rows are inspected, viewed and lost like files."""

import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from row_makers import write_parquet
from thumbnet.config import ViewSettings
from thumbnet.data import inspection
from thumbnet.data.batches import EpochOrder, LoaderSettings, ViewDataset, evaluation_loader, training_loader
from thumbnet.data.datasets import Wanted
from thumbnet.data.inspection import Inspection, inspect
from thumbnet.data.labelled import Pictures, StoredFiles
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.data.rows import RowFiles
from thumbnet.data.sources import open_data
from thumbnet.errors import DataError

pytest.importorskip("datasets")
PREPROCESSING = Preprocessing(image_side=8)
NAMES = [f"{i}.png" for i in range(6)]


@pytest.fixture
def embedded(tmp_path: Path, save_pictures: Callable[..., Path]) -> Callable[..., Pictures]:
    """Six pictures of two classes in a table; `changed` gives some of them other bytes."""
    folder = save_pictures(tmp_path, *NAMES, "other.png")

    def make(changed: dict[int, bytes] | None = None) -> Pictures:
        contents = [(changed or {}).get(i, (folder / name).read_bytes()) for i, name in enumerate(NAMES)]
        rows = [{"image": {"bytes": content, "path": None}, "label": i // 3} for i, content in enumerate(contents)]
        table = write_parquet(tmp_path / "t.parquet", rows)
        return open_data(str(table), wanted=Wanted(cache=tmp_path / "cache")).evaluation

    return make


@pytest.fixture
def found(tmp_path: Path, quietly: Callable[..., Iterable[int]]) -> Callable[[Pictures], Inspection]:
    def found(pictures: Pictures) -> Inspection:
        return inspect(pictures, 1.0, tmp_path / "memory", quietly, workers=2)

    return found


Embedded = Callable[..., Pictures]
Found = Callable[[Pictures], Inspection]


def test_files_are_selected_by_position(embedded: Embedded) -> None:
    files = embedded().files
    assert isinstance(files, StoredFiles)
    chosen = files.select([4, 1]).select([1])
    assert list(chosen) == [files[1]]
    assert len(chosen) == 1


def test_the_stamp_is_the_same_when_the_table_is_opened_again_and_changes_with_it(
    embedded: Embedded, tmp_path: Path
) -> None:
    first = embedded()
    assert isinstance(first.files, RowFiles)
    again = open_data(str(tmp_path / "t.parquet"), wanted=Wanted(cache=tmp_path / "cache")).evaluation
    assert isinstance(again.files, RowFiles)
    assert again.files.stamp == first.files.stamp
    assert first.files.select([0]).stamp != first.files.stamp
    changed = embedded({1: b"x"}).files
    assert isinstance(changed, RowFiles)
    assert changed.stamp != first.files.stamp


def test_unreadable_rows_are_left_out_and_named(embedded: Embedded, found: Found) -> None:
    result = found(embedded({1: b"", 4: b"no picture"}))
    assert [name for name, _ in result.unreadable] == ["000000001", "000000004"]
    assert result.unreadable[0][1] == "the file is empty (0 bytes)"
    assert len(result.readable) == 4
    assert result.readable.labels == (0, 0, 1, 1)


def test_the_fingerprint_changes_with_any_content(embedded: Embedded, found: Found, tmp_path: Path) -> None:
    first = found(embedded()).fingerprint
    other = (tmp_path / "other.png").read_bytes()
    assert found(embedded({2: other})).fingerprint != first
    assert found(embedded()).fingerprint == first


def test_rows_that_did_not_change_are_not_read_again(
    embedded: Embedded, found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = found(embedded())

    def refuse(source: object) -> None:
        raise AssertionError("a picture was read again")

    monkeypatch.setattr(inspection, "read_picture", refuse)
    again = open_data(str(tmp_path / "t.parquet"), wanted=Wanted(cache=tmp_path / "cache")).evaluation
    assert found(again).fingerprint == first.fingerprint


@pytest.mark.parametrize("workers", [0, 1])
def test_views_and_evaluation_read_rows_in_any_process(embedded: Embedded, workers: int) -> None:
    pictures = embedded()
    settings = LoaderSettings(workers=workers)
    order = EpochOrder(6, 3, 1, 0, seed=0)
    views = ViewDataset(pictures, ViewSettings(), PREPROCESSING, 0)
    batches = list(training_loader(views, order, settings))
    expected = [views[key] for keys in order for key in keys]
    assert torch.equal(torch.cat([batch.pixels for batch in batches]), torch.stack([item.pixels for item in expected]))
    evaluated = list(evaluation_loader(pictures, PREPROCESSING, 4, settings))
    assert torch.cat([batch.label for batch in evaluated]).tolist() == [0, 0, 0, 1, 1, 1]


def test_rows_travel_to_another_process(embedded: Embedded) -> None:
    files = embedded().files
    assert list(pickle.loads(pickle.dumps(files))) == list(files)


def test_a_row_that_is_lost_during_training_is_named(embedded: Embedded) -> None:
    views = ViewDataset(embedded({1: b"no picture"}), ViewSettings(), PREPROCESSING, 0)
    with pytest.raises(DataError, match=r"^data: 000000001: not a picture.*; it could be read when the run began"):
        views[1, 0]


def test_rows_of_several_labels_become_batches_of_rows(tmp_path: Path, embedded: Embedded) -> None:
    contents: list[Any] = [
        {"image": file, "label": [["a"], [], ["a", "b"]][i % 3]} for i, file in enumerate(embedded().files)
    ]
    table = write_parquet(tmp_path / "several.parquet", contents)
    pictures = open_data(str(table), wanted=Wanted(multilabel=True, cache=tmp_path / "cache")).evaluation
    (batch,) = evaluation_loader(pictures, PREPROCESSING, 8, LoaderSettings(workers=0))
    assert batch.label.tolist() == [[1, 0], [0, 0], [1, 1]] * 2
