"""A tail of 20,000 lines a second on the logs screen: `python -m benchmarks.log_storm`.

On a terminal of 160 x 50: from the key to the paint after its action, the process's memory, and whether all lines
came. Lines come from a server of its own process that answers as Loki does; the tail reads each of them twice
(live, and again to be sure that none is missing), as on a real one. Half of the time a filter sees each line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.dashboard import WANTED_MS, percentile
from benchmarks.startup import keep_bytecode
from benchmarks.terminal import on_terminal

TICK = 0.05  # seconds between two messages of the live stream
MESSAGE = 2_000  # lines in one, at most
LEVELS = ("info", "info", "info", "info", "warn", "info", "error", "debug")
PODS = 8
SETTLE_SECONDS = 3.0


# The server


def lines(first: int, last: int, rate: int) -> dict[str, Any]:
    """Lines number `first` to `last`, not included, as streams: each number is a time, so any can be given again."""
    streams: dict[int, list[list[str]]] = {}
    step = 10**9 // rate
    for n in range(first, last):
        text = (
            f'{{"level": "{LEVELS[n % 8]}", "msg": "order placed", "user": "u{n % 977}", "amount": {n % 500},'
            f' "trace_id": "{n:032x}", "number": {n}, "path": "/api/v2/orders", "took_ms": {n % 131}}}'
        )
        streams.setdefault(n % PODS, []).append([str(n * step), text])
    return {
        pod: {"stream": {"app": "storm", "pod": f"storm-{pod}", "level": LEVELS[pod]}, "values": values}
        for pod, values in streams.items()
    }  # fmt: skip


async def serve(rate: int) -> None:
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.datastructures import Headers
    from websockets.http11 import Request, Response

    step = 10**9 // rate

    def plain(connection: ServerConnection, request: Request) -> Response | None:
        asked = urlsplit(request.path)
        if asked.path.endswith("/tail"):
            return None
        words = {k: v[0] for k, v in parse_qs(asked.query).items()}
        body: dict[str, Any] = {"status": "success", "data": []}
        if asked.path.endswith("/query_range"):
            start, end = (-(-int(words[k]) // step) for k in ("start", "end"))
            end, limit = min(end, time.time_ns() // step), int(words.get("limit", 100))
            if words.get("direction", "backward") == "forward":
                end = min(end, start + limit)
            else:
                start = max(start, end - limit)
            many = "count_over_time" in words["query"]
            found = [] if many else list(lines(start, end, rate).values())
            body["data"] = {"resultType": "matrix" if many else "streams", "result": found, "stats": {}}
        answer = json.dumps(body).encode()
        head = Headers(
            {"Content-Type": "application/json", "Content-Length": str(len(answer)), "Connection": "close"}
        )
        return Response(200, "OK", head, answer)

    async def live(connection: ServerConnection) -> None:
        at, due = time.time_ns() // step, time.monotonic()
        while True:
            end = min(time.time_ns() // step, at + MESSAGE)
            await connection.send(json.dumps({"streams": list(lines(at, end, rate).values())}))
            at, due = end, due + TICK
            await asyncio.sleep(max(due - time.monotonic(), 0))

    async with serve(live, "127.0.0.1", 0, process_request=plain, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


@contextlib.contextmanager
def storm(rate: int) -> Iterator[str]:
    """The server's URL while it runs."""
    command = [sys.executable, "-m", "benchmarks.log_storm", "--serve", "--rate", str(rate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


# The dashboard


def measure(file: str, config: str) -> None:
    from aiops_cli.models.options import Options
    from aiops_cli.tui.place import parse
    from benchmarks.measured_dashboard import Measured

    class Storm(Measured):
        """Also writes how many lines came, and how many of them were never shown."""

        def write(self) -> None:
            super().write()
            board: Any = self.screen_stack[0] if self._exit else self.get_screen("logs")
            following = getattr(board, "_following", None)
            told = {
                "at": time.monotonic() - self.began,
                "lines": board.buffer.dropped + len(board.buffer) if following else 0,
                "held": len(board.buffer),
                "lost": following.lost if following else 0,
                "said": following.said if following else "",
            }
            with self.file.with_suffix(".lines").open("a") as out:
                out.write(json.dumps(told) + "\n")

    options = Options(config=config)
    error = Storm(Path(file), options, start=parse('logs {app="storm"}')).run()
    if error is not None:
        sys.exit(str(error))


def resident(pid: int) -> float:
    """MiB of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=int, default=20_000, help="lines a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="without a filter, and again with one")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measured", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(args.rate))
        return
    if args.measured:
        measure(*args.measured)
        return
    with tempfile.TemporaryDirectory() as name, storm(args.rate) as url:
        folder = Path(name)
        os.environ.update(HOME=name, XDG_CONFIG_HOME=name, XDG_DATA_HOME=name, XDG_CACHE_HOME=name)
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.environ.pop("KUBECONFIG", None)
        keep_bytecode(folder)
        config, file = folder / "config.toml", folder / "measured.json"
        config.write_text(f'[clusters.storm.endpoints]\nloki = "{url}"\n')
        memory = drive(
            [sys.executable, "-m", "benchmarks.log_storm", "--measured", str(file), str(config)], args.seconds
        )
        measured = json.loads(file.read_text())
        told = [json.loads(line) for line in file.with_suffix(".lines").read_text().splitlines()]
    report(args.rate, measured, told, memory)


def drive(command: list[str], seconds: float) -> list[tuple[str, float]]:
    """Run it on a terminal and press keys; what the process holds after each phase's seconds, in MiB."""
    memory: list[tuple[str, float]] = []
    moves = [b"k", b"k", b"j", b"\x1b[5~", b"\x1b[6~", b"G", b"w", b"w", b"G"]
    with on_terminal(command) as terminal:

        def walk(phase: str) -> None:
            end, number = time.monotonic() + seconds, 0
            sampled = time.monotonic()
            while time.monotonic() < end:
                terminal.press(moves[number % len(moves)])
                number += 1
                terminal.read(0.1)
                if time.monotonic() - sampled > seconds / 5:
                    sampled = time.monotonic()
                    memory.append((phase, resident(terminal.pid)))

        terminal.read(30.0, b"f follows")
        walk("quiet")
        terminal.press(b"f")
        terminal.read(30.0, b"following")
        terminal.read(SETTLE_SECONDS)
        walk("storm")
        terminal.press(b"/")
        terminal.read(0.5)
        for c in b"error.*u1":
            terminal.press(bytes([c]))
            terminal.read(0.1)
        terminal.press(b"\r")
        terminal.read(1.0)
        walk("filtered")
        terminal.press(b"q")
        terminal.read(5.0, b"\x1b[?1049l")
    return memory


def report(
    rate: int, measured: dict[str, Any], told: list[dict[str, Any]], memory: list[tuple[str, float]]
) -> None:
    following = [t for t in told if t["lines"]]
    first, last = following[0], following[-1]
    came = (last["lines"] - first["lines"]) / max(last["at"] - first["at"], 0.001)
    print(f"{rate:,} lines a second are written; {came:,.0f} a second came, {last['lost']:,} were left out; "
          f"{last['held']:,} are held; {last['said']}")  # fmt: skip
    actions = [action for _, action, _ in measured["keys"]]
    followed, filtered = actions.index("follow"), actions.index("filter")
    spans = {
        "quiet": slice(followed),
        "storm": slice(followed + 1, filtered),
        "filtered": slice(filtered + 1, None),
    }
    for phase, span in spans.items():
        keys = [ms for _, _, ms in measured["keys"][span]]
        held = [mib for name, mib in memory if name == phase]
        print(f"{phase:<9} key to screen p50 {statistics.median(keys):5.1f} ms  p99 {percentile(keys, 0.99):5.1f} ms  "
              f"worst {max(keys):5.1f} ms of {len(keys)}; memory {', '.join(f'{mib:.0f}' for mib in held)} MiB")  # fmt: skip
    print(f"wanted: p99 at most {WANTED_MS:g} ms; quiet is the same screen while nothing comes")


if __name__ == "__main__":
    main()
