"""Values with their unit, as named queries declare it."""

from __future__ import annotations

import math

from aiops_cli.render.text import duration, si


def quantity(value: float | None, unit: str = "") -> str:
    """A value as people say it: 12.5%, 1.84s, 3.2GB, 40/s; `-` for what is not known."""
    if value is None or not math.isfinite(value):
        return si(value)
    if unit in ("ratio", "%"):
        percent = value * 100 if unit == "ratio" else value
        return f"{percent:.3g}%" if abs(percent) < 1000 else f"{percent:.0f}%"
    if unit == "seconds":
        return ("-" if value < 0 else "") + (duration(abs(value) * 1000) if value else "0s")
    short = {"bytes": "B", "1/s": "/s", "cores": ""}.get(unit, unit)
    return f"{si(value)}{short}"
