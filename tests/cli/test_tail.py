"""`aiops logs tail` on real Lokis that go away and come back."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.following import Output, Writer, line_to, writing
from tests.conftest import Aiops, Clusters
from tests.faults.files import write_config
from tests.servers.loki import Loki

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
