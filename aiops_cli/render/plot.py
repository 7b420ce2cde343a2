"""A line chart in braille dots, with axes, unit and a legend; letters on the lines tell them apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from string import ascii_lowercase
from typing import TYPE_CHECKING

from aiops_cli.models.signals import Series
from aiops_cli.render.text import clock, cut, one_line
from aiops_cli.render.units import quantity

if TYPE_CHECKING:
    from aiops_cli.models.signals import Floats

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
MARGIN = 9
MAX_SERIES = 12
LETTERS = ascii_lowercase
_TICKS = 5  # steps of the value axis, about
_FLAT = 0.005  # of the values: a smaller change is not drawn as a large one
_LARGEST = 8e307  # twice that is still a float
COLOURS = ("36", "33", "35", "32", "34", "31", "96", "93", "95", "92", "94", "91")
Grid = list[list[int]]


def plot(
    rows: Sequence[tuple[str, Series]],
    *,
    title: str,
    width: int,
    height: int,
    zone: tzinfo | None,
    unit: str = "",
    span: tuple[float, float] | None = None,
    colour: bool = False,
) -> str:
    """The chart as text, `width` cells wide, of the window `span` (unix seconds). Of more than twelve series
    those with the greatest values are drawn and the others counted. Empty where there is no number."""
    import numpy as np

    drawn = [(c, s) for c, s in rows if np.isfinite(s.values).any()]
    if not drawn:
        return ""
    shown = loudest(drawn)
    several = len(shown) > 1
    columns = max(width - MARGIN - 1, 10)
    picture = draw([s for _, s in shown], columns, max(height, 4), unit=unit, span=span)
    start, end = picture.span
    lines = [cut(one_line(title + (f" [{unit}]" if unit else "")), width)]
    for i, runs in enumerate(picture.runs):
        label = picture.ticks.get(i, "")
        row = "".join(text if n is None else _painted(text, n, colour) for text, n in runs)
        lines.append(f"{cut(label, MARGIN - 1):>{MARGIN - 1}} ┤{row}")
    lines.append(" " * (MARGIN - 1) + " └" + "─" * (columns - 1))
    lines.append(" " * MARGIN + _ends(clock(start, zone), clock(end, zone), columns))
    for number, (cluster, series) in enumerate(shown):
        inner = ", ".join(f"{k}={v}" for k, v in sorted(series.labels.items()))
        last = f"  last {quantity(float(series.values[-1]), unit)}"
        mark = f"{LETTERS[number]} " if several else ""
        named = cut(one_line(f"  {mark}{cluster}  {inner or title}"), max(width - len(last), 10))
        lines.append(_painted(named, number, colour) + last)
    if len(drawn) > MAX_SERIES:
        lines.append(f"  … and {len(drawn) - MAX_SERIES} more series, not drawn")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Picture:
    """Drawn lines: each row as runs of text, and the number of the series that a run is of (None: blank);
    the label of each row that has one; the time axis in unix seconds."""

    runs: list[list[tuple[str, int | None]]]
    ticks: dict[int, str]
    span: tuple[float, float]


def draw(
    rows: Sequence[Series],
    columns: int,
    height: int,
    *,
    unit: str = "",
    span: tuple[float, float] | None = None,
    around: tuple[float, float] | None = None,
) -> Picture:
    """At most twelve series, each with a finite value, in `columns` by `height` cells. The time axis is
    `span` (unix seconds), and the value axis has `around`, or each is longer where samples lie outside of it. Letters
    are drawn where there are several."""
    import numpy as np

    known = [np.isfinite(s.values) for s in rows]
    drawable = [_drawable(s) for s in rows]
    times = np.concatenate([s.timestamps[k] for s, k in zip(drawable, known, strict=True)])
    values = np.concatenate([s.values[k] for s, k in zip(drawable, known, strict=True)])
    start, end, low, high = (float(n) for n in (times.min(), times.max(), values.min(), values.max()))
    if span is not None:
        start, end = min(span[0], start), max(span[1], end)
    if around is not None:
        low, high = min(around[0], low), max(around[1], high)
    low, high, step = _bounds(low, high)
    dots: Grid = [[0] * columns for _ in range(height)]
    owner: Grid = [[0] * columns for _ in range(height)]
    letters: dict[tuple[int, int], int] = {}
    tracks = []
    for number, series in enumerate(drawable):
        track = _track(series, (start, end), (low, high), columns * 2, height * 4)
        _draw(track, number, dots, owner)
        tracks.append(track)
    if len(rows) > 1:
        for number in sorted(range(len(tracks)), key=lambda n: len(set(tracks[n]))):  # dots before lines
            _mark(tracks[number], number, len(rows), columns, letters)
    runs = [_runs(i, dots, owner, letters) for i in range(height)]
    return Picture(runs, _ticks(low, high, step, height, unit), (start, end))


def loudest(rows: Sequence[tuple[str, Series]]) -> Sequence[tuple[str, Series]]:
    """As many as can be told apart, those with the greatest values, in their order. Each has a finite value."""
    import numpy as np

    def greatest(i: int) -> float:
        values = rows[i][1].values
        return float(values[np.isfinite(values)].max())

    if len(rows) <= MAX_SERIES:
        return rows
    return [rows[i] for i in sorted(sorted(range(len(rows)), key=greatest, reverse=True)[:MAX_SERIES])]


def _bounds(low: float, high: float) -> tuple[float, float, float]:
    """The ends of the value axis around these values, and the step of its ticks: 1, 2 or 5 of a power of ten.

    What hardly changes gets an axis on which it looks so.
    """
    if low == high:
        low, high = (low - 1, high + 1) if low == 0 else (min(0.0, low * 2), max(0.0, high * 2))
    size = max(abs(low), abs(high))
    if high - low < size * _FLAT:
        low, high = low - size * _FLAT, high + size * _FLAT
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 0.0
    if not power or not math.isfinite(power):
        return low, high, rough
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * (1 - 1e-9))
    begin, end = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return (begin, end, step) if end - begin < _LARGEST * 2 else (low, high, rough)


def _ticks(low: float, high: float, step: float, rows: int, unit: str) -> dict[int, str]:
    """The label of each row that has one."""
    count = round((high - low) / step) if step else 0
    return {
        round((count - i) / count * (rows - 1)): quantity(0.0 if i * step == -low else low + i * step, unit)
        for i in range(count + 1)
    }


def _drawable(series: Series) -> Series:
    """Cut where the difference of two values would be beyond a float; infinities stay."""
    import numpy as np

    cut_off = np.clip(series.values, -_LARGEST, _LARGEST)
    values = np.where(np.isinf(series.values), series.values, cut_off)
    return Series(series.labels, series.timestamps, values)


def _track(
    series: Series, span: tuple[float, float], bounds: tuple[float, float], wide: int, tall: int
) -> list[tuple[int, int] | None]:
    """The dots (x, y) that a line goes through, None where it has a gap; of very many samples the least
    and the greatest of each dot's width."""
    import numpy as np

    times, values = series.timestamps, series.values
    if len(times) > 8 * wide:
        times, values = _thinned(times, values, wide)
    x = np.rint((times - span[0]) / ((span[1] - span[0]) or 1.0) * (wide - 1))
    y = np.rint((bounds[1] - values) / (bounds[1] - bounds[0]) * (tall - 1))
    known = np.isfinite(values).tolist()
    return [(int(a), int(b)) if ok else None for a, b, ok in zip(x.tolist(), y.tolist(), known, strict=True)]


