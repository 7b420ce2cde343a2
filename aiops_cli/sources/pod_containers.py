"""Which containers a cluster's pods have, and the times in their logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

import msgspec

from aiops_cli.errors import ClusterError
from aiops_cli.sources.base import Labels
from aiops_cli.sources.kubernetes_objects import Meta, unix


class _Terminated(msgspec.Struct, rename="camel"):
    finished_at: datetime | None = None


class _State(msgspec.Struct):
    running: dict[str, str] | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(msgspec.Struct, rename="camel"):
    name: str = ""
    restart_count: int = 0
    state: _State = msgspec.field(default_factory=_State)
    last_state: _State = msgspec.field(default_factory=_State)


class _Named(msgspec.Struct):
    name: str


class _Spec(msgspec.Struct, rename="camel"):
    containers: list[_Named] = []
    init_containers: list[_Named] = []


class _Status(msgspec.Struct, rename="camel"):
    phase: str = ""
    container_statuses: list[_ContainerStatus] = []
    init_container_statuses: list[_ContainerStatus] = []


class Pod(msgspec.Struct):
    metadata: Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


@dataclass(frozen=True, slots=True)
class Container:
    """A container whose log can be read. `ended` is when the one before its last restart ended, in unix
    seconds, 0 if there was none."""

    path: str
    labels: Labels
    running: bool
    restarts: int
    ended: float

    @property
    def name(self) -> str:
        return f"{self.labels['namespace']}/{self.labels['pod']}/{self.labels['container']}"


class Unreadable(Exception):
    """One container's log can't be had; `error` says why, in case it is of interest."""

    def __init__(self, status: int, error: ClusterError) -> None:
        super().__init__(error.message)
        self.status, self.error = status, error

    @property
    def expected(self) -> bool:
        """It has no node yet or has not started, its log was rotated away, or its pod is gone."""
        return self.status in (204, 400, 404)


def containers_of(pod: Pod) -> list[Container]:
    meta, labels = pod.metadata, pod.metadata.labels
    app = labels.get("app.kubernetes.io/name") or labels.get("app")
    path = f"/api/v1/namespaces/{quote(meta.namespace, safe='')}/pods/{quote(meta.name, safe='')}/log"
    statuses = {s.name: s for s in (*pod.status.container_statuses, *pod.status.init_container_statuses)}
    found = []
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        status = statuses.get(container.name, _ContainerStatus())
        before = status.last_state.terminated
        own = {"namespace": meta.namespace, "pod": meta.name, "container": container.name}
        found.append(
            Container(
                path,
                own | ({"app": app} if app else {}),
                status.state.running is not None,
                status.restart_count,
                unix(before.finished_at) if before else 0.0,
            )
        )
    return found


def nanoseconds(stamp: bytes) -> int | None:
    """RFC 3339 with up to nine digits of a second, in unix nanoseconds; None for what is no time."""
    try:
        text = stamp.decode("ascii")
        whole, rest = text[:19], text[19:]
        digits = ""
        if rest[:1] == ".":
            digits = rest[1:].rstrip("Z").partition("+")[0].partition("-")[0]
            rest = rest[1 + len(digits) :]
        return _second(whole + rest) * 10**9 + int((digits + "000000000")[:9])
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _second(text: str) -> int:
    """Unix seconds of RFC 3339 without a fraction. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return int(moment.timestamp())
