"""How series look: instant answers, ranges with their trend, native histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from itertools import pairwise
from typing import Any

from msgspec import Struct

from aiops_cli.models.metric_row import MetricRow, plain
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import clock, si, sparkline
from aiops_cli.render.units import exactly, quantity
from aiops_cli.render.views import selector, when
from aiops_cli.services.listings import ExemplarItem, MetadataItem

# Labels that say who a series is about, when none tells it from others.
_WHO = ("namespace", "job", "pod", "node", "instance")
# Columns that are no labels.
_OWN = ("metric", "time", "value", "trend", "min", "max", "last", "count", "sum", "avg")
_TREND = 24  # cells of a sparkline

Value = Callable[[float | None], str]


def metric_view(
    items: Sequence[MetricRow], unit: str = "", *, exact: bool = False, zone: tzinfo | None = None
) -> View[MetricRow]:
    """`metrics query`: the labels that differ, and the value, `exact` or as people say it; native histograms
    by their quantiles."""
    if any(len(i.values) + len(i.histograms) > 1 for i in items):
        return range_view(items, unit, exact=exact)  # what `up[5m]` gives
    shown = _value(unit, exact)
    if items and all(i.labels.keys() == {"value"} and i.last is None for i in items):  # a string
        text: Column[MetricRow] = Column("value", _label("value"))
        return View("MetricList", [Column("cluster", cluster_of), text], _name)
    columns = _who(items, 8)
    columns.append(Column("time", lambda i: _moment(i, zone), right=True, wide=True, plain=lambda i: _at(i)))
    if not items or any(len(i.values) for i in items):
        columns.append(Column("value", lambda i: shown(i.last), right=True, plain=lambda i: i.last))
    return View("MetricList", columns + _histogram_columns(items, shown), _name)


def range_view(items: Sequence[MetricRow], unit: str = "", *, exact: bool = False) -> View[MetricRow]:
    """`metrics range`: the labels that differ, a sparkline, and min, max and last."""
    shown = _value(unit, exact)
    columns = _who(items, 5)
    if not items or any(len(i.values) for i in items):
        columns += [
            Column("trend", lambda i: sparkline(_shrunk(i, _TREND)), plain=lambda i: None),
            Column("min", lambda i: shown(_bound(i, min)), right=True, plain=lambda i: _bound(i, min)),
            Column("max", lambda i: shown(_bound(i, max)), right=True, plain=lambda i: _bound(i, max)),
            Column("last", lambda i: shown(i.last), right=True, plain=lambda i: i.last),
        ]
    return View("MetricList", columns + _histogram_columns(items, shown), _name, _Samples())


def legend_view(
    items: Sequence[MetricRow],
    unit: str,
    mark: Callable[[MetricRow], str],
    numbers: Callable[[MetricRow], Sequence[float | None]],
    at: Callable[[MetricRow], float | None] | None = None,
) -> View[MetricRow]:
    """What a chart's lines are: the letter of each (`mark`), the labels that differ, the value `at` the cursor,
    and `numbers`: last, min, avg and max, computed before. CSV has every sample."""
    shown = _value(unit, False)

    def column(title: str, value: Callable[[MetricRow], float | None]) -> Column[MetricRow]:
        return Column(title, lambda i: shown(value(i)), right=True, plain=value, keep=True)

    columns = [] if at is None else [column("cursor", at)]
    columns += [
        column(title, lambda i, n=n: numbers(i)[n])  # type: ignore[misc]
        for n, title in enumerate(("last", "min", "avg", "max"))
    ]
    trend: Column[MetricRow] = Column(
        "trend", lambda i: sparkline(_shrunk(i, _TREND)), plain=lambda i: None, wide=True
    )
    line: Column[MetricRow] = Column("line", mark, keep=True)
    return View("MetricList", [line, *_who(items, 5), *columns, trend], _name, _Samples())


def _value(unit: str, exact: bool) -> Value:
    return partial(exactly if exact else quantity, unit=unit)


def _newest(item: MetricRow) -> float | None:
    times = item.times if len(item.times) else [at for at, _ in item.histograms]
    return float(times[-1]) if len(times) else None


def _moment(item: MetricRow, zone: tzinfo | None) -> str | None:
    at = _newest(item)
    return None if at is None else clock(at, zone)


def _at(item: MetricRow) -> str | None:
    at = _newest(item)
    return None if at is None else _rfc3339(at)


def _name(item: MetricRow) -> str:
    return f"{cluster_of(item)}/{selector(item.labels)}"


def cluster_of(item: MetricRow) -> str:
    """An aggregate's clusters by number, where there are several."""
    if item.clusters is None:
        return item.cluster
    return item.clusters[0] if len(item.clusters) == 1 else f"{len(item.clusters)} clusters"


def _who(items: Sequence[MetricRow], limit: int) -> list[Column[MetricRow]]:
    """The cluster, and a column for each label that tells these series apart, fewest first; all of
    them when wide."""
    values: dict[str, set[str | None]] = {}
    for i in items:
        for key in i.labels:
            values.setdefault(key, set())
    for key, seen in values.items():
        seen.update(i.labels.get(key) for i in items)
    names = sorted(values, key=lambda k: (k != "__name__", len(values[k]) == 1, k))
    telling = [n for n in names if len(values[n]) > 1 or n == "__name__"][:limit]
    if not any(n != "__name__" for n in telling):
        telling += [n for n in _WHO if n in values][:3] or names[:3]
    labels: list[Column[MetricRow]] = [Column(_title(n), _label(n), wide=n not in telling) for n in names]
    return [Column("cluster", cluster_of), *labels]


