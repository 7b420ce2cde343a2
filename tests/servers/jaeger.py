"""Jaeger all-in-one: OTLP in, Jaeger's query API out, spans in memory (a restart forgets them)."""

from __future__ import annotations

from pathlib import Path

from tests.servers.network import LOOPBACK, free_port, listen_address
from tests.servers.process import Server, get_ok

INTERNAL = (
    "collector.grpc-server.host-port",
    "collector.http-server.host-port",
    "collector.otlp.grpc.host-port",
    "query.grpc-server.host-port",
)


class Jaeger(Server):
    """`url` is the query API, `otlp_url` takes spans at `/v1/traces`."""

    name = "jaeger"
    program = "jaeger"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.host = listen_address()
        self.port = free_port()
        self._otlp_port = free_port()
        self._admin_port = free_port()
        self._internal_ports = {flag: free_port() for flag in INTERNAL}

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def otlp_url(self) -> str:
        return f"http://{LOOPBACK}:{self._otlp_port}"

    def command(self) -> list[str]:
        return [
            f"--query.http-server.host-port={self.host}:{self.port}",
            f"--collector.otlp.http.host-port={LOOPBACK}:{self._otlp_port}",
            f"--admin.http.host-port={LOOPBACK}:{self._admin_port}",
            *(f"--{flag}={LOOPBACK}:{port}" for flag, port in self._internal_ports.items()),
            "--memory.max-traces=50000",
            "--log-level=error",
        ]

    def environment(self) -> dict[str, str]:
        # Or it traces itself to a collector on port 4317 and waits for that on its way out.
        return {"OTEL_TRACES_SAMPLER": "always_off"}

    def is_ready(self) -> bool:
        return get_ok(f"http://{LOOPBACK}:{self._admin_port}/") and get_ok(f"{self.url}/api/services")
