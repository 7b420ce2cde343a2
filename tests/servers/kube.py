"""Objects put into a test cluster through its API, as the controllers and kubelets of a real one would.

No node runs anything: a pod's status, a node's conditions and a rollout's ReplicaSets are what a test
says they are.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx2

Object = dict[str, Any]

_PATHS = {
    "Namespace": ("/api/v1", "namespaces"),
    "Node": ("/api/v1", "nodes"),
    "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Secret": ("/api/v1", "secrets"),
    "Event": ("/api/v1", "events"),
    "Endpoints": ("/api/v1", "endpoints"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "DaemonSet": ("/apis/apps/v1", "daemonsets"),
    "ControllerRevision": ("/apis/apps/v1", "controllerrevisions"),
    "Ingress": ("/apis/networking.k8s.io/v1", "ingresses"),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
_CLUSTER_SCOPED = {"Namespace", "Node", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
_API_VERSIONS = {kind: path.split("/", 2)[2] for kind, (path, _) in _PATHS.items()}


def rfc3339(at: datetime | None) -> str:
    """Whole seconds, as metav1.Time is written; now when no time is given."""
    return (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def owner_reference(owner: Object) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


class Kube:
    """A client of one API server with an administrator's token. Errors raise httpx2.HTTPStatusError."""

    def __init__(self, url: str, authority: bytes, token: str) -> None:
        self.http = httpx2.Client(
            base_url=url,
            verify=ssl.create_default_context(cadata=authority.decode()),
            headers={"Authorization": f"Bearer {token}"},
            timeout=30.0,
            trust_env=False,
        )

    def get(self, path: str, **params: str) -> Any:
        """The JSON at that path, such as `/version`."""
        return self._checked(self.http.get(path, params=params)).json()

    def create(self, kind: str, manifest: Object) -> Object:
        """Create one object; `apiVersion` and `kind` are filled in. Returns it as the server stored it."""
        body = {"apiVersion": _API_VERSIONS[kind], "kind": kind, **manifest}
        namespace = manifest["metadata"].get("namespace", "default")
        created: Object = self._checked(self.http.post(self._collection(kind, namespace), json=body)).json()
        return created

    def apply(self, kind: str, manifest: Object) -> Object:
        """Create it or, where it exists, merge this into it."""
        try:
            return self.create(kind, manifest)
        except httpx2.HTTPStatusError as error:
            if error.response.status_code != 409:
                raise
        metadata = manifest["metadata"]
        return self.patch(kind, metadata["name"], manifest, namespace=metadata.get("namespace", "default"))

    def patch(
        self, kind: str, name: str, change: Object, *, namespace: str = "default", status: bool = False
    ) -> Object:
        """Merge-patch an object, or with `status` its status subresource."""
        path = f"{self._collection(kind, namespace)}/{name}{'/status' if status else ''}"
        reply = self.http.patch(path, json=change, headers={"Content-Type": "application/merge-patch+json"})
        patched: Object = self._checked(reply).json()
        return patched

    def list(self, kind: str, *, namespace: str | None = None) -> list[Object]:
        prefix, plural = _PATHS[kind]
        path = self._collection(kind, namespace) if namespace else f"{prefix}/{plural}"
        items: list[Object] = self.get(path)["items"]
        return items

    def delete(self, kind: str, name: str, *, namespace: str = "default") -> None:
        path = f"{self._collection(kind, namespace)}/{name}"
        self._checked(self.http.request("DELETE", path, params={"gracePeriodSeconds": "0"}))

    def namespace(self, name: str) -> Object:
        return self.apply("Namespace", {"metadata": {"name": name}})

    def node(self, name: str, *, ready: bool = True, labels: Mapping[str, str] | None = None) -> Object:
        self.apply("Node", {"metadata": {"name": name, "labels": dict(labels or {})}})
        condition = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "reason": "KubeletReady" if ready else "KubeletNotReady",
            "message": "kubelet is posting ready status" if ready else "container runtime is down",
            "lastHeartbeatTime": rfc3339(None),
            "lastTransitionTime": rfc3339(None),
        }
        return self.patch("Node", name, {"status": {"conditions": [condition]}}, status=True)

    def deployment(
        self, namespace: str, name: str, *, image: str, replicas: int = 1, revision: int = 1
    ) -> Object:
        """A Deployment labelled `app=NAME` that says it is at this rollout revision."""
        return self.apply(
            "Deployment",
            {
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": {"app": name},
                    "annotations": {"deployment.kubernetes.io/revision": str(revision)},
                },
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": name}},
                    "template": self._template(name, image),
                },
            },
        )

    def replica_set(
        self, deployment: Object, suffix: str, *, image: str, revision: int, replicas: int = 1
    ) -> Object:
        """The ReplicaSet `DEPLOYMENT-SUFFIX` of that rollout revision, owned by the Deployment."""
        metadata = deployment["metadata"]
        template = self._template(metadata["name"], image)
        labels = {"app": metadata["name"], "pod-template-hash": suffix}
        template["metadata"]["labels"] = labels
        return self.apply(
            "ReplicaSet",
            {
                "metadata": {
                    "name": f"{metadata['name']}-{suffix}",
                    "namespace": metadata["namespace"],
                    "labels": labels,
                    "annotations": {"deployment.kubernetes.io/revision": str(revision)},
                    "ownerReferences": [owner_reference(deployment)],
                },
                "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
            },
        )

    def pod(
        self,
        namespace: str,
        name: str,
        *,
        image: str = "registry.example/app:1",
        node: str | None = None,
        owner: Object | None = None,
        labels: Mapping[str, str] | None = None,
        phase: str = "Running",
        status: Object | None = None,
    ) -> Object:
        """A Pod, on that node and of that owner, with `phase` and anything else of its status.

        Its labels are the owner's template's, or `app=NAME`, unless given.
        """
        if labels is None:
            labels = owner["spec"]["template"]["metadata"]["labels"] if owner else {"app": name}
        manifest: Object = {
            "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
            "spec": {"containers": [{"name": "main", "image": image}]},
        }
        if owner:
            manifest["metadata"]["ownerReferences"] = [owner_reference(owner)]
        if node:
            manifest["spec"]["nodeName"] = node
        self.apply("Pod", manifest)
        full = {"phase": phase, "startTime": rfc3339(None), **(status or {})}
        return self.patch("Pod", name, {"status": full}, namespace=namespace, status=True)

    def event(
        self,
        about: Object,
        reason: str,
        message: str,
        *,
        type: str = "Warning",  # the API's name for it
        at: datetime | None = None,
        count: int = 1,
        source: str = "kubelet",
    ) -> Object:
        """A core/v1 Event about an object, first and last seen at that time (now when none is given)."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace", "default")
        return self.create(
            "Event",
            {
                "metadata": {"generateName": f"{metadata['name']}.", "namespace": namespace},
                "involvedObject": {
                    "apiVersion": about["apiVersion"],
                    "kind": about["kind"],
                    "name": metadata["name"],
                    "namespace": metadata.get("namespace", ""),
                    "uid": metadata["uid"],
                },
                "reason": reason,
                "message": message,
                "type": type,
                "count": count,
                "firstTimestamp": rfc3339(at),
                "lastTimestamp": rfc3339(at),
                "source": {"component": source},
            },
        )

    def service(
        self,
        namespace: str,
        name: str,
        *,
        labels: Mapping[str, str],
        port_name: str,
        port: int,
        pod: Object | None = None,
        pod_port: int = 0,
        headless: bool = False,
    ) -> Object:
        """A Service on `port`, and where `pod` is given what leads to its `pod_port`.

        The API server's service proxy (1.34: `REST.ResourceLocation`) follows the Endpoints, and only
        to an address whose `targetRef` names a pod with that IP; the EndpointSlice is what newer
        clients read.
        """
        spec: Object = {"ports": [{"name": port_name, "port": port, "targetPort": pod_port or port}]}
        if headless:
            spec["clusterIP"] = "None"
        metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
        service = self.apply("Service", {"metadata": metadata, "spec": spec})
        if pod is None:
            return service
        address = pod["status"]["podIP"]
        target = {k: pod["metadata"][k] for k in ("name", "namespace", "uid")} | {"kind": "Pod"}
        ports = [{"name": port_name, "port": pod_port, "protocol": "TCP"}]
        self.apply(
            "Endpoints",
            {
                "metadata": {"name": name, "namespace": namespace},
                "subsets": [{"addresses": [{"ip": address, "targetRef": target}], "ports": ports}],
            },
        )
        self.apply(
            "EndpointSlice",
            {
                "metadata": {
                    "name": f"{name}-1",
                    "namespace": namespace,
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "ports": ports,
                "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "targetRef": target}],
            },
        )
        return service

    def _template(self, app: str, image: str) -> Object:
        return {
            "metadata": {"labels": {"app": app}},
            "spec": {"containers": [{"name": "main", "image": image}]},
        }

    def _collection(self, kind: str, namespace: str | None) -> str:
        prefix, plural = _PATHS[kind]
        if kind in _CLUSTER_SCOPED:
            return f"{prefix}/{plural}"
        return f"{prefix}/namespaces/{namespace}/{plural}"

    def _checked(self, reply: httpx2.Response) -> httpx2.Response:
        if reply.is_error:
            raise httpx2.HTTPStatusError(
                f"{reply.request.method} {reply.request.url}: {reply.status_code} {reply.text[:500]}",
                request=reply.request,
                response=reply,
            )
        return reply
