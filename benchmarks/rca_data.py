"""Readers of the labelled incidents: each case becomes what a live cluster would hand to the analysis.

Labels are read by `truth` alone and never reach an `Observations`.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from aiops_cli.analysis.observations import BadDirection, Indicator, Observations
from aiops_cli.models.analysis import Entity
from aiops_cli.models.signals import LogEntry, Series, Span, Workload
from aiops_cli.models.timerange import TimeRange

CLUSTER = "bench"


@dataclass(frozen=True, slots=True)
class Case:
    """A case: its observations, the entities that may be named, and the group it is reported under."""

    id: str
    group: str
    observations: Observations
    candidates: list[str]


@dataclass(frozen=True, slots=True)
class Label:
    """The truth of a case: the entity at fault, the kind of fault, and the group it is reported under."""

    root_cause: str
    fault: str
    group: str


def read_csv(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def numbers(rows: list[list[str]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Cells as floats of shape (rows, columns), empty ones NaN."""
    return np.array([[float(cell) if cell else np.nan for cell in row] for row in rows], dtype=np.float64)


# --- Nezha ---------------------------------------------------------------------------------------------

_NEZHA_INDICATORS: dict[str, tuple[str, str, BadDirection]] = {
    "CpuUsageRate(%)": ("cpu", "percent", "up"),
    "MemoryUsageRate(%)": ("memory", "percent", "up"),
    "SyscallRead": ("syscall_read", "", "both"),
    "SyscallWrite": ("syscall_write", "", "both"),
    "NetworkReceiveBytes": ("network_receive_bytes", "bytes/s", "both"),
    "NetworkTransmitBytes": ("network_transmit_bytes", "bytes/s", "both"),
    "PodServerLatencyP95(s)": ("latency_p95", "s", "up"),
    "PodClientLatencyP95(s)": ("client_latency_p95", "s", "up"),
    "PodWorkload(Ops)": ("requests", "1/s", "both"),
}
_NEZHA_NODE_INDICATORS: dict[str, tuple[str, str, BadDirection]] = {
    "NodeCpuUsageRate(%)": ("cpu", "percent", "up"),
    "NodeMemoryUsageRate(%)": ("memory", "percent", "up"),
    "NodeNetworkReceiveBytes": ("network_receive_bytes", "bytes/s", "both"),
}


def _nezha_indicators(rows: list[list[str]], node_of: dict[str, str]) -> list[Indicator]:
    table = numbers(rows[1:])
    times = table[:, 0]
    found: list[Indicator] = []
    nodes: dict[tuple[str, str], tuple[str, Series]] = {}
    for column, title in enumerate(rows[0]):
        service, _, metric = title.partition("_")
        if service in ("time", "entry"):
            continue
        values = table[:, column]
        series = Series({"service": service, "__name__": metric}, times, values)
        if metric in _NEZHA_INDICATORS:
            name, unit, bad = _NEZHA_INDICATORS[metric]
            entity = Entity("service", service, None, CLUSTER)
            found.append(Indicator(entity, name, series, title, unit, bad))
        elif metric in _NEZHA_NODE_INDICATORS:
            nodes.setdefault((metric, node_of[service]), (title, series))
    for (metric, node), (title, series) in nodes.items():
        name, unit, bad = _NEZHA_NODE_INDICATORS[metric]
        found.append(Indicator(Entity("node", node, None, CLUSTER), name, series, title, unit, bad))
    return found


def _nezha_nodes(rows: list[list[str]]) -> dict[str, str]:
    """Pods of one node report the very same node metrics: service to a name for its node."""
    seen: dict[tuple[str, ...], str] = {}
    nodes = {}
    for column, title in enumerate(rows[0]):
        service, _, metric = title.partition("_")
        if metric == "NodeCpuUsageRate(%)":
            cells = tuple(row[column] for row in rows[1:])
            nodes[service] = seen.setdefault(cells, f"node-of-{service}")
    return nodes


def _service_of(pod: str) -> str:
    return pod.rsplit("-", 2)[0]


def _nezha_spans(path: Path) -> list[tuple[str, Span]]:
    if not path.exists():
        return []
    names: dict[str, str] = {}
    spans = []
    for trace, span, parent, pod, operation, start, duration in read_csv(path)[1:]:
        service = names.get(pod) or names.setdefault(pod, _service_of(pod))
        above = None if parent == "root" else parent
        started = int(start) * 1000
        spans.append(
            (
                CLUSTER,
                Span(trace, span, above, service, operation, "", started, int(duration) * 1000, "unset"),
            )
        )
    return spans


def _nezha_logs(path: Path) -> list[tuple[Entity, LogEntry]]:
    if not path.exists():
        return []
    logs = []
    for row in read_csv(path)[1:]:
        pod, line = row[3], row[7]
        with suppress(ValueError, KeyError, TypeError):
            line = json.loads(line)["log"].rstrip("\n")
        # The container runtime's time: TimeUnixNano holds Go's zero time in places.
        stamp = re.sub(r"\.(\d{1,9})Z$", lambda m: "." + m[1][:6].ljust(6, "0") + "+00:00", row[0])
        try:
            seconds = datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(UTC).timestamp()
        except ValueError:
            continue
        entity = Entity("service", _service_of(pod), None, CLUSTER)
        context = {"trace_id": row[5], "span_id": row[6]} if row[5] else {}
        logs.append((entity, LogEntry(int(seconds * 1e9), {"pod": pod}, line, context)))
    return logs


