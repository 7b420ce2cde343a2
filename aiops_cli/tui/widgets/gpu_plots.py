"""What one GPU did: use, memory, temperature and power along one time axis, on which XIDs and throttling are marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.containers import Container

from aiops_cli.models.gpu import Gpu
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.plot import MARGIN
from aiops_cli.render.text import clock, cut
from aiops_cli.render.units import quantity
from aiops_cli.tui.themes import style_of
from aiops_cli.tui.widgets.plot import Lines, Plot, value_at

if TYPE_CHECKING:
    from aiops_cli.analysis.gpu_course import Course, Measure

MEASURES: tuple[Measure, ...] = ("utilization", "memory", "temperature", "power")
NAMES: dict[Measure, str] = {
    "utilization": "utilisation", "memory": "memory", "temperature": "temperature", "power": "power"
}  # fmt: skip
_UNITS: dict[Measure, str] = {"utilization": "ratio", "memory": "bytes", "temperature": "°C", "power": "W"}
_ALL = (0.0, 1.0)
_AROUND: dict[Measure, tuple[float, float]] = {"utilization": _ALL, "temperature": (20.0, 90.0)}
"""What an axis has at least: GPUs are compared by eye."""
_MARKS = {"thermal": "t", "power": "p", "hardware": "h"}
XID_MARK = "✖"
Xids = Sequence[tuple[float, int]]


class GaugePlot(Plot, can_focus=False):
    """One measure. Its name and last value stand above, or the value at the cursor; on the axis `✖` is an XID, `t`,
    `p`, `h` are clocks lowered by heat, power, hardware."""

    def __init__(self, measure: Measure) -> None:
        super().__init__(id=f"gpu-{measure}")
        self.measure = measure
        self.alone = False
        self.course: Course | None = None
        self.xids: Xids = ()

    def _readout(self, base: Style) -> list[Segment]:
        name = NAMES[self.measure]
        lines = self._lines
        if lines is None or not lines.series:
            return [Segment(" " * MARGIN + f" no {name} in this range", base + Style(dim=True))]
        series = lines.series[0]
        if self.cursor is None:
            said = f" {name} {quantity(float(series.values[-1]), lines.unit)}"
            hint = "   ← → cursor · p next plot" if self.alone else ""
            return [
                Segment(" " * MARGIN + said, base + Style(bold=True)),
                Segment(hint, base + Style(dim=True)),
            ]
        value = quantity(value_at(series, self.cursor, lines.step), lines.unit)
        return [
            Segment(
                cut(f" {clock(self.cursor, self.zone)[5:]}  {name} {value}", self.size.width),
                base + Style(bold=True),
            )
        ]

    def _axis(self, base: Style) -> list[Segment]:
        """With what happened. An XID is not hidden by what came with it."""
        (plain,) = super()._axis(base)
        if self.course is None or self.span is None:
            return [plain]
        cells: list[tuple[str, Style]] = [(c, base) for c in plain.text]
        variables = self.app.theme_variables
        for run in self.course.throttled:
            for column in range(self._column(run.start), self._column(run.end) + 1):
                self._mark(cells, column, _MARKS[run.kind], base + style_of("warn", variables))
        for at, _ in self.xids:
            self._mark(cells, self._column(at), XID_MARK, base + style_of("fatal", variables))
        return [Segment(c, style) for c, style in cells]

    def _mark(self, cells: list[tuple[str, Style]], column: int, sign: str, style: Style) -> None:
        if 0 <= column < self.columns and MARGIN + column < len(cells):
            cells[MARGIN + column] = (sign, style)


class GaugePlots(Container):
    """Four of them side by side, or where there is little room one, which `next` changes."""

    DEFAULT_CSS = """
    GaugePlots { height: 1fr; layout: vertical; }
    GaugePlots GaugePlot { display: none; }
    GaugePlots GaugePlot.-shown { display: block; }
    GaugePlots.-four { layout: grid; grid-size: 2 2; grid-gutter: 0 1; }
    GaugePlots.-four GaugePlot { display: block; }
    """
    FOUR: ClassVar[tuple[int, int]] = (84, 12)  # cells and lines from which on all have room

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.plots = {m: GaugePlot(m) for m in MEASURES}
        self.shown: Measure = MEASURES[0]

    def compose(self) -> ComposeResult:
        yield from self.plots.values()

    def on_mount(self) -> None:
        self._choose(self.shown)

    def on_resize(self, event: events.Resize) -> None:
        four = event.size.width >= self.FOUR[0] and event.size.height >= self.FOUR[1]
        self.set_class(four, "-four")
        for plot in self.plots.values():
            plot.alone = not four

    @property
    def plot(self) -> GaugePlot:
        return self.plots[self.shown]

    @property
    def cursor(self) -> float | None:
        return self.plot.cursor

    def _choose(self, measure: Measure) -> None:
        self.shown = measure
        for name, plot in self.plots.items():
            plot.set_class(name == measure, "-shown")

    def next(self) -> None:
        self._choose(MEASURES[(MEASURES.index(self.shown) + 1) % len(MEASURES)])

    def show(
        self, gpu: Gpu | None, course: Course | None, xids: Xids, window: TimeRange, step: float, zone: Any
    ) -> None:
        for measure, plot in self.plots.items():
            plot.zone, plot.course, plot.xids = zone, course, xids
            series = None if course is None else course.gauges.get(measure)
            unit, around = _UNITS[measure], _AROUND.get(measure)
            if gpu is not None and measure == "memory" and series is not None and gpu.memory_total_mib:
                share = series.values / (gpu.memory_total_mib * 2.0**20)
                series, unit, around = Series(series.labels, series.timestamps, share), "ratio", _ALL
            elif gpu is not None and measure == "power":
                around = (0.0, gpu.power_limit_w or 0.0)
            drawn = [] if series is None else [series]
            lines = Lines(drawn, (window.start, window.end), unit, step, around)
            plot.show(lines)

    # One cursor for all

    def move_cursor(self, by: int) -> None:
        self.plot.move_cursor(by)

    def put_cursor(self, at: float | None) -> None:
        for plot in self.plots.values():
            plot.put_cursor(at)

    def on_plot_moved(self, event: Plot.Moved) -> None:
        self.put_cursor(event.at)
