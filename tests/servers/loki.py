"""Loki 1.6.1, one process with its index and chunks on disk.

The last release line under Apache-2.0; LogQL of that version has line filters, label matchers, rate and
the aggregations, and no parsers (`| json`, `| logfmt`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.servers.network import LOOPBACK, free_port, listen_address
from tests.servers.process import Server, get_ok


class Loki(Server):
    name = "loki"
    program = "loki"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.port = free_port()
        self._grpc_port = free_port()
        self.host = listen_address()
        self.config = home / "loki.yml"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def command(self) -> list[str]:
        return [f"-config.file={self.config}"]

    def prepare(self) -> None:
        data = self.home / "data"
        config: dict[str, Any] = {
            "auth_enabled": False,
            "server": {
                "http_listen_address": self.host,
                "http_listen_port": self.port,
                "grpc_listen_address": LOOPBACK,
                "grpc_listen_port": self._grpc_port,
                "log_level": "warn",
            },
            "ingester": {
                "lifecycler": {
                    "address": LOOPBACK,
                    "ring": {"kvstore": {"store": "inmemory"}, "replication_factor": 1},
                    "final_sleep": "0s",
                    "min_ready_duration": "0s",
                },
                # On SIGTERM chunks go to disk, not to a peer that does not exist.
                "max_transfer_retries": 0,
            },
            "schema_config": {
                "configs": [
                    {
                        "from": "2020-01-01",
                        "store": "boltdb-shipper",
                        "object_store": "filesystem",
                        "schema": "v11",
                        "index": {"prefix": "index_", "period": "24h"},
                    }
                ]
            },
            "storage_config": {
                "boltdb_shipper": {
                    "active_index_directory": str(data / "index"),
                    "cache_location": str(data / "cache"),
                    "shared_store": "filesystem",
                },
                "filesystem": {"directory": str(data / "chunks")},
            },
            # Tests push hours of lines at once, old ones too.
            "limits_config": {
                "reject_old_samples": False,
                "enforce_metric_name": False,
                "ingestion_rate_mb": 256,
                "ingestion_burst_size_mb": 256,
                "max_global_streams_per_user": 0,
            },
        }
        self.config.write_text(json.dumps(config, indent=2))  # JSON is YAML

    def is_ready(self) -> bool:
        return get_ok(f"{self.url}/ready")
