"""`aiops alerts`: active alerts of the fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(add_completion=False, help="Active alerts of the fleet.", no_args_is_help=True)


@app.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[str | None, typer.Option("--state", help="FIRING, PENDING or SUPPRESSED.")] = None,
    severity: Annotated[str | None, typer.Option("--severity", help="critical, warning, info.")] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Only alerts of this namespace.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Only this alertname.")] = None,
) -> None:
    """Active alerts of every chosen cluster, worst first."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.alert_views import alert_view
        from aiops_cli.errors import UsageError
        from aiops_cli.services import alerts

        if state is not None and state.upper() not in ("FIRING", "PENDING", "SUPPRESSED", "RESOLVED"):
            raise UsageError(f"unknown state {state!r}", hint="FIRING, PENDING, SUPPRESSED or RESOLVED")
        found = await alerts.list_alerts(
            session.members,
            state=state,
            severity=severity,
            namespace=namespace,
            name=name,
            watch=session.watcher(),
        )
        return session.emit(alert_view(session.now), found)

    execute(ctx, body)


@app.command()
def show(
    ctx: typer.Context,
    fingerprint: Annotated[str, typer.Argument(help="A fingerprint, or the start of one.")],
) -> None:
    """One alert with its labels and annotations."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.alert_views import alert_text, alert_view
        from aiops_cli.errors import UsageError
        from aiops_cli.services import alerts

        found = await alerts.list_alerts(session.members)
        rows = [a for a in found.rows if a.fingerprint.startswith(fingerprint)]
        if not rows and not found.failed:
            raise UsageError(
                f"no active alert has fingerprint {fingerprint!r}",
                hint="aiops alerts list -o wide shows them",
            )
        if session.format != "table":
            return session.emit(alert_view(session.now), found.with_rows(rows))
        print("\n".join(alert_text(a, session.now, session.zone) for a in rows), end="")
        session.explain(found)
        return int(session.exit_code(found))

    execute(ctx, body)
