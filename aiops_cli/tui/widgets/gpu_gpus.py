"""GPUs on the GPU screen: the table with gauges, and the chosen one in full with what it did over the range."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widget import Widget

from aiops_cli.errors import NotAvailableError
from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu
from aiops_cli.models.result import FleetResult
from aiops_cli.render.gpu_views import GPUS
from aiops_cli.render.output import View
from aiops_cli.services.session import Session
from aiops_cli.services.times import rfc3339
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.widgets.device_tab import Answer, Thing
from aiops_cli.tui.widgets.document import Document
from aiops_cli.tui.widgets.gpu_gauges import Gauges, gauged
from aiops_cli.tui.widgets.gpu_plots import GaugePlots
from aiops_cli.tui.widgets.gpu_tab import NONE, GpuTab, Seen, thing_of, without
from aiops_cli.tui.widgets.gpu_text import gpu_text

if TYPE_CHECKING:
    from aiops_cli.analysis.gpu_course import Course

_BROAD = 120  # cells from which words and plots stand side by side
_HIDDEN = ("model", "xid")  # where there is little room
_METRICS = {
    "memory": "DCGM_FI_DEV_FB_USED",
    "temperature": "DCGM_FI_DEV_GPU_TEMP",
    "power": "DCGM_FI_DEV_POWER_USAGE",
    "GPU_XID": "DCGM_FI_DEV_XID_ERRORS",
    "GPU_HOT": "DCGM_FI_DEV_GPU_TEMP",
    "GPU_THROTTLED_THERMAL": "DCGM_FI_DEV_GPU_TEMP",
    "GPU_THROTTLED_POWER": "DCGM_FI_DEV_POWER_USAGE",
    "GPU_MEMORY_FULL": "DCGM_FI_DEV_FB_USED",
    "GPU_ECC_UNCORRECTABLE": "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
}
"""What measures a plot's measure, or what a finding is about; else it is use."""


class GpusTab(GpuTab[Gpu]):
    DEFAULT_CSS = """
    GpusTab #gpu { layout: vertical; height: 1fr; }
    GpusTab #gpu-words { height: 10; }
    GpusTab #gpu-text { height: 1fr; }
    GpusTab.-broad #gpu { layout: horizontal; }
    GpusTab.-broad #gpu-words { width: 62; height: 1fr; margin-right: 1; }
    """
    NAME = "gpus"
    TITLE = "GPUs"
    EMPTY = NONE
    WELL = "nothing is wrong with any GPU in this range"

    def __init__(self) -> None:
        super().__init__(GPUS)
        self._course: tuple[str, Course | None, str] = ("", None, "")  # of which GPU; else why there is none

    def inside(self) -> ComposeResult:
        self._gauges, self.text, self.plots = Gauges(), Document(id="gpu-text"), GaugePlots(id="gpu-plots")
        yield Container(Vertical(self._gauges, self.text, id="gpu-words"), self.plots, id="gpu")

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= _BROAD, "-broad")

    def split(self, answer: Any) -> Answer[Gpu]:
        return answer.fleet.result, answer.fleet.findings

    def view(self, rows: Sequence[Gpu], zone: tzinfo | None, *, narrow: bool) -> View[Gpu]:
        return without(gauged(GPUS, narrow=narrow), _HIDDEN if narrow else ())

    # The chosen one

    def follow(self, item: Gpu | None) -> None:
        self._gauges.show(item)
        seen = self.seen
        if item is None or seen is None:
            self.text.show("")
            return
        from aiops_cli.analysis.gpu_findings import key, names

        board, instance = key(item)
        pasts = seen.fleet.pasts
        whole = pasts.get((item.cluster, (board, "")))
        told = [f for f in self.told if f.cluster == item.cluster and f.entity.name in names(item)]
        whose, course, why = self._course
        if whose != self.key(item):
            course, why = None, "reading what it did…"
        zone = self.dashboard.zone
        words = gpu_text(item, pasts.get((item.cluster, (board, instance))), whole, course, told, zone)
        self.text.show(f"{words}{why}\n" if why else words, top=False)
        xids = () if whole is None or whole.xids is None else whole.xids
        self.plots.show(item, course, xids, seen.window, seen.step, zone)

    def choose(self, item: Gpu | None) -> None:
        if item is None or self.chosen is None or self.key(item) != self.key(self.chosen):
            self.plots.put_cursor(None)  # its moment was that of another one
        super().choose(item)

    def ask_more(self) -> Callable[[Session], Coroutine[Any, Any, Any]]:
        return self._ask_course

    async def _ask_course(self, session: Session) -> FleetResult[tuple[str, Course | None, str]]:
        """What the chosen GPU did; a row says why there is nothing, which is no failure of the panel."""
        from aiops_cli.services.gpu_course import gpu_course

        gpu, seen = self.chosen, self.seen
        if gpu is None or seen is None or (member := self.member(session, gpu.cluster)) is None:
            return FleetResult([], [])
        try:
            policy = session.cache_policy()
            found = await gpu_course(member, gpu, seen.window, seen.step, session.now, policy)
        except NotAvailableError as error:
            return FleetResult([(self.key(gpu), None, error_line(error))], [])
        return FleetResult([(self.key(gpu), found.rows[0], "")], [])

    def show_more(self, answer: FleetResult[tuple[str, Course | None, str]]) -> None:
        if answer.rows and self.chosen is not None:
            self._course = answer.rows[0]
            self.follow(self.chosen)

    def failed(self, why: str) -> None:
        """What it did can't be read."""
        if self.chosen is not None:
            self._course = (self.key(self.chosen), None, f"what it did can't be read: {why}")
            self.follow(self.chosen)

    def within(self) -> Widget:
        return self.text

    # What is what

    def places(self, item: Gpu) -> tuple[set[str], set[str]]:
        return {item.node or ""}, {u.namespace for u in item.users if u.namespace}

    def concerned(self, finding: Finding) -> Gpu | None:
        return self.gpu((finding.cluster, finding.entity.name))

    def gpus_of(self, item: Gpu) -> list[Gpu]:
        return [item]

    def thing(self, item: Gpu) -> Thing:
        """Measured by what the focused finding is about, else by the plot that is seen."""
        focused = self.screen.focused
        finding = self.findings.selected if focused is self.findings else None
        about = finding.code if finding is not None else self.plots.shown
        return thing_of(item, _METRICS.get(about, ""))

    def moment(self) -> str | None:
        """The plots' cursor goes before all; then when its worst finding began."""
        return super().moment() if self.plots.cursor is None else rfc3339(self.plots.cursor)

    def see(self, seen: Seen) -> None:
        super().see(seen)
        if self.second is not None and self.second.reading.value is not None:
            self.second.refresh()  # over the same range as the rest
