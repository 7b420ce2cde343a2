"""The named queries, to choose from: type to narrow, enter takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input

from aiops_cli.errors import AiopsError
from aiops_cli.render.metric_views import QueryItem
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import one_line
from aiops_cli.services.queries import NamedQuery
from aiops_cli.tui.actions import act
from aiops_cli.tui.widgets.dialogs import Dialog
from aiops_cli.tui.widgets.grid import Grid

_VIEW: View[QueryItem] = View(
    "QueryList",
    [
        Column("query", lambda i: i.name, keep=True),
        Column("about", lambda i: i.about),
        Column("unit", lambda i: i.unit),
        Column("meaning", lambda i: i.meaning),
        Column("expr", lambda i: i.expr, wide=True),
    ],
    lambda i: i.name,
)


def offered(named: Mapping[str, NamedQuery], pinned: Sequence[str], asked: Sequence[str]) -> list[QueryItem]:
    """Pinned ones, the last ten that were asked (oldest first in `asked`), and those with a name."""
    items = [QueryItem(text, "pinned", "", "", text) for text in pinned]
    recent = [text for text in reversed(asked) if text not in pinned and not text.startswith("@")][:10]
    items += [QueryItem(text, "recent", "", "", text) for text in recent]
    known = sorted(named.items(), key=lambda pair: (pair[1].kind, pair[0]))
    return items + [QueryItem(f"@{n}", q.kind, q.unit, q.meaning, q.expr) for n, q in known]


class Queries(Dialog):
    """Returns the text of the one that was taken (`@name`, or PromQL), or None."""

    DEFAULT_CSS = """
    Queries > .box { height: 80%; }
    Queries Input { margin: 0 0 1 0; background: $surface; }
    Queries Grid { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("dialog.up", "up", "move(-1)", "Up", priority=True),
        act("dialog.down", "down", "move(1)", "Down", priority=True),
        act("dialog.page-up", "pageup", "move(-10)", "Page up", priority=True),
        act("dialog.page-down", "pagedown", "move(10)", "Page down", priority=True),
    ]

    def __init__(self, items: Sequence[QueryItem], chosen: str = "") -> None:
        super().__init__()
        self._items, self._chosen = items, chosen
        self._grid: Grid[QueryItem] = Grid(_VIEW, id="queries")

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = "Queries: pinned, recent, named"
            box.border_subtitle = Text("type to narrow · enter takes · your own: [queries] of the config")
            yield Input(placeholder="name, meaning, service, node, gpu, …", compact=True)
            yield self._grid

    def on_mount(self) -> None:
        self._grid.show(self._items)
        self._grid.select(self._chosen)
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            self._grid.set_filter(event.value)
        except AiopsError as error:
            self.query_one(".box").border_subtitle = Text(one_line(error.message))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._grid.action_open()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        self.dismiss(event.item.name)

    def action_move(self, by: int) -> None:
        self._grid.action_cursor(by)
