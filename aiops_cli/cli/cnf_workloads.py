"""`aiops cnf workloads`: network functions of the fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from aiops_cli.cli.findings import FailOn, FindingsFlag, check_fail_on, emit_findings, ensure_matched
from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(add_completion=False)


@app.command()
def workloads(
    ctx: typer.Context,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Only workloads of this namespace.")
    ] = None,
    function: Annotated[
        str | None, typer.Option("--function", "-f", help="Only this one: vDU, vCU, UPF, AMF, SMF, …")
    ] = None,
    findings: FindingsFlag = False,
    fail_on: FailOn = None,
) -> None:
    """Network functions, one workload a row: pods ready, restarts, nodes, VFs, huge pages, whether all its nodes
    have a real-time kernel, and the worst PTP state of their clocks.

    Found by words of labels and names; \\[cnf] in the config adds words, and leaves namespaces out.
    """

    async def body(session: Session) -> int:
        from aiops_cli.render.workload_views import WORKLOADS
        from aiops_cli.services.cnf_workloads import Wanted, list_workloads

        check_fail_on(fail_on)
        result, told = await list_workloads(
            session.members,
            session.settings,
            Wanted(session.now, namespace, function),
            watch=session.watcher(),
        )
        flags = {"--namespace": namespace, "--function": function}
        ensure_matched(result, told, flags, "aiops cnf workloads shows what there is")
        return emit_findings(session, WORKLOADS, result, told, only=findings, fail_on=fail_on)

    execute(ctx, body)
