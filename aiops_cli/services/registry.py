"""What was learned of clusters and what the user said of them, kept in the store with its evidence.

The registry is small and read often: it loads without DuckDB.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from aiops_cli.models.fleet import Endpoint, Fact

if TYPE_CHECKING:
    from aiops_cli.services.discovery import Discovery

LEARNED_SECONDS = 24 * 3600.0


class Records(Protocol):
    """The part of the store that is used: append-only records, the latest of a key wins."""

    def append(self, kind: str, key: str, record: Any) -> None: ...

    def append_all(self, kind: str, records: Sequence[tuple[str, Any]]) -> None: ...

    def latest(self, kind: str) -> dict[str, dict[str, Any]]: ...


class Registry:
    """Learned endpoints and facts by cluster, labels set by the user."""

    def __init__(self, records: Records | None) -> None:
        self._records = records
        self._loaded: dict[str, dict[str, dict[str, Any]]] = {}

    def _all(self, kind: str) -> dict[str, dict[str, Any]]:
        if self._records is None:
            return {}
        if kind not in self._loaded:
            self._loaded[kind] = self._records.latest(kind)
        return self._loaded[kind]

    def labels(self, cluster: str) -> dict[str, str]:
        """The labels that `clusters label` set."""
        records = self._all("labels").values()
        return {r["label"]: r["value"] for r in records if r["cluster"] == cluster and r["value"] is not None}

    def set_labels(self, cluster: str, changes: dict[str, str | None]) -> None:
        """Set labels, or remove those given as None. One record a label, so that two shells that label
        one cluster at once lose nothing. Raises StoreError where they can't be kept."""
        if self._records is not None:
            records = [
                (f"{cluster}/{label}", {"cluster": cluster, "label": label, "value": value})
                for label, value in changes.items()
            ]
            self._records.append_all("labels", records)
            self._loaded.pop("labels", None)

    def endpoint(self, cluster: str, server: str | None, signal: str) -> Endpoint | None:
        """A learned endpoint, unless it is a day old: then it is looked for again."""
        found = self.endpoints(cluster, server).get(signal)
        if found is None or time.time() - (found.learned_at or 0) > LEARNED_SECONDS:
            return None
        return found

    def _learned(self, cluster: str, server: str | None) -> dict[str, Any] | None:
        """What was learned of the cluster behind this API server. Many kubeconfigs have a context of the
        same name: what was learned of one must never be used, or get the token, of another."""
        record = self._all("learned").get(cluster)
        return record if record is not None and server and record.get("server") == server else None

    def endpoints(self, cluster: str, server: str | None) -> dict[str, Endpoint]:
        record = self._learned(cluster, server)
        return {k: msgspec.convert(v, Endpoint) for k, v in record["endpoints"].items()} if record else {}

    def facts(self, cluster: str, server: str | None) -> list[Fact]:
        record = self._learned(cluster, server)
        return [msgspec.convert(f, Fact) for f in record["facts"]] if record else []

    def learn(self, cluster: str, server: str | None, found: Discovery) -> None:
        """Keep what discovery found."""
        if self._records is None:
            return
        record = {
            "cluster": cluster,
            "server": server,
            "endpoints": {k: msgspec.to_builtins(v) for k, v in found.endpoints.items()},
            "facts": [msgspec.to_builtins(f) for f in found.facts],
            "at": time.time(),
        }
        self._records.append("learned", cluster, record)
        self._loaded.pop("learned", None)
