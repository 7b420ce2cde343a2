"""The Alertmanager API v2, which has no envelope: a success is the bare array."""

from __future__ import annotations

import msgspec

from aiops_cli.errors import ErrorCode
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import AlertItem
from aiops_cli.sources.replies import failure
from aiops_cli.transport.client import HttpClient, Reply, not_json

_WHAT = "Alertmanager"


class _Status(msgspec.Struct):
    state: str = "active"


class _Alert(msgspec.Struct, rename="camel"):
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    fingerprint: str = ""
    starts_at: str | None = None
    generator_url: str | None = msgspec.field(name="generatorURL", default=None)
    status: _Status = msgspec.field(default_factory=_Status)


_alerts = msgspec.json.Decoder(list[_Alert])
_status = msgspec.json.Decoder(dict[str, msgspec.Raw])


class AlertmanagerSource:
    """The alerts that one Alertmanager holds; any member of a HA pair knows them all in the end."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    async def ready(self) -> None:
        """Raises ClusterError unless the API answers (a Route shows only /api, so no /-/ready)."""
        reply = await self._ask("/api/v2/status")
        try:
            _status.decode(reply.body)
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None

    async def alerts(self) -> Answer[AlertItem]:
        """Every alert that has not ended, silenced and inhibited ones as SUPPRESSED, by fingerprint.

        An alert is "unprocessed" for the moment before its routing is decided: it fires already.
        """
        reply = await self._ask("/api/v2/alerts")
        try:
            found = _alerts.decode(reply.body)
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None
        rows = [
            AlertItem(
                cluster="",
                fingerprint=a.fingerprint,
                name=a.labels.get("alertname", ""),
                state="SUPPRESSED" if a.status.state == "suppressed" else "FIRING",
                severity=a.labels.get("severity"),
                labels=a.labels,
                annotations=a.annotations,
                starts_at=a.starts_at,
                generator_url=a.generator_url or None,
            )
            for a in found
        ]
        rows.sort(key=lambda row: row.fingerprint)
        return Answer(rows)

    async def _ask(self, path: str) -> Reply:
        reply = await self.client.get(path)
        if reply.status == 200:
            return reply
        error = failure(reply, _WHAT, self.endpoint)
        if "Limit of concurrent GET requests" in error.message:
            error.code, error.hint = ErrorCode.RATE_LIMITED, "ask again in a moment"
        raise error
