"""Small incidents built of arrays: a shop whose front door calls services that call a database."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiops_cli.analysis.observations import BadDirection, Indicator, Observations
from aiops_cli.models.analysis import Entity
from aiops_cli.models.signals import AlertItem, LogEntry, Series, Span
from aiops_cli.models.timerange import TimeRange

START = 1_700_000_000.0
ONSET = START + 1800
END = START + 2400
STEP = 15.0


def service(name: str, cluster: str = "east", namespace: str | None = "shop") -> Entity:
    return Entity("service", name, namespace, cluster)


def series(
    values: Sequence[float] | np.ndarray, start: float = START, step: float = STEP, **labels: str
) -> Series:
    numbers = np.asarray(values, dtype=float)
    return Series(labels, start + step * np.arange(numbers.size), numbers)


def stepped(
    usual: float, after: float, *, onset: float = ONSET, noise: float = 0.02, seed: int = 0
) -> Series:
    """A level with a little noise that moves at the onset and stays."""
    times = np.arange(START, END, STEP)
    rng = np.random.default_rng(seed)
    level = np.where(times >= onset, after, usual)
    return Series({}, times, level * (1 + noise * rng.standard_normal(times.size)))


def indicator(
    entity: Entity,
    name: str,
    usual: float,
    after: float,
    *,
    unit: str = "",
    bad: BadDirection = "up",
    onset: float = ONSET,
) -> Indicator:
    seed = sum(map(ord, entity.name + name + (entity.cluster or "")))
    return Indicator(
        entity,
        name,
        stepped(usual, after, onset=onset, seed=seed),
        f"{name}{{app='{entity.name}'}}",
        unit,
        bad,
    )


def span(
    trace: str,
    ident: str,
    parent: str | None,
    who: str,
    name: str,
    at: float,
    seconds: float,
    *,
    kind: str = "server",
    status: str = "unset",
    **attributes: str,
) -> tuple[str, Span]:
    return (
        "east",
        Span(
            trace,
            ident,
            parent,
            who,
            name,
            kind,
            int(at * 1e9),
            int(seconds * 1e9),
            status,
            {key.replace("_", "."): value for key, value in attributes.items()},
        ),
    )


def log(entity: Entity, at: float, line: str, **metadata: str) -> tuple[Entity, LogEntry]:
    return entity, LogEntry(int(at * 1e9), {}, line, metadata)


def alert(name: str, who: str, at: float, cluster: str = "east") -> AlertItem:
    from aiops_cli.analysis.clues import rfc3339

    labels = {"alertname": name, "service": who, "namespace": "shop"}
    return AlertItem(cluster, f"{cluster}-{name}", name, "FIRING", "critical", labels, {}, rfc3339(at))


def observations(**parts: object) -> Observations:
    return Observations(**{"window": TimeRange(START, END), "at": ONSET + 240, **parts})  # type: ignore[arg-type]


def pool_incident() -> Observations:
    """The orders service's connection pool fills up; two hops above, the web front is the loudest."""
    web, cart, orders = service("web"), service("cart"), service("orders")
    return observations(
        indicators=[
            indicator(web, "latency_p95", 0.08, 4.0, unit="s", onset=ONSET + 30),
            indicator(web, "error_rate", 0.001, 0.4, unit="ratio", onset=ONSET + 45),
            indicator(cart, "latency_p95", 0.05, 3.0, unit="s", onset=ONSET + 15),
            indicator(orders, "latency_p95", 0.02, 2.5, unit="s"),
            indicator(orders, "pool_in_use", 4, 20),
            indicator(orders, "cpu", 0.2, 0.21, unit="ratio"),
            indicator(service("search"), "latency_p95", 0.03, 0.03, unit="s"),
            indicator(service("search"), "cpu", 0.3, 0.3, unit="ratio"),
        ],
        edges=[(web, cart), (cart, orders), (web, service("search"))],
        alerts=[alert("WebLatencyHigh", "web", ONSET + 240)],
    )
