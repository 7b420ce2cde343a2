"""The root command, its shared flags, and the table of commands that are imported when they run."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from aiops_cli.cli.argv import hoist
from aiops_cli.errors import AiopsError, ExitCode
from aiops_cli.models.options import FORMATS, Options

# Each command is the module of its name; the help of the group needs no import.
COMMANDS: dict[str, str] = {
    "clusters": "The fleet: list, show, discover, health, label.",
    "metrics": "PromQL over the fleet: query, range, queries, series, labels, values, metadata, exemplars.",
    "alerts": "Alerts of the fleet: list, show, history, watch, silence.",
    "logs": "LogQL over the fleet: query, tail, patterns, labels, series, stats.",
    "traces": "Traces of the fleet: search, show, services, operations, graph, metrics.",
    "related": "From a Kubernetes object to all signals about it.",
    "events": "What happened: Kubernetes events, rollouts, scalings, edits, nodes, quotas.",
    "gpu": "GPUs of the fleet: nodes, summary, top, inference, processes.",
    "cnf": "Telecom: workloads, ptp, sriov, dpdk.",
    "anomalies": "Find what is unusual in metrics: detect.",
    "rca": "Ranked, evidenced root causes: analyze, show, list.",
    "report": "Write a report: generate, list, show.",
    "check": "Assertions for CI: PromQL, alerts; JUnit, exit codes.",
    "bundle": "Evidence in one file: record, info, verify.",
    "sql": "SQL over the local store.",
    "cache": "The local cache: info, prune, clear.",
    "config": "aiops' own settings: view, path, validate.",
    "tui": "The dashboard: fleet, metrics, logs, traces, alerts, GPU, CNF, root causes.",
    "demo": "The main job on a bundled incident that was really recorded.",
    "version": "Print the version.",
}


SHARED = "Also takes the shared options: -c, -l, -g, -o, --since, --from, --to, --bundle, --timeout, …: aiops --help"


class LazyGroup(TyperGroup):
    """Lists commands from the table, and imports one only to run or complete it."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name], callback=lambda: None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in COMMANDS:
            import difflib

            if near := difflib.get_close_matches(args[0], COMMANDS, n=1):
                ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            from aiops_cli.cli.windows import told

            module = importlib.import_module(f"aiops_cli.cli.{name}")
            command = typer.main.get_command(module.app)
            command.name = name
            for one in (command, *getattr(command, "commands", {}).values()):
                window = told(name if one is command else f"{name} {one.name}")
                one.epilog = "\n\n".join(filter(None, (window, one.epilog or SHARED)))
        return name, command, rest


