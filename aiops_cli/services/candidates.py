"""Which Services of a cluster may be its Prometheus, Alertmanager, Loki, Tempo or Jaeger.

The names, labels and ports are those of the usual charts and operators: kube-prometheus-stack, the
Prometheus, Thanos, Mimir, VictoriaMetrics, Loki, Tempo and Jaeger charts, and their operators.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiops_cli.models.fleet import Signal
from aiops_cli.sources.kubernetes_objects import Service, ServicePort

BY_PORT_ALONE = 10
_BY_LABEL = 50
_HEADLESS = 30
_LABELS = ("app.kubernetes.io/name", "app", "k8s-app", "name")
# Words of names of what stands beside these servers: none of them answers queries.
_OTHERS = frozenset(
    [
        "exporter",
        "operator",
        "pushgateway",
        "adapter",
        "webhook",
        "canary",
        "memberlist",
        "sidecar",
        "discovery",
        "store",
        "storegateway",
        "compactor",
        "ruler",
        "distributor",
        "ingester",
        "cache",
        "memcached",
        "receive",
        "agent",
        "collector",
        "promtail",
        "grafana",
        "state",
        "write",
        "backend",
        "querier",
        "scheduler",
        "overrides",
        "vmagent",
        "vmalert",
        "vminsert",
        "vmstorage",
        "config",
        "reloader",
    ]
)


@dataclass(frozen=True, slots=True)
class Rule:
    """How one signal's Services look: name patterns (most wanted first), app labels, ports."""

    signal: Signal
    names: tuple[str, ...]
    apps: frozenset[str]
    ports: tuple[int, ...]
    port_names: tuple[str, ...]
    lone_port: int | None
    paths: tuple[tuple[str, str], ...] = ()


