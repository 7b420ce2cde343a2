"""`aiops cnf dpdk`: DPDK pods of the fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from aiops_cli.cli.findings import FailOn, FindingsFlag, check_fail_on, emit_findings, ensure_matched
from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(add_completion=False)


@app.command()
def dpdk(
    ctx: typer.Context,
    pod: Annotated[
        str | None,
        typer.Argument(metavar="[POD]", help="A pod, NAMESPACE/POD or a glob; else all that look like DPDK."),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Only pods of this namespace.")
    ] = None,
    exec_: Annotated[
        bool,
        typer.Option(
            "--exec",
            help="Also read in the containers: cpusets and NUMA nodes by grep, DPDK telemetry by python3. "
            "Needs pods/exec, and POD or -n.",
        ),
    ] = False,
    findings: FindingsFlag = False,
    fail_on: FailOn = None,
) -> None:
    """DPDK pods: huge pages, CPU pinning and isolation, NUMA alignment, port statistics, and what is wrong.

    Each field says where it was read, or why it is missing (JSON: sources, missing).

    A DPDK lcore polls: its CPU use is 100 % with and without load. Look at packets and imissed instead.
    """

    async def body(session: Session) -> int:
        from aiops_cli.errors import UsageError
        from aiops_cli.models.cnf import DpdkLimits
        from aiops_cli.render.dpdk_views import DPDK, detail
        from aiops_cli.services.dpdk import Wanted, list_pods

        check_fail_on(fail_on)
        name, space = pod, namespace
        if name and "/" in name:
            space, _, name = name.partition("/")
        if exec_ and not (name or space):
            raise UsageError(
                "--exec runs programs in pods, and needs to know which",
                hint="name a POD, or -n NAMESPACE",
            )
        if exec_ and session.bundle is not None:
            raise UsageError("--exec asks live clusters", hint="leave --bundle or --exec out")
        own = session.settings.dpdk
        limits = DpdkLimits(
            own.imissed_per_second,
            own.rx_nombuf_per_second,
            own.ierrors_per_second,
            own.throttled_per_second,
        )
        result, told = await list_pods(
            session.members, Wanted(name, space, exec_), limits, own.metrics, watch=session.watcher()
        )
        ensure_matched(
            result,
            told,
            {"POD": pod, "--namespace": namespace},
            "aiops cnf dpdk shows those that look like DPDK",
        )
        code = emit_findings(session, DPDK, result, told, only=findings, fail_on=fail_on)
        if pod is not None and session.format == "table" and not findings:
            for row in result.rows:
                print("\n" + detail(row), end="")
        return code

    execute(ctx, body)
