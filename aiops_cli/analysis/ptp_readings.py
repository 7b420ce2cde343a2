"""Samples of `openshift_ptp_*` put together by what they are about.

A series is known by the labels that name its clock, process or port, whatever a scrape adds: samples of
two replicas, or of the pods before and after a restart, are one track.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiops_cli.analysis import ptp_codes as codes
from aiops_cli.analysis.ptp_codes import PREFIX
from aiops_cli.models.samples import Sample
from aiops_cli.models.signals import Labels, Series

Floats = NDArray[np.float64]
Key = tuple[str, ...]

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
_NEAR = 120.0  # s without a scrape, from which on those of another series count
TROUBLE: dict[str, Callable[[float], bool]] = {
    "clock_state": lambda v: v in (0, 2),
    "clock_class": lambda v: codes.degraded(int(v)) if math.isfinite(v) else False,
    "interface_role": lambda v: v == codes.FAULTY,
    "process_status": lambda v: v == 0,
    "gnss_status": lambda v: v < codes.GNSS_FIX,
    "nmea_status": lambda v: v == 0,
}
"""Which values of a metric are trouble."""


class Run(NamedTuple):
    """A stretch of one value, None for what is no number: when it was first and last seen (unix seconds).

    `whole` says that it began then; else no sample tells what was before, and it may be older.
    """

    value: int | None
    since: float
    last: float
    whole: bool = True


@dataclass(slots=True)
class Track:
    """Samples of one thing in order of time (unix seconds).

    `began` is since when the first value stands by what was before these samples, and `whole` whether it
    began then, as in Run; None where nobody looked.
    """

    times: Floats
    values: Floats
    began: float | None = None
    whole: bool = False

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
        return Track(self.times[:n], self.values[:n], self.began, self.whole)

    def usable(self) -> Track:
        """Without sentinels, NaN and offsets that no statistic should hold."""
        good = np.abs(self.values) < codes.UNUSABLE_NS  # False for NaN
        return self if good.all() else self.only(good)

    def only(self, which: NDArray[np.bool_]) -> Track:
        """Some of its samples."""
        return Track(self.times[which], self.values[which])

    def runs(self) -> list[Run]:
        """Stretches of one value, in order."""
        if not len(self.values):
            return []
        first = float(self.times[0]) if self.began is None else self.began
        if np.isfinite(self.values[0]) and (self.values == self.values[0]).all():  # which most are
            return [Run(int(self.last), first, self.last_at, self.whole)]
        numbers = np.where(np.isfinite(self.values), self.values, -1.0)
        firsts = np.flatnonzero(np.diff(numbers)) + 1
        starts, ends = np.concatenate([[0], firsts]), np.concatenate([firsts - 1, [len(numbers) - 1]])
        return [
            Run(
                int(numbers[a]) if numbers[a] >= 0 else None,
                float(self.times[a]) if a else first,
                float(self.times[b]),
                bool(a) or self.whole,
            )
            for a, b in zip(starts, ends, strict=True)
        ]

    def lasting(self) -> Run:
        """The last of its runs."""
        since = self.constant_since()
        if since > self.times[0]:
            return Run(None, since, self.last_at)
        return Run(None, since if self.began is None else self.began, self.last_at, self.whole)

    def constant_since(self) -> float:
        """Since when the value is what it is at the end."""
        other = np.flatnonzero(self.values != self.values[-1])
        return float(self.times[other[-1] + 1] if len(other) else self.times[0])


@dataclass(slots=True)
class Readings:
    """`now[metric][node][key]` is the newest value, `tracks` the same over the window and now.

    A key is the other labels of `_LABELS`, empty where an exporter lacks one (`config` of older ones).
    `losses[node][key]` is how often a clock lost its lock by every sample, where that was asked.
    `extremes[metric][node][key]` is the largest absolute value of any sample, measurements alone, where that was
    asked: tracks have one sample a step, and more where something happened.
    """

    at: float
    now: dict[str, dict[str, dict[Key, float]]] = field(default_factory=dict)
    tracks: dict[str, dict[str, dict[Key, Track]]] = field(default_factory=dict)
    losses: dict[str, dict[Key, int]] = field(default_factory=dict)
    extremes: dict[str, dict[str, dict[Key, float]]] = field(default_factory=dict)

    def nodes(self) -> list[str]:
        return sorted({node for by_node in self.tracks.values() for node in by_node})

    def value(self, metric: str, node: str) -> dict[Key, float]:
        return self.now.get(metric, {}).get(node, {})

    def track(self, metric: str, node: str) -> dict[Key, Track]:
        return self.tracks.get(metric, {}).get(node, {})

    def has(self, node: str, *metrics: str) -> bool:
        return any(self.value(m, node) or self.track(m, node) for m in metrics)

    def reached(self, metric: str, labels: Labels, values: Floats) -> None:
        """Learn how far a clock was off between the samples of its track."""
        sizes = np.abs(values)
        sizes = sizes[sizes < codes.UNUSABLE_NS]  # not NaN
        if len(sizes):
            of_node = self.extremes.setdefault(metric, {}).setdefault(node_of(labels), {})
            key = _key(metric, labels)
            of_node[key] = max(of_node.get(key, 0.0), float(sizes.max()))

    def extreme(self, metric: str, node: str, key: Key | None) -> float | None:
        return self.extremes.get(metric, {}).get(node, {}).get(key) if key is not None else None

    def wrong_from_the_start(self) -> set[str]:
        """Metrics of which a track's first sample shows trouble: since when, earlier samples tell."""
        return {
            metric
            for metric, wrong in TROUBLE.items()
            for by_key in self.tracks.get(metric, {}).values()
            for track in by_key.values()
            if len(track.times) > 1 and wrong(track.values[0])
        }

    def look_back(self, earlier: Iterable[Series], gap: float) -> None:
        """Learn from earlier samples since when first values stand. What ends `gap` seconds before a track
        begins tells nothing of it."""
        for (metric, node, key), several in _parts(earlier).items():
            track = self.track(metric, node).get(key)
            if track is None:
                continue
            before = _joined(several, None, self.at).until(float(track.times[0]))
            if not len(before.times) or track.times[0] - before.last_at > gap:
                continue
            if before.last == track.values[0]:
                track.began = before.constant_since()
                track.whole = bool(track.began > before.times[0])
            else:
                track.whole = True

    def sharpen(self, scrapes: Iterable[Series]) -> None:
        """Learn from the scrapes before it when, between two steps, a first value came to stand."""
        for (metric, node, key), several in _parts(scrapes).items():
            track = self.track(metric, node).get(key)
            if track is None or track.began is None or not track.whole:
                continue
            before = _joined(several, None, self.at).until(track.began + 1e-3)
            if len(before.times) and before.last == track.values[0]:
                track.began = before.constant_since()


