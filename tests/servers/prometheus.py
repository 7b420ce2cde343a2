"""Prometheus 2.42 and 3.9: scrape the node exporter and what tests add, evaluate rules, send alerts."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx2

from tests.servers.alertmanager import Alertmanager
from tests.servers.binaries import locate
from tests.servers.network import free_port, listen_address
from tests.servers.node_exporter import NodeExporter
from tests.servers.process import POLL_SECONDS, Server, get, get_ok


class Prometheus(Server):
    """`config` is its configuration file, `rules` and `targets` the folders it reads.

    The configuration is written once, so a test may change it and call `reload`. `external_labels` are
    `cluster` and those given.
    """

    name = "prometheus"
    program = "prometheus"
    promtool: ClassVar[str] = "promtool"
    memory_limit = "256MiB"

    def __init__(
        self,
        home: Path,
        *,
        cluster: str,
        scrape_interval: str = "1s",
        external_labels: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(home)
        self.cluster = cluster
        self.external_labels = {"cluster": cluster, **(external_labels or {})}
        self.port = free_port()
        self.host = listen_address()
        self.scrape_interval = scrape_interval
        self.config = home / "prometheus.yml"
        self.rules = home / "rules"
        self.targets = home / "targets"
        self.alertmanager: Alertmanager | None = None
        self.node: NodeExporter | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def command(self) -> list[str]:
        return [
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.home / 'data'}",
            "--storage.tsdb.retention.time=400d",
            f"--web.listen-address={self.host}:{self.port}",
            # The first alert may come before Alertmanager is discovered; a minute is long to wait.
            "--rules.alert.resend-delay=5s",
            "--web.enable-lifecycle",
            "--web.enable-admin-api",
            "--log.level=warn",
        ]

    def prepare(self) -> None:
        self.rules.mkdir(exist_ok=True)
        self.targets.mkdir(exist_ok=True)
        if not self.config.exists():
            self.write_config()

    def write_config(self) -> None:
        """Write the configuration anew, for the alertmanager and node exporter known now."""
        config: dict[str, Any] = {
            "global": {
                "scrape_interval": self.scrape_interval,
                "scrape_timeout": self.scrape_interval,
                "evaluation_interval": self.scrape_interval,
                "external_labels": self.external_labels,
                **self.more_global_config(),
            },
            "rule_files": [f"{self.rules}/*.yml"],
            "scrape_configs": [
                {
                    "job_name": "prometheus",
                    "static_configs": [{"targets": [f"{self.host}:{self.port}"]}],
                },
                # A `job` label in the targets file replaces this job's name.
                {"job_name": "added", "file_sd_configs": [{"files": [f"{self.targets}/*.json"]}]},
            ],
        }
        config |= self.more_config()
        if self.node:
            config["scrape_configs"].append(
                {
                    "job_name": "node-exporter",
                    "static_configs": [{"targets": [self.node.url.removeprefix("http://")]}],
                }
            )
        if self.alertmanager:
            target = self.alertmanager.url.removeprefix("http://")
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [target]}]}]}
        self.config.write_text(json.dumps(config, indent=2))  # JSON is YAML

    def more_config(self) -> dict[str, Any]:
        """Top-level settings that only this version has."""
        return {}

    def more_global_config(self) -> dict[str, Any]:
        """Settings under `global` that only this version has."""
        return {}

    def is_ready(self) -> bool:
        return get_ok(f"{self.url}/-/ready")

    def reload(self) -> None:
        """Read configuration and rules again. Raises httpx2.HTTPStatusError when they are invalid."""
        httpx2.post(f"{self.url}/-/reload", timeout=30.0, verify=False, trust_env=False).raise_for_status()

    def add_targets(
        self, job: str, addresses: Iterable[str], labels: Mapping[str, str] | None = None
    ) -> None:
        """Scrape these `host:port`s too, under that `job`; it notices within moments, without a reload."""
        self.targets.mkdir(parents=True, exist_ok=True)
        group = {"targets": list(addresses), "labels": {**(labels or {}), "job": job}}
        aside = self.targets / f"{job}.new"
        aside.write_text(json.dumps([group]))
        aside.rename(self.targets / f"{job}.json")

    def remove_targets(self, job: str) -> None:
        (self.targets / f"{job}.json").unlink(missing_ok=True)

    def set_rules(self, name: str, rules: Iterable[Mapping[str, Any]]) -> None:
        """Put one group of alerting or recording rules in place of that name's and reload.

        A rule is as in a rules file: `{"alert": "Down", "expr": "up == 0", "for": "5s", "labels": {…}}`.
        """
        group = {"name": name, "rules": list(rules)}
        (self.rules / f"{name}.yml").write_text(json.dumps({"groups": [group]}))
        self.reload()

    def remove_rules(self, name: str) -> None:
        (self.rules / f"{name}.yml").unlink(missing_ok=True)
        self.reload()

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The `result` of an instant query, as Prometheus gives it."""
        reply = get(f"{self.url}/api/v1/query", params={"query": expr}, timeout=30.0).raise_for_status()
        result: list[dict[str, Any]] = reply.json()["data"]["result"]
        return result

    def wait_for(self, expr: str, *, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Ask until the answer has a series. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not (result := self.query(expr)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{expr} had no result in {self.cluster} after {seconds:.0f} s")
            time.sleep(POLL_SECONDS)
        return result

    def backfill(self, openmetrics: str) -> None:
        """Add history: OpenMetrics text with timestamps in seconds, ending in `# EOF`.

        promtool writes it as blocks beside Prometheus's own; a restart makes them visible at once.
        """
        source = self.home / "backfill.om"
        source.write_text(openmetrics)
        was_running = self.running
        self.stop()
        try:
            subprocess.run(
                [
                    locate(self.promtool),
                    "tsdb",
                    "create-blocks-from",
                    "openmetrics",
                    source,
                    self.home / "data",
                ],
                check=True,
                capture_output=True,
            )
        finally:
            source.unlink()
            if was_running:
                self.start()


class Prometheus3(Prometheus):
    """Prometheus 3.9: native histograms, UTF-8 names, infos beside warnings, and OTLP at `otlp_url`.

    It scrapes itself, so its own native histogram `prometheus_http_request_duration_seconds` is there
    beside the classic one. Metrics sent by OTLP keep their names, dots included.
    """

    name = "prometheus3"
    program = "prometheus3"
    promtool = "promtool3"

    @property
    def otlp_url(self) -> str:
        """Takes metrics as they are sent by an OTLP/HTTP exporter."""
        return f"{self.url}/api/v1/otlp/v1/metrics"

    def command(self) -> list[str]:
        return [*super().command(), "--web.enable-otlp-receiver"]

    def more_config(self) -> dict[str, Any]:
        return {"otlp": {"translation_strategy": "NoTranslation"}}

    def more_global_config(self) -> dict[str, Any]:
        return {"scrape_native_histograms": True, "always_scrape_classic_histograms": True}
