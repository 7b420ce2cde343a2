"""How the clusters of a fleet look at a glance."""

from __future__ import annotations

from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import age
from aiops_cli.services.fleet_status import FleetRow

_SHORT = {
    "apiServer": "api",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "tempo": "traces",
    "loki": "loki",
}
_SIGNS = ("✖", "▲", "·", "+")  # critical, warning, info, any other severity


def endpoints_text(health: ClusterHealth | None) -> str | None:
    """`5 ok`, or what is down and how many are not: `✖ loki, 4 ok`."""
    if health is None:
        return None
    down = [_SHORT.get(n, n) for n, v in health.components.items() if v == "DOWN"]
    well = sum(v == "OK" for v in health.components.values())
    if not down:
        return f"{well} ok" if well else None
    return f"✖ {' '.join(down)}" + (f", {well} ok" if well else "")


def alerts_text(counts: tuple[int, int, int, int] | None) -> str | None:
    """`✖2 ▲5`: critical and warning, then info and others; `0` where none fires."""
    if counts is None:
        return None
    return " ".join(f"{s}{n}" for s, n in zip(_SIGNS, counts, strict=True) if n) or "0"


def gpus_text(row: FleetRow) -> str | None:
    """Those that compute, of all; a sign where one has a finding."""
    if not row.gpus:
        return None
    sign = {"critical": " ✖", "warning": " ▲"}.get(row.finding.severity if row.finding else "", "")
    return f"{row.gpus_used}/{row.gpus}{sign}"


def why(row: FleetRow) -> str | None:
    """What is wrong with it, or with what is known of it."""
    said = []
    if row.waiting is not None:
        said.append(f"no answer for {age(row.waiting)}")
    if row.health is not None and row.health.error is not None:
        said.append(row.health.error.message)
    said += [f"{what}: {message}" for what, message in row.failed.items() if message not in said]
    if not said and row.finding is not None and row.finding.severity != "info":
        said.append(row.finding.text)
    if row.firing:
        said.append(f"fires {', '.join(row.firing)}")
    return "; ".join(said) or None


def fleet_view() -> View[FleetRow]:
    def part(name: str, title: str) -> Column[FleetRow]:
        return Column(title, lambda r: r.health.components.get(name) if r.health else None, wide=True)

    def label(name: str) -> Column[FleetRow]:
        return Column(name, lambda r: r.labels.get(name), wide=True)

    return View(
        "FleetStatusList",
        [
            Column("cluster", lambda r: r.cluster, keep=True),
            Column("state", lambda r: r.state, keep=True),
            Column("score", _score, right=True, plain=lambda r: r.health.score if r.health else None),
            Column(
                "alerts",
                lambda r: alerts_text(r.alerts),
                keep=True,
                plain=lambda r: None if r.alerts is None else tuple(-n for n in r.alerts),
            ),
            Column("endpoints", lambda r: endpoints_text(r.health), plain=_down),
            Column("gpus", gpus_text, plain=lambda r: r.gpus or None),
            Column("age", lambda r: None if r.age is None else age(r.age), right=True, plain=lambda r: r.age),
            Column("why", why),
            part("apiServer", "api"),
            part("prometheus", "prometheus"),
            part("alertmanager", "alertmanager"),
            part("tempo", "traces"),
            part("loki", "loki"),
            label("type"),
            label("environment"),
            label("region"),
        ],
        lambda r: r.cluster,
    )


def _score(row: FleetRow) -> str | None:
    return None if row.health is None or row.health.score is None else str(row.health.score)


def _down(row: FleetRow) -> int | None:
    """How many endpoints do not answer."""
    return None if row.health is None else sum(v == "DOWN" for v in row.health.components.values())