def read(
    samples: Iterable[Sample], series: Iterable[Series], at: float, losses: Iterable[Sample] = ()
) -> Readings:
    """Put samples of the moment `at` and the window's series together; what is no PTP metric is left out.

    `losses` count how often clocks lost their lock. Of several samples or series of one thing that overlap
    (replicas, the pods before and after a restart) the one counts that began last.
    """
    found = Readings(at)
    parts = _parts(series)
    several_now: dict[tuple[str, str, Key], list[Sample]] = {}
    for sample in samples:
        metric = sample.name.removeprefix(PREFIX)
        if metric in _LABELS and math.isfinite(sample.value):
            place = metric, node_of(sample.labels), _key(metric, sample.labels)
            several_now.setdefault(place, []).append(sample)
    for (metric, node, key), there in several_now.items():
        newest = there[0] if len(there) == 1 else _newest(there, parts.get((metric, node, key), []))
        found.now.setdefault(metric, {}).setdefault(node, {})[key] = newest.value
    for (metric, node, key), several in parts.items():
        latest = found.value(metric, node).get(key)
        found.tracks.setdefault(metric, {}).setdefault(node, {})[key] = _joined(several, latest, at)
    for metric, by_node in found.now.items():
        for node, values in by_node.items():
            known = found.tracks.setdefault(metric, {}).setdefault(node, {})
            for key, value in values.items():
                if key not in known:
                    known[key] = Track(np.array([at]), np.array([value]))
    for sample in losses:
        of_node = found.losses.setdefault(node_of(sample.labels), {})
        key = _key("clock_state", sample.labels)
        of_node[key] = max(of_node.get(key, 0), int(sample.value))
    return found


