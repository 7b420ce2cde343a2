"""The parts of Kubernetes objects that are read here; all else is skipped while decoding."""

from __future__ import annotations

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


class PodSpec(msgspec.Struct, rename="camel"):
    node_name: str | None = None


class ContainerStatus(msgspec.Struct, rename="camel"):
    restart_count: int = 0


class PodStatus(msgspec.Struct, rename="camel"):
    phase: str = "Unknown"
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


class Condition(msgspec.Struct, rename="camel"):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    last_update_time: datetime | None = None


class DeploymentStatus(msgspec.Struct):
    conditions: list[Condition] = []


class Deployment(msgspec.Struct):
    metadata: Meta
    status: DeploymentStatus = msgspec.field(default_factory=DeploymentStatus)


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
