"""What a cluster has, learned from its API alone: endpoints of the signals, and facts, with evidence.

For each signal Routes and Ingresses come first, then the API server's service proxy; of several
candidates the first that answers a probe is taken. Where none does, one that is surely meant for the signal
and is merely down, or that was learned earlier, is kept: what a cluster has and does not answer is told, and is
not taken for something that it has not. The cluster's own token may go to Routes, which the
platform's namespaces and operators own, and to the API server; never to an Ingress, which anybody with
a namespace can point anywhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from aiops_cli.errors import AiopsError, ClusterError, ErrorCode
from aiops_cli.models.fleet import SIGNALS, Cluster, Endpoint, Fact, Signal
from aiops_cli.models.result import ErrorInfo
from aiops_cli.services.candidates import BY_PORT_ALONE, Candidate, candidates
from aiops_cli.sources.kubernetes import KubernetesSource
from aiops_cli.sources.kubernetes_objects import Meta, Service

T = TypeVar("T")
Probe = Callable[[Endpoint], Awaitable[AiopsError | None]]
"""Why an endpoint does not answer, None if it does."""

_MOST_PROBES = 6
_DOWN = frozenset(
    {
        ErrorCode.CLUSTER_UNREACHABLE,
        ErrorCode.CONNECT_TIMEOUT,
        ErrorCode.QUERY_TIMEOUT,
        ErrorCode.SERVER_ERROR,
    }
)
"""What a server that is away says, or the proxy before it; all else is said by something of another kind."""
_MONITORING = "openshift-monitoring"
_OBSERVABILITY = "openshift-cluster-observability-operator"
_PLATFORM_ROUTES: tuple[tuple[Signal, str, str], ...] = (
    ("prometheus", "thanos-querier", "thanosPublicURL"),
    ("alertmanager", "alertmanager-main", "alertmanagerPublicURL"),
)
_GROUP_FACTS = (
    ("has_ptp", "ptp.openshift.io"),
    ("has_sriov", "sriovnetwork.openshift.io"),
    ("has_performance_profiles", "performance.openshift.io"),
    ("has_gpu_operator", "nvidia.com"),
    ("has_service_mesh", "networking.istio.io"),
    ("has_odf", "ocs.openshift.io"),
)
_GPU_MODEL = "nvidia.com/gpu.product"
_REGION = "topology.kubernetes.io/region"


class _Group(msgspec.Struct):
    name: str = ""


class _Groups(msgspec.Struct):
    groups: list[_Group] = []


class _NodeStatus(msgspec.Struct):
    allocatable: dict[str, str] = {}


class _Node(msgspec.Struct):
    metadata: Meta
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


class _Admitted(msgspec.Struct):
    host: str = ""


class _RouteStatus(msgspec.Struct):
    ingress: list[_Admitted] = []


class _Route(msgspec.Struct):
    metadata: Meta
    status: _RouteStatus = msgspec.field(default_factory=_RouteStatus)

    @property
    def host(self) -> str | None:
        """The host that a router admitted; the one in the spec is only wished for."""
        return next((i.host for i in self.status.ingress if i.host), None)


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] = {}


class _BackendService(msgspec.Struct):
    name: str = ""


class _Backend(msgspec.Struct):
    service: _BackendService | None = None


class _Path(msgspec.Struct):
    backend: _Backend
    path: str = "/"


class _Http(msgspec.Struct):
    paths: list[_Path] = []


class _IngressRule(msgspec.Struct):
    host: str = ""
    http: _Http | None = None


class _Tls(msgspec.Struct):
    hosts: list[str] = []


class _IngressSpec(msgspec.Struct):
    rules: list[_IngressRule] = []
    tls: list[_Tls] = []


class _Ingress(msgspec.Struct):
    metadata: Meta
    spec: _IngressSpec = msgspec.field(default_factory=_IngressSpec)


@dataclass(slots=True)
class Discovery:
    """What was learned: at most one endpoint a signal, facts, and what could not be read. `silent` says of
    which signals the endpoint did not answer, and why."""

    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    errors: list[ErrorInfo] = field(default_factory=list)
    silent: dict[str, AiopsError] = field(default_factory=dict)


async def discover(
    kube: KubernetesSource,
    cluster: Cluster,
    *,
    probe: Probe | None = None,
    earlier: Mapping[str, Endpoint] | None = None,
) -> Discovery:
    """Look at the whole cluster. `probe` says whether an endpoint answers; without one the likeliest is
    taken, by Route or service proxy only. `earlier` is what was learned before.

    Raises ClusterError if the API server can't be asked at all; what single reads lack is in `errors`.
    """
    return await _Survey(kube, cluster, probe, earlier or {}).run()


class _Survey:
    def __init__(
        self,
        kube: KubernetesSource,
        cluster: Cluster,
        probe: Probe | None,
        earlier: Mapping[str, Endpoint],
    ) -> None:
        self.kube, self.probe, self.earlier = kube, probe, earlier
        self.server = (cluster.server or kube.endpoint).rstrip("/")
        self.now = time.time()
        self.result = Discovery()
        self.found: dict[Signal, list[Endpoint]] = {signal: [] for signal in SIGNALS}
        self.by_port: set[str] = set()

    async def run(self) -> Discovery:
        version = await self.kube.version()
        self.fact("version", version, "/version")
        groups = await self._groups()
        openshift = "config.openshift.io" in groups
        await asyncio.gather(self._platform(groups), self._uid(), self._nodes())
        if openshift:
            await self._platform_routes()
        if "route.openshift.io" in groups:
            await asyncio.gather(self._loki_stacks(groups), self._tempo_stacks(groups), self._korrel8r())
        await self._services()
        chosen = await asyncio.gather(*(self._choose(signal) for signal in SIGNALS))
        for signal, endpoint in zip(SIGNALS, chosen, strict=True):
            if endpoint is not None:
                self.result.endpoints[signal] = endpoint
        self._prefer_traces_that_answer()
        self.result.facts.sort(key=lambda fact: fact.key)
        return self.result

    def fact(self, key: str, value: str, evidence: str) -> None:
        self.result.facts.append(Fact(key, value, evidence, self.now))

    async def attempt(self, ask: Awaitable[T], default: T) -> T:
        """What was asked; where it is not there the default, where it failed also a note."""
        try:
            return await ask
        except ClusterError as error:
            if error.code is not ErrorCode.NOT_FOUND:
                self.result.errors.append(ErrorInfo.of(error))
            return default

    async def _groups(self) -> set[str]:
        found = await self.attempt(self.kube.get("/apis", _Groups), _Groups())
        names = {group.name for group in found.groups}
        for key, group in _GROUP_FACTS:
            if names:
                self.fact(key, "true" if group in names else "false", f"API group {group}")
        return names

    async def _platform(self, groups: set[str]) -> None:
        if "config.openshift.io" in groups:
            self.fact("platform", "OPENSHIFT", "API group config.openshift.io")
            path = "/apis/config.openshift.io/v1/clusterversions/version"
            body: dict[str, Any] = await self.attempt(self.kube.get_json(path), {})
            version = _dig(body, "status", "desired", "version")
            if isinstance(version, str):
                self.fact("openshift_version", version, "ClusterVersion version")
            return
        path = "/api/v1/namespaces/kube-public/configmaps/microshift-version"
        micro = await self.attempt(self.kube.get(path, _ConfigMap), _ConfigMap())
        if micro.data:
            self.fact("platform", "MICROSHIFT", "ConfigMap kube-public/microshift-version")
            self.fact("microshift_version", micro.data.get("version", ""), path)
        else:
            self.fact("platform", "KUBERNETES", "/apis")

    async def _uid(self) -> None:
        if uid := await self.attempt(self.kube.namespace_uid(), ""):
            self.fact("kube_system_uid", uid, "Namespace kube-system")

    async def _nodes(self) -> None:
        nodes = await self.attempt(self.kube.items("/api/v1/nodes", _Node), None)
        if nodes is None:
            return
        self.fact("nodes", str(len(nodes)), "nodes")
        gpus = {node.metadata.name: _gpus(node) for node in nodes}
        with_gpu = sorted(name for name, count in gpus.items() if count)
        evidence = f"allocatable of {', '.join(with_gpu[:5])}" if with_gpu else "allocatable of all nodes"
        self.fact("gpu_nodes", str(len(with_gpu)), evidence)
        self.fact("gpus", str(sum(gpus.values())), evidence)
        for key, label in (("gpu_models", _GPU_MODEL), ("region", _REGION)):
            values = sorted({v for node in nodes if (v := node.metadata.labels.get(label))})
            if values:
                self.fact(key, ",".join(values), f"node label {label}")

    async def _platform_routes(self) -> None:
        """The monitoring stack's Routes; who may not list them may read their hosts in a ConfigMap."""
        path = f"/apis/route.openshift.io/v1/namespaces/{_MONITORING}/routes"
        routes = {r.metadata.name: r.host for r in await self.attempt(self.kube.items(path, _Route), [])}
        published = _ConfigMap()
        if not all(routes.get(name) for _, name, _ in _PLATFORM_ROUTES):
            where = "/api/v1/namespaces/openshift-config-managed/configmaps/monitoring-shared-config"
            published = await self.attempt(self.kube.get(where, _ConfigMap), published)
        for signal, name, key in _PLATFORM_ROUTES:
            if host := routes.get(name):
                self._add(signal, f"https://{host}", "route", f"Route {_MONITORING}/{name}")
            elif url := published.data.get(key):
                evidence = f"ConfigMap openshift-config-managed/monitoring-shared-config {key}"
                self._add(signal, url.rstrip("/"), "route", evidence)

    async def _loki_stacks(self, groups: set[str]) -> None:
        if "loki.grafana.com" not in groups:
            return
        for stack in await self._resources("/apis/loki.grafana.com/v1/lokistacks"):
            mode = _dig(stack, "spec", "tenants", "mode")
            tenant = {"openshift-logging": "application", "openshift-network": "network"}.get(str(mode))
            if tenant and (route := await self._route_of(stack, "{}")) is not None:
                url = f"https://{route.host}/api/logs/v1/{tenant}"
                evidence = (
                    f"Route {route.metadata.namespace}/{route.metadata.name} of LokiStack, tenant {tenant}"
                )
                self._add("loki", url, "route", evidence)
        self.found["loki"].sort(key=lambda endpoint: endpoint.url.endswith("/network"))

    async def _tempo_stacks(self, groups: set[str]) -> None:
        if "tempo.grafana.com" not in groups:
            return
        for kind in ("tempostacks", "tempomonolithics"):
            for stack in await self._resources(f"/apis/tempo.grafana.com/v1alpha1/{kind}"):
                tenants = _dig(stack, "spec", "tenants", "authentication")
                names = [t.get("tenantName") for t in tenants or [] if isinstance(t, dict)]
                if names and (route := await self._route_of(stack, "tempo-{}-gateway")) is not None:
                    url = f"https://{route.host}/api/traces/v1/{names[0]}/tempo"
                    evidence = f"Route {route.metadata.namespace}/{route.metadata.name}, tenant {names[0]}"
                    self._add("tempo", url, "route", evidence)

    async def _korrel8r(self) -> None:
        """The Route that an administrator made for the Cluster Observability Operator's Korrel8r: the
        operator makes none, and through the service proxy it would not see who asks."""
        path = f"/apis/route.openshift.io/v1/namespaces/{_OBSERVABILITY}/routes/korrel8r"
        try:
            route = await self.kube.get(path, _Route)
        except ClusterError:  # few clusters have it, and few users may look
            return
        if route.host:
            self._add("korrel8r", f"https://{route.host}", "route", f"Route {_OBSERVABILITY}/korrel8r")

    async def _resources(self, path: str) -> list[dict[str, Any]]:
        return (await self.attempt(self.kube.get_json(path), {})).get("items") or []

    async def _route_of(self, resource: dict[str, Any], name: str) -> _Route | None:
        """The Route that an operator made for a resource, if a router admitted it."""
        namespace, own = _dig(resource, "metadata", "namespace"), _dig(resource, "metadata", "name")
        path = f"/apis/route.openshift.io/v1/namespaces/{namespace}/routes/{name.format(own)}"
        route = await self.attempt(self.kube.get(path, _Route), None)
        return route if route is not None and route.host else None

    async def _services(self) -> None:
        services: list[Service] = []
        try:
            answer = await self.kube.services()
            services = answer.rows
            for warning in answer.warnings:
                self.result.errors.append(ErrorInfo(ErrorCode.FORBIDDEN, warning, "ask for the view role"))
        except ClusterError as error:
            self.result.errors.append(ErrorInfo.of(error))
        ingresses: list[_Ingress] = []
        if self.probe is not None and services:
            path = "/apis/networking.k8s.io/v1/ingresses"
            ingresses = await self.attempt(self.kube.items(path, _Ingress), [])
        for signal, rows in candidates(services).items():
            for candidate in rows:
                for url, evidence in _ingress_urls(candidate, ingresses):
                    self._add(signal, url, "ingress", evidence)
            for candidate in rows:
                if self.probe is not None or candidate.score > BY_PORT_ALONE:
                    url = candidate.proxy_url(self.server)
                    self._add(signal, url, "proxy", candidate.evidence)
                    if candidate.score <= BY_PORT_ALONE:
                        self.by_port.add(url)

    def _add(self, signal: Signal, url: str, via: Any, evidence: str) -> None:
        self.found[signal].append(Endpoint(signal, url, via=via, evidence=evidence, learned_at=self.now))

    async def _choose(self, signal: Signal) -> Endpoint | None:
        """The first that answers. Else one that was learned and is still there, or the likeliest that is down."""
        before = self.earlier.get(signal)
        down: list[tuple[Endpoint, AiopsError]] = []
        for endpoint in self.found[signal][:_MOST_PROBES]:
            error = None if self.probe is None else await self.probe(endpoint)
            if error is None:
                return endpoint
            known = before is not None and before.url == endpoint.url
            if error.code in _DOWN and (
                known or (endpoint.via != "ingress" and endpoint.url not in self.by_port)
            ):
                down.insert(0 if known else len(down), (endpoint, error))
        if not down:
            return None
        kept, why = down[0]
        self.result.silent[signal] = why
        return kept

    def _prefer_traces_that_answer(self) -> None:
        """Of Tempo and Jaeger one is asked. A Service that never answered does not stand before one that does."""
        for signal, other in (("tempo", "jaeger"), ("jaeger", "tempo")):
            there = other in self.result.endpoints and other not in self.result.silent
            if signal in self.result.silent and there and signal not in self.earlier:
                del self.result.silent[signal]
                del self.result.endpoints[signal]


