"""What is known of clusters without asking them, and asking them to be discovered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from aiops_cli.errors import UsageError
from aiops_cli.models.fleet import SIGNALS, Cluster, ClusterHealth, Endpoint, Fact
from aiops_cli.models.result import Answer, ClusterStatus, FleetResult
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.health import score
from aiops_cli.services.times import rfc3339

if TYPE_CHECKING:
    from aiops_cli.services.bundle import Bundle
    from aiops_cli.services.fleet import LiveMember, Member
    from aiops_cli.services.registry import Registry


class ClusterEntry(msgspec.Struct, frozen=True, rename="camel"):
    """An item of `clusters list` and `clusters show`. Facts and learned endpoints carry their evidence
    and `seenAt`/`learnedAt` in unix seconds; `type`, `environment`, `region` and `platform` are labels or
    learned facts, null where unknown."""

    name: str
    server: str | None
    type: str | None
    environment: str | None
    region: str | None
    platform: str | None
    version: str | None
    labels: dict[str, str]
    endpoints: list[Endpoint]
    facts: list[Fact]
    state: str | None = None


class Discovered(msgspec.Struct, frozen=True, rename="camel"):
    """An item of `clusters discover`."""

    cluster: str
    signal: str
    url: str
    via: str
    evidence: str


def entries(members: Sequence[Member], registry: Registry) -> FleetResult[ClusterEntry]:
    """One entry a cluster: config first, then what was learned."""
    rows = []
    for member in members:
        cluster = member.cluster
        learned = registry.endpoints(member.name, cluster.server) if member.origin == "live" else {}
        facts = registry.facts(member.name, cluster.server) if member.origin == "live" else []
        known = {f.key: f.value for f in facts}
        merged = learned | cluster.endpoints
        rows.append(
            ClusterEntry(
                cluster.name,
                cluster.server,
                cluster.labels.get("type"),
                cluster.labels.get("environment"),
                cluster.labels.get("region") or known.get("region"),
                cluster.labels.get("platform") or known.get("platform"),
                known.get("version"),
                cluster.labels,
                [*(_shown(merged[s]) for s in SIGNALS if s in merged), *_pages(cluster)],
                facts,
            )
        )
    origin = "bundle" if members and members[0].origin == "bundle" else "cache"
    return FleetResult(rows, [ClusterStatus(m.name, "SUCCESS", origin) for m in members])  # type: ignore[arg-type]


def _shown(endpoint: Endpoint) -> Endpoint:
    """Without header values, which may hold secrets."""
    return msgspec.structs.replace(endpoint, headers=dict.fromkeys(endpoint.headers, "[hidden]"))


def _pages(cluster: Cluster) -> list[Endpoint]:
    """The exporters that config names."""
    return [Endpoint(kind, url, "config") for kind, urls in cluster.exporters.items() for url in urls]


async def discover_all(
    members: Sequence[LiveMember], *, watch: Watcher | None = None
) -> FleetResult[Discovered]:
    """Run discovery on every cluster that has a context; endpoints set by hand are listed as they are."""

    async def ask(member: LiveMember) -> Answer[Discovered]:
        explicit = member.cluster.endpoints
        notes: list[str] = []
        partial = False
        found: dict[str, Endpoint] = {}
        if member.context is not None:
            discovery = await member.discover(anew=True)
            found = dict(discovery.endpoints)
            silent = {s: e for s, e in discovery.silent.items() if s not in explicit}
            notes = [f"{e.message}" for e in discovery.errors]
            notes += [f"{s} does not answer: {e.message}" for s, e in silent.items()]
            partial = bool(silent)
        rows = [
            Discovered(member.name, s, e.url, e.via, e.evidence)
            for s in SIGNALS
            if (e := explicit.get(s) or found.get(s))
        ]
        return Answer(rows, warnings=notes, partial=partial)

    result = await fan_out(members, ask, watch=watch)
    return result.with_rows([row for _, row in result.rows])


def recorded_health(bundle: Bundle, names: Sequence[str]) -> FleetResult[ClusterHealth]:
    """What a bundle says of the components: those that were recorded answered; those that failed did not."""
    rows, statuses = [], []
    for cluster in bundle.manifest.clusters:
        if cluster.name not in names:
            continue
        parts = bundle.parts_of(cluster.name)
        failed = {f.source: f for f in bundle.manifest.failures if f.cluster == cluster.name}
        components = {
            "apiServer": _recorded(parts.kube is not None, "kubernetes" in failed),
            "prometheus": _recorded(bool(parts.queries), "prometheus" in failed),
            "alertmanager": _recorded(any(a.source == "alertmanager" for a in parts.alerts), False),
            "tempo": _recorded(bool(parts.spans), "traces" in failed),
            "loki": _recorded(bool(parts.logs), "loki" in failed),
        }
        known = [v for v in components.values() if v]
        all_ok = all(v == "OK" for v in known)
        rows.append(
            ClusterHealth(
                cluster.name,
                "UNKNOWN" if not known else "ONLINE" if all_ok else "DEGRADED",
                score(components),
                "CONNECTED" if all_ok and known else "INTERMITTENT",
                components,
                None,
                rfc3339(bundle.end),
            )
        )
        statuses.append(ClusterStatus(cluster.name, "SUCCESS", "bundle"))
    return FleetResult(rows, statuses)


def _recorded(there: bool, failed: bool) -> str | None:
    return "OK" if there else "DOWN" if failed else None


def label_changes(changes: Sequence[str]) -> dict[str, str | None]:
    """`key=value` sets, `key-` removes (None). Raises UsageError for anything else."""
    parsed: dict[str, str | None] = {}
    for change in changes:
        key, sep, value = change.partition("=")
        if sep and key:
            parsed[key] = value
        elif change.endswith("-") and len(change) > 1:
            parsed[change[:-1]] = None
        else:
            raise UsageError(
                f"{change!r} is neither key=value nor key-",
                hint="aiops clusters label edge-7 environment=LAB region-",
            )
    return parsed
