"""Logs: lines of the fleet by LogQL, as they were and as they come, what they have in common, and where they lead."""

from __future__ import annotations

import re
from collections.abc import Coroutine, Sequence
from datetime import UTC, tzinfo
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from aiops_cli.analysis.log_levels import LEVELS
from aiops_cli.analysis.merge import Line
from aiops_cli.errors import AiopsError
from aiops_cli.models.patterns import PatternItem
from aiops_cli.models.result import FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.log_lines import source_of
from aiops_cli.render.pattern_view import pattern_view
from aiops_cli.render.text import clock as at_clock
from aiops_cli.render.text import one_line
from aiops_cli.services import times
from aiops_cli.services.fanout import failure_of
from aiops_cli.services.session import Session
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import Board
from aiops_cli.tui.feed import Feed, Reading
from aiops_cli.tui.place import Place
from aiops_cli.tui.watching import so_far, watched
from aiops_cli.tui.widgets import log_pages
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.log_buffer import Buffer, held
from aiops_cli.tui.widgets.log_filter import Wanted, matching
from aiops_cli.tui.widgets.log_following import Following
from aiops_cli.tui.widgets.log_lines import LogLines
from aiops_cli.tui.widgets.log_pages import Page
from aiops_cli.tui.widgets.log_places import pattern_query, place_beside, query_of, stream_query
from aiops_cli.tui.widgets.log_query import QueryLine
from aiops_cli.tui.widgets.log_volume import Counts, Volume, ask_counts, count_lines, recorded_counts
from aiops_cli.tui.widgets.panel import Panel

_BEFORE, _AFTER = 1800.0, 300.0  # seconds around a moment that is jumped to
_LAG = 5.0  # seconds before the end of a query that a tail reads again: lines may come late
_DRAIN = 0.1  # seconds between two paints of a tail
_FAST = 2_000  # lines a second that nobody reads: half the paints do
_TOLD = 5  # drains between two looks at its rate
_WORSE = frozenset(LEVELS[LEVELS.index("warn") :])
_PATTERN_LINES = 10_000


