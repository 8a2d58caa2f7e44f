"""A stream gives batches that are a function of their position, and holds no list of the data."""

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from row_makers import write_parquet, write_shards, write_table
from thumbnet.config import ViewSettings
from thumbnet.data.batches import Batch, LoaderSettings, training_loader
from thumbnet.data.datasets import Wanted
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.data.sources import open_data
from thumbnet.data.stream_batches import StreamOrder, StreamViews
from thumbnet.data.streaming import PictureStream, StreamedPicture, open_stream
from thumbnet.errors import DataError

pytest.importorskip("datasets")
COUNT = 10


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library waits five seconds at the end of a pass over parquet, for its threads to be gone."""
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0, raising=False)


@pytest.fixture
def folder(tmp_path: Path, save_pictures: Callable[..., Path]) -> Path:
    return save_pictures(tmp_path, *(f"{i}.png" for i in range(COUNT)))


@pytest.fixture
def stream_of(tmp_path: Path) -> Callable[..., PictureStream]:
    def stream_of(data: Path | str, evaluation_data: Path | None = None, **options: Any) -> PictureStream:
        wanted = Wanted(streaming=True, cache=tmp_path / "cache", **options)
        splits = open_data(str(data), None, evaluation_data and str(evaluation_data), wanted)
        return open_stream(str(data), splits.evaluation, wanted)

    return stream_of


@pytest.fixture
def table(folder: Path) -> Path:
    """Ten pictures to train on and two to evaluate on, by path."""
    rows = [{"path": f"{i}.png", "label": "ab"[i % 2], "split": "train"} for i in range(COUNT)]
    return write_table(folder / "t.csv", [*rows, *({**row, "split": "val"} for row in rows[:2])])


@pytest.fixture
def stream(table: Path, stream_of: Callable[..., PictureStream]) -> PictureStream:
    return stream_of(table)


StreamOf = Callable[..., PictureStream]


def order_of(stream: PictureStream, epoch: int = 0, start: int = 0, **options: Any) -> StreamOrder:
    order = StreamOrder(stream, **{"batch_size": 4, "micro_batches": 2, "batches": 2, "seed": 0, **options})
    order.epoch, order.start = epoch, start
    return order


def shown(order: StreamOrder) -> list[list[tuple[str, int]]]:
    return [[(key.name, key.view) for key in keys] for keys in order]


def batches_of(order: StreamOrder, workers: int = 0) -> list[Batch]:
    views = StreamViews(ViewSettings(), Preprocessing(image_side=8), seed=0)
    return list(order.watch(training_loader(views, order, LoaderSettings(workers=workers))))


def all_pixels(batches: list[Batch]) -> torch.Tensor:
    return torch.cat([batch.pixels for batch in batches])


# The order.


def test_every_pass_shows_every_picture_once_in_an_order_of_its_own(stream: PictureStream) -> None:
    rows = list(islice(stream.rows_from(0, seed=0), 2 * COUNT))
    assert [number for number, _ in rows] == [0] * COUNT + [1] * COUNT
    first, second = ([row["path"] for _, row in rows[i : i + COUNT]] for i in (0, COUNT))
    assert sorted(first) == sorted(second) == sorted(f"{i}.png" for i in range(COUNT))
    assert first != second
    assert [row["path"] for _, row in islice(stream.rows_from(0, seed=1), COUNT)] != first


@pytest.mark.parametrize("position", [0, 3, 10, 17, 20, 43])
def test_rows_are_the_same_from_any_position_on(stream: PictureStream, position: int) -> None:
    every = list(islice(stream.rows_from(0, seed=0), position + 5))
    assert list(islice(stream.rows_from(position, seed=0), 5)) == every[position:]


def test_whole_passes_are_left_out_without_being_read(stream: PictureStream, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[int] = []
    shuffle = type(stream.rows).shuffle

    def counting(rows: Any, **options: Any) -> Any:
        orders.append(options["seed"])
        return shuffle(rows, **options)

    monkeypatch.setattr(type(stream.rows), "shuffle", counting)
    assert next(stream.rows_from(100 * COUNT + 3, seed=0))[0] == 100
    assert len(orders) == 2


def test_an_epoch_goes_on_where_the_last_one_ended(stream: PictureStream) -> None:
    order = order_of(stream)
    epochs = []
    for order.epoch in range(3):
        epochs.append([one for keys in shown(order) for one in keys])
    passes = [one for epoch in epochs for one in epoch]
    assert [len(epoch) for epoch in epochs] == [8, 8, 8]
    assert len(set(passes[:COUNT])) == COUNT, "a picture came twice before all had come"
    assert [view for _, view in passes] == [0] * 10 + [1] * 10 + [2] * 4


@pytest.mark.parametrize(("epoch", "start"), [(0, 1), (1, 0), (1, 3), (5, 2)])
def test_an_epoch_begun_in_the_middle_goes_on_with_the_same_batches(
    stream: PictureStream, epoch: int, start: int
) -> None:
    whole = order_of(stream)
    for whole.epoch in range(epoch + 1):
        expected = shown(whole)
    resumed = order_of(stream, epoch, start)
    assert len(resumed) == 4 - start
    assert shown(resumed) == expected[start:]


def test_an_order_that_was_looked_into_begins_again(stream: PictureStream) -> None:
    order = order_of(stream)
    first = next(iter(order))
    assert next(iter(order)) == first
    assert len(shown(order)) == 4


def test_processes_share_every_micro_batch(stream: PictureStream) -> None:
    whole = shown(order_of(stream))
    shares = [shown(order_of(stream, process=process, processes=2)) for process in (0, 1)]
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(part) for part in whole]
    assert all(len(part) == 1 for share in shares for part in share)


# The batches.


@pytest.mark.parametrize("workers", [0, 2])
def test_views_are_the_same_after_a_stop_and_in_any_process(stream: PictureStream, workers: int) -> None:
    expected = all_pixels(batches_of(order_of(stream)))
    found = all_pixels(batches_of(order_of(stream), workers))
    assert torch.equal(found, expected)
    assert torch.equal(all_pixels(batches_of(order_of(stream, start=1), workers)), expected[2:])


def test_a_picture_gets_another_view_in_every_pass(folder: Path, stream_of: StreamOf) -> None:
    rows = [{"path": f"{i}.png", "label": i, "split": part} for part in ("train", "val") for i in range(2)]
    stream = stream_of(write_table(folder / "two.csv", rows))
    order = order_of(stream, batch_size=2, micro_batches=1, batches=3)
    views = {}
    for keys, batch in zip(list(order), batches_of(order), strict=True):
        for key, pixels in zip(keys, batch.pixels, strict=True):
            views[key.name, key.view] = pixels
    assert len(views) == 6
    assert not torch.equal(views["0.png", 0], views["0.png", 1])


def test_labels_are_those_of_the_pictures(stream: PictureStream) -> None:
    order = order_of(stream)
    labels = torch.cat([batch.label for batch in batches_of(order)])
    assert labels.tolist() == [int(name[0]) % 2 for keys in shown(order) for name, _ in keys]


# What cannot be used.


def damaged(folder: Path, stream_of: StreamOf) -> PictureStream:
    (folder / "3.png").write_bytes(b"")
    rows = [{"path": f"{i}.png", "label": "?" if i == 6 else "ab"[i % 2], "split": "train"} for i in range(COUNT)]
    return stream_of(write_table(folder / "d.csv", [*rows, *({**row, "split": "val"} for row in rows[:2])]))


def test_a_picture_that_cannot_be_used_is_replaced_and_listed(folder: Path, stream_of: StreamOf) -> None:
    order = order_of(damaged(folder, stream_of), batch_size=10, micro_batches=1, batches=1)
    next(iter(order))  # a look at the first batch names nothing
    (batch,) = batches_of(order)
    assert not order._on_their_way
    assert len(batch.pixels) == 10
    assert (batch.row == -1).sum() == 2
    assert order.take_unreadable(allowed=0.2) == {
        "3.png": "the file is empty (0 bytes)",
        "6.png": "the label '?', which is none of the classes",
    }
    assert order.take_unreadable(allowed=0.0) == {}


def test_more_than_the_allowed_share_stops_with_the_share_to_allow(folder: Path, stream_of: StreamOf) -> None:
    order = order_of(damaged(folder, stream_of), batch_size=10, micro_batches=1, batches=1)
    batches_of(order)
    with pytest.raises(
        DataError, match=r"^data: 2 of 10 pictures \(20.0%\) cannot be used, such as .*--allow-unreadable 0.201$"
    ):
        order.take_unreadable(allowed=0.19)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_micro_batch_without_any_picture_stops_in_one_line(stream: PictureStream, workers: int, folder: Path) -> None:
    for i in range(COUNT):
        (folder / f"{i}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"^data: none of 2 pictures in a row can be used, such as \d.png: the file is"):
        batches_of(order_of(stream), workers)


def test_a_stream_that_breaks_off_stops_in_one_line(folder: Path, stream_of: StreamOf) -> None:
    table = write_parquet(folder / "t.parquet", [{"path": f"{i}.png", "label": i} for i in range(COUNT)])
    stream = stream_of(table, table)
    table.write_bytes(b"nonsense " * 20)
    with pytest.raises(DataError, match=r"^data: cannot open .*t.parquet \("):
        next(stream.rows_from(0, seed=0))


# Where it comes from.


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


def test_nothing_as_long_as_the_data_is_kept(stream: PictureStream) -> None:
    """After many passes the order holds no more than the batches on their way."""
    order = order_of(stream, batches=30)
    loader = order.watch(
        training_loader(StreamViews(ViewSettings(), Preprocessing(image_side=8), 0), order, LoaderSettings(workers=0))
    )
    for _ in loader:
        assert len(order._on_their_way) <= 1
    assert not hasattr(stream.rows, "__len__")


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
