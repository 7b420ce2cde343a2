"""Lists of telecom clusters from the Kubernetes API. An API that a cluster lacks is no failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aiops_cli.errors import AiopsError, AuthError, ClusterError, ErrorCode
from aiops_cli.models.cnf_objects import CnfNode, CnfPod, PerformanceProfile, SriovNodeState, SriovPolicy
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

    async def profiles(self, source: KubernetesSource) -> Sequence[PerformanceProfile] | None:
        return await self._cluster_wide(source, _PERFORMANCE, "performanceprofiles", PerformanceProfile)

    async def nodes(self, source: KubernetesSource) -> Sequence[CnfNode] | None:
        return await self._cluster_wide(source, "/api/v1", "nodes", CnfNode)

    async def pods(self, source: KubernetesSource, namespace: str | None = None) -> Sequence[CnfPod] | None:
        if namespace is None:
            return await self.of(source, "/api/v1", "pods", CnfPod)
        return await self._cluster_wide(source, f"/api/v1/namespaces/{namespace}", "pods", CnfPod)

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
