"""A stream gives batches that are a function of their position, and holds no list of the data."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from row_makers import write_parquet, write_table
from stream_orders import COUNT, StreamOf, order_of
from thumbnet.config import ViewSettings
from thumbnet.data.batches import Batch, LoaderSettings, training_loader
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.data.stream_batches import StreamOrder, StreamViews
from thumbnet.data.streaming import PictureStream
from thumbnet.errors import DataError

pytest.importorskip("datasets")
pytestmark = pytest.mark.usefixtures("at_once")


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


def test_nothing_as_long_as_the_data_is_kept(stream: PictureStream) -> None:
    """After many passes the order holds no more than the batches on their way."""
    order = order_of(stream, batches=30)
    loader = order.watch(
        training_loader(StreamViews(ViewSettings(), Preprocessing(image_side=8), 0), order, LoaderSettings(workers=0))
    )
    for _ in loader:
        assert len(order._on_their_way) <= 1
    assert not hasattr(stream.rows, "__len__")


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
