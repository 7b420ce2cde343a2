"""Questions of the RCA screen: what explains the trouble, what is unusual, and the report of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiops_cli.models.analysis import Anomaly
from aiops_cli.models.result import FleetResult
from aiops_cli.services.session import Session
from aiops_cli.store.state import Analysis
from aiops_cli.tui.watching import Watched


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be explained: an alert by fingerprint, a moment (RFC 3339), a namespace; none: the worst."""

    alert: str | None = None
    at: str | None = None
    namespace: str | None = None

    @property
    def args(self) -> dict[str, str]:
        said = {"name": self.alert, "at": self.at, "ns": self.namespace}
        return {k: v for k, v in said.items() if v}


async def ask_causes(session: Watched, question: Question) -> tuple[Any, Analysis]:
    """Investigate, and keep what was found."""
    from aiops_cli.services.investigation import investigate, keep

    found = await investigate(
        session,
        alert=question.alert,
        at=None if question.alert else question.at,
        namespace=question.namespace,
    )
    return found, keep(session, found)


async def ask_anomalies(session: Watched) -> FleetResult[Anomaly]:
    """Every named query of the catalogue in the dashboard's range."""
    from aiops_cli.services import anomalies, queries

    default = session.bundle.end - session.bundle.manifest.start if session.bundle else 86400.0
    window = session.window(default)
    found = await anomalies.detect(
        session.members,
        [q.expr for q in queries.CATALOGUE.values()],
        window,
        session.step(window),
        session.now,
        skip_missing=True,
        policy=session.cache_policy(),
        watch=session.watcher(),
    )
    if session.bundle is None:
        session.state.add_anomalies(found.rows)
    return found


async def make_report(session: Session, found: Any, form: str) -> tuple[str, str, str]:
    """Its id, its text, and where it is kept. Raises StoreError."""
    from datetime import UTC

    import msgspec

    from aiops_cli.render.markdown_report import markdown
    from aiops_cli.services import anomalies, queries, report_files
    from aiops_cli.services.incident import document

    unusual = await anomalies.detect(
        session.members,
        [q.expr for q in queries.CATALOGUE.values()],
        found.window,
        found.step,
        session.now,
        skip_missing=True,
        policy=session.cache_policy(),
    )
    made = await document(session, found, unusual)
    path = report_files.save(made)
    if form == "json":
        text = msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"
    else:
        text = markdown(made.items[0], session.zone if session.options.tz else UTC)
    return made.items[0].id, text, str(path)
