"""Rows with findings below them, and the flags that commands with findings share."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import typer

from aiops_cli.cli.runtime import Session
from aiops_cli.errors import ClusterError, ErrorCode, ExitCode, UsageError
from aiops_cli.models.findings import Finding
from aiops_cli.models.result import FleetResult
from aiops_cli.render.finding_views import finding_text, finding_view
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


def ensure_matched(
    result: FleetResult[Any], findings: Sequence[Finding], flags: Mapping[str, str | None], hint: str
) -> None:
    """Raises ClusterError (NOT_FOUND) where every cluster answered and what these flags name is nowhere: a
    mistyped name must not pass a check."""
    named = [f"{flag} {value}" for flag, value in flags.items() if value is not None]
    if named and not result.rows and not findings and not result.partial:
        raise ClusterError(
            f"nothing in the chosen clusters matches {' '.join(named)}", hint=hint, code=ErrorCode.NOT_FOUND
        )


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
    if only and findings and session.format == "table":
        sys.stdout.write(finding_text(findings, session.style(), session.zone))
        sys.stdout.flush()
        told = result.with_rows(findings)
        session.explain(told)
        code = int(session.exit_code(told))
    elif only:
        code = session.emit(finding_view(session.zone, findings), result.with_rows(findings))
    else:
        code = session.emit(view, result, extra={"findings": list(findings), **(extra or {})})
        if findings and session.format in ("table", "wide", "md"):
            # The flags --columns, --fields and --sort are the rows'.
            style = replace(session.style(), columns=(), fields=(), sort=None)
            sys.stdout.write("\n" + finding_text(findings, style, session.zone))
            sys.stdout.flush()
    bad = _FAILS.get(fail_on or "", ())
    if code in (ExitCode.OK, ExitCode.PARTIAL) and any(f.severity in bad for f in findings):
        return int(ExitCode.FINDINGS)
    return code
