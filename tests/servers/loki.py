"""Loki 2.2.1, one process with its index, its chunks and its write-ahead log on disk.

The last release under Apache-2.0 (2021-04-06; the AGPL came on 2021-04-20). Its LogQL has line filters,
the parsers `json`, `logfmt` and `regexp`, label filters, `line_format`, `label_format`, `unwrap` and the
metric queries. It lacks structured metadata, `pattern`, `/index/stats` and `/patterns`.
A line that was pushed is there after SIGKILL too. A stream takes its lines in the order of time only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.servers.network import LOOPBACK, free_port, listen_address
from tests.servers.process import Server, get_ok

MESSAGE_BYTES = 64 * 1024 * 1024


class Loki(Server):
    name = "loki"
    program = "loki"
    memory_limit = "256MiB"

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
                "grpc_server_max_recv_msg_size": MESSAGE_BYTES,
                "grpc_server_max_send_msg_size": MESSAGE_BYTES,
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
                "wal": {"enabled": True, "dir": str(data / "wal"), "flush_on_shutdown": True},
            },
            "schema_config": {
                "configs": [
                    {
                        "from": "2020-01-01",
                        # The shipper shows lines older than some 90 minutes only once it has uploaded.
                        "store": "boltdb",
                        "object_store": "filesystem",
                        "schema": "v11",
                        "index": {"prefix": "index_", "period": "24h"},
                    }
                ]
            },
            "storage_config": {
                "boltdb": {"directory": str(data / "index")},
                "filesystem": {"directory": str(data / "chunks")},
            },
            # Tests push hours of lines at once, old ones too. What one query may return stays as Loki
            # has it: 5,000 entries, 500 series.
            "limits_config": {
                "reject_old_samples": False,
                "enforce_metric_name": False,
                "ingestion_rate_mb": 1024,
                "ingestion_burst_size_mb": 1024,
                "max_streams_per_user": 0,
                "max_global_streams_per_user": 0,
            },
        }
        self.config.write_text(json.dumps(config, indent=2))  # JSON is YAML

    def is_ready(self) -> bool:
        return get_ok(f"{self.url}/ready")
