"""The fleet: clusters, their endpoints, what was learned of them, and their health."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from aiops_cli.models.result import ErrorInfo

Signal = Literal["prometheus", "alertmanager", "loki", "tempo", "jaeger", "korrel8r"]
SIGNALS: tuple[Signal, ...] = ("prometheus", "alertmanager", "loki", "tempo", "jaeger", "korrel8r")


HealthState = Literal["UNKNOWN", "ONLINE", "DEGRADED", "OFFLINE"]
Connectivity = Literal["CONNECTED", "DISCONNECTED", "INTERMITTENT"]


class Endpoint(Struct, frozen=True, rename="camel"):
    """One way to reach one server.

    `url` has no trailing slash. `via` says how it was chosen: an explicit URL of the config, a Route
    or Ingress, the API server's service proxy, or the API server itself. `evidence` is the object it
    was read from, `learned_at` unix seconds (None for config).
    """

    signal: str
    url: str
    via: Literal["config", "route", "ingress", "proxy", "direct"] = "config"
    tenant: str | None = None
    credential: str | None = None
    ca_file: str | None = None
    insecure: bool = False
    headers: dict[str, str] = {}
    evidence: str = ""
    learned_at: float | None = None


class Cluster(Struct, frozen=True, rename="camel"):
    """A kubeconfig context, a cluster named in config alone, or one recorded in a bundle.

    `context` is None for a cluster that exists in config alone. `uid` is the kube-system namespace's
    UID once learned. `endpoints` holds what config names; learned ones live in the store.
    `alertmanagers` and `prometheuses` are all of them where config names several; the first is in
    `endpoints` too.
    `way` tells one API server from another of the same URL: proxy and TLS name. `exporters` are URLs of
    /metrics pages that config names, under `dcgm` and `ptp`.
    """

    name: str
    context: str | None = None
    server: str | None = None
    namespace: str = "default"
    labels: dict[str, str] = {}
    endpoints: dict[str, Endpoint] = {}
    way: str = ""
    alertmanagers: list[Endpoint] = []
    prometheuses: list[Endpoint] = []
    exporters: dict[str, list[str]] = {}


class Fact(Struct, frozen=True, rename="camel"):
    """One learned thing of a cluster, with its evidence and when it was seen (unix seconds)."""

    key: str
    value: str
    evidence: str
    seen_at: float


class ClusterHealth(Struct, frozen=True, rename="camel"):
    """An item of `clusters health`: score 100, less 50 API server, 20 Prometheus, 15 Tempo, 15 Loki.

    A component is OK, DOWN, or null where the cluster has none or it is not known. `alertmanager`, and
    `dcgm` and `ptp`, which are there where config names exporters, have no part in the score; the state tells of
    them.
    """

    cluster: str
    state: HealthState
    score: int | None
    connectivity: Connectivity
    components: dict[str, str | None]
    error: ErrorInfo | None
    checked_at: str
