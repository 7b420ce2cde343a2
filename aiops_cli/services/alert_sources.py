"""A live cluster's alerts: its Alertmanagers and its Prometheus, asked at once and merged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

from aiops_cli.errors import AiopsError, ErrorCode, NotAvailableError
from aiops_cli.models.alerts import AlertRule
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.alert_merge import merge

if TYPE_CHECKING:
    from aiops_cli.services.fleet import LiveMember
    from aiops_cli.sources.alertmanager import AlertmanagerSource

T = TypeVar("T")
_PATIENCE = 5.0
"""Seconds that Prometheus may take longer than Alertmanager, whose alerts are the ones that matter."""

_Ruled = tuple[Answer[AlertItem], dict[str, str] | None]


class LiveAlerts:
    """Alertmanager knows what fires and what is kept quiet, Prometheus what is pending too. Where a cluster
    has not the one, the other's answer counts; where it has it and it fails, the answer is partial.

    `unruled` says of the last answer that all it lacks is what Prometheus alone knows.
    """

    def __init__(self, member: LiveMember) -> None:
        self._member = member
        self.unruled = False

    async def alerts(self, *, pending: bool = False) -> Answer[AlertItem]:
        """Every alert that has not ended, once. Without Prometheus new ones do not come, and those it sent
        end within minutes: so that is partial. With `pending` a cluster that has none is partial too.

        Raises why Alertmanager failed where Prometheus does not answer either.
        """
        ruled_task = asyncio.ensure_future(attempt(self._ruled(pending)))
        try:
            managed = await attempt(self._managed())
            if isinstance(managed, AiopsError):
                ruled = await ruled_task
                if not isinstance(managed, NotAvailableError) and await self._member.recover(managed):
                    managed = await attempt(self._managed())
            else:
                await asyncio.wait({ruled_task}, timeout=_PATIENCE)
                ruled = ruled_task.result() if ruled_task.done() else _late()
        finally:
            ruled_task.cancel()
        answer = _together(managed, ruled, pending)
        whole = isinstance(managed, Answer) and not managed.partial
        self.unruled = answer.partial and whole and isinstance(ruled, AiopsError)
        return answer

    async def rules(self) -> Answer[AlertRule]:
        return await (await self._member.rules()).rules()

    async def external_labels(self) -> dict[str, str]:
        """What Prometheus adds to the alerts it sends; none where it does not say."""
        return await (await self._member.rules()).external_labels() or {}

    async def started(self) -> float | None:
        """Unix seconds since when the youngest Alertmanager runs; None where none says it."""
        asked = [attempt(s.instance()) for s in await self._member.alertmanagers()]
        known = [i.started for i in await asyncio.gather(*asked) if not isinstance(i, AiopsError)]
        return max((s for s in known if s is not None), default=None)

    async def _managed(self) -> Answer[AlertItem]:
        """The alerts of every Alertmanager, not merged yet. One of a gossiping pair may be down: the other knows all. Once it
        has noticed, it no longer names the lost one; then the answer is partial here, unless Prometheus'
        alerts are all in it."""
        sources = await self._member.alertmanagers()
        answers = await asyncio.gather(*(attempt(s.alerts()) for s in sources))
        found = [a for a in answers if isinstance(a, Answer)]
        failed = [(s, a) for s, a in zip(sources, answers, strict=True) if isinstance(a, AiopsError)]
        if not found:
            raise failed[0][1]
        rows = [row for a in found for row in a.rows]
        if not failed:
            return Answer(rows)
        well = next(s for s, a in zip(sources, answers, strict=True) if isinstance(a, Answer))
        covered = await _gossips(well, len(sources))
        told = [f"{s.endpoint}: {error.message}" for s, error in failed]
        return Answer(rows, warnings=told, partial=not covered)

    async def _ruled(self, pending: bool) -> _Ruled:
        member = self._member
        if not pending and member.knows("alertmanager") and not member.knows("prometheus"):
            raise NotAvailableError("no Prometheus is known")  # looking for one takes too long
        source = await member.rules()
        return await asyncio.gather(source.alerts(), source.external_labels())


def _together(
    managed: Answer[AlertItem] | AiopsError, ruled: _Ruled | AiopsError, pending: bool
) -> Answer[AlertItem]:
    if isinstance(managed, AiopsError):
        if isinstance(ruled, AiopsError):
            raise ruled if isinstance(managed, NotAvailableError) and not _missing(ruled) else managed
        answer, external = ruled
        notes = list(answer.warnings)
        if not _missing(managed):
            at = f" [{managed.endpoint}]" if managed.endpoint else ""
            notes.append(
                f"Alertmanager: {managed.message}{at}; these are Prometheus' alerts, silences are not known"
            )
        partial = answer.partial or not _missing(managed)
        return Answer(merge([], answer.rows, external or {}), warnings=notes, partial=partial)
    if isinstance(ruled, AiopsError):
        notes = list(managed.warnings)
        lacking = pending or not (_missing(ruled) or ruled.code is ErrorCode.NOT_FOUND)  # it keeps no rules
        if lacking:
            notes.append(
                f"Prometheus: {ruled.message}; pending alerts are not known, and new ones do not come"
            )
        return Answer(merge(managed.rows, []), warnings=notes, partial=managed.partial or lacking)
    answer, external = ruled
    rows = merge(managed.rows, answer.rows, external)
    firing = any(a.state == "FIRING" for a in answer.rows)
    unsent = any(a.state == "FIRING" and a.source == "prometheus" for a in rows)
    return Answer(
        rows,
        warnings=[*managed.warnings, *answer.warnings],
        partial=(managed.partial and (unsent or not firing)) or (pending and answer.partial),
    )


def _missing(error: AiopsError) -> bool:
    return isinstance(error, NotAvailableError)


def _late() -> AiopsError:
    return AiopsError(f"no answer {_PATIENCE:g} s after Alertmanager's")


async def _gossips(source: AlertmanagerSource, least: int) -> bool:
    instance = await attempt(source.instance())
    return not isinstance(instance, AiopsError) and len(instance.peers) >= least


async def attempt(asked: Awaitable[T]) -> T | AiopsError:
    """What is asked for, or why it failed."""
    try:
        return await asked
    except AiopsError as error:
        return error
