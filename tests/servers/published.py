"""The Services and Pods as which the usual charts and operators run these servers in a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.servers.kube import Kube


@dataclass(frozen=True)
class Published:
    """One Service as its chart makes it."""

    name: str
    labels: dict[str, str]
    port_name: str
    port: int
    headless: bool = False


@dataclass(frozen=True)
class Workload:
    """One server's Pod and the Services that lead to it."""

    namespace: str
    pod: str
    pod_labels: dict[str, str]
    services: tuple[Published, ...]


_STACK = {"app.kubernetes.io/part-of": "kube-prometheus-stack", "release": "kube-prometheus-stack"}

WORKLOADS = {
    "prometheus": Workload(
        "monitoring",
        "prometheus-kube-prometheus-stack-prometheus-0",
        {"app.kubernetes.io/name": "prometheus"},
        (
            Published(
                "kube-prometheus-stack-prometheus",
                {**_STACK, "app": "kube-prometheus-stack-prometheus", "self-monitor": "true"},
                "http-web",
                9090,
            ),
            Published(
                "prometheus-operated", {"operated-prometheus": "true"}, "http-web", 9090, headless=True
            ),
            Published("prometheus", {"app.kubernetes.io/name": "prometheus"}, "http", 9090),
        ),
    ),
    "alertmanager": Workload(
        "monitoring",
        "alertmanager-kube-prometheus-stack-alertmanager-0",
        {"app.kubernetes.io/name": "alertmanager"},
        (
            Published(
                "kube-prometheus-stack-alertmanager",
                {**_STACK, "app": "kube-prometheus-stack-alertmanager", "self-monitor": "true"},
                "http-web",
                9093,
            ),
            Published(
                "alertmanager-operated", {"operated-alertmanager": "true"}, "http-web", 9093, headless=True
            ),
        ),
    ),
    "loki": Workload(
        "logging",
        "loki-0",
        {"app.kubernetes.io/name": "loki"},
        (Published("loki", {"app.kubernetes.io/name": "loki"}, "http-metrics", 3100),),
    ),
    "jaeger": Workload(
        "tracing",
        "jaeger-0",
        {"app": "jaeger", "app.kubernetes.io/component": "all-in-one"},
        (
            Published(
                "jaeger-query",
                {
                    "app": "jaeger",
                    "app.kubernetes.io/component": "service-query",
                    "app.kubernetes.io/part-of": "jaeger",
                },
                "http-query",
                16686,
            ),
        ),
    ),
}


def publish(kube: Kube, addresses: Mapping[str, tuple[str, int] | None]) -> None:
    """Create the Pods and Services of these servers.

    `addresses` maps a server to the host and port where it listens, or to None where the API server
    could not reach it; that one gets Services that lead nowhere.
    """
    for server, address in addresses.items():
        workload = WORKLOADS[server]
        kube.namespace(workload.namespace)
        pod = None
        if address:
            status = {"podIP": address[0], "podIPs": [{"ip": address[0]}]}
            pod = kube.pod(workload.namespace, workload.pod, labels=workload.pod_labels, status=status)
        for service in workload.services:
            kube.service(
                workload.namespace,
                service.name,
                labels=service.labels,
                port_name=service.port_name,
                port=service.port,
                pod=pod,
                pod_port=address[1] if address else 0,
                headless=service.headless,
            )
