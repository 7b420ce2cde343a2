"""The durable state: nothing acknowledged is lost, the latest wins, damage costs one record."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from aiops_cli.errors import StoreError
from aiops_cli.models.analysis import Anomaly, Cause, Entity, Evidence
from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.store.notices import Notices
from aiops_cli.store.state import Analysis, State


def files(root: Path, kind: str) -> list[Path]:
    return sorted((root / "state" / kind).glob("j1_*.ndjson"))


def test_the_latest_of_a_key_wins_for_everyone(tmp_path: Path) -> None:
    one, other = State(tmp_path), State(tmp_path)
    one.append("labels", "edge-7", {"labels": {"region": "eu"}})
    other.append("labels", "edge-7", {"labels": {"region": "us"}})
    other.append("labels", "edge-8", {"labels": {}})
    assert one.latest("labels") == {
        "edge-7": {"labels": {"region": "us"}},
        "edge-8": {"labels": {}},
    }


def test_a_clock_set_back_does_not_bring_back_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State(tmp_path)
    state.append("labels", "edge-7", {"n": 1})
    hour_ago = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: hour_ago)
    state.append("labels", "edge-7", {"n": 2})
    assert state.latest("labels")["edge-7"] == {"n": 2}


def test_hundreds_of_appends_become_few_files_and_lose_nothing(tmp_path: Path) -> None:
    state = State(tmp_path)
    for n in range(300):
        state.append("rca", f"id-{n}", {"n": n})
        state.append("learned", f"edge-{n % 3}", {"n": n})
    assert [e.data["n"] for e in state.entries("rca")] == list(range(300))
    assert {k: v["n"] for k, v in state.latest("learned").items()} == {
        "edge-0": 297,
        "edge-1": 298,
        "edge-2": 299,
    }
    assert len(files(tmp_path, "rca")) < 70
    assert len(state.entries("learned")) < 70


def test_history_goes_after_ninety_days_and_labels_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, now = State(tmp_path), time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 91 * 86400 * 10**9)
    for kind in ("health", "labels", "reports"):
        state.append(kind, "old", {})
    monkeypatch.setattr(time, "time_ns", lambda: now)
    for n in range(70):
        for kind in ("health", "labels", "reports"):
            state.append(kind, f"new-{n}", {})
    assert "old" not in state.latest("health")
    assert "old" in state.latest("labels")
    assert "old" in state.latest("reports")
    assert len(state.latest("health")) == 70


def test_damage_costs_the_damaged_record_alone(tmp_path: Path) -> None:
    told: list[str] = []
    state = State(tmp_path, notices=Notices(told.append))
    state.append_all("rca", [(f"id-{n}", {"n": n, "text": "x" * 50}) for n in range(10)])
    (file,) = files(tmp_path, "rca")
    data = bytearray(file.read_bytes())
    data[data.index(b'"n":4') + 4] = ord("5")
    file.write_bytes(data[:-10])
    for _ in range(2):
        assert [e.data["n"] for e in state.entries("rca")] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert len(told) == 1
    assert "8 whole records" in told[0]
    assert len(list(file.parent.glob("*.damaged"))) == 1
    assert len(files(tmp_path, "rca")) == 1


def test_a_newer_format_is_left_alone_with_a_message(tmp_path: Path) -> None:
    told: list[str] = []
    state = State(tmp_path, notices=Notices(told.append))
    folder = tmp_path / "state" / "labels"
    state.append("labels", "edge-7", {"n": 1})
    (folder / "j2_99_ab.ndjson").write_bytes(b"\x00what comes later")
    for n in range(70):
        state.append("labels", "edge-7", {"n": n})
    assert state.latest("labels") == {"edge-7": {"n": 69}}
    assert (folder / "j2_99_ab.ndjson").read_bytes() == b"\x00what comes later"
    assert len(told) == 1
    assert "newer aiops" in told[0]


def test_where_nothing_can_be_written_the_users_own_is_an_error_and_the_rest_a_warning(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    told: list[str] = []
    state = State(tmp_path / "file" / "aiops", notices=Notices(told.append))
    for _ in range(2):
        state.append("learned", "edge-7", {})
        assert state.latest("learned") == {}
    assert len(told) == 1
    with pytest.raises(StoreError, match="can't save labels") as caught:
        state.append("labels", "edge-7", {"labels": {}})
    assert caught.value.hint


def test_typed_records_come_back_as_they_were(tmp_path: Path) -> None:
    state = State(tmp_path)
    health = ClusterHealth("edge-7", "ONLINE", 100, "CONNECTED", {"loki": None}, None, "2026-01-01T00:00:00Z")
    anomaly = Anomaly("a1", "edge-7", {"pod": "é"}, "s", "e", "SPIKE", "HIGH", 0.9, None, 2.5, "why")
    entity = Entity("service", "db", "shop", "edge-7")
    cause = Cause(
        1, 0.5, 0.7, entity, "latency", None, [Evidence("metric", "text", value=1.5, entity=entity)]
    )
    analysis = Analysis("r1", "at", ["edge-7"], "s", "e", [cause])
    state.add_health([health, health])
    state.add_anomalies([anomaly])
    state.add_anomalies([anomaly])
    state.add_analysis(analysis)
    again = State(tmp_path)
    assert again.health() == [health, health]
    assert again.anomalies() == [anomaly]
    assert again.analyses() == [analysis]
    assert again.health(since=time.time() + 60) == []


def test_files_are_ours_alone(tmp_path: Path) -> None:
    State(tmp_path / "new").append("labels", "edge-7", {})
    (file,) = files(tmp_path / "new", "labels")
    assert file.stat().st_mode & 0o777 == 0o600
    assert {p.stat().st_mode & 0o777 for p in file.parents if p.is_relative_to(tmp_path / "new")} == {0o700}
