"""What can be streamed, and what its rows become: pictures with a name, a label and a view."""

import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from row_makers import write_parquet, write_shards, write_table
from stream_orders import COUNT, StreamOf, order_of
from thumbnet.data.datasets import Wanted
from thumbnet.data.sources import open_data
from thumbnet.data.streaming import PictureStream, StreamedPicture
from thumbnet.errors import DataError

pytest.importorskip("datasets")
pytestmark = pytest.mark.usefixtures("at_once")


def test_shards_are_streamed_beside_their_own_evaluation_split(folder: Path, stream_of: StreamOf) -> None:
    rows = [{"png": (folder / f"{i}.png").read_bytes(), "cls": str(i % 2).encode()} for i in range(COUNT)]
    for split in ("train", "val"):
        write_shards(folder / "shards" / split, rows)
    stream = stream_of(folder / "shards")
    assert stream.classes == ("0", "1")
    found = [stream.picture(row, 0) for _, row in islice(stream.rows_from(0, 0), COUNT)]
    assert sorted(picture.name for picture in found) == [f"{i:05d}" for i in range(COUNT)]
    assert all(picture.label == int(picture.name) % 2 for picture in found)


def test_bytes_without_a_name_are_named_by_their_content(folder: Path, stream_of: StreamOf) -> None:
    rows = [{"image": (folder / f"{i}.png").read_bytes(), "label": i % 2} for i in range(COUNT)]
    table = write_parquet(folder / "t.parquet", rows)
    stream = stream_of(table, table)
    names = [[stream.picture(row, 0).name for _, row in islice(stream.rows_from(0, seed), COUNT)] for seed in (0, 1)]
    assert names[0] != names[1]
    assert sorted(names[0]) == sorted(names[1])
    assert len(set(names[0])) == COUNT


def test_several_labels_and_shares_are_streamed(folder: Path, stream_of: StreamOf) -> None:
    rows = [{"path": f"{i}.png", "labels": "a|b" if i % 2 else "b", "split": "train"} for i in range(4)]
    table = write_table(folder / "m.csv", [*rows, *({**row, "split": "val"} for row in rows)])
    stream = stream_of(table, multilabel=True)
    assert stream.kind == "multi"
    assert np.array_equal(stream.picture({"path": "1.png", "labels": "a"}, 0).label, [1, 0])


def test_labels_move_to_the_places_of_other_classes(stream: PictureStream) -> None:
    moved = stream.in_classes(("b", "c", "a"), "the teacher's")
    assert moved.picture({"path": "1.png", "label": "a"}, 0).label == 2
    with pytest.raises(DataError, match="class 'a' is not among the teacher's"):
        stream.in_classes(("b", "c"), "the teacher's")


def test_a_number_that_the_evaluation_split_lacks_is_no_position(folder: Path, stream_of: StreamOf) -> None:
    train = write_table(folder / "train.csv", [{"path": "0.png", "label": 0}, {"path": "1.png", "label": 5}])
    val = write_table(folder / "val.csv", [{"path": "0.png", "label": 5}, {"path": "1.png", "label": 7}])
    stream = stream_of(train, val)
    assert stream.picture({"path": "0.png", "label": 5}, 0).label == 0
    assert isinstance(stream.picture({"path": "0.png", "label": 0}, 0).label, str)


def test_unlabelled_pictures_are_streamed(folder: Path, stream_of: StreamOf) -> None:
    table = write_table(folder / "u.csv", [{"path": f"{i}.png"} for i in range(4)])
    stream = stream_of(table, table, unlabelled=True)
    assert next(iter(order_of(stream)))[0].label == -1


def test_the_fingerprint_changes_with_the_file_and_not_with_opening_it_again(table: Path, stream_of: StreamOf) -> None:
    first = stream_of(table).fingerprint
    assert stream_of(table).fingerprint == first
    assert stream_of(table, class_map=("a", "b", "c")).fingerprint != first
    table.write_text(table.read_text().replace("9.png,b", "9.png,a"))
    table.touch()
    assert stream_of(table).fingerprint != first


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"data": "photos"}, "is no table, shards or hf/NAME, which --streaming is for; leave it out"),
        ({"data": "elpv"}, "data: elpv is a list of pictures .* leave --multilabel, --class-map and --streaming out"),
        ({"data": "plain.csv"}, "no pictures to evaluate on beside those of .*plain.csv; give --evaluation-data"),
        ({"data": "t.csv", "holdout": 0.2}, "streamed pictures cannot be held out by a share; give --evaluation-data"),
    ],
)
def test_data_that_cannot_be_streamed_is_refused_in_one_line(
    table: Path, options: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(table.parent / "plain.csv", [{"path": "0.png", "label": "a"}])
    (table.parent / "photos").mkdir()
    monkeypatch.chdir(table.parent)
    with pytest.raises(DataError) as caught:
        open_data(wanted=Wanted(streaming=True, cache=table.parent / "cache"), **options)
    assert re.search(problem, str(caught.value)), str(caught.value)


def test_what_is_wrong_with_a_label_travels_with_the_picture(stream: PictureStream) -> None:
    picture = stream.picture({"path": "1.png", "label": None}, 3)
    assert picture == StreamedPicture(file=stream.root / "1.png", label="no label", name="1.png", view=3)
