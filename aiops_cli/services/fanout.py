"""Asking many clusters side by side; one that fails never fails the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, UsageError
from aiops_cli.models.result import Answer, ClusterStatus, ErrorInfo, FleetResult

T = TypeVar("T")
_TIMEOUTS = frozenset({ErrorCode.QUERY_TIMEOUT, ErrorCode.CONNECT_TIMEOUT})
_INVALID = frozenset({ErrorCode.INVALID_PROMQL, ErrorCode.INVALID_LOGQL, ErrorCode.INVALID_TRACEQL})


class Askable(Protocol):
    """Whoever can be asked: it has a name, and may know another way after a failure."""

    @property
    def name(self) -> str: ...

    async def recover(self, error: AiopsError) -> bool:
        """True if asking once more may go better."""
        ...


H = TypeVar("H", bound=Askable)


@dataclass(slots=True)
class Progress:
    """How far a fan-out is: `waiting` names the clusters still asked."""

    total: int
    done: int
    waiting: list[str]


_TICK_SECONDS = 0.3
Watcher = Callable[[Progress], None]


async def fan_out(
    clusters: Sequence[H], ask: Callable[[H], Awaitable[Answer[T]]], *, watch: Watcher | None = None
) -> FleetResult[tuple[str, T]]:
    """Ask every cluster at once. Rows come as (cluster, row), in the order of `clusters`.

    Raises UsageError only if every cluster refuses the query itself, those left out that can't be reached:
    what they would say is not known, and the query is to be mended first.
    """
    waiting = {c.name: None for c in clusters}

    async def one(cluster: H) -> tuple[Answer[T] | AiopsError, float]:
        start = time.perf_counter()
        outcome: Answer[T] | AiopsError
        try:
            try:
                outcome = await ask(cluster)
            except ClusterError as error:
                if not await cluster.recover(error):
                    raise
                outcome = await ask(cluster)
        except Exception as error:  # whatever one cluster makes of us, the others are still answered
            outcome = failure_of(cluster.name, error)
        waiting.pop(cluster.name, None)
        if watch is not None:
            watch(Progress(len(clusters), len(clusters) - len(waiting), list(waiting)))
        return outcome, (time.perf_counter() - start) * 1000

    async def tick() -> None:
        while watch is not None:
            await asyncio.sleep(_TICK_SECONDS)
            watch(Progress(len(clusters), len(clusters) - len(waiting), list(waiting)))

    ticking = asyncio.ensure_future(tick())
    try:
        outcomes = await asyncio.gather(*(one(c) for c in clusters))
    finally:
        ticking.cancel()
    if refusal := _refusal([o for o, _ in outcomes]):
        raise refusal
    rows: list[tuple[str, T]] = []
    statuses = []
    for cluster, (outcome, elapsed) in zip(clusters, outcomes, strict=True):
        statuses.append(status_of(cluster.name, outcome, elapsed))
        if isinstance(outcome, Answer):
            rows += [(cluster.name, row) for row in outcome.rows]
    return FleetResult(rows, statuses)


def _refusal(outcomes: Sequence[Answer[T] | AiopsError]) -> UsageError | None:
    """What is wrong with the query, where every cluster that answered says so."""
    refusals = [o for o in outcomes if isinstance(o, UsageError)]
    if not refusals or len(refusals) == len(outcomes):
        return refusals[0] if refusals else None
    judged = [o for o in outcomes if not isinstance(o, AiopsError) or o.code == ErrorCode.QUERY_FAILED]
    invalid = [r for r in refusals if r.code in _INVALID]
    return invalid[0] if len(invalid) == len(refusals) and not judged else None


def failure_of(name: str, error: Exception) -> AiopsError:
    """What is said of a cluster whose answer could not be had, or could not be handled."""
    if isinstance(error, AiopsError):
        return error.settle()
    if isinstance(error, RecursionError):
        return ClusterError(
            "the answer is nested too deeply",
            hint="what answers there is not the API that was asked: check its URL",
            code=ErrorCode.BAD_ANSWER,
        )
    return ClusterError(
        f"its answer could not be handled: {type(error).__name__}: {error}",
        hint=f"leave it out with -c '!{name}', and report this" if name else "please report this",
        code=ErrorCode.INTERNAL,
    )


def status_of(name: str, outcome: Answer[T] | AiopsError, elapsed_ms: float) -> ClusterStatus:
    """The status of one cluster's answer or failure."""
    took = round(elapsed_ms, 1)
    if isinstance(outcome, AiopsError):
        status = "TIMEOUT" if outcome.code in _TIMEOUTS else "ERROR"
        return ClusterStatus(name, status, duration_ms=took, error=ErrorInfo.of(outcome))  # type: ignore[arg-type]
    return ClusterStatus(
        name,
        "PARTIAL" if outcome.partial else "SUCCESS",
        outcome.source,
        round(outcome.age_seconds, 1),
        took,
        None,
        outcome.warnings,
    )