class Logs(Board):
    NAME = "logs"
    DEFAULT_CSS = """
    Logs #patterns { display: none; }
    Logs #lines.-blank > .body { display: block; }
    Logs #lines.-blank > .notice { display: none; }
    Logs.-patterns #patterns { display: block; }
    Logs.-patterns #lines { display: none; }
    Logs #status { height: 1; padding: 0 1; color: $foreground 80%; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("logs.query", "i", "query", "Query", "Edit the LogQL line; enter runs it.", show=True),
        act("logs.follow", "f", "follow", "Follow", "Lines as they come in, or no more.", show=True),
        act("logs.pause", "p", "pause", "Pause", "Hold new lines back, and count them; again: show them.", show=True),
        act("logs.levels", "L", "levels", "Levels", "Show lines of some levels only.", show=True),
        act("logs.view", "v,shift+right,shift+left", "view", "Patterns", "Like lines as one row, or the lines.", show=True),
        act("logs.mark", "H", "mark", "Highlight", "Mark what matches a regex; nothing is left out."),
        act("logs.next", "n", "match(1)", "Next match", "Towards the newest."),
        act("logs.previous", "N", "match(-1)", "Previous match"),
        act("logs.fields", "F", "fields", "Fields", "JSON and logfmt fields, labels and metadata as columns."),
        act("logs.context", "C", "context", "Context", "The lines before and after, of the same stream."),
        act("logs.zone", "z", "zone", "UTC", "Times in UTC, or of this machine."),
        act("logs.stream", "l", "stream", "This stream", "Only lines of the pod or stream of this line."),
        act("logs.trace", "t", "trace", "Trace", "The trace that this line names.", show=True),
        act("logs.metrics", "m", "beside('metrics')", "Metrics", "Around this line's time."),
        act("logs.alerts", "a", "beside('alerts')", "Alerts", "Of this line's namespace."),
        act("logs.events", "e", "beside('cluster')", "Events", "Of this line's pod, around its time."),
        act("logs.cause", "x", "beside('rca')", "Root cause", "Around this line's time."),
        act("logs.related", "R", "related", "Related", "What the other signals know of this line's workload."),
        act("table.save", "ctrl+s", "save", "Save", "Write the lines shown to a CSV file in this folder."),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.expr = ""
        self.zone: tzinfo | None = None
        self.buffer = Buffer()
        self._moment: float | None = None
        self._range = ""
        self._page: Page | None = None
        self._query: Feed[Page] | None = None
        self._edge: float | None = None
        self._reading_older = False
        self._follow = self._paused = False
        self._following: Following | None = None
        self._taken = self._rate = self._ticks = 0
        self._told = ""
        self._levels: frozenset[str] | None = None
        self._sifting = False
        self._values: dict[str, Sequence[str]] = {}
        self._patterns_of: object = None
        self._sampled: set[str] = set()
        self._found: Feed[FleetResult[PatternItem]] | None = None

    def content(self) -> ComposeResult:
        self._lines = LogLines(self.buffer, id="log")
        self._grid: Grid[PatternItem] = Grid(
            pattern_view(clock.now(), 1), judge=lambda p: p.level, key=lambda p: p.id, id="found"
        )
        with Vertical():
            yield QueryLine(self._complete, id="query")
            yield Volume(id="volume")
            yield Panel("Lines", self._lines, id="lines")
            yield Panel(
                "Patterns", self._grid, empty="no line matched, so there is no pattern", id="patterns"
            )
            yield Static(id="status", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(QueryLine).history = self.dashboard.remembered.texts("logql")
        self._lines.look.wrap = self.dashboard.remembered.mapping("logs").get("wrap") is True
        self._lines.focus()
        self.set_interval(_DRAIN, self._drain)

    # Where one is

    def arrive(self, place: Place) -> None:
        app = self.dashboard
        args = dict(place.args)
        expr = query_of(place.text, args) or self.expr or app.remembered.text("logql-last")
        moment = None
        try:
            if "at" in args:
                now = app.asked().now if app.session else clock.now()
                moment = round(times.parse_time(args["at"], now, self.zone), 3)
        except AiopsError as error:
            self._warn(error)
        if since := args.get("since"):
            app.set_range(since)
        if sev := args.get("sev"):
            self._set_levels(frozenset(sev.lower().split(",")) & {*LEVELS} or None)
        follow = self._follow if "tab" not in args else args["tab"] == "tail"
        if (expr, moment) != (self.expr, self._moment) or self._page is None:
            self._follow = False
            self._run(expr, moment)
        self.set_class(args.get("tab") == "patterns", "-patterns")
        self._view_changed()
        if follow != self._follow:
            self.action_follow()

    def place(self) -> Place:
        args = {} if self._moment is None else {"at": times.rfc3339(self._moment)}
        if self.has_class("-patterns"):
            args["tab"] = "patterns"
        elif self._follow:
            args["tab"] = "tail"
        return Place(self.NAME, self.expr, args)

    def scope_changed(self) -> None:
        if self._range != (now := self.dashboard.range_text):
            self._range, self._moment = now, None
        self._values.clear()
        if self._query is not None:
            self._ask_anew()

    def leave_inside(self) -> bool:
        if self.has_class("-patterns"):
            self.action_view()
        elif self._lines.filter_text or self._levels is not None:
            self._lines.set_filter("")
            self._set_levels(None)
        elif self._lines.look.mark is not None:
            self._lines.highlight(None)
        else:
            return False
        return True

    def action_refresh(self) -> None:
        self._ask_anew()

    # The query

    def _run(self, expr: str, moment: float | None = None) -> None:
        """Ask this, around a moment (unix seconds) or over the dashboard's range."""
        self.expr, self._moment = expr, moment
        self._range = self.dashboard.range_text
        self.query_one(QueryLine).set_text(expr)
        self._ask_anew()

    def _ask_anew(self) -> None:
        self._stop()
        self._page = None
        self._patterns_of = None
        self.buffer.clear()
        self._lines.empty = "loading…"
        self._lines.sync()
        if self._query is None:
            self._query = self.feed(self._ask, self._show_page, told=self._told_reading)
            self.query_one("#lines", Panel).follow(self._query)
        else:
            self._query.refresh(anew=True)
        self._view_changed()

    def _window(self, session: Session) -> TimeRange:
        if self._moment is None:
            return session.window()
        around = TimeRange(
            self._moment - _BEFORE, min(self._moment + _AFTER, max(session.now, self._moment + 1))
        )
        return around if session.bundle is None else session.bundle.within(around)

    def _ask(self, session: Session) -> Coroutine[Any, Any, Page]:
        return self._read(watched(session, lambda progress: self._status(f"asked {so_far(progress)}")))

    async def _read(self, session: Session) -> Page:
        window = self._window(session)
        expr = self.expr or await log_pages.first_query(session, window)
        return await log_pages.read(session, expr, window)

    def _show_page(self, page: Page) -> None:
        self._page, self._edge = page, page.edge
        session = self.dashboard.asked()
        if self.zone is None and session.options.tz:
            self.zone = session.zone
        if page.expr != self.expr:
            self.expr = page.expr
            self.query_one(QueryLine).set_text(page.expr)
        self.dashboard.remembered.set("logql-last", page.expr)
        look = self._lines.look
        look.clusters = [m.name for m in session.members]
        look.zone = self.zone
        look.day = at_clock(page.window.start, self.zone)[:10] != at_clock(page.window.end, self.zone)[:10]
        look.forget()
        self.buffer.clear()
        self.buffer.append(held(page.lines))
        self._lines.empty = self._nothing(page)
        self._lines.stick = True
        self._lines.changed()
        if self._moment is not None:
            self._lines.select(self._number_at(self._moment))
        if self._follow:
            self._start(page)
        self._sift_on()
        self.run_worker(self._count(page), exclusive=True, group="volume")
        self._status()

    def _nothing(self, page: Page) -> str:
        start, end = (at_clock(t, self.zone)[:16] for t in (page.window.start, page.window.end))
        return f"no line of {page.expr} from {start} to {end}\nT looks further back, i edits the query"

    def _number_at(self, moment: float) -> int:
        lines = self.buffer
        return next((n for n in range(lines.first, lines.end) if lines[n][1][0] >= moment * 1e9), lines.end)

    def _told_reading(self, reading: Reading[Page]) -> None:
        if (error := reading.error) is not None:
            self._follow = False
            self._lines.empty = f"✖ {error.message}\n{error.hint}"
            self._lines.sync()
        self._status()

    async def _count(self, page: Page) -> None:
        app, volume = self.dashboard, self.query_one(Volume)
        counts: Counts | None = None
        if app.live:
            counts = await app.backend.ask(ask_counts(app.asked(), page.expr, page.window))
        else:
            counts = await app.backend.ask(recorded_counts(app.asked(), page.expr, page.window))
        if counts is None:
            counts = await app.backend.compute(
                lambda: count_lines(page.lines, page.window, "of the lines read")
            )
        volume.show(counts)

    async def _complete(self, label: str) -> Sequence[str]:
        """Names of labels, or values of one, in all clusters in scope; asked once."""
        from aiops_cli.services import logs

        if label not in self._values:
            app = self.dashboard
            await app.ready.wait()
            session = app.asked()
            window = self._window(session)
            try:
                found = await app.backend.ask(
                    logs.label_values(session.members, label, window)
                    if label
                    else logs.labels(session.members, window)
                )
            except AiopsError:
                return ()  # what can't be completed can be typed
            self._values[label] = sorted({word for _, word in found.rows})
        return self._values[label]

    def on_query_line_run(self, event: QueryLine.Run) -> None:
        follow, self._follow = self._follow, False
        if event.text:
            self.dashboard.remembered.add_line("logql", event.text)
            self.query_one(QueryLine).history = self.dashboard.remembered.texts("logql")
        if event.text != self.expr:
            self.go(Place(self.NAME, event.text, {"tab": "tail"} if follow else {}))
            self.expr = self.expr if event.text else ""
        self._run(event.text, self._moment)
        self._follow = follow
        self._lines.focus()

    def on_query_line_left(self) -> None:
        self.query_one(QueryLine).set_text(self.expr)
        self._lines.focus()

    def action_query(self) -> None:
        self.query_one(QueryLine).line.focus()

    # Older lines

    async def on_log_lines_older(self) -> None:
        page, edge = self._page, self._edge
        if page is None or edge is None or self._reading_older or self.buffer.dropped:
            return
        if not self.buffer.room:
            self.app.notify(
                f"{self.buffer.most:,} lines are held; shorten the range or filter in the query to see older ones"
            )
            return
        self._reading_older = True
        self.run_worker(self._older(page, edge), group="older")

    async def _older(self, page: Page, edge: float) -> None:
        app = self.dashboard
        self._status("reading older lines…")
        try:
            older = await app.backend.ask(
                log_pages.read(app.asked(), page.expr, TimeRange(page.window.start, edge))
            )
        except Exception as error:
            self._warn(failure_of("", error))
            return
        finally:
            self._reading_older = False
            self._status()
        if page is self._page:
            self._edge = older.edge
            self.buffer.prepend(held(older.lines))
            self._lines.stick = False
            self._lines.sync()
            self._sift_on()
            self._status()

    # Following

    def action_follow(self) -> None:
        app = self.dashboard
        if not app.live:
            self.app.notify("a recording does not go on: its lines are those shown")
            return
        if self._follow:
            self._follow = False
            self._stop()
            self._status()
            return
        if app.options.end:
            self.app.notify("a tail has no end: T chooses a range up to now")
            return
        # From now: what came since the lines were asked may be more than anybody wants to read again.
        self._run(self.expr)
        self._follow = True

    def _start(self, page: Page) -> None:
        """Go on where the lines end, a little before: what came late is read too."""
        session = self.dashboard.asked()
        edge = int((page.window.end - _LAG) * 1e6)  # microseconds, as the servers are asked
        self.buffer.cut(edge * 1000)
        self._lines.look.forget()
        self._lines.sync()
        before = TimeRange(edge / 1e6, max(session.now, page.window.end))
        self._following = Following(self.dashboard.backend, session.live, page.expr, before)
        self._following.start()

    def _stop(self) -> None:
        if self._following is not None:
            self._following.stop()
            self.buffer.append(self._following.take()) if self._paused else None
            self._following = None
        self._paused = False

    def on_unmount(self) -> None:
        self._stop()

    def action_pause(self) -> None:
        if self._following is None:
            self.app.notify("nothing is followed: f follows")
            return
        self._paused = not self._paused
        self._drain()
        self._status()

    def _drain(self) -> None:
        """What came since the last time, at most ten times a second."""
        following = self._following
        if following is None:
            return
        self._ticks += 1
        reading = self._rate < _FAST or self._ticks % 2 == 0
        if reading and not self._paused and (lines := following.take()):
            self._taken += len(lines)
            self.buffer.append(lines)
            self._lines.sync()
            self._sift_on()
        if self._ticks % _TOLD == 0:
            self._rate, self._taken = round(self._taken / (_TOLD * _DRAIN)), 0
            self._status()

    # What is shown of it

    def on_log_lines_filtered(self) -> None:
        self._filter_changed()

    def on_log_lines_faults(self) -> None:
        self._set_levels(None if self._levels == _WORSE else _WORSE)

    def _set_levels(self, levels: frozenset[str] | None) -> None:
        self._levels = levels
        volume = self.query_one(Volume)
        volume.levels = levels
        volume.refresh()
        self._filter_changed()

    def _filter_changed(self) -> None:
        wanted = Wanted(self._lines.test, self._levels, labels=self._lines.filter_text.startswith("-l"))
        self.buffer.set_filter(wanted if wanted else None)
        self._lines.sync()
        self._sift_on()
        self._status()

    def _sift_on(self) -> None:
        if self.buffer.unseen and not self._sifting:
            self._sifting = True
            self.run_worker(self._sift(), group="sift")

    async def _sift(self) -> None:
        try:
            while await self.buffer.sift(self.dashboard.backend.compute):
                self._lines.sync()
        finally:
            self._sifting = False
        self._status()

    def action_levels(self) -> None:
        from aiops_cli.tui.widgets.log_dialogs import Several

        def chosen(levels: list[str] | None) -> None:
            if levels is not None:
                self._set_levels(None if len(levels) in (0, len(options)) else frozenset(levels))

        options = [*((lv, lv) for lv in reversed(LEVELS)), ("", "other: lines that say none")]
        now = [lv for lv, _ in options] if self._levels is None else list(self._levels)
        self.app.push_screen(Several("Levels", options, now), chosen)

    def action_fields(self) -> None:
        from aiops_cli.tui.widgets.log_dialogs import Several
        from aiops_cli.tui.widgets.log_filter import fields_of

        look, shown = self._lines.look, self.buffer.shown
        found = fields_of([self.buffer[n] for n in shown[-200:]])
        if not found:
            self.app.notify(
                "these lines have no fields: they are neither JSON nor logfmt, and have no labels"
            )
            return

        def chosen(fields: list[str] | None) -> None:
            if fields is not None:
                look.fields = (
                    *(f for f in look.fields if f in fields),
                    *(f for f in fields if f not in look.fields),
                )
                self._lines.changed()

        options = [(f, f) for f in dict.fromkeys([*look.fields, *found])]
        self.app.push_screen(Several("Fields as columns", options, look.fields), chosen)

    def action_zone(self) -> None:
        self.zone = UTC if self.zone is not UTC else None
        self._lines.look.zone = self.zone
        self._lines.changed()
        self.query_one(Volume).refresh()
        self.app.notify("times in UTC" if self.zone is UTC else "times of this machine")

    def action_mark(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Ask

        def live(text: str) -> str | None:
            try:
                self._lines.highlight(_marker(text))
            except re.error as error:
                return f"this regex can't be read: {error}"
            return None

        def done(text: str | None) -> None:
            if text is None:
                self._lines.highlight(before)
            elif text:
                self.dashboard.remembered.add_line("filters", text)
                self.action_match(-1)

        before = self._lines.look.mark
        history = self.dashboard.remembered.texts("filters")
        self.app.push_screen(
            Ask("Highlight H", history=history, hint="regex · n next · N previous", live=live), done
        )

    def action_match(self, by: int) -> None:
        if (mark := self._lines.look.mark) is None:
            self.action_mark()
            return
        self.run_worker(self._match(mark, by), exclusive=True, group="match")

    async def _match(self, mark: re.Pattern[str], by: int) -> None:
        found = await matching(self.buffer, mark, self._lines.at, by, self.dashboard.backend.compute)
        if found is None:
            self.app.notify(f"no {'newer' if by > 0 else 'older'} line matches {mark.pattern}", markup=False)
        else:
            self._lines.select(found)

    # Patterns

    def action_view(self) -> None:
        self.toggle_class("-patterns")
        self._view_changed()

    def _view_changed(self) -> None:
        """Patterns are found when they are looked at, once for a query."""
        if not self.has_class("-patterns"):
            if self.focused is self._grid:
                self._lines.focus()
            return
        self._grid.focus()
        asked = (self.expr, self._moment, self.dashboard.contexts, self.dashboard.range_text)
        if self._found is None:
            self._found = self.feed(self._ask_patterns, self._show_patterns)
            self.query_one("#patterns", Panel).follow(self._found)
        elif self._patterns_of != asked:
            self._found.refresh(anew=True)
        self._patterns_of = asked

    async def _ask_patterns(self, session: Session) -> FleetResult[PatternItem]:
        from aiops_cli.services import patterns

        window = self._window(session)
        expr = self.expr or await log_pages.first_query(session, window)
        before: TimeRange | None = TimeRange(max(window.start - window.seconds, 0.0), window.start)
        if session.bundle is not None and before is not None:
            try:
                before = session.bundle.within(before)
            except AiopsError:
                before = None  # nothing was recorded before: what is new can't be told
        found, read = await patterns.find(session.members, expr, window, before, _PATTERN_LINES)
        self._sampled = {one.cluster for one in read if one.share < 1}
        return found

    def _show_patterns(self, result: FleetResult[PatternItem]) -> None:
        session = self.dashboard.asked()
        self._grid.show(result.rows, pattern_view(session.now, len(session.members), self._sampled))

    def on_grid_opened(self, event: Grid.Opened) -> None:
        item: PatternItem = event.item
        self.go(Place(self.NAME, pattern_query(self.expr, item.pattern), {}))

    # From a line to what else is known

    def on_log_lines_detail(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Detail
        from aiops_cli.tui.widgets.log_dialogs import in_full

        if (line := self._lines.selected) is not None:
            self.app.push_screen(Detail("Log line", in_full(line, self.zone)))

    def _line(self) -> Line | None:
        line = None if self.has_class("-patterns") else self._lines.selected
        if line is None:
            self.app.notify("the cursor is on no line")
        return line

    def action_context(self) -> None:
        from aiops_cli.tui.widgets.log_dialogs import Around

        if (line := self._line()) is not None:
            self.app.push_screen(Around(line, self.expr, self.zone))

    def action_stream(self) -> None:
        if (line := self._line()) is not None:
            self.go(Place(self.NAME, stream_query(line), {}, (line[0],)))

    def action_trace(self) -> None:
        from aiops_cli.analysis.trace_ids import trace_id_in

        if (line := self._line()) is None:
            return
        found = trace_id_in(line[1][1], line[1][2] | line[1][3])
        if found is None:
            self.app.notify("this line names no trace; R looks for traces of its workload")
            return
        self.go(Place("traces", "", {"trace": found}, (line[0],)))

    def action_beside(self, view: str) -> None:
        if (line := self._line()) is not None:
            self.go(place_beside(view, line))

    def action_related(self) -> None:
        from aiops_cli.services import logs, related_subjects
        from aiops_cli.tui.widgets.related import show_related

        if (line := self._line()) is not None:
            item = logs.item(*line)
            about = f"a line of {source_of(item.labels) or line[0]}"
            show_related(self, about, lambda horizon: related_subjects.of_logs([item], horizon))

    def action_save(self) -> None:
        self.run_worker(self._save(), exclusive=True, group="save")

    async def _save(self) -> None:
        from aiops_cli.render.log_views import log_view
        from aiops_cli.services import logs
        from aiops_cli.tui.saving import save_rows

        lines, zone = [self.buffer[n] for n in self.buffer.shown], self.zone
        told: list[str] = []

        def write() -> None:
            told.extend(save_rows(log_view(zone), [logs.item(*line) for line in lines]))

        await self.dashboard.backend.compute(write)
        self.app.notify(told[0], markup=False)

    # The line below

    def _status(self, doing: str = "") -> None:
        if not self.is_attached:
            return
        buffer, shown = self.buffer, len(self.buffer.shown)
        self.query_one("#lines", Panel).retitle(
            f"Lines {shown:,} of {len(buffer):,}" if buffer.filtered else f"Lines {len(buffer):,}"
        )
        parts = [doing, *self._of_tail(), *self._of_filter()]
        if buffer.dropped:
            parts.append(f"oldest {buffer.dropped:,} left the buffer")
        elif self._page is not None:
            parts.append("older lines: page up at the top" if self._edge is not None else "all of the range")
            parts += [f"▲ {note}" for note in self._page.notes[:1]]
        told = " · ".join(one_line(p) for p in parts if p)
        if told != self._told:
            self._told = told
            self.query_one("#status", Static).update(Text(told, no_wrap=True, overflow="ellipsis"))

    def _of_tail(self) -> list[str]:
        following = self._following
        if following is None:
            return ["▶ f follows" if self.dashboard.live and not self._follow else ""]
        if following.error is not None:
            return [f"✖ {following.said}"]
        parts = [f"‖ paused, {following.waiting:,} lines wait: p goes on"] if self._paused else [
            f"▶ {following.said or 'connecting…'}", f"{self._rate:,}/s"]  # fmt: skip
        if not self._paused and not self._lines.stick:
            parts.append("scroll lock: G goes to the newest")
        if following.lost:
            parts.append(f"▲ {following.lost:,} came too fast and were left out")
        return parts

    def _of_filter(self) -> list[str]:
        parts = []
        if text := self._lines.filter_text:
            parts.append(f"/{text}")
        if self._levels is not None:
            names = (
                "warn and worse"
                if self._levels == _WORSE
                else " ".join(sorted(lv or "other" for lv in self._levels))
            )
            parts.append(f"levels {names}")
        if self.buffer.unseen:
            parts.append(f"filtering, {self.buffer.unseen:,} to go")
        return parts

    def _warn(self, error: AiopsError) -> None:
        self.app.notify(f"{error.message}; {error.hint}", severity="warning", markup=False)


def _marker(text: str) -> re.Pattern[str] | None:
    """Small letters match both cases, as in `/`. Raises re.error."""
    return re.compile(text, re.NOFLAG if text != text.lower() else re.IGNORECASE) if text else None


SCREEN = Logs
