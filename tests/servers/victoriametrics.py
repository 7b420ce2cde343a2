"""VictoriaMetrics 1.79: a second implementation of the Prometheus API, with MetricsQL."""

from __future__ import annotations

from pathlib import Path

import httpx2

from tests.servers.network import free_port, listen_address
from tests.servers.process import Server, get_ok


class VictoriaMetrics(Server):
    """It scrapes itself (`job="victoria-metrics"`); other series are imported."""

    name = "victoriametrics"
    program = "victoria-metrics"
    memory_limit = "256MiB"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.port = free_port()
        self.host = listen_address()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def command(self) -> list[str]:
        return [
            f"-storageDataPath={self.home / 'data'}",
            f"-httpListenAddr={self.host}:{self.port}",
            "-retentionPeriod=10y",
            "-memory.allowedBytes=256MiB",
            "-selfScrapeInterval=1s",
            # Else the newest 30 seconds are hidden.
            "-search.latencyOffset=0s",
            "-loggerLevel=WARN",
        ]

    def is_ready(self) -> bool:
        return get_ok(f"{self.url}/health")

    def import_openmetrics(self, *openmetrics: str) -> None:
        """Add samples: the text that `Prometheus.backfill` takes, in one or several pieces that end with a line.

        They can be queried once this returns.
        """
        with httpx2.Client(base_url=self.url, timeout=120.0, trust_env=False) as client:
            for piece in openmetrics:
                lines = []
                for line in piece.splitlines():
                    if line and not line.startswith("#"):
                        series, _, seconds = line.rpartition(" ")
                        lines.append(f"{series} {round(float(seconds) * 1000)}\n")
                body = "".join(lines).encode()
                client.post("/api/v1/import/prometheus", content=body).raise_for_status()
            client.get("/internal/force_flush").raise_for_status()
            client.get("/internal/resetRollupResultCache").raise_for_status()
