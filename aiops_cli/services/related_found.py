"""What a look at one signal found, before it is told of a subject."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """`count` rows; `at` in unix seconds is the first or most telling one's, None where there is none."""

    count: int | None
    at: float | None
    summary: str
    command: str


def counted(count: int, what: str, limit: int | None = None) -> str:
    """`1 line`, `17 lines`, or `1000+ lines` where no more than `limit` were read."""
    more = "+" if limit is not None and count >= limit else ""
    return f"{count}{more} {what}{'' if count == 1 and not more else 's'}"
