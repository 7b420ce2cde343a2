"""What a panel says of clusters that did not answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiops_cli.errors import ErrorCode
from aiops_cli.models.result import ClusterStatus, ErrorInfo, FleetResult
from aiops_cli.tui.widgets.panel import gaps, without_rows
from tests.faults.files import cluster_entry, write_kubeconfig
from tests.tui.conftest import WIDE, driving, until

DOWN = ErrorInfo(
    ErrorCode.CLUSTER_UNREACHABLE, "could not connect: Connection refused", "is the cluster running?"
)
NONE = ErrorInfo(ErrorCode.PROMETHEUS_NOT_AVAILABLE, "no Prometheus was found", "name one in the config")


def answer(**errors: ErrorInfo | None) -> FleetResult[str]:
    return FleetResult(
        [], [ClusterStatus(name, "ERROR" if e else "SUCCESS", error=e) for name, e in errors.items()]
    )


@pytest.fixture
def dead(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clusters that nothing answers for."""
    entries = [cluster_entry(f"d{n}", f"http://127.0.0.1:{n}") for n in (1, 2)]
    names = [entry["name"] for entry in entries]
    path = write_kubeconfig(
        home / "dead", clusters=entries, users={"me": {}}, contexts={name: (name, "me") for name in names}
    )
    monkeypatch.setenv("KUBECONFIG", str(path))


@pytest.mark.parametrize(
    ("place", "claim"),
    [
        ("alerts", "no alert is active"),
        ("alerts tab=silences", "no silence is active"),
        ("fleet", "no alert is active"),
        ("gpu", "no dcgm-exporter metrics"),
        ("cnf tab=sriov", "no SriovNetworkNodeState"),
        ('logs {app="shop"}', "no line of"),
        ("metrics up", "nothing found"),
        ("traces", "no trace was found"),
    ],
)
async def test_a_dead_fleet_is_not_said_to_be_fine(place: str, claim: str, dead: None) -> None:
    async with driving(place, size=WIDE) as pilot:
        text = await until(pilot, "✖ could not ask d1, d2: ")
        assert claim not in text
        assert not re.search(r"[A-Z]{4,}_[A-Z]{4,}", text)


def test_what_is_not_known_is_told_with_its_reason_and_what_to_do() -> None:
    said = without_rows(
        answer(east=None, west=DOWN, north=DOWN, south=NONE), "no alert is active"
    ).splitlines()
    assert said == [
        "no alert is active",
        "▲ not known of west, north: could not connect: Connection refused",
        "  is the cluster running?",
        "▲ not known of south: no Prometheus was found",
        "  name one in the config",
    ]
    assert without_rows(answer(west=DOWN), "no alert is active").startswith("✖ could not ask west: could not")
    assert without_rows(answer(west=NONE), "no GPU").splitlines()[:2] == [
        "no GPU",
        "▲ not known of west: no Prometheus was found",
    ]
    assert without_rows(answer(east=None), "no alert is active") == "no alert is active"


def test_clusters_that_lack_for_one_reason_are_named_together() -> None:
    assert gaps(answer(east=None, west=DOWN, north=DOWN, south=NONE)) == (
        "without west, north: cluster unreachable; south: prometheus not available"
    )
