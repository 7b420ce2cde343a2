"""How network functions look in tables."""

from __future__ import annotations

from aiops_cli.models.cnf import CnfWorkload
from aiops_cli.render.output import Column, View


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _mib(value: int | None) -> str:
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
        Column("function", lambda w: w.function),
        Column("namespace", lambda w: w.namespace),
        Column("name", lambda w: w.name),
        Column("ready", lambda w: f"{_number(w.ready)}/{w.pods}", right=True, plain=lambda w: w.ready),
        Column("restarts", lambda w: str(w.restarts), right=True, plain=lambda w: w.restarts),
        Column("vfs", lambda w: _number(w.vfs), right=True, plain=lambda w: w.vfs),
        Column("huge", lambda w: _mib(w.hugepages_bytes), right=True, plain=lambda w: w.hugepages_bytes),
        Column("rt", lambda w: _kernel(w.real_time_kernel)),
        Column("ptp", lambda w: w.ptp_state),
        Column("nodes", _nodes, plain=lambda w: ",".join(w.nodes)),
        Column("kind", lambda w: w.kind, wide=True),
        Column("matched", lambda w: w.matched, wide=True),
        Column("source", lambda w: w.source, wide=True),
    ],
    lambda w: f"{w.cluster}/{w.namespace}/{w.name}",
)
