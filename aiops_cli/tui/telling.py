"""How an error is told in a line of the dashboard."""

from __future__ import annotations

from typing import Protocol

from aiops_cli.render.text import one_line


class Failure(Protocol):
    """An AiopsError, or the error of a cluster's status."""

    @property
    def message(self) -> str: ...

    @property
    def hint(self) -> str: ...


def hint_lines(hint: str) -> list[str]:
    """The lines of a hint. Where one stands under another, with a caret, it is set for what follows `hint: `."""
    first, *rest = [one_line(line) for line in hint.splitlines()] or [""]
    return [" " * len("hint: ") + first, *rest] if rest else [first] * bool(first)


def error_line(error: Failure) -> str:
    """What failed, and what to do where that is known."""
    return "; ".join(filter(None, (error.message, error.hint)))
