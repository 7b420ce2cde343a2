"""What an alert's rule measures, beside the value it is held against."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiops_cli.models.alerts import AlertDetail, Labels
from aiops_cli.models.result import FleetResult
from aiops_cli.models.signals import AlertItem, Series
from aiops_cli.models.timerange import TimeRange, default_step
from aiops_cli.services.fleet import Member
from aiops_cli.services.metrics import CachePolicy, query_range

_MIRRORED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
_JOINED = ("and", "or", "unless")


@dataclass(frozen=True, slots=True)
class Threshold:
    """`expr` is what is measured; `op` and `value` what the alert asks of it, None where that is no number."""

    expr: str
    op: str | None = None
    value: float | None = None


def expression(alert: AlertItem | AlertDetail) -> str | None:
    """The rule's expression: of the rule where it was read, else of the link that Prometheus puts in its
    alerts (`/graph?g0.expr=…`)."""
    if isinstance(alert, AlertDetail) and alert.rule is not None:
        return alert.rule.expr
    try:
        return parse_qs(urlsplit(alert.generator_url or "").query).get("g0.expr", [None])[0]
    except ValueError:
        return None


def threshold(expr: str) -> Threshold:
    """The first comparison with a number in the expression, read from the left; without one, all of it."""
    import promql_parser

    try:
        parsed: Any = promql_parser.parse(expr)
    except ValueError:
        return Threshold(expr)
    while True:
        if isinstance(parsed, promql_parser.ParenExpr):
            parsed = parsed.expr
        elif isinstance(parsed, promql_parser.BinaryExpr) and str(parsed.op) in _JOINED:
            parsed = parsed.lhs
        else:
            break
    if isinstance(parsed, promql_parser.BinaryExpr) and (op := str(parsed.op)) in _MIRRORED:
        if isinstance(parsed.rhs, promql_parser.NumberLiteral):
            return Threshold(_written(parsed.lhs), op, parsed.rhs.val)
        if isinstance(parsed.lhs, promql_parser.NumberLiteral):
            return Threshold(_written(parsed.rhs), _MIRRORED[op], parsed.lhs.val)
    return Threshold(_written(parsed))


def _written(expr: Any) -> str:
    """In one line; line breaks within strings are escapes and stay."""
    return re.sub(r"\s*\n\s*", " ", expr.prettify()).strip()


async def measured(
    member: Member,
    asked: Threshold,
    labels: Labels,
    window: TimeRange,
    now: float,
    policy: CachePolicy | None = None,
) -> tuple[list[Series], FleetResult[tuple[str, Series]]]:
    """The series in `window` that the alert of these labels is about (all, where none is told apart by them),
    and the answer they came with. Raises UsageError for an expression that the server refuses."""
    step = max(default_step(window.seconds), 1.0)
    result = await query_range([member], asked.expr, window, step, now, policy=policy)
    return _about([s for _, s in result.rows], labels), result


def _about(series: Sequence[Series], labels: Labels) -> list[Series]:
    own = set(labels.items())
    fitting = [s for s in series if {(k, v) for k, v in s.labels.items() if k != "__name__"} <= own]
    return fitting or list(series)
