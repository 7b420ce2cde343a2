"""Thanos 0.42: a sidecar beside each Prometheus, and one Querier over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.servers.network import LOOPBACK, free_port, listen_address
from tests.servers.process import Server, bring_up, get, get_ok, stop_all
from tests.servers.prometheus import Prometheus

REPLICA_LABELS = ("prometheus_replica", "replica")


class ThanosSidecar(Server):
    """Serves one Prometheus, which must have external labels, over Thanos's store API."""

    name = "thanos-sidecar"
    program = "thanos"

    def __init__(self, home: Path, prometheus: Prometheus) -> None:
        super().__init__(home, needs=[prometheus])
        self.prometheus = prometheus
        self.port = free_port()
        self._grpc_port = free_port()

    @property
    def grpc_address(self) -> str:
        return f"{LOOPBACK}:{self._grpc_port}"

    def command(self) -> list[str]:
        return [
            "sidecar",
            f"--prometheus.url={self.prometheus.url}",
            f"--tsdb.path={self.prometheus.home / 'data'}",
            f"--http-address={LOOPBACK}:{self.port}",
            f"--grpc-address={self.grpc_address}",
            "--http-grace-period=0s",
            "--grpc-grace-period=0s",
            "--log.level=warn",
        ]

    def is_ready(self) -> bool:
        return get_ok(f"http://{LOOPBACK}:{self.port}/-/ready")


class ThanosQuery(Server):
    """`url` speaks the Prometheus API; series that differ in a replica label alone are one.

    `&dedup=false` shows each replica's, `&partial_response=false` fails when a sidecar does.
    """

    name = "thanos-query"
    program = "thanos"
    memory_limit = "256MiB"

    def __init__(self, home: Path, sidecars: Sequence[ThanosSidecar]) -> None:
        super().__init__(home, needs=sidecars)
        self.sidecars = tuple(sidecars)
        self.port = free_port()
        self.host = listen_address()
        self._grpc_port = free_port()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def command(self) -> list[str]:
        return [
            "query",
            f"--http-address={self.host}:{self.port}",
            f"--grpc-address={LOOPBACK}:{self._grpc_port}",
            *(f"--endpoint={sidecar.grpc_address}" for sidecar in self.sidecars),
            *(f"--query.replica-label={label}" for label in REPLICA_LABELS),
            "--http-grace-period=0s",
            "--grpc-grace-period=0s",
            "--log.level=warn",
        ]

    def is_ready(self) -> bool:
        if not get_ok(f"{self.url}/-/ready"):
            return False
        # Ready says nothing of the sidecars: it looks for them every few seconds.
        return self.stores() == len(self.sidecars)

    def stores(self) -> int:
        """How many sidecars it knows and has no error from."""
        reply = get(f"{self.url}/api/v1/stores")
        found = reply.raise_for_status().json()["data"].values()
        return sum(1 for kind in found for store in kind if not store["lastError"])


class HaPair:
    """Two Prometheis that scrape the same, and a Thanos Querier over both: `a`, `b` and `query`.

    As kube-prometheus runs them: they differ in the external label `prometheus_replica`, which is in
    what Thanos shows with `dedup=false` and in alerts, and never in the answers of `a` and `b`.
    """

    def __init__(self, home: Path, *, cluster: str, kind: type[Prometheus] = Prometheus) -> None:
        self.a, self.b = (
            kind(
                home / f"prometheus-{n}",
                cluster=cluster,
                external_labels={"prometheus_replica": f"prometheus-k8s-{n}"},
            )
            for n in (0, 1)
        )
        self.sidecars = [
            ThanosSidecar(home / f"sidecar-{n}", prometheus) for n, prometheus in enumerate((self.a, self.b))
        ]
        self.query = ThanosQuery(home / "query", self.sidecars)

    @property
    def servers(self) -> list[Server]:
        return [self.a, self.b, *self.sidecars, self.query]

    def start(self) -> None:
        """Start what is not running; returns once the Querier sees both."""
        bring_up(self.servers)

    def stop(self) -> None:
        stop_all(self.servers)
