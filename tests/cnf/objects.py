"""Telecom objects in a real API server: CRDs that keep what they don't know, and objects of them, in the
shapes of sriov-network-operator, cluster-node-tuning-operator and multus."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.kube import Kube
from tests.servers.network import LOOPBACK

Object = dict[str, Any]
SRIOV = "sriovnetwork.openshift.io/v1"
OPERATOR = "openshift-sriov-network-operator"
_CRDS = (
    ("sriovnetwork.openshift.io", "v1", "SriovNetworkNodeState", "sriovnetworknodestates", True),
    ("sriovnetwork.openshift.io", "v1", "SriovNetworkNodePolicy", "sriovnetworknodepolicies", True),
    ("sriovnetwork.openshift.io", "v1", "SriovNetwork", "sriovnetworks", True),
    ("performance.openshift.io", "v2", "PerformanceProfile", "performanceprofiles", False),
    ("k8s.cni.cncf.io", "v1", "NetworkAttachmentDefinition", "network-attachment-definitions", True),
)


def install(kube: Kube) -> None:
    """The CRDs, served before this returns."""
    for group, version, kind, plural, namespaced in _CRDS:
        kube.apply(
            "CustomResourceDefinition",
            {
                "metadata": {"name": f"{plural}.{group}"},
                "spec": {
                    "group": group,
                    "scope": "Namespaced" if namespaced else "Cluster",
                    "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                    "versions": [
                        {
                            "name": version,
                            "served": True,
                            "storage": True,
                            "schema": {
                                "openAPIV3Schema": {
                                    "type": "object",
                                    "x-kubernetes-preserve-unknown-fields": True,
                                }
                            },
                        }
                    ],
                },
            },
        )
    deadline = time.monotonic() + 30
    for group, version, _, plural, _ in _CRDS:
        while kube.http.get(f"/apis/{group}/{version}/{plural}").is_error:
            assert time.monotonic() < deadline, f"{plural} is not served"
            time.sleep(0.1)


def put(kube: Kube, kind: str, manifest: Object) -> None:
    """Create an object of one of those CRDs."""
    group, version, _, plural, namespaced = next(c for c in _CRDS if c[2] == kind)
    namespace = manifest["metadata"].get("namespace", "default")
    where = f"/namespaces/{namespace}" if namespaced else ""
    body = {"apiVersion": f"{group}/{version}", "kind": kind, **manifest}
    reply = kube.http.post(f"/apis/{group}/{version}{where}/{plural}", json=body)
    assert reply.status_code in (201, 409), reply.text


def vf(number: int, pci: str, *, driver: str = "iavf", mtu: int = 1500) -> Object:
    """A VF as the operator writes it: with vfio-pci it has neither name nor MAC."""
    found: Object = {"vfID": number, "pciAddress": pci, "driver": driver, "vendor": "8086"}
    if driver != "vfio-pci":
        found |= {"name": f"ens1f0v{number}", "mac": f"aa:00:00:00:00:{number:02x}", "mtu": mtu, "Vlan": 0}
    return found


def pf(name: str, pci: str, vfs: Sequence[Object], **more: Any) -> Object:
    return {
        "name": name,
        "pciAddress": pci,
        "driver": "ice",
        "vendor": "8086",
        "deviceID": "1593",
        "mtu": 1500,
        "numVfs": len(vfs),
        "totalvfs": 64,
        "linkSpeed": "25000 Mb/s",
        "linkType": "ETH",
        "linkAdminState": "up",
        "eSwitchMode": "legacy",
        "Vfs": list(vfs),
        **more,
    }


def node_state(name: str, pfs: Sequence[Object], **more: Any) -> Object:
    """`spec` as it was wanted: what the PFs have, changed by `wanted` (fields of each interface)."""
    wanted = more.pop("wanted", {})
    spec = [{"name": p["name"], "pciAddress": p["pciAddress"], "numVfs": p["numVfs"], **wanted} for p in pfs]
    return {
        "metadata": {"name": name, "namespace": OPERATOR, "annotations": more.pop("annotations", {})},
        "spec": {"interfaces": spec},
        "status": {"interfaces": list(pfs), "syncStatus": "Succeeded", **more},
    }


def network_status(*devices: tuple[str, str]) -> str:
    """The annotation's text: the cluster network, then (interface, PCI address) with `device-info`; DPDK
    networks have neither `ips` nor `mac`."""
    entries: list[Object] = [
        {"name": "ovn-kubernetes", "interface": "eth0", "default": True, "ips": ["10.1.0.7"]}
    ]
    for interface, pci in devices:
        info = {"type": "pci", "version": "1.1.0", "pci": {"pci-address": pci}}
        entries.append({"name": "ran/fronthaul", "interface": interface, "dns": {}, "device-info": info})
    return json.dumps(entries)


def pod(
    kube: Kube,
    namespace: str,
    name: str,
    *,
    node: str | None = None,
    resources: Mapping[str, str] | None = None,
    limits: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    phase: str = "Running",
    ready: bool = True,
    restarts: int = 0,
    **spec: Any,
) -> Object:
    """A pod of one container `app`; its QoS class is the API server's own."""
    kube.namespace(namespace)
    requests = dict(resources or {})
    container: Object = {"name": "app", "image": "registry.example/app:1"}
    container["resources"] = {"requests": requests, "limits": dict(requests if limits is None else limits)}
    full: Object = {"containers": [container], **spec}
    if node:
        full["nodeName"] = node
    meta = {
        "name": name,
        "namespace": namespace,
        "labels": dict(labels or {}),
        "annotations": dict(annotations or {}),
    }
    made = kube.create("Pod", {"metadata": meta, "spec": full})
    state: Object = {"phase": phase}
    if phase == "Running":
        status = {"name": "app", "image": "app:1", "imageID": "", "ready": ready, "restartCount": restarts}
        state["containerStatuses"] = [status]
    kube.patch("Pod", name, {"status": state}, namespace=namespace, status=True)
    return made


def node(
    kube: Kube, name: str, *, labels: Mapping[str, str] | None = None, kernel: str = "", **allocatable: str
) -> None:
    """A node; `allocatable` has `_` for `/` and is given by `**{"openshift.io/intel": "8"}`."""
    kube.node(name, labels=labels)
    full = {"cpu": "64", "memory": "256Gi", "pods": "250", **allocatable}
    info = {
        "machineID": "",
        "systemUUID": "",
        "bootID": "",
        "kernelVersion": kernel,
        "osImage": "",
        "containerRuntimeVersion": "",
        "kubeletVersion": "",
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": "amd64",
    }
    change = {"status": {"allocatable": full, "capacity": full, "nodeInfo": info}}
    kube.patch("Node", name, change, status=True)


class Page:
    """An exporter's page whose counters go on: `{seconds}` lines are templates of the seconds since start."""

    def __init__(self) -> None:
        self.text = ""
        self.counters: dict[str, float] = {}
        self._began = time.monotonic()

    def say(self) -> bytes:
        seconds = time.monotonic() - self._began
        lines = [f"{series} {int(rate * seconds)}" for series, rate in self.counters.items()]
        return (self.text + "\n".join(lines) + "\n").encode()


@contextmanager
def served(page: Page) -> Iterator[str]:
    """HOST:PORT where the page is at /metrics."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.say()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
