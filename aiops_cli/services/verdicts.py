"""From a claim and the series that were read to a verdict. No I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct

from aiops_cli.errors import ErrorCode
from aiops_cli.models.result import Answer, ErrorInfo
from aiops_cli.models.signals import AlertItem, Series
from aiops_cli.services.claims import Claim
from aiops_cli.services.metrics import renamed
from aiops_cli.services.times import rfc3339

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

Verdict = Literal["PASS", "FAIL", "ERROR"]
_NAMED = 3
_COMPARE = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


class Offender(Struct, frozen=True, rename="camel"):
    """A series or alert that does not pass. `value` is the latest one that does not (null where there
    is none), `at` when it was seen first (RFC 3339), `steps` at how many steps."""

    labels: dict[str, str]
    value: float | None
    at: str | None
    steps: int = 1


@dataclass(slots=True)
class Outcome:
    """What came of one check on one cluster."""

    verdict: Verdict
    message: str
    value: float | None = None
    offenders: list[Offender] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    """The moments at which a claim has to hold: `count` of them, from `start` (unix s), `size` s apart.
    An instant question has one, and no `start`."""

    count: int = 1
    start: float | None = None
    size: float = 1.0

    def index(self, series: Series) -> NDArray[np.int64]:
        """The step of each point."""
        if self.start is None:
            return np.zeros(len(series.timestamps), np.int64)
        found: NDArray[np.int64] = np.rint((series.timestamps - self.start) / self.size).astype(np.int64)
        return found

    def at(self, index: int) -> str | None:
        return None if self.start is None else rfc3339(self.start + index * self.size)


def judge(
    claim: Claim, answer: Answer[Series], violators: Answer[Series] | None, steps: Steps, allow_empty: bool
) -> Outcome:
    """The verdict on the series that have to pass (`answer`), of which `violators` are those that do
    not; None where the claim is judged by the values themselves."""
    known = np.zeros(steps.count, np.bool_)
    for series in answer.rows:
        index = steps.index(series)
        known[index[(index >= 0) & (index < steps.count)]] = True
    if violators is None:
        marked = [(s, ~_holds(claim, s)) for s in answer.rows]
    else:
        marked = [(s, np.ones(len(s.values), np.bool_)) for s in violators.rows]
    warnings = list(dict.fromkeys(answer.warnings + (violators.warnings if violators else [])))
    failing = [(s, mask) for s, mask in marked if mask.any()]
    failing.sort(key=lambda pair: (-int(pair[1].sum()), selector(pair[0].labels)))
    offenders = [_offender(s, mask, steps) for s, mask in failing]
    total = sum(len(s.values) > 0 for s in answer.rows)
    if offenders:
        text = _failed(offenders, max(total, len(offenders)), steps)
        return Outcome("FAIL", text, offenders[0].value, offenders, warnings)
    if not known.all() and not allow_empty:
        return Outcome("FAIL", _empty(answer, known, steps), warnings=warnings)
    held = f" at {steps.count} steps" if steps.count > 1 else ""
    passed = Outcome("PASS", f"holds for {total} series{held}" if total else "no data, which is allowed")
    passed.warnings = warnings
    if total == 1:
        value = next(float(s.values[-1]) for s in answer.rows if len(s.values))
        passed.value = None if math.isnan(value) else value
    return lacking(answer.partial or (violators is not None and violators.partial), passed)


def judge_alerts(firing: Sequence[AlertItem], answer: Answer[AlertItem]) -> Outcome:
    """No alert may be among `firing`; `answer` is where they were chosen from."""
    if not firing:
        return lacking(answer.partial, Outcome("PASS", "no matching alert fires", warnings=answer.warnings))
    named = [
        (a.name or selector(a.labels)) + (f" since {a.starts_at}" if a.starts_at else "") for a in firing
    ]
    verb = "alert fires" if len(firing) == 1 else "alerts fire"
    return Outcome(
        "FAIL",
        f"{len(firing)} matching {verb}: {_some(named)}",
        float(len(firing)),
        [Offender(renamed(a.labels), None, a.starts_at) for a in firing],
        answer.warnings,
    )


def lacking(partial: bool, passed: Outcome) -> Outcome:
    """A pass on an answer that is known to lack something is none."""
    if not partial:
        return passed
    why = passed.warnings[0] if passed.warnings else "the server says so"
    text = f"the answer lacks something ({why}); what there is passes"
    error = ErrorInfo(ErrorCode.PARTIAL_RESULTS, text, "--allow-partial takes it as it is")
    return Outcome("ERROR", text, passed.value, [], passed.warnings, error)


def selector(labels: dict[str, str]) -> str:
    """Labels as PromQL writes them."""
    inner = ", ".join(f'{k}="{v}"' for k, v in sorted(labels.items()) if k != "__name__")
    name = labels.get("__name__", "")
    return f"{name}{{{inner}}}" if inner or not name else name


def _holds(claim: Claim, series: Series) -> Bools:
    """Comparisons follow IEEE 754, as PromQL's do; a bare value is true unless it is 0 or NaN."""
    if claim.kind == "values":
        truth: Bools = (series.values != 0) & ~np.isnan(series.values)
        return truth
    held = np.ones(len(series.values), np.bool_)
    for op, number in claim.conditions:
        held &= _COMPARE[op](series.values, number)
    return held


def _offender(series: Series, mask: Bools, steps: Steps) -> Offender:
    where = np.flatnonzero(mask)
    value = float(series.values[where[-1]])
    first = steps.at(int(steps.index(series)[where[0]])) or rfc3339(float(series.timestamps[where[0]]))
    return Offender(renamed(series.labels), None if math.isnan(value) else value, first, len(where))


def _failed(offenders: list[Offender], total: int, steps: Steps) -> str:
    def say(one: Offender) -> str:
        what = selector(one.labels) if one.labels else "it"
        text = f"{what} is {'NaN' if one.value is None else format(one.value, '.6g')}"
        if steps.count > 1:
            text += f" ({one.steps} of {steps.count} steps, first at {one.at})"
        return text

    verb = "does" if len(offenders) == 1 else "do"
    return f"{len(offenders)} of {total} series {verb} not hold: {_some([say(o) for o in offenders])}"


def _empty(answer: Answer[Series], known: Bools, steps: Steps) -> str:
    if any(s.histograms and not len(s.values) for s in answer.rows):
        return "no number: these are native histograms; ask for histogram_quantile() or histogram_count()"
    if steps.count == 1 or not known.any():
        return "no data: there is no series to judge"
    missing = np.flatnonzero(~known)
    return f"no data at {len(missing)} of {steps.count} steps, first at {steps.at(int(missing[0]))}"


def _some(texts: list[str]) -> str:
    rest = len(texts) - _NAMED
    return "; ".join(texts[:_NAMED]) + (f"; … {rest} more" if rest > 0 else "")