def _title(label: str) -> str:
    """A label's column. One that is called as another column is gets a prefix, as servers do."""
    return "metric" if label == "__name__" else f"exported_{label}" if label in _OWN else label


def _label(name: str) -> Callable[[MetricRow], str | None]:
    return lambda item: item.labels.get(name)


def _bound(item: MetricRow, pick: Callable[[Iterable[float]], float]) -> float | None:
    """The least or greatest of the values, NaN left out."""
    if isinstance(item.values, Sequence):
        known = [v for v in item.values if v == v]
        return pick(known) if known else None
    known_values = item.values[item.values == item.values]
    if not known_values.size:
        return None
    return float(known_values.min() if pick is min else known_values.max())


def _shrunk(item: MetricRow, width: int) -> list[float]:
    """The greatest value of each of `width` parts of equal length; NaN where there is none."""
    values = plain(item.values)
    if len(values) <= width:
        return values
    size = len(values) / width
    bounds = [int(i * size) for i in range(width)] + [len(values)]
    parts = (values[a:b] for a, b in pairwise(bounds))
    return [max((v for v in part if v == v), default=float("nan")) for part in parts]


def _histogram_columns(items: Sequence[MetricRow], shown: Value) -> list[Column[MetricRow]]:
    """Columns for the newest native histogram of each series, where any has one."""
    if not any(i.histograms for i in items):
        return []
    from aiops_cli.analysis.native_histogram import Histogram

    read = {id(i): Histogram.parse(i.histograms[-1][1]) for i in items if i.histograms}

    def column(title: str, value: Callable[[Histogram], float], say: Value) -> Column[MetricRow]:
        def number(item: MetricRow) -> float | None:
            histogram = read.get(id(item))
            return None if histogram is None else value(histogram)

        return Column(title, lambda i: say(number(i)), right=True, plain=number)

    return [
        column("count", lambda h: h.count, si),
        column("sum", lambda h: h.sum, shown),
        column("avg", lambda h: h.average, shown),
        *(column(f"p{q}", lambda h, q=q: h.quantile(q / 100), shown) for q in (50, 90, 99)),  # type: ignore[misc]
    ]


class QueryItem(Struct, frozen=True, rename="camel"):
    """An item of `metrics queries`: PromQL that can be asked as @NAME, of which unit, and what it means."""

    name: str
    about: str
    unit: str
    meaning: str
    expr: str


QUERIES: View[QueryItem] = View(
    "QueryList",
    [
        Column("name", lambda i: f"@{i.name}"),
        Column("about", lambda i: i.about),
        Column("unit", lambda i: i.unit),
        Column("meaning", lambda i: i.meaning),
        Column("expr", lambda i: i.expr, wide=True),
    ],
    lambda i: f"@{i.name}",
)
METADATA: View[MetadataItem] = View(
    "MetadataList",
    [
        Column("cluster", lambda i: i.cluster),
        Column("metric", lambda i: i.metric),
        Column("type", lambda i: i.type),
        Column("unit", lambda i: i.unit),
        Column("differs", lambda i: "yes" if i.differs else ""),
        Column("help", lambda i: i.help),
    ],
    lambda i: i.metric,
)


def exemplar_view(zone: tzinfo | None, unit: str = "") -> View[ExemplarItem]:
    """`metrics exemplars`: when, how much, which trace."""
    return View(
        "ExemplarList",
        [
            Column("cluster", lambda i: i.cluster),
            Column("time", lambda i: when(i.timestamp, zone), plain=lambda i: i.timestamp),
            Column("series", lambda i: selector(i.labels)),
            Column("value", lambda i: quantity(i.value, unit), right=True, plain=lambda i: i.value),
            Column("trace", lambda i: i.trace_id),
        ],
        lambda i: i.trace_id or f"{i.cluster}/{selector(i.labels)}",
    )


class _Samples:
    """CSV with a row for each sample: cluster, labels, time (RFC 3339, UTC), value."""

    def titles(self, items: Sequence[MetricRow]) -> list[str]:
        return ["cluster", *map(_title, self._labels(items)), "time", "value", *self._more(items)]

    def blocks(self, items: Sequence[MetricRow]) -> Iterable[Sequence[Any]]:
        labels, more = self._labels(items), self._more(items)
        before: list[float] = []
        times: list[str] = []
        for item in items:
            who = [cluster_of(item), *(item.labels.get(name) for name in labels)]
            if (moments := plain(item.times)) != before:  # most series have the same steps
                before, times = moments, [_rfc3339(t) for t in moments]
            yield [*who, times, [_number(v) for v in plain(item.values)], *(None for _ in more)]
            if item.histograms:
                objects = [h for _, h in item.histograms]
                texts = [[str(h.get(key, "")) for h in objects] for key in more]
                yield [*who, [_rfc3339(t) for t, _ in item.histograms], None, *texts]

    def _labels(self, items: Sequence[MetricRow]) -> list[str]:
        return sorted({name for item in items for name in item.labels})

    def _more(self, items: Sequence[MetricRow]) -> list[str]:
        return ["count", "sum"] if any(i.histograms for i in items) else []


def _rfc3339(time: float) -> str:
    text = datetime.fromtimestamp(round(time, 3), UTC).isoformat(timespec="auto" if time % 1 else "seconds")
    return text.replace("+00:00", "Z")


def _number(value: float) -> str:
    return "" if value != value else repr(value)
