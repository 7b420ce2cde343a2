"""Whatever the input: no exception, equal answers to equal input, times inside the window, order by rank."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops_cli.analysis.anomalies import SIGMAS, detect
from aiops_cli.analysis.logs import Templates, mask
from aiops_cli.analysis.observations import Indicator, Observations
from aiops_cli.analysis.rca import analyze
from aiops_cli.models.analysis import Entity
from aiops_cli.models.signals import AlertItem, Change, KubeEvent, LogEntry, Series, Span, Workload
from aiops_cli.models.timerange import TimeRange

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WINDOW = TimeRange(1000.0, 4000.0)

any_float = st.floats(allow_nan=True, allow_infinity=True, width=64)
words = st.sampled_from(["web", "orders", "db", "", "a b;c", "Ünï", "node-1"])
times = st.floats(min_value=0, max_value=5000, allow_nan=False)


@st.composite
def any_series(draw: st.DrawFn) -> Series:
    count = draw(st.integers(0, 60))
    values = draw(st.lists(st.one_of(any_float, st.just(1.0)), min_size=count, max_size=count))
    stamps = draw(
        st.one_of(
            st.just([1000.0 + 50 * i for i in range(count)]),
            st.lists(st.one_of(times, any_float), min_size=count, max_size=count),
        )
    )
    name = draw(st.sampled_from(["x", "x_total"]))
    return Series({"__name__": name}, np.array(stamps, dtype=float), np.array(values, dtype=float))


entities = st.builds(
    Entity, st.sampled_from(["service", "pod", "node", "database", "external"]), words, words, words
)
indicators = st.builds(
    Indicator,
    entities,
    st.sampled_from(["latency_p95", "error_rate", "cpu", "pool_in_use", "requests", "???", ""]),
    any_series(),
    st.just("q"),
    st.sampled_from(["s", "ratio", ""]),
    st.sampled_from(["up", "down", "both"]),
)
nanoseconds = st.integers(-(10**18), 5 * 10**12)
spans = st.builds(
    Span,
    st.sampled_from(["1", "2"]),
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from([None, "a", "b", "c", "z"]),
    words,
    words,
    st.sampled_from(["client", "server", ""]),
    nanoseconds,
    st.integers(-5, 10**12),
    st.sampled_from(["ok", "error", "unset"]),
    st.sampled_from([{}, {"db.system": "redis"}, {"server.address": "db.example.com"}]),
)
entries = st.builds(LogEntry, nanoseconds, st.sampled_from([{}, {"level": "error"}]), st.text(max_size=40))
events = st.builds(
    KubeEvent, times, st.sampled_from(["Normal", "Warning"]), words, words, words, words, st.text(max_size=30)
)
changes = st.builds(Change, times, words, words, words, words)
alerts = st.builds(
    AlertItem,
    words,
    words,
    words,
    st.sampled_from(["FIRING", "RESOLVED"]),
    st.none() | words,
    st.dictionaries(st.sampled_from(["service", "pod", "node"]), words),
    st.just({}),
    st.none() | st.sampled_from(["2023-01-01T00:00:00Z", "rubbish"]),
)
workloads = st.builds(Workload, words, words, st.none() | words, st.none() | words, st.none() | words, words)


def some(strategy: st.SearchStrategy[object], most: int = 6) -> st.SearchStrategy[list[object]]:
    return st.lists(strategy, max_size=most)


def placed(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.tuples(words, strategy)


observations = st.builds(
    Observations,
    window=st.just(WINDOW),
    at=st.floats(1000, 4000),
    baseline=st.none() | st.just(TimeRange(1000.0, 1500.0)),
    indicators=some(indicators),
    reference=some(indicators),
    spans=some(placed(spans), 12),
    reference_spans=some(placed(spans), 12),
    logs=some(st.tuples(entities, entries), 12),
    reference_logs=some(st.tuples(entities, entries), 12),
    alerts=some(alerts, 3),
    events=some(placed(events), 4),
    changes=some(placed(changes), 4),
    workloads=some(placed(workloads), 4),
    edges=some(st.tuples(entities, entities), 6),
)


@quick
@given(st.lists(any_series(), max_size=5), st.sampled_from(list(SIGMAS)), st.booleans())
def test_detect_answers_whatever_it_is_given(series: list[Series], word: str, limited: bool) -> None:
    window = TimeRange(1500.0, 3000.0) if limited else None
    found = detect(series, sensitivity=word, window=window)  # type: ignore[arg-type]
    assert found == detect(series, sensitivity=word, window=window)  # type: ignore[arg-type]
    for finding in found:
        assert finding.start <= finding.end
        assert 0 <= finding.confidence <= 1
        assert finding.reason and finding.severity in ("HIGH", "MEDIUM", "LOW")
        assert np.isfinite([finding.expected, finding.actual, finding.deviation or 0.0]).all()
        if window is not None:
            assert window.start <= finding.start and finding.end <= window.end


@quick
@given(observations)
def test_analyze_answers_whatever_it_is_given(obs: Observations) -> None:
    causes = analyze(obs, limit=5)
    assert causes == analyze(obs, limit=5)
    assert [c.rank for c in causes] == list(range(1, len(causes) + 1))
    assert [c.score for c in causes] == sorted((c.score for c in causes), reverse=True)
    assert len({c.entity for c in causes}) == len(causes)
    for cause in causes:
        assert 0 <= cause.confidence <= 1
        assert cause.evidence and cause.next_steps
        assert cause.chain[0] == cause.entity
        assert cause.onset is not None
        assert WINDOW.start <= datetime.fromisoformat(cause.onset).timestamp() <= WINDOW.end


@quick
@given(st.lists(st.text(max_size=80), max_size=20))
def test_templates_are_stable_for_any_text(lines: list[str]) -> None:
    miner = Templates()
    first = [miner.add(line)[0] for line in lines]
    assert [miner.add(line)[0] for line in lines] == first
    assert all(isinstance(mask(line), str) for line in lines)
