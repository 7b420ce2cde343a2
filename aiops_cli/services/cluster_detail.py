"""One cluster in full: each part with how it was found and how fast it answers, nodes, namespaces."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiops_cli.errors import AiopsError, ClusterError, NotAvailableError
from aiops_cli.models.cluster_detail import EndpointItem, NamespaceItem, NodeItem
from aiops_cli.models.events import EventItem
from aiops_cli.models.fleet import ClusterHealth, Endpoint, Fact
from aiops_cli.models.result import Answer, ClusterStatus, FleetResult, Origin
from aiops_cli.models.signals import Workload
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services import health, times
from aiops_cli.services.bundle import not_recorded
from aiops_cli.services.events import filter_of, list_events
from aiops_cli.services.fanout import fan_out
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.related_subjects import AFTER, BEFORE
from aiops_cli.sources import kubernetes_inventory

if TYPE_CHECKING:
    from aiops_cli.services.bundle import Bundle
    from aiops_cli.services.registry import Registry
    from aiops_cli.services.session import Session
    from aiops_cli.sources.kubernetes import KubernetesSource
    from aiops_cli.sources.kubernetes_objects import Pod

PARTS = {
    "apiServer": "api server",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "tempo": "traces",
    "loki": "loki",
}
"""Components of health, as people call them."""
_FIRST = ("version", "openshift_version", "microshift_version", "platform", "region")
"""What is asked first of a cluster; what it has not stands last."""
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Detail:
    """A cluster's health and the parts that make it; `result` has a row for each part and further endpoint."""

    health: ClusterHealth
    result: FleetResult[EndpointItem]


async def detail(member: Member, registry: Registry, bundle: Bundle | None) -> Detail:
    """Probe everything of a cluster at once; of a bundle, what was recorded. What is down is an answer here."""
    if not isinstance(member, LiveMember):
        return _recorded(member.name, bundle)
    found, others = await asyncio.gather(health.parts(member), asyncio.gather(*_others(member)))
    learned = registry.endpoints(member.name, member.cluster.server)
    known = learned | member.cluster.endpoints
    rows = []
    for part in found:
        signal = next((s for s in health.SIGNALS_OF.get(part.name, ()) if s in known), None)
        way = known[signal] if signal else None
        if part.name == "apiServer" and member.context is not None:
            way = Endpoint("apiServer", member.context.cluster.server, "direct", evidence="the kubeconfig")
        title = "jaeger" if signal == "jaeger" else PARTS[part.name]
        rows.append(_row(member.name, title, part.state, part.ms, part.error, way))
    rows += [row for one in others for row in one]
    status = ClusterStatus(member.name, "SUCCESS", "live")
    return Detail(health.of_parts(member.name, found), FleetResult(rows, [status]))


def _row(
    cluster: str,
    title: str,
    state: str | None,
    ms: float | None,
    error: AiopsError | None,
    way: Endpoint | None,
) -> EndpointItem:
    return EndpointItem(
        cluster,
        title,
        state,
        ms if state == "OK" else None,
        way.via if way else None,
        way.url if way else None,
        way.evidence or None if way else None,
        way.learned_at if way else None,
        error.message if error is not None and (state == "DOWN" or way is not None) else _absent(error),
    )


def _absent(error: AiopsError | None) -> str | None:
    """Why a part has no state: that none is known is no failure, and needs no more words than that."""
    if error is None:
        return None
    return "none known" if isinstance(error, NotAvailableError) else error.message


def _others(member: LiveMember) -> list[Awaitable[list[EndpointItem]]]:
    """Endpoints that have no part in health: Korrel8r, further Alertmanagers, exporters that config names."""
    asks: list[Awaitable[list[EndpointItem]]] = []
    if member.knows("korrel8r"):
        asks.append(_korrel8r(member))
    if len(member.cluster.alertmanagers) > 1:
        asks.append(_alertmanagers(member))
    for kind in ("dcgm", "ptp"):
        for client in member.exporters(kind):
            way = Endpoint(kind, client.endpoint, evidence="the config file")
            asks.append(_probed(member.name, f"{kind} exporter", way, lambda c=client: _page(c)))  # type: ignore[misc]
    return asks


async def _korrel8r(member: LiveMember) -> list[EndpointItem]:
    way = await member.endpoint("korrel8r")

    async def ready() -> None:
        await (await member.korrel8r()).ready()

    return await _probed(member.name, "korrel8r", way, ready)


async def _alertmanagers(member: LiveMember) -> list[EndpointItem]:
    """Each of a pair alone: health tells of both as one."""
    sources = await member.alertmanagers()
    rows = await asyncio.gather(
        *(
            _probed(member.name, f"alertmanager {i}", way, source.ready)
            for i, (source, way) in enumerate(zip(sources, member.cluster.alertmanagers, strict=True), 1)
        )
    )
    return [row for one in rows for row in one]


async def _page(client: object) -> None:
    from aiops_cli.sources import dcgm

    await dcgm.pages([client])  # type: ignore[list-item]


