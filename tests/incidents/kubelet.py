"""A kubelet for the shop: runs what the pods of one API server say, and tells the API server so.

Deployments, ReplicaSets and the pods themselves are the real controllers' work.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.incidents.shop.identity import Identity
from tests.incidents.shop.orphan import PARENT
from tests.servers.cluster import Cluster
from tests.servers.kube import Kube, rfc3339
from tests.servers.network import free_port

POLL_SECONDS = 0.3
REPOSITORY = Path(__file__).parents[2]
Object = dict[str, Any]


def start_python(module: str, *args: str, env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A module of this repository as a process that ends with the thread that called this."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", module, *args],
            cwd=REPOSITORY,
            env={"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC", PARENT: str(os.getpid()), **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    me: Identity
    ready: bool = False

    def answers(self) -> bool:
        return ask_admin(self.me.admin_port, "GET", "/ready")


def ask_admin(port: int, method: str, path: str) -> bool:
    """Whether the admin port of a pod answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request(method, path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Kubelet:
    """Of all nodes of one cluster. `ports` says where each service listens; `home` keeps pods' data and logs."""

    def __init__(self, cluster: Cluster, namespace: str, ports: dict[str, int], home: Path) -> None:
        self.cluster, self.namespace, self.ports, self.home = cluster, namespace, ports, home
        self.error: Exception | None = None
        self._kube = Kube(cluster.apiserver.url, cluster.apiserver.authority.certificate, cluster.token)
        self._running: dict[str, _Running] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"kubelet-{cluster.name}")
        (home / "data").mkdir(parents=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns once every pod's process is gone."""
        self._stopped.set()
        self._thread.join()

    def admin_port(self, service: str) -> int:
        """Of the newest ready pod. Raises LookupError when there is none."""
        ready = [r.me for r in self._running.values() if r.ready and r.me.service == service]
        if not ready:
            raise LookupError(f"no pod of {service} is ready in {self.cluster.name}")
        return ready[-1].admin_port

    def versions(self) -> dict[str, str]:
        """Service to the version of its newest ready pod."""
        return {r.me.service: r.me.version for r in self._running.values() if r.ready}

    def _run(self) -> None:
        try:
            while not self._stopped.wait(POLL_SECONDS):
                self._look()
        except (httpx2.HTTPError, OSError) as error:
            self.error = error
        finally:
            for running in self._running.values():
                running.process.terminate()
            for pod in list(self._running):
                self._kill(pod)

    def _look(self) -> None:
        pods = {pod["metadata"]["name"]: pod for pod in self._kube.list("Pod", namespace=self.namespace)}
        for name, pod in pods.items():
            if pod["metadata"].get("deletionTimestamp"):
                if name in self._running:
                    self._event(pod, "Killing", f"Stopping container {self._running[name].me.service}")
                    self._kill(name)
                self._kube.delete("Pod", name, namespace=self.namespace)
            elif name not in self._running and "nodeName" in pod["spec"]:
                self._spawn(pod)
            elif not self._running[name].ready and self._running[name].answers():
                self._became_ready(pod, self._running[name])
        for name in self._running.keys() - pods.keys():
            self._kill(name)

    def _spawn(self, pod: Object) -> None:
        name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]
        service, version = container["name"], container["image"].rpartition(":")[2]
        volume = self.home / "pods" / name
        volume.mkdir(parents=True)
        me = Identity(
            service=service,
            version=version,
            cluster=self.cluster.name,
            namespace=self.namespace,
            pod=name,
            node=pod["spec"]["nodeName"],
            port=self.ports[service],
            admin_port=free_port(),
            hosts=",".join(f"{other}=127.0.0.1:{port}" for other, port in self.ports.items()),
            loki=self.cluster.loki.url,
            otlp=self.cluster.jaeger.otlp_url,
            volume=str(volume),
            data=str(self.home / "data"),
        )
        env = {**me.environment(), "PROMETHEUS_DISABLE_CREATED_SERIES": "true"}
        log = self.home / f"{name}.log"
        self._running[name] = _Running(start_python("tests.incidents.shop", env=env, log=log), me)
        self._event(pod, "Pulled", f'Container image "{container["image"]}" already present on machine')
        self._event(pod, "Started", f"Started container {service}")

    def _became_ready(self, pod: Object, running: _Running) -> None:
        running.ready = True
        me, container = running.me, pod["spec"]["containers"][0]
        now = rfc3339(None)
        conditions = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        status = {
            "phase": "Running",
            "startTime": now,
            "podIP": "127.0.0.1",
            "conditions": [{"type": t, "status": "True", "lastTransitionTime": now} for t in conditions],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": container["image"],
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": now}},
                }
            ],
        }
        self._kube.patch("Pod", me.pod, {"status": status}, namespace=self.namespace, status=True)
        labels = {"namespace": me.namespace, "pod": me.pod, "node": me.node}
        self.cluster.prometheus.add_targets(me.service, [f"127.0.0.1:{me.admin_port}"], labels)

    def _kill(self, name: str) -> None:
        """SIGTERM, and SIGKILL after ten seconds."""
        process = self._running.pop(name).process
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _event(self, pod: Object, reason: str, message: str) -> None:
        about = {"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]}
        self._kube.event(about, reason, message, type="Normal", source="kubelet")
