"""Alerts: what fires, in groups or one by one, each in full; what fired; silences, and making and ending them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from aiops_cli.errors import UsageError
from aiops_cli.models.alerts import AlertGroup, AlertPeriod, SilenceItem
from aiops_cli.models.result import FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.render.alert_views import alert_view, group_view, history_view
from aiops_cli.render.silence_views import silence_view
from aiops_cli.services.session import Session
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.alerting import AlertJumps, ask_history, ask_silences, of_period
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets.alert_detail import AlertPane
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.views import Views

TABS = ("alerts", "history", "silences")
GROUPS = ("", "alertname", "namespace", "cluster", "severity")
_ALERTS_SECONDS, _SILENCES_SECONDS, _HISTORY_SECONDS = 15.0, 30.0, 120.0
_REMEMBER_SECONDS = 300.0
_BROAD = 120  # cells from which the detail stands beside the list
_DAY = 86400.0
_OF_VIEW = {
    "group": ("alerts",),
    "only": ("alerts",),
    "expire": ("silences",),
    **dict.fromkeys(("follow", "cause", "silence", "metrics", "events", "related"), ("alerts", "history")),
}
"""The views in which these actions do something."""


class Alerts(AlertJumps):
    NAME = "alerts"
    DEFAULT_CSS = """
    Alerts .tab { display: none; height: 1fr; }
    Alerts.-alerts #on-alerts, Alerts.-history #on-history, Alerts.-silences #on-silences { display: block; }
    Alerts.-grouped #flat, Alerts.-flat #groups { display: none; }
    Alerts #detail { display: none; }
    Alerts.-broad #detail { display: block; width: 45%; }
    Alerts.-detail #detail { display: block; width: 1fr; }
    Alerts.-broad.-detail #detail { width: 45%; }
    Alerts.-detail #list { display: none; }
    Alerts.-broad.-detail #list { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("alerts.logs", "l", "follow('logs')", "Logs", "Lines of the alert's workload, when it began.", show=True),
        act("alerts.traces", "t", "follow('traces')", "Traces", "Traces through its service, when it began.", show=True),
        act("alerts.cause", "x", "cause", "Cause", "What explains this alert: the RCA screen.", show=True),
        act("alerts.silence", "s", "silence", "Silence", "Silence what the cursor is on, after a preview.", show=True),
        act("alerts.group", "b", "group", "Group by", "By name, namespace, cluster or severity; each by itself.", show=True),
        act("alerts.only", "f", "only", "Only…", "Only a severity or a state.", show=True),
        act("alerts.view", "v,shift+right", "view(1)", "View", "Alerts, history, silences.", show=True),
        act("alerts.view-back", "shift+left", "view(-1)", "View before"),
        act("alerts.metrics", "m", "metrics", "Metrics", "What its rule measures, when it began."),
        act("alerts.events", "e", "events", "Events", "What happened in its namespace."),
        act("alerts.related", "R", "related", "Related", "What the other signals know of it."),
        act("alerts.expire", "d,delete", "expire", "End", "End the silence under the cursor, when you agree.", show=True),
        act("alerts.new", "n", "new_silence", "New silence", "A silence with matchers of your own.", show=True),
    ]  # fmt: skip

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Each view has the keys of what it shows."""
        of = _OF_VIEW.get(action)
        return of is None or not self.is_mounted or self._views.current in of

    def content(self) -> ComposeResult:
        now = clock.now()
        self._by, self._group = "", ""
        self._wanted: dict[str, str] = {}  # severity, state, namespace, a group's label, a silence's id
        self._all: FleetResult[AlertItem] = FleetResult([], [])
        self._wanted_name: str | None = None
        self._tab_feeds: dict[str, Feed[Any]] = {}
        self._remembered = 0.0
        self._flat: Grid[AlertItem] = Grid(
            alert_view(now),
            judge=lambda a: a.severity,
            key=lambda a: (a.cluster, a.fingerprint),
            id="flat",
        )
        self._groups: Grid[AlertGroup] = Grid(group_view(("alertname",), now), id="groups")
        self._past: Grid[AlertPeriod] = Grid(
            history_view(None), key=lambda p: (p.cluster, p.fingerprint, p.starts_at), id="history"
        )
        self._silences: Grid[SilenceItem] = Grid(
            silence_view(now), key=lambda s: (s.cluster, s.id), id="silences"
        )
        self._pane = AlertPane(id="pane")
        self._views = Views(TABS)
        yield self._views
        with Horizontal(id="on-alerts", classes="tab"):
            yield Panel("Alerts", self._flat, self._groups, empty="no alert is active", id="list")
            yield Panel("Alert", self._pane, id="detail")
        with Horizontal(id="on-history", classes="tab"):
            yield Panel(
                "Fired", self._past, empty="no alert fired in this time range; T takes another", id="past"
            )
        with Horizontal(id="on-silences", classes="tab"):
            yield Panel(
                "Silences",
                self._silences,
                empty="no silence is active or to come; n makes one",
                id="quiet",
            )

    def on_mount(self) -> None:
        super().on_mount()
        self.add_class("-alerts", "-flat")
        self._open_tab("alerts")
        self._flat.focus()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= _BROAD, "-broad")

    # Feeds: only that of the view which is seen asks

    def asked_feeds(self) -> Iterable[Feed[Any]]:
        return [f for name, f in self._tab_feeds.items() if name == self._views.current]

    def _follow_tab(self) -> None:
        for name, feed in self._tab_feeds.items():
            feed.start() if name == self._views.current else feed.pause()

    def _open_tab(self, name: str) -> None:
        self.remove_class(*(f"-{t}" for t in TABS))
        self.add_class(f"-{name}")
        self._views.current = name
        self.refresh_bindings()
        if name not in self._tab_feeds:
            make: dict[str, Callable[[], tuple[str, Feed[Any]]]] = {
                "alerts": lambda: (
                    "#list",
                    self.feed(
                        self._ask_alerts,
                        self._show_alerts,
                        every=_ALERTS_SECONDS,
                        kept=("active-alerts", FleetResult[AlertItem]),
                    ),
                ),
                "history": lambda: (
                    "#past",
                    self.feed(ask_history, self._show_history, every=_HISTORY_SECONDS),
                ),
                "silences": lambda: (
                    "#quiet",
                    self.feed(ask_silences, self._show_silences, every=_SILENCES_SECONDS),
                ),
            }
            panel, self._tab_feeds[name] = make[name]()
            self.query_one(panel, Panel).follow(self._tab_feeds[name])
        self._follow_tab()

    async def _ask_alerts(self, session: Session) -> FleetResult[AlertItem]:
        from aiops_cli.services import alerts
        from aiops_cli.services.alert_memory import remember

        found = await alerts.active(session.members, pending=self._wanted.get("state") == "PENDING")
        if session.bundle is None and session.now - self._remembered > _REMEMBER_SECONDS:
            self._remembered = session.now
            remember(session.state, found, session.now)
        return found

    def narrowed(self) -> bool:
        return super().narrowed() or self._wanted.get("state") == "PENDING"

    # What is shown

    def _show_alerts(self, result: FleetResult[AlertItem]) -> None:
        self._all = result
        self._arrange()
        if self._wanted_name is not None:
            self._put_cursor_on(self._wanted_name)

    def _arrange(self) -> None:
        """The rows that are wanted, flat or in groups, and the title that says so."""
        from aiops_cli.services.alerts import grouped

        rows = [a for a in self._all.rows if self._fits(a)]
        now = self._now()
        grouping = bool(self._by) and "group" not in self._wanted and "silence" not in self._wanted
        self.set_class(grouping, "-grouped")
        self.set_class(not grouping, "-flat")
        self._flat.show(rows, alert_view(now))
        if grouping:
            self._groups.show(grouped(rows, [self._by]), group_view([self._by], now))
        count = (
            f" {len(rows)} of {len(self._all.rows)}" if len(rows) < len(self._all.rows) else f" {len(rows)}"
        )
        if len(self._all.failed) == len(
            self._all.clusters
        ):  # nothing is known: not asked yet, or not to be asked
            count = ""
        said = [self._wanted[k] for k in ("severity", "state", "group") if k in self._wanted]
        said += [f"in {self._wanted['ns']}"] if "ns" in self._wanted else []
        said += [f"kept quiet by {self._wanted['silence'][:8]}"] if "silence" in self._wanted else []
        said += [f"by {self._by}"] if grouping else []
        self.query_one("#list", Panel).retitle(" · ".join([f"Alerts{count}", *said]))
        if not rows:
            self._pane.follow(None)

    def _fits(self, a: AlertItem) -> bool:
        wanted = self._wanted
        return (
            ("severity" not in wanted or (a.severity or "").lower() == wanted["severity"].lower())
            and ("state" not in wanted or a.state == wanted["state"])
            and ("ns" not in wanted or a.labels.get("namespace") == wanted["ns"])
            and ("group" not in wanted or f"{self._by}={self._label(a)}" == wanted["group"])
            and ("silence" not in wanted or wanted["silence"] in a.silenced_by)
        )

    def _label(self, a: AlertItem) -> str:
        if self._by == "cluster":
            return a.cluster
        if self._by == "severity":
            return (a.severity or "").lower()
        return a.labels.get(self._by, "")

    def _now(self) -> float:
        return self.dashboard.asked().now if self.dashboard.session else clock.now()

    def _show_history(self, result: FleetResult[AlertPeriod]) -> None:
        self._past.show(result.rows, history_view(self.dashboard.asked().zone))

    def _show_silences(self, result: FleetResult[SilenceItem]) -> None:
        self._silences.show(result.rows, silence_view(self._now()))

    def _put_cursor_on(self, name: str) -> None:
        """On the alert of this fingerprint or name, once."""
        found = next((a for a in self._flat.rows if a.fingerprint == name or a.name == name), None)
        if found is not None:
            self._wanted_name = None
            self._flat.select((found.cluster, found.fingerprint))

    def on_grid_highlighted(self, event: Grid.Highlighted) -> None:
        if event.grid is self._flat or event.grid is self._groups:
            self._pane.follow(self._chosen())

    def on_grid_arranged(self, event: Grid.Arranged) -> None:
        """Where no row is left, nothing is told of one."""
        if event.grid in (self._flat, self._groups) and event.grid.display:
            self._pane.follow(self._chosen())

    def _chosen(self) -> AlertItem | None:
        """The alert the cursor is on: of a group its first, of the past as it was."""
        if self._views.current == "history":
            period = self._past.selected
            return None if period is None else of_period(period)
        if self._views.current != "alerts":
            return None
        if self.has_class("-flat"):
            return self._flat.selected
        group = self._groups.selected
        return None if group is None else next(iter(self._of_group(group)), None)

    def _of_group(self, group: AlertGroup) -> list[AlertItem]:
        wanted = set(group.fingerprints)
        return [a for a in self._flat.items if a.fingerprint in wanted and a.cluster in group.clusters]

    # Coming and going

    def arrive(self, place: Place) -> None:
        args = place.args
        tab = args.get("tab", "alerts")
        if tab not in TABS:
            self.notify(f"alerts has no view {tab!r}; there are {', '.join(TABS)}", markup=False)
            tab = "alerts"
        wanted = {k: args[a] for k, a in (("severity", "sev"), ("state", "state"), ("ns", "ns")) if a in args}
        if "state" in wanted:
            wanted["state"] = wanted["state"].upper()
        if "name" in args or place.text:
            self._by = ""
        elif args.get("kind") in GROUPS:
            self._by = args["kind"]
        anew = wanted.get("state") != self._wanted.get("state")
        self._wanted = wanted
        self._wanted_name = args.get("name")
        self._open_tab(tab)
        self._filter(self._grid(), place.text)
        self._arrange()
        if anew:
            self._tab_feeds["alerts"].refresh(anew=True)
        if self._wanted_name is not None:
            self._put_cursor_on(self._wanted_name)
        self._grid().focus()

    def place(self) -> Place:
        tab = self._views.current
        args = {"tab": tab} if tab != "alerts" else {}
        args |= {
            a: self._wanted[k]
            for k, a in (("severity", "sev"), ("state", "state"), ("ns", "ns"))
            if k in self._wanted
        }
        if self._by:
            args["kind"] = self._by
        return Place(self.NAME, self._grid().filter_text, args)

    def _grid(self) -> Grid[Any]:
        """The table of this view."""
        tab = self._views.current
        if tab == "alerts":
            return self._groups if self.has_class("-grouped") else self._flat
        return self._past if tab == "history" else self._silences

    def leave_inside(self) -> bool:
        if self._views.current == "alerts" and (self.has_class("-detail") or self._pane.has_focus):
            self.remove_class("-detail")
            self._grid().focus()
            return True
        if (grid := self._grid()).filter_text:
            self._filter(grid, "")
            return True
        if self._views.current == "alerts" and self._wanted:
            last = list(self._wanted)[-1]
            self._want(last, "")
            return True
        return False

    def _want(self, name: str, value: str) -> None:
        """Keep only alerts of this severity, state or so; without a value, not any more."""
        asked = self._wanted.get("state")
        self._wanted.pop(name, None)
        if value:
            self._wanted[name] = value
        self._arrange()
        if "PENDING" in (asked, self._wanted.get("state")) and asked != self._wanted.get("state"):
            self._tab_feeds["alerts"].refresh()
        self._grid().focus()

    # Actions

    def action_refresh(self) -> None:
        self._tab_feeds[self._views.current].refresh()
        self._pane.reread()

    def on_views_chosen(self, event: Views.Chosen) -> None:
        self._open_tab(event.name)
        self._grid().focus()

    def action_view(self, by: int) -> None:
        self._open_tab(self._views.after(by))
        self._grid().focus()

    def action_group(self) -> None:
        self._by = GROUPS[(GROUPS.index(self._by) + 1) % len(GROUPS)]
        self._wanted.pop("group", None)
        self._arrange()
        self._grid().focus()

    def action_only(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Choice

        severities = sorted({(a.severity or "").lower() for a in self._all.rows} - {""})
        options = [("", "all alerts")]
        options += [(f"severity={s}", f"severity {s}") for s in severities]
        options += [(f"state={s}", f"state {s.lower()}") for s in ("FIRING", "SUPPRESSED", "PENDING")]

        def chosen(id: str | None) -> None:
            if id == "":
                self._wanted.clear()
                self._want("state", "")
            elif id is not None:
                self._want(*id.split("=", 1))

        self.app.push_screen(Choice("Only alerts of", options), chosen)

    def on_grid_opened(self, event: Grid.Opened) -> None:
        if event.grid is self._groups:
            value = cast(AlertGroup, event.item).labels[self._by]
            self._want("group", f"{self._by}={value}")
        elif event.grid is self._silences:
            silence = cast(SilenceItem, event.item)
            self._wanted = {"silence": silence.id}
            self._open_tab("alerts")
            self._arrange()
            self._grid().focus()
        elif event.grid is self._past:
            self._past.action_detail()
        else:
            self._pane.follow(event.item)
            self.add_class("-detail")
            self._pane.focus()

    def action_silence(self) -> None:
        """Of an alert by all its labels, of a group by the label that it shares."""
        if self._views.current == "alerts" and self.has_class("-grouped"):
            group = self._groups.selected
            if group is not None:
                named = {k: v for k, v in group.labels.items() if k != "cluster"}
                self._ask_silence(named, group.clusters)
        elif (alert := self._chosen()) is not None:
            self._ask_silence(alert.labels, [alert.cluster])
        else:
            self.notify("no alert is chosen: n makes a silence with matchers of your own")

    def action_new_silence(self) -> None:
        self._ask_silence({}, [m.name for m in self.dashboard.members])

    def _ask_silence(self, labels: dict[str, str], clusters: Sequence[str]) -> None:
        from aiops_cli.services.silences import author
        from aiops_cli.tui.widgets.silence import SilenceForm, matchers_of

        if not self._writable():
            return

        where = "*" if set(clusters) == {m.name for m in self.dashboard.members} else " ".join(clusters)
        self.app.push_screen(SilenceForm(matchers_of(labels), where, author(), self._reread))

    def action_expire(self) -> None:
        from aiops_cli.tui.widgets.silence import ask_expiry

        if self._writable() and (silence := self._silences.selected) is not None:
            ask_expiry(self, silence, self._reread)

    def _writable(self) -> bool:
        if self.dashboard.session is None:
            return False
        try:
            _ = self.dashboard.asked().live
        except UsageError:
            self.notify("a bundle is only read: silences are made on live clusters, without --bundle")
            return False
        return True

    def _reread(self) -> None:
        """The lists anew, also behind a form that stays open."""
        for feed in self._tab_feeds.values():
            feed.refresh()
        for feed in self.asked_feeds():
            feed.start()


SCREEN = Alerts
