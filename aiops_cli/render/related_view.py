"""How related rows look: a group for each subject, and under each row the command that shows it all."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import tzinfo

from aiops_cli.models.related import RelatedItem, Subject
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import clock, one_line
from aiops_cli.render.views import when

_NAMED = 8  # cells of the longest signal and its place
_INDENT = _NAMED + 12  # where summaries and commands begin


def related_view(zone: tzinfo | None) -> View[RelatedItem]:
    """`-o name` prints the commands."""
    return View(
        "RelatedList",
        [
            Column("cluster", lambda i: i.cluster),
            Column("subject", lambda i: i.subject),
            Column("signal", lambda i: i.signal),
            Column(
                "count",
                lambda i: None if i.count is None else str(i.count),
                right=True,
                plain=lambda i: i.count,
            ),
            Column("at", lambda i: when(i.at, zone), plain=lambda i: i.at),
            Column("summary", lambda i: i.summary),
            Column("origin", lambda i: i.origin, wide=True),
            Column("source", lambda i: i.source, wide=True),
            Column("command", lambda i: i.command, wide=True),
        ],
        lambda i: i.command,
    )


def related_text(
    items: Sequence[RelatedItem], subjects: Sequence[Subject], zone: tzinfo | None, width: int | None
) -> str:
    """For people: what each subject is, then its rows. `width` None: nothing is wrapped."""
    windows = {(s.cluster, s.title): s for s in subjects}
    lines: list[str] = []
    group: tuple[str, str, str] | None = None
    for item in items:
        key = (item.cluster, item.origin, item.subject)
        if key != group:
            group = key
            asked = windows.get(key[:2])
            times = ""
            if asked is not None:
                start, end = clock(asked.start, zone), clock(asked.end, zone)
                at = clock(asked.at, zone)
                times = (
                    f", at {at[11:]}, looked at from {start} to {end[11:] if end[:10] == start[:10] else end}"
                )
            origin = "" if item.origin.lower() == item.subject.lower() else f"{item.origin} → "
            lines += ["", *_wrapped(f"{origin}{item.cluster} {item.subject}{times}", width, 2)]
        at = "        " if item.at is None else when(item.at, zone)[11:]
        known = " (korrel8r)" if item.source == "korrel8r" else ""
        lines += _wrapped(f"  {item.signal:<{_NAMED}}{at}  {item.summary}{known}", width, _INDENT)
        # A command that was cut or broken could not be run.
        lines.append(f"{'':{_INDENT}}{one_line(item.command)}")
    return "\n".join(lines[1:]) + "\n" if lines else ""


def _wrapped(text: str, width: int | None, indent: int) -> list[str]:
    """Lines of at most `width`, those after the first indented; one line without a width."""
    shown = one_line(text)
    if width is None or len(shown) <= width:
        return [shown]
    head = shown[:indent]  # which holds the columns before the summary
    wrapped = textwrap.wrap(shown[indent:], max(width - indent, 20), break_on_hyphens=False)
    return [f"{head if i == 0 else ' ' * indent}{line}" for i, line in enumerate(wrapped)]
