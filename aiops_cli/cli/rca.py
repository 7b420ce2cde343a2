"""`aiops rca`: ranked, evidenced root causes."""

from __future__ import annotations

from typing import Annotated

import typer

from aiops_cli.cli.runtime import Session, execute
from aiops_cli.errors import ExitCode

app = typer.Typer(add_completion=False, help="Ranked, evidenced root causes.", no_args_is_help=True)


@app.command()
def analyze(
    ctx: typer.Context,
    alert: Annotated[
        str | None, typer.Option("--alert", help="Explain this alert, by fingerprint (or its start).")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", help="Explain the trouble at this time.")] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Only what belongs to this namespace.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Causes to show.")] = 10,
    fail_on: Annotated[
        float | None,
        typer.Option(
            "--fail-on", min=0, max=1, help="Exit 1 when a cause has at least this confidence (0 to 1)."
        ),
    ] = None,
) -> None:
    """Read all signals of the window (last hour unless said) and rank what explains the trouble."""

    async def body(session: Session) -> int:
        import sys

        from aiops_cli.render.analysis_views import cause_view
        from aiops_cli.render.causes import causes_text, unread_text
        from aiops_cli.services.investigation import investigate, keep

        found = await investigate(session, alert=alert, at=at, namespace=namespace, limit=limit)
        kept = keep(session, found)
        if session.format == "table" and not session.options.columns:
            if found.evidence:
                silent = {c.name: ["an answer"] for c in found.causes.failed}
                unread = unread_text(silent | found.unread)
                sys.stdout.write(causes_text(found.causes.rows, session.zone, _width(), unread=unread))
            session.explain(found.causes)
            code = int(session.exit_code(found.causes))
        else:
            code = session.emit(
                cause_view(session.zone),
                found.causes,
                extra={"id": kept.id, "window": {"start": kept.start, "end": kept.end}},
            )
        if fail_on is not None and any(c.confidence >= fail_on for c in found.causes.rows):
            return int(ExitCode.FINDINGS)
        return code

    execute(ctx, body)


def _width() -> int:
    import shutil

    return shutil.get_terminal_size((120, 40)).columns


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """Earlier analyses, newest first."""

    async def body(session: Session) -> int:
        from aiops_cli.models.result import FleetResult
        from aiops_cli.render.rca_views import ANALYSES

        rows = sorted(session.state.analyses(), key=lambda a: a.at, reverse=True)
        return session.emit(ANALYSES, FleetResult(rows, []))

    execute(ctx, body, select=False)


@app.command()
def show(
    ctx: typer.Context, id: Annotated[str, typer.Argument(help="An analysis id, or the start of one.")]
) -> None:
    """An earlier analysis."""

    async def body(session: Session) -> int:
        import sys

        from aiops_cli.errors import UsageError
        from aiops_cli.models.result import ClusterStatus, FleetResult
        from aiops_cli.render.analysis_views import cause_view
        from aiops_cli.render.causes import causes_text

        found = [a for a in session.state.analyses() if a.id.startswith(id)]
        if not found:
            raise UsageError(f"no analysis {id!r}", hint="aiops rca list shows them")
        analysis = found[-1]
        result = FleetResult(
            list(analysis.causes), [ClusterStatus(c, "SUCCESS", "cache") for c in analysis.clusters]
        )
        if session.format == "table":
            sys.stdout.write(causes_text(result.rows, session.zone, _width()))
            return 0
        return session.emit(cause_view(session.zone), result, extra={"id": analysis.id})

    execute(ctx, body, select=False)
