"""Where PromQL is written: coloured, checked while it is typed, completed from what the clusters know."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.geometry import Offset
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static, TextArea

from aiops_cli.render.text import cut, one_line
from aiops_cli.tui.actions import act
from aiops_cli.tui.themes import rich_colour
from aiops_cli.tui.widgets.promql_words import CALLED, KEYWORDS, Vocabulary, Wanted, Word, wanted

_TOKEN = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<string>\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|`[^`]*`?)"
    r"|(?P<number>\b\d[\w.]*\b)|(?P<name>@?[A-Za-z_:][\w:.-]*)"
)
_LINES = 6  # that the editor grows to
_MENU = 8  # words seen at once


class Menu(Widget):
    """Words to choose from, over what lies below the caret."""

    DEFAULT_CSS = """
    Menu { overlay: screen; constrain: inside inside; display: none; width: auto; height: auto; background: $panel;
           color: $foreground; padding: 0 1; }
    Menu.-open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.words: Sequence[Word] = ()
        self.at = 0
        self.moved = False

    @property
    def open(self) -> bool:
        return self.has_class("-open")

    def offer(self, words: Sequence[Word], where: Offset) -> None:
        """Show these below a place of the screen; none closes."""
        held = self.words[self.at].text if self.moved and self.open and self.words else None
        self.words = words
        self.at = next((i for i, w in enumerate(words) if w.text == held), 0)
        self.moved = held is not None and bool(words)
        self.set_class(bool(words), "-open")
        if words:
            self.absolute_offset = where
            self.refresh(layout=True)

    def close(self) -> None:
        self.offer((), Offset(0, 0))

    def move(self, by: int) -> None:
        self.at, self.moved = (self.at + by) % len(self.words), True
        self.refresh()

    def render(self) -> Text:
        top = min(max(self.at - _MENU // 2, 0), max(len(self.words) - _MENU, 0))
        seen = self.words[top : top + _MENU]
        wide = min(max((len(w.text) for w in seen), default=1), max(self.app.size.width // 2, 20))
        text = Text(no_wrap=True, end="")
        for i, word in enumerate(seen):
            style = "reverse" if top + i == self.at else ""
            text.append(cut(one_line(word.text), wide).ljust(wide), style)
            text.append(f"  {cut(one_line(word.about), 40)}", "dim")
            text.append("\n" if i < len(seen) - 1 else "")
        if len(self.words) > _MENU:
            text.append(f"\n{self.at + 1} of {len(self.words)}", "dim")
        return text


class PromqlText(TextArea):
    """The text itself. `enter` runs it, `ctrl+j` breaks the line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        act("editor.run", "enter", "run", "Run", "Ask the clusters this.", show=True, priority=True),
        act("editor.complete", "tab", "take", "Complete", "Take the word of the list.", show=True, priority=True),
        act("editor.words", "ctrl+space,ctrl+@", "words", "Words", "What may stand here.", priority=True),
        act("editor.break", "ctrl+j,alt+enter,shift+enter", "break", "New line", show=True, priority=True),
        act("editor.older", "up", "move(-1)", "Older query", "On the first line: the query before.", priority=True),
        act("editor.newer", "down", "move(1)", "Newer query", "On the last line.", priority=True),
        act("editor.leave", "escape", "leave", "Leave the editor", priority=True),
    ]  # fmt: skip

    def __init__(self, owner: Promql) -> None:
        super().__init__(
            compact=True,
            highlight_cursor_line=False,
            placeholder="PromQL, or @ for a named query · enter runs · tab completes · ctrl+j new line",
        )
        self.owner = owner
        self.wrong_at: int | None = None

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        variables = self.app.theme_variables
        for token in _TOKEN.finditer(line.plain):
            name = token["name"]
            colour = (
                "secondary" if name and (name in CALLED or name in KEYWORDS)
                else "primary" if name and name.startswith("@")
                else "success" if token["string"]
                else "warning" if token["number"]
                else ""
            )  # fmt: skip
            if token["comment"]:
                line.stylize("dim", *token.span())
            elif colour:
                line.stylize(Style(color=rich_colour(variables.get(colour, ""))), *token.span())
        if self.wrong_at is not None:
            row, column = self._place(self.wrong_at)
            if row == line_index:
                line.pad_right(max(column + 1 - len(line.plain), 0))
                line.stylize(Style(color=rich_colour(variables.get("error", "")), underline=True, bold=True),
                             column, column + 1)  # fmt: skip
        return line

    def mark(self, at: int | None) -> None:
        """Underline what stands at an index of the text."""
        if at != self.wrong_at:
            self.wrong_at = at
            self.notify_style_update()
            self.refresh()

    @property
    def caret(self) -> int:
        """Where the cursor stands, as an index of the text."""
        row, column = self.cursor_location
        return sum(len(line) + 1 for line in self.text.split("\n")[:row]) + column

    def _place(self, at: int) -> tuple[int, int]:
        before = self.text[:at]
        return before.count("\n"), at - (before.rfind("\n") + 1)

    def write(self, start: int, text: str) -> None:
        """Replace what stands between `start` and the cursor."""
        self.replace(text, self._place(start), self.cursor_location, maintain_selection_offset=False)
        self.move_cursor(self._place(start + len(text)))

    def action_run(self) -> None:
        """Later, behind the letters that were typed before it and still wait."""
        menu = self.owner.menu
        self.call_later(lambda: self.owner.take() if menu.open and menu.moved else self.owner.submit())

    def action_take(self) -> None:
        if not self.owner.menu.open:
            raise SkipAction
        self.call_later(self.owner.take)

    def action_words(self) -> None:
        self.owner.suggest(asked=True)

    def action_break(self) -> None:
        self.insert("\n")

    def action_move(self, by: int) -> None:
        if self.owner.menu.open:
            self.owner.menu.move(by)
        elif self.cursor_at_first_line if by < 0 else self.cursor_at_last_line:
            self.owner.recall(by)
        else:
            raise SkipAction

    def action_leave(self) -> None:
        if self.owner.menu.open:
            self.owner.menu.close()
        else:
            self.post_message(Promql.Left())


class Promql(Vertical):
    """The editor: its text, a line for what is wrong, and the list of words."""

    DEFAULT_CSS = """
    Promql { height: auto; border-left: thick $primary 40%; padding: 0 0 0 1; background: $surface; }
    Promql:focus-within { border-left: thick $primary; }
    Promql PromqlText { height: auto; min-height: 1; background: $surface; padding: 0; }
    Promql .wrong { display: none; height: 1; color: $error; }
    Promql.-wrong .wrong { display: block; }
    """

    class Submitted(Message):
        """A query is to be asked."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """esc: the keys go elsewhere."""

    def __init__(self, history: Callable[[], list[str]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.area = PromqlText(self)
        self.menu = Menu()
        self._history = history
        self._back = 0
        self._draft = ""
        self._what: Wanted | None = None
        self._quiet = ""

    def compose(self) -> ComposeResult:
        yield self.area
        yield Static("", classes="wrong", markup=False)
        yield self.menu

    def on_mount(self) -> None:
        self.area.styles.max_height = _LINES
        self.vocabulary = Vocabulary(self._app, self._learned)

    @property
    def _app(self) -> Any:
        return self.app

    @property
    def text(self) -> str:
        return self.area.text

    def put(self, text: str) -> None:
        """Replace all of it; nothing is suggested for that."""
        if text != self.area.text:
            self._quiet = text
            self.area.text = text
            self.area.move_cursor(self.area.document.end)
        self._back = 0

    def submit(self) -> None:
        self.menu.close()
        self.check(whole=True)
        if not self.has_class("-wrong"):
            self._back = 0
            self.post_message(self.Submitted(self.text.strip()))

    # What is wrong

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self.check()
        if self.text == self._quiet:
            self.menu.close()
        else:
            self.suggest()
        self._quiet = ""

    def check(self, *, whole: bool = False) -> None:
        """Say what is wrong; of a text that only lacks its end not before it is run (`whole`)."""
        message, at = self._fault()
        unfinished = (
            message and not whole and (at is None or at >= len(self.text.rstrip()) or "unclosed" in message)
        )
        self.set_class(bool(message) and not unfinished, "-wrong")
        self.area.mark(at if message and not unfinished else None)
        if message:
            self.query_one(".wrong", Static).update(f"✖ {one_line(message)}{self._column(at)}")

    def _fault(self) -> tuple[str, int | None]:
        from aiops_cli.errors import AiopsError
        from aiops_cli.services import promql, queries

        text = self.text
        if not text.strip():
            return "", None
        if text.strip().startswith("@"):
            if self._app.session is not None:
                try:
                    queries.resolve(text.strip(), self._app.session.settings)
                except AiopsError as error:
                    return f"{error.message}: {error.hint}", len(text)
            return "", None
        return promql.fault(text) or ("", None)

    def _column(self, at: int | None) -> str:
        if at is None:
            return ""
        row = self.text.count("\n", 0, at)
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        return f" (line {row + 1}, column {column})" if "\n" in self.text else f" (column {column})"

    # Words

    def suggest(self, *, asked: bool = False) -> None:
        """Offer the words that fit at the caret; `asked` also where nothing is begun."""
        what = wanted(self.text, self.area.caret)
        if what is None or not self.area.has_focus:
            self._what = None
            self.menu.close()
            return
        if asked and what.kind == "metric" and not what.prefix:
            words = self.vocabulary.every_metric()
        else:
            words = self.vocabulary.of(what)
        self._what = what
        self.menu.offer(words, self.area.cursor_screen_offset + Offset(-min(len(what.prefix), 20), 1))

    def _learned(self) -> None:
        if self.is_attached and self.area.has_focus and self._what is not None:
            self.suggest()

    def take(self) -> None:
        """Write the word that is marked."""
        if self._what is None or not self.menu.words:
            return
        word, what = self.menu.words[self.menu.at], self._what
        rest = self.text[self.area.caret :]
        written = word.written
        if what.kind == "value" and not rest.startswith(('"', "'", "`", "|")):
            written += '"'
        elif written.endswith(("(", '="', "]")) and rest.startswith(written[-1]):
            written = written[:-1]
        self.menu.close()
        self.area.write(what.start, written)
        if not written.endswith('="'):  # after which values are offered
            self._quiet = self.text

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        self.menu.close()

    # What was asked before

    def recall(self, by: int) -> None:
        lines = self._history()
        if self._back == 0:
            self._draft = self.text
        back = min(max(self._back - by, 0), len(lines))
        if back != self._back:
            self.put(lines[-back] if back else self._draft)
            self._back = back
