"""What opens over a screen: an item in full, a question, keys, a choice, a time range."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from aiops_cli.render.text import one_line, sanitize
from aiops_cli.tui.actions import act, active, by_group

if TYPE_CHECKING:
    from rich.table import Table


class Dialog(ModalScreen[Any]):
    """Closes by esc; q too, where nothing is typed."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > .box { width: 90%; max-width: 110; height: auto; scrollbar-size-vertical: 1; max-height: 85%; border: round $primary; background: $surface;
                    border-title-color: $primary; border-subtitle-color: $foreground 70%; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [act("dialog.close", "escape", "close", "Close", show=True)]

    def action_close(self) -> None:
        self.dismiss(None)


class Reading(Dialog):
    """A text in a box that scrolls, by the keys of tables too."""

    BINDINGS: ClassVar[list[BindingType]] = [
        act("dialog.top", "g,home", "edge(0)", "Top"),
        act("dialog.end", "G,end", "edge(1)", "End"),
        act("dialog.up", "k", "line(-1)", "Up"),
        act("dialog.down", "j", "line(1)", "Down"),
    ]

    def action_edge(self, end: int) -> None:
        box = self.query_one(".box")
        if end:
            box.scroll_end(animate=False)
        else:
            box.scroll_home(animate=False)

    def action_line(self, by: int) -> None:
        self.query_one(".box").scroll_relative(y=by, animate=False)


class Detail(Reading):
    """An item as YAML, or a text as it is; scrolled by the usual keys."""

    BINDINGS: ClassVar[list[BindingType]] = [act("dialog.leave", "q,space", "close", "Close")]

    def __init__(self, title: str, item: object) -> None:
        super().__init__()
        self._title, self._text = title, as_text(item)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box") as box:
            box.border_title = Text(one_line(self._title))
            box.border_subtitle = "esc closes"
            yield Static(Text(self._text))


def as_text(item: object) -> str:
    """The item's fields as YAML, without what is empty; a string as it is. Harmless to a terminal."""
    if isinstance(item, str):
        return sanitize(item)
    import msgspec
    import yaml

    fields = msgspec.json.decode(msgspec.json.encode(item))
    if isinstance(fields, dict):
        fields = {k: v for k, v in fields.items() if v not in (None, "", [], {})}
    return sanitize(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=100))


_GROUPS = {"table": "Tables", "app": "Anywhere", "go": "Screens"}


class Help(Dialog):
    """Every key that does something now, by group."""

    DEFAULT_CSS = "Help > .box { height: 85%; } Help Document { background: $surface; overflow-y: scroll; }"
    BINDINGS: ClassVar[list[BindingType]] = [act("dialog.leave", "q,question_mark", "close", "Close")]

    def __init__(self, of: Any) -> None:
        super().__init__()
        self._groups = by_group(active(of))
        self._name = getattr(of, "title_text", "")

    def compose(self) -> ComposeResult:
        from aiops_cli.tui.widgets.document import Document

        with Vertical(classes="box") as box:
            box.border_title = Text(f"Keys · {self._name}")
            box.border_subtitle = Text("esc closes · rebind by id: [keys] in the config")
            yield Document()

    def on_mount(self) -> None:
        from aiops_cli.tui.widgets.document import Document

        text = self.query_one(Document)
        text.show_beside("keys", self._table)
        text.focus()

    def _table(self) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(style="bold", max_width=14)
        table.add_column(ratio=1)
        table.add_column(style="dim")
        for group, found in self._groups.items():
            table.add_row("", Text(_GROUPS.get(group, f"This screen: {group}"), "underline"), "id")
            for binding, keys in found:
                meaning = "" if binding.tooltip == binding.description else f"  {binding.tooltip}"
                table.add_row(
                    Text(keys), Text.assemble((binding.description, "bold"), meaning), Text(binding.id or "")
                )
        mouse = "Click selects, a second click opens, a click on a column's title sorts."
        table.add_row("mouse", Text(mouse), "")
        return table


def completions(words: Sequence[str], line: str, most: int = 12) -> list[str]:
    """The words that the last word of `line` begins."""
    last = line.rpartition(" ")[2].lower()
    return [w for w in words if w.lower().startswith(last) and w.lower() != last][:most]


