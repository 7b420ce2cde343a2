"""The dashboard for hours: `python -m benchmarks.soak [--minutes 20]`, in `tests/netns`.

200 clusters on real servers (a Prometheus, an Alertmanager, a Loki), one of them flapping, one whose token
runs out each minute, and 20,000 lines a second into the Loki while they are tailed. Driven through tmux as a
person would: screens, rows, filters, back. Printed: key to screen, memory, bytes; it fails by a traceback, by
a crash, by memory that grows, or by not ending when told to.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from benchmarks.dashboard import percentile
from tests.faults.stub import Asked, answer, serve
from tests.servers.cluster import Cluster

TOKEN_SECONDS = 60
FLAP_SECONDS = 15.0
KEY_SECONDS = 0.12
WANTED_MS = 50.0
SETTLED = 0.25  # of the time: memory after the first minutes is what it is compared with
GROWN = 1.2  # times that; more is no longer flat
STORM = """
import itertools, json, sys, time, urllib.request
url, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
numbers, began = itertools.count(), time.time()
while time.time() < began + seconds:
    at = time.time()
    for part in range(4):
        first = time.time_ns()
        lines = [[str(first + i), f'level={"error" if i % 50 == 0 else "info"} msg="order {next(numbers)} placed" took={i}ms'] for i in range(rate // 20)]
        body = json.dumps({"streams": [{"stream": {"app": "storm", "pod": f"storm-{part}"}, "values": lines}]})
        request = urllib.request.Request(url + "/loki/api/v1/push", body.encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).read()
    time.sleep(max(at + 0.2 - time.time(), 0))
"""
# What a person does; each line is pressed in turn, and over again.
WALK: tuple[tuple[str, ...], ...] = (
    ("1", *["j"] * 12, "PageDown", "PageDown", "G", "g", "C-z", "C-z", "C-w", "C-w"),
    ("/", "c", "1", "Enter", "j", "j", "Escape"),
    ("Enter", "j", "j", "Tab", "j", "j", "Tab", "j", "Escape"),
    ("6", *["j"] * 6, "Space", "Escape", "Escape"),
    (":", *"logs @storm", "Enter", "TAIL"),
    (*["k"] * 6, *["j"] * 6, "PageUp", "PageUp", "G"),
    ("/", *"error", "Enter", *["k"] * 8, "Escape", "G"),
    ("WAIT",) * 30,
    (*["k"] * 10, "G", "@", "BSpace", *["BSpace"] * 8, "Enter"),
    ("3", "j", "j", "k", "7", "j", "8", "j", "9", "j", "0", ",", "5", "2"),
    ("?", "j", "j", "Escape", "1", "-", "-", "[", "]", "r"),
)


@contextmanager
def flapping(upstream: tuple[str, int]) -> Iterator[str]:
    """The URL of a way to `upstream` that is cut, connections and all, every other while."""
    loop, started, port = asyncio.new_event_loop(), threading.Event(), 0

    async def run() -> None:
        nonlocal port
        open_: set[asyncio.StreamWriter] = set()

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while data := await reader.read(1 << 16):
                    writer.write(data)
                    await writer.drain()
            except ConnectionError:
                pass
            writer.close()

        async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, to = await asyncio.open_connection(*upstream)
            open_.update((writer, to))
            await asyncio.gather(pass_on(reader, to), pass_on(there, writer))
            open_.difference_update((writer, to))

        while True:
            server = await asyncio.start_server(serve_one, "127.0.0.1", port, reuse_address=True)
            port = server.sockets[0].getsockname()[1]
            started.set()
            await asyncio.sleep(FLAP_SECONDS)
            server.close()
            for writer in list(open_):
                writer.transport.abort()
            await asyncio.sleep(FLAP_SECONDS)

    flaps = loop.create_task(run())
    flaps.add_done_callback(lambda _: loop.stop())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    started.wait()
    yield f"http://127.0.0.1:{port}"
    loop.call_soon_threadsafe(flaps.cancel)
    thread.join()


def token() -> str:
    return f"token-{int(time.time() // TOKEN_SECONDS)}"


async def let_in(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """An API server that knows only the token of this minute."""
    if asked.headers.get("authorization") != f"Bearer {token()}":
        await answer("Unauthorized", status=401, kind="text/plain")(asked, writer)
    elif asked.path.startswith("/version"):
        await answer({"major": "1", "minor": "34", "gitVersion": "v1.34.4"})(asked, writer)
    else:
        await answer({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)(asked, writer)


def write_files(folder: Path, cluster: Cluster, count: int, flap: str, api: str) -> tuple[Path, Path]:
    """The config and kubeconfig of the fleet."""
    urls = cluster.urls
    lines = []
    for n in range(count - 3):
        lines += [
            f"[clusters.c{n:03}.endpoints]",
            f'prometheus = "{urls["prometheus"]}"',
            f'alertmanager = "{urls["alertmanager"]}"',
        ]
    lines += [
        "[clusters.storm.endpoints]",
        f'loki = "{urls["loki"]}"',
        f'prometheus = "{urls["prometheus"]}"',
    ]
    lines += ["[clusters.flapping.endpoints]", f'prometheus = "{flap}"']
    config = folder / "config.toml"
    config.write_text("\n".join(lines))
    plugin = folder / "login"
    plugin.write_text(
        f"#!{sys.executable}\nimport json, time\n"
        f"token = f'token-{{int(time.time() // {TOKEN_SECONDS})}}'\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential',"
        " 'status': {'token': token}}))\n"
    )
    plugin.chmod(0o700)
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(plugin),
            "interactiveMode": "Never",
        }
    }
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "expiring",
        "clusters": [{"name": "expiring", "cluster": {"server": api}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "expiring", "context": {"cluster": "expiring", "user": "me"}}],
    }))  # fmt: skip
    return config, kubeconfig


class Terminal:
    """The dashboard in a tmux of its own."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self.run("new-session", "-d", "-x", "160", "-y", "50", "-s", "soak", "sleep", "infinity")
        self.run("set-option", "-g", "remain-on-exit", "on")
        self.run("set-option", "-g", "escape-time", "0")

    def start(self, *command: str) -> None:
        self.run("respawn-pane", "-k", "-t", "soak", *command)

    def run(self, *args: str) -> str:
        return subprocess.run([*self._tmux, *args], check=True, capture_output=True, text=True).stdout

    def press(self, *keys: str) -> None:
        self.run("send-keys", "-t", "soak", *keys)

    def screen(self) -> str:
        return self.run("capture-pane", "-p", "-t", "soak")

    def about(self, what: str) -> str:
        return self.run("display-message", "-p", "-t", "soak", f"#{{{what}}}").strip()

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


def memory(pid: int) -> float:
    """Resident memory, MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def exit_code(pid: int) -> str:
    """Of a process that has ended, and that tmux, as it does at times, has not noticed (proc(5), field 52)."""
    return str(os.waitstatus_to_exitcode(int(Path(f"/proc/{pid}/stat").read_text().split()[-1])))


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit(f"soak: {what} did not come about in {seconds:g} s")
        time.sleep(0.1)


def walk(terminal: Terminal, minutes: float, tail: str) -> list[tuple[float, float]]:
    """Press keys for so long; (seconds, MiB) each few seconds. Ends the program by what goes wrong."""
    pid, began, sizes = int(terminal.about("pane_pid")), time.monotonic(), []
    for key in itertools.chain.from_iterable(itertools.cycle(WALK)):
        now = time.monotonic() - began
        if now > minutes * 60:
            return sizes
        if key == "WAIT":
            time.sleep(1.0)
        else:
            terminal.press(tail if key == "TAIL" else key)
            time.sleep(KEY_SECONDS)
        if not sizes or now - sizes[-1][0] > 5:
            if terminal.about("pane_dead") == "1" or "Traceback" in terminal.screen():
                raise SystemExit(f"soak: it ended after {now:.0f} s\n{terminal.screen()}")
            sizes.append((now, memory(pid)))
            if len(sizes) % 24 == 0:
                print(f"  {now / 60:4.1f} min  {sizes[-1][1]:6.1f} MiB", flush=True)
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--lines", type=int, default=20_000, help="a second")
    parser.add_argument("--tail", default="f", help="the key that follows logs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serve() as stub, ExitStack() as ending:
        folder = Path(name)
        stub.on("/", let_in)
        os.environ.update(HOME=name, XDG_CONFIG_HOME=name, XDG_DATA_HOME=name, XDG_CACHE_HOME=name)
        terminal = ending.enter_context(closing(Terminal(folder)))
        os.nice(19)  # the clusters stand for other machines: what the dashboard needs of this one it has
        with Cluster("soak", parts={"prometheus", "node", "alertmanager", "loki"}) as cluster:
            host, _, port = cluster.urls["prometheus"].removeprefix("http://").partition(":")
            with flapping((host, int(port))) as flap:
                config, kubeconfig = write_files(folder, cluster, args.clusters, flap, stub.url)
                file = folder / "measured.json"
                storm = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        STORM,
                        cluster.urls["loki"],
                        str(args.lines),
                        str(args.minutes * 60 + 60),
                    ]
                )
                terminal.start(
                    "env", "TERM=xterm-256color", sys.executable, "-m", "benchmarks.measured_dashboard", str(file),
                    "--config", str(config), "--kubeconfig", str(kubeconfig), "fleet",
                )  # fmt: skip
                try:
                    until(lambda: "ONLINE" in terminal.screen(), 60, "the first screen")
                    sizes = walk(terminal, args.minutes, args.tail)
                    for keys in (["Escape"], ["Escape"], [":"], [*"app.quit", "Enter"]):
                        terminal.press(*keys)  # apart: a terminal's alt+: is escape and : at once
                        time.sleep(1.0)
                    until(lambda: terminal.about("pane_dead") == "1", 15, "its end")
                    status = terminal.about("pane_dead_status") or exit_code(int(terminal.about("pane_pid")))
                    stormed = storm.poll() is None
                finally:
                    storm.kill()
                measured = json.loads(file.read_text())
    tell(sizes, measured, status, stormed, args.minutes)


def tell(
    sizes: list[tuple[float, float]],
    measured: dict[str, list[list[float]]],
    status: str,
    stormed: bool,
    minutes: float,
) -> None:
    keys = [float(ms) for _, _, ms in measured["keys"]]
    settled = [mib for at, mib in sizes if at >= minutes * 60 * SETTLED]
    third = max(len(settled) // 3, 1)
    print(
        f"{minutes:g} minutes, exit status {status}, log storm {'to the end' if stormed else 'ended early'}"
    )
    print(f"key to screen   {len(keys)} keys, p50 {statistics.median(keys):.1f} ms, p99 {percentile(keys, 0.99):.1f} ms, "
          f"worst {max(keys):.0f} ms (wanted: p99 at most {WANTED_MS:g})")  # fmt: skip
    first, last = statistics.median(settled[:third]), statistics.median(settled[-third:])
    most = max(mib for _, mib in sizes)
    print(
        f"memory          {first:.0f} MiB after the first minutes, {last:.0f} at the end, {most:.0f} at most"
    )
    paints = measured["paints"]
    print(f"terminal        {sum(b for _, b in paints) / (minutes * 60) / 1024:.1f} KiB a second")
    slow: dict[str, list[float]] = {}
    for _, action, ms in measured["keys"]:
        slow.setdefault(str(action), []).append(float(ms))
    for action, times in sorted(slow.items(), key=lambda kv: -percentile(kv[1], 0.99))[:8]:
        print(
            f"  {action:<28} {len(times):5} times, p50 {statistics.median(times):6.1f} ms, worst {max(times):6.1f} ms"
        )
    if status != "0" or last > first * GROWN or not stormed:
        sys.exit(1)


if __name__ == "__main__":
    main()
