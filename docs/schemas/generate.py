"""Write the JSON Schemas beside this file from the models: `python docs/schemas/generate.py`.

One file for each `kind` of machine output, and one for check files, so that editors complete them.
A field is always there in the output, and so required, unless its model says that it may be absent; new
ones may come within a version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from aiops_cli.models.alerts import (
    AlertDetail,
    AlertEvent,
    AlertGroup,
    AlertPeriod,
    SilenceItem,
    SilenceResult,
)
from aiops_cli.models.analysis import Anomaly, Cause
from aiops_cli.models.cnf import CnfSummary, CnfWorkload, DpdkPod, SriovPf, SriovVf
from aiops_cli.models.events import EventItem
from aiops_cli.models.findings import Finding
from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.models.gpu import Gpu, GpuInference, GpuProcess, GpuSummary
from aiops_cli.models.log_items import LogStatsItem
from aiops_cli.models.patterns import PatternItem
from aiops_cli.models.ptp import PtpClock
from aiops_cli.models.related import RelatedItem
from aiops_cli.models.result import API_VERSION, ClusterStatus
from aiops_cli.models.signals import AlertItem, LogItem, MetricItem, TraceItem
from aiops_cli.render.metric_views import QueryItem
from aiops_cli.render.report_view import ReportEntry
from aiops_cli.render.views import LabelSet, Word
from aiops_cli.services.assertions import CheckFile
from aiops_cli.services.check import CheckItem
from aiops_cli.services.inventory import ClusterEntry, Discovered
from aiops_cli.services.listings import ExemplarItem, MetadataItem
from aiops_cli.services.report import Report
from aiops_cli.services.service_graph import EdgeItem
from aiops_cli.services.trace_names import OperationItem, ServiceItem
from aiops_cli.services.traces import SpanItem
from aiops_cli.store.state import Analysis

HERE = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"

# kind -> the commands that print it, and its items.
KINDS: dict[str, tuple[str, type[msgspec.Struct] | None]] = {
    "AlertDetail": ("alerts show", AlertDetail),
    "AlertEvent": ("alerts watch", AlertEvent),
    "AlertGroupList": ("alerts list --group-by LABEL", AlertGroup),
    "AlertHistory": ("alerts history", AlertPeriod),
    "AlertList": ("alerts list", AlertItem),
    "AnalysisList": ("rca list", Analysis),
    "AnomalyList": ("anomalies detect", Anomaly),
    "CauseList": ("rca analyze, rca show", Cause),
    "CheckList": ("check", CheckItem),
    "ClusterHealthList": ("clusters health", ClusterHealth),
    "ClusterList": ("clusters list, clusters show", ClusterEntry),
    "CnfSummaryList": ("cnf summary", CnfSummary),
    "CnfWorkloadList": ("cnf workloads", CnfWorkload),
    "DpdkPodList": ("cnf dpdk", DpdkPod),
    "EndpointList": ("clusters discover", Discovered),
    "EventList": ("events", EventItem),
    "ExemplarList": ("metrics exemplars", ExemplarItem),
    "FindingList": ("gpu nodes --findings, cnf ptp --findings, cnf sriov --findings", Finding),
    "GpuInferenceList": ("gpu inference", GpuInference),
    "GpuList": ("gpu nodes", Gpu),
    "GpuProcessList": ("gpu processes", GpuProcess),
    "GpuSummaryList": ("gpu summary", GpuSummary),
    "LabelList": ("metrics labels, logs labels", Word),
    "LabelValueList": ("metrics values, logs labels NAME", Word),
    "LogList": ("logs query", LogItem),
    "LogPatternList": ("logs patterns", PatternItem),
    "LogStatsList": ("logs stats", LogStatsItem),
    "MetadataList": ("metrics metadata", MetadataItem),
    "MetricList": ("metrics query, metrics range, logs query, traces metrics", MetricItem),
    "PtpClockList": ("cnf ptp", PtpClock),
    "QueryList": ("metrics queries", QueryItem),
    "RelatedList": ("related", RelatedItem),
    "Report": ("report generate, report show", Report),
    "ReportList": ("report list", ReportEntry),
    "SeriesList": ("metrics series, logs series", LabelSet),
    "SilenceList": ("alerts silence list", SilenceItem),
    "SilenceResultList": ("alerts silence add, alerts silence import, alerts silence expire", SilenceResult),
    "SpanList": ("traces show", SpanItem),
    "SriovPfList": ("cnf sriov", SriovPf),
    "SriovVfList": ("cnf sriov", SriovVf),
    "SqlResult": ("sql", None),
    "TraceGraph": ("traces graph", EdgeItem),
    "TraceList": ("traces search", TraceItem),
    "TraceOperationList": ("traces operations", OperationItem),
    "TraceServiceList": ("traces services", ServiceItem),
}


def schemas() -> dict[str, dict[str, Any]]:
    """File name to schema."""
    found = {f"{kind}.json": _envelope(kind, *KINDS[kind]) for kind in KINDS}
    found["check-file.json"] = {
        "$schema": DIALECT,
        **CheckFile.model_json_schema(by_alias=True),
        "title": "aiops check file",
    }
    return found


def text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _envelope(kind: str, commands: str, item: type[msgspec.Struct] | None) -> dict[str, Any]:
    types = [ClusterStatus, *([item] if item else [])]
    references, components = msgspec.json.schema_components(
        types, schema_hook=_anything, ref_template="#/$defs/{name}"
    )
    items: dict[str, Any] = {"type": "array", "items": references[1] if item else {"type": "object"}}
    if kind == "Report":
        items |= {"minItems": 1, "maxItems": 1}
    return {
        "$schema": DIALECT,
        "title": kind,
        "description": f"What `aiops {commands}` prints with -o json.".replace(", ", "` and `aiops "),
        "type": "object",
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "partial": {"description": "Some cluster's answer is missing or incomplete.", "type": "boolean"},
            "clusters": {"type": "array", "items": references[0]},
            "items": items,
        },
        "required": ["apiVersion", "kind", "partial", "clusters", "items"],
        "$defs": {name: _complete(schema) for name, schema in sorted(components.items())},
    }


def _anything(type_: type) -> dict[str, Any]:
    """Attributes of spans may be of any JSON type."""
    if type_ is object:
        return {"type": ["string", "number", "boolean", "array", "object", "null"]}
    raise NotImplementedError


def _complete(schema: dict[str, Any]) -> dict[str, Any]:
    """Every field that is always there required, no defaults, the description without the source's indentation."""
    described = dict(schema)
    if "description" in described:
        described["description"] = " ".join(described["description"].split())
    if "properties" in described:
        described["properties"] = {
            name: {k: v for k, v in field.items() if k != "default"}
            for name, field in described["properties"].items()
        }
        # A field that may be absent has no default, and is not among the required ones.
        always = described.get("required", [])
        described["required"] = [
            name for name, field in schema["properties"].items() if name in always or "default" in field
        ]
    return described


if __name__ == "__main__":
    for name, schema in schemas().items():
        (HERE / name).write_text(text(schema), encoding="utf-8")
