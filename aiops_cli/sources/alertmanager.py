"""The Alertmanager API v2, which has no envelope: a success is the bare array.

Reads alerts, silences and the state of the gossip cluster; `create` and `expire` are the only calls of
aiops that write to a server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from aiops_cli.errors import AuthError, ClusterError, ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.alerts import SilenceItem, SilenceMatcher
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import AlertItem
from aiops_cli.sources.replies import error_text, failure
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json

_WHAT = "Alertmanager"
_STATES = {"active": "ACTIVE", "pending": "PENDING", "expired": "EXPIRED"}


class _Status(msgspec.Struct, rename="camel"):
    state: str = "active"
    silenced_by: list[str] | None = None
    inhibited_by: list[str] | None = None


class _Receiver(msgspec.Struct):
    name: str = ""


class _Alert(msgspec.Struct, rename="camel"):
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    fingerprint: str = ""
    starts_at: str | None = None
    generator_url: str | None = msgspec.field(name="generatorURL", default=None)
    status: _Status = msgspec.field(default_factory=_Status)
    receivers: list[_Receiver] = []


class _SilenceStatus(msgspec.Struct):
    state: str = "active"


class _Silence(msgspec.Struct, rename="camel"):
    id: str
    matchers: list[SilenceMatcher]
    starts_at: str
    ends_at: str
    created_by: str = ""
    comment: str = ""
    updated_at: str | None = None
    status: _SilenceStatus = msgspec.field(default_factory=_SilenceStatus)


class _Peer(msgspec.Struct):
    name: str = ""


class _Gossip(msgspec.Struct):
    name: str = ""
    peers: list[_Peer] | None = None


class _Whole(msgspec.Struct):
    cluster: _Gossip = msgspec.field(default_factory=_Gossip)
    uptime: str | None = None


class _Created(msgspec.Struct):
    id: str = msgspec.field(name="silenceID", default="")


@dataclass(frozen=True, slots=True)
class Instance:
    """Who an Alertmanager is: its gossip name ("" where clustering is off), its peers' names with its own,
    and since when it runs (unix seconds, None where it does not say)."""

    name: str
    peers: frozenset[str]
    started: float | None


_alerts = msgspec.json.Decoder(list[_Alert])
_silences = msgspec.json.Decoder(list[_Silence])
_status = msgspec.json.Decoder(dict[str, msgspec.Raw])
_instance = msgspec.json.Decoder(_Whole)
_created = msgspec.json.Decoder(_Created)


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

    async def instance(self) -> Instance:
        """Who this one is, and with whom it gossips."""
        reply = await self._ask("/api/v2/status")
        try:
            found = _instance.decode(reply.body)
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None
        names = frozenset(p.name for p in found.cluster.peers or [] if p.name)
        try:
            started = datetime.fromisoformat(found.uptime or "").timestamp()
        except ValueError:
            started = None
        return Instance(found.cluster.name, names, started)

    async def alerts(self, matchers: Sequence[SilenceMatcher] = ()) -> Answer[AlertItem]:
        """Every alert that has not ended, silenced and inhibited ones as SUPPRESSED, by fingerprint.

        `matchers` are evaluated by the server, whose regexes are RE2's. An alert is "unprocessed" for the
        moment before its routing is decided: it fires already.
        """
        reply = await self._ask("/api/v2/alerts", [("filter", str(m)) for m in matchers])
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
                receivers=[r.name for r in a.receivers],
                silenced_by=a.status.silenced_by or [],
                inhibited_by=a.status.inhibited_by or [],
            )
            for a in found
        ]
        rows.sort(key=lambda row: row.fingerprint)
        return Answer(rows)

    async def silences(self, matchers: Sequence[SilenceMatcher] = ()) -> Answer[SilenceItem]:
        """Every silence, expired ones too (the server keeps them for five days), soonest end first.

        `matchers` choose by what a silence matches, as amtool's do.
        """
        reply = await self._ask("/api/v2/silences", [("filter", str(m)) for m in matchers])
        try:
            found = _silences.decode(reply.body)
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None
        rows = [
            SilenceItem(
                cluster="",
                id=s.id,
                state=_STATES.get(s.status.state, "ACTIVE"),  # type: ignore[arg-type]
                matchers=s.matchers,
                starts_at=s.starts_at,
                ends_at=s.ends_at,
                created_by=s.created_by,
                comment=s.comment,
                updated_at=s.updated_at,
                endpoint=self.endpoint,
            )
            for s in found
        ]
        rows.sort(key=lambda row: (row.ends_at, row.id))
        return Answer(rows)

    async def create(self, silence: dict[str, Any]) -> str:
        """POST a silence (`matchers`, `startsAt`, `endsAt`, `createdBy`, `comment`; `id` to update one)
        and return its id.

        Raises NotAvailableError for an `id` that the server does not know, UsageError for what it calls
        invalid.
        """
        reply = await self.client.request(
            "POST",
            "/api/v2/silences",
            data=msgspec.json.encode(silence),
            headers={"Content-Type": "application/json"},
            retry=False,
        )
        if reply.status != 200:
            raise self._refusal(reply)
        try:
            return _created.decode(reply.body).id
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None

    async def expire(self, silence_id: str) -> None:
        """End a silence now; one that has ended is what was wanted (the answer to our first try may be lost).
        Raises NotAvailableError for an id that the server does not know."""
        reply = await self.client.request("DELETE", f"/api/v2/silence/{quote(silence_id, safe='')}")
        if reply.status != 200 and "already expired" not in error_text(reply):
            raise self._refusal(reply)

    def _refusal(self, reply: Reply) -> ClusterError | UsageError:
        text = error_text(reply)
        if reply.status in (400, 422):
            return UsageError(f"Alertmanager refuses: {text}", hint="change what it names")
        if reply.status == 404 and (not text or "silence" in text):
            return NotAvailableError(
                "Alertmanager does not know this silence",
                hint="aiops alerts silence list shows them",
                endpoint=self.endpoint,
            )
        if reply.status == 403:
            return AuthError(
                f"not allowed to write silences (403): {text}",
                hint="ask for the role that edits Alertmanager (OpenShift: monitoring-alertmanager-edit)",
                code=ErrorCode.FORBIDDEN,
                endpoint=self.endpoint,
            )
        return failure(reply, _WHAT, self.endpoint)

    async def _ask(self, path: str, params: Params = ()) -> Reply:
        reply = await self.client.get(path, params)
        if reply.status == 200:
            return reply
        error = failure(reply, _WHAT, self.endpoint)
        if "Limit of concurrent GET requests" in error.message:
            error.code, error.hint = ErrorCode.RATE_LIMITED, "ask again in a moment"
        raise error
