from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from thumbnet.config import ViewSettings
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.data.views import draw_view, view_transform

MakePicture = Callable[..., Image.Image]
PREPROCESSING = Preprocessing(image_side=16)
WHOLE = ViewSettings(scale=(1.0, 1.0), aspect=(1.0, 1.0), horizontal_flip=0.0, vertical_flip=0.0)


def drawn(picture: Image.Image, seed: int = 0, name: str = "cats/0.png", view: int = 0) -> bytes:
    return draw_view(picture, view_transform(ViewSettings(), PREPROCESSING), seed, name, view).tobytes()


def test_a_view_has_the_working_size_whatever_the_picture(make_picture: MakePicture) -> None:
    transform = view_transform(ViewSettings(), PREPROCESSING)
    for size in ((40, 30), (5, 4), (2, 2), (2, 300), (300, 2)):
        view = draw_view(make_picture(*size), transform, 0, "a", 0)
        assert view.size == (16, 16)
        assert view.mode == "RGB"


def test_the_same_seed_name_and_number_give_the_same_view_in_any_order(make_picture: MakePicture) -> None:
    picture = make_picture(40, 30)
    forwards = [drawn(picture, view=view) for view in range(5)]
    torch.manual_seed(123)
    backwards = [drawn(picture, view=view) for view in reversed(range(5))]
    assert forwards == list(reversed(backwards))


def test_the_views_of_a_known_name_never_change_from_machine_to_machine(make_picture: MakePicture) -> None:
    settings = ViewSettings(scale=(1.0, 1.0), aspect=(1.0, 1.0), horizontal_flip=0.5)
    picture, transform = make_picture(16, 16), view_transform(settings, PREPROCESSING)
    views = [draw_view(picture, transform, 7, "cats/0.png", view).tobytes() for view in range(24)]
    assert "".join("-" if view == picture.tobytes() else "f" for view in views) == "-f----ff--f-f--f-f---f-f"


def test_another_seed_name_or_number_gives_another_view(make_picture: MakePicture) -> None:
    picture = make_picture(40, 30)
    views = [
        drawn(picture),
        drawn(picture, seed=1),
        drawn(picture, name="cats/1.png"),
        *(drawn(picture, view=view) for view in range(1, 6)),
    ]
    assert len(set(views)) == len(views)


def test_a_seed_and_a_name_do_not_run_into_each_other(make_picture: MakePicture) -> None:
    picture = make_picture(40, 30)
    assert drawn(picture, seed=1, name="1a") != drawn(picture, seed=11, name="a")


def test_drawing_leaves_the_global_random_state_alone(
    make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(seed: int) -> None:
        raise AssertionError("an accelerator's random state was set")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", touched)
    before = torch.get_rng_state()
    drawn(make_picture())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_view_of_the_whole_picture_is_the_picture(make_picture: MakePicture) -> None:
    picture = make_picture(16, 16)
    assert draw_view(picture, view_transform(WHOLE, PREPROCESSING), 0, "a", 0).tobytes() == picture.tobytes()


@pytest.mark.parametrize(("flip", "axis"), [("horizontal_flip", 1), ("vertical_flip", 0)])
def test_a_flip_of_probability_one_always_flips(flip: str, axis: int, make_picture: MakePicture) -> None:
    settings = ViewSettings(**{"scale": (1.0, 1.0), "aspect": (1.0, 1.0), "horizontal_flip": 0.0, flip: 1.0})
    picture = make_picture(16, 16)
    for view in range(5):
        flipped = draw_view(picture, view_transform(settings, PREPROCESSING), 0, "a", view)
        np.testing.assert_array_equal(np.asarray(flipped), np.flip(np.asarray(picture), axis))


def test_a_flip_of_probability_one_half_flips_about_half_of_the_views(make_picture: MakePicture) -> None:
    settings = ViewSettings(scale=(1.0, 1.0), aspect=(1.0, 1.0), horizontal_flip=0.5)
    picture, transform = make_picture(16, 16), view_transform(settings, PREPROCESSING)
    kept = sum(draw_view(picture, transform, 0, "a", view).tobytes() == picture.tobytes() for view in range(100))
    assert 30 < kept < 70


def test_a_view_covers_the_share_of_the_picture_that_is_asked_for() -> None:
    # Levels rise from left to right, so the span of a view's levels is the width it covers.
    ramp = np.broadcast_to(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], (256, 256, 3))
    settings = ViewSettings(scale=(0.25, 0.25), aspect=(1.0, 1.0))
    for view in range(5):
        picture = draw_view(Image.fromarray(ramp), view_transform(settings, PREPROCESSING), 0, "a", view)
        assert np.ptp(np.asarray(picture)) == pytest.approx(128 * 15 / 16, abs=2)


