"""Asking a fleet again and again: nobody waits for the slowest, and what was said last stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.fleet import Cluster, ClusterHealth
from aiops_cli.models.gpu import GpuThresholds
from aiops_cli.models.result import ClusterStatus, FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.services import rounds
from aiops_cli.services.fleet_status import fleet_rows, totals
from aiops_cli.services.rounds import Round, Rounds


class Someone:
    """A cluster that answers when it is let."""

    def __init__(self, name: str) -> None:
        self.name, self.cluster, self.origin = name, Cluster(name), "live"
        self.answers = asyncio.Event()
        self.asked = 0
        self.fails: Exception | None = None

    async def answer(self) -> FleetResult[str]:
        self.asked += 1
        await self.answers.wait()
        if self.fails is not None:
            raise self.fails
        return FleetResult([f"{self.name} {self.asked}"], [ClusterStatus(self.name, "SUCCESS")])


def _rounds(told: Callable[[], None] | None = None, every: float = 3600.0) -> Rounds[str]:
    async def ask(member: Any) -> FleetResult[str]:
        found: FleetResult[str] = await member.answer()
        return found

    return Rounds(ask, lambda member, result: every, told)


async def test_the_quick_ones_are_told_while_a_slow_one_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_TELLING", 0.0)
    quick, slow = Someone("quick"), Someone("slow")
    quick.answers.set()
    more = asyncio.Event()
    asked = _rounds(more.set)
    members: Any = [slow, quick]
    first = await asked.round(members)
    assert first.result.rows == ["quick 1"]
    assert list(first.asked_at) == ["slow"]
    assert [c.name for c in first.result.clusters] == ["quick"]
    more.clear()
    slow.answers.set()
    await asyncio.wait_for(more.wait(), 10)
    second = await asked.round(members)
    assert second.result.rows == ["slow 1", "quick 1"], "in the order of the fleet, and none was asked twice"
    assert not second.asked_at


async def test_what_was_said_last_stays_with_its_age_when_a_cluster_fails() -> None:
    one = Someone("one")
    one.answers.set()
    asked = _rounds()
    members: Any = [one]
    at = (await asked.round(members)).at["one"]
    one.fails = ClusterError("gone", code=ErrorCode.CLUSTER_UNREACHABLE)
    asked.expire()
    found = await asked.round(members)
    assert found.result.rows == ["one 1"]
    assert found.at["one"] == at, "its age is that of what is shown"
    status = found.result.clusters[0]
    assert status.error is not None
    assert (status.status, status.error.code) == ("ERROR", ErrorCode.CLUSTER_UNREACHABLE)


async def test_what_can_t_be_handled_of_one_is_that_one_s_failure() -> None:
    odd, good = Someone("odd"), Someone("good")
    odd.fails = ValueError("year 99999 is out of range")
    for one in (odd, good):
        one.answers.set()
    members: Any = [odd, good]
    found = await _rounds().round(members)
    assert found.result.rows == ["good 1"]
    assert [c.name for c in found.result.failed] == ["odd"]


async def test_many_are_asked_without_being_begun_all_at_once() -> None:
    many = [Someone(f"c{i}") for i in range(23)]
    for one in many:
        one.answers.set()
    members: Any = many
    found = await _rounds().round(members)
    assert len(found.result.rows) == 23


NO_LIMITS = GpuThresholds()


def _health(name: str, state: Any, score: int | None) -> ClusterHealth:
    return ClusterHealth(name, state, score, "CONNECTED", {"apiServer": "OK"}, None, "2026-11-25T00:00:00Z")


def _alert(cluster: str, name: str, severity: str, state: str = "FIRING") -> AlertItem:
    return AlertItem(cluster, f"{cluster}{name}", name, state, severity, {}, {}, None)


def test_what_needs_a_look_stands_first_and_totals_count_what_fires() -> None:
    names = ["well", "noisy", "half", "gone", "new"]
    states = Round(
        FleetResult(
            [
                _health("well", "ONLINE", 100),
                _health("noisy", "ONLINE", 100),
                _health("half", "DEGRADED", 80),
                _health("gone", "OFFLINE", 50),
            ],
            [],
        ),
        dict.fromkeys(names[:4], 970.0),
        {"new": 900.0},
    )
    statuses = [ClusterStatus(n, "SUCCESS") for n in names[:4]]
    firing = Round(
        FleetResult(
            [
                _alert("noisy", "Down", "critical"),
                _alert("noisy", "Slow", "warning"),
                _alert("well", "Quiet", "critical", "SUPPRESSED"),
            ],
            statuses,
        )
    )
    rows = fleet_rows([(n, {}) for n in names], 1000.0, states, firing, None, NO_LIMITS)
    assert [r.cluster for r in rows] == ["gone", "half", "new", "noisy", "well"]
    by_name = {r.cluster: r for r in rows}
    assert (by_name["noisy"].alerts, by_name["noisy"].firing) == ((1, 1, 0, 0), ("Down", "Slow"))
    assert by_name["well"].alerts == (0, 0, 0, 0), "silenced ones do not fire"
    assert by_name["new"].alerts is None, "what was not asked is not known to be quiet"
    assert (by_name["new"].waiting, by_name["well"].waiting) == (60.0, None)
    assert by_name["well"].age == 30.0
    verdicts = {r.cluster: r.verdict for r in rows}
    assert verdicts == {
        "gone": "OFFLINE", "half": "DEGRADED", "new": "warning", "noisy": "critical", "well": "ONLINE"
    }  # fmt: skip
    t = totals(rows)
    assert (t.alerts, t.ablaze) == ((1, 1, 0, 0), (1, 0))
    assert (t.alerting, t.unknown_alerts) == (1, 1)
    assert list(t.scores) == [50, 80, 100, 100]
    assert t.lowest is not None
    assert t.lowest.cluster == "gone"
