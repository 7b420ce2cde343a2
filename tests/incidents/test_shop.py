"""The shop and its faults are real: what the recordings rest on, on one cluster's real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Clusters
from tests.incidents.deployment import NAMESPACE, VERSIONS, Shop
from tests.incidents.scenarios import SCENARIOS
from tests.servers.cluster import ALL_PARTS
from tests.servers.process import POLL_SECONDS, get

SECONDS = 120.0


@pytest.fixture(scope="module")
def shop(clusters: Clusters) -> Iterator[Shop]:
    shop = Shop(clusters("shop", ALL_PARTS), rate=8, seed=1)
    try:
        shop.start()
        shop.wait_ready()
        shop.open()
        yield shop
    finally:
        shop.stop()


def wait_for(shop: Shop, expr: str) -> None:
    shop.cluster.prometheus.wait_for(expr, seconds=SECONDS)


def wait_for_line(shop: Shop, logql: str) -> None:
    deadline = time.monotonic() + SECONDS
    url = f"{shop.cluster.loki.url}/loki/api/v1/query_range"
    while not get(url, params={"query": logql}, timeout=30.0).json()["data"]["result"]:
        assert time.monotonic() < deadline, f"no line for {logql}"
        time.sleep(POLL_SECONDS)  # lines are pushed once a second


def traces(shop: Shop, **params: str) -> list[dict[str, Any]]:
    asked = {"lookback": "1h", **params}
    found: list[dict[str, Any]] = get(
        f"{shop.cluster.jaeger.url}/api/traces", params=asked, timeout=30.0
    ).json()["data"]
    return found


def test_an_order_goes_through_every_service_in_one_trace(shop: Shop) -> None:
    deadline = time.monotonic() + SECONDS
    everyone = {"frontend", "checkout", "cart", "payment", "ledger"}
    whole: list[dict[str, Any]] = []
    while not whole and time.monotonic() < deadline:  # each process sends its spans in its own time
        orders = traces(shop, service="ledger", operation="POST /entries")
        whole = [t for t in orders if {p["serviceName"] for p in t["processes"].values()} == everyone]
        time.sleep(POLL_SECONDS)
    tags = {tag["key"]: tag["value"] for span in whole[0]["spans"] for tag in span["tags"]}
    assert tags["db.name"] == "ledger"
    assert not traces(shop, service="ledger-db")  # databases send no spans


def test_the_shop_is_well_until_something_is_broken(shop: Shop) -> None:
    wait_for(shop, 'rate(http_requests_total{job="frontend",code="200"}[30s]) > 1')
    failed = shop.cluster.prometheus.query('http_requests_total{code=~"5..",job!="catalog"}')
    assert not [series for series in failed if series["metric"]["namespace"] == NAMESPACE]


def test_leaked_connections_exhaust_the_pool_and_fail_orders(shop: Shop) -> None:
    SCENARIOS["pool"].inject(shop)
    wait_for(shop, "db_pool_in_use == db_pool_size and db_pool_waiting > 0")
    wait_for(shop, 'http_requests_total{job="ledger",code="503"} > 0')
    wait_for(shop, 'http_requests_total{job="checkout",code="502"} > 0')
    wait_for_line(shop, '{job="ledger",level="error"} |= "pool ledger-db is exhausted"')


def test_a_full_volume_fails_writes(shop: Shop) -> None:
    SCENARIOS["disk"].inject(shop)
    wait_for(shop, "volume_used_ratio > 0.99")
    wait_for(shop, 'http_requests_total{job="cart",code="500"} > 0')
    wait_for_line(shop, '{job="cart",level="error"} |= "No space left on device"')


def test_a_rollout_replaces_the_process_and_is_told_by_the_controllers(shop: Shop) -> None:
    SCENARIOS["rollout"].inject(shop)
    shop.wait_ready({**VERSIONS, "payment": "2.5.0"})
    events = shop.cluster.kube.list("Event", namespace=NAMESPACE)
    told = [e["message"] for e in events if e["involvedObject"]["name"] == "payment"]
    assert len([message for message in told if message.startswith("Scaled up replica set payment-")]) == 2
    [before, after] = sorted(
        (
            r
            for r in shop.cluster.kube.list("ReplicaSet", namespace=NAMESPACE)
            if "payment" in r["metadata"]["name"]
        ),
        key=lambda r: int(r["metadata"]["annotations"]["deployment.kubernetes.io/revision"]),
    )
    images = [r["spec"]["template"]["spec"]["containers"][0]["image"] for r in (before, after)]
    assert [image.rpartition(":")[2] for image in images] == [VERSIONS["payment"], "2.5.0"]
