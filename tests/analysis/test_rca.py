"""What an analysis answers for small incidents whose cause is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from aiops_cli.analysis.observations import Indicator, Observations
from aiops_cli.analysis.rca import analyze
from aiops_cli.models.analysis import Entity
from aiops_cli.models.signals import Change, KubeEvent, Workload
from tests.analysis.incidents import (
    END,
    ONSET,
    START,
    alert,
    indicator,
    log,
    observations,
    pool_incident,
    service,
    span,
)


def seconds(text: str | None) -> float:
    assert text is not None
    return datetime.fromisoformat(text).timestamp()


def test_full_pool_two_hops_below_the_loudest_symptom_is_first() -> None:
    causes = analyze(pool_incident())
    first = causes[0]
    assert (first.entity.name, first.indicator) == ("orders", "pool_in_use")
    assert [e.name for e in first.chain] == ["orders", "cart", "web"]
    assert {e.name for e in first.blast_radius} == {"cart", "web"}
    assert abs(seconds(first.onset) - ONSET) <= 30
    assert [c.rank for c in causes] == list(range(1, len(causes) + 1))


def test_evidence_can_be_read_again_and_shows_both_levels() -> None:
    pool = next(e for e in analyze(pool_incident())[0].evidence if "pool_in_use" in e.text)
    assert pool.query == "pool_in_use{app='orders'}"
    assert pool.value is not None and 18 < pool.value < 22
    assert pool.baseline is not None and 3.8 < pool.baseline < 4.2
    assert pool.at is not None and abs(seconds(pool.at) - ONSET) <= 30


def test_symptoms_say_what_explains_them() -> None:
    web = next(c for c in analyze(pool_incident()) if c.entity.name == "web")
    assert any((e.signal == "topology" and "orders" in e.text) or "cart" in e.text for e in web.against)


def test_missing_signals_are_named_and_lower_the_confidence() -> None:
    bare = pool_incident()
    orders = service("orders")
    full = pool_incident()
    full.logs = [log(orders, t, "request served in 12 ms") for t in np.arange(START, ONSET, 20)]
    full.logs += [log(orders, ONSET + 2 * i, "ERROR pool exhausted: no connection in 3 s") for i in range(40)]
    full.events = [("east", KubeEvent(START + 5, "Normal", "Scheduled", "Pod", "x", "shop", "ok"))]
    assert any("no trace data was available" in e.text for e in analyze(bare)[0].against)
    assert analyze(full)[0].entity.name == "orders"
    assert analyze(full)[0].confidence > analyze(bare)[0].confidence


def test_nothing_deviates_means_no_cause() -> None:
    quiet = observations(indicators=[indicator(service(n), "cpu", 0.3, 0.3) for n in ("a", "b", "c")])
    assert [c for c in analyze(quiet) if c.confidence > 0.1] == []


def test_level_that_was_odd_before_the_onset_is_not_blamed() -> None:
    obs = pool_incident()
    rotten = service("rotten")
    obs.indicators.append(indicator(rotten, "memory", 0.9, 0.9, unit="ratio"))
    obs.reference = [Indicator(rotten, "memory", indicator(rotten, "memory", 0.1, 0.1).series)]
    assert "rotten" not in [c.entity.name for c in analyze(obs)[:2]]


def test_node_is_blamed_when_most_of_its_pods_deviate() -> None:
    names = ["a", "b", "c", "d"]
    node = Entity("node", "worker-1", None, "east")
    obs = observations(
        indicators=[indicator(service(n), "latency_p95", 0.05, 0.6, unit="s") for n in names]
        + [indicator(service("e"), "latency_p95", 0.05, 0.05, unit="s")]
        + [indicator(node, "disk_used", 0.4, 0.99, unit="ratio")],
        workloads=[
            (
                "east",
                Workload(
                    f"{n}-0", "shop", "worker-2" if n == "e" else "worker-1", "StatefulSet", n, "Running"
                ),
            )
            for n in [*names, "e"]
        ],
    )
    first = analyze(obs)[0]
    assert first.entity == node
    assert {e.name for e in first.blast_radius} == set(names)


def test_one_busy_pod_is_blamed_rather_than_its_node() -> None:
    node = Entity("node", "worker-1", None, "east")
    obs = observations(
        indicators=[
            indicator(service("hog"), "cpu", 0.1, 3.5),
            indicator(node, "cpu", 0.3, 0.9, unit="ratio"),
            *[indicator(service(n), "latency_p95", 0.05, 0.05, unit="s") for n in ("a", "b", "c")],
        ],
        workloads=[
            ("east", Workload(f"{n}-0", "shop", "worker-1", "StatefulSet", n, "Running"))
            for n in ("hog", "a", "b", "c")
        ],
    )
    assert analyze(obs)[0].entity.name == "hog"


def test_pods_of_a_deployment_are_one_entity() -> None:
    pod = Entity("pod", "orders-7d9c5b6f4-x2x4z", "shop", "east")
    obs = observations(
        indicators=[indicator(pod, "cpu", 0.1, 2.0)],
        workloads=[
            ("east", Workload(pod.name, "shop", "n1", "ReplicaSet", "orders-7d9c5b6f4", "Running")),
        ],
    )
    assert analyze(obs)[0].entity == Entity("service", "orders", "shop", "east")


def test_rollout_right_before_the_onset_is_evidence() -> None:
    obs = pool_incident()
    obs.changes = [("east", Change(ONSET - 60, "Deployment", "orders", "shop", "rollout", "image v2"))]
    first = analyze(obs)[0]
    assert first.entity.name == "orders"
    assert any(e.signal == "change" and "image v2" in e.text for e in first.evidence)


def _trace(number: int, at: float, *, db: float, status: str = "unset") -> list[tuple[str, object]]:
    t = f"{number:032x}"
    return [
        span(t, "a", None, "web", "GET /", at, 0.03 + db),
        span(t, "b", "a", "web", "POST /orders", at + 0.005, 0.02 + db, kind="client"),
        span(t, "c", "b", "orders", "POST /orders", at + 0.01, 0.01 + db, status=status),
        span(
            t,
            "d",
            "c",
            "orders",
            "SELECT",
            at + 0.012,
            db,
            kind="client",
            status=status,
            db_system="postgresql",
            server_address="pg.example.com",
        ),
    ]


def _traced(before: float, after: float, status: str = "unset") -> Observations:
    spans = []
    rng = np.random.default_rng(1)
    for i, at in enumerate(np.arange(START, END - 10, 5.0)):
        late = at >= ONSET
        usual = (after if late else before) * float(rng.uniform(0.8, 1.2))
        spans += _trace(i, float(at), db=usual, status=status if late else "unset")
    return observations(spans=spans, at=ONSET)


def test_slow_database_is_found_by_spans_alone_and_reached_from_the_front() -> None:
    obs = _traced(0.004, 0.9)
    first = analyze(obs)[0]
    assert first.entity == Entity("database", "pg.example.com", None, "east")
    assert [e.name for e in first.chain] == ["pg.example.com", "orders", "web"]


def test_deepest_failing_span_is_the_origin_of_errors() -> None:
    obs = _traced(0.004, 0.004, status="error")
    first = analyze(obs)[0]
    assert first.entity.name == "pg.example.com"
    assert first.indicator == "error_origin"


def test_new_error_line_names_its_service_and_template() -> None:
    cart, web = service("cart"), service("web")
    logs = [log(e, t, f"request {int(t)} served") for e in (cart, web) for t in np.arange(START, END, 10)]
    logs += [log(cart, ONSET + 3 * i, f"ERROR failed to decode session {i}") for i in range(60)]
    first = analyze(observations(logs=logs, at=ONSET))[0]
    assert first.entity == cart
    assert "failed to decode session" in first.evidence[0].text


def test_same_outside_dependency_in_two_clusters_is_one_cause_without_cluster() -> None:
    def failing(cluster: str, host: str) -> Observations:
        pods = [("Pod", f"app-{i}") for i in range(4)]
        return observations(
            events=[
                (
                    cluster,
                    KubeEvent(
                        ONSET + 5,
                        "Warning",
                        "Failed",
                        kind,
                        name,
                        "shop",
                        f'Failed to pull image "{host}/app:1"',
                        3,
                    ),
                )
                for kind, name in pods
            ],
            at=ONSET,
        )

    both = failing("east", "registry.example.com")
    both.events += failing("west", "registry.example.com").events
    shared = analyze(both)[0]
    assert shared.entity == Entity("external", "registry.example.com", None, None)

    apart = failing("east", "registry-a.example.com")
    apart.events += failing("west", "registry-b.example.com").events
    assert all(c.entity.cluster is not None for c in analyze(apart))


def test_later_onset_speaks_against() -> None:
    obs = observations(
        indicators=[
            indicator(service("early"), "cpu", 0.1, 2.0),
            indicator(service("late"), "cpu", 0.1, 2.0, onset=ONSET + 180),
        ],
    )
    causes = {c.entity.name: c for c in analyze(obs)}
    assert any("earlier" in e.text for e in causes["late"].against)
    assert not any("earlier" in e.text for e in causes["early"].against)


def test_limit_and_equal_input_give_equal_answers() -> None:
    assert len(analyze(pool_incident(), limit=1)) == 1
    assert analyze(pool_incident(), limit=0) == []
    assert analyze(pool_incident()) == analyze(pool_incident())
    shuffled = pool_incident()
    shuffled.indicators = shuffled.indicators[::-1]
    assert [c.entity for c in analyze(shuffled)] == [c.entity for c in analyze(pool_incident())]


def test_hostile_names_are_quoted_in_next_steps() -> None:
    hostile = replace_name(pool_incident(), "orders", "orders; rm -rf /")
    steps = analyze(hostile)[0].next_steps
    assert steps and all("; rm" not in s or "'orders; rm -rf /'" in s for s in steps)


def replace_name(obs: Observations, old: str, new: str) -> Observations:
    def named(entity: Entity) -> Entity:
        return service(new) if entity.name == old else entity

    obs.indicators = [replace(i, entity=named(i.entity)) for i in obs.indicators]
    obs.edges = [(named(a), named(b)) for a, b in obs.edges]
    return obs


def test_alert_that_names_nothing_known_is_no_obstacle() -> None:
    obs = pool_incident()
    obs.alerts = [alert("Watchdog", "somewhere-else", ONSET + 200)]
    assert analyze(obs)[0].entity.name == "orders"
