"""How traces and spans look in tables."""

from __future__ import annotations

from datetime import tzinfo

from aiops_cli.cli.views import when
from aiops_cli.models.signals import TraceItem
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import duration
from aiops_cli.services.traces import SpanItem


def trace_view(zone: tzinfo | None) -> View[TraceItem]:
    return View(
        "TraceList",
        [
            Column("cluster", lambda t: t.cluster),
            Column("trace", lambda t: t.trace_id),
            Column("start", lambda t: when(t.start_time, zone), plain=lambda t: t.start_time),
            Column("service", lambda t: t.root_service),
            Column("name", lambda t: t.root_name),
            Column("duration", lambda t: duration(t.duration_ms), right=True, plain=lambda t: t.duration_ms),
            Column(
                "spans",
                lambda t: None if t.span_count is None else str(t.span_count),
                right=True,
                plain=lambda t: t.span_count,
            ),
            Column(
                "errors",
                lambda t: None if t.error_count is None else str(t.error_count),
                right=True,
                plain=lambda t: t.error_count,
            ),
        ],
        lambda t: t.trace_id,
    )


def span_view() -> View[SpanItem]:
    return View(
        "SpanList",
        [
            Column("cluster", lambda s: s.cluster),
            Column("span", lambda s: s.span_id),
            Column("parent", lambda s: s.parent_id, wide=True),
            Column("service", lambda s: s.service),
            Column("name", lambda s: s.name),
            Column("start", lambda s: duration(s.start_ms), right=True, plain=lambda s: s.start_ms),
            Column("duration", lambda s: duration(s.duration_ms), right=True, plain=lambda s: s.duration_ms),
            Column("self", lambda s: duration(s.self_ms), right=True, plain=lambda s: s.self_ms),
            Column("status", lambda s: s.status),
            Column("critical", lambda s: "yes" if s.critical else None),
        ],
        lambda s: s.span_id,
    )
