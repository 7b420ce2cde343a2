"""A trace as a tree of bars: branches close and open, and only the lines seen are drawn, so that 2,000 spans
scroll as 20 do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from aiops_cli.render.text import cells, duration, one_line
from aiops_cli.render.waterfall import INDENT, NUMBERS, bar, names, padded
from aiops_cli.tui.actions import act
from aiops_cli.tui.filtering import Test, compile_filter
from aiops_cli.tui.themes import rich_colour, style_of
from aiops_cli.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from aiops_cli.services.traces import SpanItem


class Waterfall(Rows, can_focus=True):
    """`show(spans)` takes them in tree order. A filter shows the spans that match, without their tree."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"waterfall--header", "waterfall--cursor"}
    DEFAULT_CSS = """
    Waterfall { height: 1fr; overflow-x: hidden; background: $background; scrollbar-size-vertical: 1; }
    Waterfall > .waterfall--header { text-style: bold; color: $primary; }
    Waterfall > .waterfall--cursor { background: $panel; }
    Waterfall:focus > .waterfall--cursor { text-style: reverse; background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("table.up", "up,k", "cursor(-1)", "Up"),
        act("table.down", "down,j", "cursor(1)", "Down"),
        act("table.page-up", "pageup,ctrl+u", "page(-1)", "Page up"),
        act("table.page-down", "pagedown,ctrl+d", "page(1)", "Page down"),
        act("table.top", "home,g", "edge(0)", "First row"),
        act("table.end", "end,G", "edge(1)", "Last row"),
        act("table.open", "enter,space", "open", "Span", "All that is known of the span.", show=True),
        act("table.filter", "slash", "filter", "Filter", "Spans whose service or name match.", show=True),
        act("traces.close", "left", "close", "Close", "Close the branch, or go to the span's parent.", show=True),
        act("traces.open", "right", "unfold", "Open", "Open the branch."),
        act("traces.fold", "C", "fold", "Close/open all", "Only the first two levels, or all of them."),
        act("traces.failed", "n", "next_failed", "Next failed", "The next span that failed.", show=True),
        act("traces.critical", "N", "next_critical", "Next critical", "The next span with time of its own on the critical path."),
        act("table.save", "ctrl+s", "save", "Save", "Write the spans shown to a CSV file in this folder."),
        act("table.copy", "c", "copy", "Copy", "Copy the trace's id (OSC 52)."),
    ]  # fmt: skip

    class Opened(Message):
        """Enter, or a second click, on a span."""

        def __init__(self, span: SpanItem) -> None:
            super().__init__()
            self.span = span

    class Highlighted(Message):
        """The cursor is on another span."""

        def __init__(self, span: SpanItem) -> None:
            super().__init__()
            self.span = span

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._spans: Sequence[SpanItem] = ()
        self._names: list[str] = []
        self._last: list[int] = []  # of each span: the last span of its branch
        self._folded: set[int] = set()
        self._seen: list[int] = []
        self._total = 1.0
        self._left = 20
        self._test: Test | None = None
        self.filter_text = ""

    # What it shows

    def show(self, spans: Sequence[SpanItem]) -> None:
        """Another trace, all of it open."""
        self._spans = spans
        self._names = names(spans, "")
        self._total = max((s.start_ms + s.duration_ms for s in spans), default=0.0) or 1.0
        self._last = _branches(spans)
        self._folded.clear()
        self.set_filter("")
        self.cursor = 0
        self.scroll_to(y=0, animate=False)
        self._tell()

    @property
    def row_count(self) -> int:
        return len(self._seen)

    @property
    def selected(self) -> SpanItem | None:
        return self._spans[self._seen[self.cursor]] if self.cursor < len(self._seen) else None

    def set_filter(self, text: str) -> None:
        """Raises UsageError for a filter that can't be read (`tui.filtering`)."""
        self._test = compile_filter(text)
        self.filter_text = text.strip() if self._test else ""
        self._arrange()

    def _arrange(self) -> None:
        """Which spans are seen, the cursor held where it was or on the branch that closed over it."""
        held = self._seen[self.cursor] if self.cursor < len(self._seen) else 0
        if (test := self._test) is not None:
            self._seen = [
                i for i, s in enumerate(self._spans)
                if test(f"{self._names[i]} {s.status} {s.kind}", {"service": s.service, "status": s.status})
            ]  # fmt: skip
        else:
            self._seen, i = [], 0
            while i < len(self._spans):
                self._seen.append(i)
                i = self._last[i] + 1 if i in self._folded else i + 1
        self.virtual_size = Size(self.size.width, len(self._seen) + 1)
        self._measure()
        at = next((n for n in range(len(self._seen) - 1, -1, -1) if self._seen[n] <= held), 0)
        if at != self.cursor:
            self.cursor = at
        else:
            self._tell()
        self.refresh()

    def _measure(self) -> None:
        """The names' width, of all spans: the axis stands still when branches close."""
        counted = (f" ({self._last[i] - i})" if self._last[i] > i else "" for i in range(len(self._spans)))
        widest = max(
            (self._indent(i) + 2 + cells(self._names[i]) + len(count) for i, count in enumerate(counted)),
            default=20,
        )
        self._left = min(widest, max(int(self.size.width * 0.45), 20))

    def _indent(self, i: int) -> int:
        return 0 if self._test else 2 * min(self._spans[i].depth, INDENT)

    def _tell(self) -> None:
        if (span := self.selected) is not None:
            self.post_message(self.Highlighted(span))

    # Drawing

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        wide = self._wide()
        if y == 0:
            style = self.get_component_rich_style("waterfall--header")
            text = f"{padded('  SPAN', self._left)}  0{duration(self._total):>{wide - 1}}  {'DURATION':>9} {'SELF':>8}"
            return Strip([Segment(text, style)]).crop_extend(0, width, style)
        index = self.row_at(y)
        if index >= len(self._seen):
            return Strip.blank(width, self._base)
        base = self._base
        if index == self.cursor:
            base += self.get_component_rich_style("waterfall--cursor")
        return Strip(self._segments(self._seen[index], wide, base)).crop_extend(0, width, base)

    def _wide(self) -> int:
        return max(self.size.width - self.scrollbar_size_vertical - self._left - 2 - NUMBERS - 1, 10)

    def _segments(self, i: int, wide: int, base: Style) -> list[Segment]:
        span, variables = self._spans[i], self.app.theme_variables
        failed = span.status == "error"
        style = base + style_of("error", variables) if failed else base
        branch = self._last[i] > i and not self._test
        fold = "▸ " if i in self._folded else "▾ " if branch else "  "
        hidden = f" ({self._last[i] - i})" if i in self._folded and branch else ""
        name = padded(" " * self._indent(i) + fold + self._names[i] + hidden, self._left)
        accent = Style(color=rich_colour(variables.get("accent", "")), bold=True)
        drawn: list[Segment] = []
        for run in _runs(bar(span, self._total, wide)):
            drawn.append(Segment(run, base + accent if run[0] == "━" else style))
        numbers = f"  {duration(span.duration_ms):>9} {duration(span.self_ms):>8}{' ✗' if failed else ''}"
        return [Segment(f"{name}  ", style), *drawn, Segment(numbers, style)]

    # Movement

    def action_open(self) -> None:
        if (span := self.selected) is not None:
            self.post_message(self.Opened(span))

    def action_filter(self) -> None:
        board: Any = self.screen
        board.ask_filter(self)

    def action_close(self) -> None:
        if not self._seen:
            return
        i = self._seen[self.cursor]
        if self._test is None and self._last[i] > i and i not in self._folded:
            self._folded.add(i)
            self._arrange()
            return
        depth = self._spans[i].depth
        above = (n for n in range(self.cursor - 1, -1, -1) if self._spans[self._seen[n]].depth < depth)
        self.cursor = next(above, self.cursor)

    def action_unfold(self) -> None:
        if self._seen and (i := self._seen[self.cursor]) in self._folded:
            self._folded.discard(i)
            self._arrange()
        else:
            self.cursor += 1

    def action_fold(self) -> None:
        if self._folded:
            self._folded.clear()
        else:
            self._folded = {i for i, s in enumerate(self._spans) if s.depth >= 1 and self._last[i] > i}
        self._arrange()

    def action_next_failed(self) -> None:
        self._go_to(lambda span: span.status == "error", "no span of this trace failed")

    def action_next_critical(self) -> None:
        self._go_to(lambda span: span.critical_ms > 0, "no span has time of its own on the critical path")

    def _go_to(self, wanted: Any, none: str) -> None:
        """The next such span behind the cursor, around the end; branches open for it."""
        start = self._seen[self.cursor] if self._seen else 0
        order = [*range(start + 1, len(self._spans)), *range(start + 1)]
        found = next((i for i in order if wanted(self._spans[i])), None)
        if found is None:
            self.notify(none)
            return
        self._folded -= {i for i in self._folded if i < found <= self._last[i]}
        if self._test is not None and found not in self._seen:
            self._test, self.filter_text = None, ""
        self._arrange()
        self.cursor = self._seen.index(found)

    def action_save(self) -> None:
        from aiops_cli.render.trace_views import span_view
        from aiops_cli.tui.saving import save_rows

        self.notify(*save_rows(span_view(), [self._spans[i] for i in self._seen]), markup=False)

    def action_copy(self) -> None:
        if (span := self.selected) is not None:
            self.app.copy_to_clipboard(one_line(span.trace_id))
            self.notify(f"copied: {span.trace_id}", markup=False)

    # Mouse

    def on_click(self, event: events.Click) -> None:
        index = self.row_at(event.y)
        if event.y == 0 or index >= len(self._seen):
            return
        self.cursor = index
        i = self._seen[index]
        if event.chain > 1:
            self.action_open()
        elif self._indent(i) <= event.x < self._indent(i) + 2 and self._last[i] > i:
            self._folded ^= {i}
            self._arrange()


def _branches(spans: Sequence[SpanItem]) -> list[int]:
    """Of each span the index of the last one below it."""
    last = list(range(len(spans)))
    stack: list[int] = []
    for i, span in enumerate(spans):
        while stack and spans[stack[-1]].depth >= span.depth:
            last[stack.pop()] = i - 1
        stack.append(i)
    for i in stack:
        last[i] = len(spans) - 1
    return last


def _runs(text: str) -> list[str]:
    """Stretches of one character."""
    runs: list[str] = []
    for c in text:
        if runs and runs[-1][0] == c:
            runs[-1] += c
        else:
            runs.append(c)
    return runs