async def _probed(
    cluster: str, title: str, way: Endpoint, probe: Callable[[], Awaitable[None]]
) -> list[EndpointItem]:
    began = time.perf_counter()
    failed: AiopsError | None = None
    try:
        await probe()
    except AiopsError as error:
        failed = error
    ms = (time.perf_counter() - began) * 1000
    return [_row(cluster, title, "DOWN" if failed else "OK", ms, failed, way)]


def _recorded(name: str, bundle: Bundle | None) -> Detail:
    from aiops_cli.services.inventory import recorded_health

    assert bundle is not None, "members that are not live come from a bundle"
    recorded = recorded_health(bundle, [name])
    state = recorded.rows[0]
    failed = {f.source: f.message for f in bundle.manifest.failures if f.cluster == name}
    sources = next((c.sources for c in bundle.manifest.clusters if c.name == name), {})
    rows = [
        EndpointItem(
            name,
            PARTS[part],
            value,
            None,
            "bundle" if value else None,
            None,
            sources.get(_SOURCES.get(part, part)),
            None,
            failed.get(_SOURCES.get(part, part)) if value == "DOWN" else None,
        )
        for part, value in state.components.items()
    ]
    return Detail(state, recorded.with_rows(rows))


_SOURCES = {"apiServer": "kubernetes", "tempo": "traces"}
"""What a bundle's manifest calls a component."""


def facts(member: Member, registry: Registry, bundle: Bundle | None) -> FleetResult[Fact]:
    """What is known of a cluster, with its evidence: its labels, and what was learned or recorded. Asks nobody."""
    labels = member.cluster.labels
    if bundle is None:
        told = "the config, or aiops clusters label"
        rows = registry.facts(member.name, member.cluster.server)
        seen = time.time()
    else:
        kube, told, seen = bundle.parts_of(member.name).kube, "as recorded", bundle.end
        rows = [Fact("version", kube.version, told, seen)] if kube is not None else []
    rows.sort(key=lambda f: (f.key not in _FIRST, f.value in ("false", "0"), f.key))
    rows += [Fact(f"label {key}", value, told, seen) for key, value in sorted(labels.items())]
    origin: Origin = "cache" if bundle is None else "bundle"
    return FleetResult(rows, [ClusterStatus(member.name, "SUCCESS", origin)])


@dataclass(frozen=True, slots=True)
class Inventory:
    """Nodes and namespaces of a cluster, from one look at its pods."""

    nodes: FleetResult[NodeItem]
    namespaces: FleetResult[NamespaceItem]


async def inventory(member: Member) -> Inventory:
    """The nodes and namespaces of a cluster, those with trouble first. A bundle has the namespaces of its pods."""
    pods: asyncio.Future[Answer[Pod] | ClusterError] | None = None

    async def listed(member: LiveMember) -> tuple[KubernetesSource, Answer[Pod] | ClusterError]:
        nonlocal pods
        source = await member.kube()
        if pods is None:
            pods = asyncio.ensure_future(kubernetes_inventory.attempt(kubernetes_inventory.pods(source)))
        return source, await pods

    async def nodes(member: Member) -> Answer[NodeItem]:
        if not isinstance(member, LiveMember):
            raise not_recorded("the nodes", ["namespaces and pods"])
        source, found = await listed(member)
        return await kubernetes_inventory.nodes(source, member.name, found)

    async def namespaces(member: Member) -> Answer[NamespaceItem]:
        if not isinstance(member, LiveMember):
            return _of_workloads(member.name, await (await member.kube()).workloads())
        source, found = await listed(member)
        return await kubernetes_inventory.namespaces(source, member.name, found)

    found, spaces = await asyncio.gather(fan_out([member], nodes), fan_out([member], namespaces))
    return Inventory(
        found.with_rows([row for _, row in found.rows]), spaces.with_rows([row for _, row in spaces.rows])
    )


def _of_workloads(cluster: str, answer: Answer[Workload]) -> Answer[NamespaceItem]:
    spaces: dict[str, list[Workload]] = {}
    for pod in answer.rows:
        spaces.setdefault(pod.namespace, []).append(pod)
    rows = []
    for name, pods in spaces.items():
        current = [p for p in pods if p.phase not in _ENDED]
        idle = Counter(p.phase for p in current if p.phase != "Running")
        reasons = [f"{phase} {n}" if n > 1 else phase for phase, n in idle.most_common()]
        restarts = sum(p.restarts for p in current)
        rows.append(NamespaceItem(cluster, name, None, len(current), sum(idle.values()), reasons, restarts))
    rows.sort(key=lambda n: (-n.not_ready, n.name))
    return Answer(rows, "bundle", warnings=answer.warnings)


async def happened(
    member: Member, session: Session, about: str, namespace: str, moment: str
) -> FleetResult[EventItem]:
    """What happened in a cluster in the session's window, or around a moment, newest first; of an object (NAME or
    KIND/NAME) and a namespace where they are given. Raises UsageError for what is none."""
    window = session.window()
    if moment:
        at = times.parse_time(moment, session.now, session.zone)
        window = TimeRange(at - BEFORE, min(at + AFTER, session.now))
    wanted = filter_of(about or None, namespace or None, None, [], alerts=True)
    found = await list_events([member], window, wanted, step=session.bundle.step if session.bundle else 0.0)
    return found.with_rows(found.rows[::-1])