# What a recipe may add.


def test_a_dihedral_view_is_any_of_the_eight_turns_and_reflections(make_picture: MakePicture) -> None:
    settings = ViewSettings(scale=(1.0, 1.0), aspect=(1.0, 1.0), dihedral=True)
    picture, transform = make_picture(16, 16), view_transform(settings, PREPROCESSING)
    drawn = [draw_view(picture, transform, 0, "a", view).tobytes() for view in range(400)]
    pixels = np.asarray(picture)
    wanted = [np.ascontiguousarray(np.rot90(side, turns)) for side in (pixels, pixels[:, ::-1]) for turns in range(4)]
    assert set(drawn) == {side.tobytes() for side in wanted}
    assert min(drawn.count(side.tobytes()) for side in wanted) > 25, "all eight are as probable"


def test_dihedral_views_are_not_flipped_once_more(make_picture: MakePicture) -> None:
    settings = ViewSettings(scale=(1.0, 1.0), aspect=(1.0, 1.0), dihedral=True, vertical_flip=1.0)
    picture, transform = make_picture(16, 16), view_transform(settings, PREPROCESSING)
    assert picture.tobytes() in {draw_view(picture, transform, 0, "a", view).tobytes() for view in range(40)}


def test_randaugment_changes_a_view_more_the_larger_its_magnitude(make_picture: MakePicture) -> None:
    picture = make_picture(16, 16)

    def change(magnitude: int) -> float:
        settings = replace(WHOLE, randaugment=magnitude)
        transform = view_transform(settings, PREPROCESSING)
        views = [np.asarray(draw_view(picture, transform, 0, "a", view), dtype=float) for view in range(60)]
        assert views[0].shape == (16, 16, 3)
        return float(np.mean([np.abs(view - np.asarray(picture)).mean() for view in views]))

    assert change(0) == 0
    assert 0 < change(3) < change(25)


def test_random_erasing_fills_one_rectangle_with_noise_and_leaves_the_rest(make_picture: MakePicture) -> None:
    picture = Image.new("RGB", (16, 16), (200, 10, 90))
    transform = view_transform(replace(WHOLE, random_erasing=0.5), PREPROCESSING)
    views = [np.asarray(draw_view(picture, transform, 0, "a", view)) for view in range(60)]
    changed = [(view != np.asarray(picture)).any(axis=2) for view in views]
    assert 15 < sum(bool(one.any()) for one in changed) < 45
    for one in changed:
        rows, columns = np.flatnonzero(one.any(axis=1)), np.flatnonzero(one.any(axis=0))
        if len(rows):
            inside = one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert inside.mean() > 0.9, "a rectangle"
            assert one.mean() < 0.5


@pytest.mark.parametrize("added", [{"randaugment": 9}, {"random_erasing": 1.0}, {"dihedral": True}])
def test_added_changes_are_the_same_each_time_and_leave_the_random_state(
    added: dict[str, object], make_picture: MakePicture
) -> None:
    transform = view_transform(replace(WHOLE, **added), PREPROCESSING)  # type: ignore[arg-type]
    picture, state = make_picture(16, 16), torch.get_rng_state()
    first, again = (draw_view(picture, transform, 3, "a", 5).tobytes() for _ in range(2))
    assert first == again
    assert torch.equal(state, torch.get_rng_state())
