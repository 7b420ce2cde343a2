"""`aiops gpu`: GPUs of the fleet, what runs on them, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.findings import FailOn, FindingsFlag, check_fail_on, emit_findings, ensure_matched
from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from aiops_cli.services.gpu import GpuFleet

app = typer.Typer(
    add_completion=False,
    help="GPUs of the fleet: nodes, summary, top, inference, processes.",
    no_args_is_help=True,
    epilog="Shared options (-c, -o, --since, …): aiops --help",
)

Exec = Annotated[
    bool,
    typer.Option(
        "--exec", help="May run nvidia-smi in pods of the GPU operator; it only reads (needs pods/exec)."
    ),
]
Node = Annotated[str | None, typer.Option("--node", help="Only GPUs of this node; * and ? match.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Only GPUs that a pod of this namespace holds.")
]


@app.command()
def nodes(
    ctx: typer.Context,
    node: Node = None,
    namespace: Namespace = None,
    exec_: Exec = False,
    findings: FindingsFlag = False,
    fail_on: FailOn = None,
) -> None:
    """One row a GPU or MIG instance, then what is wrong with them, judged over --since (1h).

    Read from dcgm-exporter's metrics in Prometheus, else from the exporters that config names, else, with
    --exec, from nvidia-smi. Utilisation says that something ran, not that it ran well: see sm and tensor in
    -o wide.
    """

    async def body(session: Session) -> int:
        from aiops_cli.render.gpu_views import GPUS
        from aiops_cli.services import gpu

        check_fail_on(fail_on)
        ask = gpu.ask_of(session, exec_=exec_, node=node, namespace=namespace)
        found = await gpu.gpus(session.members, ask, watch=session.watcher())
        _ensure_matched(found, node, namespace, fail_on)
        return emit_findings(session, GPUS, found.result, found.findings, only=findings, fail_on=fail_on)

    execute(ctx, body)


@app.command()
def summary(
    ctx: typer.Context,
    node: Node = None,
    namespace: Namespace = None,
    exec_: Exec = False,
    findings: FindingsFlag = False,
    fail_on: FailOn = None,
) -> None:
    """GPUs by cluster and model: allocated, used, idle though allocated, hot, erroring. UNITS are what can be
    scheduled: GPUs and MIG instances. Idle hours are GPU hours that were held and not used over --since (1h)."""

    async def body(session: Session) -> int:
        from aiops_cli.render.gpu_views import summary_view
        from aiops_cli.services import gpu

        check_fail_on(fail_on)
        ask = gpu.ask_of(session, exec_=exec_, node=node, namespace=namespace)
        found = await gpu.gpus(session.members, ask, watch=session.watcher())
        _ensure_matched(found, node, namespace, fail_on)
        result, total = gpu.summarize(found, ask.limits)
        people = session.format in ("table", "wide", "md")
        if people and len(result.rows) > 1 and not findings:
            result = result.with_rows([*result.rows, total])
        extra = {"total": total}
        view = summary_view(result.rows)
        return emit_findings(
            session, view, result, found.findings, only=findings, fail_on=fail_on, extra=extra
        )

    execute(ctx, body)


@app.command()
def top(
    ctx: typer.Context,
    interval: Annotated[str, typer.Option("--interval", help="How often to ask each cluster.")] = "5s",
    count: Annotated[int, typer.Option("--count", help="Stop after so many times; 0 goes on.", min=0)] = 0,
    node: Node = None,
    namespace: Namespace = None,
    exec_: Exec = False,
) -> None:
    """The busiest GPUs first, again and again until Ctrl-C; NDJSON in a pipe. --sort COLUMN changes the order."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.gpu_top import follow
        from aiops_cli.errors import UsageError
        from aiops_cli.services import times
        from aiops_cli.services.gpu import ask_of

        seconds = times.parse_duration(interval, "--interval")
        if seconds < 1:
            raise UsageError("--interval must be 1s or more", hint="--interval 5s")
        if session.options.output not in (None, "table", "wide", "ndjson"):
            raise UsageError("top shows a table or NDJSON", hint="-o table, -o wide or -o ndjson")
        return await follow(
            session, ask_of(session, exec_=exec_, node=node, namespace=namespace, past=False), seconds, count
        )

    execute(ctx, body)


@app.command()
def inference(ctx: typer.Context) -> None:
    """Model servers (vLLM, SGLang, TGI): requests, KV cache, time to the first token and tokens per second
    of the last 5 minutes, and the GPUs of their pods."""

    async def body(session: Session) -> int:
        from aiops_cli.render.gpu_views import INFERENCE
        from aiops_cli.services.gpu import ask_of
        from aiops_cli.services.gpu_inference import inference as ask

        found = await ask(session.members, ask_of(session, past=False), watch=session.watcher())
        return session.emit(INFERENCE, found)

    execute(ctx, body)


@app.command()
def processes(ctx: typer.Context, exec_: Exec = False) -> None:
    """The processes on each GPU, and their pods, by nvidia-smi in a pod of the GPU operator: with --exec."""

    async def body(session: Session) -> int:
        from aiops_cli.errors import UsageError
        from aiops_cli.render.gpu_views import PROCESSES
        from aiops_cli.services.gpu_exec import processes as ask

        if session.bundle is not None:
            raise UsageError(
                "a bundle holds no process lists", hint="leave --bundle out, and ask with --exec"
            )
        members = session.live
        if not exec_:
            raise UsageError(
                "only nvidia-smi knows processes, and it has to be run in a pod",
                hint="allow it with --exec: it only reads, and needs pods/exec",
            )
        found = await ask(members, watch=session.watcher())
        return session.emit(PROCESSES, found)

    execute(ctx, body)


def _ensure_matched(found: GpuFleet, node: str | None, namespace: str | None, fail_on: str | None) -> None:
    """Raises ClusterError (NOT_FOUND) for a node that no cluster has GPUs of. That a namespace holds none is
    an answer, but no check that passed."""
    if node is not None or fail_on is not None:
        flags = {"--node": node, "--namespace": namespace}
        ensure_matched(found.result, found.findings, flags, "aiops gpu nodes -o wide shows what there is")
