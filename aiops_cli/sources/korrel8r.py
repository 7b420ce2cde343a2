"""Korrel8r's REST API, v1alpha1: a graph of what is related to a query's objects, in its own classes.

Of its documentation (https://korrel8r.github.io/korrel8r/, "REST API") and the descriptions of its
domains. A query is `DOMAIN:CLASS:SELECTOR`; the selector's language is the domain's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.sources.replies import failure
from aiops_cli.transport.client import HttpClient, Reply, not_json

_WHAT = "Korrel8r"
_API = "/api/v1alpha1"


class QueryCount(msgspec.Struct):
    """A query and how many results it gave; None or -1 where it was not run."""

    query: str
    count: int | None = None


class _Node(msgspec.Struct):
    queries: list[QueryCount] | None = None


class _Graph(msgspec.Struct):
    nodes: list[_Node] | None = None


class _Domain(msgspec.Struct):
    name: str = ""


class _Problem(msgspec.Struct):
    error: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A query whose `count` results are related to the start. Its parts are domain, class, selector."""

    domain: str
    kind: str
    selector: str
    count: int


class Korrel8rSource:
    """One Korrel8r. It asks its stores with the token that it is shown, so it shows what that may see."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    async def ready(self) -> None:
        """Raises ClusterError unless it lists its domains."""
        reply = await self.client.get(f"{_API}/domains")
        if reply.status != 200:
            raise self._failed(reply)
        try:
            msgspec.json.decode(reply.body, type=list[_Domain])
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None

    async def neighbours(
        self, query: str, start: str, end: str, *, depth: int = 3, limit: int = 100, seconds: float = 10.0
    ) -> list[Neighbour]:
        """What is within `depth` rules of the query's objects, between two RFC 3339 times, by class.

        Raises ClusterError.
        """
        body = {
            "depth": depth,
            "start": {
                "queries": [query],
                "constraint": {"start": start, "end": end, "limit": limit, "timeout": f"{seconds:g}s"},
            },
        }
        reply = await self.client.request(
            "POST",
            f"{_API}/graphs/neighbours",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        if reply.status != 200:
            raise self._failed(reply)
        try:
            graph = msgspec.json.decode(reply.body, type=_Graph)
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None
        found = []
        for node in graph.nodes or []:
            for asked in node.queries or []:
                domain, _, rest = asked.query.partition(":")
                kind, _, selector = rest.partition(":")
                if selector and asked.query != query and (asked.count or 0) > 0:
                    found.append(Neighbour(domain, kind, selector, asked.count or 0))
        return found

    def _failed(self, reply: Reply) -> ClusterError:
        try:
            text = msgspec.json.decode(reply.body, type=_Problem).error
        except msgspec.MsgspecError:
            text = ""
        if text and 400 <= reply.status < 500 and reply.status not in (401, 403, 429):
            return ClusterError(
                f"{_WHAT} can't start there: {text}",
                hint="what the other sources say is unaffected",
                code=ErrorCode.QUERY_FAILED,
                endpoint=self.endpoint,
            )
        return failure(reply, _WHAT, self.endpoint)
