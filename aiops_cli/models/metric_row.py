"""What metrics commands show: series whose samples stay arrays until they are printed, metadata, exemplars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from aiops_cli.models.signals import Floats, Labels, Series

Histograms = Sequence[tuple[float, dict[str, Any]]]
_AMONG_ITEMS = b"\n    "
_IN_AN_ITEM = b"\n      "
_IN_A_LIST = b"\n        "


class Described(Struct, frozen=True):
    """What a server knows of a metric; servers may know several versions of one."""

    type: str = "unknown"
    help: str = ""
    unit: str = ""


class Exemplar(Struct, frozen=True):
    """One observation that left a trace: its own labels (mostly `trace_id`), value and unix seconds."""

    labels: dict[str, str]
    value: str
    timestamp: float


class ExemplarSeries(Struct, frozen=True, rename="camel"):
    """The exemplars of one series."""

    series_labels: dict[str, str]
    exemplars: list[Exemplar]


class MetricRow:
    """What becomes an item of `metrics query` and `metrics range` (`MetricItem` is its JSON).

    `times` (unix seconds, ascending) and `values` have one length: float64 arrays, or plain sequences
    where NumPy is not worth its start. `histograms` are (unix seconds, the server's object) of native
    histograms. `clusters` names who went into an aggregate; it is None for a cluster's own series.
    """

    __slots__ = ("cluster", "clusters", "histograms", "labels", "times", "values")

    def __init__(
        self,
        cluster: str,
        labels: Labels,
        times: Sequence[float] | Floats,
        values: Sequence[float] | Floats,
        histograms: Histograms = (),
        clusters: list[str] | None = None,
    ) -> None:
        self.cluster = cluster
        self.labels = labels
        self.times = times
        self.values = values
        self.histograms = histograms
        self.clusters = clusters

    @classmethod
    def of(cls, cluster: str, series: Series, labels: Labels) -> MetricRow:
        """A series with the labels it is shown with."""
        return cls(cluster, labels, series.timestamps, series.values, series.histograms)

    @property
    def last(self) -> float | None:
        """The newest value; None where it is NaN, or where there is only a histogram."""
        value = float(self.values[-1]) if len(self.values) else math.nan
        return None if math.isnan(value) else value

    def encode(self) -> bytes:
        """The item as JSON on one line."""
        parts = [msgspec.json.encode(self._said())[:-1], b',"samples":', self._samples()]
        if self.histograms:
            parts += [b',"histograms":', msgspec.json.encode(self._histograms())]
        return b"".join([*parts, b"}"])

    def pretty(self) -> bytes:
        """The item as JSON inside the list of items, a sample a line."""
        said = msgspec.json.format(msgspec.json.encode(self._said()), indent=2)
        parts = [said.removesuffix(b"\n}").replace(b"\n", _AMONG_ITEMS), b"," + _IN_AN_ITEM, b'"samples": ']
        samples = self._samples()[1:-1].replace(b"],[", b"]," + _IN_A_LIST + b"[")
        parts.append(_listed(samples))
        if self.histograms:
            lines = (b"," + _IN_A_LIST).join(map(msgspec.json.encode, self._histograms()))
            parts += [b"," + _IN_AN_ITEM, b'"histograms": ', _listed(lines)]
        return b"".join([*parts, _AMONG_ITEMS, b"}"])

    def _said(self) -> dict[str, Any]:
        said: dict[str, Any] = {"cluster": self.cluster, "labels": self.labels}
        return said if self.clusters is None else said | {"clusters": self.clusters}

    def _samples(self) -> bytes:
        """[[t, value], ...]; what is no finite number is null."""
        return msgspec.json.encode(list(zip(_seconds(self.times), plain(self.values), strict=True)))

    def _histograms(self) -> list[tuple[float, dict[str, Any]]]:
        """The server's objects, which have numbers as text, with numbers."""
        return [(_second(at), _numbers(h)) for at, h in self.histograms]


def plain(numbers: Sequence[float] | Floats) -> list[float]:
    """An array's or sequence's numbers as Python's own."""
    if isinstance(numbers, Sequence):
        return list(numbers)
    return cast("list[float]", numbers.tolist())


def _seconds(times: Sequence[float] | Floats) -> Iterable[float]:
    """Whole seconds without a fraction, which is what most servers send."""
    if isinstance(times, Sequence):
        return map(_second, times)
    whole = times.astype("int64")
    return cast("list[float]", (whole if (whole == times).all() else times).tolist())


def _second(time: float) -> float:
    return int(time) if time.is_integer() else time


def _numbers(histogram: dict[str, Any]) -> dict[str, Any]:
    """`{count, sum, buckets: [[rule, low, high, count], ...]}`, all of them numbers."""
    return {
        "count": float(histogram.get("count", "nan")),
        "sum": float(histogram.get("sum", "nan")),
        "buckets": [[int(rule), *map(float, rest)] for rule, *rest in histogram.get("buckets", [])],
    }


def _listed(lines: bytes) -> bytes:
    return b"[" + _IN_A_LIST + lines + _IN_AN_ITEM + b"]" if lines else b"[]"
