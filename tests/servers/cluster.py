"""One test cluster: the servers a real one would have, on ports and in a folder of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.alertmanager import Alertmanager
from tests.servers.apiserver import ApiServer, ControllerManager
from tests.servers.binaries import locate
from tests.servers.etcd import Etcd
from tests.servers.jaeger import Jaeger
from tests.servers.kube import Kube
from tests.servers.loki import Loki
from tests.servers.network import service_address
from tests.servers.node_exporter import NodeExporter
from tests.servers.process import Server, bring_up, stop_all
from tests.servers.prometheus import Prometheus
from tests.servers.published import publish

ALL_PARTS = (
    "etcd",
    "apiserver",
    "controllers",
    "node",
    "prometheus",
    "alertmanager",
    "loki",
    "jaeger",
)
FULL = frozenset(ALL_PARTS) - {"controllers"}
_NEEDED_BY = {"apiserver": {"etcd"}, "controllers": {"apiserver", "etcd"}}
_OBSERVING = ("prometheus", "alertmanager", "loki", "jaeger")


def temporary_root() -> Path:
    """A folder that goes when this process ends; those of processes that were killed go now."""
    prefix = f"aiops-servers-{os.getuid()}-"
    base = Path(tempfile.gettempdir())
    for left in base.glob(f"{prefix}*"):
        owner = left.name.removeprefix(prefix).split("-", 1)[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(left, ignore_errors=True)
    root = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=base))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


class Cluster:
    """The parts asked for, and those they need, as attributes: `cluster.prometheus`, `cluster.loki`, ….

    Each is a `Server` with `url`, `pid`, `start`, `stop`, `kill`, `restart`, `pause` and `resume`.
    Use it as a context manager, or `start` and `stop` it. `add_parts` and `start` add some later.
    """

    def __init__(
        self,
        name: str,
        *,
        parts: Iterable[str] = FULL,
        scrape_interval: str = "1s",
        root: Path | None = None,
    ) -> None:
        self.name = name
        self.home = (root or temporary_root()) / name
        self._scrape_interval = scrape_interval
        self.parts: set[str] = set()
        self._published: set[str] = set()
        self.add_parts(parts)

    # Every part's ports exist from the start, so that configurations can name each other.
    @cached_property
    def etcd(self) -> Etcd:
        return Etcd(self.home / "etcd")

    @cached_property
    def apiserver(self) -> ApiServer:
        return ApiServer(self.home / "apiserver", self.etcd, cluster=self.name)

    @cached_property
    def controllers(self) -> ControllerManager:
        return ControllerManager(self.home / "controllers", self.apiserver)

    @cached_property
    def node(self) -> NodeExporter:
        return NodeExporter(self.home / "node")

    @cached_property
    def prometheus(self) -> Prometheus:
        return Prometheus(self.home / "prometheus", cluster=self.name, scrape_interval=self._scrape_interval)

    @cached_property
    def alertmanager(self) -> Alertmanager:
        return Alertmanager(self.home / "alertmanager")

    @cached_property
    def loki(self) -> Loki:
        return Loki(self.home / "loki")

    @cached_property
    def jaeger(self) -> Jaeger:
        return Jaeger(self.home / "jaeger")

    @property
    def servers(self) -> list[Server]:
        return [getattr(self, part) for part in ALL_PARTS if part in self.parts]

    @property
    def urls(self) -> dict[str, str]:
        """Base URLs of the parts there are: prometheus, alertmanager, loki, jaeger, apiserver."""
        return {p: getattr(self, p).url for p in (*_OBSERVING, "apiserver") if p in self.parts}

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with one context, named as the cluster, for an administrator's certificate."""
        return self.apiserver.kubeconfig

    @property
    def ca(self) -> Path:
        return self.apiserver.ca_file

    @property
    def token(self) -> str:
        """An administrator's bearer token."""
        return self.apiserver.token

    @cached_property
    def kube(self) -> Kube:
        return Kube(self.apiserver.url, self.apiserver.authority.certificate, self.token)

    def add_parts(self, parts: Iterable[str]) -> None:
        """Have these parts too, and those they need, from the next `start` on.

        A Prometheus that runs takes up a node exporter or Alertmanager that is new. Raises
        MissingServer, and changes nothing, where this machine lacks one of the programs.
        """
        asked = set(parts)
        if unknown := asked - set(ALL_PARTS):
            raise ValueError(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(ALL_PARTS)}")
        for part in tuple(asked):
            asked |= _NEEDED_BY.get(part, set())
        new = asked - self.parts
        for part in sorted(new):
            locate(getattr(self, part).program)
        self.parts |= new
        if "prometheus" in self.parts and new & {"prometheus", "node", "alertmanager"}:
            self.prometheus.node = self.node if "node" in self.parts else None
            self.prometheus.alertmanager = self.alertmanager if "alertmanager" in self.parts else None
            if self.prometheus.running:
                self.prometheus.write_config()
                self.prometheus.reload()

    def start(self) -> Self:
        """Start every part that is not running; returns once all are ready and their Services exist."""
        start_clusters([self])
        return self

    def revive(self) -> None:
        """Bring back every part that a test killed, stopped or paused."""
        for server in self.servers:
            if server.paused:
                server.resume()
        if not all(server.running for server in self.servers):
            self.start()

    def publish(self) -> None:
        """Create the Services under which discovery finds the parts, once for each."""
        new = {p for p in _OBSERVING if p in self.parts} - self._published
        if "apiserver" in self.parts and new:
            host, _ = service_address()
            publish(self.kube, {p: (host, getattr(self, p).port) if host else None for p in sorted(new)})
            self._published |= new

    def stop(self) -> None:
        """Stop every part and remove the cluster's folder."""
        stop_clusters([self])

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_clusters(clusters: Sequence[Cluster]) -> None:
    """Start the parts of several clusters side by side and wait until all are ready."""
    bring_up([server for cluster in clusters for server in cluster.servers])
    for cluster in clusters:
        cluster.publish()


def stop_clusters(clusters: Sequence[Cluster]) -> None:
    """Stop several clusters at once and remove their folders."""
    servers = [server for cluster in clusters for server in cluster.servers]
    # An API server drains before it lets go of its etcd, which therefore goes last.
    stop_all([s for s in servers if s.name != "etcd"])
    stop_all(servers)
    for cluster in clusters:
        cluster._published.clear()
        shutil.rmtree(cluster.home, ignore_errors=True)
