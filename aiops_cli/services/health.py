"""Health of clusters: API server, then Prometheus, Alertmanager, Tempo or Jaeger, Loki, exporters, only what a
cluster has.

Score 100, less 50 API server, 20 Prometheus, 15 traces, 15 Loki, never below 0; an Alertmanager or exporter
that is down costs nothing there, and the cluster is degraded (specs/02-cluster-registry.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiops_cli.errors import AiopsError, ErrorCode, NotAvailableError
from aiops_cli.models.fleet import ClusterHealth, Connectivity, HealthState
from aiops_cli.models.result import Answer, ClusterStatus, ErrorInfo, FleetResult, Status
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.times import rfc3339
from aiops_cli.sources.exposition import read_page

SIGNALS_OF = {
    "prometheus": ("prometheus",),
    "alertmanager": ("alertmanager",),
    "tempo": ("tempo", "jaeger"),
    "loki": ("loki",),
}
"""The endpoints of which a component is one or the other."""
_COST = {"apiServer": 50, "prometheus": 20, "tempo": 15, "loki": 15}


async def check(members: Sequence[LiveMember], *, watch: Watcher | None = None) -> FleetResult[ClusterHealth]:
    """Probe each cluster. A cluster that is down is an answer here, and also its status."""
    errors: dict[str, ErrorInfo] = {}

    async def ask(member: LiveMember) -> Answer[ClusterHealth]:
        health = await probe(member)
        if health.error is not None and health.state == "OFFLINE":
            errors[member.name] = health.error
        return Answer([health])

    result = await fan_out(members, ask, watch=watch)
    statuses = [
        ClusterStatus(c.name, _status(errors[c.name]), duration_ms=c.duration_ms, error=errors[c.name])
        if c.name in errors
        else c
        for c in result.clusters
    ]
    return FleetResult([h for _, h in result.rows], statuses)


def _status(error: ErrorInfo) -> Status:
    return "TIMEOUT" if error.code in (ErrorCode.QUERY_TIMEOUT, ErrorCode.CONNECT_TIMEOUT) else "ERROR"


@dataclass(frozen=True, slots=True)
class Part:
    """One component: OK or DOWN, None where the cluster has none or it is not known; how long its answer took
    (milliseconds), and what it failed with."""

    name: str
    state: str | None
    ms: float
    error: AiopsError | None


async def probe(member: LiveMember) -> ClusterHealth:
    """One cluster's health, each component probed at once."""
    found, pages = await asyncio.gather(parts(member), exporters(member))
    return of_parts(member.name, [*found, *pages])


async def exporters(member: LiveMember) -> list[Part]:
    """The pages of `dcgm` and `ptp` that config names, all of a kind as one component."""

    async def one(kind: str) -> Part:
        async def read() -> None:
            await asyncio.gather(*(read_page(c, f"the {kind} exporter") for c in member.exporters(kind)))

        error, ms = await _outcome(read)
        return Part(kind, "DOWN" if error else "OK", ms, error)

    return await asyncio.gather(*(one(kind) for kind in member.cluster.exporters))


async def parts(member: LiveMember) -> list[Part]:
    """The components in the order of the score, each probed at once."""
    probes: dict[str, Callable[[], Awaitable[None]]] = {
        "apiServer": lambda: _kube(member),
        "prometheus": lambda: _metrics(member),
        "alertmanager": lambda: _alertmanagers(member),
        "tempo": lambda: _traces(member),
        "loki": lambda: _logs(member),
    }
    outcomes = await asyncio.gather(*(_outcome(p) for p in probes.values()))
    blind = outcomes[0][0] is not None
    found = []
    for name, (error, ms) in zip(probes, outcomes, strict=True):
        # Without an API server to ask, what nobody has ever found is unknown, not down.
        unknown = name != "apiServer" and blind and not any(member.knows(s) for s in SIGNALS_OF[name])
        state = None if isinstance(error, NotAvailableError) or unknown else "DOWN" if error else "OK"
        found.append(Part(name, state, ms, error))
    return found


def of_parts(cluster: str, parts: Sequence[Part]) -> ClusterHealth:
    """What its components make of a cluster."""
    components = {p.name: p.state for p in parts}
    first = next((p.error for p in parts if p.state == "DOWN" and p.error is not None), None)
    return ClusterHealth(
        cluster,
        _state(components),
        score(components),
        _connectivity({k: v for k, v in components.items() if v is not None}),
        components,
        ErrorInfo.of(first) if first is not None else None,
        rfc3339(time.time()),
    )


def score(components: dict[str, str | None]) -> int | None:
    """0 to 100 of what is known; None where nothing is."""
    if not any(components.values()):
        return None
    return max(0, 100 - sum(_COST.get(name, 0) for name, state in components.items() if state == "DOWN"))


def _state(components: dict[str, str | None]) -> HealthState:
    """OFFLINE when the API server is down, or nothing that is known answers."""
    known = [v for v in components.values() if v is not None]
    if not known:
        return "UNKNOWN"
    if components["apiServer"] == "DOWN" or all(v == "DOWN" for v in known):
        return "OFFLINE"
    return "ONLINE" if all(v == "OK" for v in known) else "DEGRADED"


def _connectivity(known: dict[str, str]) -> Connectivity:
    if not known or all(v == "DOWN" for v in known.values()):
        return "DISCONNECTED"
    return "CONNECTED" if all(v == "OK" for v in known.values()) else "INTERMITTENT"


async def _outcome(probe: Callable[[], Awaitable[None]]) -> tuple[AiopsError | None, float]:
    began = time.perf_counter()
    failed: AiopsError | None = None
    try:
        await probe()
    except AiopsError as error:
        failed = error.settle()
    return failed, (time.perf_counter() - began) * 1000


async def _kube(member: LiveMember) -> None:
    await (await member.kube()).version()


async def _metrics(member: LiveMember) -> None:
    await (await member.metrics()).ready()


async def _alertmanagers(member: LiveMember) -> None:
    """Every one that is known: a gossiping pair that lost one is degraded too."""
    await asyncio.gather(*(s.ready() for s in await member.alertmanagers()))


async def _traces(member: LiveMember) -> None:
    await (await member.traces()).ready()


async def _logs(member: LiveMember) -> None:
    await (await member.logs()).ready()
