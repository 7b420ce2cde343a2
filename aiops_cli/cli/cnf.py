"""`aiops cnf`: telecom workloads, their clocks, VFs and data planes. A subcommand's module is imported when
it runs."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

SUBCOMMANDS: dict[str, str] = {
    "summary": "Each cluster in one row: functions, clocks, VFs, findings.",
    "ptp": "PTP clocks: state, offset, clock class, and a verdict against a budget.",
    "sriov": "SR-IOV: PFs and VFs, who has them, sync state, drops.",
    "dpdk": "Data planes: hugepages, CPU pinning, NUMA, port statistics.",
    "workloads": "Network functions (vDU, vCU, UPF, AMF, SMF, …) and the nodes they run on.",
}


class _LazyGroup(TyperGroup):
    """Lists subcommands from the table."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in SUBCOMMANDS:
            return None
        return TyperCommand(cmd_name, help=SUBCOMMANDS[cmd_name], callback=lambda: None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if name in SUBCOMMANDS:
            from aiops_cli.cli.windows import told

            module = importlib.import_module(f"aiops_cli.cli.cnf_{name}")
            command = typer.main.get_command(module.app)
            command.name = name
            command.epilog = "\n\n".join(
                filter(None, (told(f"cnf {name}"), command.epilog or getattr(self, "epilog", None)))
            )
        return name, command, rest


app = typer.Typer(
    cls=_LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    help="Telecom workloads: PTP clocks, SR-IOV, DPDK, network functions.",
)


@app.callback()
def cnf() -> None:
    """Telecom workloads: their clocks, VFs and data planes."""
