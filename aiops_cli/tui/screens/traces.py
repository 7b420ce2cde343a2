"""Traces: search over the fleet, one trace as a waterfall, and the service graph."""

from __future__ import annotations

import re
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from aiops_cli.errors import AiopsError
from aiops_cli.models.signals import TraceItem
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.text import clock as clock_text
from aiops_cli.render.text import duration, one_line
from aiops_cli.render.trace_views import headline, trace_view
from aiops_cli.services.session import Session
from aiops_cli.services.times import rfc3339, unix
from aiops_cli.services.traces import Shown
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import Board
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.trace_answers import (
    ORDERS,
    Call,
    Calls,
    Found,
    Opened,
    ask_graph,
    ask_operations,
    ask_services,
    ask_trace,
    ask_traces,
    graph_view,
)
from aiops_cli.tui.widgets.trace_form import Search, TraceForm
from aiops_cli.tui.widgets.views import Views
from aiops_cli.tui.widgets.waterfall import Waterfall
from aiops_cli.tui.working import start

SECONDS = 30.0
LIMIT, _MOST = 50, 1000  # traces a cluster
_AROUND = 1800.0  # seconds searched on each side of a moment that one jumped to
_ID = re.compile(r"[0-9a-fA-F]{8,32}")
VIEWS = ("Search", "Trace", "Graph")


