"""The teacher's answers on disk: read back as they were, and filled from where it was stopped."""

import os

import numpy as np
import pytest
import torch

from teacher_answers import OpenCache, answers, filled_cache, rows_of
from thumbnet.data.teacher_cache import find_complete

# Reading and writing.


def test_answers_are_read_back_by_row_in_half_precision(open_cache: OpenCache) -> None:
    cache, written = open_cache(), answers(10)
    cache.append({name: value[:7] for name, value in written.items()})
    cache.append({name: value[7:] for name, value in written.items()})
    read = rows_of(cache, 9, 0, 7, 7)
    for name, value in written.items():
        assert read[name].dtype == torch.float32
        assert torch.equal(read[name], value[[9, 0, 7, 7]].half().float())


def test_answers_that_carry_gradients_or_another_precision_are_taken(open_cache: OpenCache) -> None:
    cache, written = open_cache(), answers(10)
    cache.append({name: value.double().requires_grad_() for name, value in written.items()})
    assert torch.equal(rows_of(cache, 3)["logits"], written["logits"][[3]].half().float())


def test_values_beyond_half_precision_are_clamped_to_its_range(open_cache: OpenCache) -> None:
    cache, written = open_cache(), answers(10)
    written["logits"][0] = torch.tensor([1e9, -1e9, float("inf"), float("-inf"), 65_504.0])
    cache.append(written)
    assert rows_of(cache, 0)["logits"].tolist() == [[65_504.0, -65_504.0, 65_504.0, -65_504.0, 65_504.0]]


def test_what_is_read_can_be_changed_without_changing_the_cache(open_cache: OpenCache) -> None:
    cache = filled_cache(open_cache)
    before = rows_of(cache, 0)["logits"]
    rows_of(cache, 0)["logits"].zero_()
    assert torch.equal(rows_of(cache, 0)["logits"], before)


def test_pixels_are_kept_beside_the_answers(open_cache: OpenCache) -> None:
    pixels = torch.randint(0, 256, (10, 3, 4, 4), dtype=torch.uint8)
    cache = open_cache(pixels_shape=(3, 4, 4))
    cache.append(answers(10), pixels)
    cache.save()
    reopened = open_cache(pixels_shape=(3, 4, 4))
    assert reopened.complete
    assert reopened.pixels is not None
    assert reopened.pixels.dtype == np.uint8
    np.testing.assert_array_equal(reopened.pixels, pixels.numpy())


def test_no_pixels_are_kept_unless_asked_for(open_cache: OpenCache) -> None:
    cache = open_cache()
    cache.append(answers(10), torch.zeros(10, 3, 4, 4, dtype=torch.uint8))
    assert cache.pixels is None
    assert not (cache.folder / "pixels.npy").exists()


# Going on.


def test_a_complete_cache_is_complete_when_opened_again(open_cache: OpenCache) -> None:
    cache = open_cache()
    assert not cache.complete
    cache.append(answers(10))
    assert cache.complete
    cache.save()
    reopened = open_cache()
    assert reopened.complete
    assert torch.equal(rows_of(reopened, 4)["stage.1"], answers(10)["stage.1"][[4]].half().float())


def test_filling_goes_on_where_it_was_saved(open_cache: OpenCache) -> None:
    written = answers(10)
    cache = open_cache()
    cache.append({name: value[:4] for name, value in written.items()})
    cache.save()
    cache.append({name: value[4:8] for name, value in written.items()})
    del cache  # killed between append and save

    reopened = open_cache()
    assert reopened.filled == 4
    reopened.append({name: value[4:] for name, value in written.items()})
    reopened.save()
    assert open_cache().complete
    for name, value in rows_of(open_cache(), *range(10)).items():
        assert torch.equal(value, written[name].half().float())


def test_a_cache_of_another_number_of_rows_is_filled_anew(open_cache: OpenCache) -> None:
    filled_cache(open_cache)
    cache = open_cache(rows=12)
    assert cache.filled == 0
    assert rows_of(cache, 11)["logits"].shape == (1, 5)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"[]", b'{"filled": 10}', b'{"filled": null, "rows": 10}', b"\xff"]
)
def test_a_cache_with_a_damaged_state_is_filled_anew(content: bytes, open_cache: OpenCache) -> None:
    cache = filled_cache(open_cache)
    (cache.folder / "state.json").write_bytes(content)
    assert open_cache().filled == 0


@pytest.mark.parametrize("size_bytes", [None, 0, 10, 200])
def test_a_cache_with_a_lost_or_cut_array_is_filled_anew(size_bytes: int | None, open_cache: OpenCache) -> None:
    array = filled_cache(open_cache).folder / "logits.npy"
    if size_bytes is None:
        array.unlink()
    else:
        os.truncate(array, size_bytes)
    cache = open_cache()
    assert cache.filled == 0
    cache.append(answers(10))
    cache.save()
    assert torch.equal(rows_of(open_cache(), 9)["logits"], answers(10)["logits"][[9]].half().float())


# Caches that hold more than is asked for.


@pytest.mark.parametrize("names", [["logits"], ["logits", "stage.1"], []])
def test_a_complete_cache_of_the_same_question_serves_whoever_needs_less(
    names: list[str], open_cache: OpenCache
) -> None:
    cache = open_cache(asked="question")
    cache.append(answers(10))
    cache.save()
    assert find_complete(cache.folder.parent, "question", 10, names) == cache.folder


@pytest.mark.parametrize(
    ("asked", "rows", "names"),
    [("another", 10, ["logits"]), ("question", 11, ["logits"]), ("question", 10, ["logits", "pixels"])],
)
def test_a_cache_of_another_question_or_size_or_without_an_array_serves_nobody(
    asked: str, rows: int, names: list[str], open_cache: OpenCache
) -> None:
    cache = open_cache(asked="question")
    cache.append(answers(10))
    cache.save()
    assert find_complete(cache.folder.parent, asked, rows, names) is None


def test_a_cache_that_is_not_complete_serves_nobody_else(open_cache: OpenCache) -> None:
    cache = open_cache(asked="question")
    cache.append({name: value[:9] for name, value in answers(10).items()})
    cache.save()
    assert find_complete(cache.folder.parent, "question", 10, ["logits"]) is None
    (cache.folder / "state.json").write_bytes(b"{")
    assert find_complete(cache.folder.parent, "question", 10, ["logits"]) is None
    assert find_complete(cache.folder / "missing", "question", 10, ["logits"]) is None
