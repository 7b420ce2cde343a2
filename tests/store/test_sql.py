"""SQL over the store: what the views say, and that nothing else can be read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from aiops_cli.errors import UsageError
from aiops_cli.models.analysis import Anomaly, Cause, Entity, Evidence
from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.store.notices import Notices
from aiops_cli.store.ranges import RangeCache
from aiops_cli.store.sql import VIEWS, run_sql
from aiops_cli.store.state import Analysis, State
from tests.store.samples import NOW, STEP, key, series, value_at

OLD = TimeRange(NOW - 7210, NOW - 3610)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    state = State(tmp_path / "data")
    state.append("labels", "edge-7/region", {"cluster": "edge-7", "label": "region", "value": "eu'\""})
    state.append(
        "learned", "edge-8", {"endpoints": {"loki": {"url": "https://l"}}, "facts": [{"key": "version"}]}
    )
    state.add_health(
        [ClusterHealth("edge-7", "DEGRADED", 80, "CONNECTED", {"loki": None}, None, "2026-01-01T00:00:00Z")]
    )
    state.add_anomalies(
        [Anomaly("a1", "edge-7", {"pod": "p0"}, "s", "e", "SPIKE", "HIGH", 0.9, None, 2.5, "why")]
    )
    cause = Cause(1, 0.5, 0.7, Entity("service", "db"), "latency", None, [Evidence("metric", "slow")])
    state.add_analysis(Analysis("r1", "at", ["edge-7"], "s", "e", [cause]))
    cache = RangeCache(tmp_path / "samples")
    cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
    middle = TimeRange(OLD.start + 600, OLD.end - 600)
    cache.add(key(), middle, series(middle.start, middle.end, count=2, version=1), NOW + 1)
    cache.add(
        key("down", cluster="edge-8"), OLD, [Series({}, np.array([OLD.start]), np.array([np.nan]))], NOW
    )
    return tmp_path


def ask(store: Path, sql: str, told: list[str] | None = None) -> list[tuple[Any, ...]]:
    notices = Notices((told if told is not None else []).append)
    return run_sql(sql, store / "samples", State(store / "data"), notices).rows


def test_samples_are_what_a_range_query_serves(store: Path) -> None:
    rows = ask(store, "select labels->>'pod', ts, value from samples where expr = 'up' order by all")
    served = RangeCache(store / "samples").lookup(key(), OLD, NOW + 2).series
    assert rows == [
        (s.labels["pod"], t, v) for s in served for t, v in zip(s.timestamps, s.values, strict=True)
    ]
    assert ("p1", OLD.start + 900, value_at(1, OLD.start + 900, 1)) in rows
    described = ask(
        store, "select cluster, endpoint, step, isnan(value), time from samples where expr = 'down'"
    )
    assert [r[:4] for r in described] == [("edge-8", "https://prom.example", STEP, True)]
    assert described[0][4].isoformat() == "2025-06-15T13:06:30"


def test_the_other_views(store: Path) -> None:
    assert ask(
        store, "select cluster, labels->>'region', endpoints->'loki'->>'url', state, score from clusters"
    ) == [
        ("edge-7", "eu'\"", None, "DEGRADED", 80),
        ("edge-8", None, "https://l", None, None),
    ]
    assert ask(store, "select id, \"end\", expected, actual, labels->>'pod' from anomalies") == [
        ("a1", "e", None, 2.5, "p0")
    ]
    assert ask(store, "select id, rank, kind, name, evidence->0->>'text' from rca") == [
        ("r1", 1, "service", "db", "slow")
    ]
    assert ask(store, "select state, checked_at from health") == [("DEGRADED", "2026-01-01T00:00:00Z")]
    joined = (
        "select count(*) from samples s join anomalies a on s.cluster = a.cluster and s.labels = a.labels"
    )
    assert ask(store, joined) == [(241,)]


def test_an_empty_store_has_every_view(tmp_path: Path) -> None:
    assert sorted(r[0] for r in ask(tmp_path, "show tables") if r[0] in VIEWS) == sorted(VIEWS)
    for view in VIEWS:
        assert ask(tmp_path, f"select * from {view}") == []


@pytest.mark.parametrize(
    "sql",
    [
        "select * from '{file}'",
        "select * from read_text('{file}')",
        "select * from read_csv('{file}')",
        "select * from glob('{folder}/*')",
        "select * from read_parquet('{folder}/samples/*/*')",
        "copy (select 1) to '{folder}/out.csv'",
        "copy (select * from samples) to '{segment}'",
        "with x as (copy (select * from samples) to '{segment}') select * from x, samples",
        "attach '{folder}/out.db'",
        "install httpfs",
        "set enable_external_access = true",
        "create table x as select 1",
        "export database '{folder}/out'",
        "pragma version",
        "select * from store",
        "select 1; select 2",
        "select nonsense from samples",
        "selec",
        "",
    ],
)
def test_nothing_else_can_be_read_or_written(store: Path, sql: str) -> None:
    secret = store / "secret.csv"
    secret.write_text("token\nhunter2\n")
    segment = next((store / "samples").glob("*/r1_*"))
    before = {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}
    with pytest.raises(UsageError) as caught:
        ask(store, sql.format(file=secret, folder=store, segment=segment))
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint
    assert {p: p.read_bytes() for p in store.rglob("*") if p.is_file()} == before


def test_a_damaged_segment_is_left_out_and_told(store: Path) -> None:
    damaged = min((store / "samples" / key().digest).glob("r1_*"))
    whole = ask(store, "select count(*) from samples")[0][0]
    damaged.write_bytes(damaged.read_bytes()[:-20])
    told: list[str] = []
    assert ask(store, "select count(*) from samples", told)[0][0] < whole
    assert "damaged" in told[0]


def test_any_duckdb_opens_the_segments(store: Path) -> None:
    with duckdb.connect() as connection:
        pattern = str(store / "samples" / key().digest / "*.parquet")
        rows = connection.execute(
            "select labels->>'pod', count(*), sum(value) from read_parquet($1) group by 1 order by 1",
            [pattern],
        ).fetchall()
    assert [r[:2] for r in rows] == [("p0", 402), ("p1", 402), ("p2", 241)]
