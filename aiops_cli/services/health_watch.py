"""The health of a cluster that is asked again and again: how often, when it is looked at anew, what is kept of it."""

from __future__ import annotations

import time

from aiops_cli.errors import AiopsError, ClusterError, ErrorCode
from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.models.result import FleetResult
from aiops_cli.services import health
from aiops_cli.services.fleet import LiveMember, Member

HEALTH_SECONDS = {"HUB": 15.0, "SPOKE": 30.0, "EDGE": 60.0, "FAR_EDGE": 120.0}
_LOOK_AGAIN_SECONDS = 300.0
_SAME_STATE_SECONDS = 600.0


def health_seconds(member: Member) -> float:
    """How long the health of a cluster of this type is good."""
    return HEALTH_SECONDS.get(member.cluster.labels.get("type", "").upper(), HEALTH_SECONDS["SPOKE"])


class HealthCheck:
    """Checks one cluster's health again and again; `news` are states that are worth keeping, until they are taken."""

    def __init__(self) -> None:
        self.news: list[ClusterHealth] = []
        self._last: dict[str, ClusterHealth] = {}
        self._kept: dict[str, float] = {}
        self._looked: dict[str, float] = {}

    async def __call__(self, member: LiveMember) -> FleetResult[ClusterHealth]:
        """As `health.check`, of one cluster. What was found of it is looked for anew when it fails on."""
        last = self._last.get(member.name)
        if last is not None and last.error is not None and self._may_look(member.name):
            await member.start_over(_error(last))
        result = await health.check([member])
        if result.rows:
            if last is not None and _is_back(last, result.rows[0]):
                # Discovery that failed with the API server would answer with that failure for ever.
                await member.start_over(_error(last))
                result = await health.check([member])
            self._note(result.rows[0])
        return result

    def _may_look(self, name: str) -> bool:
        now = time.monotonic()
        if now - self._looked.get(name, now) >= _LOOK_AGAIN_SECONDS:
            self._looked[name] = now
            return True
        self._looked.setdefault(name, now)
        return False

    def _note(self, row: ClusterHealth) -> None:
        last, now = self._last.get(row.cluster), time.monotonic()
        same = last is not None and (last.state, last.components) == (row.state, row.components)
        if not same or now - self._kept.get(row.cluster, 0.0) >= _SAME_STATE_SECONDS:
            self.news.append(row)
            self._kept[row.cluster] = now
        self._last[row.cluster] = row


def _is_back(last: ClusterHealth, row: ClusterHealth) -> bool:
    return last.components.get("apiServer") == "DOWN" and row.components.get("apiServer") == "OK"


def _error(row: ClusterHealth) -> AiopsError:
    assert row.error is not None
    return ClusterError(row.error.message, hint=row.error.hint, code=ErrorCode(row.error.code))
