"""Rows under a line of titles, with a cursor; only the lines that can be seen are drawn."""

from __future__ import annotations

from rich.style import Style
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip


class Rows(ScrollView):
    """A subclass says how many rows there are (`row_count`), how wide things are (`_measure`) and what follows
    from another cursor (`_tell`), and draws by `render_line`, whose line 0 is the titles."""

    cursor: reactive[int] = reactive(0, init=False, repaint=False)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._base = Style()

    @property
    def row_count(self) -> int:
        raise NotImplementedError

    def _measure(self) -> None:
        raise NotImplementedError

    def _tell(self) -> None:
        raise NotImplementedError

    def render_lines(self, crop: Region) -> list[Strip]:
        self._base = self.rich_style  # of all lines of one paint
        return super().render_lines(crop)

    def row_at(self, y: int) -> int:
        """The row that stands on a line of the widget; -1 for the titles."""
        return self.scroll_offset.y + y - 1 if y else -1

    def validate_cursor(self, value: int) -> int:
        return min(max(value, 0), max(self.row_count - 1, 0))

    def watch_cursor(self, old: int, new: int) -> None:
        for row in (old, new):
            self._redraw(row)
        top, height = self.scroll_offset.y, max(self.size.height - 1, 1)
        if new < top:
            self.scroll_to(y=new, animate=False)
        elif new >= top + height:
            self.scroll_to(y=new - height + 1, animate=False)
        self._tell()

    def _redraw(self, row: int) -> None:
        y = row - self.scroll_offset.y + 1
        if 0 < y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        self.refresh()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self.row_count + 1)
        self._measure()
        self.refresh()

    def action_cursor(self, by: int) -> None:
        self.cursor += by

    def action_page(self, by: int) -> None:
        self.cursor += by * max(self.size.height - 2, 1)

    def action_edge(self, end: int) -> None:
        self.cursor = self.row_count - 1 if end else 0
