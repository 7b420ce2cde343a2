"""A query over many clusters against one: `python -m benchmarks.fanout`. Compare the ratios.

100 endpoints behind one port, each of which answers after 200 ms; the whole process is timed, from its
start to its end, taking turns with the same over one endpoint.
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

from benchmarks.startup import keep_bytecode

WANTED = 2.0


@contextmanager
def endpoints(delay: float) -> Iterator[str]:
    """The base URL of a server that takes any path for a cluster's Prometheus and answers after `delay`."""
    series = [{"metric": {"__name__": "up", "job": f"job-{n}"}, "value": [1.75e9, "1"]} for n in range(20)]
    answer = {"status": "success", "data": {"resultType": "vector", "result": series}}
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    port = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(delay)
                writer.write(head.encode() + body)
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


def config(folder: Path, base: str, count: int) -> Path:
    path = folder / f"{count}.toml"
    path.write_text(
        "".join(f'[clusters.edge-{n}.endpoints]\nprometheus = "{base}/edge-{n}"\n' for n in range(count))
    )
    return path


def seconds(path: Path, count: int) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "aiops_cli", "--config", str(path), "metrics", "query", "up", "-o", "json"],
        capture_output=True,
        check=True,
    )
    took = time.perf_counter() - began
    document = json.loads(done.stdout)
    assert len(document["items"]) == 20 * count
    assert all(c["status"] == "SUCCESS" for c in document["clusters"])
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clusters", type=int, default=100)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds before each answer")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, endpoints(args.delay) as base:
        folder = Path(name)
        os.environ.update(HOME=name, XDG_CONFIG_HOME=name, XDG_DATA_HOME=name, XDG_CACHE_HOME=name)
        os.environ.pop("KUBECONFIG", None)
        keep_bytecode(folder)
        one, many = config(folder, base, 1), config(folder, base, args.clusters)
        taken: tuple[list[float], list[float]] = ([], [])
        for round_ in range(args.rounds + 1):
            for path, count, times in ((one, 1, taken[0]), (many, args.clusters, taken[1])):
                took = seconds(path, count)
                if round_:
                    times.append(took)
    alone, all_ = map(statistics.median, taken)
    print(f"each answers after {args.delay * 1000:.0f} ms; whole process, medians of {args.rounds}")
    print(f"1 cluster      {alone * 1000:7.0f} ms")
    print(
        f"{args.clusters:<4} clusters  {all_ * 1000:7.0f} ms  {all_ / alone:.2f} times (wanted: at most {WANTED:g})"
    )


if __name__ == "__main__":
    main()
