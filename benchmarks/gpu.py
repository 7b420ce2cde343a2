"""2,000 GPUs of 20 clusters in one view: `python -m benchmarks.gpu`.

Each cluster is a server that answers as a Prometheus does with what dcgm-exporter's default metrics are: 100
GPUs, 40 metrics each, and an hour of past; one GPU had an XID, and none is gone. The whole process is timed from its start to its end, the first
time with an empty store, then with a warm one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from aiops_cli.analysis.gpu import LEGACY, METRICS
from benchmarks.startup import keep_bytecode

WANTED = 2.0
_PAST = ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_XID_ERRORS")


def _metrics(count: int) -> list[str]:
    return [m for m in METRICS if m.startswith("DCGM_FI") and m not in LEGACY][:count]


def _labels(gpu: int) -> dict[str, str]:
    node, index = divmod(gpu, 8)
    return {
        "UUID": f"GPU-{gpu:08x}-0000-4000-8000-{gpu:012x}",
        "pod": f"nvidia-dcgm-exporter-{node:05x}",
        "namespace": "nvidia-gpu-operator",
        "container": "nvidia-dcgm-exporter",
        **(
            {"exported_pod": f"train-{gpu}", "exported_namespace": "ml", "exported_container": "main"}
            if index % 4
            else {}
        ),
    }


def _whole(gpu: int) -> dict[str, str]:
    node, index = divmod(gpu, 8)
    return _labels(gpu) | {
        "__name__": "DCGM_FI_DEV_FB_USED",
        "gpu": str(index),
        "device": f"nvidia{index}",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": f"gpu-worker-{node}",
        "DCGM_FI_DRIVER_VERSION": "550.90.07",
        "pci_bus_id": f"00000000:{index:02X}:00.0",
        "job": "nvidia-dcgm-exporter",
        "instance": f"10.0.0.{node}:9400",
    }


def _vector(series: list[tuple[dict[str, str], str]]) -> bytes:
    rows = [{"metric": labels, "value": [1.75e9, value]} for labels, value in series]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": rows}}).encode()


class _Cluster:
    """What each server answers: all clusters have the same GPUs."""

    def __init__(self, gpus: int, metrics: int) -> None:
        names = _metrics(metrics)
        self.values = _vector(
            [
                (_labels(g) | {"__name__": n}, str((g * 7 + i) % 90))
                for g in range(gpus)
                for i, n in enumerate(names)
            ]
        )
        self.identity = _vector([(_whole(g), "40000") for g in range(gpus)])
        self.past = [_labels(g) | {"__name__": n} for g in range(gpus) for n in _PAST]

    def answer(self, target: str) -> bytes:
        url = urlsplit(target)
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        if url.path.endswith("/query"):
            return self._instant(query["query"])
        if query["query"].startswith(
            "label_replace"
        ):  # what is too hot, lowers its clocks or waits for a reset
            return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}).encode()
        start, end, step = (float(query[n]) for n in ("start", "end", "step"))
        points = [[start + i * step, "55"] for i in range(int((end - start) / step) + 1)]
        rows = json.dumps(points)
        series = ",".join(f'{{"metric": {json.dumps(labels)}, "values": {rows}}}' for labels in self.past)
        return f'{{"status": "success", "data": {{"resultType": "matrix", "result": [{series}]}}}}'.encode()

    def _instant(self, expr: str) -> bytes:
        if expr.startswith("sort(max by"):
            return self.values
        if "over_time" not in expr and not expr.endswith("s]"):
            return self.identity
        if expr.startswith("max_over_time"):
            return _vector([])
        if expr.startswith("max by"):
            return _vector([({"UUID": _labels(0)["UUID"]}, "79")])
        samples = [[1.75e9 + 15 * i, "79"] for i in range(240)]
        row = {"metric": _labels(0) | {"__name__": "DCGM_FI_DEV_XID_ERRORS"}, "values": samples}
        return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [row]}}).encode()


@contextmanager
def servers(cluster: _Cluster) -> Iterator[str]:
    """The base URL of a server that takes any path before /api for a cluster's Prometheus."""
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    port = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = cluster.answer(head.split(b" ", 2)[1].decode())
                writer.write(
                    f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                )
                writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        nonlocal port
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    started.wait()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def seconds(path: Path, what: str, gpus: int) -> tuple[float, float]:
    """Wall and CPU seconds of one run."""
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "aiops_cli", "--config", str(path), "gpu", what, "-o", "json"],
        capture_output=True,
        check=True,
    )
    took = time.perf_counter() - began
    after = os.times()
    document = json.loads(done.stdout)
    found = len(document["items"]) if what == "nodes" else document["total"]["gpus"]
    assert all(c["status"] == "SUCCESS" for c in document["clusters"]), document["clusters"][0]
    assert found == gpus or what == "summary", (found, gpus)
    return took, after.children_user - before.children_user + after.children_system - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clusters", type=int, default=20)
    parser.add_argument("--gpus", type=int, default=100, help="of each cluster")
    parser.add_argument("--metrics", type=int, default=40, help="of each GPU")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        servers(_Cluster(args.gpus, args.metrics)) as base,
    ):
        folder = Path(name)
        os.environ.update(HOME=name, XDG_CONFIG_HOME=name, XDG_DATA_HOME=name, XDG_CACHE_HOME=name)
        os.environ.pop("KUBECONFIG", None)
        keep_bytecode(folder)
        path = folder / "config.toml"
        path.write_text(
            "".join(
                f'[clusters.gpu-{n}.endpoints]\nprometheus = "{base}/gpu-{n}"\n' for n in range(args.clusters)
            )
        )
        total = args.clusters * args.gpus
        cold, _ = seconds(path, "nodes", total)
        warm = [seconds(path, "nodes", total) for _ in range(args.rounds)]
        counted = [seconds(path, "summary", total) for _ in range(args.rounds)]
    print(
        f"{total:,} GPUs of {args.clusters} clusters, {args.metrics} metrics each; whole process, medians of {args.rounds}"
    )
    print(f"gpu nodes, empty store  {cold:6.2f} s")
    for what, runs in (("gpu nodes, warm store  ", warm), ("gpu summary, warm store", counted)):
        wall, used = (statistics.median(r[i] for r in runs) for i in (0, 1))
        print(f"{what} {wall:6.2f} s (CPU {used:.2f} s; wanted: below {WANTED:g} s)")


if __name__ == "__main__":
    main()
