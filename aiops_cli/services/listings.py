"""Label names, label values and series over the fleet; an answer is good for five minutes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import fan_out
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.metrics import CachePolicy
from aiops_cli.sources.base import MetricsSource

T = TypeVar("T")
Labels = dict[str, str]
TTL = 300.0


async def labels(
    members: Sequence[Member], matchers: list[str], window: TimeRange, now: float, policy: CachePolicy
) -> FleetResult[tuple[str, str]]:
    """Label names of the series that match."""
    return await _listed(
        members, str, ["labels", *matchers], window, now, policy, lambda s: s.labels(matchers, window)
    )


async def label_values(
    members: Sequence[Member],
    name: str,
    matchers: list[str],
    window: TimeRange,
    now: float,
    policy: CachePolicy,
) -> FleetResult[tuple[str, str]]:
    """Values of a label among the series that match."""
    return await _listed(
        members,
        str,
        ["values", name, *matchers],
        window,
        now,
        policy,
        lambda s: s.label_values(name, matchers, window),
    )


async def series(
    members: Sequence[Member], matchers: list[str], window: TimeRange, now: float, policy: CachePolicy
) -> FleetResult[tuple[str, Labels]]:
    """The label sets that match."""
    return await _listed(
        members, Labels, ["series", *matchers], window, now, policy, lambda s: s.series(matchers, window)
    )


async def _listed(
    members: Sequence[Member],
    row: type[T],
    what: list[str],
    window: TimeRange,
    now: float,
    policy: CachePolicy,
    fetch: Callable[[MetricsSource], Awaitable[Answer[T]]],
) -> FleetResult[tuple[str, T]]:
    ttl = TTL if policy.max_age is None else min(TTL, policy.max_age)
    decoder = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]

    async def ask(member: Member) -> Answer[T]:
        if policy.answers is None or not isinstance(member, LiveMember):
            return await fetch(await member.metrics())
        source = await member.metrics()
        endpoint = await member.endpoint("prometheus")
        # A window that ends now is the same question a minute later; any other is itself alone.
        moving = abs(window.end - now) < 1
        asked = [round(window.seconds), None if moving else window.end]
        key = json.dumps(
            [member.name, endpoint.url, endpoint.tenant, await member.identity(endpoint), what, asked]
        )
        kept = None if policy.refresh else policy.answers.get(key, ttl, now)
        if kept is not None:
            return Answer(decoder.decode(kept.payload), "cache", kept.age_seconds)
        answer = await fetch(source)
        if not answer.partial and not answer.warnings:
            policy.answers.put(key, msgspec.json.encode(answer.rows), now)
        return answer

    return await fan_out(members, ask)
