"""What a dashboard of the whole fleet asks, again and again: health, alerts, GPUs; or what a bundle holds of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.models.result import FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.alerts import in_order, list_alerts
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.fleet_status import GpuReading, lacks
from aiops_cli.services.health_watch import HealthCheck, health_seconds
from aiops_cli.services.rounds import Round, Rounds
from aiops_cli.services.session import Session

T = TypeVar("T")
ALERT_SECONDS, GPU_SECONDS, NO_GPU_SECONDS = 15.0, 30.0, 600.0
"""How long alerts are good, and GPUs; and from when on a cluster that had none is asked for them again."""


class FleetWatch:
    """`told` names what has more answers: `health`, `alerts` or `gpus`; it is called on the loop that asks.
    Each question gets the session as it is then."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._session: Session | None = None
        self._check = HealthCheck()
        self._health: Rounds[ClusterHealth] = Rounds(
            self._health_of, lambda m, r: health_seconds(m), lambda: told("health")
        )
        self._alerts: Rounds[AlertItem] = Rounds(
            lambda m: list_alerts([m]), lambda m, r: ALERT_SECONDS, lambda: told("alerts")
        )
        self._gpus: Rounds[GpuReading] = Rounds(self._gpus_of, _gpu_seconds, lambda: told("gpus"))

    def expire(self) -> None:
        """Ask everything anew in the next rounds."""
        for rounds in (self._health, self._alerts, self._gpus):
            rounds.expire()

    async def health(self, session: Session) -> Round[ClusterHealth]:
        if session.bundle is not None:
            from aiops_cli.services.inventory import recorded_health

            return _recorded(recorded_health(session.bundle, [m.name for m in session.members]), session)
        found = await self._health.round(session.members)
        if news := self._check.news:
            self._check.news = []
            session.state.add_health(news)
        return found

    async def _health_of(self, member: Member) -> FleetResult[ClusterHealth]:
        assert isinstance(member, LiveMember), "a bundle's health is not asked"
        return await self._check(member)

    async def alerts(self, session: Session) -> Round[AlertItem]:
        """Those that are active, worst first."""
        if session.bundle is not None:
            return _recorded(await list_alerts(session.members), session)
        found = await self._alerts.round(session.members)
        found.result.rows = in_order(found.result.rows)
        return found

    async def gpus(self, session: Session) -> Round[GpuReading]:
        """A row for each cluster that answered."""
        self._session = session
        found = await self._gpus.round(session.members)
        return found if session.bundle is None else _recorded(found.result, session)

    async def _gpus_of(self, member: Member) -> FleetResult[GpuReading]:
        from aiops_cli.services.gpu import GpuAsk, gpus, thresholds

        session = self._session
        assert session is not None, "set by the round that asks"
        at = session.now if session.bundle is not None else None
        found = await gpus([member], GpuAsk(session.now, thresholds(session.settings.gpu), at))
        return found.result.with_rows([GpuReading(found.result.rows, found.findings)])


def _gpu_seconds(member: Member, found: FleetResult[GpuReading]) -> float:
    """A cluster that has none, or no metrics at all, is not asked each time."""
    none = all(lacks(c) if c.error is not None else True for c in found.clusters)
    return NO_GPU_SECONDS if none and not any(r.gpus for r in found.rows) else GPU_SECONDS


def _recorded(result: FleetResult[T], session: Session) -> Round[T]:
    return Round(result, dict.fromkeys((c.name for c in result.clusters), session.now))
