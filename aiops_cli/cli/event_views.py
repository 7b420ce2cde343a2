"""How events look in tables."""

from __future__ import annotations

from datetime import tzinfo

from aiops_cli.cli.views import when
from aiops_cli.models.events import EventItem
from aiops_cli.render.output import Column, View


def event_view(zone: tzinfo | None) -> View[EventItem]:
    return View(
        "EventList",
        [
            Column("cluster", lambda e: e.cluster),
            Column("time", lambda e: when(e.time, zone), plain=lambda e: e.time),
            Column("type", lambda e: e.type),
            Column("object", lambda e: f"{e.kind}/{e.name}"),
            Column("namespace", lambda e: e.namespace),
            Column("what", lambda e: e.what),
            Column("count", lambda e: str(e.count), right=True, plain=lambda e: e.count),
            Column("workloads", lambda e: ",".join(e.workloads), wide=True),
        ],
        lambda e: f"{e.cluster}/{e.namespace or '-'}/{e.kind}/{e.name}",
    )
