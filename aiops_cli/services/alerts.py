"""Alerts over the fleet; the same alert from several places once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member

_RANK = {"critical": 0, "warning": 1, "info": 2}


async def list_alerts(
    members: Sequence[Member],
    *,
    state: str | None = None,
    severity: str | None = None,
    namespace: str | None = None,
    name: str | None = None,
    watch: Watcher | None = None,
) -> FleetResult[AlertItem]:
    """Active alerts, worst first, then oldest. `state` and `severity` compare without case."""

    async def ask(member: Member) -> Answer[AlertItem]:
        return await (await member.alerts()).alerts()

    result = await fan_out(members, ask, watch=watch)
    unique: dict[tuple[str, str], AlertItem] = {}
    for cluster, alert in result.rows:
        found = msgspec.structs.replace(
            alert, cluster=cluster, fingerprint=alert.fingerprint or fingerprint(alert.labels)
        )
        unique.setdefault((cluster, found.fingerprint), found)
    rows = [
        a
        for a in unique.values()
        if (state is None or a.state == state.upper())
        and (severity is None or (a.severity or "").lower() == severity.lower())
        and (namespace is None or a.labels.get("namespace") == namespace)
        and (name is None or a.name == name)
    ]
    rows.sort(
        key=lambda a: (_RANK.get((a.severity or "").lower(), 3), a.starts_at or "", a.cluster, a.fingerprint)
    )
    return result.with_rows(rows)


def fingerprint(labels: dict[str, str]) -> str:
    """A stable id for an alert that its source gave none."""
    return hashlib.sha256("\xff".join(f"{k}\xfe{v}" for k, v in sorted(labels.items())).encode()).hexdigest()[
        :16
    ]
