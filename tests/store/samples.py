"""Series whose every number follows from its labels, its time and who wrote it, so that a test can tell."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from aiops_cli.models.signals import Series
from aiops_cli.store.ranges import RangeKey

NOW = 1_750_000_000.0
STEP = 15.0


def key(expr: str = "up", **other: Any) -> RangeKey:
    known = RangeKey("edge-7", "https://prom.example", "", "me", expr, STEP)
    return dataclasses.replace(known, **other)


def value_at(number: int, ts: float, version: int = 0) -> float:
    return (ts % 100_000) * 1.000_000_1 + number * 1e6 + version * 1e9


def series(start: float, end: float, *, count: int = 3, step: float = STEP, version: int = 0) -> list[Series]:
    """`count` series with a point at each step of the window, both ends included."""
    stamps = np.round(np.arange(round(start / step), round(end / step) + 1) * step, 3)
    return [
        Series({"pod": f"p{n}"}, stamps, np.array([value_at(n, t, version) for t in stamps]))
        for n in range(count)
    ]


def exact(found: list[Series]) -> list[tuple[dict[str, str], bytes, bytes]]:
    """Comparable to the last bit, NaN included."""
    return [(s.labels, s.timestamps.tobytes(), s.values.tobytes()) for s in found]
