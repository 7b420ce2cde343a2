"""`aiops traces` on two real Jaegers, a real Prometheus, and the bundle that ships."""

from __future__ import annotations

import itertools
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind

from aiops_cli.services.bundle import open_bundle
from tests.cli.test_flags import on_a_terminal
from tests.conftest import Aiops, Clusters
from tests.faults.fixtures import Here
from tests.faults.stub import Stub, answer
from tests.servers.fleet import Fleet
from tests.servers.push import SpanNode, push_spans
from tests.spans import Sent, new_trace_id, push

_unique = itertools.count()
Endpoints = Callable[[Mapping[str, Mapping[str, str]]], dict[str, str]]


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


@pytest.fixture(scope="module")
def two(clusters: Clusters) -> Fleet:
    """Clusters `near` and `far` of a Jaeger alone."""
    fleet = Fleet(clusters.together(["near", "far"], {"jaeger"}))
    fleet.write()
    return fleet


class Split:
    """A trace of which near has the gateway's half, and far the cart's: a call from 10 to 90 ms, answered
    from 15 to 80, with a query from 20 to 70 that failed; and a span whose parent nobody has."""

    def __init__(self, two: Fleet) -> None:
        number = next(_unique)
        self.gateway, self.cart = f"gateway{number}", f"cart{number}"
        self.id, self.origin = new_trace_id(), time.time() - 60
        push(
            two["near"].jaeger,
            [
                Sent(self.id, "a" * 16, None, self.gateway, "GET /cart", 0, 100),
                Sent(self.id, "b" * 16, "a" * 16, self.gateway, "call cart", 10, 90, "client"),
            ],
            origin=self.origin,
        )
        database = {"db.system": "postgresql", "db.namespace": f"carts{number}"}
        push(
            two["far"].jaeger,
            [
                Sent(self.id, "c" * 16, "b" * 16, self.cart, "GET /items", 15, 80, links=[("f" * 32, "e" * 16)]),
                Sent(self.id, "d" * 16, "c" * 16, self.cart, "SELECT", 20, 70, "client", "boom", database, exception=("Deadlock", "found\x1b[31m")),
                Sent(self.id, "e" * 16, "9" * 16, self.cart, "lost", 50, 60, "internal"),
            ],
            origin=self.origin,
        )  # fmt: skip


def test_a_trace_that_two_clusters_have_is_found_once(aiops: Aiops, two: Fleet) -> None:
    split = Split(two)
    asked = f'{{ .service.name =~ "({split.gateway}|{split.cart})" }}'
    found = aiops("traces", "search", asked, "-o", "json", env=two.env)
    assert found.returncode == 0, found.stderr
    (item,) = found.json["items"]
    assert (item["cluster"], item["clusters"], item["traceId"]) == ("near", ["near", "far"], split.id)
    assert (item["rootService"], item["rootName"]) == (split.gateway, "GET /cart")
    assert (item["durationMs"], item["spanCount"], item["errorCount"]) == (100, 5, 1)


def test_a_split_trace_is_joined_from_wherever_its_spans_are(aiops: Aiops, two: Fleet) -> None:
    split = Split(two)
    shown = aiops("traces", "show", split.id, "-o", "json", env=two.env)
    assert shown.returncode == 0, shown.stderr
    document = shown.json
    spans = {s["spanId"][0]: s for s in document["items"]}
    assert [(s["spanId"][0], s["cluster"], s["depth"]) for s in document["items"]] == [
        ("a", "near", 0), ("b", "near", 1), ("c", "far", 2), ("d", "far", 3), ("e", "far", 0),
    ]  # fmt: skip
    # 100 - 80, 80 - 65, 65 - 50, and what nothing covers
    assert {k: s["selfMs"] for k, s in spans.items()} == {"a": 20, "b": 15, "c": 15, "d": 50, "e": 10}
    assert spans["a"]["criticalSections"] == [[0, 10], [90, 100]]
    assert spans["c"]["criticalSections"] == [[15, 20], [70, 80]]
    assert (spans["e"]["orphan"], spans["e"]["critical"]) == (True, False)
    assert spans["c"]["links"] == [{"traceId": "f" * 32, "spanId": "e" * 16, "attributes": {}}]
    assert spans["d"]["events"][0]["attributes"]["exception.type"] == "Deadlock"
    trace = document["trace"]
    assert (trace["durationMs"], trace["spans"], trace["errors"]) == (100, 5, 1)
    assert (trace["rootService"], trace["clusters"]) == (split.gateway, ["near", "far"])
    assert "no asked cluster has" in document["notes"][0]


