"""How many lines there are over the range, and of which levels: one line above them."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from aiops_cli.analysis.log_levels import LEVELS, named
from aiops_cli.analysis.merge import Line
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.text import clock, si
from aiops_cli.services.log_fields import level_of
from aiops_cli.services.session import Session
from aiops_cli.tui.themes import SIGNS, style_of

if TYPE_CHECKING:
    from aiops_cli.models.signals import Series

BINS = 60
_BARS = " ▁▂▃▄▅▆▇█"
_LABELS = ("level", "detected_level", "severity")
_FEW = 0.1  # of a bin's lines: from here on its worst level gives it its colour


@dataclass(slots=True)
class Counts:
    """Lines by level in equal parts of a window; `counted` says who counted: the server, or the lines read."""

    window: TimeRange
    counted: str
    bins: list[Counter[str]] = field(default_factory=lambda: [Counter() for _ in range(BINS)])

    @property
    def total(self) -> Counter[str]:
        return sum(self.bins, Counter())


async def ask_counts(session: Session, expr: str, window: TimeRange) -> Counts | None:
    """As the servers count them; None where none of them can."""
    from aiops_cli.errors import AiopsError
    from aiops_cli.services import logs

    step = max(math.ceil(window.seconds / BINS), 1)
    # On a line of its own, since the query may end with a comment.
    counting = f"sum by ({', '.join(_LABELS)}) (count_over_time({expr}\n[{step}s]))"
    try:
        found = await logs.metric_range(session.members, counting, window, float(step))
    except AiopsError:
        return None
    if not found.rows and len(found.failed) == len(found.clusters):
        return None
    counts = Counts(
        window, "counted by Loki" + (f", without {len(found.failed)} clusters" if found.failed else "")
    )
    for _, series in found.rows:
        _add(counts, series, step)
    return counts


def _add(counts: Counts, series: Series, step: float) -> None:
    said = next((v for k in _LABELS if (v := series.labels.get(k))), "")
    level = named(said) or ""
    for at, value in zip(series.timestamps, series.values, strict=True):
        # A sample counts the step before it.
        share = (float(at) - step / 2 - counts.window.start) / counts.window.seconds
        counts.bins[min(max(int(share * BINS), 0), BINS - 1)][level] += int(value)


async def recorded_counts(session: Session, expr: str, window: TimeRange) -> Counts:
    """The same of a bundle, which has no server that counts."""
    from aiops_cli.tui.widgets.log_pages import read

    page = await read(session, expr, window, sys.maxsize)
    return count_lines(page.lines, window, "recorded in part" if page.notes else "recorded")


def count_lines(lines: Iterable[Line], window: TimeRange, counted: str) -> Counts:
    """The same of lines that were read."""
    counts = Counts(window, counted)
    for _, row in lines:
        share = (row[0] / 1e9 - window.start) / window.seconds
        counts.bins[min(max(int(share * BINS), 0), BINS - 1)][level_of(row) or ""] += 1
    return counts


class Volume(Widget):
    """Bars, each in the colour of its worst level that is more than a few; then the levels with a sign."""

    DEFAULT_CSS = "Volume { height: 1; width: 1fr; background: $background; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._counts: Counts | None = None
        self._why = ""
        self._counted = 0.0  # unix seconds up to which the lines were counted at once
        self.levels: frozenset[str] | None = None

    def show(self, counts: Counts | None, why: str = "") -> None:
        """These, or none and `why`."""
        self._counts, self._why = counts, why
        self._counted = 0.0 if counts is None else counts.window.end
        self.refresh()

    def go_on(self, lines: Iterable[Line], now: float) -> None:
        """Count those that are newer than what was shown, in a window of the same length that ends now (unix
        seconds)."""
        counts = self._counts
        if counts is None:
            return
        part = counts.window.seconds / BINS
        if (late := math.ceil((now - counts.window.end) / part)) > 0:
            counts.window = TimeRange(counts.window.start + late * part, counts.window.end + late * part)
            counts.bins = [*counts.bins[late:], *(Counter[str]() for _ in range(min(late, BINS)))]
        for _, row in lines:
            if self._counted < (at := row[0] / 1e9) and counts.window.start <= at:
                share = (at - counts.window.start) / counts.window.seconds
                counts.bins[min(int(share * BINS), BINS - 1)][level_of(row) or ""] += 1
        self.refresh()

    def render_line(self, y: int) -> Strip:
        base, variables = self.rich_style, self.app.theme_variables
        if self._counts is None:
            said = [Segment(f" {self._why}", base + Style(dim=True))] if self._why else []
            return Strip(said).crop_extend(0, self.size.width, base)
        told = self._told(base, variables)
        used = sum(s.cell_length for s in told)
        zone = getattr(self.screen, "zone", None)
        start, end = (clock(t, zone)[11:16] for t in (self._counts.window.start, self._counts.window.end))
        room = self.size.width - used - len(start) - len(end) - 4
        segments = [Segment(f"{start} ", base + Style(dim=True))]
        segments += self._bars(max(min(room, BINS), 0), base, variables)
        segments += [Segment(f" {end}  ", base + Style(dim=True)), *told]
        return Strip(segments).crop_extend(0, self.size.width, base)

    def _bars(self, width: int, base: Style, variables: dict[str, str]) -> list[Segment]:
        assert self._counts is not None
        merged = [Counter[str]() for _ in range(width)]
        for i, one in enumerate(self._counts.bins):
            if width:
                merged[i * width // BINS].update(one)
        most = max((b.total() for b in merged), default=0)
        segments = []
        for part in merged:
            total = part.total()
            bar = _BARS[min(math.ceil(total / most * 8), 8)] if most else " "
            worst = next((lv for lv in reversed(LEVELS[4:]) if part[lv] > _FEW * total), None)
            segments.append(Segment(bar, base + style_of(worst, variables)))
        return segments

    def _told(self, base: Style, variables: Mapping[str, str]) -> list[Segment]:
        assert self._counts is not None
        total = self._counts.total
        segments: list[Segment] = []
        narrow = self.size.width < 100
        for level in (*reversed(LEVELS), ""):
            if count := total[level]:
                name = (level or "other")[: 4 if narrow else 9]
                hidden = self.levels is not None and level not in self.levels
                style = (
                    base
                    + style_of(level, dict(variables))
                    + (Style(strike=True, dim=True) if hidden else Style())
                )
                segments += [
                    Segment(f"{SIGNS.get(level, '')}{si(float(count)).strip()} {name}", style),
                    Segment(" ", base),
                ]
        if not narrow:
            segments.append(Segment(self._counts.counted, base + Style(dim=True)))
        return segments
