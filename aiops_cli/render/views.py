"""How items that several commands show look in tables. Each view names the columns of one kind."""

from __future__ import annotations

from datetime import tzinfo

from msgspec import Struct

from aiops_cli.render.output import Column, View
from aiops_cli.render.text import age, clock
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
