"""Many things at a glance, a cell each, grouped in lines: clusters by state, GPUs by use or temperature.

Each cell is a sign or a digit, so that it reads without colour. Only lines that can be seen are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aiops_cli.render.text import cells, cut, one_line
from aiops_cli.tui.actions import act
from aiops_cli.tui.themes import style_of


@dataclass(frozen=True, slots=True)
class Cell:
    """`sign` is one cell wide; `key` names what it stands for."""

    key: Any
    sign: str
    level: str | None
    dim: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Cells that belong together, behind a name. `parts` are set apart by a blank, and break lines there."""

    name: str
    parts: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    cells: list[Cell | None]  # None is a blank


class CellMap(ScrollView, can_focus=True):
    """`show(groups)` replaces all; the cursor stays on what it was on. What it is on is told in the last line."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"map--name", "map--told"}
    DEFAULT_CSS = """
    CellMap { height: 1fr; overflow-x: hidden; background: $background; scrollbar-size-vertical: 1; }
    CellMap > .map--name { color: $primary; }
    CellMap > .map--told { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("map.left", "left", "step(-1, 0)", "Left"),
        act("map.right", "right", "step(1, 0)", "Right"),
        act("map.up", "up,k", "step(0, -1)", "Up"),
        act("map.down", "down,j", "step(0, 1)", "Down"),
        act("map.open", "enter", "open", "Open", "Open what the cursor is on.", show=True),
    ]

    at: reactive[tuple[int, int]] = reactive((0, 0), init=False, repaint=False)

    class Opened(Message):
        """Enter, or a second click, on a cell."""

        def __init__(self, map: CellMap, key: Any) -> None:
            super().__init__()
            self.map, self.key = map, key

        @property
        def control(self) -> CellMap:
            return self.map

    def __init__(self, tell: Callable[[Any], str], *, apart: bool = False, id: str | None = None) -> None:
        """`tell` says in words what a key stands for; `apart` leaves a blank after each cell."""
        super().__init__(id=id)
        self._tell = tell
        self._apart = apart
        self._groups: Sequence[Group] = ()
        self._lines: list[_Line] = []
        self._name_width = 0

    @property
    def selected(self) -> Cell | None:
        y, x = self.at
        if not 0 <= y < len(self._lines):
            return None
        row = self._lines[y].cells
        return row[x] if 0 <= x < len(row) else None

    def show(self, groups: Sequence[Group]) -> None:
        self._groups = groups
        self._arrange()

    def _arrange(self) -> None:
        held = self.selected
        names = [cells(one_line(g.name)) for g in self._groups]
        self._name_width = min(max(names, default=0), max(self.size.width // 3, 8))
        pitch = 2 if self._apart else 1
        room = max((self.size.width - self._name_width - 2) // pitch, 4)
        self._lines = [line for g in self._groups for line in _wrapped(g, room)]
        self.virtual_size = Size(self.size.width, len(self._lines) + 1)
        self.at = self._place(held.key) if held is not None else self._near(*self.at)
        self.refresh()

    def _place(self, key: Any) -> tuple[int, int]:
        for y, line in enumerate(self._lines):
            for x, cell in enumerate(line.cells):
                if cell is not None and cell.key == key:
                    return y, x
        return self._near(*self.at)

    def _near(self, y: int, x: int) -> tuple[int, int]:
        """The nearest cell of that line, or of the last one."""
        if not self._lines:
            return 0, 0
        y = min(max(y, 0), len(self._lines) - 1)
        there = [i for i, c in enumerate(self._lines[y].cells) if c is not None]
        return y, min(there, key=lambda i: abs(i - x), default=0)

    # Drawing

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if y == self.size.height - 1:
            return self._told(width)
        index = self.scroll_offset.y + y
        if index >= len(self._lines):
            return Strip.blank(width, base)
        line = self._lines[index]
        variables = self.app.theme_variables
        name = cut(one_line(line.name), self._name_width)
        segments = []
        if self._name_width:
            pad = " " * (self._name_width - cells(name) + 2)
            segments.append(Segment(name + pad, base + self.get_component_rich_style("map--name")))
        for x, cell in enumerate(line.cells):
            style = base if cell is None else base + style_of(cell.level, variables)
            if cell is not None and cell.dim:
                style += Style(dim=True)
            if (index, x) == self.at and cell is not None:
                style += Style(reverse=True)
            segments.append(Segment(" " if cell is None else cell.sign, style))
            if self._apart:
                segments.append(Segment(" ", base))
        return Strip(segments).crop_extend(0, width, base)

    def _told(self, width: int) -> Strip:
        style = self.get_component_rich_style("map--told")
        cell = self.selected
        text = one_line(self._tell(cell.key)) if cell is not None else ""
        return Strip([Segment(cut(f" {text}", width), style)]).crop_extend(0, width, style)

    # Movement

    def watch_at(self, old: tuple[int, int], new: tuple[int, int]) -> None:
        top, height = self.scroll_offset.y, max(self.size.height - 1, 1)
        if new[0] < top:
            self.scroll_to(y=new[0], animate=False)
        elif new[0] >= top + height:
            self.scroll_to(y=new[0] - height + 1, animate=False)
        self.refresh()

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()

    def action_step(self, right: int, down: int) -> None:
        y, x = self.at
        if down:
            self.at = self._near(y + down, x)
            return
        flat = [
            (i, j) for i, line in enumerate(self._lines) for j, c in enumerate(line.cells) if c is not None
        ]
        if flat:
            here = flat.index((y, x)) if (y, x) in flat else 0
            self.at = flat[min(max(here + right, 0), len(flat) - 1)]

    def action_open(self) -> None:
        if (cell := self.selected) is not None:
            self.post_message(self.Opened(self, cell.key))

    def on_click(self, event: events.Click) -> None:
        y = self.scroll_offset.y + event.y
        x = (event.x - (self._name_width + 2 if self._name_width else 0)) // (2 if self._apart else 1)
        if 0 <= y < len(self._lines) and 0 <= x < len(self._lines[y].cells):
            if self._lines[y].cells[x] is None:
                return
            self.at = (y, x)
            if event.chain > 1:
                self.action_open()


def _wrapped(group: Group, room: int) -> list[_Line]:
    """The cells of a group in lines of at most `room`; the name stands before the first."""
    lines: list[_Line] = []
    row: list[Cell | None] = []
    for part in group.parts:
        rest = list(part)
        if row and len(row) + 1 + len(rest) > room:
            lines.append(_Line("" if lines else group.name, row))
            row = []
        if row:
            row.append(None)
        while len(row) + len(rest) > room:
            taken = room - len(row)
            lines.append(_Line("" if lines else group.name, [*row, *rest[:taken]]))
            row, rest = [], rest[taken:]
        row += rest
    if row:
        lines.append(_Line("" if lines else group.name, row))
    return lines
