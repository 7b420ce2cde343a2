"""Themes: dark, light, high contrast, one for colour-blind eyes, and one of the terminal's own 16 colours.

Every state has a sign and a word beside its colour (`SIGNS`); a theme only underlines them.
"""

from __future__ import annotations

from functools import cache

from rich.style import Style
from textual.theme import BUILTIN_THEMES, Theme

from aiops_cli.render.colour import level_of_word

THEMES = (
    Theme(
        "aiops-dark", primary="#60a5fa", secondary="#a78bfa", accent="#f0abfc", foreground="#e5e7eb",
        background="#0f1115", surface="#14181d", panel="#171b21", success="#22c55e", warning="#f59e0b",
        error="#ef4444", dark=True,
    ),
    Theme(
        "aiops-light", primary="#1d4ed8", secondary="#6d28d9", accent="#a21caf", foreground="#111827",
        background="#ffffff", surface="#f8f9fb", panel="#f1f4f7", success="#126b33", warning="#964400",
        error="#b91c1c", dark=False,
    ),
    Theme(
        "aiops-contrast", primary="#00ffff", secondary="#ffffff", accent="#ffff00", foreground="#ffffff",
        background="#000000", surface="#000000", panel="#1a1a1a", success="#00ff00", warning="#ffff00",
        error="#ff6060", dark=True,
    ),
    # Okabe and Ito's palette, which the common forms of colour blindness tell apart
    # (https://jfly.uni-koeln.de/color/); its green and vermilion are lighter here, to be read on black.
    Theme(
        "aiops-colourblind", primary="#56b4e9", secondary="#cc79a7", accent="#f0e442", foreground="#eeeeee",
        background="#101214", surface="#171a1d", panel="#20252a", success="#1fae85", warning="#e69f00",
        error="#f07a2b", dark=True,
    ),
    # Titles in the terminal's own text colour: its blue or cyan can't be read on every ground.
    Theme(
        "aiops-16", primary="ansi_default", secondary="ansi_magenta", accent="ansi_default",
        foreground="ansi_default", background="ansi_default", surface="ansi_default", panel="ansi_default",
        boost="ansi_default", success="ansi_green", warning="ansi_yellow", error="ansi_red", dark=True, ansi=True,
        variables=BUILTIN_THEMES["ansi-dark"].variables,
    ),
)  # fmt: skip
DEFAULT, PLAIN = "aiops-dark", "aiops-16"
NAMES = tuple(t.name for t in THEMES)

SIGNS = {"fatal": "✖", "error": "✖", "warn": "▲", "debug": "·", "trace": "·", "ok": "●", "unknown": "○"}
_OK = frozenset(
    {"ok", "online", "healthy", "connected", "success", "locked", "ready", "true", "running", "pass"}
)


def level(word: str | None) -> str | None:
    """The level of a word that judges: `fatal`, `error`, `warn`, `ok`; None of any other word."""
    said = (word or "").strip().lower()
    return "ok" if said in _OK else level_of_word(said)


def sign(word: str | None) -> str:
    """A sign that stands for a state without colour."""
    return SIGNS.get(level(word) or "unknown", "○")


def style_of(level: str | None, variables: dict[str, str]) -> Style:
    """The colour of a level in the theme whose CSS variables these are."""
    name = {"fatal": "error", "error": "error", "warn": "warning", "ok": "success"}.get(level or "")
    if level in ("debug", "trace", "unknown"):
        return Style(dim=True)
    return Style() if name is None else _coloured(rich_colour(variables.get(name, "")), level == "fatal")


@cache
def _coloured(colour: str | None, bold: bool) -> Style:
    return Style(color=colour, bold=bold)


def rich_colour(value: str) -> str | None:
    """A theme's colour as Rich names it; None where there is none."""
    if value.startswith("ansi_"):
        name = value.removeprefix("ansi_")
        return "default" if name == "default" else name
    return value[:7] if value.startswith("#") else None
