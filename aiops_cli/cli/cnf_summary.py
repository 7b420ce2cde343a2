"""`aiops cnf summary`: each cluster's network functions, clocks and VFs in one row."""

from __future__ import annotations

import typer

from aiops_cli.cli.findings import FailOn, FindingsFlag, check_fail_on, emit_findings
from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(add_completion=False)


@app.command()
def summary(ctx: typer.Context, findings: FindingsFlag = False, fail_on: FailOn = None) -> None:
    """One cluster a row: network functions ready, clocks locked, the largest offset of now and the largest p99 over
    --since (1 h), nodes in sync, VFs that pods use of those configured, and how much is wrong.

    The sum of cnf workloads, ptp and sriov. What nobody could judge is `-`.
    """

    async def body(session: Session) -> int:
        from aiops_cli.render.workload_views import SUMMARY
        from aiops_cli.services.cnf_summary import summarise

        check_fail_on(fail_on)
        window = session.window()
        result, told = await summarise(
            session.members,
            session.settings,
            window,
            session.step(window),
            session.now,
            watch=session.watcher(),
        )
        return emit_findings(session, SUMMARY, result, told, only=findings, fail_on=fail_on)

    execute(ctx, body)
