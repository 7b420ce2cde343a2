"""The part of a kubelet that serves container logs, for a real API server to ask.

The test set-up has no container runtime, so what a kubelet would read from files is what a test says. It
speaks the kubelet's own protocol (kubernetes/pkg/kubelet/server: /containerLogs/NS/POD/CONTAINER).
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from urllib.parse import parse_qs, urlsplit

from tests.servers.cluster import Cluster
from tests.servers.kube import rfc3339
from tests.servers.network import LOOPBACK


@dataclass
class _Instance:
    """One run of a container: its lines, and whether it has ended."""

    lines: list[tuple[int, str]] = field(default_factory=list)
    ended: bool = False


@dataclass
class Kubelet:
    """The node `name` of a cluster. What a container writes and how it fares is said by the methods."""

    cluster: Cluster
    name: str
    port: int = 0
    asked: list[str] = field(default_factory=list)
    _runs: dict[str, list[_Instance]] = field(default_factory=dict)
    _news: threading.Condition = field(default_factory=threading.Condition)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def pod(
        self, namespace: str, name: str, *, labels: dict[str, str] | None = None, container: str = "main"
    ) -> None:
        """A running pod of one container, which has written nothing yet."""
        kube = self.cluster.kube
        kube.namespace(namespace)
        kube.create(
            "Pod",
            {
                "metadata": {"name": name, "namespace": namespace, "labels": labels or {"app": name}},
                "spec": {
                    "nodeName": self.name,
                    "containers": [{"name": container, "image": "registry.example/app:1"}],
                },
            },
        )
        self._runs[f"{namespace}/{name}/{container}"] = [_Instance()]
        self._say(namespace, name, container)

    def write(self, container: str, *lines: str, at: int | None = None) -> None:
        """Lines of NAMESPACE/POD/CONTAINER, of now or from that time (ns) on."""
        with self._news:
            run = self._runs[container][-1]
            for i, line in enumerate(lines):
                run.lines.append(((at or time.time_ns()) + i, line))
        self._wake()

    def restart(self, container: str) -> None:
        """The container ends, and runs anew with an empty log."""
        with self._news:
            self._runs[container][-1].ended = True
            self._runs[container].append(_Instance())
        self._say(*container.split("/"))
        self._wake()

    def delete(self, container: str) -> None:
        """The pod is gone, and its log with it."""
        namespace, pod, _ = container.split("/")
        self.cluster.kube.delete("Pod", pod, namespace=namespace)
        with self._news:
            for run in self._runs.pop(container):
                run.ended = True
        self._wake()

    def _say(self, namespace: str, pod: str, container: str) -> None:
        runs = self._runs[f"{namespace}/{pod}/{container}"]
        status = {
            "name": container,
            "image": "registry.example/app:1",
            "imageID": "",
            "ready": True,
            "restartCount": len(runs) - 1,
            "state": {"running": {"startedAt": rfc3339(None)}},
        }
        if len(runs) > 1:
            ended = {"exitCode": 1, "finishedAt": rfc3339(None), "startedAt": rfc3339(None)}
            status["lastState"] = {"terminated": ended}
        change = {"status": {"phase": "Running", "containerStatuses": [status]}}
        self.cluster.kube.patch("Pod", pod, change, namespace=namespace, status=True)

    def _wake(self) -> None:
        self.loop.call_soon_threadsafe(self._changed.set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                await self._answer(head.split()[1], writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the API server let go
        finally:
            writer.close()

    async def _answer(self, target: str, writer: asyncio.StreamWriter) -> None:
        self.asked.append(target)
        url = urlsplit(target)
        wants = {k: v[-1] for k, v in parse_qs(url.query).items()}
        runs = self._runs.get(url.path.removeprefix("/containerLogs/"))
        back = 2 if wants.get("previous") == "true" else 1
        if runs is None or len(runs) < back:
            body = b"container not found"
            head = f"HTTP/1.1 {404 if runs is None else 400} No\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        run = runs[-back]
        since = datetime.fromisoformat(wants["sinceTime"]).timestamp() * 1e9 if "sinceTime" in wants else 0
        first = max(len(run.lines) - int(wants["tailLines"]), 0) if "tailLines" in wants else 0
        while True:
            self._changed.clear()
            lines, first, ended = run.lines[first:], len(run.lines), run.ended
            text = "".join(f"{_stamp(ns)} {line}\n" for ns, line in lines if ns >= since).encode()
            if text:
                writer.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
                await writer.drain()
            if ended or wants.get("follow") != "true":
                break
            await self._changed.wait()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def serve(self, tls: SSLContext, started: threading.Event, stop: asyncio.Event) -> None:
        self._changed = asyncio.Event()
        self.loop.set_exception_handler(lambda _loop, _context: None)  # connections that are dropped
        server = await asyncio.start_server(self.handle, LOOPBACK, 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _stamp(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09d}Z"


@contextmanager
def kubelet_of(cluster: Cluster, name: str) -> Iterator[Kubelet]:
    """A node of that name that the cluster's API server knows how to reach."""
    kubelet = Kubelet(cluster, name)
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
    cluster.kube.node(name)
    address = {"type": "InternalIP", "address": LOOPBACK}
    endpoint = {"kubeletEndpoint": {"Port": kubelet.port}}
    cluster.kube.patch(
        "Node", name, {"status": {"addresses": [address], "daemonEndpoints": endpoint}}, status=True
    )
    try:
        yield kubelet
    finally:
        cluster.kube.delete("Node", name)
        kubelet.loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        kubelet.loop.close()
