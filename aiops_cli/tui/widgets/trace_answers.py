"""What the traces screen asks of the fleet, and what the answers are shown as."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiops_cli.models.result import FleetResult
from aiops_cli.models.signals import TraceItem
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.output import Column, View
from aiops_cli.render.service_map import call_rows
from aiops_cli.render.trace_views import edge_view
from aiops_cli.services.service_graph import EdgeItem, Sample
from aiops_cli.services.session import Session
from aiops_cli.services.traces import SpanItem, TraceFacts
from aiops_cli.tui.widgets.trace_form import Search

ORDERS = ("failed first", "slowest", "newest")


@dataclass(slots=True)
class Found(FleetResult[TraceItem]):
    """Traces in the order that was asked for."""

    window: TimeRange = field(default_factory=lambda: TimeRange(0.0, 1.0))


@dataclass(slots=True)
class Opened(FleetResult[SpanItem]):
    """One trace: its spans in tree order, the whole of it, and what does not fit together."""

    facts: TraceFacts | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Call:
    """A line of the service graph: the tree's text, and the call it stands for, if any."""

    text: str
    edge: EdgeItem | None

    @property
    def place(self) -> tuple[str, str]:
        """The cluster and service that the line is of."""
        if self.edge is not None:
            return self.edge.server_cluster, self.edge.server
        cluster, _, service = self.text.rpartition("/")
        return cluster, service


@dataclass(slots=True)
class Calls(FleetResult[Call]):
    """The graph's lines, and what they were read from."""

    samples: list[Sample] = field(default_factory=list)


async def ask_traces(
    session: Session, search: Search, order: str, limit: int, around: TimeRange | None
) -> Found:
    """What the form says, of each cluster in scope; ids are kept so that the start of one is enough."""
    from aiops_cli.services import trace_recall, traces

    query = search.query(limit, slowest=order != "newest")
    window = around or session.window()
    if around and session.bundle is not None:
        window = session.bundle.within(around)
    found = await traces.search(session.members, query, window)
    trace_recall.remember(session.cache_policy().answers, [t.trace_id for t in found.rows], session.now)
    rows = found.rows
    if order == "failed first":
        rows = sorted(rows, key=lambda t: (not t.error_count, -t.duration_ms))
    return Found(rows, found.clusters, window)


async def ask_trace(session: Session, trace_id: str) -> Opened:
    """A trace by its id or the start of one that a search showed, joined over the clusters in scope."""
    if not trace_id:
        return Opened([], [])
    from aiops_cli.services import trace_recall, traces

    given = traces.valid_id(trace_id)
    whole = trace_recall.whole(session.cache_policy().answers, given, session.now)
    shown = await traces.show(session.members, whole)
    return Opened(shown.result.rows, shown.result.clusters, shown.facts, shown.notes)


async def ask_graph(session: Session) -> Calls:
    """Who calls whom, of metrics where clusters have them, else of spans."""
    from aiops_cli.services import service_graph

    found = await service_graph.graph(session.members, session.window())
    rows = [Call(text, edge) for text, edge in call_rows(found.result.rows)]
    return Calls(rows, found.result.clusters, found.samples)


async def ask_services(session: Session) -> list[str]:
    from aiops_cli.services import trace_names

    found = await trace_names.services(session.members, session.window())
    return [s.service for s in found.rows if s.service.isprintable()]


async def ask_operations(session: Session, service: str) -> list[str]:
    from aiops_cli.services import trace_names

    found = await trace_names.operations(session.members, service, session.window())
    return list(dict.fromkeys(o.operation for o in found.rows if o.operation.isprintable()))


def graph_view() -> View[Call]:
    """The tree, and the numbers of each call."""

    def of(column: Column[EdgeItem]) -> Column[Call]:
        plain = column.plain or column.value
        return Column(
            column.title,
            lambda call: None if call.edge is None else column.value(call.edge),
            right=True,
            plain=lambda call: None if call.edge is None else plain(call.edge),
            keep=True,
        )

    numbers = [of(c) for c in edge_view().columns if c.title in ("calls", "rate", "errors", "p50", "p95")]
    return View(
        "TraceGraph",
        [Column("service", lambda call: call.text), *numbers],
        lambda call: call.text.strip("│├└─ "),
    )
