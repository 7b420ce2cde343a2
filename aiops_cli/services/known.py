"""Which clusters there are: the kubeconfig's contexts, and those that the config names itself."""

from __future__ import annotations

from aiops_cli.config.kubeconfig import Kubeconfig
from aiops_cli.config.settings import ENDPOINT_NAMES, EndpointSettings, EndpointsSettings, Settings
from aiops_cli.models.fleet import Cluster, Endpoint
from aiops_cli.services.registry import Registry


def known_clusters(kubeconfig: Kubeconfig, settings: Settings, registry: Registry) -> list[Cluster]:
    """Kubeconfig contexts in file order, then clusters that exist in the config alone."""
    clusters = []
    for name, context in kubeconfig.contexts.items():
        own = settings.clusters.get(name)
        clusters.append(
            Cluster(
                name,
                name,
                context.cluster.server or None,
                context.namespace,
                registry.labels(name) | (own.labels if own else {}),
                _endpoints(own.endpoints) if own else {},
                f"{context.cluster.server} {context.cluster.proxy_url} {context.cluster.tls_server_name}",
                _all("alertmanager", own.endpoints.alertmanager) if own else [],
                _all("prometheus", own.endpoints.prometheus) if own else [],
                _exporters(own.endpoints) if own else {},
            )
        )
    for name, own in settings.clusters.items():
        if name not in kubeconfig.contexts:
            labels = registry.labels(name) | own.labels
            clusters.append(
                Cluster(
                    name,
                    labels=labels,
                    endpoints=_endpoints(own.endpoints),
                    alertmanagers=_all("alertmanager", own.endpoints.alertmanager),
                    prometheuses=_all("prometheus", own.endpoints.prometheus),
                    exporters=_exporters(own.endpoints),
                )
            )
    return clusters


def _endpoints(settings: EndpointsSettings) -> dict[str, Endpoint]:
    found: dict[str, Endpoint] = {}
    for signal in ENDPOINT_NAMES:
        own: EndpointSettings | list[EndpointSettings] | None = getattr(settings, signal)
        if own is not None:
            found[signal] = _endpoint(signal, own[0] if isinstance(own, list) else own)
    return found


def _exporters(settings: EndpointsSettings) -> dict[str, list[str]]:
    return {kind: urls for kind, urls in (("dcgm", settings.dcgm), ("ptp", settings.ptp)) if urls}


def _all(signal: str, several: list[EndpointSettings] | None) -> list[Endpoint]:
    return [_endpoint(signal, own) for own in several or []]


def _endpoint(signal: str, own: EndpointSettings) -> Endpoint:
    return Endpoint(
        signal,
        own.url,
        "config",
        own.tenant,
        own.credential,
        own.ca_file,
        own.insecure,
        own.headers,
        "the config file",
    )