def test_the_waterfall_fits_and_says_what_went_wrong(aiops: Aiops, two: Fleet) -> None:
    split = Split(two)
    shown = aiops("traces", "show", split.id, "--tz", "UTC", env={**two.env, "COLUMNS": "80"})
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"trace {split.id}  20")
    assert lines[1] == "100ms, 5 spans, 2 services, 1 error, in near, far"
    rows = {line.split()[1]: line for line in lines[3:] if "/" in line}
    assert "━" in rows["GET"] and "─" in rows["GET"]
    (query,) = [line for line in lines if "SELECT" in line and "critical" not in line]
    assert query.endswith("50ms     50ms ✗") and "─" not in query
    (orphan,) = [line for line in lines if line.startswith("? ")]
    assert "lost" in orphan and "━" not in orphan
    assert "      ! Deadlock: found\\x1b[31m" in shown.stdout  # escapes do nothing
    assert f"→ trace {'f' * 32} span {'e' * 16}" in shown.stdout
    assert lines[-1].startswith("critical path 100ms: ") and f"{split.cart} SELECT 50ms (50%)" in lines[-1]
    assert "1 span marked ? names a parent that no asked cluster has" in shown.stderr


def test_a_tree_of_numbers(aiops: Aiops, two: Fleet) -> None:
    split = Split(two)
    shown = aiops("traces", "show", split.id, "--tree", "-q", env={**two.env, "COLUMNS": "80"})
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[2].split() == ["SPAN", "START", "DURATION", "SELF", "CRITICAL"]
    assert re.fullmatch(rf"└─ near/{split.gateway} call cart +10ms +80ms +15ms +15ms", lines[4])
    assert re.fullmatch(rf" +└─ far/{split.cart} SELECT +20ms +50ms +50ms +50ms ✗", lines[7])
    assert re.fullmatch(rf"\? far/{split.cart} lost +50ms +10ms +10ms +-", lines[9])
    assert shown.stderr == ""


def test_one_half_is_shown_when_the_other_cluster_is_down(aiops: Aiops, two: Fleet) -> None:
    split = Split(two)
    two["far"].jaeger.kill()
    shown = aiops("traces", "show", split.id, "-o", "json", env=two.env)
    assert shown.returncode == 3
    assert [s["spanId"][0] for s in shown.json["items"]] == ["a", "b"]
    assert "far: CLUSTER_UNREACHABLE" in shown.stderr
    nothing = aiops("traces", "show", "1" * 32, env=two.env)
    assert nothing.returncode == 3
    assert "no cluster that answered has trace" in nothing.stderr


def test_clocks_that_disagree_are_told(aiops: Aiops, two: Fleet) -> None:
    """far's span begins 8 ms before the call that caused it."""
    trace, origin = new_trace_id(), time.time() - 60
    push(two["near"].jaeger, [Sent(trace, "a" * 16, None, "clocks", "call", 10, 40, "client")], origin=origin)
    push(two["far"].jaeger, [Sent(trace, "b" * 16, "a" * 16, "clocked", "answer", 2, 25)], origin=origin)
    shown = aiops("traces", "show", trace, env=two.env)
    assert "the clock of far is at least 8 ms behind that of near (1 span)" in shown.stderr


