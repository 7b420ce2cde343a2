"""The LogQL line: history, and completion of label names, values and stages."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from aiops_cli.render.text import one_line
from aiops_cli.services.log_syntax import quoted
from aiops_cli.tui.actions import act
from aiops_cli.tui.working import start

Values = Callable[[str], Awaitable[Sequence[str]]]
"""Values of a label; names of labels for an empty one."""
_NAME = re.compile(r"[{,]\s*([A-Za-z_]\w*)?$")
_VALUE = re.compile(r'[{,]\s*([A-Za-z_]\w*)\s*(?:=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*))?$')
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_STAGE = re.compile(r"[|!][=~]?\s*([a-z_]*)$")
_STAGES = (
    '|= "',
    '!= "',
    '|~ "',
    '!~ "',
    "| json",
    "| logfmt",
    '| level="error"',
    '| line_format "{{.msg}}"',
)
_MOST = 200


class QueryLine(Vertical):
    """`Run` is posted with what was entered; `Left` when one goes back to the lines."""

    DEFAULT_CSS = """
    QueryLine { height: auto; }
    QueryLine Horizontal { height: 1; background: $surface; }
    QueryLine .name { width: auto; padding: 0 1; color: $primary; text-style: bold; background: $surface; }
    QueryLine Input { width: 1fr; background: $surface; }
    QueryLine Input:focus { background: $panel; }
    QueryLine OptionList { display: none; border: none; height: auto; max-height: 8; margin: 0 0 0 7; width: auto;
                           min-width: 30; max-width: 70; background: $panel; padding: 0; }
    QueryLine.-offering OptionList { display: block; }
    """

    class Run(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        pass

    def __init__(self, values: Values, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._values = values
        self.history: list[str] = []

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static("LogQL", classes="name")
            yield _Line(self, select_on_focus=False, placeholder='{namespace="shop"} |= "error"')
        offers = OptionList()
        offers.can_focus = False
        yield offers

    @property
    def line(self) -> _Line:
        return self.query_one(_Line)

    def set_text(self, text: str) -> None:
        """Show a query that was not typed here."""
        with self.prevent(Input.Changed):
            self.line.value = text
            self.line.cursor_position = len(text)
        self.offer([])

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.look_up()

    def look_up(self) -> None:
        """Offer what may stand at the cursor."""
        start(self, self._look_up, group="completion")

    async def _look_up(self) -> None:
        before = self.line.value[: self.line.cursor_position]
        label, typed = wanted(before)
        if label is None:
            self.offer([s for s in _STAGES if typed and s.startswith(typed) and s != typed])
            return
        found = await self._values(label)
        near = [v for v in found if v.startswith(typed)] or [v for v in found if typed.lower() in v.lower()]
        self.offer([v for v in near if v != typed][:_MOST])

    def offer(self, words: Sequence[str]) -> None:
        offers = self.query_one(OptionList)
        offers.clear_options()
        offers.add_options([Option(Text(one_line(w)), id=f"{i}") for i, w in enumerate(words)])
        self._words = list(words)
        self.set_class(bool(words) and self.line.has_focus, "-offering")

    @property
    def offering(self) -> bool:
        return self.has_class("-offering")

    def move(self, by: int) -> None:
        """Through the offers, or without any through the history."""
        offers = self.query_one(OptionList)
        if self.offering:
            at = -1 if offers.highlighted is None else offers.highlighted
            offers.highlighted = (at + by) % offers.option_count
        else:
            self.line.recall(by)

    @property
    def chosen(self) -> str | None:
        """The offer that was moved to."""
        at = self.query_one(OptionList).highlighted
        return self._words[at] if self.offering and at is not None else None

    def take(self, word: str | None = None) -> None:
        """Put the offer, or the first one, where it belongs."""
        word = word or self.chosen or (self._words[0] if self.offering else None)
        if word is None:
            return
        line = self.line
        before, after = line.value[: line.cursor_position], line.value[line.cursor_position :]
        label, typed = wanted(before)
        before = before[: len(before) - len(typed)]
        if label is None:
            before = before[: len(before) - len(typed)] if before.endswith(typed) and typed else before
            done = word
        elif label:
            text = quoted(word)
            done = text[1:] if before.endswith('"') else text
            after = after.removeprefix('"')
            if "}" not in after:
                after += "}"
        else:
            done = f'{word}="'
        with self.prevent(Input.Changed):
            line.value = before + done + after
        line.cursor_position = len(before) + len(done)
        self.look_up() if label == "" else self.offer([])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.take(self._words[int(event.option_id or 0)])
        self.line.focus()


class _Line(Input):
    BINDINGS: ClassVar[list[BindingType]] = [
        act(
            "query.complete",
            "tab",
            "complete",
            "Complete",
            "Take the first offer, or the one moved to.",
            show=True,
        ),
        act("query.older", "up", "move(-1)", "Older query", "Or the offer above."),
        act("query.newer", "down", "move(1)", "Newer query", "Or the offer below."),
        act("query.offer", "ctrl+space,ctrl+@", "offer", "Offer", "What may stand at the cursor."),
        act("query.leave", "escape", "leave", "To the lines", show=True),
    ]

    def __init__(self, owner: QueryLine, *, select_on_focus: bool, placeholder: str) -> None:
        # Compact: else the focus draws a border in place of the only line.
        super().__init__(select_on_focus=select_on_focus, placeholder=placeholder, compact=True)
        self._owner = owner
        self._at = 0
        self._typed = ""

    def action_complete(self) -> None:
        self._owner.take() if self._owner.offering else self.screen.focus_next()

    def action_move(self, by: int) -> None:
        self._owner.move(by)

    def action_offer(self) -> None:
        self._owner.look_up()

    def action_leave(self) -> None:
        self._owner.offer([]) if self._owner.offering else self._owner.post_message(QueryLine.Left())

    async def action_submit(self) -> None:
        if self._owner.chosen is not None:
            self._owner.take()
            return
        self._owner.offer([])
        self._at = 0
        self._owner.post_message(QueryLine.Run(self.value.strip()))

    def on_blur(self, event: events.Blur) -> None:
        self._owner.offer([])

    def recall(self, by: int) -> None:
        history = self._owner.history
        if not self._at:
            self._typed = self.value
        self._at = min(max(self._at - by, 0), len(history))
        with self.prevent(Input.Changed):
            self.value = history[-self._at] if self._at else self._typed
        self.cursor_position = len(self.value)


def wanted(before: str) -> tuple[str | None, str]:
    """What may follow this text: (label, typed) for a value of that label, ("", typed) for a label's name,
    (None, typed) for a stage. `typed` is what stands of it already."""
    bare = _QUOTED.sub(lambda m: "_" * len(m[0]), before)
    braces = bare.rfind("{")
    inside = braces >= 0 and "}" not in bare[braces:]
    if inside:
        if value := _VALUE.search(before[braces:]):
            return value[1], value[2] or ""
        name = _NAME.search(before[braces:])
        return ("", name[1] or "") if name else (None, "")
    stage = _STAGE.search(before)
    return None, stage[0] if stage else ""
