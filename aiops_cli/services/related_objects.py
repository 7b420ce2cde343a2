"""A Kubernetes object by its kind and name, wherever in the fleet it is."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from aiops_cli.analysis.subjects import Map, subject_of_object
from aiops_cli.errors import ClusterError, ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.related import Subject
from aiops_cli.models.result import Answer, FleetResult, Origin
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.related_subjects import Horizon
from aiops_cli.sources.kubernetes import KubernetesSource
from aiops_cli.sources.kubernetes_objects import Object

_KINDS: dict[str, tuple[str, ...]] = {
    "Deployment": ("deploy", "deployments"),
    "StatefulSet": ("sts", "statefulsets"),
    "DaemonSet": ("ds", "daemonsets"),
    "ReplicaSet": ("rs", "replicasets"),
    "Pod": ("po", "pods"),
    "Job": ("jobs",),
    "CronJob": ("cj", "cronjobs"),
    "Service": ("svc", "services"),
    "Node": ("no", "nodes"),
    "Namespace": ("ns", "namespaces"),
}
_CLUSTER_WIDE = ("Node", "Namespace")
_APIS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments/{}",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets/{}",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets/{}",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets/{}",
    "Job": "/apis/batch/v1/namespaces/{}/jobs/{}",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs/{}",
    "Pod": "/api/v1/namespaces/{}/pods/{}",
    "Service": "/api/v1/namespaces/{}/services/{}",
    "Namespace": "/api/v1/namespaces/{1}",
    "Node": "/api/v1/nodes/{1}",
}


def parse_thing(text: str) -> tuple[str, str]:
    """`deploy/checkout` to its kind, as Kubernetes spells it, and name. Raises UsageError."""
    said, slash, name = text.partition("/")
    if not slash or not said or not name or "/" in name:
        raise UsageError(f"{text!r} is no KIND/NAME", hint="aiops related deployment/checkout -n shop")
    lower = said.lower()
    for kind, short in _KINDS.items():
        if lower == kind.lower() or lower in short:
            return kind, name
    near = difflib.get_close_matches(lower, [k.lower() for k in _KINDS], n=1)
    raise UsageError(
        f"unknown kind {said!r}",
        hint=f"did you mean {near[0]}/{name}?" if near else f"kinds: {', '.join(k.lower() for k in _KINDS)}",
    )


async def find(
    members: Sequence[Member],
    kind: str,
    name: str,
    namespace: str | None,
    at: float,
    horizon: Horizon,
    *,
    watch: Watcher | None = None,
) -> FleetResult[Subject]:
    """A subject for each cluster and namespace that has the object. Where the Kubernetes API can't be
    asked it is taken to be there. Raises ClusterError (NOT_FOUND) if no cluster has it, with what is like it."""
    near: set[str] = set()
    space = None if kind in _CLUSTER_WIDE else namespace

    async def ask(member: Member) -> Answer[Subject]:
        def subject(where: str | None) -> Subject:
            return subject_of_object(member.name, "object", kind, name, where, *horizon.around(at))

        try:
            kube = await member.kube()
        except NotAvailableError as error:
            return Answer([subject(space)], warnings=[f"not looked for: {error.message}"])
        source: Origin = "bundle" if member.origin == "bundle" else "live"
        answer = await kube.workloads()
        known = Map(member.name, answer.rows).owners(kind, space)
        found = [o for o in known if o.rpartition("/")[2] == name]
        near.update(known)
        if not found and isinstance(kube, KubernetesSource) and await _exists(kube, kind, name, space):
            found = [f"{space}/{name}" if space else name]
        if not found and source == "bundle":
            found = await _recorded(member, kind, name, space, horizon)
        rows = [subject(o.rpartition("/")[0] or None) for o in found]
        return Answer(rows, source, warnings=answer.warnings, partial=answer.partial)

    result = await fan_out(members, ask, watch=watch)
    rows = [row for _, row in result.rows]
    if not rows and not result.failed:
        where = f" in namespace {namespace}" if namespace else ""
        names = {o.rpartition("/")[2]: o for o in sorted(near)}
        like = difflib.get_close_matches(name, names, n=1)
        hint = (
            f"did you mean {kind.lower()}/{like[0]}?" if like else f"there is: {', '.join(sorted(near)[:5])}"
        )
        raise ClusterError(
            f"no chosen cluster has {kind} {name}{where}",
            hint=hint if near else "widen -c or -n",
            code=ErrorCode.NOT_FOUND,
        )
    return result.with_rows(rows)


async def _exists(kube: KubernetesSource, kind: str, name: str, namespace: str | None) -> bool:
    """Whether an object without pods is there."""
    if namespace is None and kind not in _CLUSTER_WIDE:
        return False
    try:
        await kube.get(_APIS[kind].format(namespace, name), Object)
    except ClusterError as error:
        if error.code in (ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN):
            return False
        raise
    return True


async def _recorded(
    member: Member, kind: str, name: str, namespace: str | None, horizon: Horizon
) -> list[str]:
    """An object that was gone when the pods were recorded, by its events."""
    events = (await (await member.kube()).events(horizon.limits)).rows
    return sorted(
        {
            f"{e.namespace}/{e.name}"
            for e in events
            if (e.kind, e.name) == (kind, name) and namespace in (None, e.namespace)
        }
    )
