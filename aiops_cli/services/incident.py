"""An incident report from a session: everything it is made of, asked in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiops_cli.models.result import ErrorInfo
from aiops_cli.services import anomalies, health, report
from aiops_cli.services.inventory import recorded_health
from aiops_cli.services.investigation import investigate
from aiops_cli.services.queries import CATALOGUE
from aiops_cli.services.report_files import ReportDocument

if TYPE_CHECKING:
    from aiops_cli.models.analysis import Anomaly, Cause
    from aiops_cli.models.result import FleetResult
    from aiops_cli.services.rca import Investigation
    from aiops_cli.services.session import Session


async def make(
    session: Session, *, alert: str | None = None, at: str | None = None, namespace: str | None = None
) -> tuple[ReportDocument, FleetResult[Cause]]:
    """The report, and what came of each cluster. Raises UsageError as `investigate` does."""
    found = await investigate(session, alert=alert, at=at, namespace=namespace)
    unusual = await anomalies.detect(
        session.members,
        [q.expr for q in CATALOGUE.values()],
        found.window,
        found.step,
        session.now,
        skip_missing=True,
        policy=session.cache_policy(),
        watch=session.watcher(),
    )
    return await document(session, found, unusual), found.causes


async def document(session: Session, found: Investigation, unusual: FleetResult[Anomaly]) -> ReportDocument:
    """The report of an investigation that was made already."""
    bundle = session.bundle
    if bundle is not None:
        probed = recorded_health(bundle, [m.name for m in session.members])
    else:
        probed = await health.check(session.live)
    made = report.incident(
        report.Findings(
            investigation=found,
            anomalies=unusual,
            health=probed.rows,
            step=found.step,
            bundle=bundle.path if bundle is not None else None,
            lost=[
                (
                    f.cluster,
                    f.source,
                    ErrorInfo(f.code, f.message, "it was lost when the bundle was recorded"),
                )
                for f in (bundle.manifest.failures if bundle is not None else [])
                if f.cluster in {m.name for m in session.members}
            ],
        )
    )
    return ReportDocument(found.causes.clusters, [made], found.causes.partial)
