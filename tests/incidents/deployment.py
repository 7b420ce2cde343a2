"""The shop in one cluster: its Deployments, alert rules and visitors, and what can be done to it."""

from __future__ import annotations

import subprocess
import time
from typing import Any

from tests.incidents.kubelet import Kubelet, ask_admin, start_python
from tests.servers.cluster import Cluster
from tests.servers.network import free_port

NAMESPACE = "shop"
READY_SECONDS = 90.0
VERSIONS = {
    "ledger-db": "3.1.0",
    "ledger": "1.9.2",
    "cart": "4.0.3",
    "payment": "2.4.1",
    "checkout": "5.2.0",
    "catalog": "7.3.0",
    "frontend": "6.1.4",
    "settlement": "1.2.0",
}
"""Started in this order, the called before their callers."""
NODES = {
    "a": ("frontend", "cart", "ledger-db"),
    "b": ("checkout", "ledger", "settlement"),
    "c": ("payment", "catalog"),
}


def _error_share(service: str) -> str:
    of_all = f'sum by (job) (rate(http_requests_total{{job="{service}"}}[30s]))'
    failed = f'sum by (job) (rate(http_requests_total{{job="{service}",code=~"5.."}}[30s]))'
    return f"{failed} / {of_all}"


def _alert(
    name: str, expr: str, service: str, severity: str, summary: str, hold: str = "10s"
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        "for": hold,
        "labels": {"severity": severity, "service": service, "namespace": NAMESPACE},
        "annotations": {"summary": summary},
    }


def _slow(service: str) -> str:
    rate = f'sum by (job, le) (rate(http_request_duration_seconds_bucket{{job="{service}"}}[30s]))'
    return f"histogram_quantile(0.95, {rate})"


RULES = [
    _alert(
        "FrontendErrors",
        f"{_error_share('frontend')} > 0.05",
        "frontend",
        "critical",
        "The shop fails {{ $value | humanizePercentage }} of its visitors' requests.",
    ),
    _alert(
        "FrontendLatency",
        f"{_slow('frontend')} > 0.25",
        "frontend",
        "critical",
        "Visitors wait {{ $value | humanizeDuration }} at the 95th percentile.",
    ),
    _alert(
        "CheckoutErrors",
        f"{_error_share('checkout')} > 0.1",
        "checkout",
        "critical",
        "Checkout fails {{ $value | humanizePercentage }} of its requests.",
    ),
    _alert(
        "CatalogErrors",
        f"{_error_share('catalog')} > 0.01",
        "catalog",
        "warning",
        "The catalog fails {{ $value | humanizePercentage }} of its requests.",
    ),
]
INCIDENT_ALERTS = ("FrontendErrors", "FrontendLatency", "CheckoutErrors")


class Shop:
    """Start it after its cluster, which must have controllers, and stop it before."""

    def __init__(self, cluster: Cluster, *, rate: float, seed: int) -> None:
        self.cluster, self.rate, self.seed = cluster, rate, seed
        self.home = cluster.home / "shop"
        self.ports = {service: free_port() for service in VERSIONS}
        self.kubelet = Kubelet(cluster, NAMESPACE, self.ports, self.home)
        self._visitors: subprocess.Popen[bytes] | None = None
        self._node = {s: f"{cluster.name}-{n}" for n, placed in NODES.items() for s in placed}

    def start(self) -> None:
        """Create everything; the pods come up meanwhile. `wait_ready` waits for them."""
        kube = self.cluster.kube
        for name in NODES:
            kube.node(f"{self.cluster.name}-{name}")
        kube.namespace(NAMESPACE)
        self.cluster.prometheus.set_rules("shop", RULES)
        self.kubelet.start()
        for service, version in VERSIONS.items():
            kube.apply("Deployment", self._deployment(service, version))

    def wait_ready(self, wanted: dict[str, str] = VERSIONS) -> None:
        """Until a pod of each of these versions is ready. Raises TimeoutError, or what ended the kubelet."""
        deadline = time.monotonic() + READY_SECONDS
        while wanted.items() - self.kubelet.versions().items():
            if self.kubelet.error:
                raise self.kubelet.error
            if time.monotonic() > deadline:
                late = ", ".join(sorted(dict(wanted.items() - self.kubelet.versions().items())))
                raise TimeoutError(f"not ready in {self.cluster.name} after {READY_SECONDS:.0f} s: {late}")
            time.sleep(0.2)

    def open(self) -> None:
        """Let the visitors in."""
        self._visitors = start_python(
            "tests.incidents.shop.load",
            *("--port", str(self.ports["frontend"]), "--rate", str(self.rate), "--seed", str(self.seed)),
            env={},
            log=self.home / "load.log",
        )

    def roll_out(self, service: str, version: str) -> None:
        """Change the Deployment's image and let the controllers do the rest."""
        template = self._deployment(service, version)["spec"]["template"]
        change = {"spec": {"template": template}}
        self.cluster.kube.patch("Deployment", service, change, namespace=NAMESPACE)

    def break_down(self, service: str, fault: str) -> None:
        """Switch a fault on in the pod of a service. Raises LookupError when it knows no such fault."""
        if not ask_admin(self.kubelet.admin_port(service), "POST", f"/faults/{fault}"):
            raise LookupError(f"{service} has no fault {fault}")

    def firing(self) -> set[str]:
        """Alerts that fire in Prometheus now."""
        found = self.cluster.prometheus.query('ALERTS{alertstate="firing"}')
        return {series["metric"]["alertname"] for series in found}

    def stop(self) -> None:
        if self._visitors is not None:
            self._visitors.kill()
            self._visitors.wait()
        self.kubelet.stop()

    def _deployment(self, service: str, version: str) -> dict[str, Any]:
        return {
            "metadata": {"name": service, "namespace": NAMESPACE, "labels": {"app": service}},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": service}},
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "template": {
                    "metadata": {"labels": {"app": service}},
                    "spec": {
                        "nodeName": self._node[service],
                        "containers": [
                            {"name": service, "image": f"registry.example/shop/{service}:{version}"}
                        ],
                    },
                },
            },
        }
