"""How the report writes a number: units, rounding, and a dash for what is not known.

Knows digits; knows nothing of runs. HTML is the template's matter.
"""

import math

UNKNOWN = "–"
# What networks are compared by, by its name in evaluation.json: its name in prose.
METRICS = {"top1": "top-1", "map": "mean average precision", "agreement": "agreement with the teacher"}
MINUS = "−"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(share: float | None) -> str:
    """A share of 1 as `86.6%`."""
    return UNKNOWN if share is None or math.isnan(share) else f"{100 * share:.1f}%"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, always with its sign unless it rounds to 0."""
    rounded = round(100 * difference, 1)
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else ""
    return f"{sign}{abs(rounded):.1f}"


def quantity(count: float | None, unit: str = "") -> str:
    """Three significant digits with a thousands prefix: `22.1 M`; counts below 1000 as they are."""
    if count is None:
        return UNKNOWN
    prefixes = {1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k"}
    # Rounded before the prefix is chosen, so that 999,999 is 1 M and not 1e+03 k.
    rounded = float(f"{count:.3g}")
    size, prefix = next(((size, prefix) for size, prefix in prefixes.items() if rounded >= size), (1.0, ""))
    return f"{_digits(rounded / size)} {prefix}{unit}".strip()


def times(factor: float) -> str:
    """A factor with three significant digits: `16`, `12.7`."""
    return _digits(factor)


def loss_value(value: float) -> str:
    """A loss with two or three significant digits; a power of ten where zeros would hide them: `3.3×10⁻⁵`."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}".replace("-", MINUS)
    mantissa, exponent = f"{value:.1e}".split("e")
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    mantissa = mantissa.removesuffix(".0").replace("-", MINUS)
    return power if mantissa == "1" else f"{mantissa}×{power}"


def standard_error(share: float, pictures: int) -> float:
    """Binomial standard error of a share measured on so many pictures: `sqrt(p (1 - p) / n)`."""
    return math.sqrt(share * (1 - share) / pictures)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
