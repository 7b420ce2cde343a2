"""Samples of `openshift_ptp_*` put together by what they are about.

A series is known by the labels that name its clock, process or port, whatever a scrape adds: samples of
two replicas, or of the pods before and after a restart, are one track.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aiops_cli.analysis.ptp_codes import PREFIX, UNUSABLE_NS
from aiops_cli.models.samples import Sample
from aiops_cli.models.signals import Labels, Series

Floats = NDArray[np.float64]
Key = tuple[str, ...]
Run = tuple[int | None, float, float]  # value, first and last time at which it was seen

_LABELS: dict[str, tuple[str, ...]] = {
    "offset_ns": ("process", "iface", "from"),
    "max_offset_ns": ("process", "iface", "from"),
    "frequency_adjustment_ns": ("process", "iface", "from"),
    "clock_state": ("process", "iface"),
    "clock_class": ("process", "config"),
    "interface_role": ("process", "iface"),
    "process_status": ("process", "config"),
    "process_restart_count": ("process", "config"),
    "threshold": ("profile", "threshold"),
    "nmea_status": ("process", "iface"),
    "gnss_status": ("process", "iface"),
    "frequency_status": ("process", "iface"),
    "phase_status": ("process", "iface"),
    "pps_status": ("process", "iface"),
}
METRICS = tuple(_LABELS)


@dataclass(slots=True)
class Track:
    """Samples of one thing in order of time (unix seconds)."""

    times: Floats
    values: Floats

    @property
    def last(self) -> float:
        return float(self.values[-1])

    @property
    def last_at(self) -> float:
        return float(self.times[-1])

    def until(self, end: float | None) -> Track:
        """Without what came at `end` or later."""
        if end is None:
            return self
        n = int(np.searchsorted(self.times, end, side="left"))
        return Track(self.times[:n], self.values[:n])

    def usable(self) -> Track:
        """Without sentinels, NaN and offsets that no statistic should hold."""
        good = np.abs(self.values) < UNUSABLE_NS  # False for NaN
        return self if good.all() else Track(self.times[good], self.values[good])

    def runs(self) -> list[Run]:
        """Stretches of one value, in order; None for what is no number."""
        if not len(self.values):
            return []
        if np.isfinite(self.values[0]) and (self.values == self.values[0]).all():  # which most are
            return [(int(self.last), float(self.times[0]), self.last_at)]
        codes = np.where(np.isfinite(self.values), self.values, -1.0)
        firsts = np.flatnonzero(np.diff(codes)) + 1
        starts, ends = np.concatenate([[0], firsts]), np.concatenate([firsts - 1, [len(codes) - 1]])
        return [
            (int(codes[a]) if codes[a] >= 0 else None, float(self.times[a]), float(self.times[b]))
            for a, b in zip(starts, ends, strict=True)
        ]

    def constant_since(self) -> float:
        """Since when the value is what it is at the end."""
        other = np.flatnonzero(self.values != self.values[-1])
        return float(self.times[other[-1] + 1] if len(other) else self.times[0])


@dataclass(slots=True)
class Readings:
    """`now[metric][node][key]` is the newest value, `tracks` the same over the window and now.

    A key is the other labels of `_LABELS`, empty where an exporter lacks one (`config` of older ones).
    """

    at: float
    now: dict[str, dict[str, dict[Key, float]]] = field(default_factory=dict)
    tracks: dict[str, dict[str, dict[Key, Track]]] = field(default_factory=dict)

    def nodes(self) -> list[str]:
        return sorted({node for by_node in self.tracks.values() for node in by_node})

    def value(self, metric: str, node: str) -> dict[Key, float]:
        return self.now.get(metric, {}).get(node, {})

    def track(self, metric: str, node: str) -> dict[Key, Track]:
        return self.tracks.get(metric, {}).get(node, {})

    def has(self, node: str, *metrics: str) -> bool:
        return any(self.value(m, node) or self.track(m, node) for m in metrics)


def read(samples: Iterable[Sample], series: Iterable[Series], at: float) -> Readings:
    """Put samples of the moment `at` and the window's series together; what is no PTP metric is left out."""
    found = Readings(at)
    for sample in samples:
        metric = sample.name.removeprefix(PREFIX)
        if metric in _LABELS and math.isfinite(sample.value):
            place = found.now.setdefault(metric, {}).setdefault(_node(sample.labels), {})
            place[_key(metric, sample.labels)] = sample.value
    parts: dict[tuple[str, str, Key], list[Series]] = defaultdict(list)
    for one in series:
        metric = one.labels.get("__name__", "").removeprefix(PREFIX)
        if metric in _LABELS and len(one.timestamps):
            parts[metric, _node(one.labels), _key(metric, one.labels)].append(one)
    for (metric, node, key), several in parts.items():
        latest = found.value(metric, node).get(key)
        found.tracks.setdefault(metric, {}).setdefault(node, {})[key] = _joined(several, latest, at)
    for metric, by_node in found.now.items():
        for node, values in by_node.items():
            known = found.tracks.setdefault(metric, {}).setdefault(node, {})
            for key, value in values.items():
                if key not in known:
                    known[key] = Track(np.array([at]), np.array([value]))
    return found


def _joined(several: list[Series], latest: float | None, at: float) -> Track:
    several.sort(key=lambda s: float(s.timestamps[0]))
    times, values = [s.timestamps for s in several], [s.values for s in several]
    apart = all(a[-1] < b[0] for a, b in pairwise(times))
    if latest is not None and at > max(float(t[-1]) for t in times):
        times, values = [*times, np.array([at])], [*values, np.array([latest])]
    if len(times) == 1:
        return Track(times[0], values[0])
    joined, chosen = np.concatenate(times), np.concatenate(values)
    if not apart:  # replicas, or pods whose lives overlap
        joined, first = np.unique(joined, return_index=True)
        chosen = chosen[first]
    return Track(joined, chosen)


def _key(metric: str, labels: Labels) -> Key:
    return tuple(labels.get(name, "") for name in _LABELS[metric])


def _node(labels: Labels) -> str:
    """The exporter's own node; a scrape that sets one of its own moves it aside."""
    named = labels.get("exported_node") or labels.get("node")
    return named or labels.get("instance", "").rpartition(":")[0] or labels.get("instance", "")
