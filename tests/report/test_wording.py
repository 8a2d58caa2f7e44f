"""Numbers in words."""

import pytest

from thumbnet.report.wording import loss_value, points, quantity

# Numbers in words.


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (None, "–"),
        (0, "0"),
        (812, "812"),
        (2_438, "2.44 k"),
        (22_126_928, "22.1 M"),
        (999_999, "1 M"),
        (4.1e9, "4.1 G"),
    ],
)
def test_counts_have_three_digits_and_a_prefix(count: float | None, written: str) -> None:
    assert quantity(count) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0"), (0.4129, "0.413"), (7.4e-5, "7.4×10⁻⁵"), (1e-4, "10⁻⁴"), (-0.5, "−0.5"), (2.5e6, "2.5×10⁶")],
)
def test_losses_too_small_or_large_to_read_become_powers_of_ten(value: float, written: str) -> None:
    assert loss_value(value) == written


@pytest.mark.parametrize(("difference", "written"), [(0.012, "+1.2"), (-0.107, "−10.7"), (-0.0001, "0.0")])
def test_differences_carry_their_sign(difference: float, written: str) -> None:
    assert points(difference) == written
