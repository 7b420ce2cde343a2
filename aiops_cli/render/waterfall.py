"""A trace as a time-scaled waterfall, or as an indented tree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from aiops_cli.render.colour import paint
from aiops_cli.render.text import cells, cut, duration, one_line

NUMBERS = 22  # cells right of the bars: duration, self time, mark
INDENT = 12  # levels that are shown by their indent
_CONTRIBUTORS = 5


class Happening(Protocol):
    """An event of a span; its time in milliseconds from the trace's start."""

    @property
    def at_ms(self) -> float: ...
    @property
    def name(self) -> str: ...
    @property
    def attributes(self) -> Mapping[str, object]: ...


class Pointer(Protocol):
    """A link to a span of another trace."""

    @property
    def trace_id(self) -> str: ...
    @property
    def span_id(self) -> str: ...


class Bar(Protocol):
    """What is shown of a span; times in milliseconds from the trace's start."""

    @property
    def depth(self) -> int: ...
    @property
    def cluster(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def start_ms(self) -> float: ...
    @property
    def duration_ms(self) -> float: ...
    @property
    def self_ms(self) -> float: ...
    @property
    def status(self) -> str: ...
    @property
    def critical(self) -> bool: ...
    @property
    def critical_ms(self) -> float: ...
    @property
    def critical_sections(self) -> Sequence[tuple[float, float]]: ...
    @property
    def orphan(self) -> bool: ...
    @property
    def attributes(self) -> Mapping[str, object]: ...
    @property
    def events(self) -> Sequence[Happening]: ...
    @property
    def links(self) -> Sequence[Pointer]: ...


def waterfall(rows: Sequence[Bar], width: int, *, events: bool = False, colour: bool = False) -> str:
    """One line a span: its place in the tree, its bar, duration and self time. `━` is the critical path,
    `─` the rest, `✗` a failed span, `?` one whose parent is missing. What went wrong stands below its span,
    with `events` everything that happened in it; last comes what the critical path is made of. In colour, what
    failed is red."""
    if not rows:
        return ""
    total = max(r.start_ms + r.duration_ms for r in rows) or 1.0
    shown = names(rows, "  ")
    left = min(max(cells(n) for n in shown), max(int(width * 0.45), 20))
    wide = max(width - left - 2 - NUMBERS, 10)
    ends = duration(total)
    lines = [f"{padded('SPAN', left)}  0{ends:>{wide - 1}}  {'DURATION':>9} {'SELF':>8}".rstrip()]
    for row, name in zip(rows, shown, strict=True):
        mark = " ✗" if row.status == "error" else ""
        line = (
            f"{padded(name, left)}  {bar(row, total, wide)}  "
            f"{duration(row.duration_ms):>9} {duration(row.self_ms):>8}{mark}"
        )
        lines.append(paint(line, row.status) if colour else line)
        lines += [cut(line, width) for line in below(row, "  " * (min(row.depth, INDENT) + 1), events)]
    return "\n".join(lines) + "\n" + contributors(rows, width)


def span_tree(rows: Sequence[Bar], width: int, *, events: bool = False, colour: bool = False) -> str:
    """The tree with guides, and start, duration, self time and critical time of each span as numbers."""
    if not rows:
        return ""
    guides = _guides(rows)
    shown = [g + n for g, n in zip(guides, names(rows, ""), strict=True)]
    left = min(max(cells(n) for n in shown), max(width - 42, 20))
    lines = [f"{padded('SPAN', left)} {'START':>9} {'DURATION':>9} {'SELF':>8} {'CRITICAL':>9}"]
    for row, name, guide in zip(rows, shown, guides, strict=True):
        mark = " ✗" if row.status == "error" else ""
        critical = duration(row.critical_ms) if row.critical else "-"
        line = (
            f"{padded(name, left)} {duration(row.start_ms):>9} {duration(row.duration_ms):>9} "
            f"{duration(row.self_ms):>8} {critical:>9}{mark}"
        )
        lines.append(paint(line, row.status) if colour else line)
        under = guide.replace("├─ ", "│  ").replace("└─ ", "   ")
        lines += [cut(line, width) for line in below(row, under + "   ", events)]
    return "\n".join(lines) + "\n" + contributors(rows, width)


def names(rows: Sequence[Bar], indent: str) -> list[str]:
    """Service and span name of each, behind its indent; with the cluster where there are several."""
    clusters = len({r.cluster for r in rows}) > 1
    return [
        indent * min(r.depth, INDENT)
        + one_line(
            ("? " if r.orphan else "") + (f"{r.cluster}/" if clusters else "") + f"{r.service} {r.name}"
        )
        for r in rows
    ]


def padded(text: str, width: int) -> str:
    """A text in exactly so many cells."""
    shown = cut(text, width)
    return shown + " " * (width - cells(shown))


def bar(row: Bar, total: float, width: int) -> str:
    """A span on an axis of `total` milliseconds in `width` cells. A cell is on the critical path if its middle is; a stretch shorter than a cell takes one."""
    scale = width / total
    start = min(max(int(row.start_ms * scale), 0), width - 1)
    size = min(max(1, round(row.duration_ms * scale)), width - start)
    drawn = [" "] * start + ["─"] * size + [" "] * (width - start - size)
    for begin, end in row.critical_sections:
        first = min(max(math.ceil(begin * scale - 0.5), start), start + size - 1)
        last = min(max(math.ceil(end * scale - 0.5), first + 1), start + size)
        drawn[first:last] = "━" * (last - first)
    return "".join(drawn)


def below(row: Bar, indent: str, events: bool) -> Iterator[str]:
    """What went wrong in a span, what happened in it, and what it was linked from."""
    told = False
    for event in row.events:
        if event.name == "exception":
            get = event.attributes.get
            parts = [str(get(f"exception.{k}")) for k in ("type", "message") if get(f"exception.{k}")]
            yield one_line(f"{indent}! {': '.join(parts) or 'exception'}")
            told = True
        elif events:
            fields = " ".join(f"{k}={v}" for k, v in event.attributes.items())
            yield one_line(f"{indent}· {duration(event.at_ms)} {event.name} {fields}".rstrip())
    if row.status == "error" and not told:
        message = row.attributes.get("status.message") or row.attributes.get("otel.status_description")
        if message:
            yield one_line(f"{indent}! {message}")
    for link in row.links:
        yield one_line(f"{indent}→ trace {link.trace_id} span {link.span_id}")


def _guides(rows: Sequence[Bar]) -> list[str]:
    """The lines of a tree left of each row, from the last one up."""
    guides: list[str] = []
    follows: set[int] = set()  # depths at which a row comes further down, in the same branch
    for row in reversed(rows):
        depth = row.depth
        follows.discard(depth + 1)
        shown = "".join("│  " if d in follows else "   " for d in range(max(1, depth - INDENT), depth))
        if depth:
            shown += "├─ " if depth in follows else "└─ "
        guides.append(shown)
        follows.add(depth)
    return guides[::-1]


def contributors(rows: Sequence[Bar], width: int) -> str:
    """What the critical path is made of, most first, as far as it fits on a line."""
    shares: dict[str, float] = {}
    for row in rows:
        if row.critical_ms:
            key = one_line(f"{row.service} {row.name}")
            shares[key] = shares.get(key, 0.0) + row.critical_ms
    whole = sum(shares.values())
    if not whole:
        return ""
    most = sorted(shares.items(), key=lambda item: (-item[1], item[0]))[:_CONTRIBUTORS]
    line = cut(f"critical path {duration(whole)}: {_part(*most[0], whole)}", width)
    for name, ms in most[1:]:
        more = f"{line}, {_part(name, ms, whole)}"
        if ms < whole / 100 or cells(more) > width:
            break
        line = more
    return line + "\n"


def _part(name: str, ms: float, whole: float) -> str:
    return f"{name} {duration(ms)} ({ms / whole:.0%})"
