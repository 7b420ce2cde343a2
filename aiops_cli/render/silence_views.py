"""How silences look in tables."""

from __future__ import annotations

from aiops_cli.models.alerts import SilenceItem, SilenceMatcher, SilenceResult
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import age
from aiops_cli.services.times import unix


def silence_view(now: float) -> View[SilenceItem]:
    return View(
        "SilenceList",
        [
            Column("cluster", lambda s: s.cluster),
            Column("id", lambda s: s.id),
            Column("state", lambda s: s.state, wide=True),
            Column(
                "ends",
                lambda s: distance(s.ends_at, now),
                right=True,
                plain=lambda s: s.ends_at,
            ),
            Column(
                "alerts",
                lambda s: None if s.alerts is None else str(s.alerts),
                right=True,
                plain=lambda s: s.alerts,
            ),
            Column("matchers", lambda s: matchers_text(s.matchers)),
            Column("by", lambda s: s.created_by),
            Column("comment", lambda s: s.comment),
            Column("starts", lambda s: s.starts_at, wide=True),
        ],
        lambda s: s.id,
    )


def result_view() -> View[SilenceResult]:
    return View(
        "SilenceResultList",
        [
            Column("cluster", lambda s: s.cluster),
            Column("id", lambda s: s.id),
            Column("result", lambda s: s.result),
            Column("ends", lambda s: s.ends_at, wide=True),
            Column("matchers", lambda s: matchers_text(s.matchers), wide=True),
        ],
        lambda s: s.id,
    )


def matchers_text(matchers: list[SilenceMatcher]) -> str:
    return " ".join(str(m) for m in matchers)


def distance(text: str | None, now: float) -> str:
    """`in 2h` or `3d ago`."""
    moment = unix(text)
    if moment is None:
        return "-"
    return f"in {age(moment - now)}" if moment >= now else f"{age(now - moment)} ago"
