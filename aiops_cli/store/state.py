"""The small state that is kept: what was learned, what the user said, and what was found, by kind.

Nothing secret comes in here: learned endpoints name a credential and never hold one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from aiops_cli.errors import StoreError
from aiops_cli.models.analysis import Anomaly, Cause
from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.store.journal import Entry, Journal
from aiops_cli.store.notices import Notices

_KEEP_SECONDS = 90 * 86400.0


@dataclass(frozen=True, slots=True)
class Kind:
    """How records of a kind are kept: only the latest of a key, or all of them for 90 days.

    `user` marks what a person typed or asked to be saved: failing to keep it is an error, where for
    the rest it is a warning.
    """

    latest_only: bool = False
    user: bool = False


KINDS = {
    "labels": Kind(latest_only=True, user=True),
    "learned": Kind(latest_only=True),
    "health": Kind(),
    "alerts": Kind(),
    "anomalies": Kind(),
    "rca": Kind(),
    "reports": Kind(user=True),
}


class Analysis(msgspec.Struct, frozen=True, rename="camel"):
    """A finished `rca analyze`: when it ran, over what (all RFC 3339), and the causes, best first."""

    id: str
    at: str
    clusters: list[str]
    start: str
    end: str
    causes: list[Cause]


class State:
    """Everything durable under `root`, shared with every other process; `notices` shows its messages."""

    def __init__(self, root: Path, *, notices: Notices | None = None) -> None:
        self.root = root
        self.notices = notices or Notices()
        self._journals: dict[str, Journal] = {}

    def append(self, kind: str, key: str, record: Any) -> None:
        """Store one record (a dict or Struct) under `key`; on disk when this returns.

        Raises StoreError where the disk refuses what the user made; of the rest it warns once.
        """
        self.append_all(kind, [(key, record)])

    def append_all(self, kind: str, records: Sequence[tuple[str, Any]]) -> None:
        """Store (key, record) pairs, all or none; else as `append`."""
        try:
            self._journal(kind).append(records)
        except OSError as error:
            if KINDS[kind].user:
                raise StoreError(
                    f"can't save {kind} in {self.root}: {error.strerror or error}",
                    hint="free some space or make the folder writable, or set XDG_DATA_HOME elsewhere",
                ) from error
            self.notices.disk(self.root, error)

    def entries(self, kind: str, since: float | None = None) -> list[Entry]:
        """Every record of a kind stored at or after `since` (unix seconds), oldest first."""
        return [e for e in self._journal(kind).read() if since is None or e.at >= since * 1e9]

    def latest(self, kind: str) -> dict[str, dict[str, Any]]:
        """The latest record of each key."""
        return {entry.key: entry.data for entry in self.entries(kind)}

    def add_health(self, rows: Sequence[ClusterHealth]) -> None:
        self.append_all("health", [(row.cluster, row) for row in rows])

    def health(self, since: float | None = None) -> list[ClusterHealth]:
        return [msgspec.convert(e.data, ClusterHealth) for e in self.entries("health", since)]

    def add_anomalies(self, found: Sequence[Anomaly]) -> None:
        """Found again, an anomaly replaces what was known under its id."""
        self.append_all("anomalies", [(one.id, one) for one in found])

    def anomalies(self, since: float | None = None) -> list[Anomaly]:
        found = {e.key: e.data for e in self.entries("anomalies", since)}
        return [msgspec.convert(data, Anomaly) for data in found.values()]

    def add_analysis(self, analysis: Analysis) -> None:
        self.append("rca", analysis.id, analysis)

    def analyses(self, since: float | None = None) -> list[Analysis]:
        return [msgspec.convert(e.data, Analysis) for e in self.entries("rca", since)]

    def _journal(self, kind: str) -> Journal:
        if kind not in self._journals:
            keep = None if KINDS[kind].latest_only or KINDS[kind].user else _KEEP_SECONDS
            self._journals[kind] = Journal(
                self.root / "state" / kind,
                self.notices,
                latest_only=KINDS[kind].latest_only,
                keep_seconds=keep,
            )
        return self._journals[kind]
