"""Numbers of the grade book: exact decimals with four places, rounded half up."""

from decimal import ROUND_HALF_UP, Decimal

MOST_LINE_ITEMS = 500
"""Of one run."""
LARGEST = Decimal("9999999.9999")
_PLACES = Decimal("0.0001")
MAXIMUM = f"send a number above 0 and at most {LARGEST}"


def stored(value: Decimal) -> Decimal:
    """Return the value as it is kept: four places, half up."""
    return value.quantize(_PLACES, rounding=ROUND_HALF_UP)


def shown(value: Decimal) -> str:
    """Return the value as people write it: without zeros at its end."""
    return f"{stored(value).normalize():f}"


def is_maximum(value: Decimal) -> bool:
    """Tell whether this can be the maximum of a line item."""
    return value.is_finite() and value <= LARGEST and stored(value) > 0
