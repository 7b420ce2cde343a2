"""Rows with findings below them, and the flags that commands with findings share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import typer

from aiops_cli.cli.runtime import Session
from aiops_cli.errors import ExitCode, UsageError
from aiops_cli.models.findings import Finding
from aiops_cli.models.result import FleetResult
from aiops_cli.render.finding_views import finding_view
from aiops_cli.render.output import View

T = TypeVar("T")
_ROOMY = 110  # cells
_FAILS = {"critical": ("critical",), "warning": ("critical", "warning")}

FindingsFlag = Annotated[bool, typer.Option("--findings", help="Only what is wrong, without the rows.")]
FailOn = Annotated[
    str | None,
    typer.Option("--fail-on", help="Exit 1 when there is a finding this bad: critical, warning."),
]


def check_fail_on(fail_on: str | None) -> None:
    """Raises UsageError for what is no severity to fail on."""
    if fail_on is not None and fail_on not in _FAILS:
        raise UsageError(f"--fail-on {fail_on!r} is no severity", hint="critical or warning")


def narrow(session: Session) -> bool:
    """Whether a table has no room for the words that explain its numbers."""
    width = session.style().width
    return session.format == "table" and width is not None and width < _ROOMY


def emit_findings(
    session: Session,
    view: View[T],
    result: FleetResult[T],
    findings: Sequence[Finding],
    *,
    only: bool = False,
    fail_on: str | None = None,
    extra: dict[str, Any] | None = None,
) -> int:
    """Print rows and a second table of findings (in JSON and YAML the field `findings`, beside `extra`), or
    with `only` the findings alone. Returns 1 where --fail-on says so, unless the answer failed otherwise."""
    if only:
        view_of = finding_view(
            session.zone, findings, brief=session.format == "table", narrow=narrow(session)
        )
        code = session.emit(view_of, result.with_rows(findings))
    else:
        code = session.emit(view, result, extra={"findings": list(findings), **(extra or {})})
        if findings and session.format in ("table", "wide", "md"):
            _second(session, result, findings)
    bad = _FAILS.get(fail_on or "", ())
    if code in (ExitCode.OK, ExitCode.PARTIAL) and any(f.severity in bad for f in findings):
        return int(ExitCode.FINDINGS)
    return code


def _second(session: Session, result: FleetResult[T], findings: Sequence[Finding]) -> None:
    """The table of findings below the rows, whose flags --columns, --fields and --sort are the rows'."""
    import sys
    from dataclasses import replace

    from aiops_cli.render.output import render

    style = replace(session.style(), columns=(), fields=(), sort=None)
    view = finding_view(session.zone, findings, brief=session.format == "table", narrow=narrow(session))
    sys.stdout.write("\n" + render(view, result.with_rows(findings), style))
    sys.stdout.flush()
