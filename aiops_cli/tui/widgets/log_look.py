"""How a log line is drawn: time, sign, cluster and source in colours of their own, and the text.

What costs (levels, fields) is read of lines that are drawn, of no others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from hashlib import blake2s

from rich.segment import Segment
from rich.style import Style

from aiops_cli.analysis.log_levels import LEVELS
from aiops_cli.analysis.merge import Line
from aiops_cli.render.log_lines import Clock, source_of
from aiops_cli.render.text import cells, cut, one_line
from aiops_cli.services.log_fields import FieldReader, as_text, level_of
from aiops_cli.services.logs import shown_labels
from aiops_cli.tui.themes import SIGNS, rich_colour, style_of

_LONGEST = 8_000  # characters of a line that are drawn; its detail has all
_MOST_ROWS = 30  # of a line that is wrapped
_FIELD = 28  # cells of a field that is not the last
_MEMO = 4_000
_HUES: Mapping[str, tuple[str, ...]] = {
    "dark": ("#60a5fa", "#c084fc", "#22d3ee", "#a3e635", "#f9a8d4", "#5eead4", "#93c5fd", "#d8b4fe"),
    "light": ("#1d4ed8", "#7e22ce", "#0e7490", "#3f6212", "#9d174d", "#115e59", "#3730a3", "#86198f"),
    "blind": ("#56b4e9", "#cc79a7", "#f0e442", "#009e73", "#bbbbbb"),
    "ansi": ("cyan", "magenta", "blue", "bright_cyan", "bright_magenta", "bright_blue"),
}
"""Colours that tell clusters and sources apart; none is that of a level."""


class Look:
    """What was chosen, and what follows of it for a line. `fields` are shown as columns in place of the
    text; `mark` is highlighted; `shift` cells are scrolled to the right."""

    def __init__(self) -> None:
        self.zone: tzinfo | None = None
        self.wrap = self.wide = self.day = False
        self.fields: tuple[str, ...] = ()
        self.mark: re.Pattern[str] | None = None
        self.shift = 0
        self.clusters: Sequence[str] = ()
        self._levels: dict[int, str | None] = {}
        self._source = 6
        self._widths: list[int] = []
        self._styles: dict[str, Style] = {}
        self._by_level: dict[str | None, Style] = {}
        self.changed()

    def changed(self) -> None:
        """Something was set: what was derived of it is made anew."""
        self._clock = Clock(self.zone, day=self.day or self.wide)
        self._reader = FieldReader(self.fields)
        self._widths = [min(max(cells(f), 4), _FIELD) for f in self.fields]
        self._ranks = {name: i for i, name in enumerate(sorted(self.clusters))}
        self._cluster = min(max(map(cells, self.clusters), default=0), 16)

    def forget(self) -> None:
        """The lines are others."""
        self._levels.clear()
        self._source = 6

    def take_theme(self, name: str, dark: bool, variables: Mapping[str, str]) -> None:
        kind = (
            "ansi"
            if name.endswith("16")
            else "blind"
            if name.endswith("blind")
            else "dark"
            if dark
            else "light"
        )
        self._hues = [Style(color=colour) for colour in _HUES[kind]]
        self._styles.clear()
        self._by_level = {level: style_of(level, dict(variables)) for level in (*LEVELS, None)}
        self._match = Style(reverse=True, bold=True)
        self._link = Style(color=rich_colour(variables.get("primary", "")), underline=True)
        self._dim = Style(dim=True)

    def level(self, number: int, line: Line) -> str | None:
        """The level of a line; read once."""
        if number not in self._levels:
            if len(self._levels) > _MEMO:
                self._levels.clear()
            self._levels[number] = level_of(line[1])
        return self._levels[number]

    def measure(self, lines: Sequence[Line], width: int) -> None:
        """Widen columns, before any of these lines is drawn, as far as `width` cells allow."""
        most = 30 if width >= 140 else max(width // 6, 8)
        sources = (cells(one_line(source_of(row[2]) or "-")) for _, row in lines)
        self._source = min(max(self._source, *sources, 6), most)
        for line in lines if self.fields else ():
            sizes = map(cells, self._texts(line))
            self._widths = [min(max(w, s), _FIELD) for w, s in zip(self._widths, sizes, strict=True)]

    def titles(self, base: Style) -> list[Segment]:
        """The line above fields and wide lines."""
        parts = ["time".ljust(self._time_width()), " "]
        if self._several:
            parts.append("cluster".ljust(self._cluster))
        parts.append("source".ljust(self._source))
        if self.wide:
            parts.append("level ")
        parts += [cut(one_line(f), w).ljust(w) for f, w in zip(self.fields, self._widths, strict=True)]
        if not self.fields:
            parts.append("line")
        return [Segment(" ".join(parts).upper(), base)]

    def draw(self, number: int, line: Line, base: Style, width: int) -> list[list[Segment]]:
        """The rows of a line on `width` cells: one, or several where lines are wrapped."""
        head = self._head(number, line, base, width)
        used = sum(s.cell_length for s in head)
        room = max(width - used, 8)
        level = self.level(number, line)
        style = base + self._by_level[level]
        if self.fields:
            return [head + self._columns(line, style, base, room)]
        if not self.wrap:
            text = one_line(line[1][1][:_LONGEST])
            return [head + self._marked(_window(text, self.shift, room), style, base)]
        margin = [Segment(" " * used, base)]
        return [
            (margin if i else head) + self._marked(text, style, base)
            for i, text in enumerate(self._folded(line[1][1], room))
        ]

    @property
    def _several(self) -> bool:
        return len(self.clusters) > 1

    def _time_width(self) -> int:
        return 23 if self.day or self.wide else 12

    def _head(self, number: int, line: Line, base: Style, width: int) -> list[Segment]:
        cluster, row = line
        level = self.level(number, line)
        source = one_line(source_of(row[2]) or "-")
        segments = [
            Segment(f"{self._clock(row[0])} ", base + self._dim),
            Segment(f"{SIGNS.get(level or '', ' ')} ", base + self._by_level[level]),
        ]
        if self._several:
            hue = self._hues[self._ranks.get(cluster, 0) % len(self._hues)]
            segments.append(Segment(_padded(one_line(cluster), self._cluster) + " ", base + hue))
        segments.append(Segment(_padded(source, self._source) + " ", base + self._hue(source)))
        if self.wide:
            labels = " ".join(f"{k}={v}" for k, v in sorted(shown_labels(row[2], row[3]).items()))
            segments.append(Segment(f"{level or '-':<6}", base + self._by_level[level]))
            if not self.fields:
                segments.append(Segment(_padded(one_line(labels), width // 4) + " ", base + self._dim))
        return segments

    def _hue(self, name: str) -> Style:
        if name not in self._styles:
            if len(self._styles) > _MEMO:
                self._styles.clear()
            self._styles[name] = self._hues[
                blake2s(name.encode("utf-8", "replace")).digest()[0] % len(self._hues)
            ]
        return self._styles[name]

    def _columns(self, line: Line, style: Style, base: Style, room: int) -> list[Segment]:
        texts = self._texts(line)
        segments: list[Segment] = []
        for i, (text, width) in enumerate(zip(texts, self._widths, strict=True)):
            last = i == len(texts) - 1
            shown = cut(text, max(room, 4)) if last else _padded(text, width) + " "
            room -= width + 1
            segments += self._marked(shown, style, base)
        return segments

    def _texts(self, line: Line) -> list[str]:
        return [one_line((as_text(v) or "-")[:_LONGEST]) for v in self._reader.read(*line)]

    def _marked(self, text: str, style: Style, base: Style) -> list[Segment]:
        if self.mark is None:
            return [Segment(text, style)]
        segments, at = [], 0
        for match in self.mark.finditer(text):
            if match.end() > match.start():
                segments += [Segment(text[at : match.start()], style), Segment(match[0], base + self._match)]
                at = match.end()
        return [*segments, Segment(text[at:], style)]

    def _folded(self, text: str, room: int) -> list[str]:
        rows: list[str] = []
        for part in text[:_LONGEST].splitlines() or [""]:
            rest = one_line(part)
            while rest and len(rows) < _MOST_ROWS:
                piece = rest[:room] if rest.isascii() else _window(rest, 0, room)
                rows.append(piece)
                rest = rest[max(len(piece), 1) :]
            if not part:
                rows.append("")
            if len(rows) >= _MOST_ROWS:
                break
        shown = sum(map(len, rows))
        if len(text) > _LONGEST or len(rows) >= _MOST_ROWS:
            rows = [*rows[: _MOST_ROWS - 1], f"… {max(len(text) - shown, 0):,} more characters: enter"]
        return rows


def _padded(text: str, width: int) -> str:
    shown = cut(text, width)
    return shown + " " * (width - cells(shown))


def _window(text: str, start: int, width: int) -> str:
    """The cells from `start`, `width` of them; whole characters."""
    if text.isascii():
        return text[start : start + width]
    at, out = 0, []
    for c in text:
        size = cells(c)
        if at >= start:
            if at + size > start + width:
                break
            out.append(c)
        at += size
    return "".join(out)
