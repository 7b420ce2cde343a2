"""CommonMark from text that nobody vouches for: what comes out shows the text and does nothing else.

Control characters become visible, line breaks become ⏎, and whatever Markdown, its table extension or
HTML would act on is escaped (https://spec.commonmark.org/0.31.2/#backslash-escapes). Web addresses are
not made into links.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from aiops_cli.render.text import one_line, sanitize

_ACTIVE = re.compile(r"[\\`*\[\]|~]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_AT_START = re.compile(r"^(?:[-+](?=\s|$)|[-=]+\s*$|#{1,6}(?=\s|$)|\d{1,9}[.)](?=\s|$))")
_LINK = re.compile(r"://|\bwww\.", re.I)
_LINK_BROKEN = {"://": ":\\/\\/"}


def text(value: str) -> str:
    """Inline text, also for table cells and the start of a line."""
    safe = re.sub("[&<>]", lambda m: _ENTITIES[m[0]], one_line(value))
    safe = _ACTIVE.sub(lambda m: f"\\{m[0]}", safe)
    safe = _LINK.sub(lambda m: _LINK_BROKEN.get(m[0], m[0][:-1] + "\\."), safe)
    return _AT_START.sub(lambda m: f"{m[0][:-1]}\\{m[0][-1]}", safe.strip())


def code(value: str, *, cell: bool = False) -> str:
    """A code span; in a table cell a pipe needs a backslash even there."""
    safe = one_line(value)
    if not safe.strip():
        return "-"
    fence = "`" * (_longest_run(safe) + 1)
    pad = " " if safe[0] in "` " or safe[-1] in "` " else ""
    if cell:
        safe = safe.replace("|", "\\|")
    return f"{fence}{pad}{safe}{pad}{fence}"


def block(value: str, language: str = "") -> str:
    """A fenced code block, lines kept."""
    safe = sanitize(value.replace("\r\n", "\n"))
    fence = "`" * max(_longest_run(safe) + 1, 3)
    return f"{fence}{language}\n{safe}\n{fence}\n"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> str:
    """A table of cells that are Markdown already; an empty cell shows a dash."""
    rule = ["---:" if t in right else "---" for t in titles]
    lines = [titles, rule, *([c or "-" for c in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _longest_run(value: str) -> int:
    return max((len(run) for run in re.findall("`+", value)), default=0)
