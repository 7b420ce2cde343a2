"""What a benchmark measured: rows for a table that people read and for JSON that machines read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One number. `value` is 0 to 1 (NAB: up to 100); `seconds_per_case` includes reading the data."""

    set: str
    group: str
    method: str
    metric: str
    value: float
    n: int
    seconds_per_case: float

    def as_json(self) -> dict[str, object]:
        row = asdict(self)
        row["secondsPerCase"] = round(row.pop("seconds_per_case"), 5)
        row["value"] = round(row["value"], 4)
        return row


def print_json(suite: str, results: Sequence[Result]) -> None:
    print(json.dumps({"suite": suite, "results": [result.as_json() for result in results]}, indent=1))


def print_table(results: Sequence[Result], notes: Sequence[str] = ()) -> None:
    """A line for each set, group and method, a column for each metric."""
    metrics = list(dict.fromkeys(result.metric for result in results))
    lines: dict[tuple[str, str, str], dict[str, Result]] = {}
    for result in results:
        lines.setdefault((result.set, result.group, result.method), {})[result.metric] = result
    head = f"{'set':<14}{'group':<16}{'method':<46}{'n':>4}" + "".join(f"{m:>8}" for m in metrics)
    print(head + f"{'s/case':>9}")
    for (name, group, method), cells in lines.items():
        first = next(iter(cells.values()))
        row = f"{name:<14}{group:<16}{method:<46}{first.n or '':>4}"
        row += "".join(f"{cells[m].value:>8.3g}" if m in cells else f"{'':>8}" for m in metrics)
        print(row + (f"{first.seconds_per_case:>9.3f}" if first.seconds_per_case else ""))
    for note in notes:
        print(note)
