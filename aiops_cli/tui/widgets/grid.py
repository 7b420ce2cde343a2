"""A table of items: only the rows that can be seen are drawn, so that 2,000 GPUs cost what 40 do.

Columns are those of the command line's `View`. It filters, sorts, hides what is well, widens, and saves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from aiops_cli.render.output import Column, Encoded, View, fit
from aiops_cli.render.text import cells, cut, one_line
from aiops_cli.tui.actions import act, active
from aiops_cli.tui.filtering import Test, compile_filter
from aiops_cli.tui.themes import level, style_of
from aiops_cli.tui.widgets.rows import Rows
from aiops_cli.tui.working import tell

T = TypeVar("T")
_MEASURED = 200  # rows whose cells decide how wide columns are
_GAP = 2
_BAD = ("fatal", "error", "warn")


class Grid(Rows, Generic[T], can_focus=True):
    """`show(items)` replaces the rows; the cursor stays on the item it was on, by the view's name of it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--header", "grid--cursor", "grid--hover", "grid--dim"}
    DEFAULT_CSS = """
    Grid { height: 1fr; overflow-x: hidden; background: $background; scrollbar-size-vertical: 1; }
    Grid > .grid--header { text-style: bold; color: $primary; }
    Grid > .grid--cursor { background: $panel; }
    Grid:focus > .grid--cursor { text-style: reverse; background: $background; }
    Grid > .grid--hover { background: $surface; }
    Grid > .grid--dim { color: $foreground 60%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("table.up", "up,k", "cursor(-1)", "Up"),
        act("table.down", "down,j", "cursor(1)", "Down"),
        act("table.page-up", "pageup,ctrl+u", "page(-1)", "Page up"),
        act("table.page-down", "pagedown,ctrl+d", "page(1)", "Page down"),
        act("table.top", "home,g", "edge(0)", "First row"),
        act("table.end", "end,G", "edge(1)", "Last row"),
        act("table.open", "enter", "open", "Open", "Open what the cursor is on.", show=True),
        act("table.detail", "space", "detail", "Detail", "All fields of the row, as YAML."),
        act("table.filter", "slash", "filter", "Filter",
            "Keep rows that match: a regex; !regex the others; -l key=value labels; -f fuzzy.", show=True),
        act("table.faults", "ctrl+z,Z", "faults", "Faults", "Only rows that are not well, or all again."),
        act("table.wide", "ctrl+w,W", "wide", "Wide", "All columns, or those that fit well."),
        act("table.sort-next", "greater_than_sign", "sort_by(1)", "Sort by next column"),
        act("table.sort-previous", "less_than_sign", "sort_by(-1)", "Sort by previous column"),
        act("table.reverse", "backslash", "reverse", "Reverse the order"),
        act("table.save", "ctrl+s", "save", "Save", "Write the rows shown to a CSV file in this folder."),
        act("table.copy", "c", "copy", "Copy", "Copy the row's name (OSC 52)."),
    ]  # fmt: skip

    wide: reactive[bool] = reactive(False, init=False)
    faults: reactive[bool] = reactive(False, init=False)

    class Opened(Message):
        """Enter, or a second click, on a row."""

        def __init__(self, grid: Grid[Any], item: Any) -> None:
            super().__init__()
            self.grid, self.item = grid, item

        @property
        def control(self) -> Grid[Any]:
            return self.grid

    class Highlighted(Message):
        """The cursor is on another item than before, or on a newer form of it."""

        def __init__(self, grid: Grid[Any], item: Any) -> None:
            super().__init__()
            self.grid, self.item = grid, item

        @property
        def control(self) -> Grid[Any]:
            return self.grid

    class Arranged(Message):
        """Other rows are shown than before, or in another order: `grid.note` says which."""

        def __init__(self, grid: Grid[Any]) -> None:
            super().__init__()
            self.grid = grid

        @property
        def control(self) -> Grid[Any]:
            return self.grid

    def __init__(
        self,
        view: View[T],
        *,
        judge: Callable[[T], str | None] | None = None,
        dim: Callable[[T], bool] | None = None,
        labels: Callable[[T], Mapping[str, str]] | None = None,
        key: Callable[[T], Hashable] | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`judge` gives the word that says how well a row is (a severity, a state) for `faults`; without it
        the first judged column's. `dim` greys a row: one of a cluster that did not answer. `labels` is
        for `-l` filters."""
        super().__init__(id=id, classes=classes)
        self._view = view
        self._judge = judge
        self._dim = dim
        self._labels = labels or _labels_of
        self._key = key or view.name
        self._items: Sequence[T] = ()
        self._rows: list[T] = []
        self._texts: dict[int, list[str]] = {}
        self._columns: list[Column[T]] = []
        self._widths: list[int] = []
        self._sort: tuple[str, bool] | None = None
        self._filter_text = ""
        self._test: Test | None = None
        self._left = False
        self._hover = -1
        self._told = ("", False)
        self._choose_columns()

    # What it shows

    @property
    def items(self) -> Sequence[T]:
        """All items, also those that the filter hides."""
        return self._items

    @property
    def rows(self) -> Sequence[T]:
        """The items shown, in order."""
        return self._rows

    @property
    def row_count(self) -> int:
        return len(self._rows)

    @property
    def selected(self) -> T | None:
        return self._rows[self.cursor] if 0 <= self.cursor < len(self._rows) else None

    @property
    def filter_text(self) -> str:
        return self._filter_text

    @property
    def order(self) -> str:
        """The sort as `-o`'s --sort writes it: `-age`, or nothing."""
        return "" if self._sort is None else ("-" if self._sort[1] else "") + self._sort[0]

    @property
    def note(self) -> str:
        """What makes it show other rows than all, in their own order: filter, faults only, sort."""
        parts = [f"/{one_line(self._filter_text)}"] if self._filter_text else []
        parts += ["kept from before"] if self._left else []
        parts += ["faults only"] if self.faults else []
        parts += [f"{len(self._rows)} of {len(self._items)}"] if parts else []
        parts += [f"by {self.order}"] if self.order else []
        return " · ".join(parts)

    def show(self, items: Sequence[T], view: View[T] | None = None) -> None:
        """Show these. Cheap: texts are made for rows that are drawn."""
        self._items = items
        if view is not None:
            self._view = view
            self._choose_columns()
        self._arrange()

    def set_filter(self, text: str, *, left: bool = False) -> None:
        """Filter by `text` (`tui.filtering`); `left` is one of an earlier start, which is said. Raises UsageError
        for one that can't be read."""
        self._test = compile_filter(text)
        said = text.strip() if self._test else ""
        self._left = bool(said) and (left or (self._left and said == self._filter_text))
        self._filter_text = said
        self._arrange()

    def set_order(self, text: str) -> None:
        """Sort by a column's title, `-` in front for descending; nothing for the order of the items. An
        unknown column (remembered of another version) is ignored."""
        title = text.removeprefix("-")
        known = {c.title for c in self._view.columns}
        self._sort = (title, text.startswith("-")) if title in known else None
        self._arrange()

    def select(self, key: Hashable) -> bool:
        """Put the cursor on the item of this key, if it is shown."""
        for i, item in enumerate(self._rows):
            if self._key(item) == key:
                self.cursor = i
                return True
        return False

    def _arrange(self) -> None:
        held = self.selected
        where = self._key(held) if held is not None else None
        rows = list(self._items)
        if self.faults:
            rows = [i for i in rows if level(self._word(i)) in _BAD]
        if (test := self._test) is not None:
            rows = [i for i in rows if test(" ".join(self._text_of(i)), self._labels(i))]
        if self._sort is not None:
            rows = _ordered(
                rows, next(c for c in self._view.columns if c.title == self._sort[0]), self._sort[1]
            )
        self._rows = rows
        self._texts.clear()
        self._measure()
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        index = 0
        if where is not None:
            index = next((i for i, item in enumerate(rows) if self._key(item) == where), -1)
            if index < 0:
                index = min(self.cursor, max(len(rows) - 1, 0))
        if index != self.cursor:
            self.cursor = index
        else:
            self._tell()
        if (told := (self.note, self.wide)) != self._told:
            self._told = told
            self.post_message(self.Arranged(self))
        self.refresh()

    def _tell(self) -> None:
        if (item := self.selected) is not None:
            self.post_message(self.Highlighted(self, item))

    def _word(self, item: T) -> str | None:
        if self._judge is not None:
            return self._judge(item)
        for column in self._view.columns:
            if column.title in JUDGED:
                return column.value(item)
        return None

    def _text_of(self, item: T) -> list[str]:
        return [one_line(c.value(item) or "-") for c in self._columns]

    def _cells(self, index: int) -> list[str]:
        if index not in self._texts:
            self._texts[index] = self._text_of(self._rows[index])
        return self._texts[index]

    def _choose_columns(self) -> None:
        self._columns = [c for c in self._view.columns if self.wide or not c.wide]
        self._widths = [cells(c.title) for c in self._columns]  # until they are measured
        self._texts.clear()

    def _measure(self) -> None:
        top = max(self.scroll_offset.y, 0)
        sample = {*range(min(len(self._rows), _MEASURED)), *range(top, min(top + 60, len(self._rows)))}
        texts = [self._cells(i) for i in sample]
        titles = [cells(c.title) + 1 for c in self._columns]
        content = [max((cells(t[i]) for t in texts), default=1) for i in range(len(self._columns))]
        widths = [max(a, b) for a, b in zip(titles, content, strict=True)]
        room = max(self.size.width - self.scrollbar_size_vertical - 1, 10)
        self._widths = fit(widths, self._columns, titles, content, room)

    # Drawing

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            return self._header().crop_extend(0, width, self.get_component_rich_style("grid--header"))
        index = self.row_at(y)
        if index >= len(self._rows):
            said = self._hidden() if y == 2 and not self._rows and self._items else ""
            return Strip([Segment(f"  {said}", self._base)]).crop_extend(0, width, self._base)
        base = self._base
        if self._dim is not None and self._dim(self._rows[index]):
            base += Style(
                color=self.get_component_rich_style("grid--dim").color
            )  # partial ones lose the alpha
        if index == self.cursor:
            base += self.get_component_rich_style("grid--cursor")
        elif index == self._hover:
            base += self.get_component_rich_style("grid--hover")
        return Strip(self._segments(self._cells(index), base)).crop_extend(0, width, base)

    def _hidden(self) -> str:
        """Why there is no row though there are items."""
        if not self._filter_text:
            return f"none of {len(self._items)} is faulty; {self._key_of('table.faults')} shows all"
        faulty = " that is faulty" if self.faults else ""
        kept = ", kept from before" if self._left else ""
        return (
            f"none of {len(self._items)}{faulty} matches /{one_line(self._filter_text)}{kept}; "
            f"{self._key_of('app.back')} shows all"
        )

    def _key_of(self, id: str) -> str:
        return next((keys.partition(" ")[0] for b, keys in active(self.screen) if b.id == id), id)

    def _header(self) -> Strip:
        titles = []
        for c in self._columns:
            mark = (
                ("▼" if self._sort[1] else "▲") if self._sort is not None and self._sort[0] == c.title else ""
            )
            titles.append(c.title.upper() + mark)
        style = self.get_component_rich_style("grid--header")
        return Strip(self._segments(titles, style, judged=False))

    def _segments(self, texts: Sequence[str], base: Style, *, judged: bool = True) -> list[Segment]:
        segments = []
        variables = self.app.theme_variables
        for text, width, column in zip(texts, self._widths, self._columns, strict=True):
            if not width:
                continue
            shown = cut(text, width)
            pad = " " * (width - cells(shown) + (0 if column.right else _GAP))
            style = base
            if judged and column.title in JUDGED and (found := level(text)):
                style = base + style_of(found, variables)
            if column.right:
                segments += [Segment(pad, base), Segment(shown, style), Segment(" " * _GAP, base)]
            else:
                segments += [Segment(shown, style), Segment(pad, base)]
        return segments

    # Movement

    def on_show(self) -> None:
        self.post_message(self.Arranged(self))

    def watch_wide(self) -> None:
        self._choose_columns()
        self._arrange()

    def watch_faults(self) -> None:
        self._arrange()

    def action_open(self) -> None:
        if (item := self.selected) is not None:
            self.post_message(self.Opened(self, item))

    def action_detail(self) -> None:
        if (item := self.selected) is not None:
            from aiops_cli.tui.widgets.dialogs import Detail

            try:
                shown = Detail(self._view.name(item), self.in_full(item))
            except Exception as error:  # text of a cluster that is no Unicode, a type that has no YAML
                tell(self, error)
            else:
                self.app.push_screen(shown)

    def in_full(self, item: T) -> object:
        """What a detail shows: the item, or of one that may hold a million samples its labels and cells."""
        if not isinstance(item, Encoded):
            return item
        said = {c.title: c.value(item) for c in self._view.columns}
        return {"labels": getattr(item, "labels", None)} | said

    def action_filter(self) -> None:
        from aiops_cli.tui.board import Board

        if isinstance(self.screen, Board):
            self.screen.ask_filter(self)

    def action_faults(self) -> None:
        self.faults = not self.faults

    def action_wide(self) -> None:
        self.wide = not self.wide

    def action_sort_by(self, by: int) -> None:
        shown = [c.title for c, w in zip(self._columns, self._widths, strict=True) if w]
        at = shown.index(self._sort[0]) if self._sort is not None and self._sort[0] in shown else None
        following = (0 if by > 0 else len(shown) - 1) if at is None else at + by
        self.set_order(shown[following] if 0 <= following < len(shown) else "")

    def action_reverse(self) -> None:
        if self._sort is not None:
            self._sort = (self._sort[0], not self._sort[1])
            self._arrange()

    def action_save(self) -> None:
        from aiops_cli.tui.saving import save_rows

        self.app.notify(*save_rows(self._view, self._rows), markup=False)

    def action_copy(self) -> None:
        if (item := self.selected) is not None:
            name = one_line(self._view.name(item))
            self.app.copy_to_clipboard(name)
            self.app.notify(f"copied: {name}", markup=False)

    # Mouse

    def on_mouse_move(self, event: events.MouseMove) -> None:
        hover = self.row_at(event.y)
        if hover != self._hover:
            old, self._hover = self._hover, hover
            self._redraw(old)
            self._redraw(hover)

    def on_leave(self) -> None:
        old, self._hover = self._hover, -1
        self._redraw(old)

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._sort_at(event.x)
            return
        index = self.row_at(event.y)
        if index < len(self._rows):
            self.cursor = index
            if event.chain > 1:
                self.action_open()

    def _sort_at(self, x: int) -> None:
        left = 0
        for column, width in zip(self._columns, self._widths, strict=True):
            if width and left <= x < left + width + _GAP:
                descending = self._sort is not None and self._sort == (column.title, False)
                self.set_order(("-" if descending else "") + column.title)
                return
            left += width + _GAP if width else 0


