"""RCA: what explains the trouble, ranked, with its evidence in time; anomalies; what was found earlier."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.worker import Worker

from aiops_cli.models.analysis import WEAK_CONFIDENCE, Anomaly, Cause
from aiops_cli.models.result import FleetResult
from aiops_cli.render.causes import entity_text, moment, nothing_text
from aiops_cli.services.fanout import Progress, failure_of
from aiops_cli.services.session import Session
from aiops_cli.services.times import unix
from aiops_cli.store.state import Analysis
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import LOW, Board
from aiops_cli.tui.causes import Question, ask_anomalies, ask_causes, lacking, make_report, unasked, whose
from aiops_cli.tui.following import follow
from aiops_cli.tui.place import Place
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.watching import Watched, so_far, watched
from aiops_cli.tui.widgets.evidence import (
    Lanes,
    Row,
    analyses_view,
    evidence_view,
    ranked_view,
    rows_of,
    subject_of_entity,
    unusual_view,
)
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel, gaps
from aiops_cli.tui.widgets.said import Said
from aiops_cli.tui.widgets.views import Views
from aiops_cli.tui.working import start

TABS = ("causes", "anomalies", "kept")
_KEPT_SECONDS = 60.0
_NAMED = 3  # clusters of a kept analysis
_HELP = (
    "x looks for what explains the trouble in the time range above: it reads metrics, logs, traces, events, changes and alerts of the clusters above, and ranks what it finds.",
    "x on an alert (screen 6) or on an anomaly (v) explains that one. v, twice: what was found earlier.",
)  # fmt: skip


class Rca(Board):
    NAME = "rca"
    DEFAULT_CSS = """
    Rca .tab { display: none; height: 1fr; }
    Rca.-causes #on-causes, Rca.-anomalies #on-anomalies, Rca.-kept #on-kept { display: block; }
    Rca #causes { height: 1fr; }
    Rca #evidence { height: 2fr; display: none; }
    Rca.-found #evidence { display: block; }
    Rca.-low Lanes, Rca.-low #evidence, Rca.-low.-read #causes { display: none; }
    Rca.-low.-found.-read #evidence { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("rca.run", "x", "run", "Find cause", "What explains the trouble; of an anomaly, at its time.", show=True),
        act("rca.export", "ctrl+e", "export", "Report", "Write a report of this analysis.", show=True),
        act("rca.view", "v,shift+right", "view(1)", "View", "Causes, anomalies, kept analyses.", show=True),
        act("rca.view-back", "shift+left", "view(-1)", "View before"),
        act("rca.metrics", "m", "to('metrics')", "Metrics", "The metric that shows it best, at its time."),
        act("rca.logs", "l", "follow('logs')", "Logs", "Lines of what the cursor is on, at its time.", show=True),
        act("rca.traces", "t", "follow('traces')", "Traces", "Traces through what the cursor is on.", show=True),
        act("rca.events", "e", "to('cluster')", "Events", "What happened to it."),
        act("rca.alerts", "a", "to('alerts')", "Alerts", "Alerts of its cluster and namespace."),
        act("rca.related", "R", "related", "Related", "What the other signals know of it."),
    ]  # fmt: skip

    def content(self) -> ComposeResult:
        self._question: Question | None = None
        self._of: tuple[str, ...] = ()  # the clusters that it was asked of, as globs
        self._found: Any = None  # services.rca.Investigation
        self._asked: Watched | None = None  # the session that it was found with
        self._unusual: FleetResult[Anomaly] | None = None
        self._whose = ""  # clusters and time of what is shown, in words
        self._opened = ""  # the id of a kept analysis that is shown
        self._working: dict[str, Worker[None]] = {}  # by view: what looks for what it shows
        self._causes: Grid[Cause] = Grid(ranked_view(None), key=lambda c: c.rank, id="ranked")
        self._rows: Grid[Row] = Grid(evidence_view(None), id="rows")
        self._anomalies: Grid[Anomaly] = Grid(unusual_view(None), judge=_word, id="unusual")
        self._kept: Grid[Analysis] = Grid(analyses_view(None), id="earlier")
        self._lanes = Lanes()
        self._views = Views(TABS)
        yield self._views
        with Vertical(id="on-causes", classes="tab"):
            yield Said("Causes", self._causes, id="causes")
            yield Panel("Evidence", self._lanes, self._rows, id="evidence")
        with Vertical(id="on-anomalies", classes="tab"):
            yield Said("Anomalies", self._anomalies, id="anomalies")
        with Vertical(id="on-kept", classes="tab"):
            yield Panel("Kept analyses", self._kept, empty="none is kept yet; x finds causes, and keeps them", id="kept")  # fmt: skip

    def on_mount(self) -> None:
        super().on_mount()
        self._panel("#causes").say(*_HELP)
        kept = self.feed(_read_kept, self._show_kept, every=_KEPT_SECONDS)
        self.query_one("#kept", Panel).follow(kept)
        self._open_tab("causes")

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.height < LOW, "-low")

    def _panel(self, id: str) -> Said:
        return self.query_one(id, Said)

    def _open_tab(self, name: str) -> None:
        self.remove_class(*(f"-{t}" for t in TABS))
        self.add_class(f"-{name}")
        self._views.current = name
        self._grid().focus()
        self._look()
        if name == "kept":
            for feed in self.feeds:
                feed.refresh()

    def _grid(self) -> Grid[Any]:
        grids: dict[str, Grid[Any]] = {
            "causes": self._causes,
            "anomalies": self._anomalies,
            "kept": self._kept,
        }
        return grids[self._views.current]

    # Coming and going

    def arrive(self, place: Place) -> None:
        tab = place.args.get("tab", "causes")
        self._open_tab(tab if tab in TABS else "causes")
        if tab not in TABS:
            self.notify(f"rca has no view {tab!r}; there are {', '.join(TABS)}", markup=False)
        if tab == "causes" and place.text:
            start(self, lambda: self._open_kept(place.text), group="kept")
            return
        self._filter(self._grid(), place.text)
        question = Question(place.args.get("name"), place.args.get("at"), place.args.get("ns"))
        other = bool(question.args) and question != self._question
        if place.contexts not in ((), ("*",)):  # of a cluster that one pointed at
            other = (question, self.dashboard.contexts) != (self._question, self._of)
        if tab == "causes" and other:
            self._ask(question)

    def place(self) -> Place:
        tab = self._views.current
        if tab != "causes":
            return Place(self.NAME, self._grid().filter_text, {"tab": tab})
        return Place(self.NAME, self._opened, self._question.args if self._question else {})

    def scope_changed(self) -> None:
        """What was found stays: it tells its own clusters and time. Anomalies are those of the range; what is
        being looked for in another is dropped."""
        self._drop("anomalies")
        self._unusual = None
        self._look()

    def on_screen_resume(self) -> None:
        self._look()

    def _look(self) -> None:
        """For anomalies, where their view is seen and none are known."""
        seen = self._views.current == "anomalies" and self.is_current
        if seen and self._unusual is None and not self._busy("anomalies"):
            self._detect()

    def leave_inside(self) -> bool:
        if self._busy(tab := self._views.current):
            self._working[tab].cancel()
            return True
        if self._rows.has_focus:
            self.remove_class("-read")
            self._causes.focus()
            return True
        if (grid := self._grid()).filter_text:
            self._filter(grid, "")
            return True
        return False

    # Work that a person starts, one at a time in a view

    def _busy(self, tab: str) -> bool:
        working = self._working.get(tab)
        return working is not None and not working.is_finished

    def _drop(self, tab: str) -> None:
        """What is looked for there is not wanted any more."""
        if (working := self._working.pop(tab, None)) is not None:
            working.cancel()

    def _start(self, tab: str, name: str, work: Callable[[Watched], Coroutine[Any, Any, None]]) -> None:
        """Run `work` in the view, telling how far it is; esc cancels it, another one takes its place."""
        panel, began = self._panel(f"#{tab}"), clock.now()

        def told(progress: Progress) -> None:
            if self._busy(tab):
                passed = clock.now() - began
                panel.say(f"{name}… {so_far(progress)}", "esc stops it", state=f"{passed:.0f}s")

        async def run() -> None:
            try:
                await work(watched(self.dashboard.asked(), told))
            except Exception as error:
                failed = failure_of("", error)
                panel.say(f"✖ {failed.message}", failed.hint, state="failed")

        panel.say(f"{name}…", "esc stops it")
        self._working[tab] = start(self, run, name=tab, group=f"work-{tab}")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        from textual.worker import WorkerState

        tab = event.worker.name
        if event.state is not WorkerState.CANCELLED or event.worker is not self._working.get(tab):
            return
        panel = self._panel(f"#{tab}")
        if panel.has_class("-blank"):
            if tab == "causes":
                self._question = None
            panel.say("stopped: nothing was kept", "x looks for causes, r on the view of anomalies for them")

    def _ask(self, question: Question) -> None:
        self.workers.cancel_group(self, "kept")
        self._question, self._opened, self._of = question, "", self.dashboard.contexts
        self._found, self._asked, began = None, None, clock.now()
        self.remove_class("-found", "-read")

        async def work(session: Watched) -> None:
            app, scope = self.dashboard, self.dashboard.scope_name
            found, _ = await app.backend.ask(ask_causes(session, question))
            took, missing = f"{clock.now() - began:.1f}s", lacking(found)
            window = found.window
            self._whose = whose(scope, window.start, window.end, session.now, session.zone)
            if said := unasked(found):
                self.remove_class("-found")
                panel = self._panel("#causes")
                panel.retitle(f"Causes {self._whose}")
                panel.say(*said, "r asks again, @ takes other clusters", state=f"failed · {took}")
                return
            self._found, self._asked = found, session
            self._show(
                found.causes.rows, " · ".join(filter(None, (took, missing and f"▲ {missing}"))), missing
            )

        self._start("causes", "looking for the cause", work)

    def _detect(self) -> None:
        panel = self._panel("#anomalies")

        async def work(session: Watched) -> None:
            found = await self.dashboard.backend.ask(ask_anomalies(session))
            self._unusual = found
            self._anomalies.show(found.rows, unusual_view(session.zone))
            missing = gaps(found)
            if found.rows:
                panel.reveal(
                    " · ".join(filter(None, (f"{len(found.rows)} found", missing and f"▲ {missing}")))
                )
            elif found.failed and len(found.failed) == len(found.clusters):
                self._unusual = None
                panel.say(
                    "✖ no cluster could be asked: what is unusual is not known", missing, state="failed"
                )
            else:
                read = "what could be read of " if missing else ""
                panel.say(f"nothing in {read}the named queries is unusual in this time range", missing)

        self._start("anomalies", "looking for anomalies", work)

    async def _open_kept(self, id: str) -> None:
        rows = await self.dashboard.backend.ask(_read_kept(self.dashboard.asked()))
        found = next((a for a in rows if a.id.startswith(id)), None)
        if found is None:
            self.notify(f"no analysis {id!r} is kept", severity="warning", markup=False)
        else:
            self._reopen(found)

    def _reopen(self, analysis: Analysis) -> None:
        self._drop("causes")
        self._found, self._asked, self._question = None, None, None
        self._opened = analysis.id
        self._open_tab("causes")
        session = self.dashboard.asked()
        start, end = unix(analysis.start) or 0.0, unix(analysis.end) or 0.0
        clusters = ", ".join(analysis.clusters[:_NAMED])
        more = len(analysis.clusters) - _NAMED
        scope = f"{clusters} and {more} more" if more > 0 else clusters
        self._whose = whose(scope, start, end, session.now, session.zone)
        self._show(analysis.causes, f"found {moment(analysis.at, session.zone)[5:16]}")

    def _show(self, causes: list[Cause], state: str, missing: str = "") -> None:
        """`missing` is what could not be read. The title says whose causes they are and of when: they stay while
        clusters and range are chosen anew."""
        panel, zone = self._panel("#causes"), self.dashboard.asked().zone
        if not causes:
            self.remove_class("-found")
            panel.retitle(f"Causes {self._whose}")
            panel.say(nothing_text(missing), "T takes another time range", state=state)
            return
        weak = causes[0].confidence < WEAK_CONFIDENCE
        panel.retitle(f"{'No clear cause: weak hints' if weak else f'Causes {len(causes)}'} {self._whose}")
        panel.reveal(state)
        self._causes.show(causes, ranked_view(zone))
        self.set_class(self._causes.selected is not None, "-found")
        if self.is_current and self._views.current == "causes":
            self._causes.focus()

    def _show_kept(self, rows: list[Analysis]) -> None:
        self._kept.show(rows, analyses_view(self.dashboard.asked().zone))

    def on_grid_highlighted(self, event: Grid.Highlighted) -> None:
        if event.grid is self._causes:
            cause: Cause = event.item
            zone = self.dashboard.asked().zone
            self._lanes.show(cause, zone)
            self._rows.show(rows_of(cause), evidence_view(zone))
            self._rows.action_edge(0)
            self.query_one("#evidence", Panel).retitle(
                f"Evidence of {entity_text(cause.entity)}: {cause.indicator}"
            )

    def on_grid_arranged(self, event: Grid.Arranged) -> None:
        """Where a filter leaves no cause, there is no evidence of one."""
        if (
            event.grid is self._causes
            and self._causes.items
            and not self._panel("#causes").has_class("-blank")
        ):
            self.set_class(self._causes.selected is not None, "-found")

    # Actions

    def on_views_chosen(self, event: Views.Chosen) -> None:
        self._open_tab(event.name)

    def action_view(self, by: int) -> None:
        self._open_tab(self._views.after(by))

    def action_refresh(self) -> None:
        tab = self._views.current
        if tab == "causes":
            self._ask(self._question or Question())
        elif tab == "anomalies":
            self._detect()
        else:
            super().action_refresh()

    def action_run(self) -> None:
        anomaly = self._anomalies.selected if self._views.current == "anomalies" else None
        if self._views.current != "causes":
            self._open_tab("causes")
        self._ask(Question(at=anomaly.start) if anomaly is not None else Question())

    def on_grid_opened(self, event: Grid.Opened) -> None:
        if event.grid is self._causes:
            self.add_class("-read")  # where there is room for one of both
            self._rows.focus()
        elif event.grid is self._kept:
            self._reopen(event.item)
        elif event.grid is self._anomalies:
            self._go_to_anomaly(event.item)
        else:
            row: Row = event.item
            cause = self._causes.selected
            if row.follow and cause is not None:
                follow(self, "logs", subject_of_entity(cause.entity, row.at or cause.onset))
            elif row.place is not None:
                self.go(row.place)
            else:
                self._rows.action_detail()

    def _go_to_anomaly(self, anomaly: Anomaly) -> None:
        self.go(Place("metrics", anomaly.expr, {"at": anomaly.start}, (anomaly.cluster,)))

    def _subject(self) -> Any:
        """What the cursor's cause or anomaly is about."""
        from aiops_cli.analysis.subjects import subject_of

        if self._views.current == "anomalies" and (one := self._anomalies.selected) is not None:
            at = unix(one.start) or 0.0
            return subject_of(one.cluster, "metric", one.labels, at, at - 1800.0, at + 900.0, title=one.expr)
        cause = self._causes.selected if self._views.current == "causes" else None
        return None if cause is None else subject_of_entity(cause.entity, cause.onset)

    def action_follow(self, view: str) -> None:
        if (subject := self._subject()) is not None:
            follow(self, view, subject)  # type: ignore[arg-type]

    def action_to(self, view: str) -> None:
        if self._views.current == "anomalies":
            if (one := self._anomalies.selected) is not None and view == "metrics":
                self._go_to_anomaly(one)
            return
        cause = self._causes.selected
        if cause is None or self._views.current != "causes":
            return
        rows = rows_of(cause)
        place = next((r.place for r in rows if r.place is not None and r.place.view == view), None)
        entity = cause.entity
        if place is None and view != "metrics":
            args = {"ns": entity.namespace} if entity.namespace else {}
            args |= {"tab": "events"} if view == "cluster" else {}
            place = Place(view, "", args, (entity.cluster,) if entity.cluster else ())
        if place is None:
            self.notify(f"no metric is evidence of {entity_text(entity)}", markup=False)
        else:
            self.go(place)

    def action_related(self) -> None:
        from aiops_cli.tui.widgets.related import show_related

        if (subject := self._subject()) is None:
            return
        import msgspec

        def made(horizon: Any) -> list[Any]:
            at, start, end = horizon.around(subject.at)
            return [msgspec.structs.replace(subject, at=at, start=start, end=end)]

        show_related(self, subject.title, made)

    def action_export(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Choice

        if self._busy("causes"):
            self.notify("something is being looked for: wait, or esc stops it")
            return
        if self._found is None or self._asked is None:
            self.notify(
                "a kept analysis has no report of its own: x looks anew" if self._opened
                else "there is nothing to report yet: x looks for the cause"
            )  # fmt: skip
            return
        found, session = self._found, self._asked

        def chosen(form: str | None) -> None:
            if form is not None:
                start(self, lambda: self._export(session, found, form), group="export")

        forms = [("md", "Markdown, to paste and read"), ("json", "JSON, for programs")]
        self.app.push_screen(Choice("Report as", forms), chosen)

    async def _export(self, session: Watched, found: Any, form: str) -> None:
        """Keep the report, and write it to a file of this folder."""
        from aiops_cli.tui.saving import brief, save_text

        panel = self._panel("#causes")
        before, writing = panel.state, "writing the report…"
        self.notify("writing the report: anomalies and health are read for it…")
        panel.reveal(writing)  # the notice goes after a while
        try:
            id, text, kept = await self.dashboard.backend.ask(make_report(session, found, form))
        except Exception as error:
            self.notify(f"✖ {error_line(failure_of('', error))}", severity="error", markup=False)
            return
        finally:
            if panel.state == writing:
                panel.reveal(before)
        said = save_text(f"aiops-{id}", form, text, "report", dated=False)
        self.notify(f"{said[0]}\nkept as {brief(Path(kept))}: Reports (,) has it", markup=False, timeout=15)


async def _read_kept(session: Session) -> list[Analysis]:
    return sorted(session.state.analyses(), key=lambda a: a.at, reverse=True)


def _word(anomaly: Anomaly) -> str:
    """A severity as the words of faults have it."""
    return {"HIGH": "critical", "MEDIUM": "warning"}.get(anomaly.severity, "info")


SCREEN = Rca
