import pickle
from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image
from torch._utils import ExceptionWrapper

from thumbnet.config import ViewSettings
from thumbnet.data.batches import (
    Batch,
    EpochOrder,
    LoaderSettings,
    StoredViewDataset,
    ViewDataset,
    evaluation_loader,
    every_view_loader,
    to_image,
    training_loader,
)
from thumbnet.data.labelled import Pictures
from thumbnet.data.preprocessing import Preprocessing, picture_to_image, working_view
from thumbnet.data.views import draw_view, view_transform
from thumbnet.errors import ConfigError, DataError

PREPROCESSING = Preprocessing(image_side=8)
HERE = LoaderSettings(workers=0)
CPU = torch.device("cpu")


def order_of(
    size: int = 10,
    batch_size: int = 4,
    micro_batches: int = 1,
    fixed_views: int = 0,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
) -> EpochOrder:
    order = EpochOrder(size, batch_size, micro_batches, fixed_views, seed)
    order.epoch, order.start = epoch, start
    return order


def pictures_in(order: EpochOrder) -> list[list[int]]:
    return [[index for index, _ in keys] for keys in order]


def views_of(pictures: Pictures, fixed_views: int = 0, seed: int = 0) -> ViewDataset:
    return ViewDataset(pictures, ViewSettings(per_image=fixed_views), PREPROCESSING, seed)


