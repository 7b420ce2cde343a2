"""Logs: lines of the fleet by LogQL, as they were and as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from aiops_cli.analysis.log_levels import LEVELS
from aiops_cli.analysis.merge import Line
from aiops_cli.errors import AiopsError
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.text import clock as at_clock
from aiops_cli.render.text import duration
from aiops_cli.services import times
from aiops_cli.services.fanout import failure_of
from aiops_cli.services.session import Session
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.feed import Feed, Reading
from aiops_cli.tui.place import Place
from aiops_cli.tui.telling import hint_lines
from aiops_cli.tui.watching import so_far, watched
from aiops_cli.tui.widgets import log_pages
from aiops_cli.tui.widgets.log_alike import Alike
from aiops_cli.tui.widgets.log_buffer import held
from aiops_cli.tui.widgets.log_following import Following
from aiops_cli.tui.widgets.log_pages import Page
from aiops_cli.tui.widgets.log_places import query_of
from aiops_cli.tui.widgets.log_query import QueryLine
from aiops_cli.tui.widgets.log_volume import Counts, Volume, ask_counts, count_lines, recorded_counts
from aiops_cli.tui.widgets.panel import Panel, nobody, without_rows
from aiops_cli.tui.working import start

_NEAR = 1.0  # seconds from a moment within which a line is of it
_LAG = 5.0  # seconds before the end of a query that a tail reads again: lines may come late
_DRAIN = 0.1  # seconds between two paints of a tail
_FAST = 2_000  # lines a second that nobody reads: half the paints do
_TOLD = 5  # drains between two looks at its rate
_MEAN = 50  # drains that the rate is a mean of: servers are asked, or answer, in turns
_MANY = 500  # lines of a drain; more are not counted by level
_OLD = 60.0  # seconds after which a page is asked anew when one comes back to it
_AGED = 5.0  # seconds between two looks at its age


class Logs(Alike):
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
        act("logs.pause", "p", "pause", "Pause", "Hold new lines back, and count them; again: show them."),
        act("logs.related", "R", "related", "Related", "What the other signals know of this line's workload.", show=True),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._range = ""
        self._guessed = False  # the query, for who has not written one
        self._query: Feed[Page] | None = None
        self._asked = 0
        self._reading_older = False
        self._ticks = 0
        self._taken: deque[int] = deque(maxlen=_MEAN)
        self._values: dict[str, Sequence[str]] = {}

    def content(self) -> ComposeResult:
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
        self._remember(self.dashboard.remembered.mapping("logs"))
        self._lines.focus()
        self.set_interval(_DRAIN, self._drain)
        self.set_interval(_AGED, self._tell_age)

    def _remember(self, left: dict[str, Any]) -> None:
        """As it was left: wrapped, wide, the fields, the filter."""
        look = self._lines.look
        look.wrap, look.wide = left.get("wrap") is True, left.get("wide") is True
        look.fields = tuple(f for f in left.get("fields") or () if isinstance(f, str))
        look.changed()
        with contextlib.suppress(AiopsError):
            self._lines.set_filter(str(left.get("filter", "")))

    def on_screen_resume(self) -> None:
        """Lines up to now that have grown old are asked anew, unless one looked at older ones."""
        if self._query is not None and self._lines.stick and self.age > _OLD:
            self._query.refresh()

    @property
    def age(self) -> float:
        """How old (seconds) lines are that were asked up to now and are not followed; 0 of others."""
        app, query = self.dashboard, self._query
        fixed = not app.live or app.options.end or self._moment is not None or self._following is not None
        at = None if query is None or fixed else query.reading.at
        return 0.0 if at is None else max(clock.now() - at, 0.0)

    def _tell_age(self) -> None:
        if self._query is not None and not self._query.asking and not self._reading_older:
            self._status()

    def on_screen_suspend(self) -> None:
        look = self._lines.look
        kept = {
            "wrap": look.wrap,
            "wide": look.wide,
            "fields": list(look.fields),
            "filter": self._lines.filter_text,
        }
        self.dashboard.remembered.set("logs", kept)

    # Where one is

    def arrive(self, place: Place) -> None:
        app = self.dashboard
        args = dict(place.args)
        expr = query_of(place.text, args) or self.expr or app.remembered.text("logql-last")
        if expr.strip() == "{}":
            expr = ""  # all lines, by a label that there is
        moment = self.moment_of(place, self.zone)
        moment = None if moment is None else round(moment, 3)
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
        if self._guessed and not len(self.buffer):
            self.expr = ""  # there may be labels by now
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
        self._apart = ""
        self.query_one(Volume).show(None)
        self._lines.empty = "loading…"
        self._lines.sync()
        if self._query is None:
            self._query = self.feed(self._ask, self._show_page, told=self._told_reading)
            self.query_one("#lines", Panel).follow(self._query)
        else:
            self._query.refresh(anew=True)
        self._view_changed()

    def _ask(self, session: Session) -> Coroutine[Any, Any, Page]:
        self._asked += 1
        self._guessed = not self.expr
        asked, loop = self._asked, asyncio.get_running_loop()

        def show(page: Page) -> None:
            if asked == self._asked and self._page is None:
                self._show_lines(page)

        def part(page: Page) -> None:
            loop.call_soon_threadsafe(show, page)

        told = watched(session, lambda progress: self._status(f"asked {so_far(progress)}"))
        return self._read(told, part)

    async def _read(self, session: Session, part: Callable[[Page], None]) -> Page:
        window = self._window(session)
        expr = self.expr or await log_pages.first_query(session, window)
        if self._moment is not None:
            return await log_pages.around(session, expr, window, self._moment, part)
        return await log_pages.read(session, expr, window, part=part)

    def _show_page(self, page: Page) -> None:
        self._show_lines(page)
        self._page, self._edge = page, page.edge
        if page.lines or not self._guessed:
            self.dashboard.remembered.set("logql-last", page.expr)
        if self._follow:
            self._start(page)
        self._sift_on()
        start(self, lambda: self._count(page), group="volume")
        self._status()

    def _show_lines(self, page: Page) -> None:
        """Lines in place of those before; the cursor stays on its line, unless that was the newest."""
        session, lines = self.dashboard.asked(), self._lines
        held_on = None if lines.stick else lines.selected
        if self.zone is None and session.options.tz:
            self.zone = session.zone
        if page.expr != self.expr:
            self.expr = page.expr
            self.query_one(QueryLine).set_text(page.expr)
        look = self._lines.look
        look.clusters = [m.name for m in session.members]
        look.zone = self.zone
        look.day = at_clock(page.window.start, self.zone)[:10] != at_clock(page.window.end, self.zone)[:10]
        look.forget()
        self.buffer.clear()
        self.buffer.append(held(page.lines))
        lines.empty = self._nothing(page)
        lines.stick = True
        lines.changed()
        if held_on is not None and held_on in page.lines:
            lines.select(self.buffer.first + page.lines.index(held_on))
        elif self._moment is not None:
            lines.select(self._number_at(self._moment))
            self._apart = self._told_apart(self._moment)
        self._sift_on()

    def _nothing(self, page: Page) -> str:
        start, end = (at_clock(t, self.zone)[:16] for t in (page.window.start, page.window.end))
        nothing = f"no line of {page.expr} from {start} to {end}\nT looks further back, i edits the query"
        return without_rows(page, nothing, absent=False)

    def _number_at(self, moment: float) -> int:
        lines = self.buffer
        return next((n for n in range(lines.first, lines.end) if lines[n][1][0] >= moment * 1e9), lines.end)

    def _told_apart(self, moment: float) -> str:
        """That there is no line at the moment, and how far the one that stands for it is."""
        if (line := self._lines.selected) is None or abs(line[1][0] / 1e9 - moment) < _NEAR:
            return ""
        far = line[1][0] / 1e9 - moment
        said = (
            f"the next is {duration(far * 1000)} later"
            if far > 0
            else f"the last is {duration(-far * 1000)} before"
        )
        return f"▲ no line at {at_clock(moment, self.zone)[11:19]}: {said}"

    def _told_reading(self, reading: Reading[Page]) -> None:
        if (error := reading.error) is not None:
            self._follow = False
            self._lines.empty = "\n".join([f"✖ {error.message}", *hint_lines(error.hint)])
            self._lines.sync()
        self._status()

    async def _count(self, page: Page) -> None:
        app, volume = self.dashboard, self.query_one(Volume)
        counts: Counts | None = None
        if nobody(page):
            volume.show(None, "not known: no cluster could be asked")
            return
        said = "of those that answered" if page.result.failed else "all lines"
        if page.notes and not app.live:
            said = "recorded in part"
        if page.edge is not None:
            said = "of the lines read"
            counting = ask_counts if app.live else recorded_counts
            counts = await app.backend.ask(counting(app.asked(), page.expr, page.window))
        if counts is None:
            counts = await app.backend.compute(lambda: count_lines(page.lines, page.window, said))
        if page is not self._page:
            return  # another query is shown since
        volume.show(counts)
        if self._following is not None:
            self._count_on(self.buffer[n] for n in range(self.buffer.first, self.buffer.end))

    def _count_on(self, lines: Iterable[Line]) -> None:
        """Those that came after what was counted."""
        self.query_one(Volume).go_on(lines, self.dashboard.now)

    async def _complete(self, label: str) -> Sequence[str]:
        """Names of labels, or values of one, in all clusters in scope; asked once."""
        from aiops_cli.services import logs

        if label not in self._values:
            app = self.dashboard
            await app.ready.wait()
            session = app.asked()
            try:
                window = self._window(session)
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
        start(self, lambda: self._older(page, edge), group="older", exclusive=False)

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
        self._taken.clear()

    def _stop(self) -> None:
        if self._following is not None:
            self._following.stop()
            if self._query is not None and self._following.error is None:  # lines are known up to now
                self._query.reading = replace(self._query.reading, at=clock.now())
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
        lines = following.take() if reading and not self._paused else []
        self._taken.append(len(lines))
        if lines:
            self.buffer.append(lines)
            if len(lines) > _MANY:
                self.query_one(Volume).show(None, "not counted: lines come too fast")
            else:
                self._count_on(held.line for held in lines)
            if not self.buffer.filtered:  # else once the filter has seen them
                self._lines.sync()
            self._sift_on()
        if self._ticks % _TOLD == 0:
            self._rate = sum(self._taken) / (len(self._taken) * _DRAIN)
            self._status()


SCREEN = Logs
