"""The Kubernetes API, read only: version, events, workloads, changes, and lists for discovery.

Lists are paged. Where the user may not list the whole cluster, the context's namespace is read instead
and the answer says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

import msgspec

from aiops_cli.errors import AiopsError, AuthError, ClusterError, ErrorCode
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Change, KubeEvent, Workload
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources import kubernetes_changes as diff
from aiops_cli.sources import kubernetes_objects as k8s
from aiops_cli.sources.replies import error_text, failure
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json

T = TypeVar("T")
U = TypeVar("U")

_WHAT = "the Kubernetes API"
_PAGE = "500"
# Metadata alone keeps the values of ConfigMaps from travelling at all.
_METADATA = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"}
_CORE, _APPS, _BATCH = "/api/v1", "/apis/apps/v1", "/apis/batch/v1"


class KubernetesSource:
    """One API server; `namespace` is what is read where the whole cluster may not be."""

    def __init__(self, client: HttpClient, namespace: str = "default") -> None:
        self.client = client
        self.namespace = namespace

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    async def ready(self) -> None:
        """Raises ClusterError unless the API server is ready, or, to those who may not ask, answers."""
        reply = await self.client.get("/readyz")
        if reply.status == 200:
            return
        if reply.status >= 500:
            raise ClusterError(
                f"the API server is not ready: {error_text(reply)}",
                hint="look at the control plane's pods and etcd",
                code=ErrorCode.KUBERNETES_NOT_AVAILABLE,
                endpoint=self.endpoint,
            )
        await self.version()

    async def version(self) -> str:
        """The server's version, such as v1.33.2."""
        return (await self.get("/version", k8s.Version)).git_version

    async def namespace_uid(self, name: str = "kube-system") -> str:
        """A namespace's UID; that of kube-system names the cluster for life."""
        return (await self.get(f"{_CORE}/namespaces/{name}", k8s.Object)).metadata.uid

    async def events(self, window: TimeRange) -> Answer[KubeEvent]:
        """Events whose effective time lies in the window, in order of time. Servers keep 1 to 3 hours."""
        found = await self.everywhere(_CORE, "events", k8s.Event)
        rows = [diff.kube_event(event) for event in found.rows if window.start <= event.at <= window.end]
        rows.sort(key=lambda row: row.at)
        return Answer(rows, warnings=found.warnings, partial=found.partial)

    async def changes(self, window: TimeRange) -> Answer[Change]:
        """Rollouts, scalings, config edits and failed conditions in the window, in order of time.

        What the user may not list is left out with a warning. Raises ClusterError if that is all.
        """
        notes: dict[str, None] = {}
        failed: list[ClusterError] = []

        async def listed(ask: Coroutine[None, None, Answer[U]]) -> list[U]:
            try:
                answer = await ask
            except ClusterError as error:
                failed.append(error)
                return []
            notes.update(dict.fromkeys(answer.warnings))
            return answer.rows

        deployments, replica_sets, revisions, config_maps, events = await asyncio.gather(
            listed(self.everywhere(_APPS, "deployments", k8s.Deployment)),
            listed(self.everywhere(_APPS, "replicasets", k8s.ReplicaSet)),
            listed(self.everywhere(_APPS, "controllerrevisions", k8s.ControllerRevision)),
            listed(self.everywhere(_CORE, "configmaps", k8s.Object, metadata_only=True)),
            listed(self.events(window)),
        )
        if len(failed) == 5:
            raise failed[0]
        since = window.start - diff.ROLLOUT_SECONDS
        rollouts = diff.rollouts(deployments, replica_sets, revisions, since)
        rows = [
            *rollouts,
            *diff.scalings(events, rollouts),
            *diff.config_edits(config_maps),
            *diff.failed_conditions(deployments),
        ]
        rows = [row for row in rows if window.start <= row.at <= window.end]
        rows.sort(key=lambda row: (row.at, row.namespace, row.name))
        notes.update(dict.fromkeys(error.message for error in failed))
        return Answer(rows, warnings=list(notes), partial=bool(notes))

    async def timeline(
        self, window: TimeRange, types: Collection[str], namespace: str | None = None
    ) -> Answer[KubeEvent | Change]:
        """Events, changes and states of these types (see models/events.py) in the window, in no order.

        Of one namespace, or all. What may not be listed is left out with a warning.
        """
        from aiops_cli.sources.kubernetes_timeline import timeline

        return await timeline(self, window, types, namespace)

    async def workloads(self) -> Answer[Workload]:
        """All pods with their top owner: ReplicaSets and Jobs are followed to what made them, by uid."""
        pods, replica_sets, jobs = await asyncio.gather(
            self.everywhere(_CORE, "pods", k8s.Pod),
            self._owners(_APPS, "replicasets"),
            self._owners(_BATCH, "jobs"),
        )
        above = replica_sets | jobs
        rows = [_workload(pod, above) for pod in pods.rows]
        return Answer(rows, warnings=pods.warnings, partial=pods.partial)

    async def services(self) -> Answer[k8s.Service]:
        return await self.everywhere(_CORE, "services", k8s.Service)

    async def get(self, path: str, kind: type[T]) -> T:
        """One object. Raises ClusterError; its code is NOT_FOUND, FORBIDDEN and so on."""
        return self._decode(await self._ask(path, []), kind)

    async def items(
        self, path: str, kind: type[T], params: Params = (), *, metadata_only: bool = False
    ) -> list[T]:
        """All items of a list, page by page; one that changed too much to go on is begun once more."""
        page_of: Any = k8s.Page[kind]  # type: ignore[valid-type]
        for last_try in (False, True):
            rows: list[T] = []
            more = ""
            while True:
                asked = [*params, ("limit", _PAGE), *([("continue", more)] if more else [])]
                try:
                    reply = await self._ask(path, asked, metadata_only=metadata_only)
                except _ExpiredError as error:
                    if last_try:
                        raise failure(error.reply, _WHAT, self.endpoint) from None
                    break
                page: k8s.Page[T] = self._decode(reply, page_of)
                rows += page.items or []
                more, before = page.metadata.next, more
                if more and more == before:
                    raise self._endless(path)
                if not more:
                    return rows
        raise AssertionError("the last try returns or raises")

    async def get_json(self, path: str, params: Params = ()) -> dict[str, Any]:
        """An object or a whole list as it is; the items of all pages are in `items`."""
        body = self._decode(await self._ask(path, [*params, ("limit", _PAGE)]), dict[str, Any])
        if isinstance(body.get("items"), list):
            body["items"] = await self.items(path, dict, params) if _more(body) else body["items"]
        return body

    async def everywhere(
        self, api: str, resource: str, kind: type[T], *, metadata_only: bool = False
    ) -> Answer[T]:
        """A list over all namespaces, or over the context's where that is forbidden."""
        try:
            return Answer(await self.items(f"{api}/{resource}", kind, metadata_only=metadata_only))
        except AuthError as error:
            if error.code is not ErrorCode.FORBIDDEN:
                raise
        path = f"{api}/namespaces/{self.namespace}/{resource}"
        rows = await self.items(path, kind, metadata_only=metadata_only)
        note = f"{resource}: only those of namespace {self.namespace}, others may not be listed"
        return Answer(rows, warnings=[note], partial=True)

    async def _owners(self, api: str, resource: str) -> dict[str, k8s.Owner]:
        """What controls each object of a list, by the object's uid; nothing where it may not be listed."""
        try:
            found = await self.everywhere(api, resource, k8s.Object, metadata_only=True)
        except ClusterError as error:
            if error.code in (ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND):
                return {}
            raise
        return k8s.owners(found.rows)

    async def _ask(self, path: str, params: Params, *, metadata_only: bool = False) -> Reply:
        reply = await self.client.get(path, params, headers=_METADATA if metadata_only else None)
        if reply.status == 200:
            return reply
        if reply.status == 410:
            raise _ExpiredError(reply)
        raise failure(reply, _WHAT, self.endpoint)

    def _endless(self, path: str) -> ClusterError:
        return ClusterError(
            f"{_WHAT} answers the same page of {path} again and again",
            hint="something on the way drops the parameter `continue`: check proxies",
            code=ErrorCode.BAD_ANSWER,
            endpoint=self.endpoint,
        )

    def _decode(self, reply: Reply, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None


class _ExpiredError(AiopsError):
    """410: the list moved on while it was paged through."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("the list has expired", code=ErrorCode.SERVER_ERROR)
        self.reply = reply


def _more(body: dict[str, Any]) -> bool:
    metadata = body.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("continue"))


def _workload(pod: k8s.Pod, above: dict[str, k8s.Owner]) -> Workload:
    meta = pod.metadata
    kind, name = k8s.top_owner(pod, above)
    return Workload(
        pod=meta.name,
        namespace=meta.namespace,
        node=pod.spec.node_name or None,
        owner_kind=kind,
        owner=name,
        phase=pod.status.phase,
        labels=meta.labels,
        restarts=sum(c.restart_count for c in pod.status.container_statuses),
    )
