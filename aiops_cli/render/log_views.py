"""How log lines, and what is known of them, look in tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from aiops_cli.models.log_items import LogStatsItem
from aiops_cli.models.signals import LogItem
from aiops_cli.render.log_lines import source_of
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import si
from aiops_cli.render.views import when
from aiops_cli.services.log_fields import as_text


def log_view(zone: tzinfo | None) -> View[LogItem]:
    """Lines that are all there before the first is printed."""
    return View(
        "LogList",
        [
            Column("cluster", lambda i: i.cluster),
            Column("time", lambda i: _to_the_millisecond(i.timestamp, zone), plain=lambda i: i.timestamp),
            Column("source", lambda i: source_of(i.labels)),
            Column("labels", lambda i: ",".join(f"{k}={v}" for k, v in sorted(i.labels.items())), wide=True),
            Column("line", lambda i: i.line or " ", plain=lambda i: i.line),
        ],
        lambda i: f"{i.cluster}/{i.timestamp}",
    )


def _to_the_millisecond(timestamp: str, zone: tzinfo | None) -> str:
    """As lines that are streamed have it; `timestamp` is RFC 3339 with nanoseconds."""
    return f"{when(timestamp, zone)}{timestamp[19:23]}"


def field_view(names: Sequence[str]) -> View[dict[str, Any]]:
    """Lines as the fields that were chosen."""

    def column(name: str) -> Column[dict[str, Any]]:
        return Column(name, lambda i: as_text(i[name]), plain=lambda i: i[name])

    return View("LogList", [column(n) for n in names], lambda i: as_text(i[names[0]]) or "-")


def _size(value: int | None) -> str:
    """Bytes in powers of 1,024."""
    if value is None:
        return "-"
    for exponent, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if value >= 1024**exponent:
            return f"{value / 1024**exponent:.1f} {unit}"
    return f"{value} B"


STATS: View[LogStatsItem] = View(
    "LogStatsList",
    [
        Column("cluster", lambda i: i.cluster),
        Column("streams", lambda i: si(i.streams), right=True, plain=lambda i: i.streams),
        Column("chunks", lambda i: si(i.chunks), right=True, plain=lambda i: i.chunks),
        Column("entries", lambda i: si(i.entries), right=True, plain=lambda i: i.entries),
        Column("bytes", lambda i: _size(i.bytes), right=True, plain=lambda i: i.bytes),
        Column("method", lambda i: i.method),
    ],
    lambda i: i.cluster,
)
