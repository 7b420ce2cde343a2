"""aiops against the tools that ask one server: `tests/netns python -m benchmarks.peers`.

`promtool query`, `logcli` and `amtool`, and for traces a script that reads Jaeger's JSON API (Tempo's CLI is
under the AGPL). The same questions of `tests/peers/asks.py` to the same servers, whole processes from start
to end, taking turns; JSON out on both sides, into /dev/null. Medians of wall time, the most of peak
memory. aiops starts with an empty cache each time.

Over 20 clusters one aiops stands against a shell loop that runs the peer 20 times. The 20 endpoints are 20
addresses of one server, so on a small machine the server's own work is most of a large answer's time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.startup import keep_bytecode
from tests.peers import asks, data
from tests.peers.asks import LARGE, SMALL, Ask
from tests.servers.alertmanager import Alertmanager
from tests.servers.binaries import GO_MODULES, locate
from tests.servers.cluster import temporary_root
from tests.servers.jaeger import Jaeger
from tests.servers.loki import Loki
from tests.servers.network import free_port
from tests.servers.process import Server, bring_up, stop_all
from tests.servers.prometheus import Prometheus

WANTED_RATIO = 1.3
WANTED_SPEED = 5.0
CLUSTERS = 20
ROUND_TRIPS_MS = (20, 100)  # a region away, and a continent
KINDS = ("metrics", "logs", "alerts", "traces")
ENDPOINT = {"metrics": "prometheus", "logs": "loki", "alerts": "alertmanager", "traces": "jaeger"}
PEERS = {"metrics": "promtool", "logs": "logcli", "alerts": "amtool", "traces": "script"}
# Of the large questions those whose answer is no more than a person would ask of each of 20 clusters.
OVER_MANY = {
    'big_total{namespace="ns-1"} [1000 steps]',
    "max by (namespace) (big_total) [1000 steps]",
    "series big_total",
    '{app=~".+"} [20000 lines]',
    'sum by (pod) (rate({app=~".+"}[1m])) [601 steps]',
    "all",
    "silences",
    "--service checkout [500]",
}


@dataclass
class Cost:
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    mib: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Compared:
    ask: Ask
    mine: Cost
    peer: Cost

    @property
    def ratio(self) -> float:
        return self.mine.median / self.peer.median


class Runner:
    """Commands in children of a small process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-m", "benchmarks.measured"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, command: Sequence[str], cost: Cost | None, env: Mapping[str, str] | None = None) -> None:
        """Add one run to `cost`. Raises RuntimeError when it fails: a wrong answer must not look fast."""
        shutil.rmtree(self.home / "cache", ignore_errors=True)
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = {"command": list(command), "env": {**os.environ, **(env or {})}}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        got = json.loads(self._process.stdout.readline())
        if got["code"]:
            raise RuntimeError(f"{shlex.join(command)[:300]} ended with {got['code']}: {got['said']}")
        if cost is not None:
            cost.seconds.append(got["seconds"])
            cost.cpu.append(got["cpu"])
            cost.mib = max(cost.mib, got["mib"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def compare(runner: Runner, ask: Ask, mine: Sequence[str], peer: Sequence[str], rounds: int) -> Compared:
    """Taking turns, who is first alternates; a round before fills the disk's caches."""
    costs = (Cost(), Cost())
    both = [(mine, costs[0]), (peer, costs[1])]
    for round_ in range(rounds + 1):
        for command, cost in both if round_ % 2 else reversed(both):
            runner.run(command, cost if round_ else None)
    return Compared(ask, *costs)


def floor(runner: Runner, rounds: int) -> dict[str, Cost]:
    """What starting costs when nothing is asked."""
    commands = {
        "python -c ''": [sys.executable, "-c", ""],
        "aiops version": [sys.executable, "-m", "aiops_cli", "version"],
        "promtool --version": [str(locate("promtool")), "--version"],
        "logcli --version": [str(locate("logcli")), "--version"],
        "amtool --version": [str(locate("amtool")), "--version"],
    }
    costs = {name: Cost() for name in commands}
    for round_ in range(rounds + 1):
        for name, command in commands.items():
            runner.run(command, costs[name] if round_ else None)
    return costs


def write_config(path: Path, names: Sequence[str], urls: Sequence[Mapping[str, str]]) -> Path:
    lines = []
    for name, endpoints in zip(names, urls, strict=True):
        lines += [f"[clusters.{name}.endpoints]", *(f'{key} = "{url}"' for key, url in endpoints.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


@contextmanager
def relays(ports: Mapping[str, int], round_trip: int, network: str) -> Iterator[list[dict[str, str]]]:
    """The URLs of 20 clusters at NETWORK.N whose bytes need `round_trip` milliseconds there and back."""
    hosts = [f"{network}.{n + 1}" for n in range(CLUSTERS)]
    there = {name: free_port() for name in ports}
    pairs = [f"{host}:{there[name]}=127.0.0.1:{port}" for host in hosts for name, port in ports.items()]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.relay", str(round_trip), *pairs],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield [{name: f"http://{host}:{port}" for name, port in there.items()} for host in hosts]
        finally:
            process.kill()


def everything(at: int, urls: Mapping[str, str], ids: list[str], kinds: Sequence[str]) -> list[Ask]:
    found = {
        "metrics": lambda: asks.metrics(at, urls["prometheus"]),
        "logs": lambda: asks.logs(at, urls["loki"]),
        "alerts": lambda: asks.alerts(at, urls["alertmanager"]),
        "traces": lambda: asks.traces(at, urls["jaeger"], ids),
    }
    return [ask for kind in kinds for ask in found[kind]()]


def over_many(found: Sequence[Ask]) -> list[Ask]:
    """Four small questions of a kind, and its large ones of `OVER_MANY`."""
    small = [ask for ask in found if ask.size == SMALL and ask.shape != "spans"]
    return [*small[:4], *(ask for ask in found if ask.size == LARGE and ask.name in OVER_MANY)]


def loop(ask: Ask, base: Mapping[str, str], clusters: Sequence[Mapping[str, str]]) -> list[str]:
    """A shell that asks one cluster after the other."""
    name = ENDPOINT[ask.kind]
    commands = [
        shlex.join(
            asks.peer_command(
                replace(ask, peer=tuple(a.replace(base[name], cluster[name]) for a in ask.peer))
            )
        )
        for cluster in clusters
    ]
    return ["/bin/sh", "-ec", "\n".join(commands)]


# --- output


def versions() -> str:
    found = []
    for program in ("promtool", "amtool"):
        said = subprocess.run([locate(program), "--version"], capture_output=True, text=True, check=True)
        first = (said.stdout or said.stderr).splitlines()[0]
        found.append(" ".join(first.replace(", version", "").split()[:2]))
    found += [f"logcli and Loki {m.version}" for m in GO_MODULES if m.name == "loki"]
    found += [f"Jaeger {m.version.removeprefix('v')}" for m in GO_MODULES if m.name == "jaeger"]
    return ", ".join(found)


def markdown_row(c: Compared) -> str:
    name = c.ask.name.replace("|", "\\|")
    ok = "yes" if c.ratio <= WANTED_RATIO else "**no**"
    return (
        f"| {c.ask.kind} | {c.ask.size} | `{name}` | {c.mine.median:.2f} | {c.peer.median:.2f} | {c.ratio:.2f} "
        f"| {c.mine.mib:.0f} | {c.peer.mib:.0f} | {c.mine.mib / c.peer.mib:.2f} | {ok} |"
    )


def one_cluster_table(rows: Sequence[Compared]) -> list[str]:
    return [
        "| kind | size | question | aiops s | peer s | ratio | aiops MiB | peer MiB | ratio | ≤ 1.3 |",
        "| --- | --- | --- | --: | --: | --: | --: | --: | --: | --- |",
        *map(markdown_row, rows),
    ]


def many_table(title: str, rows: Sequence[Compared]) -> list[str]:
    lines = [
        f"**{title}**",
        "",
        "| kind | size | question | aiops s | loop s | times faster | aiops MiB | peer MiB | ≥ 5 |",
        "| --- | --- | --- | --: | --: | --: | --: | --: | --- |",
    ]
    for c in rows:
        name = c.ask.name.replace("|", "\\|")
        ok = "yes" if 1 / c.ratio >= WANTED_SPEED else "**no**"
        lines.append(
            f"| {c.ask.kind} | {c.ask.size} | `{name}` | {c.mine.median:.2f} | {c.peer.median:.2f} "
            f"| {1 / c.ratio:.1f} | {c.mine.mib:.0f} | {c.peer.mib:.0f} | {ok} |"
        )
    return lines


def floor_table(costs: Mapping[str, Cost]) -> list[str]:
    return [
        "| starting alone | s | CPU s | MiB |",
        "| --- | --: | --: | --: |",
        *(
            f"| `{name}` | {c.median:.3f} | {statistics.median(c.cpu):.3f} | {c.mib:.0f} |"
            for name, c in costs.items()
        ),
    ]


def verdict(
    one: Sequence[Compared], many: Mapping[str, Sequence[Compared]], costs: Mapping[str, Cost]
) -> list[str]:
    """Where the goals are not met, and why, from the numbers of this run."""
    start = costs["aiops version"].median
    lines = []
    for kind in KINDS:
        for size in (SMALL, LARGE):
            group = [c for c in one if (c.ask.kind, c.ask.size) == (kind, size)]
            if not group:
                continue
            within = sum(c.ratio <= WANTED_RATIO for c in group)
            # What is left of aiops's time after its own start, against all of the peer's.
            rest = statistics.median(max(c.mine.median - start, 0.0) / c.peer.median for c in group)
            lines.append(
                f"- {kind}, {size}, one cluster: {within} of {len(group)} within {WANTED_RATIO}; median ratio "
                f"{statistics.median(c.ratio for c in group):.2f}, without the {start:.2f} s of `aiops version` {rest:.2f}"
            )
    for title, rows in many.items():
        for kind in KINDS:
            for size in (SMALL, LARGE):
                group = [c for c in rows if (c.ask.kind, c.ask.size) == (kind, size)]
                if group:
                    met = sum(1 / c.ratio >= WANTED_SPEED for c in group)
                    speed = statistics.median(1 / c.ratio for c in group)
                    lines.append(
                        f"- {kind}, {size}, {title}: {met} of {len(group)} at least {WANTED_SPEED:g} times faster; "
                        f"median {speed:.1f} times"
                    )
    return lines


def update(document: Path, text: str) -> None:
    """Put the text between the document's two marks."""
    begin, end = "<!-- measured: begin -->", "<!-- measured: end -->"
    before, _, rest = document.read_text().partition(begin)
    _, _, after = rest.partition(end)
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def say(c: Compared) -> None:
    print(
        f"{c.ask.kind:<8}{c.ask.size:<6}{c.mine.median:8.3f} s {c.peer.median:8.3f} s {c.ratio:6.2f}"
        f"{c.mine.mib:6.0f} MiB {c.peer.mib:5.0f} MiB  {c.ask.name}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the tables into this document")
    args = parser.parse_args()
    root = temporary_root()
    home = root / "home"
    home.mkdir()
    for name in [n for n in os.environ if n.startswith("AIOPS_")]:
        del os.environ[name]
    locate("logcli")  # before HOME changes
    os.environ.update(HOME=str(home), XDG_CONFIG_HOME=str(home), XDG_DATA_HOME=str(home), TZ="UTC")
    os.environ["XDG_CACHE_HOME"] = str(home / "cache")
    os.environ.pop("KUBECONFIG", None)
    keep_bytecode(root)
    runner = Runner(home)

    prometheus = Prometheus(root / "prometheus", cluster="one", scrape_interval="15s")
    loki, jaeger = Loki(root / "loki"), Jaeger(root / "jaeger")
    alertmanager = Alertmanager(root / "alertmanager")
    alertmanager.get_concurrency = 2 * CLUSTERS  # it stands for 20 of them
    servers: dict[str, Server] = {
        "prometheus": prometheus,
        "loki": loki,
        "jaeger": jaeger,
        "alertmanager": alertmanager,
    }
    for server in (prometheus, loki, jaeger, alertmanager):
        server.host = "0.0.0.0"  # also at 127.0.1.1 to 127.0.1.20
        # 20 large questions at once would else measure a server's garbage collector at its limit.
        server.max_procs, server.memory_limit = os.cpu_count() or 1, "4GiB"  # type: ignore[misc]
    at = data.settled()
    try:
        data.add_blocks(prometheus, data.make_blocks(root / "blocks", at))
        bring_up(servers.values())
        data.push_lines(loki, at)
        ids = data.push_traces(jaeger, at)
        data.post_alerts(alertmanager, at)
        ports = {"prometheus": prometheus.port, "loki": loki.port, "jaeger": jaeger.port}
        ports["alertmanager"] = alertmanager.port
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        report(runner, args, home, at, ids, ports, urls)
    finally:
        runner.close()
        stop_all(servers.values())


def report(
    runner: Runner,
    args: argparse.Namespace,
    home: Path,
    at: int,
    ids: list[str],
    ports: Mapping[str, int],
    urls: Mapping[str, str],
) -> None:
    found = everything(at, urls, ids, args.kinds)
    config = write_config(home / "one.toml", ["one"], [urls])
    costs = floor(runner, args.rounds)
    for line in floor_table(costs):
        print(line)
    one = []
    for ask in found:
        mine = [*asks.aiops_command(ask), "--config", str(config)]
        rounds = args.rounds if ask.size == SMALL else args.rounds // 2 + 1
        one.append(compare(runner, ask, mine, asks.peer_command(ask), rounds))
        say(one[-1])

    names = [f"c{n + 1}" for n in range(CLUSTERS)]
    near = [{name: f"http://127.0.1.{n + 1}:{port}" for name, port in ports.items()} for n in range(CLUSTERS)]
    many: dict[str, list[Compared]] = {}
    shown = [a for kind in args.kinds for a in over_many([f for f in found if f.kind == kind])]
    with ExitStack() as network:
        places = [(f"{CLUSTERS} clusters on the machine itself", near)]
        for n, round_trip in enumerate(ROUND_TRIPS_MS):
            far = network.enter_context(relays(ports, round_trip, f"127.0.{n + 2}"))
            places.append((f"{CLUSTERS} clusters {round_trip} ms away", far))
        for title, clusters in places:
            print(f"== {title}", flush=True)
            config = write_config(home / "many.toml", names, clusters)
            rows = many.setdefault(title, [])
            for ask in shown:
                mine = [*asks.aiops_command(ask), "--config", str(config)]
                rows.append(compare(runner, ask, mine, loop(ask, urls, clusters), args.rounds // 2 + 1))
                say(rows[-1])
    lines = [
        f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{versions()}. Wall seconds are medians, MiB the most of peak memory.",
        "",
        *floor_table(costs),
        "",
        *one_cluster_table(one),
        "",
    ]
    for title, rows in many.items():
        lines += [*many_table(title, rows), ""]
    lines += verdict(one, many, costs)
    text = "\n".join(lines)
    print(text)
    if args.update:
        update(args.update, text)


if __name__ == "__main__":
    main()
