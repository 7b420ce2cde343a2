"""`aiops cnf sriov`: PFs and VFs of the fleet."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.findings import FailOn, FindingsFlag, check_fail_on, emit_findings, ensure_matched
from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from aiops_cli.models.cnf import SriovPf
    from aiops_cli.models.result import FleetResult

app = typer.Typer(add_completion=False)


@app.command()
def sriov(
    ctx: typer.Context,
    node: Annotated[str | None, typer.Option("--node", help="Only nodes of this glob.")] = None,
    findings: FindingsFlag = False,
    fail_on: FailOn = None,
) -> None:
    """SR-IOV, one PF a row: VFs used, configured and possible, link, MTU, driver, whether the operator is done,
    dropped packets. Below them what is wrong; -o wide adds a table of VFs with their pods, JSON has them too.

    Read from SriovNetworkNodeState and policies, pods' network-status, and the metrics exporter's series.
    """

    async def body(session: Session) -> int:
        from aiops_cli.render.sriov_views import PFS
        from aiops_cli.services.sriov import limits_of, list_pfs

        check_fail_on(fail_on)
        result, told = await list_pfs(
            session.members,
            limits_of(session.settings.sriov),
            node=node,
            vfs=not findings and session.format in ("wide", "json", "ndjson", "yaml"),
            watch=session.watcher(),
        )
        ensure_matched(result, (), {"--node": node}, "aiops cnf sriov shows the nodes that there are")
        code = emit_findings(session, PFS, result, told, only=findings, fail_on=fail_on)
        if session.format == "wide" and not findings and result.rows:
            _vfs(session, result)
        return code

    execute(ctx, body)


def _vfs(session: Session, result: FleetResult[SriovPf]) -> None:
    """The table of VFs below the PFs, whose flags --columns, --fields and --sort are the PFs'."""
    from aiops_cli.render.output import render
    from aiops_cli.render.sriov_views import VFS

    style = replace(session.style(), columns=(), fields=(), sort=None)
    pairs = [(pf, vf) for pf in result.rows for vf in pf.vfs]
    sys.stdout.write("\n" + render(VFS, result.with_rows(pairs), style))
    sys.stdout.flush()
