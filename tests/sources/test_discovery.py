"""Discovery on a real API server: the service proxy, Ingresses, and OpenShift's own resources as CRDs."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest

from aiops_cli.errors import AiopsError, AuthError, ClusterError, ErrorCode
from aiops_cli.models import fleet
from aiops_cli.models.fleet import Endpoint
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.candidates import candidates
from aiops_cli.services.discovery import Discovery, discover
from aiops_cli.sources.alertmanager import AlertmanagerSource
from aiops_cli.sources.jaeger import JaegerSource
from aiops_cli.sources.kubernetes import KubernetesSource
from aiops_cli.sources.kubernetes_objects import Service
from aiops_cli.sources.loki import LokiSource
from aiops_cli.sources.prometheus import PrometheusSource
from aiops_cli.transport.client import HttpClient, Target
from tests.conftest import Clusters
from tests.servers.cluster import Cluster
from tests.servers.kube import Kube
from tests.servers.push import push_logs
from tests.sources.conftest import Connect, KubeConnect
from tests.sources.stub import Stub

SOURCES: dict[str, Callable[[HttpClient], object]] = {
    "prometheus": PrometheusSource,
    "alertmanager": AlertmanagerSource,
    "loki": LokiSource,
    "jaeger": JaegerSource,
}


def _known(cluster: Cluster) -> fleet.Cluster:
    return fleet.Cluster(cluster.name, cluster.name, cluster.apiserver.url)


def _at(source: KubernetesSource, endpoint: Endpoint) -> HttpClient:
    target = source.client.target
    return HttpClient(Target(endpoint.url, target.credentials, target.trust), timeout=10)


def _facts(found: Discovery) -> dict[str, str]:
    return {fact.key: fact.value for fact in found.facts}


async def test_every_signal_is_found_and_answers_through_the_service_proxy(
    clusters: Clusters, kube_connect: KubeConnect, service_proxy: str
) -> None:
    parts = {"apiserver", "prometheus", "alertmanager", "loki", "jaeger"}
    cluster = clusters("sources", parts)
    source = kube_connect(cluster)
    probed: list[str] = []

    async def probe(endpoint: Endpoint) -> AiopsError | None:
        probed.append(endpoint.signal)
        client = _at(source, endpoint)
        try:
            await SOURCES[endpoint.signal](client).ready()  # type: ignore[attr-defined]
        except ClusterError as error:
            return error
        finally:
            await client.aclose()
        return None

    found = await discover(source, _known(cluster), probe=probe)
    assert sorted(found.endpoints) == ["alertmanager", "jaeger", "loki", "prometheus"]
    assert sorted(probed) == sorted(found.endpoints), "the likeliest of each answered"
    loki = found.endpoints["loki"]
    base = f"{cluster.apiserver.url}/api/v1/namespaces/logging/services"
    assert loki.url == f"{base}/http:loki:3100/proxy"
    assert (loki.via, loki.evidence) == ("proxy", "Service logging/loki port 3100")
    assert loki.learned_at
    assert found.errors == []

    now = int(time.time())
    push_logs(cluster.loki, [({"app": "proxied"}, [(float(now - 60), "through the API server")])])
    client = _at(source, loki)
    window = TimeRange(now - 3600, now)
    rows = (await LokiSource(client).query_range('{app="proxied"}', window, 10)).rows
    await client.aclose()
    assert [row.line for row in rows] == ["through the API server"]


async def test_facts_of_a_plain_cluster(clusters: Clusters, kube_connect: KubeConnect) -> None:
    cluster = clusters("facts", {"apiserver"})
    kube = cluster.kube
    kube.node("cpu-1", labels={"topology.kubernetes.io/region": "eu-1"})
    kube.node("gpu-1", labels={"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"})
    kube.node("gpu-2", labels={"nvidia.com/gpu.product": "NVIDIA-A30"})
    for name, resources in (("gpu-1", {"nvidia.com/gpu": "8"}), ("gpu-2", {"nvidia.com/mig-1g.6gb": "4"})):
        kube.patch("Node", name, {"status": {"allocatable": resources}}, status=True)
    source = kube_connect(cluster)
    found = await discover(source, _known(cluster))
    facts = _facts(found)
    assert facts["platform"] == "KUBERNETES"
    assert facts["version"] == await source.version()
    assert facts["kube_system_uid"] == await source.namespace_uid()
    assert (facts["nodes"], facts["gpu_nodes"], facts["gpus"]) == ("3", "2", "12")
    assert facts["gpu_models"] == "NVIDIA-A30,NVIDIA-H100-80GB-HBM3"
    assert facts["region"] == "eu-1"
    assert facts["has_ptp"] == "false"
    evidence = {fact.key: fact.evidence for fact in found.facts}
    assert evidence["gpu_nodes"] == "allocatable of gpu-1, gpu-2"


def _service(kube: Kube, namespace: str, name: str, port: int, **labels: str) -> None:
    kube.namespace(namespace)
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    kube.apply("Service", {"metadata": metadata, "spec": {"ports": [{"name": "http", "port": port}]}})


async def test_an_ingress_is_tried_first_and_never_without_a_probe(
    clusters: Clusters, kube_connect: KubeConnect
) -> None:
    cluster = clusters("facts", {"apiserver"})
    kube, source = cluster.kube, kube_connect(cluster)
    _service(kube, "monitoring", "mimir-gateway", 80)
    kube.apply(
        "Ingress",
        {
            "metadata": {"name": "metrics", "namespace": "monitoring"},
            "spec": {
                "tls": [{"hosts": ["mimir.example"]}],
                "rules": [
                    {
                        "host": "mimir.example",
                        "http": {
                            "paths": [
                                {
                                    "path": "/m/",
                                    "pathType": "Prefix",
                                    "backend": {"service": {"name": "mimir-gateway", "port": {"number": 80}}},
                                }
                            ]
                        },
                    }
                ],
            },
        },
    )
    proxied = f"{cluster.apiserver.url}/api/v1/namespaces/monitoring/services/http:mimir-gateway:80/proxy/prometheus"
    tried: list[tuple[str, str]] = []

    async def probe(endpoint: Endpoint) -> AiopsError | None:
        tried.append((endpoint.via, endpoint.url))
        return None if endpoint.via == "proxy" else ClusterError("no such host")

    found = await discover(source, _known(cluster), probe=probe)
    assert tried == [("ingress", "https://mimir.example/m/prometheus"), ("proxy", proxied)]
    assert found.endpoints["prometheus"].url == proxied
    found = await discover(source, _known(cluster))
    assert found.endpoints["prometheus"].via == "proxy"


async def test_a_server_that_is_down_is_kept_and_what_is_no_such_server_is_not(
    clusters: Clusters, kube_connect: KubeConnect
) -> None:
    cluster = clusters("silent", {"apiserver"})
    source = kube_connect(cluster)
    _service(cluster.kube, "monitoring", "alertmanager", 9093)
    _service(cluster.kube, "monitoring", "alertmanager-operated", 9093)
    _service(cluster.kube, "logging", "loki", 3100)
    _service(cluster.kube, "shop", "cart", 9090)  # the port of Prometheus, and nothing else of it
    _service(cluster.kube, "tracing", "tempo", 3200)
    _service(cluster.kube, "tracing", "jaeger-query", 16686)

    async def probe(endpoint: Endpoint) -> AiopsError | None:
        if endpoint.signal == "jaeger":
            return None
        code = ErrorCode.BAD_ANSWER if endpoint.signal == "loki" else ErrorCode.SERVER_ERROR
        return ClusterError("away", code=code)

    found = await discover(source, _known(cluster), probe=probe)
    assert sorted(found.endpoints) == ["alertmanager", "jaeger"]
    assert list(found.silent) == ["alertmanager"]
    assert "/http:alertmanager:9093/" in found.endpoints["alertmanager"].url
    # What was learned stands before what is likelier, also by its port alone or beside another of its kind.
    base = f"{cluster.apiserver.url}/api/v1/namespaces"
    earlier = {
        signal: Endpoint(signal, f"{base}/{path}/proxy", "proxy")
        for signal, path in {
            "alertmanager": "monitoring/services/http:alertmanager-operated:9093",
            "prometheus": "shop/services/http:cart:9090",
            "tempo": "tracing/services/http:tempo:3200",
            "loki": "gone/services/http:loki:3100",
        }.items()
    }
    found = await discover(source, _known(cluster), probe=probe, earlier=earlier)
    assert sorted(found.silent) == ["alertmanager", "prometheus", "tempo"]
    assert {s: found.endpoints[s].url for s in found.silent} == {s: earlier[s].url for s in found.silent}


def _crd(kube: Kube, group: str, version: str, kind: str, plural: str, *, scope: str = "Namespaced") -> str:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    kube.apply(
        "CustomResourceDefinition",
        {
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": scope,
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [
                    {
                        "name": version,
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": schema},
                    }
                ],
            },
        },
    )
    return f"/apis/{group}/{version}"


def _put(
    kube: Kube, api: str, plural: str, kind: str, name: str, namespace: str | None, **body: object
) -> None:
    path = f"{api}/namespaces/{namespace}/{plural}" if namespace else f"{api}/{plural}"
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    manifest = {"apiVersion": api.removeprefix("/apis/"), "kind": kind, "metadata": metadata, **body}
    kube.http.post(path, json=manifest).raise_for_status()


@pytest.fixture(scope="module")
def openshift(clusters: Clusters) -> Cluster:
    """An API server with the resources that OpenShift and its operators add."""
    cluster = clusters("openshift", {"apiserver"})
    kube = cluster.kube
    for name in (
        "openshift-monitoring",
        "openshift-logging",
        "openshift-config-managed",
        "tracing",
        "netobserv",
    ):
        kube.namespace(name)
    config = _crd(kube, "config.openshift.io", "v1", "ClusterVersion", "clusterversions", scope="Cluster")
    route = _crd(kube, "route.openshift.io", "v1", "Route", "routes")
    loki = _crd(kube, "loki.grafana.com", "v1", "LokiStack", "lokistacks")
    tempo = _crd(kube, "tempo.grafana.com", "v1alpha1", "TempoStack", "tempostacks")
    _crd(kube, "ptp.openshift.io", "v1", "PtpConfig", "ptpconfigs")
    for path in (
        f"{config}/clusterversions",
        f"{route}/routes",
        f"{loki}/lokistacks",
        f"{tempo}/tempostacks",
    ):
        _served(kube, path)
    _put(
        kube,
        config,
        "clusterversions",
        "ClusterVersion",
        "version",
        None,
        status={"desired": {"version": "4.18.3"}},
    )
    hosts = (
        ("openshift-monitoring", "thanos-querier"),
        ("openshift-logging", "logging-loki"),
        ("netobserv", "netobserv-loki"),
        ("tracing", "tempo-main-gateway"),
    )
    for namespace, name in hosts:
        host = f"{name}.apps.example"
        status = {"ingress": [{"host": host}]}
        _put(kube, route, "routes", "Route", name, namespace, spec={"host": "wished.example"}, status=status)
    for namespace, name, mode in (
        ("netobserv", "netobserv-loki", "openshift-network"),
        ("openshift-logging", "logging-loki", "openshift-logging"),
    ):
        _put(kube, loki, "lokistacks", "LokiStack", name, namespace, spec={"tenants": {"mode": mode}})
    tenants = {"tenants": {"mode": "openshift", "authentication": [{"tenantName": "dev", "tenantId": "1"}]}}
    _put(kube, tempo, "tempostacks", "TempoStack", "main", "tracing", spec=tenants)
    kube.create(
        "ConfigMap",
        {
            "metadata": {"name": "monitoring-shared-config", "namespace": "openshift-config-managed"},
            "data": {"alertmanagerPublicURL": "https://alertmanager-main.apps.example/"},
        },
    )
    _service(kube, "openshift-monitoring", "prometheus-k8s", 9091)
    return cluster


def _served(kube: Kube, path: str) -> None:
    """A new resource is served once the API server has read its definition."""
    deadline = time.monotonic() + 30
    while kube.http.get(path).status_code != 200:
        assert time.monotonic() < deadline, path
        time.sleep(0.05)


async def test_openshift_routes_and_operator_gateways_are_found(
    openshift: Cluster, kube_connect: KubeConnect
) -> None:
    found = await discover(kube_connect(openshift), _known(openshift))
    assert {s: (e.via, e.url) for s, e in found.endpoints.items()} == {
        "prometheus": ("route", "https://thanos-querier.apps.example"),
        "alertmanager": ("route", "https://alertmanager-main.apps.example"),
        "loki": ("route", "https://logging-loki.apps.example/api/logs/v1/application"),
        "tempo": ("route", "https://tempo-main-gateway.apps.example/api/traces/v1/dev/tempo"),
    }
    assert found.endpoints["prometheus"].evidence == "Route openshift-monitoring/thanos-querier"
    assert found.endpoints["alertmanager"].evidence.startswith("ConfigMap openshift-config-managed/")
    facts = _facts(found)
    assert (facts["platform"], facts["openshift_version"]) == ("OPENSHIFT", "4.18.3")
    assert (facts["has_ptp"], facts["has_sriov"]) == ("true", "false")
    assert found.errors == []


async def test_a_user_who_may_list_nothing_gets_facts_and_reasons(
    openshift: Cluster, kube_connect: KubeConnect
) -> None:
    source = kube_connect(openshift, token=openshift.apiserver.viewer_token)
    found = await discover(source, _known(openshift))
    assert found.endpoints == {}
    assert _facts(found)["platform"] == "OPENSHIFT"
    assert "nodes" not in _facts(found), "unknown is not zero"
    assert {error.code for error in found.errors} == {"FORBIDDEN"}
    assert any('cannot list resource "services"' in error.message for error in found.errors)


async def test_an_api_server_that_refuses_us_is_an_error(
    openshift: Cluster, kube_connect: KubeConnect
) -> None:
    with pytest.raises(AuthError):
        await discover(kube_connect(openshift, token="wrong"), _known(openshift))


async def test_microshift_names_itself_in_a_config_map(stub: Stub, connect: Connect) -> None:
    stub.on("/version", {"gitVersion": "v1.30.1"})
    stub.on("/apis", {"groups": [{"name": "apps"}, {"name": "route.openshift.io"}]})
    stub.on("/api/v1/namespaces/kube-public/configmaps/microshift-version", {"data": {"version": "4.17.0"}})
    found = await discover(KubernetesSource(connect(stub.url)), fleet.Cluster("edge", "edge", stub.url))
    facts = _facts(found)
    assert (facts["platform"], facts["microshift_version"]) == ("MICROSHIFT", "4.17.0")


def _made(namespace: str, name: str, *ports: tuple[str, int], ip: str = "10.0.0.1", **labels: str) -> Service:
    plain = {key.replace("_", "."): value for key, value in labels.items()}
    spec = {"clusterIP": ip, "ports": [{"name": n, "port": p} for n, p in ports]}
    meta = {"name": name, "namespace": namespace, "labels": plain}
    return msgspec.convert({"metadata": meta, "spec": spec}, Service)


def _best(*services: Service) -> dict[str, str]:
    """The likeliest Service of each signal, as name:port and its path."""
    found = candidates(services)
    return {s: f"{rows[0].service}:{rows[0].port}{rows[0].path}" for s, rows in found.items() if rows}


def test_what_charts_and_operators_make_is_told_apart() -> None:
    stack = _best(
        _made("mon", "kps-kube-prometheus-stack-prometheus", ("http-web", 9090), ("reloader-web", 8080)),
        _made("mon", "kps-kube-prometheus-stack-alertmanager", ("http-web", 9093)),
        _made("mon", "kps-kube-prometheus-stack-operator", ("https", 443)),
        _made("mon", "kps-kube-state-metrics", ("http", 8080)),
        _made("mon", "kps-prometheus-node-exporter", ("http-metrics", 9100)),
        _made("mon", "kps-grafana", ("http-web", 80)),
        _made("mon", "prometheus-operated", ("http-web", 9090), ip="None"),
        _made("mon", "alertmanager-operated", ("http-web", 9093), ("tcp-mesh", 9094), ip="None"),
    )
    assert stack == {
        "prometheus": "kps-kube-prometheus-stack-prometheus:9090",
        "alertmanager": "kps-kube-prometheus-stack-alertmanager:9093",
    }
    community = _best(
        _made("mon", "prometheus-server", ("http", 80)),
        _made("mon", "prometheus-alertmanager", ("http", 9093)),
        _made("mon", "prometheus-prometheus-pushgateway", ("http", 9091)),
        _made("logs", "loki-write", ("http-metrics", 3100), ("grpc", 9095), app="loki"),
        _made("logs", "loki-memberlist", ("tcp", 7946)),
        _made("logs", "loki-headless", ("http-metrics", 3100), ip="None", app="loki"),
        _made("logs", "loki-gateway", ("http-metrics", 80)),
        _made("logs", "loki", ("http-metrics", 3100), ("grpc", 9095)),
        _made("traces", "tempo-distributor", ("http-metrics", 3200), ("otlp", 4318)),
        _made("traces", "tempo-query-frontend", ("http-metrics", 3200), ("grpc", 9095)),
        _made("traces", "jaeger-collector", ("http", 14268)),
        _made("traces", "jaeger-query", ("http-query", 16686), ("grpc-query", 16685)),
    )
    assert community == {
        "prometheus": "prometheus-server:80",
        "alertmanager": "prometheus-alertmanager:9093",
        "loki": "loki-gateway:80",
        "tempo": "tempo-query-frontend:3200",
        "jaeger": "jaeger-query:16686",
    }
    assert _best(
        _made("mon", "prometheus-operated", ("web", 9090), ip="None", **{"operated-prometheus": "true"}),
        _made("mon", "thanos-query", ("grpc", 10901), ("http", 10902)),
        _made("mon", "thanos-sidecar", ("http", 10902)),
        _made("mon", "thanos-store", ("http", 10902)),
    ) == {"prometheus": "thanos-query:10902"}
    assert _best(
        _made("vm", "vmselect-main", ("http", 8481)),
        _made("vm", "vminsert-main", ("http", 8480)),
        _made("vm", "vmagent-main", ("http", 8429)),
    ) == {"prometheus": "vmselect-main:8481/select/0/prometheus"}


def test_a_headless_service_is_better_than_none() -> None:
    service = _made("mon", "prometheus-operated", ("web", 9090), ip="None")
    assert _best(service) == {"prometheus": "prometheus-operated:9090"}


def test_gateways_that_want_a_token_are_not_asked_through_the_proxy() -> None:
    assert (
        _best(
            _made("openshift-monitoring", "thanos-querier", ("web", 9091)),
            _made("openshift-monitoring", "alertmanager-main", ("web", 9094)),
            _made("logs", "logging-loki-gateway-http", ("public", 8080)),
            _made("traces", "tempo-main-gateway", ("public", 8080), ("internal", 8081)),
        )
        == {}
    )


def test_https_ports_are_proxied_as_https() -> None:
    (row,) = candidates([_made("mon", "prometheus", ("https-web", 9090))])["prometheus"]
    server = "https://api.example:6443/k8s/c-1"
    assert row.proxy_url(server) == (
        "https://api.example:6443/k8s/c-1/api/v1/namespaces/mon/services/https:prometheus:9090/proxy"
    )