def _ingress_urls(candidate: Candidate, ingresses: list[_Ingress]) -> list[tuple[str, str]]:
    """URLs of Ingresses that lead to the candidate's Service by a plain path."""
    found = []
    for ingress in ingresses:
        meta = ingress.metadata
        secure = {host for tls in ingress.spec.tls for host in tls.hosts}
        for rule in ingress.spec.rules if meta.namespace == candidate.namespace else []:
            for path in rule.http.paths if rule.http and rule.host and "*" not in rule.host else []:
                service = path.backend.service
                if service and service.name == candidate.service and not set("()*|$") & set(path.path):
                    scheme = "https" if rule.host in secure else "http"
                    url = f"{scheme}://{rule.host}{path.path.rstrip('/')}{candidate.path}"
                    found.append((url, f"Ingress {meta.namespace}/{meta.name} to {candidate.evidence}"))
    return found


def _gpus(node: _Node) -> int:
    """Allocatable GPUs and MIG instances of a node."""
    counts = (
        int(count)
        for name, count in node.status.allocatable.items()
        if (name == "nvidia.com/gpu" or name.startswith("nvidia.com/mig-")) and count.isdigit()
    )
    return sum(counts)


def _dig(body: Any, *keys: str) -> Any:
    for key in keys:
        body = body.get(key) if isinstance(body, dict) else None
    return body
