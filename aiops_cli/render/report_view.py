"""How reports look in tables."""

from __future__ import annotations

from msgspec import Struct

from aiops_cli.render.output import Column, View
from aiops_cli.services.report import Report
from aiops_cli.services.report_files import ReportDocument


class ReportEntry(Struct, frozen=True, rename="camel"):
    """An item of `report list`."""

    id: str
    type: str
    title: str
    created_at: str
    start: str
    end: str
    clusters: list[str]
    partial: bool


def row(document: ReportDocument) -> ReportEntry:
    report = document.items[0]
    return ReportEntry(
        report.id,
        report.type,
        report.title,
        report.created_at,
        report.start,
        report.end,
        [c.name for c in report.clusters],
        document.partial,
    )


REPORTS: View[ReportEntry] = View(
    "ReportList",
    [
        Column("id", lambda r: r.id),
        Column("created", lambda r: r.created_at),
        Column("type", lambda r: r.type),
        Column("title", lambda r: r.title),
        Column("clusters", lambda r: ",".join(r.clusters)),
        Column("partial", lambda r: "yes" if r.partial else None),
        Column("from", lambda r: r.start, wide=True),
        Column("to", lambda r: r.end, wide=True),
    ],
    lambda r: r.id,
)
REPORT: View[Report] = View("Report", [Column("id", lambda r: r.id)], lambda r: r.id)
