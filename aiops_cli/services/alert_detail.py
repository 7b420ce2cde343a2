"""One alert in full: its rule, what the rule measures now, and what keeps it quiet."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from aiops_cli.errors import AiopsError
from aiops_cli.models.alerts import AlertDetail, AlertRule, RelatedMetric, RuleAlert, SilenceItem
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.alerts import active
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import LiveMember, Member

if TYPE_CHECKING:
    from aiops_cli.sources.base import MetricsSource

_OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_PLAIN = re.compile(r"[a-zA-Z_]\w*", re.A)
"""Label names that need no quotes, which older servers can't read."""
_RUNBOOKS = ("runbook_url", "runbook", "runbookURL", "runbook_link")
_SERIES = 10
"""So many series of one selector are shown."""


def is_one_of(alert: AlertItem, words: Sequence[str]) -> bool:
    """Whether one of these is its name, or its fingerprint starts so."""
    return alert.name in words or alert.fingerprint.startswith(tuple(words))


async def details(
    members: Sequence[Member], words: Sequence[str], *, watch: Watcher | None = None
) -> FleetResult[AlertDetail]:
    """Every active alert that `is_one_of` these, with all that is known of it. What can't be read of it is said
    in `missing`."""
    found = await active(members, watch=watch)
    chosen = [a for a in found.rows if is_one_of(a, words)]
    by_name = {m.name: m for m in members}

    async def ask(member: Member) -> Answer[AlertDetail]:
        own = [a for a in chosen if a.cluster == member.name]
        return Answer(await _details(member, own, [a for a in found.rows if a.cluster == member.name]))

    holders = [by_name[name] for name in dict.fromkeys(a.cluster for a in chosen)]
    told = await fan_out(holders, ask)
    return found.with_rows([row for _, row in told.rows])


async def _details(
    member: Member, alerts: Sequence[AlertItem], others: Sequence[AlertItem]
) -> list[AlertDetail]:
    missing: list[str] = []
    rules: list[AlertRule] = []
    silences: dict[str, SilenceItem] = {}
    source: MetricsSource | None = None
    try:
        rules = (await (await member.alerts()).rules()).rows
        source = await member.metrics()
    except AiopsError as error:
        missing.append(f"rule: {error.message}")
    if any(a.silenced_by for a in alerts):
        try:
            silences = await _silences(member)
        except AiopsError as error:
            missing.append(f"silences: {error.message}")
    names = {a.fingerprint: a.name for a in others}
    rows = []
    for a in alerts:
        lacking = list(missing)
        rule, own = _rule_of(a, rules)
        if rules and rule is None:
            lacking.append("rule: no rule of this Prometheus has this alert")
        metrics: list[RelatedMetric] = []
        if rule is not None and source is not None:
            try:
                metrics = await _related(source, rule, a)
            except AiopsError as error:
                lacking.append(f"metrics: {error.message}")
        annotations = a.annotations or (own.annotations if own else {})
        rows.append(
            AlertDetail(
                cluster=a.cluster,
                fingerprint=a.fingerprint,
                name=a.name,
                state=a.state,
                severity=a.severity,
                labels=a.labels,
                annotations=annotations,
                starts_at=a.starts_at,
                source=a.source,
                receivers=a.receivers,
                generator_url=a.generator_url,
                runbook=next((annotations[k] for k in _RUNBOOKS if annotations.get(k)), None),
                value=own.value if own else None,
                rule=replace(rule, alerts=[]) if rule else None,
                metrics=metrics,
                silences=[silences[i] for i in a.silenced_by if i in silences],
                inhibited_by=[f"{i} {names[i]}" if i in names else i for i in a.inhibited_by],
                missing=lacking,
            )
        )
    return rows


async def _silences(member: Member) -> dict[str, SilenceItem]:
    if not isinstance(member, LiveMember):
        return {}
    answers = await asyncio.gather(*(s.silences() for s in await member.alertmanagers()))
    return {s.id: replace(s, cluster=member.name) for answer in answers for s in answer.rows}


def _rule_of(a: AlertItem, rules: Sequence[AlertRule]) -> tuple[AlertRule | None, RuleAlert | None]:
    """The rule that has this alert now, or else the first whose name and static labels fit."""
    labels = set(a.labels.items())
    named = [r for r in rules if r.name == a.name]
    for rule in named:
        fitting = [own for own in rule.alerts if labels.issuperset(own.labels.items())]
        if fitting:
            return rule, max(fitting, key=lambda own: len(own.labels))
    return next((r for r in named if _static(r) <= labels), None), None


def _static(rule: AlertRule) -> set[tuple[str, str]]:
    """The labels of a rule that are no templates."""
    return {(k, v) for k, v in rule.labels.items() if "{{" not in v}


async def _related(source: MetricsSource, rule: AlertRule, a: AlertItem) -> list[RelatedMetric]:
    """The series that the rule's expression reads, of what the alert is about, with their values now.

    A series is about it unless it has another value for one of the alert's labels.
    """
    own = {k: v for k, v in a.labels.items() if k != "alertname" and k not in rule.labels}
    chosen = selectors(rule.expr)
    answers = await asyncio.gather(*(source.query(s) for s in selectors(rule.expr, own)))
    return [
        RelatedMetric(selector, series.labels, float(series.values[-1]) if len(series.values) else None)
        for selector, answer in zip(chosen, answers, strict=True)
        for series in answer.rows[:_SERIES]
    ]


def selectors(expr: str, about: dict[str, str] | None = None) -> list[str]:
    """The vector selectors of a PromQL expression, without range, offset and time, each once.

    With `about`, each asks only for series that have these label values or lack the label.
    """
    import promql_parser

    try:
        parsed = promql_parser.parse(expr)
    except ValueError:
        return []
    found: dict[str, str] = {}

    def walk(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            terms = [(m.name, _OPS[str(m.op).rpartition(".")[2]], m.value) for m in node.matchers.matchers]
            named = {name for name, op, _ in terms if op == "="}
            narrower = [
                (k, "=~", f"|{re.escape(v)}")
                for k, v in (about or {}).items()
                if k not in named and _PLAIN.fullmatch(k)
            ]
            found.setdefault(_text(node.name, terms), _text(node.name, terms + narrower))
        for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
            if (child := getattr(node, name, None)) is not None:
                walk(child)
        for child in getattr(node, "args", None) or ():
            walk(child)

    walk(parsed)
    return list(found.values())


def _text(name: str | None, terms: Sequence[tuple[str, str, str]]) -> str:
    inner = ",".join(
        f"{label}{op}{_quoted(value)}" for label, op, value in terms if not (name and label == "__name__")
    )
    return (name or "") + (f"{{{inner}}}" if inner or not name else "")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