def assert_equal_batches(some: list[Batch], others: list[Batch]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# The order of an epoch.


@pytest.mark.parametrize(("size", "batch_size"), [(12, 4), (5, 1), (3, 3)])
def test_an_epoch_shows_every_picture_once(size: int, batch_size: int) -> None:
    batches = pictures_in(order_of(size, batch_size))
    assert sorted(index for batch in batches for index in batch) == list(range(size))
    assert all(len(batch) == batch_size for batch in batches)


def test_a_last_batch_that_is_not_full_is_left_out() -> None:
    order = order_of(size=10, batch_size=4)
    batches = pictures_in(order)
    assert [len(batch) for batch in batches] == [4, 4]
    assert len({index for batch in batches for index in batch}) == 8
    assert (order.batches, len(order)) == (2, 2)


def test_a_batch_that_is_the_only_one_may_be_smaller() -> None:
    order = order_of(size=3, batch_size=32)
    assert [sorted(batch) for batch in pictures_in(order)] == [[0, 1, 2]]
    assert (order.batches, len(order)) == (1, 1)


def test_the_order_is_the_same_for_the_same_seed_and_epoch() -> None:
    assert list(order_of(100, seed=3, epoch=7)) == list(order_of(100, seed=3, epoch=7))


def test_another_seed_or_epoch_gives_another_order() -> None:
    orders = [pictures_in(order_of(100, seed=seed, epoch=epoch)) for seed, epoch in [(0, 0), (1, 0), (0, 1), (1, 1)]]
    assert len({str(order) for order in orders}) == 4


def test_the_order_does_not_touch_the_global_random_state() -> None:
    before, torch_before = str(np.random.get_state()), torch.get_rng_state()
    list(order_of())
    assert str(np.random.get_state()) == before
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.parametrize("start", [0, 1, 5, 6])
def test_starting_within_an_epoch_skips_exactly_what_was_done(start: int) -> None:
    whole = list(order_of(12, 4, micro_batches=2, epoch=2))
    rest = order_of(12, 4, micro_batches=2, epoch=2, start=start)
    assert list(rest) == whole[start:]
    assert len(rest) == len(whole) - start


def test_slices_are_equal_and_make_up_the_batches() -> None:
    sliced = pictures_in(order_of(20, 8, micro_batches=4))
    assert [len(part) for part in sliced] == [2] * 8
    assert [list(chain(*sliced[:4])), list(chain(*sliced[4:]))] == pictures_in(order_of(20, 8))


def test_a_batch_smaller_than_its_slices_has_one_picture_a_slice() -> None:
    assert [len(part) for part in pictures_in(order_of(size=2, batch_size=8, micro_batches=4))] == [1, 1]


def test_fresh_views_are_numbered_by_the_epoch() -> None:
    for epoch in (0, 5):
        assert {view for keys in order_of(epoch=epoch) for _, view in keys} == {epoch}


def test_fixed_views_take_turns_so_that_each_is_shown_once_before_any_is_shown_again() -> None:
    shown = Counter(key for epoch in range(3) for keys in order_of(12, 4, fixed_views=3, epoch=epoch) for key in keys)
    assert shown == Counter({(index, view): 1 for index in range(12) for view in range(3)})


def test_an_epoch_mixes_all_fixed_views() -> None:
    shown = Counter(view for keys in order_of(300, 4, fixed_views=3) for _, view in keys)
    assert min(shown[view] for view in range(3)) > 70


# What a batch holds.


def test_a_training_batch_holds_the_view_label_and_row_of_each_picture(pets: Pictures) -> None:
    dataset, order = views_of(pets, fixed_views=3, seed=5), order_of(6, 4, fixed_views=3)
    (keys,) = list(order)
    (batch,) = list(training_loader(dataset, order, HERE))
    assert batch.pixels.dtype == torch.uint8
    assert batch.pixels.shape == (4, 3, 8, 8)
    transform = view_transform(ViewSettings(), PREPROCESSING)
    for pixels, label, row, (index, view) in zip(batch.pixels, batch.label, batch.row, keys, strict=True):
        expected = draw_view(Image.open(pets.files[index]), transform, 5, pets.names[index], view)
        assert pixels.permute(1, 2, 0).numpy().tobytes() == expected.tobytes()
        assert label == pets.labels[index]
        assert row == 3 * index + view


def test_every_view_is_loaded_in_the_order_of_rows(pets: Pictures) -> None:
    dataset = views_of(pets, fixed_views=3)
    batches = list(every_view_loader(dataset, 0, 4, HERE))
    assert torch.cat([batch.row for batch in batches]).tolist() == list(range(18))
    assert [len(batch.row) for batch in batches] == [4, 4, 4, 4, 2]
    pixels, labels = torch.cat([batch.pixels for batch in batches]), torch.cat([batch.label for batch in batches])
    for index in range(6):
        for view in range(3):
            shown = dataset[index, view]
            assert torch.equal(shown.pixels, pixels[shown.row])
            assert shown.label == labels[shown.row]


@pytest.mark.parametrize("first_row", [1, 7, 17])
def test_every_view_can_be_loaded_from_any_row_on(first_row: int, pets: Pictures) -> None:
    dataset = views_of(pets, fixed_views=3)
    (whole,) = every_view_loader(dataset, 0, 100, HERE)
    (rest,) = every_view_loader(dataset, first_row, 100, HERE)
    assert torch.equal(rest.row, whole.row[first_row:])
    assert torch.equal(rest.pixels, whole.pixels[first_row:])


def test_no_view_is_loaded_when_all_are_done(pets: Pictures) -> None:
    assert list(every_view_loader(views_of(pets, fixed_views=3), 18, 4, HERE)) == []


def test_stored_views_give_the_same_batches_as_the_pictures_they_were_drawn_from(pets: Pictures) -> None:
    dataset = views_of(pets, fixed_views=3)
    pixels = torch.cat([batch.pixels for batch in every_view_loader(dataset, 0, 4, HERE)]).numpy()
    stored = StoredViewDataset(pixels, dataset.label, 3)
    for epoch in range(3):
        order = order_of(6, 2, fixed_views=3, epoch=epoch)
        assert_equal_batches(list(training_loader(stored, order, HERE)), list(training_loader(dataset, order, HERE)))


def test_a_batch_of_stored_views_does_not_share_memory_with_the_store(pets: Pictures) -> None:
    pixels = np.zeros((6, 3, 8, 8), dtype=np.uint8)
    stored = StoredViewDataset(pixels, views_of(pets, fixed_views=1).label, 1)
    stored[0, 0].pixels.fill_(1)
    assert not pixels.any()


def test_evaluation_shows_every_picture_once_in_order(pets: Pictures) -> None:
    batches = list(evaluation_loader(pets, PREPROCESSING, 4, HERE))
    assert [len(batch.label) for batch in batches] == [4, 2]
    assert torch.cat([batch.label for batch in batches]).tolist() == list(pets.labels)
    assert torch.cat([batch.row for batch in batches]).tolist() == list(range(6))
    images = torch.cat([to_image(batch, CPU) for batch in batches])
    for path, image in zip(pets.files, images, strict=True):
        assert torch.equal(image, picture_to_image(working_view(Image.open(path), PREPROCESSING)))


def test_an_image_is_exactly_the_level_over_255() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    batch = Batch(
        pixels=levels.reshape(1, 1, 16, 16).expand(1, 3, 16, 16), label=levels[:1].int(), row=levels[:1].int()
    )
    image = to_image(batch, CPU)
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(image[0, 0].flatten(), torch.arange(256).float() / 255)


# Processes.


def test_two_reading_processes_give_the_same_batches_as_none(pets: Pictures) -> None:
    def batches(workers: int) -> list[Batch]:
        order, settings = order_of(6, 2, fixed_views=2), LoaderSettings(workers=workers)
        loader = training_loader(views_of(pets, fixed_views=2), order, settings)
        shown: list[Batch] = []
        for epoch in range(2):
            order.epoch = epoch
            shown.extend(loader)
        return shown + list(evaluation_loader(pets, PREPROCESSING, 4, settings))

    assert_equal_batches(batches(workers=0), batches(workers=2))


def test_a_picture_that_becomes_unreadable_is_named(pets: Pictures) -> None:
    pets.files[4].write_bytes(pets.files[4].read_bytes()[:200])
    with pytest.raises(DataError) as caught:
        list(evaluation_loader(pets, PREPROCESSING, 2, HERE))
    problem = str(caught.value)
    assert problem.startswith(f"data: {pets.files[4]}: damaged or truncated")
    assert problem.endswith("it could be read when the run began; put it back, or start the run again")
    assert problem.isprintable(), "a problem is one line of text"


def test_a_reading_process_hands_on_the_same_line_without_its_traceback(pets: Pictures) -> None:
    pets.files[4].write_bytes(pets.files[4].read_bytes()[:200])
    with pytest.raises(DataError) as here:
        views_of(pets)[4, 0]
    # What a reading process of torch sends; a real one would take five seconds to end after an error.
    try:
        views_of(pets)[4, 0]
    except DataError:
        sent = pickle.dumps(ExceptionWrapper(where="in DataLoader worker process 0"))
    with pytest.raises(DataError) as there:
        pickle.loads(sent).reraise()
    assert str(there.value) == str(here.value)


def test_a_picture_that_is_deleted_is_named(pets: Pictures) -> None:
    pets.files[0].unlink()
    with pytest.raises(DataError) as caught:
        views_of(pets)[0, 0]
    assert str(caught.value).startswith(f"data: {pets.files[0]}: no such file; it could be read when the run began")


@pytest.mark.parametrize("processes", [2, 3])
def test_the_parts_of_all_processes_are_the_micro_batch_of_one(processes: int) -> None:
    whole = list(EpochOrder(20, 10, 2, 0, seed=0))
    parts = [list(EpochOrder(20, 10, 2, 0, seed=0, processes=processes, process=i)) for i in range(processes)]
    assert [list(chain(*shares)) for shares in zip(*parts, strict=True)] == whole
    assert {len(share) for part in parts for share in part} <= {5 // processes, 5 // processes + 1}


def test_a_process_without_pictures_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batches of 4 in 2 parts leave none for some of 3 processes.*--batch-size"):
        EpochOrder(20, 4, 2, 0, seed=0, processes=3)
