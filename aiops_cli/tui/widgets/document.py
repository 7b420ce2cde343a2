"""A long text that is scrolled: laid out beside the interface's loop, and only the lines seen are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rich.console import Console, RenderableType
from rich.text import Text
from rich.theme import Theme
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aiops_cli.render.text import sanitize
from aiops_cli.tui.actions import act
from aiops_cli.tui.working import start

_INLINE = 4000  # characters that are laid out at once, without a way to the backend
_THEME = Theme(
    {
        "markdown.code": "bold",
        "markdown.code_block": "",
        "markdown.h1": "bold",
        "markdown.h2": "bold underline",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
        "markdown.item.bullet": "bold",
        "markdown.item.number": "bold",
    }
)


class Document(ScrollView, can_focus=True):
    """`show(text)` or `show_markdown(text)`."""

    DEFAULT_CSS = """
    Document { height: 1fr; background: $background; overflow-x: hidden; scrollbar-size-vertical: 1; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("text.up", "up,k", "scroll_up", "Up"),
        act("text.down", "down,j", "scroll_down", "Down"),
        act("text.page-up", "pageup,ctrl+b", "page_up", "Page up"),
        act("text.page-down", "pagedown,ctrl+f,space", "page_down", "Page down"),
        act("text.top", "home,g", "scroll_home", "Top"),
        act("text.end", "end,G", "scroll_end", "End"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._make: Callable[[], RenderableType] = lambda: ""
        self._inline = True
        self._strips: list[Strip] = []
        self._text = ""
        self._laid = 0  # the width that the lines were made for

    @property
    def text(self) -> str:
        """What is shown, as it was given."""
        return self._text

    def show(self, text: str, *, top: bool = True) -> None:
        """Plain text, its lines kept; `top` goes back to the first."""
        self._show(text, lambda: Text(sanitize(text), no_wrap=False, overflow="fold"), top)

    def show_markdown(self, text: str) -> None:
        """Markdown, laid out."""

        def make() -> RenderableType:
            from rich.markdown import Markdown

            return Markdown(sanitize(text), hyperlinks=False)

        self._show(text, make, True)

    def show_beside(self, text: str, make: Callable[[], RenderableType]) -> None:
        """What `make` gives, laid out beside the interface; `text` says the same in short."""
        self._show(text, make, True, beside=True)

    def _show(self, text: str, make: Callable[[], RenderableType], top: bool, beside: bool = False) -> None:
        self._text, self._make, self._laid = text, make, 0
        self._inline = not beside and len(text) <= _INLINE
        if top:
            self.scroll_to(y=0, animate=False)
        self._lay()

    def on_resize(self, event: events.Resize) -> None:
        self._lay()

    def _lay(self) -> None:
        width = self.size.width - self.scrollbar_size_vertical
        if width < 10 or width == self._laid:
            return
        self._laid = width
        make = self._make
        if self._inline:
            self._take(_laid_out(make, width))
        else:
            start(self, lambda: self._lay_beside(make, width), group="lay")

    async def _lay_beside(self, make: Callable[[], RenderableType], width: int) -> None:
        app: Any = self.app
        strips = await app.backend.compute(lambda: _laid_out(make, width))
        if make is self._make:  # else another text is shown since
            self._take(strips)

    def _take(self, strips: list[Strip]) -> None:
        self._strips = strips
        self.virtual_size = Size(self.size.width, len(strips))
        self.refresh()
        self.call_after_refresh(self._lay)  # narrower, where a scrollbar has come

    def render_line(self, y: int) -> Strip:
        width, index = self.size.width, self.scroll_offset.y + y
        if index >= len(self._strips):
            return Strip.blank(width, self.rich_style)
        return self._strips[index].apply_style(self.rich_style).crop_extend(0, width, self.rich_style)


def _laid_out(make: Callable[[], RenderableType], width: int) -> list[Strip]:
    console = Console(
        width=width, force_terminal=True, color_system="truecolor", legacy_windows=False, theme=_THEME
    )
    options = console.options.update(width=width)
    return [Strip(line) for line in console.render_lines(make(), options, pad=False)]
