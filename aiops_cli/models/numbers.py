"""Whole numbers out of what others wrote, however absurd: Python's own are slow or raise for thousands of digits."""

from __future__ import annotations

_MOST_DIGITS = 18
_MOST = 1 << 63


def whole(text: str) -> int | None:
    """Decimal digits as a number; None for what is none, and for more digits than anybody counts with."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None


def amount(value: float | None) -> int | None:
    """A number without its fraction; None for none, and for NaN, infinities and what 64 bits don't hold."""
    return int(value) if value is not None and abs(value) < _MOST else None
