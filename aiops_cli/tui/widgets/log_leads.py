"""From a log line to what else is known: its detail, its neighbours, its stream, other signals."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from aiops_cli.analysis.merge import Line
from aiops_cli.render.log_lines import source_of
from aiops_cli.tui.actions import act
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets.log_places import place_beside, stream_query
from aiops_cli.tui.widgets.log_shown import Shown


class Leads(Shown):
    """The actions of the line under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        act("logs.context", "C", "context", "Context", "The lines before and after, of the same stream."),
        act("logs.stream", "l", "stream", "This stream", "Only lines of the pod or stream of this line."),
        act("logs.trace", "t", "trace", "Trace", "The trace that this line names, or traces of its workload.", show=True),
        act("logs.metrics", "m", "beside('metrics')", "Metrics", "Around this line's time."),
        act("logs.alerts", "a", "beside('alerts')", "Alerts", "Of this line's namespace."),
        act("logs.events", "e", "beside('cluster')", "Events", "Of this line's pod, around its time."),
        act("logs.cause", "x", "beside('rca')", "Cause", "What was wrong around this line's time.", show=True),
    ]  # fmt: skip

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
            self._traces_of(line)
            return
        self.go(Place("traces", "", {"trace": found}, (line[0],)))

    def _traces_of(self, line: Line) -> None:
        """Traces of the line's workload around its time."""
        from aiops_cli.models.timerange import TimeRange
        from aiops_cli.services import logs
        from aiops_cli.services.related_subjects import Horizon, of_logs
        from aiops_cli.tui.following import follow

        self.app.notify("this line names no trace: these are of its workload, around its time", timeout=3)
        horizon = Horizon(TimeRange(0.0, self.dashboard.now))
        follow(self, "traces", of_logs([logs.item(*line)], horizon)[0])

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