def test_the_start_of_an_id_that_was_shown_is_enough(aiops: Aiops, two: Fleet) -> None:
    service, now = f"short{next(_unique)}", time.time() - 60
    first, second = (f"{next(_unique):08x}{'5' * 23}{i}" for i in (1, 2))
    shared = f"{next(_unique):08x}"
    twins = [f"{shared}{'6' * 23}{i}" for i in (1, 2)]
    push(
        two["near"].jaeger,
        [Sent(t, "a" * 16, None, service, "op", 0, 5) for t in (first, second, *twins)],
        origin=now,
    )
    unknown = aiops("traces", "show", first[:8], env=two.env)
    assert unknown.returncode == 4
    assert "a whole id has 32 hex digits" in unknown.stderr
    assert aiops("traces", "search", "--service", service, env=two.env).returncode == 0
    for given in (first[:8], first[:9].upper(), f"{first[:10]}…"):
        assert aiops("traces", "show", given, env=two.env).stdout.startswith(f"trace {first} ")
    several = aiops("traces", "show", shared, env=two.env)
    assert several.returncode == 2
    assert f"2 traces shown lately begin with {shared}" in several.stderr and twins[0] in several.stderr
    for bad in ("xyz", "1" * 33, "../services"):
        assert aiops("traces", "show", bad, env=two.env).returncode == 2


