"""The lines of a `Buffer` on the screen: only those that can be seen are drawn, however many there are.

The vertical scroll position counts lines of the buffer, not rows, so that wrapped lines need no measuring.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from textwrap import wrap
from typing import Any, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aiops_cli.analysis.merge import Line
from aiops_cli.render.text import one_line
from aiops_cli.tui.actions import act
from aiops_cli.tui.filtering import Test, compile_filter, regex
from aiops_cli.tui.widgets.log_buffer import Buffer
from aiops_cli.tui.widgets.log_look import Look

_SHIFT = 20  # cells


class LogLines(ScrollView, can_focus=True):
    """`sync` after each change of the buffer. While `stick` is set the newest line stays in sight; moving up
    unsets it, going to the end sets it again."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--title", "log--cursor"}
    DEFAULT_CSS = """
    LogLines { height: 1fr; overflow-x: hidden; overflow-y: scroll; background: $background; scrollbar-size-vertical: 1; }
    LogLines > .log--title { text-style: bold; color: $primary; }
    LogLines > .log--cursor { background: $panel; }
    LogLines:focus > .log--cursor { text-style: bold; background: $primary 30%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("lines.up", "up,k", "cursor(-1)", "Up"),
        act("lines.down", "down,j", "cursor(1)", "Down"),
        act("lines.page-up", "pageup,ctrl+b", "page(-1)", "Page up", "At the top: an older page."),
        act("lines.page-down", "pagedown,ctrl+f", "page(1)", "Page down"),
        act("lines.top", "home,g", "edge(0)", "Oldest line", "There, up reads an older page."),
        act("lines.end", "end,G", "edge(1)", "Newest line", "And stay with the newest while lines come."),
        act("lines.left", "left", "shift(-1)", "Left"),
        act("lines.right", "right", "shift(1)", "Right", "The rest of long lines."),
        act("lines.detail", "enter,space", "detail", "Detail", "The whole line, its labels, metadata, fields."),
        act("lines.filter", "slash", "filter", "Filter",
            "Keep lines that match: a regex; !regex the others; -l key=value labels; -f fuzzy.", show=True),
        act("lines.faults", "ctrl+z", "faults", "Faults", "Only lines of level warn and worse, or all again."),
        act("lines.wrap", "w", "wrap", "Wrap", "Long lines on several rows, or cut."),
        act("lines.wide", "ctrl+w", "wide", "Wide", "With date, level and all labels."),
        act("lines.copy", "c", "copy", "Copy", "Copy the line (OSC 52)."),
    ]  # fmt: skip

    class Detail(Message):
        """The line under the cursor is wanted in full."""

    class Faults(Message):
        """Only warnings and worse are wanted, or all again."""

    class Older(Message):
        """There is nothing above, and one looks there."""

    class Filtered(Message):
        """The text of the filter is another."""

    def __init__(self, buffer: Buffer, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.buffer = buffer
        self.look = Look()
        self.stick = True
        self.at = 0
        """The number of the line that the cursor is on."""
        self.empty = ""
        """What is said where there is no line."""
        self.test: Test | None = None
        self._filter_text = ""
        self._highlight: re.Pattern[str] | None = None
        self._top = 0
        self._syncing = False
        self._drawn: tuple[object, ...] = ()
        self._base = self._cursor_style = Style()
        self._rows: list[tuple[int, list[Segment]]] = []

    # What it shows

    @property
    def selected(self) -> Line | None:
        shown, at = self.buffer.shown, self._index()
        return self.buffer[shown[at]] if shown else None

    @property
    def filter_text(self) -> str:
        return self._filter_text

    def set_filter(self, text: str) -> None:
        """Filter by `text` (`tui.filtering`). Raises UsageError for one that can't be read."""
        self.test = compile_filter(text)
        self._filter_text = text.strip() if self.test else ""
        self.look.mark = self._highlight or _pattern_of(self._filter_text)
        self.post_message(self.Filtered())

    def highlight(self, pattern: re.Pattern[str] | None) -> None:
        """Mark what matches; nothing is left out."""
        self._highlight = pattern
        self.look.mark = pattern or _pattern_of(self._filter_text)
        self.refresh()

    def select(self, number: int) -> None:
        """Put the cursor on a line, and show it."""
        shown = self.buffer.shown
        if not shown:
            return
        index = min(bisect_left(shown, number), len(shown) - 1)
        self.at, self.stick = shown[index], index == len(shown) - 1
        self._show(index)

    def sync(self) -> None:
        """The buffer, or what of it is shown, has changed."""
        shown = self.buffer.shown
        height = self._height()
        self._syncing = True
        self.virtual_size = Size(
            self.size.width, len(shown) - self._fitting(len(shown)) + height + self._titles()
        )
        if self.stick and shown:
            self.at = shown[-1]
            self.scroll_to(y=len(shown), animate=False)
        elif shown:
            self.scroll_to(y=bisect_left(shown, self._top), animate=False)
        self._syncing = False
        self._take_top()
        self.refresh()

    def changed(self) -> None:
        """How lines look has changed."""
        self.look.changed()
        self._drawn = ()
        self.sync()

    def on_mount(self) -> None:
        self.take_theme()

    def take_theme(self) -> None:
        self.look.take_theme(self.app.theme, self.app.current_theme.dark, self.app.theme_variables)

    def _height(self) -> int:
        return max(self.size.height - self._titles(), 1)

    def _titles(self) -> int:
        return 1 if self.look.fields or self.look.wide else 0

    def _index(self) -> int:
        shown = self.buffer.shown
        return max(min(bisect_left(shown, self.at), len(shown) - 1), 0)

    def _tall(self, number: int) -> int:
        if not self.look.wrap or self.look.fields:
            return 1
        return len(self.look.draw(number, self.buffer[number], self.rich_style, self._width()))

    def _fitting(self, end: int) -> int:
        """How many of the lines before index `end` fill the screen, the last ones; at least one."""
        shown, height = self.buffer.shown, self._height()
        if not self.look.wrap:
            return min(height, end)
        used = count = 0
        while count < end and used < height:
            used += self._tall(shown[end - 1 - count])
            count += 1
        return max(count - 1, 1) if used > height else count

    def _show(self, index: int) -> None:
        top = round(self.scroll_y)
        if index < top:
            top = index
        elif index >= top + self._fitting(index + 1):
            top = index - self._fitting(index + 1) + 1
        self.scroll_to(y=top, animate=False)
        self.refresh()

    def _take_top(self) -> None:
        shown = self.buffer.shown
        if shown:
            self._top = shown[min(round(self.scroll_y), len(shown) - 1)]

    # Drawing

    def _width(self) -> int:
        return max(self.size.width, 10)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not self.buffer.shown:
            said = [
                part for line in self.empty.splitlines() for part in wrap(one_line(line), max(width - 4, 10))
            ]
            text = said[y - 1] if 0 < y <= len(said) else ""
            return Strip([Segment(f"  {text}", self.rich_style)]).crop_extend(0, width, self.rich_style)
        if y < self._titles():
            style = self.get_component_rich_style("log--title")
            return Strip(self.look.titles(style)).crop_extend(0, width, style)
        self._lay()
        if (row := y - self._titles()) >= len(self._rows):
            return Strip.blank(width, self._base)
        number, segments = self._rows[row]
        style = self._style(number)
        return Strip(segments).crop_extend(0, width, style)

    def _style(self, number: int) -> Style:
        return self._cursor_style if number == self.at else self._base

    def _lay(self) -> None:
        """The rows of the screen, made once a paint."""
        key = (self.buffer.version, round(self.scroll_y), self.at, self.size, self.look.mark, self.look.shift,
               self.has_focus, self.app.theme)  # fmt: skip
        if key == self._drawn:
            return
        if not self._drawn or self._drawn[-1] != self.app.theme:
            self.take_theme()
        self._drawn, self._rows = key, []
        # Made once a paint: each is a walk up to the screen.
        self._base = self.rich_style
        self._cursor_style = self._base + self.get_component_rich_style("log--cursor")
        shown, index, height = self.buffer.shown, round(self.scroll_y), self._height()
        self.look.measure([self.buffer[n] for n in shown[index : index + height]], self._width())
        while len(self._rows) < height and index < len(shown):
            number = shown[index]
            for segments in self.look.draw(number, self.buffer[number], self._style(number), self._width()):
                self._rows.append((number, segments))
            index += 1

    # Movement

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        if not self._syncing:
            self._take_top()
            self.stick = self.stick and round(new) >= self.max_scroll_y
        self.refresh()

    def on_resize(self) -> None:
        self._drawn = ()
        self.sync()

    def action_cursor(self, by: int) -> None:
        shown, index = self.buffer.shown, self._index() + by
        if not shown:
            return
        if index < 0:
            self.post_message(self.Older())
        index = min(max(index, 0), len(shown) - 1)
        self.at, self.stick = shown[index], index == len(shown) - 1
        self._show(index)

    def action_page(self, by: int) -> None:
        self.action_cursor(by * max(self._fitting(self._index() + 1) - 1, 1))

    def action_edge(self, end: int) -> None:
        if end or self._index():
            self.action_cursor(len(self.buffer.shown) if end else -self._index())
        else:
            self.post_message(self.Older())

    def action_shift(self, by: int) -> None:
        if not self.look.wrap:
            self.look.shift = max(self.look.shift + by * _SHIFT, 0)
            self.refresh()

    def on_mouse_scroll_up(self) -> None:
        if not self.scroll_y:
            self.post_message(self.Older())

    def on_click(self, event: events.Click) -> None:
        row = event.y - self._titles()
        if 0 <= row < len(self._rows) and self.buffer.shown:
            self.select(self._rows[row][0])
            if event.chain > 1:
                self.action_detail()

    # Actions

    def action_detail(self) -> None:
        if self.selected is not None:
            self.post_message(self.Detail())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Lines in a dialog are neither filtered nor chosen by level."""
        if action in ("filter", "faults") and isinstance(self.screen, ModalScreen):
            return False
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        from aiops_cli.tui.board import Board

        if isinstance(self.screen, Board):
            self.screen.ask_filter(cast(Any, self))

    def action_faults(self) -> None:
        self.post_message(self.Faults())

    def action_wrap(self) -> None:
        self.look.wrap = not self.look.wrap
        self.look.shift = 0
        self.changed()

    def action_wide(self) -> None:
        self.look.wide = not self.look.wide
        self.changed()

    def action_copy(self) -> None:
        if (line := self.selected) is not None:
            self.app.copy_to_clipboard(one_line(line[1][1]))  # a shell would run its line ends
            self.app.notify("the line was copied")


def _pattern_of(text: str) -> re.Pattern[str] | None:
    """What a filter looks for, to be marked where it is found; None for one that names no text."""
    if not text or text.startswith(("!", "-l", "-f")):
        return None
    return regex(text)
