"""What a bundle keeps of telecom clusters: objects of their APIs, without what the views do not read.

A cluster that has neither SR-IOV nor PerformanceProfiles adds nothing to a bundle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from aiops_cli.analysis.cnf_functions import function_of, patterns
from aiops_cli.analysis.dpdk import is_dpdk
from aiops_cli.analysis.sriov import OLD_STATUS, STATUS
from aiops_cli.models.cnf_objects import (
    CnfNode,
    CnfObjects,
    CnfPod,
    Meta,
    PerformanceProfile,
    SriovNetwork,
    SriovNodeState,
    SriovPolicy,
)
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.scrub import scrub, scrub_labels

if TYPE_CHECKING:
    from aiops_cli.sources.kubernetes import KubernetesSource

_KEPT = (STATUS, OLD_STATUS)
_KEPT_PARTS = (".crio.io", "sriovnetwork.openshift.io")


async def recorded_objects(member: Member) -> CnfObjects | None:
    """None where the cluster has no such API. Raises ClusterError where what it has can't be listed."""
    if not isinstance(member, LiveMember):
        return None
    from aiops_cli.sources.cnf_objects import Listed

    source: KubernetesSource = await member.kube()
    listed = Listed()
    policies, profiles = await asyncio.gather(listed.sriov_policies(source), listed.profiles(source))
    if policies is None and profiles is None:
        return None
    states, networks, nodes, pods = await asyncio.gather(
        listed.sriov_states(source),
        listed.sriov_networks(source),
        listed.nodes(source),
        listed.pods(source),
    )
    known = patterns({})
    return CnfObjects(
        [_state(s) for s in states or ()],
        [SriovPolicy(_meta(p.metadata), p.spec) for p in policies or ()],
        [SriovNetwork(_meta(n.metadata), n.spec) for n in networks or ()],
        [CnfNode(_meta(n.metadata), n.status) for n in nodes or ()],
        [PerformanceProfile(_meta(p.metadata), p.spec, p.status) for p in profiles or ()],
        None if pods is None else [_pod(p) for p in pods if _matters(p, known)],
    )


def _matters(pod: CnfPod, known: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a view shows it, or counts what it asks for."""
    asks = any("/" in name for c in pod.spec.containers for name in c.resources.requests)
    return asks or is_dpdk(pod) or function_of(pod.metadata.labels, (pod.metadata.name,), known) is not None


def _pod(pod: CnfPod) -> CnfPod:
    return msgspec.structs.replace(pod, metadata=_meta(pod.metadata))


def _state(state: SriovNodeState) -> SriovNodeState:
    status = msgspec.structs.replace(state.status, last_sync_error=scrub(state.status.last_sync_error))
    return msgspec.structs.replace(state, metadata=_meta(state.metadata), status=status)


def _meta(meta: Meta) -> Meta:
    """Annotations hold anything, such as a last applied configuration: only those that are read are kept."""
    kept = {
        key: value
        for key, value in meta.annotations.items()
        if key in _KEPT or any(part in key.partition("/")[0] for part in _KEPT_PARTS)
    }
    return msgspec.structs.replace(
        meta, labels=scrub_labels(meta.labels), annotations={k: scrub(v) for k, v in kept.items()}
    )
