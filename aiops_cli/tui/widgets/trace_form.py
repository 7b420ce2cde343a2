"""What traces are looked for: fields of one line each, and TraceQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.sources.base import TraceQuery
from aiops_cli.tui.actions import act


@dataclass(frozen=True, slots=True)
class Search:
    """The fields as they are written."""

    service: str = ""
    operation: str = ""
    shortest: str = ""
    traceql: str = ""
    errors: bool = False

    def query(self, limit: int, *, slowest: bool) -> TraceQuery:
        """What stores are asked. Raises UsageError for a duration that can't be read."""
        return TraceQuery(
            traceql=self.traceql or None,
            service=self.service or None,
            operation=self.operation or None,
            min_ms=_milliseconds(self.shortest),
            errors=self.errors,
            limit=limit,
            slowest=slowest,
        )

    @property
    def text(self) -> str:
        """In a few words, for titles."""
        said = (
            self.service,
            self.operation,
            self.shortest and f"≥ {self.shortest}",
            self.errors and "only failed",
            self.traceql,
        )
        return " · ".join(s for s in said if isinstance(s, str) and s)


def _milliseconds(text: str) -> float | None:
    from aiops_cli.services import times

    if not text:
        return None
    if text.replace(".", "", 1).isdigit():
        raise UsageError(f"min {text} has no unit", hint=f"{text}ms or {text}s", code=ErrorCode.INVALID_TIME)
    return times.parse_duration(text, "min") * 1000


class Known(Suggester):
    """Completes from words that come to be known while one types."""

    def __init__(self, words: Callable[[], Sequence[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=False)
        self._words = words

    async def get_suggestion(self, value: str) -> str | None:
        return next((w for w in self._words() if value and w.lower().startswith(value.lower())), None)


class TraceForm(Vertical):
    """`enter` in a field searches; `esc` leaves it."""

    DEFAULT_CSS = """
    TraceForm { height: 2; background: $surface; border-left: thick $primary 40%; padding: 0 0 0 1; }
    TraceForm:focus-within { border-left: thick $primary; }
    TraceForm Horizontal { height: 1; }
    TraceForm Label { color: $foreground 70%; margin: 0 1 0 0; }
    TraceForm Input { background: $surface; width: 2fr; margin: 0 1 0 0; padding: 0; }
    TraceForm Input:focus { background: $panel; }
    TraceForm #min { width: 9; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [act("traces.leave", "escape", "leave", "Leave the form")]

    class Submitted(Message):
        """These are to be searched for."""

        def __init__(self, search: Search) -> None:
            super().__init__()
            self.search = search

    class Left(Message):
        """esc: the keys go elsewhere."""

    def __init__(
        self, services: Callable[[], Sequence[str]], operations: Callable[[], Sequence[str]]
    ) -> None:
        super().__init__()
        self._inputs = {
            "service": Input(id="service", compact=True, placeholder="(any; * matches)", suggester=Known(services)),
            "operation": Input(id="operation", compact=True, placeholder="(any)", suggester=Known(operations)),
            "shortest": Input(id="min", compact=True, placeholder="(250ms)"),
            "traceql": Input(id="traceql", compact=True, select_on_focus=False, placeholder='(as { resource.service.name = "api" && status = error })'),
        }  # fmt: skip
        self._errors = False

    def compose(self) -> ComposeResult:
        with Horizontal():
            for name, label in (("service", "service"), ("operation", "operation"), ("shortest", "min")):
                yield Label(label)
                yield self._inputs[name]
        with Horizontal():
            yield Label("TraceQL")
            yield self._inputs["traceql"]

    @property
    def search(self) -> Search:
        return Search(
            **{name: field.value.strip() for name, field in self._inputs.items()}, errors=self._errors
        )

    def put(self, search: Search) -> None:
        """Write these into the fields."""
        self._errors = search.errors
        for field in fields(search):
            if field.name in self._inputs:
                self._inputs[field.name].value = getattr(search, field.name)

    def begin(self) -> None:
        """Write in the first field."""
        self._inputs["service"].focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """What begins as TraceQL does is written in the field for it, in place of what is there."""
        event.stop()
        query = self._inputs["traceql"]
        if event.input is not query and event.input.value.startswith("{"):
            query.value, event.input.value = event.input.value, ""
            self.screen.set_focus(query)  # at once: more is being typed
            query.cursor_position = len(query.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self.search))

    def action_leave(self) -> None:
        self.post_message(self.Left())
