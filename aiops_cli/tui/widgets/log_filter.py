"""Which lines are wanted, which match, and which fields they have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from aiops_cli.analysis.merge import Line
from aiops_cli.render.log_lines import source_of
from aiops_cli.services.log_fields import level_of, parse_line
from aiops_cli.tui.filtering import Test
from aiops_cli.tui.widgets.log_buffer import Buffer, Compute

_CHUNK = 5_000  # lines
_NO_LABELS: Mapping[str, str] = {}


class Wanted:
    """A test of lines: `test` of their cluster, source and text, and some `levels` ("" for lines that say
    none). False where it keeps everything."""

    def __init__(self, test: Test | None, levels: frozenset[str] | None, *, labels: bool) -> None:
        self._test, self._levels, self._labels = test, levels, labels

    def __bool__(self) -> bool:
        return self._test is not None or self._levels is not None

    def __call__(self, line: Line) -> bool:
        cluster, row = line
        if self._test is not None:
            labels = {"cluster": cluster, **row[2], **row[3]} if self._labels else _NO_LABELS
            if not self._test(f"{cluster} {source_of(row[2]) or ''} {row[1]}", labels):
                return False
        return self._levels is None or (level_of(row) or "") in self._levels


async def matching(buffer: Buffer, mark: re.Pattern[str], at: int, by: int, compute: Compute) -> int | None:
    """The number of the next line that matches after `at` (`by` 1) or before it (-1); None without one."""
    numbers = [n for n in buffer.shown if (n > at if by > 0 else n < at)][::by]
    for start in range(0, len(numbers), _CHUNK):
        part = [(n, buffer[n][1][1]) for n in numbers[start : start + _CHUNK] if n >= buffer.first]

        def look(part: list[tuple[int, str]] = part) -> list[int]:
            return next(([n] for n, text in part if mark.search(text)), [])

        if found := await compute(look):
            return found[0]
    return None


def fields_of(lines: Sequence[Line]) -> list[str]:
    """Names of fields, metadata and labels of these lines, those of most lines first, fields before labels."""
    found: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    for _, (_, text, labels, metadata) in lines:
        found.update(parse_line(text).keys())
        beside.update(metadata.keys() | labels.keys())
    return list(
        dict.fromkeys([*(k for k, _ in found.most_common(40)), *(k for k, _ in beside.most_common(40))])
    )
