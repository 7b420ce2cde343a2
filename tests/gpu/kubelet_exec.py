"""The part of a kubelet that runs programs in containers, for a real API server to ask.

The test set-up has no container runtime: what a program prints is what a test says. It speaks the protocol of
the kubelet's streaming server, v4.channel.k8s.io (k8s.io/apimachinery/pkg/util/remotecommand): the first byte
of a message is its channel, 1 stdout, 2 stderr, 3 the end as a v1.Status. To a client of v4 the API server
passes the connection on as it is.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve

from tests.servers.cluster import Cluster
from tests.servers.network import LOOPBACK

PROTOCOL = "v4.channel.k8s.io"
_PIECE = 1_000


@dataclass
class Program:
    """What a program prints, and how it ends. `missing` is one that the container lacks; `hangs` never ends;
    `cut` loses the connection before the end is told."""

    stdout: str = ""
    stderr: str = ""
    code: int = 0
    missing: bool = False
    hangs: bool = False
    cut: bool = False


@dataclass
class ExecKubelet:
    """The node `name`. `ran` are the argument lists that were run, each after NAMESPACE/POD/CONTAINER."""

    cluster: Cluster
    name: str
    port: int = 0
    ran: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    _programs: dict[tuple[str, tuple[str, ...]], Program] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def pod(
        self,
        namespace: str,
        name: str,
        *containers: str,
        labels: dict[str, str] | None = None,
        daemon_set: str | None = None,
    ) -> str:
        """A running pod on this node, of a daemon set where one is named; its UID. The id of a container is
        its number, 64 digits long."""
        kube = self.cluster.kube
        kube.namespace(namespace)
        owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "uid": "0", "controller": True}
        owners = [owner | {"name": daemon_set}] if daemon_set else []
        made = kube.create(
            "Pod",
            {
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": labels or {},
                    "ownerReferences": owners,
                },
                "spec": {
                    "nodeName": self.name,
                    "containers": [{"name": c, "image": "registry.example/gpu:1"} for c in containers],
                },
            },
        )
        statuses = [
            {
                "name": c,
                "image": "registry.example/gpu:1",
                "imageID": "",
                "ready": True,
                "restartCount": 0,
                "containerID": f"cri-o://{i:064x}",
            }
            for i, c in enumerate(containers)
        ]
        change = {"status": {"phase": "Running", "containerStatuses": statuses}}
        kube.patch("Pod", name, change, namespace=namespace, status=True)
        return str(made["metadata"]["uid"])

    def program(self, container: str, argv: Sequence[str], program: Program) -> None:
        """What running `argv` in NAMESPACE/POD/CONTAINER does."""
        self._programs[container, tuple(argv)] = program

    async def _run(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        url = urlsplit(connection.request.path)
        wants = parse_qs(url.query)
        container = url.path.removeprefix("/exec/")
        argv = tuple(wants["command"])
        assert wants["output"] == ["1"] and wants["error"] == ["1"], wants
        self.ran.append((container, argv))
        program = self._programs.get((container, argv), Program(missing=True))
        for channel, text in ((1, program.stdout), (2, program.stderr)):
            data = text.encode()
            for first in range(0, len(data), _PIECE):
                await connection.send(bytes([channel]) + data[first : first + _PIECE])
        if program.hangs:
            await connection.wait_closed()
        if not program.cut:
            await connection.send(b"\x03" + json.dumps(_status(program, argv)).encode())

    async def serve(self, tls: SSLContext, started: threading.Event, stop: asyncio.Event) -> None:
        self.loop.set_exception_handler(lambda _loop, _context: None)  # connections that are dropped
        async with serve(self._run, LOOPBACK, 0, ssl=tls, subprotocols=[PROTOCOL]) as server:  # type: ignore[list-item]
            self.port = next(iter(server.sockets)).getsockname()[1]
            started.set()
            await stop.wait()


def _status(program: Program, argv: tuple[str, ...]) -> dict[str, object]:
    """As the kubelet's remotecommand server writes it."""
    if program.missing:
        text = f'error executing command in container: exec: "{argv[0]}": executable file not found in $PATH'
        return {"metadata": {}, "status": "Failure", "message": text, "reason": "InternalError", "code": 500}
    if program.code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {program.code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(program.code)}]},
    }


@contextmanager
def exec_kubelet_of(cluster: Cluster, name: str) -> Iterator[ExecKubelet]:
    """A node of that name that the cluster's API server knows how to reach."""
    kubelet = ExecKubelet(cluster, name)
    with tempfile.TemporaryDirectory() as folder:
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            *cluster.apiserver.authority.server([LOOPBACK]).write(Path(folder), "kubelet")
        )
    started, stop = threading.Event(), asyncio.Event()
    serving = kubelet.serve(context, started, stop)
    thread = threading.Thread(target=kubelet.loop.run_until_complete, args=(serving,), daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the kubelet did not start")
    cluster.kube.node(name, labels={"nvidia.com/gpu.present": "true"})
    address = {"type": "InternalIP", "address": LOOPBACK}
    endpoint = {"kubeletEndpoint": {"Port": kubelet.port}}
    cluster.kube.patch(
        "Node", name, {"status": {"addresses": [address], "daemonEndpoints": endpoint}}, status=True
    )
    try:
        yield kubelet
    finally:
        for pod in cluster.kube.list("Pod"):
            if pod["spec"].get("nodeName") == name:
                meta = pod["metadata"]
                cluster.kube.delete("Pod", meta["name"], namespace=meta["namespace"])
        cluster.kube.delete("Node", name)
        kubelet.loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        kubelet.loop.close()
