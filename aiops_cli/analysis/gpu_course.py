"""What one GPU did over a window: its gauges, and the stretches in which something lowered its clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from aiops_cli.analysis.gpu import LEGACY, PERCENT, Key
from aiops_cli.analysis.gpu_history import measured
from aiops_cli.analysis.gpu_stretches import REASONS, both, merged, reason_masks
from aiops_cli.models.signals import Series

if TYPE_CHECKING:
    from aiops_cli.models.signals import Floats

Measure = Literal["utilization", "memory", "temperature", "power"]
Kind = Literal["thermal", "power", "hardware"]
_MIB = 2.0**20
_ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
_GAUGES: dict[Measure, tuple[str, float]] = {
    "utilization": ("DCGM_FI_DEV_GPU_UTIL", 0.01),
    "memory": ("DCGM_FI_DEV_FB_USED", _MIB),
    "temperature": ("DCGM_FI_DEV_GPU_TEMP", 1.0),
    "power": ("DCGM_FI_DEV_POWER_USAGE", 1.0),
}
"""The metric of each, and what makes it a ratio, bytes, °C, W."""
_VIOLATIONS: dict[str, Kind] = {
    "DCGM_FI_DEV_THERMAL_VIOLATION": "thermal",
    "DCGM_FI_DEV_POWER_VIOLATION": "power",
}
_PART = frozenset({"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", _ACTIVE})  # an instance has its own
METRICS = both(*(name for name, _ in _GAUGES.values()), _ACTIVE, *REASONS, *_VIOLATIONS)


@dataclass(frozen=True, slots=True)
class Throttled:
    """Clocks were lowered from `start` to `end` (unix seconds), which are times of measurements."""

    kind: Kind
    start: float
    end: float


@dataclass(slots=True)
class Course:
    """Gauges by measure (ratio, bytes, °C, W), those that were measured, and when clocks were lowered, by time."""

    gauges: dict[Measure, Series] = field(default_factory=dict)
    throttled: list[Throttled] = field(default_factory=list)


def course(series: Sequence[Series], key: Key) -> Course:
    """Of the GPU or instance `key`, from series of its board. A MIG instance has its own use and memory, and the
    board's temperature, power and clocks."""
    named: dict[str, list[Series]] = {}
    for one in series:
        name = one.labels.get("__name__", "")
        known = LEGACY.get(name, name)
        if one.labels.get("GPU_I_ID", "") == (key[1] if known in _PART else "") and len(one.timestamps):
            named.setdefault(known, []).append(measured(one, name in PERCENT))
    found = Course()
    for measure, (name, scale) in _GAUGES.items():
        if measure == "utilization" and (key[1] or name not in named):
            name, scale = _ACTIVE, 1.0
        times, values = merged(named.get(name, []))
        if times.size:
            found.gauges[measure] = Series({"line": measure}, times, values * scale)
    found.throttled = sorted(_throttled(named), key=lambda t: (t.start, t.kind))
    return found


def _throttled(named: dict[str, list[Series]]) -> list[Throttled]:
    """By the reasons where the exporter has them, which say more than the counters of violations."""
    times, values = merged([s for name in REASONS for s in named.get(name, ())])
    if times.size:
        hot, power, slow = reason_masks(values)
        kinds: tuple[tuple[Kind, np.ndarray[tuple[int], np.dtype[np.bool_]]], ...] = (
            ("thermal", hot),
            ("power", power),
            ("hardware", slow),
        )
        return [t for kind, mask in kinds for t in _runs(kind, times, mask)]
    found: list[Throttled] = []
    for name, kind in _VIOLATIONS.items():
        times, values = merged(named.get(name, []))
        if times.size > 1:
            found += _runs(kind, times, np.append(False, np.diff(values) > 0))
    return found


def _runs(kind: Kind, times: Floats, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[Throttled]:
    """The stretches of a mask, from its first measurement to its last."""
    edges = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [Throttled(kind, float(times[a]), float(times[b])) for a, b in zip(starts, ends, strict=True)]