@cache
def _nezha_reference(
    folder: Path,
) -> tuple[list[list[str]], list[tuple[str, Span]], list[tuple[Entity, LogEntry]], list[tuple[str, str]]]:
    edges = []
    if (folder / "dependency.csv.gz").exists():
        # Rows whose target is an address place a service on a node; the others are calls.
        edges = [(a, b) for a, b, *_ in read_csv(folder / "dependency.csv.gz")[1:] if not b[:1].isdigit()]
    return (
        read_csv(folder / "normal_metrics.csv.gz"),
        _nezha_spans(folder / "baseline_traces.csv.gz"),
        _nezha_logs(folder / "baseline_logs.csv.gz"),
        edges,
    )


def nezha_cases(root: Path) -> list[str]:
    return sorted(p.name for p in (root / "cases").iterdir() if p.is_dir())


def nezha_case(root: Path, name: str) -> Case:
    folder = root / "cases" / name
    meta = json.loads((folder / "case.json").read_text())
    reference, reference_spans, reference_logs, edges = _nezha_reference(root / meta["reference"])
    rows = read_csv(folder / "metrics.csv.gz")
    node_of = _nezha_nodes(rows)
    indicators = _nezha_indicators(rows, node_of)
    at = float(meta["inject_time"])
    times = indicators[0].series.timestamps
    observations = Observations(
        window=TimeRange(float(times[0]), float(times[-1]) + 60),
        at=at,
        indicators=indicators,
        reference=_nezha_indicators(reference, node_of),
        spans=_nezha_spans(folder / "traces.csv.gz"),
        reference_spans=reference_spans,
        logs=_nezha_logs(folder / "logs.csv.gz"),
        reference_logs=reference_logs,
        workloads=[
            (CLUSTER, Workload(service, "", node, "Deployment", service, "Running"))
            for service, node in node_of.items()
        ],
        edges=[(Entity("service", a, None, CLUSTER), Entity("service", b, None, CLUSTER)) for a, b in edges],
    )
    group = "OB" if meta["system"] == "online-boutique" else "TT"
    return Case(name, group, observations, list(meta["candidates"]))


# --- PetShop -------------------------------------------------------------------------------------------

_PETSHOP_UNITS = {"latency": "s", "availability": "percent", "requests": "1"}
_PETSHOP_BAD: dict[str, BadDirection] = {"latency": "up", "availability": "down", "requests": "both"}


def _petshop_indicators(path: Path) -> list[Indicator]:
    rows = read_csv(path)
    nodes, metrics, statistics = rows[0], rows[1], rows[2]
    body = [row for row in rows[3:] if row and row[0] not in ("unix_timestamp", "")]
    table = numbers(body)
    found = []
    for column in range(1, len(nodes)):
        node, metric, statistic = nodes[column], metrics[column], statistics[column]
        if metric == "latency" and statistic not in ("Average", "p90", "p95"):
            continue
        name = metric if statistic in ("Average", "Sum") else f"{metric}_{statistic}"
        series = Series({"node": node, "__name__": name}, table[:, 0], table[:, column])
        query = f"{node}:{metric}:{statistic}"
        found.append(
            Indicator(
                Entity("service", node, None, CLUSTER),
                name,
                series,
                query,
                _PETSHOP_UNITS.get(metric, ""),
                _PETSHOP_BAD.get(metric, "both"),
            )
        )
    return found


@cache
def _petshop_reference(root: Path) -> tuple[list[Indicator], list[tuple[str, str]]]:
    rows = read_csv(root / "graph.csv.gz")
    edges = [
        (row[0], callee)
        for row in rows[1:]
        for callee, weight in zip(rows[0][1:], row[1:], strict=True)
        if weight and float(weight)
    ]
    return _petshop_indicators(root / "normal_metrics.csv.gz"), edges


def petshop_cases(root: Path) -> list[str]:
    return sorted(p.name for p in (root / "cases").iterdir() if p.is_dir())


def petshop_case(root: Path, name: str) -> Case:
    folder = root / "cases" / name
    target = json.loads((folder / "case.json").read_text())["target"]
    reference, edges = _petshop_reference(root)
    indicators = _petshop_indicators(folder / "metrics.csv.gz")
    times = indicators[0].series.timestamps
    observations = Observations(
        window=TimeRange(float(times[0]), float(times[-1]) + 300),
        at=float(target["timestamp"]),
        indicators=indicators,
        reference=reference,
        alerts=[_slo_alert(target)],
        edges=[(Entity("service", a, None, CLUSTER), Entity("service", b, None, CLUSTER)) for a, b in edges],
    )
    candidates = sorted({name for edge in edges for name in edge})
    return Case(name, target["metric"], observations, candidates)


def _slo_alert(target: dict[str, Any]) -> Any:
    from aiops_cli.models.signals import AlertItem

    at = datetime.fromtimestamp(float(target["timestamp"]), UTC).isoformat().replace("+00:00", "Z")
    labels = {"alertname": f"SLO_{target['metric']}", "service": target["node"], "slo": target["metric"]}
    return AlertItem(CLUSTER, target["node"], labels["alertname"], "FIRING", "critical", labels, {}, at)


def truth(root: Path) -> dict[str, Label]:
    """The labels of a set, for the scorer."""
    with (root / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = {}
    for row in rows:
        if "root_cause_service" in row:
            group = "OB" if row["system"] == "online-boutique" else "TT"
            labels[row["case"]] = Label(row["root_cause_service"], row["fault_type"], group)
        else:
            labels[row["case"]] = Label(row["root_cause_node"], row["target_metric"], row["target_metric"])
    return labels
