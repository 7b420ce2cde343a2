"""`aiops cnf sriov` over 500 nodes with two PFs of 64 VFs each: a real API server with real objects, and a
stand-in for the Prometheus, which would sum at its side. Run it as `tests/netns python -m benchmarks.cnf`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.cnf import objects
from tests.servers.cluster import Cluster

NODES, PFS, VFS, PODS = 500, 2, 64, 2_000


def fill(cluster: Cluster) -> None:
    kube = cluster.kube
    objects.install(kube)
    kube.namespace(objects.OPERATOR)
    kube.namespace("load")

    def one(n: int) -> None:
        name = f"worker-{n:03}"
        kube.node(name, labels={"sriov": ""})
        pfs = [
            objects.pf(
                f"ens{p}f0",
                f"0000:{p + 16:02x}:00.0",
                [objects.vf(v, address(p, v), driver="vfio-pci" if v % 2 else "iavf") for v in range(VFS)],
            )
            for p in range(PFS)
        ]
        objects.put(kube, "SriovNetworkNodeState", objects.node_state(name, pfs))

    def pod(n: int) -> None:
        status = objects.network_status(("net1", address(n // NODES % PFS, n % VFS)))
        meta = {
            "name": f"pod-{n}",
            "namespace": "load",
            "annotations": {"k8s.v1.cni.cncf.io/network-status": status},
        }
        spec = {"nodeName": f"worker-{n % NODES:03}", "containers": [{"name": "a", "image": "a:1"}]}
        kube.create("Pod", {"metadata": meta, "spec": spec})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(NODES)))
        list(pool.map(pod, range(PODS)))


def address(pf: int, vf: int) -> str:
    return f"0000:{pf + 16:02x}:{2 + vf // 8:02x}.{vf % 8}"


class Prometheus(BaseHTTPRequestHandler):
    """Answers the queries that are asked here with as many rows as a real one would."""

    def do_GET(self) -> None:
        expr = parse_qs(urlsplit(self.path).query).get("query", [""])[0]
        rows: list[tuple[dict[str, str], float]] = []
        for n in range(NODES):
            for p in range(PFS):
                place = {"node": f"worker-{n:03}", "pf": f"ens{p}f0", "instance": f"worker-{n:03}:9110"}
                if expr.startswith("count by"):
                    rows.append(({**place, "numa_node": "0"}, VFS))
                elif expr.startswith("sum by"):
                    rows.append((place, 12345.6))
                elif expr.startswith("max by") and "> 0" not in expr:
                    held = PODS // (NODES * PFS)
                    rows += [({**place, "pciAddr": address(p, v)}, 1.5) for v in range(held)]
                elif expr == "sriov_kubepoddevice":
                    rows.append(
                        ({**place, "pciAddr": address(p, 0), "pod": f"pod-{n}", "namespace": "load"}, 1)
                    )
        result = [{"metric": labels, "value": [time.time(), str(value)]} for labels, value in rows]
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Cluster("big", parts={"apiserver"}) as cluster, tempfile.TemporaryDirectory() as folder:
        fill(cluster)
        config = Path(folder) / "config.toml"
        config.write_text(f'[clusters.big.endpoints]\nprometheus = "http://127.0.0.1:{server.server_port}"\n')
        env = {
            **os.environ,
            "AIOPS_CONFIG": str(config),
            "KUBECONFIG": str(cluster.kubeconfig),
            "XDG_DATA_HOME": folder,
            "XDG_CACHE_HOME": folder,
        }
        for args in (["-o", "table"], ["--findings"], ["-o", "json"]):
            for _ in range(3):
                began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
                done = subprocess.run(
                    [sys.executable, "-m", "aiops_cli", "cnf", "sriov", *args, "--timings"],
                    env=env,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                told = done.stderr.strip().splitlines()[-2:]
                print(
                    f"{' '.join(args)}: {took:.2f} s, {cpu:.2f} s CPU, exit {done.returncode}, {len(done.stdout):,} bytes; {told}"
                )


if __name__ == "__main__":
    main()
