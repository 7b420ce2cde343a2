"""Prometheus' own rules and their alerts: /api/v1/alerts, /api/v1/rules, and the external labels.

Alerts stand here without the external labels, which Prometheus adds as it sends them to an Alertmanager.
"""

from __future__ import annotations

import math
import re

import msgspec

from aiops_cli.errors import AiopsError
from aiops_cli.models.alerts import AlertRule, RuleAlert
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import AlertItem
from aiops_cli.sources.replies import failure
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json

_WHAT = "Prometheus"
Labels = dict[str, str]


class _Alert(msgspec.Struct, rename="camel"):
    labels: Labels = {}
    annotations: Labels = {}
    state: str = ""
    active_at: str | None = None
    value: str = ""


class _Alerts(msgspec.Struct):
    alerts: list[_Alert] = []


class _AlertsBody(msgspec.Struct):
    data: _Alerts
    warnings: list[str] = []


class _Rule(msgspec.Struct, rename="camel"):
    name: str = ""
    query: str = ""
    duration: float = 0.0
    labels: Labels = {}
    annotations: Labels = {}
    alerts: list[_Alert] = []
    health: str = ""
    last_error: str = ""
    last_evaluation: str | None = None
    type: str = "alerting"


class _Group(msgspec.Struct):
    name: str = ""
    file: str = ""
    rules: list[_Rule] = []


class _Groups(msgspec.Struct):
    groups: list[_Group] = []


class _RulesBody(msgspec.Struct):
    data: _Groups
    warnings: list[str] = []


class _Config(msgspec.Struct):
    yaml: str = ""


class _ConfigBody(msgspec.Struct):
    data: _Config


_alerts = msgspec.json.Decoder(_AlertsBody)
_rules = msgspec.json.Decoder(_RulesBody)
_config = msgspec.json.Decoder(_ConfigBody)


class RulesSource:
    """The rules of one Prometheus, or what speaks its API (a Thanos querier joins those of many)."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    async def alerts(self) -> Answer[AlertItem]:
        """Pending and firing alerts; `startsAt` is since when they are active, pending included.

        The fingerprint is left empty: it needs the external labels.
        """
        reply = await self._ask("/api/v1/alerts")
        try:
            body = _alerts.decode(reply.body)
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None
        rows = [
            AlertItem(
                cluster="",
                fingerprint="",
                name=a.labels.get("alertname", ""),
                state="PENDING" if a.state == "pending" else "FIRING",
                severity=a.labels.get("severity"),
                labels=a.labels,
                annotations=a.annotations,
                starts_at=a.active_at,
                source="prometheus",
            )
            for a in body.data.alerts
            if a.state in ("pending", "firing")
        ]
        return Answer(rows, warnings=body.warnings, partial=bool(body.warnings))

    async def rules(self) -> Answer[AlertRule]:
        """Every alerting rule with its present alerts."""
        reply = await self._ask("/api/v1/rules", [("type", "alert")])
        try:
            body = _rules.decode(reply.body)
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None
        rows = [
            AlertRule(
                name=rule.name,
                group=group.name,
                file=group.file,
                expr=rule.query,
                for_seconds=rule.duration,
                labels=rule.labels,
                annotations=rule.annotations,
                health=rule.health,
                last_error=rule.last_error,
                last_evaluation=rule.last_evaluation,
                alerts=[
                    RuleAlert(a.labels, a.annotations, a.state, a.active_at, _number(a.value))
                    for a in rule.alerts
                ],
            )
            for group in body.data.groups
            for rule in group.rules
            if rule.type == "alerting"
        ]
        return Answer(rows, warnings=body.warnings, partial=bool(body.warnings))

    async def external_labels(self) -> Labels | None:
        """What Prometheus adds to each alert that it sends; None where the server does not say.

        Read from /api/v1/status/config. Labels that `alert_relabel_configs` drop are left out.
        """
        try:
            reply = await self._ask("/api/v1/status/config")
            return _external(_config.decode(reply.body).data.yaml)
        except (AiopsError, msgspec.MsgspecError):
            return None

    async def _ask(self, path: str, params: Params = ()) -> Reply:
        reply = await self.client.get(path, params)
        if reply.status == 200:
            return reply
        raise failure(reply, _WHAT, self.endpoint)


def _external(config: str) -> Labels | None:
    """The two small sections that matter are cut out: a whole configuration takes seconds to read."""
    import yaml

    class Plain(yaml.SafeLoader):
        """Knows no aliases: Prometheus writes none, and a few of them make text without end."""

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("an alias")
            return super().compose_node(parent, index)

    kept: list[str] = []
    inside = False
    for line in config.splitlines():
        if line and line[0] not in " -#":
            inside = line.startswith(("global:", "alerting:"))
        if inside:
            kept.append(line)
    try:
        read = yaml.load("\n".join(kept), Plain) or {}  # noqa: S506 - a SafeLoader
        external = (read.get("global") or {}).get("external_labels") or {}
        labels = {str(k): str(v) for k, v in external.items()}
        for rule in (read.get("alerting") or {}).get("alert_relabel_configs") or []:
            if rule.get("action") == "labeldrop":
                dropped = re.compile(str(rule.get("regex", "")))
                labels = {k: v for k, v in labels.items() if not dropped.fullmatch(k)}
    except (yaml.YAMLError, AttributeError, TypeError, re.error, RecursionError):
        return None
    return labels


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value
