"""How events look in tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from aiops_cli.models.events import EventItem
from aiops_cli.render.output import Column, View
from aiops_cli.render.views import when


def event_view(rows: Sequence[EventItem], zone: tzinfo | None, *, brief: bool = False) -> View[EventItem]:
    """What all rows have in common needs no column. `brief` leaves the date out where it is one for all."""
    one_day = brief and len({when(e.time, zone)[:10] for e in rows}) == 1
    one_namespace = len({e.namespace for e in rows}) <= 1
    never_twice = all(e.count == 1 for e in rows)
    return View(
        "EventList",
        [
            Column("cluster", lambda e: e.cluster),
            Column("time", lambda e: when(e.time, zone)[11 if one_day else 0 :], plain=lambda e: e.time),
            Column("type", lambda e: e.type),
            Column("object", lambda e: f"{e.kind}/{e.name}"),
            Column("namespace", lambda e: e.namespace, wide=one_namespace),
            Column("what", lambda e: e.what),
            Column("count", lambda e: str(e.count), right=True, wide=never_twice, plain=lambda e: e.count),
            Column("workloads", lambda e: ",".join(e.workloads), wide=True),
        ],
        lambda e: f"{e.cluster}/{e.namespace or '-'}/{e.kind}/{e.name}",
    )
