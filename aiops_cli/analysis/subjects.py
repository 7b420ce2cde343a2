"""What a row of any signal is about, whatever its labels are called, and where that is in the cluster.

Names of labels: kube-state-metrics and cAdvisor; `exported_…`, which Prometheus makes of a label that
the target has too (`honor_labels`); ViaQ of OpenShift Logging (`kubernetes_namespace_name`); the
OpenTelemetry resource conventions, with dots in spans and underscores in Loki.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aiops_cli.analysis.entities import Directory, owner_name
from aiops_cli.analysis.trace_ids import trace_id_in
from aiops_cli.models.related import Signal, Subject

if TYPE_CHECKING:
    from aiops_cli.models.signals import Workload

_NAMESPACE = ("exported_namespace", "kubernetes_namespace_name", "k8s_namespace_name", "namespace")
_POD = ("exported_pod", "kubernetes_pod_name", "k8s_pod_name", "pod", "pod_name")
_CONTAINER = (
    "exported_container",
    "kubernetes_container_name",
    "k8s_container_name",
    "container",
    "container_name",
)
_NODE = (
    "exported_node",
    "kubernetes_node_name",
    "k8s_node_name",
    "node",
    "nodename",
    "kubernetes_host",
    "kubernetes_io_hostname",
    "host_name",
    "hostname",
)
_WORKLOAD = {
    "k8s_deployment_name": "Deployment",
    "k8s_statefulset_name": "StatefulSet",
    "k8s_daemonset_name": "DaemonSet",
    "k8s_cronjob_name": "CronJob",
    "k8s_job_name": "Job",
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "cronjob": "CronJob",
    "job_name": "Job",
    "workload": None,
}
_NAMES = (
    "service_name",
    "exported_service",
    "service",
    "app_kubernetes_io_name",
    "kubernetes_labels_app",
    "app",
    "k8s_app",
    "exported_job",
    "job",
)
_OWN = ("namespace", "pod", "container", "node", "service", "job")
"""Labels that a scrape adds of its target, and that an exporter's series then has twice."""

_EXPORTER = re.compile(
    r"(?:.*[-/])?(?:kube-state-metrics|node-exporter|kubelet|cadvisor|kubernetes-nodes|blackbox-exporter)(?:-.*)?"
)
_SUFFIX = {
    "Deployment": "-[a-z0-9]{5,10}-[a-z0-9]{5}",
    "Rollout": "-[a-z0-9]{5,10}-[a-z0-9]{5}",
    "StatefulSet": "-[0-9]+",
    "DaemonSet": "-[a-z0-9]{5}",
    "ReplicaSet": "-[a-z0-9]{5}",
    "Job": "(-[0-9]+)?-[a-z0-9]{5}",
    "CronJob": "-[0-9]+(-[0-9]+)?-[a-z0-9]{5}",
    "Pod": "",
}
_ANY_SUFFIX = "(-[a-z0-9]{1,10}){0,2}"
_STEM = re.compile(r"(.+?)(?:-[a-z0-9]{5,10}-[a-z0-9]{5}|-[0-9]+|-[a-z0-9]{5})")
_DNS = re.compile(r"[A-Za-z0-9.-]+")


def subject_of(
    cluster: str,
    origin: Signal,
    labels: Mapping[str, object],
    at: float,
    start: float,
    end: float,
    *,
    title: str = "",
    text: str = "",
) -> Subject:
    """What a row with these labels or attributes is about; `text` (a log line) may name its trace.

    Times in unix seconds.
    """
    own = {k: str(v) for k, v in labels.items() if v not in (None, "")}
    said = {_normal(k): v for k, v in own.items()}
    exporter = any(_EXPORTER.fullmatch(said.get(k, "")) for k in ("job", "service", "service_name"))
    if exporter:
        said = _of_an_exporter(said)
    kind, workload = next(((kind, said[k]) for k, kind in _WORKLOAD.items() if k in said), (None, None))
    container = _first(said, _CONTAINER)
    names = [said[k] for k in _NAMES if k in said and not _EXPORTER.fullmatch(said[k])]
    return Subject(
        cluster=cluster,
        origin=origin,
        at=at,
        start=start,
        end=end,
        title=title,
        namespace=_first(said, _NAMESPACE),
        workload=workload,
        kind=kind,
        names=tuple(dict.fromkeys([*names, *([container] if container else [])])),
        pod=_first(said, _POD),
        container=container,
        node=_first(said, _NODE),
        instance=said.get("instance"),
        trace_id=trace_id_in(text, own),
        labels=own,
    )


