"""What a recording keeps of sources that answer, fail, lie, or hold what was to be left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiops_cli.errors import ClusterError, ErrorCode, NotAvailableError
from aiops_cli.models.fleet import Cluster
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import (
    AlertItem,
    Change,
    Difference,
    KubeEvent,
    LogEntry,
    Series,
    Span,
    Workload,
)
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.bundle import ClusterParts, open_bundle
from aiops_cli.services.record import Recording, record

START = 1_764_000_000
NS = START * 10**9
SECRET = "hunter2"


class Sources:
    """A cluster whose sources are what `failing` does not name; one object answers for all."""

    name, origin = "lab", "live"

    def __init__(self, **failing: Exception) -> None:
        self.cluster = Cluster("lab", server=f"https://kim:{SECRET}@lab", labels={"team": "a"})
        self._failing = failing

    async def recover(self, error: Exception) -> bool:
        return False

    def __getattr__(self, source: str) -> Any:
        if source not in ("metrics", "alerts", "logs", "traces", "kube"):
            raise AttributeError(source)

        async def opened() -> Any:
            if source in self._failing and source != "metrics":
                raise self._failing[source]
            return Answering(self._failing.get("metrics"))

        return opened


class Answering:
    def __init__(self, queries_fail: Exception | None) -> None:
        self._queries_fail = queries_fail

    async def query_range(self, expr: str, *rest: Any) -> Answer[Any]:
        if len(rest) == 2:
            if self._queries_fail:
                raise self._queries_fail
            labels = {"pod": "api-0", "access_token": SECRET}
            return Answer([Series(labels, np.array([START + 1.0]), np.array([1.0]))])
        lines = [LogEntry(ns, {"pod": "api-0"}, f"DB_PASSWORD={SECRET}") for ns in (NS + 5, int("9" * 25))]
        return Answer(lines)

    async def labels(self, window: TimeRange) -> Answer[str]:
        return Answer(["pod"])

    async def spans(self, *_: Any) -> Answer[Span]:
        attributes = {"db.password": SECRET, "user.email": "a@b"}
        event = {"name": "e", "attributes": {"user.email": "a@b", "token": SECRET}}
        whole = Span("t", "s", None, "api", "n", "k", NS, 5, "ok", attributes, {}, (event,))
        lie = Span("t", "lie", None, "api", "n", "k", int("9" * 25), 5, "ok")
        return Answer([whole, lie])

    async def alerts(self) -> Answer[AlertItem]:
        return Answer(
            [
                AlertItem(
                    "x",
                    "f",
                    "Slow",
                    "FIRING",
                    None,
                    {"pod": "api-0"},
                    {"client_secret": SECRET, "summary": "api-0, in shop"},
                    "soon",
                )
            ]
        )

    async def version(self) -> str:
        return "v1.34.0"

    async def events(self, window: TimeRange) -> Answer[KubeEvent]:
        return Answer(
            [KubeEvent(START, "Warning", "r", "Pod", "api-0", "shop", f"pwd={SECRET} of shop/api-0_x.")]
        )

    async def changes(self, window: TimeRange) -> Answer[Change]:
        differences = [Difference("env A", "changed", "app", f"token={SECRET}", f"pwd={SECRET}")]
        said = f"env A token={SECRET}"
        return Answer([Change(START, "Deployment", "pay", "shop", "rollout", said, differences)])

    async def timeline(self, window: TimeRange, types: Any) -> Answer[Any]:
        return Answer(
            [Change(START, "Pod", "api-0", "shop", "restart", f"of api: pwd={SECRET}", workloads=["api"])]
        )

    async def workloads(self) -> Answer[Workload]:
        return Answer([Workload("api-0", "shop", "node-1", None, None, "Running", {"pod": "api-0"})])


async def recorded(tmp_path: Path, redact: list[str], **failing: Exception) -> tuple[ClusterParts, str]:
    """The parts of the recorded cluster, and everything in the file as text."""
    file = tmp_path / "x.aiops"
    members: Any = [Sources(**failing)]
    await record(members, Recording(TimeRange(START, START + 600), 15, redact=redact), file)
    bundle = open_bundle(str(file))
    parts = bundle.parts_of("lab")
    text = f"{bundle.manifest} {parts}"
    bundle.close()
    return parts, text


async def test_no_part_and_no_failure_holds_a_secret(tmp_path: Path) -> None:
    error = ClusterError(f"lab said: token={SECRET}", code=ErrorCode.SERVER_ERROR)
    parts, text = await recorded(tmp_path, [], kube=error)
    assert SECRET not in text
    assert "lab said: token=[redacted]" in text
    assert parts.spans[0].attributes["user.email"] == "a@b"


async def test_no_part_of_a_whole_cluster_holds_a_secret(tmp_path: Path) -> None:
    _, text = await recorded(tmp_path, [])
    assert SECRET not in text


async def test_redaction_reaches_events_of_spans_and_fields_of_objects(tmp_path: Path) -> None:
    parts, text = await recorded(tmp_path, ["pod", "user.email"])
    assert "a@b" not in text and "api-0" not in text
    assert parts.alerts[0].annotations["summary"] == "[redacted], in shop"
    assert parts.kube is not None
    assert parts.kube.events[0].message.endswith(" of shop/[redacted]_x.")
    assert parts.kube.workloads[0].node == "node-1" and parts.kube.events[0].namespace == "shop"
    assert parts.kube.states is not None
    assert (parts.kube.states[0].name, parts.kube.states[0].workloads) == ("[redacted]", ["api"])


async def test_redaction_of_workloads_reaches_who_a_change_is_about(tmp_path: Path) -> None:
    parts, _ = await recorded(tmp_path, ["deployment"])
    assert parts.kube is not None and parts.kube.states is not None
    assert parts.kube.changes[0].name == "[redacted]"
    assert parts.kube.states[0].workloads == []
    assert parts.kube.states[0].detail.startswith("of [redacted]: ")


async def test_times_that_no_file_can_hold_are_left_out(tmp_path: Path) -> None:
    parts, _ = await recorded(tmp_path, [])
    assert {line.ns for logs in parts.logs for line in logs.lines} == {NS + 5}
    assert [s.span_id for s in parts.spans] == ["s"]
    assert parts.alerts[0].starts_at is None


async def test_failed_queries_are_one_failed_source(tmp_path: Path) -> None:
    gone = NotAvailableError("no such thing", code=ErrorCode.LOKI_NOT_AVAILABLE)
    broken = ClusterError("it answers 500", code=ErrorCode.SERVER_ERROR)
    parts, text = await recorded(tmp_path, [], metrics=broken, logs=gone, traces=gone, kube=gone)
    assert [a.name for a in parts.alerts] == ["Slow"]
    assert text.count("it answers 500") == 1


async def test_a_cluster_of_which_nothing_answers_fails_with_the_worst(tmp_path: Path) -> None:
    gone = NotAvailableError("no such thing", code=ErrorCode.LOKI_NOT_AVAILABLE)
    broken = ClusterError("it answers 500", code=ErrorCode.SERVER_ERROR)
    members: Any = [Sources(metrics=gone, logs=gone, traces=gone, alerts=broken, kube=gone)]
    file = tmp_path / "x.aiops"
    _, result = await record(members, Recording(TimeRange(START, START + 600), 15), file)
    assert result.clusters[0].error is not None
    assert result.clusters[0].error.code == "SERVER_ERROR"
    assert not file.exists()


@pytest.mark.parametrize("name", ["pod", "namespace", "node"])
async def test_one_redaction_leaves_the_other_fields(tmp_path: Path, name: str) -> None:
    parts, _ = await recorded(tmp_path, [name])
    assert parts.kube is not None
    pod = parts.kube.workloads[0]
    hidden = {f for f in ("pod", "namespace", "node") if getattr(pod, f) == "[redacted]"}
    assert hidden == {name}