class _Words(Suggester):
    """Completes the last word of a line."""

    def __init__(self, words: Callable[[str], Sequence[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._words = words

    async def get_suggestion(self, value: str) -> str | None:
        found = completions(self._words(value), value, 1) if value else []
        return value.rpartition(" ")[0] + " " * (" " in value) + found[0] if found else None


class Ask(Dialog):
    """One line of text, with a history (up, down); returns it, or None."""

    DEFAULT_CSS = """
    Ask { align: left bottom; background: transparent; }
    Ask > .line { height: 3; border: round $primary; background: $surface; width: 100%; border-title-color: $primary; }
    Ask > .line.-wrong { border: round $error; border-subtitle-color: $error; }
    Ask Input, Ask Input:focus { border: none; height: 1; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("prompt.older", "up", "recall(-1)", "Older line"),
        act("prompt.newer", "down", "recall(1)", "Newer line"),
        act("prompt.take", "tab", "take", "Complete", "Take the completion that is shown.", priority=True),
    ]

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        history: Sequence[str] = (),
        words: Sequence[str] | Callable[[str], Sequence[str]] = (),
        hint: str = "",
        live: Callable[[str], str | None] | None = None,
        check: Callable[[str], str | None] | None = None,
    ) -> None:
        """`words` complete the last word that is typed (tab or the right arrow takes it); as a function, it
        is given the line. `live` is told each change, and returns what is wrong with it, if anything; `check`
        is told the line that is to be taken: one with something wrong stays."""
        super().__init__()
        self._live = live
        self._check = check or live
        self._title, self._value, self._hint = title, value, hint
        self._history = list(history)
        self._words = words if callable(words) else lambda _: words
        self._at = len(self._history)

    def compose(self) -> ComposeResult:
        with Vertical(classes="line") as line:
            line.border_title = Text(self._title)
            line.border_subtitle = Text(self._hint)
            yield Input(
                self._value,
                select_on_focus=False,
                suggester=_Words(self._words),
            )

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        said = self._live(event.value) if self._live is not None else None
        if (
            said is None
            and event.value
            and len(found := completions(self._words(event.value), event.value)) > 1
        ):
            said = " ".join(found)
        self._tell(said or self._hint)

    def _tell(self, said: str, *, wrong: bool = False) -> None:
        line = self.query_one(".line")
        line.border_subtitle = Text(f"✖ {one_line(said)}" if wrong else one_line(said))
        line.set_class(wrong, "-wrong")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._check is not None and (wrong := self._check(event.value)):
            self._tell(wrong, wrong=True)
        else:
            self.dismiss(event.value)

    def action_take(self) -> None:
        self.query_one(Input).action_cursor_right()

    def action_recall(self, by: int) -> None:
        self._at = min(max(self._at + by, 0), len(self._history))
        field = self.query_one(Input)
        field.value = self._history[self._at] if self._at < len(self._history) else self._value
        field.cursor_position = len(field.value)


class Choice(Dialog):
    """One of several; returns its id, or None. Letters jump, enter takes."""

    DEFAULT_CSS = """
    Choice > .box { max-width: 76; }
    Choice OptionList, Choice OptionList:focus { border: none; height: auto; max-height: 20; background: $surface; padding: 0; }
    """

    def __init__(self, title: str, options: Sequence[tuple[str, str]], chosen: str | None = None) -> None:
        """`options` are (id, text)."""
        super().__init__()
        self._title, self._options, self._chosen = title, options, chosen

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = self._title
            box.border_subtitle = "enter takes · esc leaves"
            yield OptionList(*(Option(Text(one_line(text)), id=id) for id, text in self._options))

    def on_mount(self) -> None:
        found = [i for i, (id, _) in enumerate(self._options) if id == self._chosen]
        self.query_one(OptionList).highlighted = found[0] if found else 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_id)


class Confirm(Dialog):
    """What is about to happen, in words, and `y` to do it; anything else leaves. Returns True or None."""

    READ_SECONDS: ClassVar[float] = 0.5
    """A `y` sooner than this was typed before the question could be read, and meant something else."""
    DEFAULT_CSS = "Confirm > .box { padding: 1 2; border: round $warning; border-title-color: $warning; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        act("dialog.yes", "y", "yes", "Yes", show=True),
        act("dialog.no", "n", "close", "No", show=True),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text
        self._since = 0.0

    def on_mount(self) -> None:
        self._since = time.monotonic()

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box") as box:
            box.border_title = self._title
            box.border_subtitle = "y does it · n or esc leaves"
            yield Static(Text(sanitize(self._text)))

    def action_yes(self) -> None:
        if time.monotonic() - self._since >= self.READ_SECONDS:
            self.dismiss(True)
