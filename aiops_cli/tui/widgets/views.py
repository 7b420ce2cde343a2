"""The line that names the views of a screen; `v` or a click takes another."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from aiops_cli.render.text import cells


class Views(Widget):
    """Names side by side, the one shown between brackets, each with what was noted of it."""

    DEFAULT_CSS = "Views { height: 1; width: 1fr; padding: 0 1; }"
    current: reactive[str] = reactive("", init=False)

    class Chosen(Message):
        """Another view was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, names: tuple[str, ...], hint: str = "v next view") -> None:
        super().__init__()
        self.names, self._hint = names, hint
        self._notes: dict[str, str] = {}
        self.set_reactive(Views.current, names[0])

    def after(self, by: int) -> str:
        """The name that comes `by` after the current one, around the end."""
        return self.names[(self.names.index(self.current) + by) % len(self.names)]

    def note(self, name: str, text: str) -> None:
        """Say something behind a name, such as how much is wrong there."""
        if self._notes.get(name, "") != text:
            self._notes[name] = text
            self.refresh()

    def _label(self, name: str) -> str:
        return " ".join(filter(None, (name, self._notes.get(name))))

    def render(self) -> Text:
        text = Text(no_wrap=True)
        for name in self.names:
            shown, label = name == self.current, self._label(name)
            text.append(f"[{label}]" if shown else f" {label} ", "bold reverse" if shown else "")
            text.append(" ")
        text.append(f" {self._hint}", "dim")
        return text

    def on_click(self, event: events.Click) -> None:
        left = 1  # the padding
        for name in self.names:
            width = cells(self._label(name)) + 2
            if left <= event.x < left + width:
                self.post_message(self.Chosen(name))
            left += width + 1
