"""How an error is told in a line of the dashboard."""

from __future__ import annotations

from typing import Protocol


class Failure(Protocol):
    """An AiopsError, or the error of a cluster's status."""

    @property
    def message(self) -> str: ...

    @property
    def hint(self) -> str: ...


def error_line(error: Failure) -> str:
    """What failed, and what to do where that is known."""
    return "; ".join(filter(None, (error.message, error.hint)))