JUDGED = frozenset({"severity", "worst", "state", "status", "verdict", "api", "prometheus", "alertmanager", "traces",
                    "loki", "connectivity", "health", "ready", "level"})  # fmt: skip
"""Titles of columns whose words have colours."""


def _labels_of(item: object) -> Mapping[str, str]:
    found = getattr(item, "labels", None)
    labels = dict(found) if isinstance(found, Mapping) else {}
    if isinstance(cluster := getattr(item, "cluster", None), str):
        labels.setdefault("cluster", cluster)
    return labels


_NUMBERS = re.compile(r"(\d+)")


def _ordered(rows: list[T], column: Column[T], descending: bool) -> list[T]:
    """Sorted by the plain value; what has none comes last, either way."""
    value: Callable[[T], Any] = column.plain or (lambda i: _natural(column.value(i)))
    known = [i for i in rows if value(i) is not None]
    unknown = [i for i in rows if value(i) is None]
    try:
        return sorted(known, key=value, reverse=descending) + unknown
    except TypeError:
        return sorted(known, key=lambda i: str(value(i)), reverse=descending) + unknown


def _natural(text: str | None) -> list[tuple[int, str]] | None:
    """`node-2` before `node-10`."""
    if text is None:
        return None
    return [(int(p), "") if p.isdecimal() else (-1, p.lower()) for p in _NUMBERS.split(text)]