def subject_of_object(
    cluster: str,
    origin: Signal,
    kind: str,
    name: str,
    namespace: str | None,
    at: float,
    start: float,
    end: float,
    *,
    title: str = "",
) -> Subject:
    """What a Kubernetes object, or an event or change of it, is about. Times in unix seconds."""
    is_a = kind.lower()
    workload = name if kind in _SUFFIX and kind not in ("Pod", "ReplicaSet") else None
    if kind == "ReplicaSet":
        workload = re.sub(r"-[a-z0-9]{5,10}$", "", name)
    return Subject(
        cluster=cluster,
        origin=origin,
        at=at,
        start=start,
        end=end,
        title=title or f"{kind} {name}",
        namespace=name if is_a == "namespace" else namespace or None,
        workload=workload,
        kind=kind,
        names=() if is_a in ("node", "namespace") else (workload or name,),
        pod=name if is_a == "pod" else None,
        node=name if is_a == "node" else None,
    )


def likeness(subject: Subject) -> tuple[str | None, ...]:
    """Subjects that are about the same workload, as far as can be told without asking the cluster."""
    stem = subject.pod and _STEM.fullmatch(subject.pod)
    name = subject.workload or (stem[1] if stem else subject.pod) or next(iter(subject.names), None)
    return subject.cluster, subject.namespace, name, None if name else subject.node or subject.instance


@dataclass(frozen=True, slots=True)
class Place:
    """Where a subject is in its cluster. `pods` are those there now, `names` what it may be called.

    `name` is the workload, pod, node or namespace, by `about`; "" for the cluster as a whole.
    """

    about: Literal["workload", "pod", "node", "namespace", "cluster"]
    name: str
    namespace: str | None
    kind: str | None
    pods: tuple[Workload, ...]
    nodes: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """As people read it: `shop/checkout`, `node west-a`."""
        if self.about in ("workload", "pod"):
            return f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.about} {self.name}".strip()

    @property
    def pod_pattern(self) -> str | None:
        """A regular expression (RE2 and Python) for the pods' names, also for those that have gone."""
        if self.about == "pod":
            return literal(self.name)
        if self.about != "workload":
            return None
        return literal(self.name) + (
            _ANY_SUFFIX if self.kind is None else _SUFFIX.get(self.kind, _ANY_SUFFIX)
        )

    def has_pod(self, pod: str, namespace: str | None) -> bool:
        """Whether a pod is of this place, by what is known of it or by its name."""
        if self.namespace and namespace and namespace != self.namespace:
            return False
        if self.about == "node":
            return any(p.pod == pod for p in self.pods)
        pattern = self.pod_pattern
        return pattern is not None and re.fullmatch(pattern, pod) is not None

    def is_about(self, other: Place) -> bool:
        """Whether what is said of `other` concerns this place: the same thing, or a pod or node of it."""
        if self.about == "namespace":
            return other.namespace == self.name
        if self.about == "cluster":
            return other.about == "cluster"
        if other.about == "pod":
            return self.has_pod(other.name, other.namespace)
        if other.about == "node":
            return other.name in self.nodes
        if self.about == "pod":
            return other.about == "workload" and other.has_pod(self.name, self.namespace)
        return (self.about, self.name, self.namespace) == (other.about, other.name, other.namespace)


def literal(name: str) -> str:
    """A regular expression for this very name, without backslashes where it is a Kubernetes name."""
    return name.replace(".", "[.]") if _DNS.fullmatch(name) else re.escape(name)