def _thinned(times: Floats, values: Floats, wide: int) -> tuple[Floats, Floats]:
    import numpy as np

    kept: list[int] = []
    for part in np.array_split(np.arange(len(times)), wide):
        known = part[np.isfinite(values[part])]
        if len(known):
            kept += sorted({int(known[values[known].argmin()]), int(known[values[known].argmax()])})
    return times[kept], values[kept]


def _draw(track: Sequence[tuple[int, int] | None], number: int, dots: Grid, owner: Grid) -> None:
    before: tuple[int, int] | None = None
    for point in track:
        if point is not None:
            for x, y in _line(before or point, point):
                dots[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
                owner[y // 4][x // 2] = number
        before = point


def _line(a: tuple[int, int], b: tuple[int, int]) -> Iterator[tuple[int, int]]:
    steps = max(abs(b[0] - a[0]), abs(b[1] - a[1]), 1)
    for i in range(steps + 1):
        yield a[0] + round((b[0] - a[0]) * i / steps), a[1] + round((b[1] - a[1]) * i / steps)


def _mark(
    track: Sequence[tuple[int, int] | None],
    number: int,
    count: int,
    columns: int,
    letters: dict[tuple[int, int], int],
) -> None:
    """Put the series' letter on its line in both halves of the chart, where no other letter stands."""
    cells = sorted({(p[1] // 4, p[0] // 2) for p in track if p is not None}, key=lambda c: c[1])
    for half in range(2):
        wanted = columns * (half + (number + 0.5) / count) / 2
        free = [c for c in cells if c not in letters]
        if free:
            letters[min(free, key=lambda c: abs(c[1] - wanted))] = number


def _runs(
    i: int, dots: Grid, owner: Grid, letters: dict[tuple[int, int], int]
) -> list[tuple[str, int | None]]:
    """A row's cells, neighbours of one series together; blanks at its end are left out."""
    runs: list[tuple[str, int | None]] = []
    for j, cell in enumerate(dots[i]):
        number = letters.get((i, j))
        if number is not None:
            text: str = LETTERS[number]
        elif cell:
            text, number = chr(0x2800 + cell), owner[i][j]
        else:
            text = " "
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0] + text, number)
        else:
            runs.append((text, number))
    return runs[:-1] if runs and runs[-1][1] is None else runs


def _painted(text: str, number: int, colour: bool) -> str:
    return f"\033[{COLOURS[number]}m{text}\033[0m" if colour else text


def _ends(left: str, right: str, columns: int) -> str:
    """Both ends of the time axis; without their dates, or one alone, where there is no room."""
    for a, b in ((left, right), (left[11:16], right[11:16])):
        if len(a) + len(b) < columns:
            return a + b.rjust(columns - len(a))
    return cut(left[11:16] or left, columns)
