"""How network functions look in tables."""

from __future__ import annotations

from collections.abc import Callable

from aiops_cli.models.cnf import CnfSummary, CnfWorkload
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import si


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def gibibytes(value: int | None) -> str:
    return "-" if value is None else f"{value / (1 << 30):.4g}Gi" if value else "0"


def _kernel(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"


def _nodes(row: CnfWorkload) -> str:
    more = len(row.nodes) - 1
    return f"{row.nodes[0]} +{more}" if more > 0 else row.nodes[0] if row.nodes else "-"


WORKLOADS: View[CnfWorkload] = View(
    "CnfWorkloadList",
    [
        Column("cluster", lambda w: w.cluster),
        Column("nf", lambda w: w.function),
        Column("workload", lambda w: f"{w.namespace}/{w.name}"),
        Column("ready", lambda w: f"{_number(w.ready)}/{w.pods}", right=True, plain=lambda w: w.ready),
        Column("restarts", lambda w: str(w.restarts), right=True, plain=lambda w: w.restarts),
        Column("vfs", lambda w: _number(w.vfs), right=True, plain=lambda w: w.vfs),
        Column("huge", lambda w: gibibytes(w.hugepages_bytes), right=True, plain=lambda w: w.hugepages_bytes),
        Column("rt", lambda w: _kernel(w.real_time_kernel)),
        Column("ptp", lambda w: w.ptp_state),
        Column("nodes", _nodes, plain=lambda w: ",".join(w.nodes)),
        Column("kind", lambda w: w.kind, wide=True),
        Column("matched", lambda w: w.matched, wide=True),
        Column("source", lambda w: w.source, wide=True),
    ],
    lambda w: f"{w.cluster}/{w.namespace}/{w.name}",
)


def _of(part: int | None, whole: int | None) -> str:
    return "-" if whole is None else f"{_number(part)}/{whole}"


def _functions(row: CnfSummary) -> str:
    return ",".join(f"{name}:{count}" for name, count in (row.functions or {}).items())


def _ns(title: str, of: Callable[[CnfSummary], float | None], *, wide: bool = False) -> Column[CnfSummary]:
    def text(row: CnfSummary) -> str:
        value = of(row)
        return "-" if value is None else si(value * 1e-9, "s")

    return Column(title, text, right=True, wide=wide, plain=of, unit="ns")


def _ratio(
    title: str, part: Callable[[CnfSummary], int | None], whole: Callable[[CnfSummary], int | None]
) -> Column[CnfSummary]:
    """ "3/4" for people; CSV has the part, and the whole in a column of its own."""
    return Column(title, lambda s: _of(part(s), whole(s)), right=True, plain=part)


def _count(title: str, of: Callable[[CnfSummary], int | None]) -> Column[CnfSummary]:
    return Column(title, lambda s: _number(of(s)), right=True, wide=True, plain=of)


SUMMARY: View[CnfSummary] = View(
    "CnfSummaryList",
    [
        Column("cluster", lambda s: s.cluster),
        Column("functions", _functions),
        _ratio("ready", lambda s: s.workloads_ready, lambda s: s.workloads),
        _ratio("locked", lambda s: s.clocks_locked, lambda s: s.clocks),
        _ns("offset", lambda s: s.max_offset_ns),
        _ns("p99", lambda s: s.p99_offset_ns),
        _ratio("synced", lambda s: s.sriov_nodes_in_sync, lambda s: s.sriov_nodes),
        _ratio("vfs used", lambda s: s.vfs_used, lambda s: s.vfs_configured),
        Column("critical", lambda s: _number(s.critical), right=True, plain=lambda s: s.critical),
        Column("warning", lambda s: _number(s.warnings), right=True, plain=lambda s: s.warnings),
        Column(
            "vfs used %",
            lambda s: "-" if s.vfs_used_percent is None else f"{s.vfs_used_percent:.0f}%",
            right=True,
            wide=True,
            plain=lambda s: None if s.vfs_used_percent is None else round(s.vfs_used_percent, 1),
        ),
        _count("holdover", lambda s: s.clocks_holdover),
        _count("freerun", lambda s: s.clocks_freerun),
        _ns("mean", lambda s: s.mean_offset_ns, wide=True),
        _count("workloads", lambda s: s.workloads),
        _count("clocks", lambda s: s.clocks),
        _count("sriov nodes", lambda s: s.sriov_nodes),
        _count("vfs", lambda s: s.vfs_configured),
        _count("pfs", lambda s: s.pfs),
        _count("down", lambda s: s.pfs_down),
        _count("possible", lambda s: s.vfs_total),
        Column("missing", lambda s: ",".join(sorted(s.missing)), wide=True),
    ],
    lambda s: s.cluster,
)