def test_a_search_fits_the_terminal_and_cuts_no_time_or_number(
    two: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, now = f"narrow{next(_unique)}", time.time() - 60
    (trace,) = push_spans(two["near"].jaeger, [SpanNode(service, "GET /a/rather/long/path/{id}", now, 1.5)])
    for name, value in two.env.items():
        monkeypatch.setenv(name, value)
    shown = on_a_terminal(
        [sys.executable, "-m", "aiops_cli", "traces", "search", "--service", service, "-q"], columns=80
    )
    head, row = shown.splitlines()
    assert head.split() == ["CLUSTER", "TRACE", "START", "SERVICE", "NAME", "DURATION", "SPANS", "ERRORS"]
    assert len(row) <= 80
    assert re.fullmatch(rf"near +{trace[:8]}\S*… +\d\d:\d\d:\d\d +narrow\S* +GET.* +1.5s +1 +0", row)


def test_newest_of_all_clusters_first_or_slowest(aiops: Aiops, two: Fleet) -> None:
    service, now = f"ordered{next(_unique)}", time.time() - 60
    near = push_spans(two["near"].jaeger, [SpanNode(service, "a", now + i, 0.1 * (4 - i)) for i in (0, 2)])
    far = push_spans(two["far"].jaeger, [SpanNode(service, "b", now + i, 0.1 * (4 - i)) for i in (1, 3)])

    def order(*flags: str) -> list[str]:
        return aiops(
            "traces", "search", "--service", service, "-o", "name", *flags, env=two.env
        ).stdout.split()

    assert order() == [far[1], near[1], far[0], near[0]]
    assert order("--slowest") == [near[0], far[0], near[1], far[1]]
    assert order("--limit", "1") == [far[1], near[1]]
    assert order("--min-duration", "250ms", "--max-duration", "350ms") == [far[0]]


def test_a_store_that_clusters_share_counts_once(aiops: Aiops, two: Fleet, endpoints: Endpoints) -> None:
    number = next(_unique)
    call = SpanNode(f"callee{number}", "answer", time.time() - 60, 0.1)
    (trace,) = push_spans(
        two["near"].jaeger, [SpanNode(f"caller{number}", "ask", time.time() - 60, 0.2, children=[call])]
    )
    url = two["near"].jaeger.url
    env = endpoints({"one": {"jaeger": url}, "other": {"jaeger": url}})
    (item,) = aiops("traces", "search", "--service", f"caller{number}", "-o", "json", env=env).json["items"]
    assert (item["spanCount"], item["clusters"]) == (2, ["one", "other"])
    spans = aiops("traces", "show", trace, "-o", "json", env=env).json["items"]
    assert [(s["cluster"], s["clusters"]) for s in spans] == [("one", ["one", "other"])] * 2
    edges = aiops("traces", "graph", "-o", "json", env=env).json["items"]
    assert [e["calls"] for e in edges if e["client"] == f"caller{number}"] == [1]


def test_names_from_a_cluster_do_nothing_to_a_terminal_or_a_drawing(aiops: Aiops, two: Fleet) -> None:
    evil = f'x{next(_unique)}\x1b[2J"] --> y["<b>`#'
    push_spans(two["near"].jaeger, [SpanNode(evil, "op\u202e", time.time() - 60, 0.1, children=[SpanNode("plain", "op", time.time() - 60, 0.1)])])  # fmt: skip
    for args in (
        ("services",),
        ("operations", "x*"),
        ("graph",),
        ("graph", "--tree"),
        ("graph", "-o", "md"),
        ("search", "--service", "x*"),
    ):
        shown = aiops("traces", *args, env=two.env).stdout
        assert "\x1b" not in shown and "\u202e" not in shown
    drawn = aiops("traces", "graph", "-o", "md", env=two.env).stdout.split("```")[1]
    assert '\\x1b[2J#quot;] --#gt; y[#quot;#lt;b#gt;#96;#35;"]' in drawn


def test_filters(aiops: Aiops, two: Fleet) -> None:
    service, now = f"filtered{next(_unique)}", time.time() - 60
    ok, failed = push_spans(
        two["near"].jaeger,
        [
            SpanNode(service, "GET /a", now, 0.1, attributes={"http.status_code": 200}, resource={"zone": "eu"}),
            SpanNode(service, "GET /b", now + 1, 0.1, error="x", attributes={"http.status_code": 500}, resource={"zone": "eu"}),
        ],
    )  # fmt: skip

    def found(*flags: str) -> set[str]:
        done = aiops("traces", "search", "--service", f"{service[:-1]}?", "-o", "name", *flags, env=two.env)
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split()) & {ok, failed}

    assert found() == {ok, failed}
    assert found("--status", "error") == found("--error") == {failed}
    assert found("--status", "unset") == {ok}
    assert found("--operation", "GET ?a") == {ok}
    assert found("--operation", "*/b") == {failed}
    assert found("--tag", "http.status_code=500") == {failed}
    assert found("--tag", "http.status_code=500", "--tag", "zone=us") == set()
    assert found("--tag", "resource.zone=eu") == {ok, failed}
    assert found("{ span.http.status_code >= 300 }") == {failed}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("search", "--status", "bad"), "one of: error, ok, unset"),
        (("search", "--error", "--status", "ok"), "exclude each other"),
        (("search", "--limit", "0"), "at least 1"),
        (("search", "--tag", "x"), "no key=value"),
        (("search", "--min-duration", "long"), "is no duration"),
        (("search", "--min-duration", "100"), "--min-duration 100ms or 100s"),
        (("search", "--min-duration", "2s", "--max-duration", "1s"), "is longer than --max-duration 1s"),
        (("search", "{ name = }"), "TraceQL at column 10"),
        (("search", "{ } | rate()"), "metrics query, not a search"),
        (("graph", "--using", "magic"), "auto, spans, metrics"),
        (("graph", "--limit", "0"), "at least 1"),
        (("metrics", "{ }"), "no metrics function"),
        (("metrics", "{ } | histogram_over_time(duration)"), "can't be answered here"),
        (("metrics", "{ } | rate()", "--step", "1ms"), "points a series are too many"),
    ],
)
def test_wrong_usage(aiops: Aiops, two: Fleet, args: tuple[str, ...], said: str) -> None:
    done = aiops("traces", *args, env=two.env)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr and "Traceback" not in done.stderr


