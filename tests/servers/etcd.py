"""etcd, as the API server's store."""

from __future__ import annotations

from pathlib import Path

from tests.servers.network import LOOPBACK, free_port
from tests.servers.process import Server, get_ok


class Etcd(Server):
    name = "etcd"
    program = "etcd"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.port = free_port()
        self._peer_port = free_port()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def command(self) -> list[str]:
        peer = f"http://{LOOPBACK}:{self._peer_port}"
        return [
            f"--data-dir={self.home / 'data'}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # Its only member need not wait a second for others before it leads.
            "--heartbeat-interval=10",
            "--election-timeout=100",
            "--log-level=warn",
        ]

    def is_ready(self) -> bool:
        return get_ok(f"{self.url}/health")
