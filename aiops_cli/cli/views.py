"""How items look in tables. Each view names the columns of one kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from msgspec import Struct

from aiops_cli.models.signals import MetricItem
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import age, clock, si, sparkline
from aiops_cli.services.times import unix


class LabelSet(Struct, frozen=True):
    """An item of `metrics series`."""

    cluster: str
    labels: dict[str, str]


class Word(Struct, frozen=True):
    """An item of `metrics labels`, `metrics values` and `logs labels`."""

    cluster: str
    value: str


def selector(labels: dict[str, str]) -> str:
    """Labels as PromQL writes them."""
    name = labels.get("__name__", "")
    inner = ",".join(f'{k}="{v}"' for k, v in sorted(labels.items()) if k != "__name__")
    return f"{name}{{{inner}}}" if inner or not name else name


# Labels that say who a series is about, when none tells it from others.
_WHO = ("namespace", "job", "pod", "node", "instance")


def _label(name: str) -> Any:
    return lambda item: item.labels.get(name)


def _label_columns(items: Sequence[MetricItem], limit: int = 8) -> list[Column[MetricItem]]:
    """A column for each label that tells these series apart, fewest first; all of them when wide."""
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
    return [Column("metric" if n == "__name__" else n, _label(n), wide=n not in telling) for n in names]


def _last(item: MetricItem) -> float | None:
    return item.samples[-1][1] if item.samples else None


def _known(item: MetricItem) -> list[float]:
    return [v for _, v in item.samples if v is not None]


def metric_view(items: Sequence[MetricItem]) -> View[MetricItem]:
    """`metrics query`: the labels that differ, and the value."""
    value: Column[MetricItem] = Column("value", lambda i: si(_last(i)), right=True, plain=_last)
    cluster: Column[MetricItem] = Column("cluster", lambda i: i.cluster)
    return View(
        "MetricList", [cluster, *_label_columns(items), value], lambda i: f"{i.cluster}/{selector(i.labels)}"
    )


def range_view(items: Sequence[MetricItem]) -> View[MetricItem]:
    """`metrics range`: the labels that differ, a sparkline, and min, max and last."""

    def bounds(pick: Any) -> Any:
        return lambda i: pick(known) if (known := _known(i)) else None

    low, high = bounds(min), bounds(max)
    columns: list[Column[MetricItem]] = [
        Column("cluster", lambda i: i.cluster),
        *_label_columns(items, 5),
        Column("trend", lambda i: sparkline(_shrink(i, 24)), plain=lambda i: None),
        Column("min", lambda i: si(low(i)), right=True, plain=low),
        Column("max", lambda i: si(high(i)), right=True, plain=high),
        Column("last", lambda i: si(_last(i)), right=True, plain=_last),
    ]
    return View("MetricList", columns, lambda i: f"{i.cluster}/{selector(i.labels)}")


def _shrink(item: MetricItem, width: int) -> list[float]:
    values = [math.nan if v is None else v for _, v in item.samples]
    if len(values) <= width:
        return values
    size = len(values) / width
    parts = (values[int(i * size) : max(int((i + 1) * size), int(i * size) + 1)] for i in range(width))
    return [max((v for v in part if not math.isnan(v)), default=math.nan) for part in parts]


SERIES: View[LabelSet] = View(
    "SeriesList",
    [Column("cluster", lambda i: i.cluster), Column("series", lambda i: selector(i.labels))],
    lambda i: f"{i.cluster}/{selector(i.labels)}",
)
LABELS: View[Word] = View(
    "LabelList",
    [Column("cluster", lambda i: i.cluster), Column("label", lambda i: i.value)],
    lambda i: i.value,
)
VALUES: View[Word] = View(
    "LabelValueList",
    [Column("cluster", lambda i: i.cluster), Column("value", lambda i: i.value)],
    lambda i: i.value,
)


def ago(seconds: float | None) -> str:
    return "-" if seconds is None else age(seconds)


def when(text: str | None, zone: tzinfo | None) -> str:
    moment = unix(text)
    return "-" if moment is None else clock(moment, zone)