RULES = (
    Rule(
        "prometheus",
        (
            r"(.+-)?thanos-query-frontend",
            r"(.+-)?thanos-query",
            r"(.+-)?mimir-(gateway|nginx|query-frontend)",
            r"(.+-)?vmselect(-.+)?",
            r"prometheus-k8s",
            r"(.+-)?prometheus-server",
            r"(.+-)?prometheus",
            r"vmsingle-.+|(.+-)?victoria-metrics(-single)?(-server)?",
            r"prometheus-operated",
        ),
        frozenset({"prometheus", "kube-prometheus-stack-prometheus", "thanos-query", "vmsingle"}),
        (9090, 9091, 8428, 8481, 10902, 8080, 80),
        ("http-web", "web", "http", "https", "http-metrics"),
        9090,
        ((r"(.+-)?mimir-.+", "/prometheus"), (r"(.+-)?vmselect(-.+)?", "/select/0/prometheus")),
    ),
    Rule(
        "alertmanager",
        (r"alertmanager-main", r"(.+-)?alertmanager", r"alertmanager-operated"),
        frozenset({"alertmanager", "kube-prometheus-stack-alertmanager"}),
        (9093, 9094, 80),
        ("http-web", "web", "http", "https"),
        9093,
    ),
    Rule(
        "loki",
        (
            r"(.+-)?loki-(distributed-)?gateway",
            r"(.+-)?loki-(distributed-)?query-frontend",
            r"(.+-)?loki",
            r"(.+-)?loki-(stack|read)",
        ),
        frozenset({"loki"}),
        (3100, 80, 8080),
        ("http-metrics", "http"),
        3100,
    ),
    Rule(
        "tempo",
        (r"(.+-)?tempo-gateway", r"(.+-)?tempo-(.+-)?query-frontend", r"(.+-)?tempo(-.+)?"),
        frozenset({"tempo"}),
        (3200, 3100, 80, 8080),
        ("tempo-prom-metrics", "http-metrics", "prom-metrics", "http"),
        3200,
    ),
    Rule(
        "jaeger",
        (r"(.+-)?jaeger-query", r"(.+-)?jaeger(-all-in-one)?", r"tempo-.+-query-frontend"),
        frozenset({"jaeger"}),
        (16686,),
        ("http-query", "query", "query-http", "jaeger-query", "jaeger-ui"),
        16686,
    ),
    Rule("korrel8r", (r"korrel8r",), frozenset(), (8443, 443, 8080, 80), ("https", "http", "web"), None),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A port of a Service that may answer for a signal; a higher score is tried first."""

    signal: Signal
    namespace: str
    service: str
    port: int
    https: bool
    path: str
    score: int

    def proxy_url(self, server: str) -> str:
        """The URL through the API server's service proxy; the port goes by number, since names may lack."""
        scheme = "https" if self.https else "http"
        base = f"{server}/api/v1/namespaces/{self.namespace}/services"
        return f"{base}/{scheme}:{self.service}:{self.port}/proxy{self.path}"

    @property
    def evidence(self) -> str:
        return f"Service {self.namespace}/{self.service} port {self.port}"


def candidates(services: Iterable[Service]) -> dict[Signal, list[Candidate]]:
    """Each signal's candidates, the likeliest first.

    Namespaces openshift-* are left out: their servers want the caller's token, which the API server takes
    away from what it proxies. So are the multi-tenant gateways of the Loki and Tempo operators.
    """
    found: dict[Signal, list[Candidate]] = {rule.signal: [] for rule in RULES}
    for service in services:
        if not service.metadata.namespace.startswith("openshift-") and not _is_other(service):
            for rule in RULES:
                if (candidate := _judge(rule, service)) is not None:
                    found[rule.signal].append(candidate)
    for rows in found.values():
        rows.sort(key=lambda c: (-c.score, len(c.service), c.namespace, c.service))
    return found


def _is_other(service: Service) -> bool:
    name = service.metadata.name
    if name.endswith("-gateway-http") or (name.startswith("tempo-") and name.endswith("-gateway")):
        return any(_is_https(port) or port.name == "public" for port in service.spec.ports)
    component = service.metadata.labels.get("app.kubernetes.io/component", "")
    return not _OTHERS.isdisjoint([*name.split("-"), *component.split("-")])


def _judge(rule: Rule, service: Service) -> Candidate | None:
    name, labels = service.metadata.name, service.metadata.labels
    rank = next((i for i, pattern in enumerate(rule.names) if re.fullmatch(pattern, name)), None)
    if rank is not None:
        score = 100 - rank
    elif any(re.fullmatch(p, name) for other in RULES if other is not rule for p in other.names):
        return None
    elif rule.apps.intersection(labels.get(key, "") for key in _LABELS) or (
        f"operated-{rule.signal}" in labels
    ):
        score = _BY_LABEL
    else:
        score = BY_PORT_ALONE
    port = _port(rule, service.spec.ports, known=score > BY_PORT_ALONE)
    if port is None:
        return None
    if service.spec.cluster_ip == "None":
        score = max(score - _HEADLESS, BY_PORT_ALONE)
    path = next((path for pattern, path in rule.paths if re.fullmatch(pattern, name)), "")
    return Candidate(rule.signal, service.metadata.namespace, name, port.port, _is_https(port), path, score)


def _port(rule: Rule, ports: list[ServicePort], *, known: bool) -> ServicePort | None:
    """The port that answers HTTP: by number, then by name, then the only one there is."""
    usable = [p for p in ports if p.protocol == "TCP" and "grpc" not in p.name and p.name != "reloader-web"]
    if not known:
        return next((p for p in usable if p.port == rule.lone_port), None)
    by_number = sorted((p for p in usable if p.port in rule.ports), key=lambda p: rule.ports.index(p.port))
    by_name = [p for p in usable if p.name in rule.port_names]
    only = usable if len(usable) == 1 and rule.signal != "jaeger" else []
    return next(iter([*by_number, *by_name, *only]), None)


def _is_https(port: ServicePort) -> bool:
    return "https" in port.name or port.app_protocol == "https" or port.port in (443, 8443, 9443)
