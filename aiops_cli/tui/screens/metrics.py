"""Metrics: PromQL over the fleet, plotted, with a cursor that leads to logs and traces of its time."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from aiops_cli.models.metric_row import MetricRow
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.metric_views import legend_view, metric_view
from aiops_cli.render.plot import LETTERS, MAX_SERIES
from aiops_cli.render.text import clock as clock_text
from aiops_cli.render.views import selector
from aiops_cli.services.session import Session
from aiops_cli.services.times import rfc3339
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import Board
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.plot import Lines, Plot, value_at
from aiops_cli.tui.widgets.plot_answers import Chart, Values, ask_chart, ask_values
from aiops_cli.tui.widgets.plot_legend import Legend
from aiops_cli.tui.widgets.promql import Promql

if TYPE_CHECKING:
    from aiops_cli.models.related import Subject

SECONDS = 15.0
_AROUND = 1800.0  # seconds shown on each side of a moment that one jumped to
_NOTHING = "p writes PromQL, n chooses a named query; @name and the queries before complete as one types"
HISTORY, PINNED = "promql", "pinned queries"


class Metrics(Board):
    NAME = "metrics"
    DEFAULT_CSS = """
    Metrics #plot { height: 1fr; min-height: 6; }
    Metrics #legend { height: 35%; min-height: 4; }
    Metrics #values { display: none; }
    Metrics.-table #values { display: block; }
    Metrics.-table #chart { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("metrics.edit", "p", "edit", "PromQL", "Write the query.", show=True),
        act("metrics.named", "n", "named", "Queries", "Choose a named, pinned or recent query.", show=True),
        act("metrics.pin", "b", "pin", "Pin", "Keep this query at the head of that list, or no longer."),
        act("metrics.earlier", "left", "cursor(-1)", "Cursor left", "Move the cursor on the time axis."),
        act("metrics.later", "right", "cursor(1)", "Cursor right"),
        act("metrics.zoom-in", "i,plus", "zoom(0.5)", "Zoom in", "Half the time, around the cursor.", show=True),
        act("metrics.zoom-out", "o", "zoom(2)", "Zoom out", "Twice the time.", show=True),
        act("metrics.pan-left", "H", "pan(-1)", "Pan left", "Half a window back."),
        act("metrics.pan-right", "L", "pan(1)", "Pan right", "Half a window on."),
        act("metrics.view", "v,shift+left,shift+right", "view", "Table/plot", "The values at the cursor, or now, as a table; the plot.", show=True),
        act("metrics.logs", "l", "follow('logs')", "Logs", "Of the series, at the cursor's time.", show=True),
        act("metrics.traces", "t", "follow('traces')", "Traces", "Of the series, at the cursor's time.", show=True),
        act("metrics.related", "R", "related", "Related", "What other signals know of the series at that time.", show=True),
        act("metrics.alerts", "a", "to('alerts')", "Alerts", "Of the series' cluster and namespace."),
        act("metrics.events", "e", "to('cluster')", "Events", "Of its cluster, at the cursor's time."),
        act("metrics.cause", "x", "to('rca')", "Root cause", "Of what happened at the cursor's time."),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.expr = ""
        self.zoom: TimeRange | None = None
        self._chart = Chart([], [])
        self._chosen: set[str] | None = None  # lines that were chosen; None: the loudest
        self._before: set[str] | None = None  # what was chosen before one alone was
        self._letters: dict[str, str] = {}
        self._places: dict[int, int] = {}  # of each row by identity, since rows are many and their keys long
        self._wanted_cursor: float | None = None

    def content(self) -> ComposeResult:
        self._editor = Promql(lambda: self.dashboard.remembered.texts(HISTORY), id="editor")
        self._plot = Plot(id="plot")
        self._legend = Legend(legend_view([], "", self._letter, self._numbers), key=self._key, id="legend")
        self._table: Grid[MetricRow] = Grid(metric_view([]), id="instant")
        with Vertical():
            yield self._editor
            yield Panel("Plot", self._plot, self._legend, empty=_NOTHING, id="chart", absent=False)
            yield Panel("Table", self._table, empty=_NOTHING, id="values", absent=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.expr = next(reversed(self.dashboard.remembered.texts(HISTORY)), "")
        self._editor.put(self.expr)
        self._charts = self.feed(self._ask_chart, self._show_chart, every=SECONDS)
        self._values = self.feed(self._ask_values, self._show_values, every=SECONDS)
        self.query_one("#chart", Panel).follow(self._charts)
        self.query_one("#values", Panel).follow(self._values)
        self._only_seen()
        self._range = self.dashboard.range_text
        self._legend.focus()

    def asked_feeds(self) -> Iterable[Feed[Any]]:
        return [self._values if self.tabular else self._charts]

    def _only_seen(self) -> None:
        """The view that is hidden asks nothing."""
        (self._charts if self.tabular else self._values).pause()

    @property
    def tabular(self) -> bool:
        return self.has_class("-table")

    # What is asked

    def _ask_chart(self, session: Session) -> Coroutine[Any, Any, Chart]:
        return ask_chart(session, self.expr, self.zoom)

    def _ask_values(self, session: Session) -> Coroutine[Any, Any, Values]:
        return ask_values(session, self.expr, self._plot.cursor)

    def _ask_anew(self) -> None:
        self._charts.refresh(anew=True)
        self._values.refresh(anew=True)

    def scope_changed(self) -> None:
        """Another time range than before ends a zoom into the old one."""
        if self.dashboard.range_text != self._range:
            self._range, self.zoom = self.dashboard.range_text, None
        self._editor.vocabulary.forget()
        super().scope_changed()

    def run(self, expr: str, *, typed: bool = True) -> None:
        """Ask this from now on; what one typed is remembered."""
        if expr != self.expr:
            self.expr = expr
            self._chosen = self._before = None
            self._filter(self._legend, "")
            self._filter(self._table, "")
        if typed:
            self.dashboard.remembered.add_line(HISTORY, expr)
        self._editor.put(expr)
        self._ask_anew()
        if self.is_current:
            self.dashboard.remember_place()

    def on_promql_submitted(self, event: Promql.Submitted) -> None:
        self.run(event.text)
        self._rest()

    def on_promql_left(self) -> None:
        self._rest()

    def _rest(self) -> None:
        (self._table if self.tabular else self._legend).focus()

    # What is shown

    def _show_chart(self, chart: Chart) -> None:
        self._chart = chart
        self._places = {id(row): i for i, row in enumerate(chart.rows)}
        session = self.dashboard.session
        self._plot.zone = session.zone if session else None
        start, end = (clock_text(at, self._plot.zone) for at in (chart.window.start, chart.window.end))
        same = start[:10] == end[:10]
        zoomed = f"{start[11:]}–{end[11:]}" if same else f"{start[5:16]} – {end[5:16]}"
        unit = f"[{chart.unit}]" if chart.unit else ""
        count = f"{len(chart.rows)} series" if chart.rows else ""
        title = " · ".join(
            filter(None, (f"{chart.meaning or 'Plot'} {unit}".strip(), count, zoomed if self.zoom else ""))
        )
        panel = self.query_one("#chart", Panel)
        panel.retitle(title)
        panel.empty = self._why()
        self._draw()
        if self._wanted_cursor is not None:
            self._plot.put_cursor(self._wanted_cursor)
            self._wanted_cursor = None

    def _show_values(self, values: Values) -> None:
        at = self._plot.cursor
        when = "" if at is None else f" at {clock_text(at, self._plot.zone)}"
        panel = self.query_one("#values", Panel)
        panel.retitle(f"Values{when} · {len(values.rows)} series")
        panel.empty = self._why()
        self._table.show(values.rows, metric_view(values.rows, values.unit, zone=self._plot.zone))

    def _why(self) -> str:
        """What an answer without rows says."""
        if not self.expr:
            return _NOTHING
        return f"nothing found for {self.expr} in this time; T another time range, @ other clusters"

    def _key(self, row: MetricRow) -> str:
        place = self._places.get(id(row))
        return f"{row.cluster}/{selector(row.labels)}" if place is None else self._chart.keys[place]

    def _numbers(self, row: MetricRow) -> Sequence[float | None]:
        return self._chart.numbers[self._places[id(row)]]

    def _letter(self, row: MetricRow) -> str:
        return self._letters.get(self._key(row), "·")

    def _drawn(self) -> list[int]:
        """Rows whose lines are drawn: those that were chosen, else the loudest of those the filter leaves."""
        chart = self._chart
        greatest = {i: most for i, (_, _, _, most) in enumerate(chart.numbers) if most is not None}
        if self._chosen is not None:
            return [i for i in greatest if chart.keys[i] in self._chosen][:MAX_SERIES]
        if self._legend.filter_text:
            kept = {id(row) for row in self._legend.rows}
            greatest = {i: most for i, most in greatest.items() if id(chart.rows[i]) in kept}
        return sorted(sorted(greatest, key=lambda i: -greatest[i])[:MAX_SERIES])

    def _draw(self) -> None:
        chart = self._chart
        if self._legend.items is not chart.rows:
            self._legend.show(chart.rows, self._view())
        drawn = self._drawn()
        letters = {chart.keys[i]: LETTERS[n] for n, i in enumerate(drawn)}
        if letters != self._letters:
            self._letters = letters
            self._legend.show(chart.rows, self._view())
        rows = [chart.rows[i] for i in drawn]
        series = [Series(r.labels, r.times, r.values) for r in rows]  # type: ignore[arg-type]
        self._plot.show(Lines(series, (chart.window.start, chart.window.end), chart.unit, chart.step))
        self._emphasise()

    def _view(self) -> Any:
        at, step = self._plot.cursor, self._chart.step
        value = None
        if at is not None:
            moment = at

            def value(row: MetricRow) -> float | None:
                return value_at(Series(row.labels, row.times, row.values), moment, step)  # type: ignore[arg-type]

        return legend_view(self._chart.rows, self._chart.unit, self._letter, self._numbers, value)

    def _emphasise(self) -> None:
        row = self._legend.selected
        letter = self._letter(row) if row is not None else "·"
        loud = LETTERS.index(letter) if letter in LETTERS else None
        if loud != self._plot.loud:
            self._plot.loud = loud
            self._plot.refresh()

    def on_grid_arranged(self, event: Grid.Arranged) -> None:
        super().on_grid_arranged(event)
        if event.grid is self._legend and self._chosen is None:
            self._draw()

    def on_grid_highlighted(self, event: Grid.Highlighted) -> None:
        if event.grid is self._legend:
            self._emphasise()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        if event.grid is self._legend:
            self._toggle(self._key(event.item))
        else:
            self._table.action_detail()

    def _toggle(self, key: str) -> None:
        """Draw a line, or no longer."""
        chosen = {self._chart.keys[i] for i in self._drawn()} ^ {key}
        if len(chosen) > MAX_SERIES:
            self.notify(
                f"at most {MAX_SERIES} lines can be told apart: take one away first (enter), or s for one alone"
            )
            return
        self._chosen = chosen
        self._draw()

    def action_only(self) -> None:
        if (row := self._legend.selected) is None:
            return
        if self._chosen == {self._key(row)}:
            self._chosen = self._before
        else:
            self._before, self._chosen = self._chosen, {self._key(row)}
        self._draw()

    # Time

    def on_plot_moved(self, event: Plot.Moved) -> None:
        self._legend.show(self._chart.rows, self._view())

    def on_plot_beyond(self, event: Plot.Beyond) -> None:
        self.action_pan(event.side)

    def on_plot_spanned(self, event: Plot.Spanned) -> None:
        self._look_at(event.start, event.end)

    def action_cursor(self, by: int) -> None:
        if not self.tabular:
            self._plot.move_cursor(by)

    def action_zoom(self, factor: float) -> None:
        """Around the cursor, else the end."""
        window = self._chart.window
        around = self._plot.cursor if self._plot.cursor is not None else window.end
        size = max(window.seconds * factor, 10.0)
        share = (around - window.start) / window.seconds
        self._look_at(around - share * size, around + (1 - share) * size)

    def action_pan(self, by: int) -> None:
        window = self._chart.window
        self._look_at(window.start + by * window.seconds / 2, window.end + by * window.seconds / 2)

    def _look_at(self, start: float, end: float) -> None:
        """Another window, no later than now, and within what a bundle recorded."""
        session = self.dashboard.session
        if session is None or not self._chart.keys:
            return
        if session.bundle is None:
            least, most = 0.0, clock.now()
        else:
            least, most = session.bundle.manifest.start, session.bundle.manifest.end
        size = min(end - start, most - least)
        end = min(max(end, least + size), most)
        if (zoom := TimeRange(end - size, end)) != self._chart.window:
            self.zoom = zoom
            self._charts.refresh(anew=False)
            self._charts_restart()

    def _charts_restart(self) -> None:
        """Ask for the new window at once; what is shown stays until it is there."""
        self._charts.pause()
        if self.is_current and not self.tabular:
            self._charts.start()

    def action_view(self) -> None:
        self.toggle_class("-table")
        (self._values if self.tabular else self._charts).refresh(anew=True)
        (self._values if self.tabular else self._charts).start()
        self._only_seen()
        self._rest()

    def leave_inside(self) -> bool:
        if self._plot.cursor is not None and not self.tabular:
            self._plot.put_cursor(None)
        elif self.tabular:
            self.action_view()
        elif self.zoom is not None and self._chart.window != self.dashboard.asked().window():
            self.zoom = None
            self._charts.refresh(anew=True)
        else:  # also from a zoom that shows all there is
            return super().leave_inside()
        return True

    # Places

    def arrive(self, place: Place) -> None:
        zoom = self.span_of(place, _AROUND)
        if (place.args.get("tab") == "table") != self.tabular:
            self.action_view()
        self._wanted_cursor = (
            self.moment_of(place) if zoom is not None and "since" not in place.args else None
        )
        if place.text and (place.text != self.expr or zoom != self.zoom):
            self.zoom = zoom
            self.run(place.text, typed=place.text != self.expr)
        elif zoom is not None and zoom != self.zoom:
            self.zoom = zoom
            self._ask_anew()
        if narrow := place.args.get("name") or place.args.get("ns"):
            self._filter(self._legend, narrow)

    def place(self) -> Place:
        args: dict[str, str] = {"tab": "table"} if self.tabular else {}
        if self.zoom is not None:
            args["at"] = rfc3339(self.zoom.end - self.zoom.seconds / 2)
            args["since"] = f"{self.zoom.seconds:.0f}s"
        return Place(self.NAME, self.expr, args)

    def action_edit(self) -> None:
        self._editor.area.focus()

    def action_named(self) -> None:
        from aiops_cli.services.queries import every
        from aiops_cli.tui.widgets.promql_queries import Queries, offered

        session, remembered = self.dashboard.session, self.dashboard.remembered
        if session is None:
            return

        def done(query: str | None) -> None:
            if query:
                self.run(query)
                self._rest()

        items = offered(every(session.settings), remembered.texts(PINNED), remembered.texts(HISTORY))
        self.app.push_screen(Queries(items, self.expr), done)

    def action_pin(self) -> None:
        """Keep the query at the head of the list, or no longer."""
        if not self.expr:
            self.notify("there is no query to pin; p writes one")
            return
        pinned = self.dashboard.remembered.texts(PINNED)
        known = self.expr in pinned
        rest = [query for query in pinned if query != self.expr]
        self.dashboard.remembered.set(PINNED, rest if known else [self.expr, *rest])
        self.notify("no longer pinned" if known else "pinned; n lists it first")

    # Ways to other signals

    def _pointed(self) -> tuple[MetricRow, float] | None:
        """The series under the table's cursor and the moment under the plot's, else the newest."""
        row = (self._table if self.tabular else self._legend).selected
        if row is None:
            self.notify("no series is under the cursor")
            return None
        at = self._plot.cursor
        if at is None:
            at = float(row.times[-1]) if len(row.times) else self._chart.window.end
        return row, at

    def _subject(self, row: MetricRow, at: float, around: Any) -> Subject:
        from aiops_cli.analysis.subjects import subject_of

        labels = {("cluster" if k == "exported_cluster" else k): v for k, v in row.labels.items()}
        return subject_of(row.cluster, "metric", labels, *around(at), title=f"series {selector(row.labels)}")

    def action_follow(self, view: Any) -> None:
        from aiops_cli.services.related_subjects import Horizon
        from aiops_cli.tui.following import follow

        if (pointed := self._pointed()) is not None:
            limits = TimeRange(0.0, self.dashboard.asked().now)
            follow(self, view, self._subject(*pointed, Horizon(limits).around))

    def action_related(self) -> None:
        from aiops_cli.tui.widgets.related import show_related

        if (pointed := self._pointed()) is not None:
            row, at = pointed
            show_related(
                self,
                f"{row.cluster} {selector(row.labels)}",
                lambda horizon: [self._subject(row, at, horizon.around)],
            )

    def action_to(self, view: str) -> None:
        if (pointed := self._pointed()) is not None:
            row, at = pointed
            args = {"at": rfc3339(at)} | ({"tab": "events"} if view == "cluster" else {})
            if namespace := row.labels.get("namespace"):
                args["ns"] = namespace
            self.go(Place(view, "", args, (row.cluster,)))


SCREEN = Metrics
