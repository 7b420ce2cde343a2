"""The fleet: the way to each cluster's sources.

A `Member` gives sources by protocol; a service asks them and never knows whether they are live
servers or a bundle. How an endpoint is found, first that answers: the config's URL, what discovery
learned earlier (in the store, with its evidence), discovery now.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from aiops_cli.config.kubeconfig import Kubeconfig, KubeContext
from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.fleet import Cluster, Endpoint
from aiops_cli.services.identity import subject
from aiops_cli.services.registry import Registry
from aiops_cli.transport.client import HttpClient, Target
from aiops_cli.transport.credentials import Credentials, Login, StaticCredentials, credentials_for, trust_for
from aiops_cli.transport.tls import Trust, read_ca

if TYPE_CHECKING:
    from aiops_cli.config.settings import Settings
    from aiops_cli.services.alert_sources import LiveAlerts
    from aiops_cli.services.discovery import Discovery
    from aiops_cli.services.replicated import ReplicatedSource
    from aiops_cli.sources.alertmanager import AlertmanagerSource
    from aiops_cli.sources.base import (
        AlertsSource,
        KubeSource,
        LogsSource,
        MetricsSource,
        PagedLines,
        TracesSource,
    )
    from aiops_cli.sources.jaeger import JaegerSource
    from aiops_cli.sources.korrel8r import Korrel8rSource
    from aiops_cli.sources.kubernetes import KubernetesSource
    from aiops_cli.sources.loki import LokiSource
    from aiops_cli.sources.loki_tail import LokiBehindProxy, LokiTail
    from aiops_cli.sources.pod_logs import PodLogSource
    from aiops_cli.sources.prometheus import PrometheusSource
    from aiops_cli.sources.rules import RulesSource
    from aiops_cli.sources.tempo import TempoSource

_NOT_AVAILABLE = {
    "prometheus": ErrorCode.PROMETHEUS_NOT_AVAILABLE,
    "alertmanager": ErrorCode.ALERTMANAGER_NOT_AVAILABLE,
    "loki": ErrorCode.LOKI_NOT_AVAILABLE,
    "tempo": ErrorCode.TEMPO_NOT_AVAILABLE,
    "jaeger": ErrorCode.TEMPO_NOT_AVAILABLE,
    "korrel8r": ErrorCode.KORREL8R_NOT_AVAILABLE,
}
_ENDPOINTS = 6  # of a cluster: API server, Prometheus, Alertmanager, Loki, traces, Korrel8r
_LOOK_AGAIN_SECONDS = 60.0
_WANTED_FILES = 65_536
_OTHER_FILES = 200  # shared libraries, the store, the terminal

_STALE = frozenset(
    {
        ErrorCode.CLUSTER_UNREACHABLE,
        ErrorCode.NOT_FOUND,
        ErrorCode.SERVER_ERROR,
        ErrorCode.BAD_ANSWER,
        ErrorCode.CONNECT_TIMEOUT,
        ErrorCode.TLS_FAILED,
    }
)


class Member(Protocol):
    """One cluster of the chosen ones. Each method raises NotAvailableError if it has no such source."""

    @property
    def name(self) -> str: ...

    @property
    def cluster(self) -> Cluster: ...

    @property
    def origin(self) -> str:
        """`live`, or `bundle`: where answers come from before any cache."""
        ...

    async def recover(self, error: AiopsError) -> bool:
        """After a failure: True if another way was found, so that asking again may go better."""
        ...

    async def metrics(self) -> MetricsSource: ...

    async def alerts(self) -> AlertsSource: ...

    async def logs(self) -> LogsSource: ...

    async def log_lines(self) -> PagedLines:
        """What gives log lines: a Loki, or where there is none, the Kubernetes API."""
        ...

    async def traces(self) -> TracesSource: ...

    async def kube(self) -> KubeSource: ...


class LiveMember:
    """A cluster reached over the network. Clients are opened when first needed and kept."""

    def __init__(
        self,
        cluster: Cluster,
        context: KubeContext | None,
        settings: Settings,
        registry: Registry,
        timeout: float,
        in_flight: int,
    ) -> None:
        self._cluster = cluster
        self._in_flight = in_flight
        self.context = context
        self._settings = settings
        self._registry = registry
        self._timeout = timeout
        self._clients: dict[str, HttpClient] = {}
        self._discovery: asyncio.Task[Discovery] | None = None
        self._looked = 0.0  # when it began
        self._credentials: Credentials | None = None
        self._learned: set[str] = set()
        self._stale: set[str] = set()

    @property
    def name(self) -> str:
        return self._cluster.name

    @property
    def cluster(self) -> Cluster:
        return self._cluster

    @property
    def origin(self) -> str:
        return "live"

    async def aclose(self) -> None:
        if self._discovery is not None and not self._discovery.done():
            self._discovery.cancel()
            with contextlib.suppress(asyncio.CancelledError, AiopsError):
                await self._discovery
        await asyncio.gather(*(c.aclose() for c in self._clients.values()))

    # Sources are imported where they are opened: NumPy alone takes longer than a list of clusters.
    async def metrics(self) -> PrometheusSource | ReplicatedSource:
        """The Prometheus, or where config names several replicas of it, all of them as one."""
        from aiops_cli.sources.prometheus import PrometheusSource

        first = PrometheusSource(await self.client("prometheus"))
        others = self._cluster.prometheuses[1:]
        if not others:
            return first
        from aiops_cli.services.replicated import ReplicatedSource

        replicas = (PrometheusSource(self._client(f"prometheus {e.url}", e)) for e in others)
        return ReplicatedSource([first, *replicas])

    async def alerts(self) -> LiveAlerts:
        """What Alertmanager and Prometheus' rules know, merged."""
        from aiops_cli.services.alert_sources import LiveAlerts

        return LiveAlerts(self)

    async def alertmanagers(self) -> list[AlertmanagerSource]:
        """Each Alertmanager that config names, or the one that was found."""
        from aiops_cli.sources.alertmanager import AlertmanagerSource

        first = AlertmanagerSource(await self.client("alertmanager"))
        others = self._cluster.alertmanagers[1:]
        return [first, *(AlertmanagerSource(self._client(f"alertmanager {e.url}", e)) for e in others)]

    async def rules(self) -> RulesSource:
        from aiops_cli.sources.rules import RulesSource

        return RulesSource(await self.client("prometheus"))

    async def logs(self) -> LokiSource:
        from aiops_cli.sources.loki import LokiSource

        return LokiSource(await self.client("loki"))

    async def log_lines(self) -> LokiSource | PodLogSource:
        try:
            return await self.logs()
        except NotAvailableError:
            if self.context is None:
                raise
        return await self._pod_logs()

    async def log_tail(self) -> LokiTail | LokiBehindProxy | PodLogSource:
        """Lines as they come, from where `log_lines` has them. A tail's connection is its own."""
        from aiops_cli.sources.loki import LokiSource
        from aiops_cli.sources.loki_tail import LokiBehindProxy, LokiTail, by_service_proxy

        source = await self.log_lines()
        if not isinstance(source, LokiSource):
            return source
        if by_service_proxy(source.endpoint):
            return LokiBehindProxy()
        known = self._clients.get("loki tail")
        if known is None or known.endpoint != source.endpoint:
            if known is not None:
                await known.aclose()
            known = HttpClient(source.client.target, timeout=self._timeout, max_in_flight=1)
            self._clients["loki tail"] = known
        return LokiTail(known)

    async def _pod_logs(self) -> PodLogSource:
        from aiops_cli.sources.pod_logs import MOST_CONTAINERS, PodLogSource

        kube = await self.kube()
        if "pod logs" not in self._clients:
            self._clients["pod logs"] = HttpClient(
                kube.client.target, timeout=self._timeout, max_in_flight=MOST_CONTAINERS
            )
        return PodLogSource(kube, self._clients["pod logs"])

    async def start_over(self, error: AiopsError) -> None:
        """For commands that ask again and again: what failed in this run may be there next time."""
        await self.recover(error)
        if self._discovery is not None and self._discovery.done():
            self._discovery = None
            self._stale = set()

    async def traces(self) -> TempoSource | JaegerSource:
        """Tempo, or where there is none, Jaeger."""
        from aiops_cli.sources.jaeger import JaegerSource
        from aiops_cli.sources.tempo import TempoSource

        if "jaeger" in self._cluster.endpoints and "tempo" not in self._cluster.endpoints:
            return JaegerSource(await self.client("jaeger"))
        try:
            return TempoSource(await self.client("tempo"))
        except NotAvailableError as missing:
            try:
                return JaegerSource(await self.client("jaeger"))
            except NotAvailableError:
                raise missing from None

    async def korrel8r(self) -> Korrel8rSource:
        from aiops_cli.sources.korrel8r import Korrel8rSource

        return Korrel8rSource(await self.client("korrel8r"))

    def exporters(self, kind: str) -> list[HttpClient]:
        """A client of each exporter page of that kind (`dcgm`, `ptp`) that config names; GET "" of it."""
        urls = self._cluster.exporters.get(kind, [])
        return [self._client(f"{kind} {url}", Endpoint(kind, url)) for url in urls]

    async def kube(self) -> KubernetesSource:
        from aiops_cli.sources.kubernetes import KubernetesSource

        if self.context is None:
            raise NotAvailableError(
                f"cluster {self.name!r} has no kubeconfig context",
                hint="add a context of that name, or use what its endpoints give",
                code=ErrorCode.KUBERNETES_NOT_AVAILABLE,
            )
        if "kubernetes" not in self._clients:
            self._clients["kubernetes"] = HttpClient(
                self._kube_target(self.context, self.context.cluster.server), timeout=self._timeout
            )
        return KubernetesSource(self._clients["kubernetes"], self.context.namespace)

    async def client(self, signal: str) -> HttpClient:
        """The client of a signal's endpoint. Raises NotAvailableError, or why discovery failed."""
        if signal not in self._clients:
            return self._client(signal, await self.endpoint(signal))
        return self._clients[signal]

    def _client(self, key: str, endpoint: Endpoint) -> HttpClient:
        if key not in self._clients:  # another one may have asked meanwhile
            self._clients[key] = HttpClient(
                self._target(endpoint), timeout=self._timeout, max_in_flight=self._in_flight
            )
        return self._clients[key]

    async def endpoint(self, signal: str) -> Endpoint:
        """Where a signal is served, and how that is known."""
        if explicit := self._cluster.endpoints.get(signal):
            return explicit
        learned = self._registry.endpoint(self.name, self._cluster.server, signal)
        if learned is not None and self._discovery is None:
            self._learned.add(signal)
            return learned
        if self.context is not None and self._may_discover():
            found = await self.discover()
            if signal in found.endpoints:
                return found.endpoints[signal]
        raise NotAvailableError(
            f"no {signal} is known for cluster {self.name!r}",
            hint=f"aiops clusters discover -c {self.name}, or set [clusters.{self.name}.endpoints] {signal} in the config",
            code=_NOT_AVAILABLE[signal],
        )

    def knows(self, signal: str) -> bool:
        """Whether an endpoint of the signal is configured or was learned."""
        learned = self._registry.endpoint(self.name, self._cluster.server, signal)
        return signal in self._cluster.endpoints or learned is not None

    async def discover(self, *, anew: bool = False) -> Discovery:
        """Look for endpoints by API, once a run, and remember them with their evidence. `anew` looks again, and
        so does any look a minute after one that failed: a dashboard lives longer than an outage."""
        done = self._discovery is not None and self._discovery.done()
        if self._discovery is None or (done and (anew or self._failed_long_ago(self._discovery))):
            self._discovery, self._looked = asyncio.ensure_future(self._discover()), time.monotonic()
        return await asyncio.shield(self._discovery)

    def _failed_long_ago(self, look: asyncio.Task[Discovery]) -> bool:
        failed = look.cancelled() or look.exception() is not None
        return failed and time.monotonic() - self._looked > _LOOK_AGAIN_SECONDS

    async def recover(self, error: AiopsError) -> bool:
        """What was learned earlier may be gone: look again, once a run, when a learned endpoint failed. What
        fails meanwhile waits for the same look."""
        if error.code not in _STALE or not self._may_discover():
            return False
        if self._learned:
            self._stale, self._learned = self._learned, set()
            gone = self._stale & self._clients.keys()
            await asyncio.gather(*(self._clients.pop(s).aclose() for s in gone))
        elif not self._stale or (self._discovery is not None and self._discovery.done()):
            return False
        try:
            found = await self.discover()
        except AiopsError:
            return False
        return bool(self._stale & (found.endpoints.keys() - found.silent.keys()))

    def _may_discover(self) -> bool:
        own = self._settings.clusters.get(self.name)
        return own is None or own.discover

    async def _discover(self) -> Discovery:
        from aiops_cli.services.discovery import discover

        earlier = self._registry.endpoints(self.name, self._cluster.server)
        found = await discover(await self.kube(), self._cluster, probe=self._probe, earlier=earlier)
        self._registry.learn(self.name, self._cluster.server, found)
        return found

    async def _probe(self, endpoint: Endpoint) -> AiopsError | None:
        from aiops_cli.services.probes import ready

        client = HttpClient(self._target(endpoint), timeout=min(self._timeout, 5.0))
        try:
            await ready(endpoint.signal, client)
        except (ClusterError, UsageError) as error:
            return error
        finally:
            await client.aclose()
        return None

    def _kube_target(self, context: KubeContext, url: str) -> Target:
        if context.problem:
            raise ClusterError(context.problem, hint="fix the kubeconfig", code=ErrorCode.KUBECONFIG_INVALID)
        if self._credentials is None:
            self._credentials = credentials_for(context)
        return Target(
            url,
            self._credentials,
            trust_for(context, Login()),
            proxy=context.cluster.proxy_url,
            tls_server_name=context.cluster.tls_server_name,
            extra=list(context.user.impersonate),
        )

    def _target(self, endpoint: Endpoint) -> Target:
        """Kubeconfig credentials go only where discovery proved that the host is this cluster's."""
        if endpoint.via == "proxy" and self.context is not None:
            target = self._kube_target(self.context, endpoint.url)
        elif endpoint.via == "route" and self.context is not None:
            self._kube_target(self.context, endpoint.url)
            target = Target(
                endpoint.url, self._credentials or Credentials(), Trust(insecure=endpoint.insecure)
            )
        else:
            base = self._settings.path.parent if self._settings.path else None
            ca = read_ca(endpoint.ca_file, base) if endpoint.ca_file else None
            target = Target(endpoint.url, _keyring(endpoint.credential), Trust(ca, endpoint.insecure))
        headers = dict(target.headers) | endpoint.headers
        if endpoint.tenant:
            headers["X-Scope-OrgID"] = endpoint.tenant
        target.headers = headers
        return target

    async def identity(self, endpoint: Endpoint) -> str:
        """A hash of who asks an endpoint, so that no cache is shared between users. No secret can be
        read from it. Raises what logging in raises."""
        login = await self._target(endpoint).credentials.login()
        parts = [endpoint.via, endpoint.credential or "", str(sorted(endpoint.headers.items()))]
        user = self.context.user if self.context and endpoint.via != "config" else None
        if user is not None:
            parts += [user.name, str(user.impersonate)]
        return hashlib.sha256("\0".join([*parts, subject(login, user)]).encode()).hexdigest()[:16]


