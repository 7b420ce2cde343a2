"""How traces and spans look in tables."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from aiops_cli.models.signals import TraceItem
from aiops_cli.render.output import Column, View
from aiops_cli.render.service_map import per_second, percent
from aiops_cli.render.text import duration, one_line, si
from aiops_cli.render.views import when
from aiops_cli.services.service_graph import EdgeItem
from aiops_cli.services.trace_names import OperationItem, ServiceItem
from aiops_cli.services.traces import Shown, SpanItem


def trace_view(zone: tzinfo | None, *, dated: bool = True) -> View[TraceItem]:
    """Traces; `dated` shows the day too. Times and numbers are never cut before ids and names are: the
    start of an id is enough for `traces show`."""

    def start(t: TraceItem) -> str:
        shown = when(t.start_time, zone)
        return shown if dated else shown[11:] or shown

    return View(
        "TraceList",
        [
            Column("cluster", lambda t: ",".join(t.clusters) or t.cluster, plain=lambda t: t.cluster),
            Column("trace", lambda t: t.trace_id, keep=True),
            Column("start", start, right=True, plain=lambda t: t.start_time, keep=True),
            Column("service", lambda t: t.root_service),
            Column("name", lambda t: t.root_name, keep=True),
            _lasting("duration", lambda t: t.duration_ms),
            _count("spans", lambda t: t.span_count),
            _count("errors", lambda t: t.error_count),
        ],
        lambda t: t.trace_id,
    )


def _count(title: str, value: Any) -> Column[Any]:
    def shown(item: Any) -> str | None:
        count = value(item)
        return None if count is None else str(count)

    return Column(title, shown, right=True, plain=value)


def _lasting(title: str, ms: Any) -> Column[Any]:
    """Milliseconds, which CSV has as plain numbers."""
    return Column(title, lambda item: duration(ms(item)), right=True, plain=ms, unit="ms")


def span_view() -> View[SpanItem]:
    return View(
        "SpanList",
        [
            Column("cluster", lambda s: s.cluster),
            Column("span", lambda s: s.span_id),
            Column("parent", lambda s: s.parent_id, wide=True),
            Column("service", lambda s: s.service),
            Column("name", lambda s: s.name, keep=True),
            Column("kind", lambda s: s.kind, wide=True),
            _lasting("start", lambda s: s.start_ms),
            _lasting("duration", lambda s: s.duration_ms),
            _lasting("self", lambda s: s.self_ms),
            Column(
                "critical",
                lambda s: duration(s.critical_ms) if s.critical else None,
                right=True,
                plain=lambda s: s.critical_ms,
                unit="ms",
            ),
            Column("status", lambda s: s.status),
        ],
        lambda s: s.span_id,
    )


def headline(shown: Shown, zone: tzinfo | None) -> str:
    """Two lines on the whole trace."""
    facts = shown.facts
    if facts is None:
        return ""
    clusters = f", in {', '.join(facts.clusters)}" if len(facts.clusters) > 1 else ""
    counts = [(facts.spans, "span"), (len(facts.services), "service"), (facts.errors, "error")]
    said = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts)
    return (
        f"trace {one_line(facts.trace_id)}  {when(facts.start_time, zone)}\n"
        f"{duration(facts.duration_ms)}, {said}{one_line(clusters)}\n"
    )


def service_view() -> View[ServiceItem]:
    return View(
        "TraceServiceList",
        [
            Column("service", lambda s: s.service),
            Column("clusters", lambda s: ",".join(s.clusters)),
            _count("spans", lambda s: s.spans),
            _count("errors", lambda s: s.errors),
        ],
        lambda s: s.service,
    )


def operation_view() -> View[OperationItem]:
    return View(
        "TraceOperationList",
        [
            Column("service", lambda o: o.service),
            Column("operation", lambda o: o.operation),
            Column("kind", lambda o: o.kind),
            Column("clusters", lambda o: ",".join(o.clusters)),
        ],
        lambda o: o.operation,
    )


def edge_view() -> View[EdgeItem]:
    def server(e: EdgeItem) -> str:
        return e.server if e.server_cluster == e.cluster else f"{e.server_cluster}/{e.server}"

    return View(
        "TraceGraph",
        [
            Column("cluster", lambda e: e.cluster),
            Column("client", lambda e: e.client),
            Column("server", server),
            Column("type", lambda e: e.connection_type or None),
            Column("calls", lambda e: si(float(e.calls)), right=True, plain=lambda e: e.calls),
            Column("rate", lambda e: per_second(e.rate), right=True, plain=lambda e: e.rate),
            Column("errors", lambda e: percent(e.error_share), right=True, plain=lambda e: e.error_share),
            _lasting("p50", lambda e: e.p50_ms),
            _lasting("p95", lambda e: e.p95_ms),
            Column("seen by", lambda e: e.seen_by, wide=True),
            Column("source", lambda e: e.source, wide=True),
        ],
        lambda e: f"{e.cluster}/{e.client}->{e.server_cluster}/{e.server}",
    )
