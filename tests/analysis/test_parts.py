"""Change points, call graphs, spans and log templates on their own."""

from __future__ import annotations

import numpy as np
import pytest

from aiops_cli.analysis import logs
from aiops_cli.analysis.changepoint import joint_onset, level_shift, run_onset
from aiops_cli.analysis.clues import far
from aiops_cli.analysis.entities import Directory
from aiops_cli.analysis.fleet import is_shared_name
from aiops_cli.analysis.graph import CallGraph
from aiops_cli.analysis.indicators import classify
from aiops_cli.analysis.span_table import own_time, tabulate
from aiops_cli.models.analysis import Entity
from aiops_cli.models.signals import LogEntry
from tests.analysis.incidents import ONSET, START, STEP, log, series, service, span


def test_level_shift_is_dated_to_its_first_point() -> None:
    values = np.random.default_rng(0).normal(10, 1, 200)
    values[170:] += 8
    found = level_shift(series(values))
    assert found is not None
    assert found.at == START + STEP * 170
    assert (found.before, found.after) == (pytest.approx(10, abs=0.5), pytest.approx(18, abs=0.7))


def test_outlier_is_no_level_shift() -> None:
    values = np.random.default_rng(0).normal(10, 1, 200)
    values[60] = 500
    assert level_shift(series(values)) is None


def test_joint_onset_is_where_most_series_moved_not_where_one_did() -> None:
    onsets = [ONSET, ONSET + 5, ONSET - 5, ONSET + 10, ONSET - 400]
    found = joint_onset(onsets, [5, 5, 5, 5, 12], near=ONSET + 120, width=15)
    assert found is not None and abs(found - ONSET) <= 10
    assert joint_onset([], [], near=0, width=15) is None


def test_run_onset_takes_the_run_at_the_trigger_and_forgets_earlier_ones() -> None:
    times = np.arange(0.0, 600, 10)
    odd = (times >= 100) & (times < 200) | (times >= 400) & (times < 560)
    assert run_onset(times, odd, 450) == 400
    assert run_onset(times, odd, 300, within=30) is None


@pytest.mark.parametrize(
    ("name", "kind", "topic"),
    [
        ("latency_p95", "latency", "latency"),
        ("PodServerLatencyP95(s)", "latency", "latency"),
        ("error_rate", "errors", "errors"),
        ("pool_in_use:orders", "resource", "pool"),
        ("disk_used", "resource", "disk"),
        ("CpuUsage", "resource", "cpu"),
        ("requests", "traffic", "traffic"),
        ("restarts", "resource", "restarts"),
        ("wibble", "other", "other"),
    ],
)
def test_indicator_names_are_read_by_their_words(name: str, kind: str, topic: str) -> None:
    assert classify(name) == (kind, topic)


def test_paths_and_reach_survive_cycles() -> None:
    a, b, c = service("a"), service("b"), service("c")
    graph = CallGraph([(a, b), (b, c), (c, a)])
    assert graph.path(c, a) == [c, b, a]
    assert graph.upstream(c) == {b: 1, a: 2}
    assert graph.path(a, service("elsewhere")) == [a]


def test_own_time_counts_parallel_children_once_and_clips_late_ones() -> None:
    parent = np.array([-1, 0, 0, 0])
    start = np.array([0, 10, 20, 90])
    duration = np.array([100, 30, 30, 50])
    assert own_time(start, duration, parent).tolist() == [50, 30, 30, 50]


def test_client_span_without_server_span_calls_what_its_attributes_name() -> None:
    spans = [
        span("1", "a", None, "orders", "work", START, 1),
        span(
            "1",
            "b",
            "a",
            "orders",
            "SELECT",
            START,
            0.5,
            kind="client",
            db_system="postgresql",
            db_name="orders",
        ),
        span(
            "1", "c", "a", "orders", "GET", START, 0.1, kind="client", server_address="billing.shop.svc:8080"
        ),
        span("2", "d", None, "billing", "GET", START, 0.1),
    ]
    directory = Directory([], [service("billing")])
    directory.entity(service("billing"))
    table = tabulate(spans, np.ones(4, bool), directory)
    called = {
        (table.entities[a].name, table.entities[b].kind, table.entities[b].name) for a, b in table.edges
    }
    assert called == {("orders", "database", "orders"), ("orders", "service", "billing")}


def test_numbers_ids_addresses_and_strings_are_masked() -> None:
    line = 'GET /a/42 from 10.1.2.3:4711 id 7f3c2b1a-1111-2222-3333-444455556666 took 12.5ms user "bob" rev deadbeef99'
    masked = logs.mask(line)
    for secret in ("42", "10.1.2.3", "7f3c2b1a", "12.5", "bob", "deadbeef99"):
        assert secret not in masked
    assert masked.startswith("GET /a/<*> from <*> id <*> took <*> user <*>")


def test_lines_that_differ_in_one_word_share_a_template_and_others_do_not() -> None:
    miner = logs.Templates()
    first, _ = miner.add("connection to shard alpha lost after 3 tries")
    second, _ = miner.add("connection to shard omega lost after 9 tries")
    other, _ = miner.add("cache warmed with 300 keys in 2 seconds flat")
    assert first == second != other
    assert miner.texts[first] == "connection to shard <*> lost after <*> tries"


def test_level_label_decides_before_words_do() -> None:
    assert logs.is_error(LogEntry(0, {"level": "error"}, "all is well"))
    assert not logs.is_error(LogEntry(0, {"level": "info"}, "0 errors, no Exception"))
    assert logs.is_error(LogEntry(0, {}, "java.lang.NullPointerException at x"))


def _lines(entity: Entity, count: int, text: str) -> list[tuple[Entity, LogEntry]]:
    return [log(entity, ONSET + i, text) for i in range(count)]


def test_twice_the_load_is_no_change_of_templates() -> None:
    web = service("web")
    usual = _lines(web, 40, "request served") + _lines(web, 20, "cache missed")
    double = _lines(web, 80, "request served") + _lines(web, 40, "cache missed")
    assert logs.changes(logs.Mined(double, usual)) == []


def test_path_that_ends_early_names_the_line_that_no_longer_follows() -> None:
    web = service("web")

    def requests(count: int, last: bool, tag: str) -> list[tuple[Entity, LogEntry]]:
        made = []
        for i in range(count):
            made.append(log(web, ONSET + i, "charge started", trace_id=f"{tag}{i}"))
            if last:
                made.append(log(web, ONSET + i, "charge finished well", trace_id=f"{tag}{i}"))
        return made

    broken = logs.broken_paths(logs.Mined(requests(20, False, "n"), requests(20, True, "r")))
    assert [(c.entity, c.template, c.now) for c in broken] == [(web, "charge finished well", 0)]
    assert logs.broken_paths(logs.Mined(requests(20, True, "n"), requests(20, True, "r"))) == []


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("registry.example.com", True),
        ("registry.example.com:5000", True),
        ("postgres", False),
        ("db.shop.svc.cluster.local", False),
        ("db.shop.svc", False),
        ("10.0.0.4", False),
        ("8.8.8.8", True),
    ],
)
def test_only_fully_qualified_names_mean_the_same_in_every_cluster(name: str, shared: bool) -> None:
    assert is_shared_name(name) is shared


def test_sigmas_of_what_hardly_moved_before_are_only_many() -> None:
    assert (far(-35.34), far(99.94), far(5877.7)) == ("35.3", "99.9", ">100")
