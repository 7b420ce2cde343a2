"""CNF: PTP clocks, SR-IOV, DPDK pods and network functions of the fleet, each in full, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from aiops_cli.errors import AiopsError
from aiops_cli.models.findings import Finding
from aiops_cli.models.ptp import BUDGETS
from aiops_cli.services.times import rfc3339, unix
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import Board
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.place import Place
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.widgets.cnf_dpdk import DpdkTab
from aiops_cli.tui.widgets.cnf_ptp import PtpTab
from aiops_cli.tui.widgets.cnf_sriov import SriovTab
from aiops_cli.tui.widgets.cnf_tab import CnfTab, Thing
from aiops_cli.tui.widgets.cnf_workloads import WorkloadsTab
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.views import Views

TABS = ("ptp", "sriov", "dpdk", "workloads")
_SECONDS = 30.0
_TALL = 34  # lines from which on the chosen row stands in full below the table
_REMEMBERED = "cnf-tab"


class CnfBoard(Board):
    NAME = "cnf"
    DEFAULT_CSS = """
    CnfBoard #tabs { height: 1fr; }
    CnfBoard .tab { display: none; }
    CnfBoard.-ptp .-of-ptp, CnfBoard.-sriov .-of-sriov, CnfBoard.-dpdk .-of-dpdk,
    CnfBoard.-workloads .-of-workloads { display: block; }
    CnfBoard.-detail CnfTab > .detail, CnfBoard.-tall CnfTab > .detail { display: block; }
    CnfBoard.-detail CnfTab > .list, CnfBoard.-detail CnfTab > .findings { display: none; }
    CnfBoard.-tall CnfTab > .list, CnfBoard.-tall CnfTab > .findings { display: block; }
    CnfBoard.-tall CnfTab > .list { max-height: 45%; }
    CnfBoard.-tall CnfTab > .findings { max-height: 25%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("cnf.view", "v,shift+right", "view(1)", "View", "PTP, SR-IOV, DPDK, workloads.", show=True),
        act("cnf.view-back", "shift+left", "view(-1)", "View before"),
        act("cnf.logs", "l", "logs", "Logs", "Of the pod, or of the daemon on the node that keeps the clock or VFs.", show=True),
        act("cnf.metrics", "m", "metrics", "Metrics", "What measures this clock, PF, VF, port or workload.", show=True),
        act("cnf.alerts", "a", "alerts", "Alerts", "Alerts of the node or namespace.", show=True),
        act("cnf.events", "e", "events", "Events", "What happened to the node, pod or workload."),
        act("cnf.cause", "x", "cause", "Cause", "Root causes, when it went wrong.", show=True),
        act("cnf.related", "R", "related", "Related", "What the other signals know of it."),
        act("cnf.budget", "b", "budget", "Budget", "The limits that clocks are judged by."),
        act("cnf.inside", "X", "inside", "Read inside", "Cpuset, NUMA, ports, mempools: asked in the pod, if you agree."),
        act("cnf.earlier", "left", "cursor(-1)", "Cursor left", "On the plot's time axis; jumps take its time."),
        act("cnf.later", "right", "cursor(1)", "Cursor right"),
    ]  # fmt: skip

    def content(self) -> ComposeResult:
        self._ptp, self._dpdk = PtpTab(), DpdkTab()
        tabs: tuple[CnfTab[Any], ...] = (self._ptp, SriovTab(), self._dpdk, WorkloadsTab())
        self._tabs = {tab.NAME: tab for tab in tabs}
        self._views = Views(TABS)
        yield self._views
        with Container(id="tabs"):
            yield from tabs

    def on_mount(self) -> None:
        """The view that was last: it asks once one has arrived."""
        last = self.dashboard.remembered.text(_REMEMBERED)
        self._show_tab(last if last in TABS else TABS[0])

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.height >= _TALL, "-tall")
        if self.tab.found.clusters:
            self.tab.put()

    @property
    def tab(self) -> CnfTab[Any]:
        """The one that is seen."""
        return self._tabs[self._views.current]

    # Views: only the one that is seen asks

    def _show_tab(self, name: str) -> None:
        self.remove_class("-detail", *(f"-{t}" for t in TABS))
        self.add_class(f"-{name}")
        self._views.current = name

    def _open_tab(self, name: str) -> None:
        self._show_tab(name)
        self.dashboard.remembered.set(_REMEMBERED, name)
        tab = self.tab
        if tab.feed is None:
            if (ask := tab.ask_more()) is not None:
                tab.second = self.feed(ask, tab.show_more, every=_SECONDS)
                tab.second.pause()
            tab.follow_feed(self.feed(tab.ask, lambda answer: self._take(tab, answer), every=_SECONDS))
        self._only_seen()
        tab.grid.focus()

    def _take(self, tab: CnfTab[Any], answer: Any) -> None:
        tab.take(answer)
        self._views.note(tab.NAME, tab.note)

    def _only_seen(self) -> None:
        for tab in self._tabs.values():
            for feed in (tab.feed, tab.second):
                if feed is not None and tab is not self.tab:
                    feed.pause()
        if self.is_current and self.tab.feed is not None:
            self.tab.feed.start()
            self.tab.more()

    def asked_feeds(self) -> Iterable[Feed[Any]]:
        tab = self.tab
        return [f for f in (tab.feed, tab.second if tab.is_full else None) if f is not None]

    def scope_changed(self) -> None:
        super().scope_changed()
        self._only_seen()

    def action_refresh(self) -> None:
        for feed in (self.tab.feed, self.tab.second):
            if feed is not None:
                feed.refresh()

    def action_view(self, by: int) -> None:
        self._open_tab(self._views.after(by))

    def on_views_chosen(self, event: Views.Chosen) -> None:
        self._open_tab(event.name)

    # A row in full, and findings that lead to theirs

    def open_detail(self) -> None:
        """Show the chosen row in full, in the room of all where there is little."""
        self.add_class("-detail")
        self.tab.more()
        self.set_focus(self.tab.within())  # at once: the panel of the table would take the keys back

    def on_grid_highlighted(self, event: Grid.Highlighted) -> None:
        if event.grid is self.tab.grid:
            self.tab.choose(event.item)

    def on_grid_opened(self, event: Grid.Opened) -> None:
        tab = self.tab
        if event.grid is tab.grid:
            tab.choose(event.item)
            self.open_detail()
        elif event.grid is tab.findings:
            self._lead(tab, event.item)
        elif (thing := tab.thing_inside(event.grid)) is not None:
            self._relate(thing)
        else:
            event.grid.action_detail()

    def _lead(self, tab: CnfTab[Any], finding: Finding) -> None:
        """To the row that a finding is about; one that is about none leads to its events."""
        if (item := tab.concerned(finding)) is None:
            self.action_events()
            return
        tab.select(item)
        tab.lead_inside(finding)
        self.open_detail()

    def leave_inside(self) -> bool:
        tab, focused = self.tab, self.focused
        if self.has_class("-detail") or (focused is not None and focused is not tab.grid):
            self.remove_class("-detail")
            self._ptp.plot.put_cursor(None)
            tab.grid.focus()
        elif tab.grid.filter_text:
            self._filter(tab.grid, "")
        elif tab.wanted:
            tab.wanted = {}
            tab.put()
        else:
            return False
        return True

    # Places

    def arrive(self, place: Place) -> None:
        """`tab` opens a view, `node` and `ns` narrow it, `name` opens a row by the end of its name, `kind` is the
        budget of clocks."""
        args = place.args
        name = args.get("tab", "workloads" if "ns" in args else self._views.current)
        if name not in TABS:
            self.notify(f"cnf has no view {name!r}; there are {', '.join(TABS)}", markup=False)
            name = self._views.current
        budget = args.get("kind", "").lower() or None
        if budget is not None and budget not in BUDGETS:
            self.notify(f"no budget is called {budget!r}; b lists them", severity="warning", markup=False)
        elif budget != self._ptp.budget and name == "ptp":
            self._ptp.take_budget(budget)
        self._open_tab(name)
        tab = self.tab
        tab.wanted = {k: args[k] for k in ("node", "ns") if k in args}
        tab.wanted_name = args.get("name", "")
        self._filter(tab.grid, place.text)
        if tab.found.clusters:
            tab.put()

    def place(self) -> Place:
        tab = self.tab
        args = {"tab": tab.NAME, **tab.wanted}
        if tab is self._ptp and self._ptp.budget is not None:
            args["kind"] = self._ptp.budget
        if self.has_class("-detail") and tab.chosen is not None:
            args["name"] = tab.key(tab.chosen)
        return Place(self.NAME, tab.grid.filter_text, args)

    # Ways to other screens

    def cluster_here(self) -> str:
        thing, _ = self.tab.pointed()
        return "" if thing is None else thing.cluster

    def _pointed(self) -> tuple[Thing | None, str | None]:
        thing, at = self.tab.pointed()
        if thing is None:
            self.notify("there is nothing under the cursor", severity="warning")
        return thing, at

    def _go(self, view: str, thing: Thing, text: str, at: str | None, **args: str) -> None:
        args |= {"at": at} if at else {}
        self.go(Place(view, text, args, (thing.cluster,)))

    def action_metrics(self) -> None:
        thing, at = self._pointed()
        if thing is not None and thing.query:
            self._go("metrics", thing, thing.query, at)

    def action_alerts(self) -> None:
        thing, _ = self._pointed()
        if thing is not None and thing.namespace:
            self._go("alerts", thing, "", None, ns=thing.namespace)
        elif thing is not None:
            self._go("alerts", thing, f"-l node={thing.name}", None)

    def action_events(self) -> None:
        thing, at = self._pointed()
        if thing is not None:
            space = {"ns": thing.namespace} if thing.namespace else {}
            self._go("cluster", thing, f"{thing.kind}/{thing.name}", at, tab="events", **space)

    def action_cause(self) -> None:
        thing, at = self._pointed()
        if thing is not None:
            space = {"ns": thing.namespace} if thing.namespace else {}
            self._go("rca", thing, "", at or rfc3339(self.dashboard.now), **space)

    def action_related(self) -> None:
        thing, at = self._pointed()
        if thing is not None:
            self._relate(thing, at)

    def _relate(self, thing: Thing, at: str | None = None) -> None:
        from aiops_cli.tui.widgets.related import show_related
        from aiops_cli.tui.widgets.related import thing as subject

        said = subject(thing.cluster, thing.kind, thing.name, thing.namespace, unix(at))
        show_related(self, f"{thing.kind} {thing.name}", said)

    def action_logs(self) -> None:
        thing, at = self._pointed()
        if thing is not None:
            self.run_worker(self._logs(thing, unix(at)), exclusive=True, group="logs")

    async def _logs(self, thing: Thing, at: float | None) -> None:
        """Of a node those of the daemon's pod there: it is what keeps the clock, or makes the VFs."""
        from aiops_cli.models.timerange import TimeRange
        from aiops_cli.services.cnf_pods import pod_on
        from aiops_cli.services.related_subjects import Horizon
        from aiops_cli.tui.following import follow
        from aiops_cli.tui.widgets.related import thing as subject

        session = self.dashboard.asked()
        kind, name, namespace = thing.kind, thing.name, thing.namespace
        if thing.daemon:
            member = self.tab.member(session, thing.cluster)
            try:
                asked = None if member is None else pod_on(member, thing.name, thing.daemon)
                found = None if asked is None else await self.dashboard.backend.ask(asked)
            except AiopsError as error:
                self.notify(error_line(error), severity="warning", markup=False)
                return
            if found is None:
                said = f"no pod of {thing.daemon} is known on {thing.name}: its logs can't be found"
                self.notify(said, severity="warning", markup=False)
                return
            kind, (namespace, name) = "Pod", found
        found_by = subject(thing.cluster, kind, name, namespace, at)
        follow(self, "logs", found_by(Horizon(TimeRange(0.0, session.now)))[0])

    # What is of one view alone

    def action_cursor(self, by: int) -> None:
        if self.tab is self._ptp:
            self._ptp.plot.move_cursor(by)

    def action_budget(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Choice

        def chosen(id: str | None) -> None:
            if id is not None:
                self._ptp.take_budget(id or None)

        if self.tab is not self._ptp:
            self.notify("budgets judge clocks: v goes to them")
            return
        named = [(name, f"{name}  {budget.source}") for name, budget in BUDGETS.items()]
        options = [("", "what [ptp] of the config says"), *named]
        self.app.push_screen(Choice("Judge clocks by", options, self._ptp.budget or ""), chosen)

    def action_inside(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Confirm

        pod = self._dpdk.grid.selected
        if self.tab is not self._dpdk or pod is None:
            self.notify("a DPDK pod can be read inside: choose one in the view dpdk")
            return
        if not self.dashboard.live:
            self.notify("a bundle holds what was recorded: nothing can be read inside a pod")
            return

        def done(yes: bool | None) -> None:
            if yes:
                self.notify(f"reading inside {pod.pod}…", markup=False)
                self.run_worker(self._dpdk.read_inside(pod), exclusive=True, group="inside")

        text = (
            f"grep reads /sys and /proc, and python3 asks each DPDK process's telemetry, in the containers of "
            f"{pod.namespace}/{pod.pod} on {pod.cluster}. Nothing is written. It needs the right pods/exec."
        )
        self.app.push_screen(Confirm("Read inside the pod", text), done)


SCREEN = CnfBoard
