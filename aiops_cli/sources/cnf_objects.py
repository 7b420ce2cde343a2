"""Lists of telecom clusters from the Kubernetes API. An API that a cluster lacks is no failure."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aiops_cli.errors import AiopsError, AuthError, ClusterError, ErrorCode
from aiops_cli.models.cnf_objects import (
    CnfNode,
    CnfPod,
    Meta,
    Owned,
    OwnerReference,
    PerformanceProfile,
    SriovNetwork,
    SriovNodeState,
    SriovPolicy,
)
from aiops_cli.sources.kubernetes import KubernetesSource

T = TypeVar("T")
_SRIOV = "/apis/sriovnetwork.openshift.io/v1"
_PERFORMANCE = "/apis/performance.openshift.io/v2"


@dataclass(slots=True)
class Listed:
    """What lists said beside their rows: `absent` names APIs that are not there, `notes` what may not be
    listed."""

    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    async def of(
        self, source: KubernetesSource, api: str, resource: str, kind: type[T]
    ) -> Sequence[T] | None:
        """All of them; None where the API is not there or may not be listed."""
        try:
            found = await source.everywhere(api, resource, kind)
        except AuthError as error:
            if error.code is not ErrorCode.FORBIDDEN:
                raise
            self.notes.append(f"{resource} may not be listed")
            return None
        except ClusterError as error:
            if error.code is not ErrorCode.NOT_FOUND:
                raise
            self.absent.append(resource)
            return None
        self.notes += found.warnings
        return found.rows

    async def sriov_states(self, source: KubernetesSource) -> Sequence[SriovNodeState] | None:
        return await self.of(source, _SRIOV, "sriovnetworknodestates", SriovNodeState)

    async def sriov_policies(self, source: KubernetesSource) -> Sequence[SriovPolicy] | None:
        return await self.of(source, _SRIOV, "sriovnetworknodepolicies", SriovPolicy)

    async def sriov_networks(self, source: KubernetesSource) -> Sequence[SriovNetwork] | None:
        return await self.of(source, _SRIOV, "sriovnetworks", SriovNetwork)

    async def profiles(self, source: KubernetesSource) -> Sequence[PerformanceProfile] | None:
        return await self._cluster_wide(source, _PERFORMANCE, "performanceprofiles", PerformanceProfile)

    async def nodes(self, source: KubernetesSource) -> Sequence[CnfNode] | None:
        return await self._cluster_wide(source, "/api/v1", "nodes", CnfNode)

    async def pods(self, source: KubernetesSource, namespace: str | None = None) -> Sequence[CnfPod] | None:
        if namespace is None:
            return await self.of(source, "/api/v1", "pods", CnfPod)
        return await self._cluster_wide(source, f"/api/v1/namespaces/{namespace}", "pods", CnfPod)

    async def owned_pods(
        self, source: KubernetesSource
    ) -> list[tuple[CnfPod, tuple[str | None, str | None]]] | None:
        """Pods with kind and name of what made them: ReplicaSets and Jobs are followed, where they may be
        listed."""
        pods, sets, jobs = await asyncio.gather(
            self.pods(source),
            self._owners(source, "/apis/apps/v1", "replicasets"),
            self._owners(source, "/apis/batch/v1", "jobs"),
        )
        above = sets | jobs
        return None if pods is None else [(pod, _top_owner(pod, above)) for pod in pods]

    async def _owners(self, source: KubernetesSource, api: str, resource: str) -> dict[str, OwnerReference]:
        """What controls each object of a list, by the object's uid."""
        try:
            found = await source.everywhere(api, resource, Owned, metadata_only=True)
        except ClusterError as error:
            if error.code in (ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND):
                return {}
            raise
        pairs = ((o.metadata.uid, _controller(o.metadata)) for o in found.rows)
        return {uid: owner for uid, owner in pairs if owner is not None}

    async def _cluster_wide(
        self, source: KubernetesSource, api: str, resource: str, kind: type[T]
    ) -> Sequence[T] | None:
        """As `of`, for what is in no namespace, or in one that is named."""
        try:
            return await source.items(f"{api}/{resource}", kind)
        except AiopsError as error:
            if error.code is ErrorCode.NOT_FOUND:
                self.absent.append(resource)
            elif error.code is ErrorCode.FORBIDDEN:
                self.notes.append(f"{resource} may not be listed")
            else:
                raise
        return None


def _controller(meta: Meta) -> OwnerReference | None:
    return next((o for o in meta.owner_references if o.controller), None)


def owner_of(pod: CnfPod) -> tuple[str | None, str | None]:
    """Kind and name of what made a pod, by the pod alone: a ReplicaSet is followed by its name, a Job is not."""
    return _top_owner(pod, {})


def _top_owner(pod: CnfPod, above: Mapping[str, OwnerReference]) -> tuple[str | None, str | None]:
    """As kubernetes_objects.top_owner: a ReplicaSet that may not be listed is followed by its name."""
    owner = _controller(pod.metadata)
    if owner is None:
        return None, None
    if owner.uid in above:
        return above[owner.uid].kind, above[owner.uid].name
    suffix = "-" + pod.metadata.labels.get("pod-template-hash", "")
    if owner.kind == "ReplicaSet" and suffix != "-" and owner.name.endswith(suffix):
        return "Deployment", owner.name.removesuffix(suffix)
    return owner.kind, owner.name