def test_services_and_operations(aiops: Aiops, two: Fleet) -> None:
    split = Split(two)
    listed = aiops("traces", "services", "-o", "json", env=two.env).json["items"]
    services = {s["service"]: s for s in listed}
    assert services[split.gateway] == {
        "service": split.gateway,
        "clusters": ["near"],
        "spans": None,
        "errors": None,
    }
    assert services[split.cart]["clusters"] == ["far"]
    assert [s["service"] for s in listed] == sorted(services)
    operations = aiops("traces", "operations", f"{split.cart[:-1]}?", "-o", "json", env=two.env).json["items"]
    mine = [o for o in operations if o["service"] == split.cart]
    assert [(o["operation"], o["kind"], o["clusters"]) for o in mine] == [
        ("GET /items", "server", ["far"]), ("SELECT", "client", ["far"]), ("lost", "internal", ["far"]),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def shop(clusters: Clusters) -> Fleet:
    """Clusters `shop1` and `shop2` with these calls in the last minutes and nothing else: web → cart ten
    times, cart taking 10, 20, … 100 ms and failing at 90 and 100; cart → its database each time, 5 ms; and
    from shop1's web to shop2's mail once."""
    fleet = Fleet(clusters.together(["shop1", "shop2"], {"jaeger"}))
    fleet.write()
    now = time.time() - 120
    roots = []
    for i in range(10):
        query = SpanNode(
            "cart", "SELECT", now + i + 0.001, 0.005, kind=SpanKind.CLIENT, attributes={"db.system": "redis"}
        )
        cart = SpanNode(
            "cart", "GET /items", now + i, 0.01 * (i + 1), error="x" if i > 7 else None, children=[query]
        )
        call = SpanNode("web", "GET", now + i, 0.2, kind=SpanKind.CLIENT, children=[cart])
        roots.append(SpanNode("web", "GET /", now + i, 0.3, children=[call]))
    push_spans(fleet["shop1"].jaeger, roots)
    trace = new_trace_id()
    push(fleet["shop1"].jaeger, [Sent(trace, "a" * 16, None, "web", "send", 0, 40, "client")], origin=now)
    push(fleet["shop2"].jaeger, [Sent(trace, "b" * 16, "a" * 16, "mail", "POST /mail", 5, 30)], origin=now)
    return fleet


def test_the_service_map_of_spans(aiops: Aiops, shop: Fleet) -> None:
    done = aiops("traces", "graph", "--since", "10m", "-o", "json", env=shop.env)
    assert done.returncode == 0, done.stderr
    edges = {(e["cluster"], e["client"], e["serverCluster"], e["server"]): e for e in done.json["items"]}
    assert set(edges) == {
        ("shop1", "web", "shop1", "cart"), ("shop1", "web", "shop2", "mail"), ("shop1", "cart", "shop1", "redis"),
    }  # fmt: skip
    cart = edges["shop1", "web", "shop1", "cart"]
    assert (cart["calls"], cart["errorShare"], cart["seenBy"]) == (10, 0.2, "server")
    # between the fifth and sixth of 10..100, and at rank 8.55: 90 + 0.55 * 10
    assert (cart["p50Ms"], cart["p95Ms"]) == (pytest.approx(55, abs=0.01), pytest.approx(95.5, abs=0.01))
    assert cart["rate"] == pytest.approx(10 / 600)  # all traces of the window were read
    redis = edges["shop1", "cart", "shop1", "redis"]
    assert (redis["calls"], redis["connectionType"], redis["seenBy"]) == (10, "database", "client")
    mail = edges["shop1", "web", "shop2", "mail"]
    assert (mail["calls"], mail["p50Ms"], mail["errorShare"]) == (1, 25, 0)
    assert [s["traces"] for s in done.json["samples"]] == [11, 1]
    assert "shop1: from 41 spans of 11 traces, all of the window" in done.stderr


def test_a_caller_beyond_the_sample_is_looked_for_in_other_clusters(aiops: Aiops, shop: Fleet) -> None:
    """One trace a cluster is read: shop1's newest is not the one that shop2's mail was called from."""
    done = aiops("traces", "graph", "--since", "10m", "--limit", "1", "-o", "json", env=shop.env)
    edges = {(e["client"], e["server"]): e for e in done.json["items"]}
    assert ("web", "mail") in edges
    # of newest traces it is known how far they reach
    assert edges["web", "cart"]["calls"] == 1
    assert 0 < 1 / edges["web", "cart"]["rate"] < 600


def test_the_service_map_as_a_tree_and_as_a_drawing(aiops: Aiops, shop: Fleet) -> None:
    tree = aiops("traces", "graph", "--since", "10m", "--tree", "-q", env=shop.env).stdout.splitlines()
    assert tree[1] == "shop1/web"
    assert re.fullmatch(r"├─ shop1/cart +10 +0.0167/s +20% +55ms +95.5ms", tree[2])
    assert re.fullmatch(r"│  └─ shop1/redis \[database\] +10 +0.0167/s +0% +5ms +5ms", tree[3])
    assert re.fullmatch(r"└─ shop2/mail +1 +0.00167/s +0% +25ms +25ms", tree[4])
    drawn = aiops("traces", "graph", "--since", "10m", "-o", "md", "-q", env=shop.env).stdout
    assert drawn.startswith("```mermaid\nflowchart LR\n") and '[("redis")]' in drawn
    assert '-->|"10 calls, 20% failed, p95 95.5ms"|' in drawn
    assert "| shop1 | web | shop2/mail | - | 1 |" in drawn


def _counters(start: int, steps: int) -> str:
    """Every 15 s ten calls of web to cart, one failed, five of at most 0.1 s and five of at most 0.5 s; and
    four of cart to its database of at most 0.01 s, which only the client timed. As OpenMetrics."""
    edges = {
        'client="web",server="cart",connection_type=""': (10, 1),
        'client="cart",server="redis",connection_type="database"': (4, 0),
    }
    lines = []
    for name, which in (("request", 0), ("request_failed", 1)):
        lines.append(f"# TYPE traces_service_graph_{name} counter")
        lines += [
            f"traces_service_graph_{name}_total{{{labels}}} {counts[which] * i} {start + 15 * i}"
            for labels, counts in edges.items()
            for i in range(steps + 1)
        ]
    buckets = {
        "server": (next(iter(edges)), {"0.1": 5, "0.5": 10, "+Inf": 10}),
        "client": (list(edges)[1], {"0.01": 4, "+Inf": 4}),
    }
    for side, (labels, counts) in buckets.items():
        lines.append(f"# TYPE traces_service_graph_request_{side}_seconds histogram")
        lines += [
            f'traces_service_graph_request_{side}_seconds_bucket{{{labels},le="{le}"}} {count * i} {start + 15 * i}'
            for le, count in counts.items()
            for i in range(steps + 1)
        ]
    return "\n".join([*lines, "# EOF", ""])


def test_the_service_map_of_metrics(aiops: Aiops, clusters: Clusters, endpoints: Endpoints) -> None:
    """Written by promtool into a real Prometheus; the window's ends are samples, so nothing is estimated."""
    prometheus = clusters("mapped", {"prometheus"}).prometheus
    start = int(time.time()) // 7200 * 7200 - 6 * 3600
    prometheus.backfill(_counters(start, 40))
    env = endpoints({"mapped": {"prometheus": prometheus.url}})
    window = ("--from", str(start), "--to", str(start + 600))
    for way in ("metrics", "auto"):
        done = aiops("traces", "graph", "--using", way, *window, "-o", "json", env=env)
        assert done.returncode == 0, done.stderr
        database, cart = done.json["items"]
        assert (cart["client"], cart["server"], cart["source"], cart["seenBy"]) == (
            "web",
            "cart",
            "metrics",
            "server",
        )
        assert (cart["calls"], cart["rate"]) == (pytest.approx(400), pytest.approx(400 / 600))
        assert cart["errorShare"] == pytest.approx(0.1)
        # half of ten lie up to 0.1 s; 9.5 is nine tenths of the way from 5 to 10: 0.1 + 0.9 * 0.4
        assert (cart["p50Ms"], cart["p95Ms"]) == (pytest.approx(100), pytest.approx(460))
        assert (database["server"], database["connectionType"], database["seenBy"]) == (
            "redis",
            "database",
            "client",
        )
        assert (database["calls"], database["p50Ms"], database["p95Ms"]) == (pytest.approx(160), 5, 9.5)
    empty = aiops("traces", "graph", "--using", "metrics", "--since", "5m", env=env)
    assert empty.returncode == 4
    assert "no chosen cluster has traces_service_graph_request_total" in empty.stderr


def test_a_map_of_spans_says_why_it_is_not_of_metrics(
    aiops: Aiops, two: Fleet, stub: Stub, home: Path
) -> None:
    stub.on("/", answer("who are you", status=403))
    config = home / "config.toml"
    config.write_text(
        f'[clusters.near.endpoints]\njaeger = "{two["near"].jaeger.url}"\nprometheus = "{stub.url}"\n'
    )
    done = aiops("traces", "graph", env={"AIOPS_CONFIG": str(config)})
    assert done.returncode == 0
    assert "of spans, since its metrics can't be read: not allowed" in done.stderr


def test_metrics_of_spans(aiops: Aiops, two: Fleet) -> None:
    service, t0 = f"measured{next(_unique)}", int(time.time()) // 10 * 10 - 60
    for name in ("near", "far"):
        push_spans(two[name].jaeger, [SpanNode(service, "op", t0 + 0.5 + i, 0.1) for i in range(5)])
    done = aiops(
        "traces", "metrics", f'{{ .service.name = "{service}" }} | rate() by (name)',
        "--from", str(t0), "--to", str(t0 + 20), "--step", "10s", "-o", "json", env=two.env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.json["kind"] == "MetricList"
    assert [(i["cluster"], i["labels"], i["samples"]) for i in done.json["items"]] == [
        (cluster, {"name": "op"}, [[t0, 0], [t0 + 10, 0.5], [t0 + 20, 0]]) for cluster in ("near", "far")
    ]


def test_recorded_traces_answer_all_of_it(aiops: Aiops, two: Fleet, home: Path) -> None:
    split = Split(two)
    out = home / "split.aiops"
    recorded = aiops("bundle", "record", "--since", "10m", "-o", str(out), env=two.env)
    assert out.exists(), recorded.stderr
    bundle = ("--bundle", str(out))
    live = aiops("traces", "show", split.id, "-o", "json", env=two.env).json
    replayed = aiops("traces", "show", split.id[:10], *bundle, "-o", "json")
    assert replayed.returncode == 0, replayed.stderr
    played = replayed.json
    assert played["items"] == live["items"] and played["notes"] == live["notes"]
    listed = aiops("traces", "services", *bundle, "-o", "json").json["items"]
    assert {"service": split.cart, "clusters": ["far"], "spans": 3, "errors": 1} in listed
    edges = aiops("traces", "graph", *bundle, "-o", "json").json["items"]
    mine = [e for e in edges if e["client"] == split.gateway]
    assert [(e["server"], e["serverCluster"], e["rate"]) for e in mine] == [(split.cart, "far", None)]


@pytest.mark.parametrize(
    "args",
    [
        ("search", "--service", "ledg*", "--operation", "*ENTRIES*", "--slowest"),
        ("search", "--service", "ledg*", "--operation", "*entries*", "--slowest"),
        (
            "search",
            '{ resource.service.name = "checkout" } >> { resource.service.name = "ledger" && status = error }',
        ),
        ("services",),
        ("operations", "*"),
        ("graph", "--tree"),
        ("metrics", "{ status = error } | rate() by (resource.service.name)"),
        ("metrics", "{ kind = server } | quantile_over_time(duration, .95) by (resource.service.name)"),
    ],
)
def test_the_shipped_bundle_answers(aiops: Aiops, args: tuple[str, ...]) -> None:
    done = aiops("traces", *args, "--bundle", "demo")
    assert done.returncode == 0, done.stderr
    assert ("ledger" in done.stdout or "frontend" in done.stdout) is ("*ENTRIES*" not in args)


def test_the_shipped_bundle_s_pairs_are_its_spans(aiops: Aiops) -> None:
    """The calls of checkout to payment, counted span by span."""
    spans = open_bundle("demo").parts_of("west").spans
    ids = {(s.trace_id, s.span_id): s for s in spans}
    pairs = [(ids.get((s.trace_id, s.parent_id or "")), s) for s in spans if s.service == "payment"]
    failed = ["error" in (s.status, p.status) for p, s in pairs if p is not None and p.service == "checkout"]
    edges = aiops("traces", "graph", "--bundle", "demo", "-c", "west", "-o", "json").json["items"]
    (edge,) = [e for e in edges if (e["client"], e["server"]) == ("checkout", "payment")]
    assert (edge["calls"], edge["errorShare"]) == (len(failed), pytest.approx(sum(failed) / len(failed)))
