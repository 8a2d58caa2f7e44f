"""The working view as a graph takes the same pixels as Pillow, and weighs them alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thumbnet.data import working_view as pillow_view
from thumbnet.data.working_view import Preprocessing, working_view
from thumbnet.errors import ExportError

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'thumbnet[onnx]'")

from thumbnet.deployment.gate import LevelDifferences
from thumbnet.deployment.runtime import open_graph
from thumbnet.deployment.view_graph import working_view_graph

SIZES = [(32, 32), (40, 40), (97, 64), (64, 131), (301, 200), (200, 301), (20, 30), (33, 500), (640, 480), (36, 36)]
SIZES += [(1, 40), (9, 2), (37, 36)]
MODES = ["center", "squash", "border"]
SHARES = [0.875, 1.0, 1.25]


def photo(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([128 + 90 * np.sin(x / 7 + phase) + 40 * np.cos(y / 5 - phase) for phase in range(3)], axis=-1)
    noisy = waves + np.random.default_rng(width).normal(0, 15, waves.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8))


def differences(preprocessing: Preprocessing, kind: Callable[[int, int], Image.Image]) -> LevelDifferences:
    graph, seen = open_graph(working_view_graph(preprocessing).SerializeToString()), LevelDifferences()
    for size in SIZES:
        picture = kind(*size)
        seen.add(graph(np.asarray(picture)[None])[0], np.asarray(working_view(picture, preprocessing)))
    return seen


def rows_first(picture: Image.Image, size: tuple[int, int], preprocessing: Preprocessing) -> Image.Image:
    """Pillow's resize in the order of the graph; by itself it chooses one by the picture's shape."""
    return picture.resize((size[0], picture.height), preprocessing.filter).resize(size, preprocessing.filter)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("filter_", "levels", "share_of"), [("bicubic", 1, 0.001), ("bilinear", 2, 0.03)])
def test_rows_before_columns_it_is_pillows_resize_to_a_level_or_two(
    mode: Any, share: float, filter_: Any, levels: int, share_of: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pillow_view, "_resized", rows_first)
    preprocessing = Preprocessing(image_side=32, crop_share=share, crop_mode=mode, interpolation=filter_)
    found = differences(preprocessing, photo).as_dict()
    assert found["largest_level_difference"] <= levels
    assert found["share_of_levels_that_differ"] < share_of


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("filter_", ["bicubic", "bilinear"])
@pytest.mark.parametrize("kind", [photo, noise])
def test_in_whatever_order_pillow_goes_it_is_the_same_but_for_the_rounding_in_between(
    mode: Any, filter_: Any, kind: Callable[[int, int], Image.Image]
) -> None:
    found = differences(Preprocessing(image_side=32, crop_mode=mode, interpolation=filter_), kind).as_dict()
    assert found["mean_level_difference"] < 0.1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", SHARES)
def test_the_nearest_pixel_is_pillows_own(mode: Any, share: float) -> None:
    preprocessing = Preprocessing(image_side=32, crop_share=share, crop_mode=mode, interpolation="nearest")
    assert differences(preprocessing, noise).different == 0


def test_a_border_has_the_colour_of_the_mean() -> None:
    preprocessing = Preprocessing(image_side=32, crop_mode="border", crop_share=1.25, mean=(1.0, 0.5, 0.0))
    graph = open_graph(working_view_graph(preprocessing).SerializeToString())
    view = graph(np.full((1, 40, 40, 3), 77, dtype=np.uint8))[0]
    assert view[0, 0].tolist() == [255, 128, 0]
    assert view[16, 16].tolist() == [77, 77, 77]


@pytest.mark.parametrize("filter_", ["lanczos", "hamming", "box"])
def test_a_filter_that_onnx_has_not_is_named(filter_: Any) -> None:
    with pytest.raises(ExportError, match=f"not by {filter_} as this bundle does"):
        working_view_graph(Preprocessing(image_side=32, interpolation=filter_))
