"""The Prometheus node exporter, with a folder through which tests can expose metrics of their own."""

from __future__ import annotations

from pathlib import Path

from tests.servers.network import LOOPBACK, free_port
from tests.servers.process import Server, get_ok

# What a node dashboard needs, and cheap enough to be scraped every second.
COLLECTORS = (
    "cpu",
    "diskstats",
    "filesystem",
    "loadavg",
    "meminfo",
    "netdev",
    "pressure",
    "stat",
    "time",
    "uname",
)


class NodeExporter(Server):
    name = "node"
    program = "node-exporter"
    memory_limit = "48MiB"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.port = free_port()
        self.textfiles = home / "textfiles"

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        self.textfiles.mkdir(exist_ok=True)

    def command(self) -> list[str]:
        return [
            f"--web.listen-address={LOOPBACK}:{self.port}",
            "--web.disable-exporter-metrics",
            "--collector.disable-defaults",
            *(f"--collector.{name}" for name in COLLECTORS),
            "--collector.textfile",
            f"--collector.textfile.directory={self.textfiles}",
            "--log.level=warn",
        ]

    def is_ready(self) -> bool:
        return get_ok(f"{self.url}/metrics")

    def expose(self, name: str, text: str) -> None:
        """Serve these metrics (Prometheus text format, no timestamps) from the next scrape on."""
        self.textfiles.mkdir(parents=True, exist_ok=True)
        aside = self.textfiles / f"{name}.new"
        aside.write_text(text if text.endswith("\n") else text + "\n")
        aside.rename(self.textfiles / f"{name}.prom")
