"""Colour by level, where a terminal shows it and nobody has switched it off (https://no-color.org)."""

from __future__ import annotations

import os
from typing import TextIO

_CODES = {"fatal": "1;31", "error": "31", "warn": "33", "debug": "2", "trace": "2"}
_WORDS = {
    "critical": "fatal",
    "page": "fatal",
    "offline": "fatal",
    "high": "error",
    "major": "error",
    "down": "error",
    "notready": "error",
    "fail": "error",
    "failed": "error",
    "unreachable": "error",
    "auth_failed": "error",
    "warning": "warn",
    "degraded": "warn",
    "minor": "warn",
}


def wanted(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that takes colour. NO_COLOR, unless empty, says no."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, level: str | None) -> str:
    """Text in the colour of its level; most levels have none."""
    code = _CODES.get(level or "")
    return f"\033[{code}m{text}\033[0m" if code else text


def rank(word: str | None) -> int:
    """0 for the worst severities, then 1, 2, and 3 for what is no trouble."""
    return {"fatal": 0, "error": 1, "warn": 2}.get(level_of_word(word) or "", 3)


def level_of_word(word: str | None) -> str | None:
    """The level of a severity or state: critical is fatal, DEGRADED a warning; of most words none."""
    said = (word or "").lower()
    return said if said in _CODES else _WORDS.get(said)
