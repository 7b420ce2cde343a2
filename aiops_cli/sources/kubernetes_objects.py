"""The parts of Kubernetes objects that are read here; all else is skipped while decoding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Owner(msgspec.Struct):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ManagedField(msgspec.Struct):
    """The last write of one manager through one subresource."""

    manager: str = ""
    operation: str = ""
    time: datetime | None = None
    subresource: str = ""


class Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[Owner] = []
    managed_fields: list[ManagedField] = []

    @property
    def created(self) -> float:
        """Unix seconds; 0 where the object has no such time."""
        return unix(self.creation_timestamp)

    @property
    def controller(self) -> Owner | None:
        return next((o for o in self.owner_references if o.controller), None)


class Object(msgspec.Struct):
    """Any object by its metadata alone."""

    metadata: Meta


class ListMeta(msgspec.Struct):
    next: str = msgspec.field(name="continue", default="")


class Page(msgspec.Struct, Generic[T]):
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    items: list[T] | None = None


class Status(msgspec.Struct):
    """The body of an error of the API server itself, and of its service proxy."""

    kind: str = ""
    reason: str = ""
    message: str = ""


class Version(msgspec.Struct, rename="camel"):
    git_version: str = ""


class Reference(msgspec.Struct):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class EventSeries(msgspec.Struct, rename="camel"):
    count: int = 0
    last_observed_time: datetime | None = None


class Event(msgspec.Struct, rename="camel"):
    metadata: Meta
    involved_object: Reference = msgspec.field(default_factory=Reference)
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: EventSeries | None = None

    @property
    def at(self) -> float:
        """The effective time in unix seconds: new-style events have no first and last time."""
        series = self.series.last_observed_time if self.series else None
        return unix(
            series
            or self.last_timestamp
            or self.event_time
            or self.first_timestamp
            or self.metadata.creation_timestamp
        )

    @property
    def seen(self) -> int:
        return (self.series.count if self.series else 0) or self.count or 1


class Condition(msgspec.Struct, rename="camel"):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    last_update_time: datetime | None = None


class PodSpec(msgspec.Struct, rename="camel"):
    node_name: str | None = None


class Terminated(msgspec.Struct, rename="camel"):
    """How a container ended."""

    exit_code: int = 0
    reason: str = ""
    finished_at: datetime | None = None


class Waiting(msgspec.Struct):
    reason: str = ""


class ContainerState(msgspec.Struct):
    terminated: Terminated | None = None
    waiting: Waiting | None = None


class ContainerStatus(msgspec.Struct, rename="camel"):
    name: str = ""
    restart_count: int = 0
    state: ContainerState = msgspec.field(default_factory=ContainerState)
    last_state: ContainerState = msgspec.field(default_factory=ContainerState)


class PodStatus(msgspec.Struct, rename="camel"):
    phase: str = "Unknown"
    reason: str = ""
    message: str = ""
    start_time: datetime | None = None
    conditions: list[Condition] = []
    init_container_statuses: list[ContainerStatus] = []
    container_statuses: list[ContainerStatus] = []


class Pod(msgspec.Struct):
    metadata: Meta
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class TemplateSpec(msgspec.Struct):
    """A pod template is left undecoded: few of them are compared."""

    template: msgspec.Raw = msgspec.Raw(b"{}")


class ReplicaSet(msgspec.Struct):
    metadata: Meta
    spec: TemplateSpec = msgspec.field(default_factory=TemplateSpec)


class RevisionData(msgspec.Struct):
    spec: TemplateSpec = msgspec.field(default_factory=TemplateSpec)


class ControllerRevision(msgspec.Struct):
    """A revision of a StatefulSet or DaemonSet."""

    metadata: Meta
    revision: int = 0
    data: RevisionData = msgspec.field(default_factory=RevisionData)


class DeploymentStatus(msgspec.Struct):
    conditions: list[Condition] = []


class Deployment(msgspec.Struct):
    metadata: Meta
    status: DeploymentStatus = msgspec.field(default_factory=DeploymentStatus)


class Taint(msgspec.Struct, rename="camel"):
    key: str = ""
    time_added: datetime | None = None


class NodeSpec(msgspec.Struct):
    unschedulable: bool = False
    taints: list[Taint] = []


class NodeStatus(msgspec.Struct):
    conditions: list[Condition] = []


class OwnedFields(msgspec.Struct, rename="camel"):
    """A write with the fields that it is the last one of, undecoded."""

    time: datetime | None = None
    fields: msgspec.Raw = msgspec.field(name="fieldsV1", default=msgspec.Raw(b"{}"))


class NodeMeta(msgspec.Struct, rename="camel"):
    name: str = ""
    creation_timestamp: datetime | None = None
    managed_fields: list[OwnedFields] = []


class Node(msgspec.Struct):
    metadata: NodeMeta
    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


class QuotaStatus(msgspec.Struct):
    """Quantities as Kubernetes writes them, such as 500m and 4Gi."""

    hard: dict[str, str] = {}
    used: dict[str, str] = {}


class ResourceQuota(msgspec.Struct):
    metadata: Meta
    status: QuotaStatus = msgspec.field(default_factory=QuotaStatus)


class MetricName(msgspec.Struct):
    name: str = ""


class MetricValue(msgspec.Struct, rename="camel"):
    """What a metric is or should be: one of the three."""

    value: str | None = None
    average_value: str | None = None
    average_utilization: int | None = None

    @property
    def text(self) -> str | None:
        if self.average_utilization is not None:
            return f"{self.average_utilization}%"
        return self.average_value or self.value


class MetricPart(msgspec.Struct):
    """The part of an autoscaler's metric that its type names; a resource's name stands in `name`."""

    name: str = ""
    metric: MetricName = msgspec.field(default_factory=MetricName)
    target: MetricValue | None = None
    current: MetricValue | None = None


class AutoscalerMetric(msgspec.Struct, rename="camel"):
    """A metric of an autoscaler, as wanted in its spec or as it is in its status."""

    resource: MetricPart | None = None
    container_resource: MetricPart | None = None
    pods: MetricPart | None = None
    object: MetricPart | None = None
    external: MetricPart | None = None

    @property
    def part(self) -> MetricPart:
        parts = (self.resource, self.container_resource, self.pods, self.object, self.external)
        return next((p for p in parts if p is not None), MetricPart())


class AutoscalerSpec(msgspec.Struct, rename="camel"):
    scale_target_ref: Reference = msgspec.field(default_factory=Reference)
    min_replicas: int = 1
    max_replicas: int = 0
    metrics: list[AutoscalerMetric] = []


class AutoscalerStatus(msgspec.Struct, rename="camel"):
    current_replicas: int = 0
    desired_replicas: int = 0
    last_scale_time: datetime | None = None
    current_metrics: list[AutoscalerMetric] | None = None
    conditions: list[Condition] = []


class Autoscaler(msgspec.Struct):
    """A HorizontalPodAutoscaler of autoscaling/v2."""

    metadata: Meta
    spec: AutoscalerSpec = msgspec.field(default_factory=AutoscalerSpec)
    status: AutoscalerStatus = msgspec.field(default_factory=AutoscalerStatus)


class ServicePort(msgspec.Struct, rename="camel"):
    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None


class ServiceSpec(msgspec.Struct, rename="camel"):
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    type: str = "ClusterIP"
    ports: list[ServicePort] = []


class Service(msgspec.Struct):
    metadata: Meta
    spec: ServiceSpec = msgspec.field(default_factory=ServiceSpec)


def unix(time: datetime | None) -> float:
    return time.timestamp() if time is not None else 0.0


def owners(rows: Iterable[Object | ReplicaSet]) -> dict[str, Owner]:
    """What controls each object, by the object's uid."""
    metas = (row.metadata for row in rows)
    return {meta.uid: owner for meta in metas if (owner := meta.controller) is not None}


def top_owner(pod: Pod, above: Mapping[str, Owner]) -> tuple[str | None, str | None]:
    """Kind and name of what made a pod: ReplicaSets and Jobs are followed by uid (see `owners`), a
    ReplicaSet that may not be listed by its name."""
    owner = pod.metadata.controller
    if owner is None:
        return None, None
    if owner.uid in above:
        return above[owner.uid].kind, above[owner.uid].name
    suffix = "-" + pod.metadata.labels.get("pod-template-hash", "")
    if owner.kind == "ReplicaSet" and suffix != "-" and owner.name.endswith(suffix):
        return "Deployment", owner.name.removesuffix(suffix)
    return owner.kind, owner.name
