"""PTP clocks on the CNF screen: the table, the chosen clock's offsets and states over the range, findings."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widget import Widget

from aiops_cli.analysis.ptp_codes import UNUSABLE_NS, aliases
from aiops_cli.models.findings import Finding
from aiops_cli.models.ptp import PtpClock
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.output import View
from aiops_cli.render.ptp_views import clock_text, ptp_view
from aiops_cli.services.log_syntax import quoted
from aiops_cli.services.session import Session
from aiops_cli.services.times import rfc3339
from aiops_cli.tui.widgets.cnf_lane import Lane
from aiops_cli.tui.widgets.device_tab import Answer, DeviceTab, Thing
from aiops_cli.tui.widgets.document import Document
from aiops_cli.tui.widgets.plot import Lines, Plot

if TYPE_CHECKING:
    from aiops_cli.analysis.ptp import Clock
    from aiops_cli.services.ptp import Clocks

_BROAD = 120  # cells from which words and chart stand side by side
_PER_NS = 1e-9  # seconds, of which the axis makes ns and µs
_GAP = 2.5  # steps without a sample
DAEMON = "linuxptp-daemon"


@dataclass(frozen=True, slots=True)
class Seen:
    """Clocks over a window, at a step in seconds."""

    clocks: Clocks
    window: TimeRange
    step: float


class PtpTab(DeviceTab[PtpClock]):
    DEFAULT_CSS = """
    PtpTab #clock { layout: vertical; height: 1fr; }
    PtpTab #clock-text { height: 8; }
    PtpTab #clock-lines { height: 1fr; }
    PtpTab.-broad #clock { layout: horizontal; }
    PtpTab.-broad #clock-text { width: 62; height: 1fr; }
    """
    NAME = "ptp"
    TITLE = "PTP clocks"
    EMPTY = (
        "no openshift_ptp_* metrics in the Prometheus of these clusters, and no `ptp` exporter in the config "
        "has any; @ other clusters, T another time range"
    )
    WELL = "no clock is, or in this range was, wrong"

    def __init__(self) -> None:
        super().__init__(ptp_view([], None, narrow=True), judge=lambda c: c.verdict)
        self.budget: str | None = None  # of [ptp] in the config
        self.plot = Plot(id="clock-plot")
        self._seen: Seen | None = None
        self._clocks: dict[str, Clock] = {}
        self._by_part: dict[Hashable, PtpClock] = {}

    def inside(self) -> ComposeResult:
        self._text, self._lane = Document(id="clock-text"), Lane(id="clock-states")
        yield Container(self._text, Vertical(self.plot, self._lane, id="clock-lines"), id="clock")

    async def ask(self, session: Session) -> Seen:
        """As `aiops cnf ptp`, over the dashboard's range."""
        from aiops_cli.services import ptp

        window = session.window()
        step = session.step(window)
        rules = ptp.rules_of(session.settings.ptp, self.budget)
        found = await ptp.list_clocks(
            session.members, window, step, session.now, rules, policy=session.cache_policy()
        )
        return Seen(found, window, step)

    def split(self, answer: Any) -> Answer[PtpClock]:
        return answer.clocks.result, answer.clocks.findings

    def take(self, answer: Any) -> None:
        self._seen = answer
        self._clocks = {self.key(c.row): c for c in answer.clocks.clocks}
        super().take(answer)

    def view(self, rows: Sequence[PtpClock], zone: tzinfo | None, *, narrow: bool) -> View[PtpClock]:
        return ptp_view(rows, zone, narrow=narrow)

    def heading(self, item: PtpClock) -> str:
        return f"{self.key(item)} · a offset, b and c its limits"

    def extra(self) -> Iterable[str]:
        return () if self.budget is None else (f"budget {self.budget}",)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= _BROAD, "-broad")

    def follow(self, item: PtpClock | None) -> None:
        seen = self._seen
        clock = None if item is None else self._clocks.get(self.key(item))
        if clock is None or seen is None:
            self._text.show("")
            return
        zone = self.plot.zone = self.dashboard.zone
        window = seen.window
        self._text.show(clock_text(clock, zone, window.end).rstrip(), top=False)
        self.plot.show(Lines(_lines(clock, window, seen.step), (window.start, window.end), "s", seen.step))
        self._lane.show(clock.runs, (window.start, window.end))

    def within(self) -> Widget:
        return self._text

    # What is what

    def places(self, item: PtpClock) -> tuple[set[str], set[str]]:
        return {item.node}, set()

    def index(self, rows: Sequence[PtpClock]) -> None:
        """By clock, by process, port or alias, and by node: findings name any of these."""
        self._by_part = {}
        for row in rows:
            parts = [f"{row.process}/{row.interface}", row.process, row.interface, row.port, None]
            for name in parts:
                self._by_part.setdefault((row.cluster, row.node, name), row)

    def concerned(self, finding: Finding) -> PtpClock | None:
        """The clock itself, else one of the process or port, else of the node."""
        node, _, rest = finding.entity.name.partition("/")
        names = [rest, *sorted(aliases(rest) if rest else ()), rest.partition("/")[0], None]
        places = ((finding.cluster, node, name) for name in names)
        return next((self._by_part[p] for p in places if p in self._by_part), None)

    def thing(self, item: PtpClock) -> Thing:
        labels = (("node", item.node), ("process", item.process), ("iface", item.interface))
        inner = ", ".join(f"{name}={quoted(value)}" for name, value in labels)
        query = f"openshift_ptp_offset_ns{{{inner}}}"
        if self.dashboard.live:  # without what says that there was no measurement; a bundle has bare series
            query = f"{query} > -{UNUSABLE_NS:.0f} < {UNUSABLE_NS:.0f}"
        return Thing(item.cluster, "Node", item.node, daemon=DAEMON, query=query)

    def moment(self) -> str | None:
        """The plot's cursor goes before all."""
        return super().moment() if self.plot.cursor is None else rfc3339(self.plot.cursor)

    def take_budget(self, name: str | None) -> None:
        """Judge by another one; the config's own where it is None."""
        self.budget = name
        if self.feed is not None:
            self.feed.refresh(anew=True)


def _lines(clock: Clock, window: TimeRange, step: float) -> list[Series]:
    """Its offsets, then the budget's two bounds at each step, in seconds."""
    import numpy as np

    if clock.offsets is None or not len(clock.offsets.values):
        return []
    times, values = clock.offsets.times, clock.offsets.values * _PER_NS
    gaps = np.flatnonzero(np.diff(times) > _GAP * step) + 1  # no line is drawn over what was not measured
    measured = (np.insert(times, gaps, times[gaps - 1] + step), np.insert(values, gaps, np.nan))
    steps = np.arange(window.start, window.end + step, step)
    bounds = (("upper limit", clock.budget.high), ("lower limit", clock.budget.low))
    return [
        Series({"line": "offset"}, *measured),
        *(Series({"line": name}, steps, np.full(len(steps), value * _PER_NS)) for name, value in bounds),
    ]
