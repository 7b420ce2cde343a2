"""The `/` filter of every table, as in k9s: `text` or a regex, `!text` the inverse, `-l key=value,…` labels,
`-f text` fuzzy. Several hold together: `front -l severity=critical`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from aiops_cli.errors import UsageError
from aiops_cli.services.selection import parse_selector

Test = Callable[[str, Mapping[str, str]], bool]
"""Whether a row is kept, of its text (cells joined by spaces) and its labels."""


_FLAG = re.compile(r"(?:^|(?<=\s))-([A-Za-z])(?=\s|$)")


def compile_filter(text: str) -> Test | None:
    """The test of a filter; None for an empty one, which keeps every row. Raises UsageError for a regex or
    selector that can't be read, and for a flag that there is not."""
    head, *rest = _FLAG.split(text)
    tests = [_by_text(head.strip())]
    for flag, said in zip(rest[::2], (part.strip() for part in rest[1::2]), strict=True):
        if flag not in "lf":
            raise UsageError(
                f"-{flag} is no filter", hint=f"-l key=value, -f fuzzy; the text itself is written [-]{flag}"
            )
        tests.append(_by_labels(said) if flag == "l" else _fuzzy(said))
    found = [test for test in tests if test is not None]
    return (lambda row, labels: all(test(row, labels) for test in found)) if found else None


def _by_labels(said: str) -> Test | None:
    wanted = parse_selector(said)
    return (
        (lambda row, labels: all((labels.get(k) == v) == equal for k, v, equal in wanted)) if wanted else None
    )


def _fuzzy(said: str) -> Test | None:
    letters = said.lower()
    return (lambda row, labels: _in_order(letters, row.lower())) if letters else None


def _by_text(said: str) -> Test | None:
    if not said or said == "!":
        return None
    pattern, outside = regex(said.removeprefix("!")), said.startswith("!")
    return lambda row, labels: (pattern.search(row) is None) == outside


def regex(text: str) -> re.Pattern[str]:
    """Small letters match both cases, as in less and ripgrep's smart case. Raises UsageError."""
    try:
        return re.compile(text, re.NOFLAG if text != text.lower() else re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"this regex can't be read: {error}", hint=r"a plain ( or [ is written \( or \["
        ) from error


def _in_order(letters: str, row: str) -> bool:
    """Whether the letters occur in this order, others between them: fzf's simplest rule."""
    rest = iter(row)
    return all(letter == " " or letter in rest for letter in letters)