def _parts(series: Iterable[Series]) -> dict[tuple[str, str, Key], list[Series]]:
    parts: dict[tuple[str, str, Key], list[Series]] = defaultdict(list)
    for one in series:
        metric = one.labels.get("__name__", "").removeprefix(PREFIX)
        if metric in _LABELS and len(one.timestamps):
            parts[metric, node_of(one.labels), _key(metric, one.labels)].append(one)
    return parts


def _identity(labels: Labels) -> frozenset[tuple[str, str]]:
    return frozenset(pair for pair in labels.items() if pair[0] != "__name__")


def _beginnings(series: Iterable[Series]) -> dict[frozenset[tuple[str, str]], float]:
    """When each series began; one may come in parts."""
    began: dict[frozenset[tuple[str, str]], float] = {}
    for one in series:
        which, first = _identity(one.labels), float(one.timestamps[0])
        began[which] = min(began.get(which, first), first)
    return began


def _newest(samples: list[Sample], series: list[Series]) -> Sample:
    """Of one moment's samples that of the series that began last, which may be too young to be among them."""
    began = _beginnings(series)
    return max(samples, key=lambda s: began.get(_identity(s.labels), math.inf))


def _joined(several: list[Series], latest: float | None, at: float) -> Track:
    several.sort(key=lambda s: float(s.timestamps[0]))
    times, values = [s.timestamps for s in several], [s.values for s in several]
    if any(a[-1] >= b[0] for a, b in pairwise(times)):
        times, values = _one_over_another(several)
    if latest is not None and at > max(float(t[-1]) for t in times):
        times, values = [*times, np.array([at])], [*values, np.array([latest])]
    if len(times) == 1:
        return Track(times[0], values[0])
    return Track(np.concatenate(times), np.concatenate(values))


def _one_over_another(several: list[Series]) -> tuple[list[Floats], list[Floats]]:
    """Replicas, or pods whose lives overlap: what began last is believed, and others only where it has none. Parts of one series, at steps and in full, are put together first."""
    began = _beginnings(several)
    parts: dict[frozenset[tuple[str, str]], list[Series]] = defaultdict(list)
    for one in several:
        parts[_identity(one.labels)].append(one)
    times, values = np.empty(0), np.empty(0)
    for which in sorted(parts, key=lambda w: -began[w]):
        own = np.concatenate([s.timestamps for s in parts[which]])
        said = np.concatenate([s.values for s in parts[which]])
        if len(times):
            before = np.searchsorted(times, own, side="right") - 1
            after = np.searchsorted(times, own)
            inside = (before >= 0) & (after < len(times))
            gap = times[np.minimum(after, len(times) - 1)] - times[np.maximum(before, 0)]
            needed = ~(inside & (gap <= _NEAR))
            own, said = own[needed], said[needed]
        # A scrape goes before what a step says of the same moment.
        times, first = np.unique(np.concatenate([times, own]), return_index=True)
        values = np.concatenate([values, said])[first]
    return [times], [values]


def _key(metric: str, labels: Labels) -> Key:
    return tuple(labels.get(name, "") for name in _LABELS[metric])


def node_of(labels: Labels) -> str:
    """Which node a series is about. The exporter's own node; a scrape that sets one of its own moves it aside."""
    named = labels.get("exported_node") or labels.get("node")
    return named or labels.get("instance", "").rpartition(":")[0] or labels.get("instance", "")
