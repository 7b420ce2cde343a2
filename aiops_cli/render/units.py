"""Values with their unit, as named queries declare it."""

from __future__ import annotations

import math

from aiops_cli.render.text import duration, si

_SHORT = {"bytes": "B", "1/s": "/s", "cores": "", "seconds": "s", "ratio": ""}
_WHOLE = 2**53  # up to here every whole number is a float


def quantity(value: float | None, unit: str = "") -> str:
    """A value as people say it: 12.5%, 1.84s, 3.2GB, 40/s; `-` for what is not known."""
    if value is None or not math.isfinite(value):
        return si(value)
    if unit in ("ratio", "%"):
        percent = value * 100 if unit == "ratio" else value
        return f"{percent:.3g}%" if abs(percent) < 1000 else f"{percent:.0f}%"
    if unit == "seconds":
        return ("-" if value < 0 else "") + (duration(abs(value) * 1000) if value else "0s")
    return f"{si(value)}{_SHORT.get(unit, unit)}"


def exactly(value: float | None, unit: str = "") -> str:
    """All digits of a value, in its unit as it is: 0.125, 3221225472B, 1.5s; `-` for what is not known."""
    if value is None or not math.isfinite(value):
        return si(value)
    number = str(int(value)) if value.is_integer() and abs(value) < _WHOLE else repr(value)
    return number + _SHORT.get(unit, unit)