def _keyring(name: str | None) -> Credentials:
    if name is None:
        return Credentials()
    import keyring
    from keyring.errors import KeyringError

    try:
        token = keyring.get_password("aiops", name)
    except KeyringError as error:
        raise ClusterError(
            f"the OS keyring can't be read: {error}",
            hint="unlock it, or drop `credential` from the config",
            code=ErrorCode.CREDENTIALS_INVALID,
        ) from None
    if token is None:
        raise ClusterError(
            f"credential {name!r} is not in the OS keyring",
            hint=f"keyring set aiops {name}",
            code=ErrorCode.CREDENTIALS_INVALID,
        )
    return StaticCredentials(Login(token=token))


async def close_all(members: Sequence[LiveMember]) -> None:
    """Close every connection."""
    await asyncio.gather(*(m.aclose() for m in members))


def _sockets() -> int:
    """How many sockets may be open at once; the soft limit is raised as far as this user may."""
    try:
        import resource
    except ImportError:  # no such limit on this system
        return 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return 10_000 if soft == resource.RLIM_INFINITY else max(soft - _OTHER_FILES, 1)


def live_members(
    chosen: list[Cluster], kubeconfig: Kubeconfig, settings: Settings, registry: Registry, timeout: float
) -> list[LiveMember]:
    """The chosen clusters, each with its share of the sockets that this process may open."""
    share = _sockets() // (len(chosen) * _ENDPOINTS or 1)
    in_flight = max(1, min(settings.defaults.max_in_flight, share))
    return [
        LiveMember(
            c,
            kubeconfig.contexts.get(c.context) if c.context else None,
            settings,
            registry,
            timeout,
            in_flight,
        )
        for c in chosen
    ]
