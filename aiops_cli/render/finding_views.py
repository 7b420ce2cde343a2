"""How findings look in tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from aiops_cli.models.findings import Finding
from aiops_cli.render.output import Column, View
from aiops_cli.render.views import when


def finding_view(
    zone: tzinfo | None, rows: Sequence[Finding] = (), *, brief: bool = False, narrow: bool = False
) -> View[Finding]:
    """`brief` leaves the date out where it is one for all, and the cluster where there is only one;
    `narrow` the codes, which the texts say in words."""
    days = {when(t, zone)[:10] for f in rows for t in (f.since, f.until) if t}
    start = 11 if brief and len(days) == 1 else 0
    one_cluster = brief and len({f.cluster for f in rows}) == 1
    return View(
        "FindingList",
        [
            Column("severity", lambda f: f.severity),
            Column("code", lambda f: f.code, wide=narrow),
            Column("cluster", lambda f: f.cluster, wide=one_cluster),
            Column("about", lambda f: f.entity.name),
            Column(
                "since", lambda f: when(f.since, zone)[start:] if f.since else "", plain=lambda f: f.since
            ),
            Column(
                "until", lambda f: when(f.until, zone)[start:] if f.until else "", plain=lambda f: f.until
            ),
            Column("finding", lambda f: f.text),
            Column("do", lambda f: f.action, wide=True),
            Column("source", lambda f: f.source, wide=True),
        ],
        lambda f: f"{f.cluster}/{f.entity.kind}/{f.entity.name}/{f.code}",
    )
