"""How clusters look in tables."""

from __future__ import annotations

from datetime import tzinfo

from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import age, clock, one_line
from aiops_cli.services.inventory import ClusterEntry, Discovered

CLUSTERS: View[ClusterEntry] = View(
    "ClusterList",
    [
        Column("name", lambda c: c.name),
        Column("type", lambda c: c.type),
        Column("environment", lambda c: c.environment),
        Column("region", lambda c: c.region),
        Column("platform", lambda c: c.platform),
        Column("version", lambda c: c.version),
        Column("endpoints", lambda c: ",".join(dict.fromkeys(e.signal for e in c.endpoints))),
        Column("server", lambda c: c.server),
        Column("labels", lambda c: ",".join(f"{k}={v}" for k, v in sorted(c.labels.items())), wide=True),
    ],
    lambda c: c.name,
)
DISCOVERED: View[Discovered] = View(
    "EndpointList",
    [
        Column("cluster", lambda d: d.cluster),
        Column("signal", lambda d: d.signal),
        Column("via", lambda d: d.via),
        Column("url", lambda d: d.url),
        Column("evidence", lambda d: d.evidence),
    ],
    lambda d: f"{d.cluster}/{d.signal}",
)


def health_view() -> View[ClusterHealth]:
    def part(name: str, title: str, *, wide: bool = False) -> Column[ClusterHealth]:
        return Column(title, lambda h: h.components.get(name), wide=wide)

    return View(
        "ClusterHealthList",
        [
            Column("cluster", lambda h: h.cluster),
            Column("state", lambda h: h.state, keep=True),
            Column(
                "score",
                lambda h: None if h.score is None else str(h.score),
                right=True,
                plain=lambda h: h.score,
            ),
            Column("connectivity", lambda h: h.connectivity),
            part("apiServer", "api"),
            part("prometheus", "prometheus"),
            part("alertmanager", "alertmanager"),
            part("tempo", "traces"),
            part("loki", "loki"),
            part("dcgm", "dcgm", wide=True),
            part("ptp", "ptp", wide=True),
            Column("error", lambda h: h.error.message if h.error else None),
            Column("checked", lambda h: h.checked_at, wide=True),
        ],
        lambda h: h.cluster,
    )


def cluster_text(entry: ClusterEntry, now: float, zone: tzinfo | None) -> str:
    """Everything of one cluster, for people."""
    lines = [entry.name, f"  server       {entry.server or '- (known from the config alone)'}"]
    lines += [
        f"  {name:<12} {getattr(entry, name) or '-'}"
        for name in ("type", "environment", "region", "platform", "version")
    ]
    lines += [f"  label        {k}={v}" for k, v in sorted(entry.labels.items())]
    for endpoint in entry.endpoints:
        learned = f", {age(now - endpoint.learned_at)} ago" if endpoint.learned_at else ""
        lines.append(
            f"  {endpoint.signal:<12} {endpoint.url}  ({endpoint.via}: {endpoint.evidence}{learned})"
        )
    for fact in entry.facts:
        lines.append(f"  {fact.key:<12} {fact.value}  ({fact.evidence}, {clock(fact.seen_at, zone)})")
    return "\n".join(one_line(line) for line in lines) + "\n"