class Traces(Board):
    NAME = "traces"
    DEFAULT_CSS = """
    Traces .view { display: none; }
    Traces.-search #searching, Traces.-trace #trace, Traces.-graph #graph { display: block; }
    Traces #about { height: auto; max-height: 5; padding: 0 1; }
    Traces #span { height: 3; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("traces.logs", "l", "follow('logs')", "Logs", "Of the span's pod or service, at its time.", show=True),
        act("traces.cause", "x", "to('rca')", "Cause", "Of what happened at its time.", show=True),
        act("traces.search", "s", "search", "Search", "Write what is looked for.", show=True),
        act("traces.errors", "f", "errors", "Failed only", "Only traces with a failed span, or all.", show=True),
        act("traces.order", "o", "order", "Order", "Failed first, slowest, newest.", show=True),
        act("traces.more", "M", "more", "More", "Twice as many traces a cluster."),
        act("traces.next-view", "v,shift+right", "view(1)", "Next view", "Search, trace, graph.", show=True),
        act("traces.last-view", "shift+left", "view(-1)", "Previous view"),
        act("traces.lines", "L", "lines", "Its log lines", "Only those that name the trace."),
        act("traces.metrics", "m", "metrics", "Metrics", "Of the service, around its time.", show=True),
        act("traces.alerts", "a", "to('alerts')", "Alerts", "Of the cluster and namespace."),
        act("traces.events", "e", "to('cluster')", "Events", "Of the cluster, at its time."),
        act("traces.related", "R", "related", "Related", "What other signals know of it.", show=True),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.search = Search()
        self.order = ORDERS[0]
        self.limit = LIMIT
        self.around: TimeRange | None = None
        self.trace_id = ""
        self._range = ""  # the dashboard's, when a moment was jumped to
        self._services: list[str] = []
        self._operations: list[str] = []

    # What it is made of

    def content(self) -> ComposeResult:
        self._views = Views(VIEWS)
        self._form = TraceForm(lambda: self._services, lambda: self._operations)
        self._list: Grid[TraceItem] = Grid(trace_view(None), judge=_judged, id="found")
        self._waterfall = Waterfall(id="waterfall")
        self._graph: Grid[Call] = Grid(graph_view(), key=id, id="calls")
        with Vertical():
            yield self._views
            with Vertical(classes="view", id="searching"):
                yield self._form
                yield Panel("Traces", self._list, id="traces", absent=False)
            with Vertical(classes="view", id="trace"):
                yield Panel(
                    "Trace", Static("", id="about", markup=False), self._waterfall,
                    Static("", id="span", markup=False),
                    empty="no trace is open: enter on one of a search, or :traces ID", id="spans",
                    absent=False,
                )  # fmt: skip
            with Vertical(classes="view", id="graph"):
                yield Panel(
                    "Service graph", self._graph, empty="no service calls another in this time", id="edges"
                )

    def on_mount(self) -> None:
        super().on_mount()
        self._feeds: dict[str, Feed[Any]] = {
            "Search": self.feed(self._ask_traces, self._show_traces, every=SECONDS),
            "Trace": self.feed(self._ask_trace, self._show_trace),
            "Graph": self.feed(ask_graph, self._show_graph),
        }
        for name, panel in (("Search", "#traces"), ("Trace", "#spans"), ("Graph", "#edges")):
            self.query_one(panel, Panel).follow(self._feeds[name])
        self.switch("Search")

    def asked_feeds(self) -> Iterable[Feed[Any]]:
        return [self._feeds[self._views.current]]

    def _only_seen(self) -> None:
        """A view that is hidden asks nothing: a graph reads thousands of spans."""
        for name, feed in self._feeds.items():
            if name != self._views.current:
                feed.pause()

    def switch(self, name: str) -> None:
        """Show this view; its table has the keys."""
        self._views.current = name
        for view in VIEWS:
            self.set_class(view == name, f"-{view.lower()}")
        if self.is_current:
            self._feeds[name].start()
        self._only_seen()
        self._rest()
        if self.is_current:
            self.dashboard.remember_place()

    def _rest(self) -> None:
        {"Search": self._list, "Trace": self._waterfall, "Graph": self._graph}[self._views.current].focus()

    # What is asked

    def _ask_traces(self, session: Session) -> Coroutine[Any, Any, Found]:
        return ask_traces(session, self.search, self.order, self.limit, self.around)

    def _ask_trace(self, session: Session) -> Coroutine[Any, Any, Opened]:
        return ask_trace(session, self.trace_id)

    def look_for(self, search: Search) -> None:
        """Search for this from now on."""
        self.search = search
        self._form.put(search)
        self._feeds["Search"].refresh(anew=True)
        self.switch("Search")

    def open(self, trace_id: str) -> None:
        """Show a trace."""
        if trace_id != self.trace_id:
            self.trace_id = trace_id
            self._feeds["Trace"].refresh(anew=True)
        self.switch("Trace")

    def scope_changed(self) -> None:
        if self._range != (now := self.dashboard.range_text):
            self._range, self.around = now, None
        self._services, self._operations = [], []
        super().scope_changed()

    # What is shown

    def _show_traces(self, found: Found) -> None:
        session = self.dashboard.session
        zone = session.zone if session else None
        panel = self.query_one("#traces", Panel)
        around = ""
        if self.around is not None:
            start, end = clock_text(found.window.start, zone), clock_text(found.window.end, zone)
            around = f"{start} to {end[11:]}"
        full = max(_counts(found.rows).values(), default=0) >= self.limit
        more = f"{self.limit} a cluster, M for more" if full else ""
        count = f"{len(found.rows)} traces"
        panel.retitle(" · ".join(filter(None, (count, self.order, self.search.text, around, more))))
        looked = self.search.text or "anything"
        panel.empty = (
            f"no trace was found for {looked}; s changes the search, T the time range, @ the clusters"
        )
        self._list.show(found.rows, trace_view(zone, dated=found.window.seconds > 86_400))

    def _show_trace(self, opened: Opened) -> None:
        session = self.dashboard.session
        panel = self.query_one("#spans", Panel)
        if self.trace_id and not opened.rows:
            panel.empty = f"no cluster that answered has trace {self.trace_id}"
        if opened.facts is None:
            return
        shown = Shown(opened.with_rows(opened.rows), opened.facts, opened.notes)
        first, second = headline(shown, session.zone if session else None).splitlines()
        panel.retitle(f"{second} · {first}")
        from aiops_cli.render.waterfall import contributors

        lines = [
            contributors(opened.rows, self.size.width - 2).strip(),
            *(f"▲ {one_line(n)}" for n in opened.notes),
        ]
        self.query_one("#about", Static).update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"))
        self._waterfall.show(opened.rows)

    def _show_graph(self, calls: Calls) -> None:
        spans = sum(s.spans for s in calls.samples)
        traces = sum(s.traces for s in calls.samples)
        whole = all(s.complete for s in calls.samples)
        made = (
            f"from {spans:,} spans of {traces:,} traces{'' if whole else ', a sample'}"
            if spans
            else "from metrics"
        )
        self.query_one("#edges", Panel).retitle(f"Service graph · {made}" if calls.rows else "Service graph")
        self._graph.show(calls.rows)

    def on_waterfall_highlighted(self, event: Waterfall.Highlighted) -> None:
        from aiops_cli.render.waterfall import below

        s = event.span
        where = " ".join(
            str(s.resource[k]) for k in ("k8s.namespace.name", "k8s.pod.name") if k in s.resource
        )
        critical = f", {duration(s.critical_ms)} on the critical path" if s.critical else ""
        lines = [
            f"{s.service} {s.name} · {s.kind} · {s.status} · {s.cluster} {where}".rstrip(),
            f"starts at {duration(s.start_ms)}, takes {duration(s.duration_ms)}, {duration(s.self_ms)} of its own{critical}",
            next(below(s, "", True), " ".join(f"{k}={v}" for k, v in s.attributes.items())),
        ]  # fmt: skip
        shown = Text("\n".join(map(one_line, lines)), no_wrap=True, overflow="ellipsis")
        self.query_one("#span", Static).update(shown)

    # Keys

    def on_views_chosen(self, event: Views.Chosen) -> None:
        self.switch(event.name)

    def action_view(self, by: int) -> None:
        self.switch(self._views.after(by))

    def action_search(self) -> None:
        self.switch("Search")
        self._form.begin()
        start(self, self._learn, group="learn")

    async def _learn(self) -> None:
        """Names for the form's fields; where a store can't say them, one types them."""
        app = self.dashboard
        try:
            self._services = self._services or await app.backend.ask(ask_services(app.asked()))
            if self.search.service:
                self._operations = await app.backend.ask(ask_operations(app.asked(), self.search.service))
        except AiopsError:
            return

    def on_descendant_blur(self, event: Any) -> None:
        service = self._form.search.service
        if event.widget.id == "service" and service and service != self.search.service:
            self.search = replace(self.search, service=service)
            start(self, self._learn, group="learn")

    def on_trace_form_submitted(self, event: TraceForm.Submitted) -> None:
        text = event.search.traceql
        self.open(text) if _ID.fullmatch(text) else self.look_for(event.search)

    def on_trace_form_left(self) -> None:
        self._rest()

    def action_errors(self) -> None:
        self.look_for(replace(self.search, errors=not self.search.errors))

    def action_order(self) -> None:
        self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        self.look_for(self.search)

    def action_more(self) -> None:
        self.limit = min(self.limit * 2, _MOST)
        self.look_for(self.search)

    def on_grid_opened(self, event: Grid.Opened) -> None:
        if event.grid is self._list:
            self.open(event.item.trace_id)
        elif service := event.item.place[1]:
            self.look_for(Search(service=service))

    def on_waterfall_opened(self, event: Waterfall.Opened) -> None:
        from aiops_cli.tui.widgets.dialogs import Detail

        self.app.push_screen(Detail(f"{event.span.service} {event.span.name}", event.span))

    def leave_inside(self) -> bool:
        if self._views.current == "Trace" and self._waterfall.filter_text:
            self._waterfall.set_filter("")
        elif self._views.current != "Search" and self._feeds["Search"].reading.at is not None:
            self.switch("Search")
        else:
            return super().leave_inside()
        return True

    # Places

    def arrive(self, place: Place) -> None:
        args, text = place.args, place.text.strip()
        trace_id = args.get("trace") or (text if _ID.fullmatch(text) else "")
        if trace_id:
            self.open(trace_id)
            return
        around = self.span_of(place, _AROUND)
        said = Search(
            args.get("name", ""), args.get("op", ""), args.get("min", ""), text, args.get("sev") == "error"
        )
        if (said, around) != (self.search, self.around):
            self._range, self.around = self.dashboard.range_text, around
            self.look_for(said)
        self.switch(next((v for v in VIEWS if v.lower() == args.get("tab")), "Search"))

    def place(self) -> Place:
        view = self._views.current
        if view == "Trace" and self.trace_id:
            return Place(self.NAME, "", {"trace": self.trace_id})
        s = self.search
        args = {"name": s.service, "op": s.operation, "min": s.shortest, "sev": "error" if s.errors else "",
                "tab": "" if view == "Search" else view.lower()}  # fmt: skip
        if self.around is not None:
            args["at"] = rfc3339(self.around.end - self.around.seconds / 2)
            args["since"] = f"{self.around.seconds:.0f}s"
        return Place(self.NAME, s.traceql, {k: v for k, v in args.items() if v})

    # Ways to other signals

    def _pointed(self) -> tuple[str, float, str, Any] | None:
        """What the cursor is on: its cluster, moment, service, and how subjects of it are made."""
        from aiops_cli.services import related_subjects

        view = self._views.current
        if view == "Trace" and (span := self._waterfall.selected) is not None:
            at = unix(span.start_time) or clock.now()
            return span.cluster, at, span.service, lambda h: related_subjects.of_spans([span], h)
        if view == "Search" and (item := self._list.selected) is not None:
            at = unix(item.start_time) or clock.now()
            return item.cluster, at, item.root_service or "", lambda h: related_subjects.of_traces([item], h)
        if view == "Graph" and (call := self._graph.selected) is not None:
            cluster, service = call.place
            cluster = cluster or next((m.name for m in self.dashboard.members), "")
            at = self.dashboard.asked().now
            return cluster, at, service, lambda h: [_service_subject(cluster, service, h.around(at))]
        self.notify("nothing is under the cursor")
        return None

    def _subject(self) -> Any:
        from aiops_cli.services.related_subjects import Horizon

        if (pointed := self._pointed()) is None:
            return None
        return pointed[3](Horizon(TimeRange(0.0, self.dashboard.asked().now)))[0]

    def action_follow(self, view: Literal["logs", "traces"]) -> None:
        from aiops_cli.tui.following import follow

        if (subject := self._subject()) is not None:
            follow(self, view, subject)

    def action_lines(self) -> None:
        from aiops_cli.tui.following import follow

        if (subject := self._subject()) is not None:
            follow(self, "logs", subject, trace=True)

    def action_metrics(self) -> None:
        if (pointed := self._pointed()) is not None:
            cluster, at, service, _ = pointed
            args = {"at": rfc3339(at)} | ({"name": service} if service else {})
            self.go(Place("metrics", "@service-latency", args, (cluster,)))

    def action_to(self, view: str) -> None:
        if (subject := self._subject()) is not None:
            args = {"at": rfc3339(subject.at)} | ({"tab": "events"} if view == "cluster" else {})
            if subject.namespace:
                args["ns"] = subject.namespace
            self.go(Place(view, "", args, (subject.cluster,)))

    def action_related(self) -> None:
        from aiops_cli.tui.widgets.related import show_related

        if (pointed := self._pointed()) is not None:
            cluster, _, service, subjects = pointed
            show_related(self, f"{cluster} {service}", subjects)


def _service_subject(cluster: str, service: str, times: tuple[float, float, float]) -> Any:
    from aiops_cli.analysis.subjects import subject_of

    return subject_of(cluster, "trace", {"service.name": service}, *times, title=f"service {service}")


def _judged(trace: TraceItem) -> str:
    return "error" if trace.error_count else "ok"


def _counts(rows: Sequence[TraceItem]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        for cluster in row.clusters or [row.cluster]:
            counts[cluster] = counts.get(cluster, 0) + 1
    return counts


SCREEN = Traces