app = typer.Typer(
    cls=LazyGroup,
    name="aiops",
    help="Ask metrics, logs, traces and alerts of every cluster in your kubeconfig at once, and get to a "
    "ranked, evidenced root cause on your own machine.",
    epilog="Shared options may stand before or after the command. Start with: aiops demo",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    ctx: typer.Context,
    context: Annotated[
        list[str] | None,
        typer.Option("--context", "-c", help="Context or cluster by glob; !GLOB excludes. Repeatable."),
    ] = None,
    selector: Annotated[
        str | None, typer.Option("--selector", "-l", help="Fleet labels, key=value,…")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", "-g", help="A group from the config.")] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help=", ".join(FORMATS))] = None,
    since: Annotated[str | None, typer.Option("--since", help="Look back this long: 30m, 1h30m, 2d.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Start: RFC 3339, 23:40, epoch seconds, now-6h.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="End: RFC 3339, 23:40, epoch seconds, now-5m.")
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", help="Resolution of ranges; default for about 250 points.")
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", help="Time zone of tables: local, UTC, Europe/Berlin.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", help="For each cluster, 1ms to 300s. Default 30s.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor write the cache.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask again, and write the cache.")] = False,
    max_age: Annotated[
        str | None, typer.Option("--max-age", help="Take cached answers up to this old.")
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Exit 0 although some clusters failed.")
    ] = False,
    require_data: Annotated[
        bool, typer.Option("--require-data", help="Exit 6 when nothing was found.")
    ] = False,
    bundle: Annotated[
        str | None, typer.Option("--bundle", help="Answer from a recorded bundle; `demo` is the shipped one.")
    ] = None,
    config: Annotated[str | None, typer.Option("--config", help="Config file.")] = None,
    kubeconfig: Annotated[
        str | None,
        typer.Option("--kubeconfig", help="Kubeconfig file; else KUBECONFIG, else ~/.kube/config."),
    ] = None,
    columns: Annotated[str | None, typer.Option("--columns", help="Columns of tables, a,b,…")] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", help="Sort rows by a column; -COLUMN for descending.")
    ] = None,
    fields: Annotated[str | None, typer.Option("--fields", help="Fields of JSON items, a,b,…")] = None,
    no_headers: Annotated[
        bool, typer.Option("--no-headers", help="Tables and CSV without a header.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no warnings.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Tracebacks and a redacted request log on stderr.")
    ] = False,
    timings: Annotated[bool, typer.Option("--timings", help="Where the time went, on stderr.")] = False,
) -> None:
    ctx.obj = Options(
        contexts=list(context or []),
        selector=selector,
        group=group,
        output=output,
        since=since,
        start=start,
        end=end,
        step=step,
        tz=tz,
        timeout=timeout,
        no_cache=no_cache,
        refresh=refresh,
        max_age=max_age,
        allow_partial=allow_partial,
        require_data=require_data,
        bundle=bundle,
        config=config,
        kubeconfig=kubeconfig,
        debug=debug,
        timings=timings,
        quiet=quiet,
        no_headers=no_headers,
        columns=columns,
        sort=sort,
        fields=fields,
    )


def run(argv: list[str]) -> int:
    """Run one command line and return its exit code. Nothing escapes as a traceback but with --debug."""
    debug = "--debug" in argv
    _usable_streams()
    try:
        result = typer.main.get_command(app).main(hoist(argv), prog_name="aiops", standalone_mode=False)
        sys.stdout.flush()
        if result == int(ExitCode.INTERRUPTED):  # Typer makes this of Ctrl-C
            _line("interrupted")
    except AiopsError as error:
        show_error(error)
        _trace(debug)
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _line("interrupted")
        return int(ExitCode.INTERRUPTED)
    except SystemExit as stop:
        # Typer's way to end when the reader of stdout has gone (`--help | head`): that is its right.
        return 0 if stop.code == 1 else int(stop.code or 0)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except OSError as error:
        _line(f"error: can't write the output: {error.strerror or error}")
        _line("hint: check where stdout goes: the disk may be full")
        _trace(debug)
        return int(ExitCode.USAGE)
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is None or not hasattr(error, "exit_code"):
            from aiops_cli.render.text import one_line

            _line(f"error: internal error: {type(error).__name__}: {one_line(str(error))}")
            _line("hint: run it again with --debug and report what it prints")
            _trace(debug)
            return int(ExitCode.FINDINGS)
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":
            print(context.get_help() if context else usage())
            return int(ExitCode.USAGE)
        _line(f"error: {usage()}")
        _line(f"hint: {context.command_path if context else 'aiops'} --help shows what can be said here")
        return int(error.exit_code)
    return int(result) if isinstance(result, int) else 0


def _usable_streams() -> None:
    """A closed stream (`>&-`) is as good as /dev/null, and no character of an answer stops its printing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show_error(error: AiopsError) -> None:
    """One line on what failed, one on what to do."""
    from aiops_cli.render.text import one_line, sanitize

    where = f" [{error.endpoint}]" if error.endpoint else ""
    _line(f"error: {one_line(error.message + where)}")
    if error.hint:
        _line("hint: " + "\n".join(sanitize(line) for line in error.hint.splitlines()))


def _line(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


def _trace(debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
