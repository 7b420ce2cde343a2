"""`aiops logs tail` on real Lokis that go away and come back."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.cli.following import Output, Writer, line_to, writing
from tests.conftest import Aiops, Clusters
from tests.faults.files import write_config
from tests.servers.loki import Loki
from tests.servers.push import push_logs

NAMES = ["tail1", "tail2", "tail3"]


@pytest.fixture
def lokis(clusters: Clusters) -> dict[str, Loki]:
    return {c.name: c.loki for c in clusters.together(NAMES, {"loki"})}


def unique(request: pytest.FixtureRequest) -> dict[str, str]:
    """Labels of this test's own streams: the servers are shared."""
    return {"app": request.node.name, "run": str(time.time_ns())}


def selector(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"


def started(aiops: Aiops, *args: str) -> Output:
    return Output(aiops.start("logs", "tail", *args))


def numbers(items: list[dict[str, object]], cluster: str) -> list[int]:
    return [int(str(i["line"]).removeprefix("number=")) for i in items if i["cluster"] == cluster]


def test_no_line_is_lost_or_doubled_while_servers_restart_and_connections_break(
    aiops: Aiops, home: Path, lokis: dict[str, Loki], request: pytest.FixtureRequest
) -> None:
    labels = unique(request)
    writers = {name: Writer(loki, labels | {"cluster_of": name}) for name, loki in lokis.items()}
    with line_to(lokis["tail3"].url) as line:
        urls = {"tail1": lokis["tail1"].url, "tail2": lokis["tail2"].url, "tail3": line.url}
        write_config(home, {name: {"loki": url} for name, url in urls.items()})
        output = started(aiops, selector(labels), "-o", "ndjson", "--limit", "0", "--reorder", "3s")
        output.until_told("following 3 of 3 clusters")
        disturbed: list[tuple[str, float, float]] = []
        with writing(*writers.values()):

            def goes_on(*names: str) -> None:
                """Wait until lines of these clusters that are written from now on come out."""
                since = {name: writers[name].taken for name in names}
                output.until(
                    lambda: all(
                        any(n > since[name] + 20 for n in numbers(output.items[-500:], name))
                        for name in names
                    )
                )

            goes_on(*NAMES)
            for fault, name in (
                (lokis["tail2"].stop, "tail2"),
                (line.cut, "tail3"),
                (lokis["tail2"].kill, "tail2"),
                (line.cut, "tail3"),
            ):
                again = sum(f"{name}: following again" in told for told in output.err) + 1
                before = time.time()
                fault()
                if name == "tail2":
                    lokis[name].start()
                output.until_told(f"{name}: following again", again)
                disturbed.append((name, before, time.time()))
                goes_on(*NAMES)
        output.until(
            lambda: all(w.taken == len(set(numbers(output.items, name))) for name, w in writers.items())
        )
        output.process.send_signal(signal.SIGINT)
        assert output.ended() == 130
    items = output.items
    counts = {name: Counter(numbers(items, name)) for name in NAMES}
    for name, writer in writers.items():
        lost = set(range(writer.taken)) - counts[name].keys()
        doubled = {n: c for n, c in counts[name].items() if c > 1}
        assert (name, lost, doubled) == (name, set(), {})
        print(f"{name}: {writer.taken} lines written, {len(lost)} lost, {len(doubled)} doubled")
    print("\n".join(output.err))
    assert output.err[-1] == "interrupted"
    assert not any("Traceback" in told for told in output.err)

    # In order, but for the lines of what was away, which come late, and those that a Loki left out.
    late = {told.split(":")[0] for told in output.err if "left out" in told}
    steady = [
        str(i["timestamp"])
        for i in items
        if i["cluster"] not in late
        and not any(i["cluster"] == name and inside(str(i["timestamp"]), a, b) for name, a, b in disturbed)
    ]
    assert len(steady) > 100
    assert steady == sorted(steady)


def inside(timestamp: str, start: float, end: float) -> bool:
    from datetime import datetime

    return start - 1 <= datetime.fromisoformat(timestamp[:26] + "+00:00").timestamp() <= end + 1


def test_history_first_in_order_and_all_of_it_with_since(
    aiops: Aiops, home: Path, lokis: dict[str, Loki], request: pytest.FixtureRequest
) -> None:
    labels, now = unique(request), time.time_ns()
    stamps: dict[str, range] = {}
    for i, (name, loki) in enumerate(lokis.items()):
        # 6,000 lines each, more than a page, that lie between each other's.
        stamps[name] = range(now - 600 * 10**9 + i, now - 300 * 10**9, 50_000_000)
        push_logs(loki, [(labels | {"c": name}, [(ns, f"number={n}") for n, ns in enumerate(stamps[name])])])
    write_config(home, {name: {"loki": loki.url} for name, loki in lokis.items()})

    whole = started(aiops, selector(labels), "-o", "ndjson", "--since", "20m")
    whole.until(lambda: len(whole.out) >= 18_000)
    short = started(aiops, selector(labels), "-o", "raw", "--limit", "2")
    short.until(lambda: len(short.out) >= 6)
    for name, loki in lokis.items():
        push_logs(loki, [(labels | {"c": name}, [(time.time_ns(), f"now of {name}")])])
    for output in (whole, short):
        output.until(lambda out=output.out: sum("now of" in line for line in out) == 3)
        output.process.send_signal(signal.SIGINT)
        assert output.ended() == 130

    stamped = [item["timestamp"] for item in whole.items[:18_000]]
    assert stamped == sorted(stamped)
    for name in NAMES:
        assert numbers(whole.items[:18_000], name) == list(range(6_000))
    assert short.out[:6] == [f"number={n}" for n in (5998, 5998, 5998, 5999, 5999, 5999)]
    assert len(short.out) == 9


def test_a_cluster_that_is_down_at_first_joins_with_what_it_has_from_then_on(
    aiops: Aiops, home: Path, clusters: Clusters, request: pytest.FixtureRequest
) -> None:
    labels = unique(request)
    up, down = (c.loki for c in clusters.together(["tail1", "tail2"], {"loki"}))
    down.stop()
    write_config(home, {"up": {"loki": up.url}, "down": {"loki": down.url}})
    output = started(aiops, selector(labels), "-o", "ndjson")
    output.until_told("following 1 of 2 clusters")
    push_logs(up, [(labels, [(time.time_ns(), "one")])])
    output.until(lambda: len(output.out) == 1)
    down.start()
    push_logs(down, [(labels, [(time.time_ns(), "two")])])
    output.until(lambda: len(output.out) == 2)
    output.process.send_signal(signal.SIGINT)

    assert output.ended() == 130
    assert [(i["cluster"], i["line"]) for i in output.items] == [("up", "one"), ("down", "two")]
    assert any(told.startswith("down: CLUSTER_UNREACHABLE") for told in output.err)
    assert "down: following" in output.err


def test_through_the_api_servers_service_proxy_which_passes_no_tail(
    aiops: Aiops, clusters: Clusters, service_proxy: str, request: pytest.FixtureRequest
) -> None:
    labels = unique(request)
    cluster = clusters("tailed-by-proxy", {"apiserver", "loki"})
    query, env = selector(labels), {"KUBECONFIG": str(cluster.kubeconfig)}
    output = Output(aiops.start("logs", "tail", query, "-o", "raw", env=env))
    output.until_told("following tailed-by-proxy")
    for i in range(5):
        push_logs(cluster.loki, [(labels, [(time.time_ns(), f"{i} by the proxy \x1b[31m")])])
        output.until(lambda count=i + 1: len(output.out) >= count)
    output.process.send_signal(signal.SIGINT)

    assert output.ended() == 130
    assert output.out == [rf"{i} by the proxy \x1b[31m" for i in range(5)]
    assert any(told.endswith("the service proxy: it is asked every 2 s") for told in output.err)


def test_lines_wait_for_those_of_a_cluster_that_is_polled(
    aiops: Aiops, home: Path, clusters: Clusters, service_proxy: str, lokis: dict[str, Loki],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    labels = unique(request)
    polled = clusters("tailed-by-proxy", {"apiserver", "loki"})
    write_config(home, {"tail1": {"loki": lokis["tail1"].url}})
    env = {"KUBECONFIG": str(polled.kubeconfig)}
    writers = {"polled": Writer(polled.loki, labels), "tail1": Writer(lokis["tail1"], labels)}
    output = Output(aiops.start("logs", "tail", selector(labels), "-o", "ndjson", "--limit", "0", env=env))
    output.until_told("following 2 of 2 clusters")
    with writing(*writers.values()):
        output.until(lambda: all(len(numbers(output.items, n)) > 100 for n in ("tailed-by-proxy", "tail1")))
    output.process.send_signal(signal.SIGINT)

    assert output.ended() == 130
    stamps = [str(i["timestamp"]) for i in output.items]
    assert stamps == sorted(stamps)


async def test_lines_that_a_loki_left_out_of_its_tail_are_read_again(aiops: Aiops, home: Path) -> None:
    """What a Loki under load does, told and untold, which ours can't be made to do at will."""
    held: list[list[str]] = []

    def body(values: list[list[str]]) -> dict[str, object]:
        return {"stream": {"app": "x"}, "values": values}

    def ask(connection: ServerConnection, request: Request) -> Response | None:
        if "/query_range" not in request.path:
            return None
        found = {"resultType": "streams", "result": [body(held)] if held else []}
        return connection.respond(HTTPStatus.OK, json.dumps({"status": "success", "data": found}))

    async def tail(socket: ServerConnection) -> None:
        await asyncio.to_thread(output.until_told, "following busy")
        start = time.time_ns()
        held.extend([str(start + i), f"line {i}"] for i in range(6))
        await socket.send(json.dumps({"streams": [body([held[0], held[3]])]}))
        dropped = [{"timestamp": held[1][0], "labels": {}}] * 2
        await socket.send(json.dumps({"streams": [body([held[4]])], "dropped_entries": dropped}))
        await socket.wait_closed()

    async with serve(tail, "127.0.0.1", 0, process_request=ask) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        write_config(home, {"busy": {"loki": f"http://127.0.0.1:{port}"}})
        output = started(aiops, '{app="x"}', "-o", "raw")
        await asyncio.to_thread(output.until, lambda: len(output.out) >= 6)
        await asyncio.to_thread(output.until_told, "left out")
        output.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(output.ended) == 130
    assert sorted(output.out) == [f"line {i}" for i in range(6)]
    assert "busy: 2 lines were dropped on the way by the server; reading them again" in output.err
    assert "busy: 3 lines that the live stream left out were read again; they come late" in output.err


def test_a_reader_that_goes_away_ends_it_quietly_although_no_line_comes(
    aiops: Aiops, home: Path, lokis: dict[str, Loki], request: pytest.FixtureRequest
) -> None:
    labels = unique(request)
    write_config(home, {"tail1": {"loki": lokis["tail1"].url}})
    process = aiops.start("logs", "tail", selector(labels))
    assert process.stdout is not None and process.stderr is not None
    assert process.stderr.readline() == "following tail1\n"
    process.stdout.close()

    assert process.wait(30) == 0
    assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["{app="], "'{' is never closed"),
        (['rate({app="x"}[1m])'], "metric queries can't"),
        (['{app="x"}', "-o", "json"], "a tail can't be json"),
        (['{app="x"}', "--to", "now"], "a tail has no end"),
        (['{app="x"}', "--limit", "-1"], "--limit must not be negative"),
        (['{app="x"}', "--reorder", "2h"], "--reorder must lie between 0 and 60 s"),
        (['{app="x"}', "--delay-for", "9"], "9 is not in the range 0<=x<=5"),
        (['{app="x"}', "--bundle", "demo"], "a recording does not go on"),
        (['{app="x"} |~ "["'], "missing closing ]"),
    ],
)
def test_what_can_not_be_followed_is_refused(
    aiops: Aiops, home: Path, lokis: dict[str, Loki], args: list[str], said: str
) -> None:
    write_config(home, {"tail1": {"loki": lokis["tail1"].url}, "tail2": {"loki": lokis["tail2"].url}})
    done = aiops("logs", "tail", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_without_a_loki_and_without_a_context_is_left(
    aiops: Aiops, home: Path, lokis: dict[str, Loki]
) -> None:
    write_config(home, {"bare": {"prometheus": lokis["tail1"].url}})
    done = aiops("logs", "tail", '{app="x"}')
    assert done.returncode == 4
    assert "LOKI_NOT_AVAILABLE" in done.stderr
