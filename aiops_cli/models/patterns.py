"""What `logs patterns` shows: like log lines as one row, and how often they came before."""

from __future__ import annotations

from msgspec import Struct


class PatternCount(Struct, frozen=True, rename="camel"):
    """One cluster's part of a pattern: lines read in the window and in the baseline before it.

    `baseline_count` is null where no baseline could be read.
    """

    cluster: str
    count: int
    baseline_count: int | None


class PatternItem(Struct, frozen=True, rename="camel"):
    """An item of `logs patterns`. `pattern` has `<*>` where lines differ; times are RFC 3339.

    `share` is of all lines of the window, `ratio` the growth of the rate against the baseline (2.0: twice
    as many lines a second); both count lines that were not read, as far as times tell how many there were.
    `new` is whether no line of the baseline read is of this pattern; null, as `ratio`, where there is none.
    """

    id: str
    pattern: str
    level: str | None
    count: int
    share: float
    first_seen: str
    last_seen: str
    example: str
    new: bool | None
    ratio: float | None
    baseline_count: int | None
    clusters: list[PatternCount]


class LinesRead(Struct, frozen=True, rename="camel"):
    """How much of a cluster was read: lines, and the share of all there are (1.0: all).

    The baseline's are null where it could not be read.
    """

    cluster: str
    lines: int
    share: float
    baseline_lines: int | None = None
    baseline_share: float | None = None
