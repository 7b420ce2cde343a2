"""Alertmanager: one node, no peers, and a receiver that sends nothing anywhere."""

from __future__ import annotations

from pathlib import Path

from tests.servers.network import free_port, listen_address
from tests.servers.process import Server, get_ok

CONFIG = """\
route:
  receiver: nowhere
  group_by: [alertname]
  group_wait: 0s
receivers:
  - name: nowhere
"""


class Alertmanager(Server):
    name = "alertmanager"
    program = "alertmanager"
    get_concurrency = 0  # requests answered at once; 0 is its own default

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.port = free_port()
        self.host = listen_address()
        self.config = home / "alertmanager.yml"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def prepare(self) -> None:
        if not self.config.exists():
            self.config.write_text(CONFIG)

    def command(self) -> list[str]:
        return [
            f"--config.file={self.config}",
            f"--storage.path={self.home / 'data'}",
            f"--web.listen-address={self.host}:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
            f"--web.get-concurrency={self.get_concurrency}",
        ]

    def is_ready(self) -> bool:
        return get_ok(f"{self.url}/-/ready")
