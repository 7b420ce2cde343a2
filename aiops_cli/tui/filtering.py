"""The `/` filter of every table, as in k9s: `text` or a regex, `!text` the inverse, `-l key=value,…` labels,
`-f text` fuzzy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from aiops_cli.errors import UsageError
from aiops_cli.services.selection import parse_selector

Test = Callable[[str, Mapping[str, str]], bool]
"""Whether a row is kept, of its text (cells joined by spaces) and its labels."""


def compile_filter(text: str) -> Test | None:
    """The test of a filter; None for an empty one, which keeps every row. Raises UsageError for a regex or
    selector that can't be read."""
    said = text.strip()
    if not said or said in ("!", "-l", "-f"):
        return None
    if said.startswith("-l"):
        wanted = parse_selector(said[2:].strip())
        return lambda row, labels: all((labels.get(k) == v) == equal for k, v, equal in wanted)
    if said.startswith("-f"):
        letters = said[2:].strip().lower()
        return lambda row, labels: _in_order(letters, row.lower())
    if said.startswith("!"):
        outside = _regex(said[1:])
        return lambda row, labels: not outside.search(row)
    inside = _regex(said)
    return lambda row, labels: inside.search(row) is not None


def _regex(text: str) -> re.Pattern[str]:
    """Small letters match both cases, as in less and ripgrep's smart case."""
    try:
        return re.compile(text, re.NOFLAG if text != text.lower() else re.IGNORECASE)
    except re.error as error:
        raise UsageError(
            f"this regex can't be read: {error}", hint=r"a plain ( or [ is written \( or \["
        ) from error


def _in_order(letters: str, row: str) -> bool:
    """Whether the letters occur in this order, others between them: fzf's simplest rule."""
    rest = iter(row)
    return all(letter == " " or letter in rest for letter in letters)