class Map:
    """The pods of one cluster, to find where subjects are."""

    def __init__(self, cluster: str, workloads: Sequence[Workload]) -> None:
        self._cluster = cluster
        self._directory = Directory([(cluster, w) for w in workloads], [])
        self._pods = {(w.namespace, w.pod): w for w in workloads}
        self._owned: dict[tuple[str, str], list[Workload]] = {}
        for w in workloads:
            self._owned.setdefault((w.namespace, owner_name(w)), []).append(w)
        self.nodes = {w.node for w in workloads if w.node}

    def locate(self, subject: Subject) -> Place:
        """Where the subject is; by its labels alone where the cluster says nothing of it."""
        if pod := self._pod(subject):
            return self._of_pod(subject, pod)
        if (found := self._workload(subject)) is not None:
            return found
        if subject.pod or subject.workload or subject.names:
            return self._unseen(subject)
        if node := self._node(subject):
            pods = tuple(w for w in self._pods.values() if w.node == node)
            return Place("node", node, None, "Node", pods, (node,), ())
        if subject.namespace:
            pods = tuple(w for w in self._pods.values() if w.namespace == subject.namespace)
            return Place("namespace", subject.namespace, subject.namespace, None, pods, (), ())
        return Place("cluster", "", None, None, (), (), ())

    def owners(self, kind: str, namespace: str | None) -> list[str]:
        """Names of what there is of a kind, as `namespace/name`."""
        if kind == "Node":
            return sorted(self.nodes)
        if kind == "Namespace":
            return sorted({space for space, _ in self._pods})
        if kind == "Pod":
            return sorted(f"{s}/{pod}" for s, pod in self._pods if namespace in (None, s))
        return sorted(
            f"{space}/{name}"
            for (space, name), pods in self._owned.items()
            if namespace in (None, space) and (kind == "Service" or pods[0].owner_kind == kind)
        )

    def _pod(self, subject: Subject) -> Workload | None:
        for name in dict.fromkeys([subject.pod, subject.labels.get("host.name")]):
            if name and subject.namespace and (pod := self._pods.get((subject.namespace, name))):
                return pod
            if name and not subject.namespace:
                found = [w for (_, pod_name), w in self._pods.items() if pod_name == name]
                if len(found) == 1:
                    return found[0]
        return None

    def _of_pod(self, subject: Subject, pod: Workload) -> Place:
        if subject.kind == "Pod":
            nodes = (pod.node,) if pod.node else ()
            names = (owner_name(pod), *subject.names)
            return Place("pod", pod.pod, pod.namespace, "Pod", (pod,), nodes, _unique(names))
        return self._placed(pod.namespace, owner_name(pod), subject)

    def _workload(self, subject: Subject) -> Place | None:
        """By the workload's own name, else by a service, app, job or container of that name or label."""
        for name in _unique((subject.workload, *_stems(subject), *subject.names)):
            if subject.kind in ("Node", "Namespace"):
                break
            space = subject.namespace or self._directory.service(self._cluster, name).namespace
            if space and (space, name) in self._owned:
                return self._placed(space, name, subject)
        for name in subject.names:
            owners = {
                (w.namespace, owner_name(w))
                for w in self._pods.values()
                if subject.namespace in (None, w.namespace) and name in _labelled(w)
            }
            if len(owners) == 1:
                return self._placed(*owners.pop(), subject)
        return None

    def _placed(self, namespace: str, name: str, subject: Subject) -> Place:
        pods = self._owned[namespace, name]
        kind = (pods[0].owner_kind or "Pod") if pods[0].owner else "Pod"
        if kind == "ReplicaSet" and pods[0].owner != name:  # its Deployment's name is in its own
            kind = "Deployment"
        nodes = tuple(sorted({p.node for p in pods if p.node}))
        named = [n for n in subject.names if n == name or any(n in _labelled(p) for p in pods)]
        called = (*named, name, *(label for p in pods for label in _labelled(p)))
        return Place("workload", name, namespace, kind, tuple(pods), nodes, _unique(called))

    def _unseen(self, subject: Subject) -> Place:
        """What the cluster does not list, or no longer: by the names that the labels give."""
        stems = _stems(subject)
        name = subject.workload or (stems[0] if stems else subject.pod) or subject.names[0]
        kind = "Deployment" if stems and subject.workload is None and subject.kind is None else subject.kind
        if subject.kind == "Pod" and subject.pod:
            name, about = subject.pod, "pod"
        else:
            about = "workload"
        names = _unique((subject.workload, *stems, *subject.names))
        return Place(about, name, subject.namespace, kind, (), (), names)  # type: ignore[arg-type]

    def _node(self, subject: Subject) -> str | None:
        """The node that the labels name, or that a node exporter's address does."""
        return subject.node or (subject.instance or "").rsplit(":", 1)[0] or None


def _normal(label: str) -> str:
    return re.sub(r"[./-]", "_", label).lower()


def _first(said: Mapping[str, str], keys: Sequence[str]) -> str | None:
    return next((said[k] for k in keys if k in said), None)


def _of_an_exporter(said: dict[str, str]) -> dict[str, str]:
    """The labels less those of the exporter itself, whose pod, job and service are beside the point."""
    if any(k.startswith("exported_") for k in said):
        return {k: v for k, v in said.items() if k not in _OWN}
    if _EXPORTER.fullmatch(said.get("pod", "")):
        dropped = {"pod", "container"} | ({"namespace"} if not any(k in said for k in _WORKLOAD) else set())
        said = {k: v for k, v in said.items() if k not in dropped}
    return said


def _stems(subject: Subject) -> list[str]:
    """What the owner of the subject's pod may be called, by the pod's name."""
    if not subject.pod:
        return []
    found = [
        re.sub(f"{suffix}$", "", subject.pod) for suffix in (_SUFFIX["Deployment"], "-[0-9]+", "-[a-z0-9]{5}")
    ]
    return [name for name in _unique(found) if name != subject.pod]


def _labelled(pod: Workload) -> list[str]:
    keys = ("app.kubernetes.io/name", "app", "k8s-app")
    return [pod.labels[k] for k in keys if k in pod.labels]


def _unique(names: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n for n in names if n))
