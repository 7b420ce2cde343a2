"""How findings look: a table where all of it fits, else some lines a finding."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import tzinfo

from aiops_cli.models.findings import Finding
from aiops_cli.models.result import FleetResult
from aiops_cli.render.colour import level_of_word, paint
from aiops_cli.render.output import Column, Style, View, render
from aiops_cli.render.text import cells, cut, one_line
from aiops_cli.render.views import when

_INDENT = " " * 10  # as wide as the longest severity and the gap behind it


def finding_view(
    zone: tzinfo | None, rows: Sequence[Finding] = (), *, brief: bool = False, roomy: bool = False
) -> View[Finding]:
    """`roomy` shows what to do, as -o wide does. `brief` leaves out what says nothing of these rows: a date that is one for all, an only cluster, times
    that none has."""
    start = _date_cells(zone, rows) if brief else 0
    one_cluster = brief and len({f.cluster for f in rows}) == 1
    return View(
        "FindingList",
        [
            Column("severity", lambda f: f.severity),
            Column("code", lambda f: f.code, keep=True),
            Column("cluster", lambda f: f.cluster, wide=one_cluster),
            Column("about", about, keep=True),
            Column(
                "since",
                lambda f: when(f.since, zone)[start:] if f.since else "",
                wide=brief and not any(f.since for f in rows),
                plain=lambda f: f.since,
            ),
            Column(
                "until",
                lambda f: when(f.until, zone)[start:] if f.until else "",
                wide=brief and not any(f.until for f in rows),
                plain=lambda f: f.until,
            ),
            Column("finding", lambda f: f.text),
            Column("do", lambda f: f.action, wide=not (roomy and any(f.action for f in rows))),
            Column("source", lambda f: f.source, wide=True),
        ],
        lambda f: f"{f.cluster}/{f.entity.kind}/{f.entity.name}/{f.code}",
    )


def about(finding: Finding) -> str:
    """What a finding is about, with the namespace of what has one and no node before its name."""
    entity = finding.entity
    return f"{entity.namespace}/{entity.name}" if entity.namespace and "/" not in entity.name else entity.name


def finding_text(rows: Sequence[Finding], style: Style, zone: tzinfo | None) -> str:
    """Findings for people, as a table of `style`, with what to do where there is room for it. Where a terminal has no room for the whole table, severity, code
    and times stand on a line, and what it is about and the reason below: they are what is read."""
    brief = style.format == "table"
    view, result = finding_view(zone, rows, brief=brief), FleetResult(list(rows), [])
    if brief and style.width and not (style.columns or style.fields or style.sort):
        for one in (finding_view(zone, rows, brief=brief, roomy=True), view):
            whole = render(one, result, replace(style, width=None, colour=False))
            if max((cells(line) for line in whole.splitlines()), default=0) <= style.width:
                return render(one, result, style)
        return "".join(line + "\n" for line in _lines(rows, style, zone))
    return render(view, result, style)


def _date_cells(zone: tzinfo | None, rows: Sequence[Finding]) -> int:
    """How much of each time is a date that is one for all."""
    days = {when(t, zone)[:10] for f in rows for t in (f.since, f.until) if t}
    return 11 if len(days) == 1 else 0


def _lines(rows: Sequence[Finding], style: Style, zone: tzinfo | None) -> Iterator[str]:
    width = max(style.width or 0, 20)
    start = _date_cells(zone, rows)
    several = len({f.cluster for f in rows}) > 1
    for f in rows:
        words = [f.severity.ljust(8), f.code]
        words += [
            f"{word} {when(t, zone)[start:]}" for word, t in (("since", f.since), ("until", f.until)) if t
        ]
        what = one_line(f"{f.cluster}  {about(f)}" if several else about(f))
        head = "  ".join(words)
        together = cells(head) + 2 + cells(what) <= width
        if together:
            head += "  " + what
        head = cut(one_line(head), width)
        if style.colour:
            head = paint(head[:8], level_of_word(f.severity)) + head[8:]
        yield head
        below = [] if together else [what]
        for text in [*below, *textwrap.wrap(one_line(f.text), width - len(_INDENT), break_on_hyphens=False)]:
            yield _INDENT + cut(text, width - len(_INDENT))
