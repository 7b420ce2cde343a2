"""Jump mode, as in posting and vimium: a letter lies on each target; pressing it goes there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from string import ascii_lowercase
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Offset
from textual.screen import ModalScreen, Screen
from textual.widgets import Label

from aiops_cli.tui.actions import act
from aiops_cli.tui.widgets.grid import Grid


class Jump(ModalScreen[None]):
    """Targets are what can be focused, and the rows of the table that is."""

    DEFAULT_CSS = """
    Jump { background: transparent; }
    Jump Label { position: absolute; width: 3; height: 1; background: $accent; color: $background; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [act("jump.leave", "escape,ctrl+o", "leave", "Leave")]

    def __init__(self, of: Screen[Any]) -> None:
        super().__init__()
        self._targets = dict(zip(ascii_lowercase, _targets(of), strict=False))

    def compose(self) -> ComposeResult:
        for letter, (offset, _) in self._targets.items():
            label = Label(f" {letter} ")
            label.styles.offset = (offset.x, offset.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        if event.key in self._targets:
            event.stop()
            self.dismiss(None)
            self.app.call_after_refresh(self._targets[event.key][1])

    def action_leave(self) -> None:
        self.dismiss(None)


def _targets(of: Screen[Any]) -> Iterator[tuple[Offset, Callable[[], Any]]]:
    for widget in of.focus_chain:
        if widget.region.area and not widget.has_focus:
            yield widget.region.offset, widget.focus
    held = of.focused
    if isinstance(held, Grid):
        top = held.scroll_offset.y
        for y in range(1, held.size.height):
            if top + y - 1 < len(held.rows):
                yield held.region.offset + Offset(0, y), _at(held, top + y - 1)


def _at(grid: Grid[Any], index: int) -> Callable[[], None]:
    def go() -> None:
        grid.cursor = index

    return go
