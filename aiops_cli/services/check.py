"""Checks run: each assertion on each cluster it is about, and what came of it.

A check passes only if it could be asked and holds. One that could not be asked is an error, and so is
one whose answer is known to lack something.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from aiops_cli.errors import AiopsError, ErrorCode, ExitCode, UsageError
from aiops_cli.models.result import Answer, ClusterStatus, ErrorInfo, FleetResult, Status
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange, default_step
from aiops_cli.services.assertions import AlertAssertion, Check, Level, MetricAssertion
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.selection import select
from aiops_cli.services.verdicts import Offender, Outcome, Steps, Verdict, judge, judge_alerts

if TYPE_CHECKING:
    from aiops_cli.config.settings import Settings
    from aiops_cli.services.fleet import Member

_MAX_OFFENDERS = 50
_LEAST_STEPS, _MAX_STEPS = 20, 11_000
_LATE = {ErrorCode.QUERY_TIMEOUT, ErrorCode.CONNECT_TIMEOUT}


class CheckItem(Struct, frozen=True, rename="camel"):
    """An item of `check`: one check on one cluster.

    `message` says what was found, `description` what the author says of a failure. `value` is the first
    offender's, or the only value where there is just one. `offenders` holds at most 50 of
    `offenderCount`.
    """

    check: str
    cluster: str
    status: Verdict
    severity: Level
    message: str
    value: float | None = None
    offenders: list[Offender] = []
    offender_count: int = 0
    description: str = ""
    assertion: str = ""
    error: ErrorInfo | None = None
    duration_ms: float = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """When is now: unix seconds, and whether it was named (else each server's own now is used).
    `step` is what `--step` said; `grid` the step of a recording, whose times are its multiples."""

    now: float
    named: bool = False
    step: float | None = None
    grid: float | None = None


async def run(
    members: Sequence[Member],
    checks: Sequence[Check],
    settings: Settings,
    moment: Moment,
    *,
    watch: Watcher | None = None,
) -> FleetResult[CheckItem]:
    """Every check on every cluster it is about, in the order of the checks.

    Raises UsageError if a check is about none of the clusters, every cluster refuses its query, or it
    has too many steps.
    """
    about = {check.name: _about(check, members, settings) for check in checks}
    steps = {
        c.name: _steps(c.assertion.seconds if isinstance(c.assertion, MetricAssertion) else 0.0, moment)
        for c in checks
    }

    at = moment.now if moment.named else None

    async def ask(member: Member) -> Answer[CheckItem]:
        mine = [c for c in checks if member.name in about[c.name]]
        judged = await asyncio.gather(*(_checked(c, member, steps[c.name], at) for c in mine))
        notes = list(dict.fromkeys(note for _, notes in judged for note in notes))
        return Answer(
            [item for item, _ in judged], "bundle" if member.origin == "bundle" else "live", warnings=notes
        )

    asked = [m for m in members if any(m.name in names for names in about.values())]
    found = await fan_out(asked, ask, watch=watch)
    order = {check.name: i for i, check in enumerate(checks)}
    items = sorted((item for _, item in found.rows), key=lambda i: order[i.check])
    _refuse(checks, items)
    return FleetResult(items, [_status(s, [i for i in items if i.cluster == s.name]) for s in found.clusters])


def exit_code(result: FleetResult[CheckItem], *, allow_partial: bool = False) -> ExitCode:
    """1 if a check failed; else, where some could not be asked, by the table in docs/exit-codes.md."""
    verdicts = {i.status for i in result.rows}
    if "FAIL" in verdicts:
        return ExitCode.FINDINGS
    if verdicts == {"ERROR"}:
        return result.exit_code(allow_partial=allow_partial)
    return ExitCode.PARTIAL if "ERROR" in verdicts and not allow_partial else ExitCode.OK


def counts(items: Sequence[CheckItem]) -> dict[str, int]:
    """How many passed, failed, and could not be asked."""
    return {
        "passed": sum(i.status == "PASS" for i in items),
        "failed": sum(i.status == "FAIL" for i in items),
        "errors": sum(i.status == "ERROR" for i in items),
    }


def _about(check: Check, members: Sequence[Member], settings: Settings) -> set[str]:
    clusters = [m.cluster for m in members]
    if not check.contexts and not check.labels:
        return {c.name for c in clusters}
    try:
        chosen = select(clusters, settings, contexts=check.contexts, selector=check.labels or None)
    except UsageError as error:
        raise UsageError(
            f"check {check.name!r} ({check.source}): {error.message}",
            hint="its selector chooses among the clusters that the command asks",
            code=ErrorCode.CONTEXT_UNKNOWN,
        ) from None
    return {c.name for c in chosen}


def _refuse(checks: Sequence[Check], items: Sequence[CheckItem]) -> None:
    """A query that every cluster refuses is a mistake of whoever wrote it, not of the clusters."""
    for check in checks:
        errors = [i.error for i in items if i.check == check.name]
        first = errors[0]
        if first and all(e is not None and e.code == ErrorCode.INVALID_PROMQL for e in errors):
            raise UsageError(
                f"check {check.name!r} ({check.source}): {first.message}",
                hint=first.hint,
                code=ErrorCode.INVALID_PROMQL,
            )


def _status(status: ClusterStatus, items: Sequence[CheckItem]) -> ClusterStatus:
    """The worst of a cluster's checks: all lost, some lost, none."""
    errors = [i.error for i in items if i.error is not None]
    if not errors:
        return status
    kind: Status = "PARTIAL"
    if len(errors) == len(items) and any(e.code != ErrorCode.PARTIAL_RESULTS for e in errors):
        kind = "TIMEOUT" if {e.code for e in errors} <= _LATE else "ERROR"
    return msgspec.structs.replace(status, status=kind, error=errors[0])


async def _checked(
    check: Check, member: Member, steps: Steps, at: float | None
) -> tuple[CheckItem, list[str]]:
    """The result, and the servers' warnings."""
    begun = time.perf_counter()
    try:
        if isinstance(check.assertion, AlertAssertion):
            outcome = await _alerts(check.assertion, member)
        else:
            outcome = await _metric(check.assertion, member, steps, at)
    except AiopsError as error:
        outcome = Outcome("ERROR", error.message, error=ErrorInfo.of(error))
    except RecursionError:
        text = "the answer is nested too deeply"
        outcome = Outcome("ERROR", text, error=ErrorInfo(ErrorCode.BAD_ANSWER, text))
    item = CheckItem(
        check.name,
        member.name,
        outcome.verdict,
        check.severity,
        outcome.message,
        outcome.value,
        outcome.offenders[:_MAX_OFFENDERS],
        len(outcome.offenders),
        check.description,
        str(check.assertion),
        outcome.error,
        round((time.perf_counter() - begun) * 1000, 1),
    )
    return item, outcome.warnings


async def _alerts(assertion: AlertAssertion, member: Member) -> Outcome:
    """Silenced, inhibited and pending alerts do not count as firing."""
    answer = await (await member.alerts()).alerts()
    return judge_alerts(
        [a for a in answer.rows if a.state == "FIRING" and all(m(a.labels) for m in assertion.matchers)],
        answer,
    )


async def _metric(assertion: MetricAssertion, member: Member, steps: Steps, at: float | None) -> Outcome:
    claim = assertion.claim
    source = await member.metrics()

    async def ask(expr: str) -> Answer[Series]:
        if steps.start is None:
            return await source.query(expr, at)
        end = steps.start + (steps.count - 1) * steps.size
        return await source.query_range(expr, TimeRange(steps.start, end), steps.size)

    if claim.kind == "survivors":
        try:
            answer, violators = await asyncio.gather(ask(claim.series), ask(claim.violators))
        except UsageError:
            await ask(claim.expr)  # refused as it was written, its message points at the right place
            raise
        return judge(claim, answer, violators, steps, assertion.allow_empty)
    return judge(claim, await ask(claim.series), None, steps, assertion.allow_empty)


def _steps(seconds: float, moment: Moment) -> Steps:
    """Steps that end now and reach back `seconds`, in whole milliseconds, as servers count them."""
    if seconds <= 0:
        return Steps()
    if moment.grid is not None:
        count = max(math.floor(seconds / moment.grid), 1)
        end = math.floor(moment.now / moment.grid) * moment.grid
        return Steps(count + 1, end - count * moment.grid, moment.grid)
    step = moment.step or min(default_step(seconds), max(seconds / _LEAST_STEPS, 1.0))
    count = math.ceil(seconds / step)
    if count > _MAX_STEPS:
        raise UsageError(
            f"--for has {count:,} steps, which is too many",
            hint="raise --step",
            code=ErrorCode.INVALID_TIME,
        )
    size = math.floor(seconds / count * 1000) / 1000
    return Steps(count + 1, math.floor(moment.now * 1000) / 1000 - count * size, size)
