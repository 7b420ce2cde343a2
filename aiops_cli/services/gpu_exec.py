"""GPUs and their processes by nvidia-smi in a pod of the GPU operator, where the user allows exec.

Of each node one pod of the operator's daemon sets: the driver's, else DCGM's, else the device plugin's; all see the node's processes by
the host's ids, whose cgroups say which container they are of.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from aiops_cli.errors import AuthError, ClusterError, ErrorCode
from aiops_cli.models.gpu import Gpu, GpuProcess, GpuUser
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import LiveMember
from aiops_cli.sources import nvidia_smi
from aiops_cli.sources.kubernetes import KubernetesSource
from aiops_cli.sources.kubernetes_objects import Meta
from aiops_cli.sources.nvidia_smi import NoXml, Reading
from aiops_cli.sources.pod_exec import ExecResult, exec_in_pod

NO_PODS = f"{ErrorCode.NO_GPU_NODES}: no pod runs that has nvidia-smi (driver, DCGM or device plugin of the GPU operator)"
# Containers of the GPU operator's daemon sets and how the label `app` (of the plugin's own chart
# `app.kubernetes.io/name`) of their pods begins, the best first.
_CONTAINERS = {
    "nvidia-driver-ctr": ("nvidia-driver-daemonset", "nvidia-gpu-driver", "nvidia-vgpu-manager-daemonset"),
    "nvidia-dcgm-ctr": ("nvidia-dcgm",),
    "nvidia-device-plugin": ("nvidia-device-plugin",),
    "nvidia-device-plugin-ctr": ("nvidia-device-plugin",),
}
_AT_ONCE = 8
T = TypeVar("T")


class _Container(msgspec.Struct):
    name: str = ""


class _ContainerStatus(msgspec.Struct, rename="camel"):
    name: str = ""
    container_id: str = msgspec.field(default="", name="containerID")


class _Spec(msgspec.Struct, rename="camel"):
    node_name: str = ""
    containers: list[_Container] = []


class _Status(msgspec.Struct, rename="camel"):
    container_statuses: list[_ContainerStatus] = []


class _Pod(msgspec.Struct):
    metadata: Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to run nvidia-smi for a node, and until when (monotonic seconds): --timeout is for the cluster."""

    node: str
    namespace: str
    pod: str
    container: str
    until: float


@dataclass(slots=True)
class _Nodes:
    """The nodes that can be asked, all running pods by their UID, and what is missing."""

    places: list[_Place]
    pods: dict[str, _Pod]
    warnings: list[str]
    partial: bool


async def processes(
    members: Sequence[LiveMember], *, node: str | None = None, watch: Watcher | None = None
) -> FleetResult[GpuProcess]:
    """The processes on every GPU of the fleet, or of one node, by cluster, node and index."""
    found = await fan_out(members, lambda member: read_processes(member, node), watch=watch)
    return found.with_rows([row for _, row in found.rows])


async def read_processes(member: LiveMember, only: str | None = None) -> Answer[GpuProcess]:
    """Of all nodes or `only` one. Raises AuthError where exec is not allowed, ClusterError if no node could be
    asked."""
    kube = await member.kube()
    nodes = await _nodes(kube)
    if only is not None and nodes.places:
        nodes.places = [p for p in nodes.places if p.node == only]
        if not nodes.places:
            nodes.warnings.append(f"no pod that has nvidia-smi runs on {only}")

    async def one(place: _Place) -> list[GpuProcess]:
        reading = await _smi(member, kube, place, None)
        if reading.skipped:
            nodes.warnings.append(f"{place.node}: {reading.skipped} lines of nvidia-smi make no sense")
        owners = await _owners(kube, place, [p.pid for p in reading.processes])
        return _named(reading.processes, owners, nodes.pods)

    return await _asked(nodes, one)


async def read_gpus(member: LiveMember, at: str) -> Answer[Gpu]:
    """The GPUs themselves, for clusters that have no exporter: who holds one is known if it runs something.
    Raises as `read_processes`."""
    kube = await member.kube()
    nodes = await _nodes(kube)

    async def one(place: _Place) -> list[Gpu]:
        reading = await _smi(member, kube, place, at)
        owners = await _owners(kube, place, [p.pid for p in reading.processes])
        running = _named(reading.processes, owners, nodes.pods)
        return [_held(gpu, running) for gpu in reading.gpus]

    return await _asked(nodes, one)


async def _asked(nodes: _Nodes, one: Callable[[_Place], Awaitable[list[T]]]) -> Answer[T]:
    """Every node's rows; those that fail are told. Raises the first error if all do."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def guarded(place: _Place) -> list[T] | ClusterError:
        async with slots:
            try:
                return await one(place)
            except ClusterError as error:
                return error

    found = await asyncio.gather(*(guarded(place) for place in nodes.places))
    errors = [f for f in found if isinstance(f, ClusterError)]
    if errors and len(errors) == len(found):
        raise errors[0]
    nodes.warnings += [f"{p.node}: {f.message}" for p, f in zip(nodes.places, found, strict=True) if isinstance(f, ClusterError)]  # fmt: skip
    rows = [row for f in found if not isinstance(f, ClusterError) for row in f]
    return Answer(rows, warnings=nodes.warnings, partial=nodes.partial or bool(errors))


async def _nodes(kube: KubernetesSource) -> _Nodes:
    until = time.monotonic() + kube.client.timeout
    try:
        params = [("fieldSelector", "status.phase=Running"), ("resourceVersion", "0")]
        pods = Answer(await kube.items("/api/v1/pods", _Pod, params))
    except AuthError as error:
        if error.code is not ErrorCode.FORBIDDEN:
            raise
        pods = await kube.everywhere("/api/v1", "pods", _Pod)
    best: dict[str, tuple[int, _Place]] = {}
    for pod in pods.rows:
        known = _operators(pod)
        node = pod.spec.node_name
        if known is None or not node or (node in best and best[node][0] <= known[0]):
            continue
        best[node] = known[0], _Place(node, pod.metadata.namespace, pod.metadata.name, known[1], until)
    notes = list(pods.warnings) if best else [*pods.warnings, NO_PODS]
    return _Nodes(
        [place for _, place in sorted(best.values(), key=lambda b: b[1].node)],
        {pod.metadata.uid: pod for pod in pods.rows},
        notes,
        pods.partial,
    )


def _operators(pod: _Pod) -> tuple[int, str] | None:
    """Rank and container of a pod of the operator: one that a daemon set made, with its label, not any whose
    container is called so."""
    owner = pod.metadata.controller
    if owner is None or owner.kind != "DaemonSet":
        return None
    labels = pod.metadata.labels
    app = labels.get("app") or labels.get("app.kubernetes.io/name") or ""
    there = {c.name for c in pod.spec.containers}
    ranked = enumerate(_CONTAINERS.items())
    return next(((i, name) for i, (name, apps) in ranked if name in there and app.startswith(apps)), None)


async def _smi(member: LiveMember, kube: KubernetesSource, place: _Place, at: str | None) -> Reading:
    """XML, which has everything, else CSV. Raises ClusterError."""
    printed = await _run(kube, place, nvidia_smi.QUERY_XML)
    try:
        return nvidia_smi.parse_xml(printed.stdout, member.name, place.node, at)
    except NoXml:
        _check(printed, place)
    cards = await _run(kube, place, nvidia_smi.QUERY_GPUS)
    _check(cards, place)
    tasks = await _run(kube, place, nvidia_smi.QUERY_PROCESSES)
    _check(tasks, place)
    reading = nvidia_smi.parse_gpus_csv(cards.stdout, member.name, place.node, at)
    more = nvidia_smi.parse_processes_csv(tasks.stdout, member.name, place.node)
    places = {g.uuid: g.index for g in reading.gpus}
    reading.processes = [msgspec.structs.replace(p, index=places.get(p.uuid)) for p in more.processes]
    reading.skipped += more.skipped
    return reading


def _check(printed: ExecResult, place: _Place) -> None:
    """Raises ClusterError for a program that failed: mostly, the driver does not answer."""
    if printed.exit_code == 0:
        return
    said = " ".join((printed.stderr or printed.stdout).split())[:300]
    raise ClusterError(
        f"nvidia-smi failed on {place.node} ({printed.exit_code}): {said}",
        hint="the driver there may be down: look at that node",
        code=ErrorCode.QUERY_FAILED,
    )


async def _owners(
    kube: KubernetesSource, place: _Place, pids: Sequence[int]
) -> dict[int, tuple[str, str | None]]:
    """Pod UID and container id by process; nothing where the container has no grep."""
    found: dict[int, tuple[str, str | None]] = {}
    try:
        for argv in nvidia_smi.cgroups_of(pids):
            # grep fails for a process that has ended: the rest is good
            found |= nvidia_smi.parse_cgroups((await _run(kube, place, argv)).stdout)
    except ClusterError:
        pass
    return found


def _named(
    found: Sequence[GpuProcess], owners: dict[int, tuple[str, str | None]], pods: dict[str, _Pod]
) -> list[GpuProcess]:
    named = []
    for process in found:
        uid, container = owners.get(process.pid, ("", None))
        pod = pods.get(uid)
        if pod is not None:
            process = msgspec.structs.replace(
                process,
                namespace=pod.metadata.namespace,
                pod=pod.metadata.name,
                container=_container(pod, container),
            )
        named.append(process)
    return named


def _held(gpu: Gpu, running: Sequence[GpuProcess]) -> Gpu:
    """With the pods of its processes."""
    own = [p for p in running if (p.uuid, p.mig_instance) == (gpu.uuid, gpu.mig_instance) and p.pod]
    users = list(dict.fromkeys(GpuUser(p.namespace, p.pod or "", p.container) for p in own))
    if not users:
        return gpu
    first = users[0]
    return msgspec.structs.replace(
        gpu, namespace=first.namespace, pod=first.pod, container=first.container, users=users
    )


def _container(pod: _Pod, wanted: str | None) -> str | None:
    return next(
        (
            s.name
            for s in pod.status.container_statuses
            if wanted and s.container_id.rpartition("/")[2] == wanted
        ),
        None,
    )


async def _run(kube: KubernetesSource, place: _Place, argv: Sequence[str]) -> ExecResult:
    """Raises ClusterError, also where the cluster's time is over."""
    nvidia_smi.check(argv)
    left = round(place.until - time.monotonic(), 1)
    if left <= 0:
        raise ClusterError(
            f"not asked within the {kube.client.timeout:g} s of --timeout",
            hint="raise --timeout",
            code=ErrorCode.QUERY_TIMEOUT,
        )
    return await exec_in_pod(kube.client, place.namespace, place.pod, place.container, argv, left)
