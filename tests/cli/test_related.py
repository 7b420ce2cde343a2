"""One step from any signal to the others, on recorded incidents whose fault is known."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from aiops_cli.services.recorded_query import parse_logql
from tests.conftest import Aiops, Clusters, Finished
from tests.faults.fixtures import Here
from tests.faults.stub import Stub, answer
from tests.incidents.bundles import BUNDLES
from tests.servers.fleet import Fleet

DEMO = ("--bundle", "demo", "-c", "west")
FAILED = "6dea5561384da2eb2def346e7c5fe262"
"""An order of the recorded incident that failed because the ledger's pool was exhausted."""

# Where the shop's catalog, which fails a few requests in this incident and was rolled out, is met first.
ORIGINS: dict[str, tuple[str, ...]] = {
    "alert": ("alerts", "list", "--name", "CatalogErrors"),
    "metric": ("metrics", "query", 'up{job="catalog"}'),
    "log": ("logs", "query", '{job="catalog"}', "--limit", "5"),
    "trace": ("traces", "search", "--service", "catalog", "--error", "--limit", "3"),
    "event": ("events", "deploy/catalog"),
    "object": ("related", "deploy/catalog"),
}
TARGETS = ("metric", "alert", "log", "trace", "event", "object")


def items(done: Finished) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = done.json["items"]
    return found


def related(here: Here, *args: str, bundle: tuple[str, ...] = DEMO) -> list[dict[str, Any]]:
    flag = () if args[0] == "related" else ("--related",)
    return items(here(*args, *flag, *bundle, "-o", "json"))


def signals(rows: list[dict[str, Any]], subject: str) -> set[str]:
    return {row["signal"] for row in rows if row["subject"] == subject}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("origin", ORIGINS)
def test_every_signal_leads_to_every_other(here: Here, origin: str, target: str) -> None:
    args, subject = ORIGINS[origin], "shop/catalog"
    if (origin, target) == ("alert", "alert"):  # the one that was asked about is not told again
        args, subject = ("alerts", "list", "--name", "FrontendErrors"), "shop/frontend"
    if origin == "trace" and target != "trace":  # a trace is about its services, the first its root's
        trace = items(here(*args, *DEMO, "-o", "json"))[0]["traceId"]
        args = ("traces", "show", trace)
    elif origin == "trace":
        subject = "shop/frontend"
    assert target in signals(related(here, *args), subject)


def test_every_command_that_is_told_runs_and_shows_what_was_counted(here: Here) -> None:
    told: dict[str, dict[str, Any]] = {}
    for args in ORIGINS.values():
        told |= {row["command"]: row for row in related(here, *args)}
    told |= {row["command"]: row for row in related(here, "alerts", "list")}
    told |= {row["command"]: row for row in related(here, "traces", "show", FAILED)}
    told |= {row["command"]: row for row in related(here, "related", "node/west-b")}
    assert len(told) > 40
    for command, row in told.items():
        program, *words = shlex.split(command)
        assert program == "aiops"
        shown = here(*words, "-o", "json")
        assert shown.returncode == 0, f"{command}: {shown.stderr}"
        assert words[words.index("-c") + 1] == "west"
        assert words[-2:] == ["--bundle", "demo"]
        if row["signal"] == "log" and (row["count"] or 0) < 1000:
            assert len(shown.json["items"]) == row["count"], command
        if "failed traces through" in row["summary"] and row["count"] < 100:
            assert len(shown.json["items"]) == row["count"], command


def test_a_failed_trace_leads_first_to_the_service_that_was_broken(here: Here) -> None:
    rows = related(here, "traces", "show", FAILED)
    assert rows[0]["subject"] == "shop/ledger"
    assert rows[0]["origin"] == "span ledger POST /entries"
    pool = next(r for r in rows if r["subject"] == "shop/ledger" and "pool-in-use" in r["summary"])
    assert "0 → 6" in pool["summary"]
    [line] = [r for r in rows if r["subject"] == "shop/ledger" and f"of trace {FAILED}" in r["summary"]]
    assert "pool ledger-db is exhausted" in line["summary"]


def test_metrics_say_how_they_moved_since_before_the_alert(here: Here) -> None:
    rows = related(here, "alerts", "list", "--name", "CheckoutErrors")
    errors = next(r for r in rows if r["summary"].startswith("@service-errors"))
    assert errors["signal"] == "metric"
    assert "(none) → 0.7" in errors["summary"], "no request failed before"
    assert "2026-11-24T23:22:20" < errors["at"] < "2026-11-24T23:22:48", "before the alert fired"
    latency = next(r for r in rows if r["summary"].startswith("@service-latency"))
    assert "0.023 → 9.6" in latency["summary"]
    assert any("as before" in r["summary"] for r in rows)


def test_a_log_line_leads_to_its_own_trace(here: Here) -> None:
    rows = related(here, "logs", "query", f'{{job="ledger"}} |= "{FAILED}"')
    trace = next(r for r in rows if r["signal"] == "trace")
    assert trace["summary"].startswith(f"its trace {FAILED}: frontend POST /orders")
    assert trace["command"].startswith(f"aiops traces show {FAILED} ")


def test_the_rollout_that_broke_payment_is_two_steps_from_the_alert(here: Here) -> None:
    bundle = ("--bundle", str(BUNDLES["rollout"]))
    listed = items(here("alerts", "list", "--severity", "critical", *bundle, "-o", "json"))
    [alert] = [a for a in listed if a["name"] == "FrontendLatency"]
    first = related(here, "alerts", "show", alert["fingerprint"], bundle=bundle)
    trace = next(r for r in first if r["summary"].startswith("slowest trace"))
    second = items(here(*shlex.split(trace["command"])[1:], "--related", "-o", "json"))
    event = next(r for r in second if r["signal"] == "event")
    assert event["subject"] == "shop/payment"
    assert event["summary"].startswith("rollout of Deployment payment: revision 1 → 2: image of payment")
    shown = items(here(*shlex.split(event["command"])[1:], "-o", "json"))
    assert "rollout" in {row["type"] for row in shown}


def test_the_table_names_each_thing_once_with_a_command_under_each_row(here: Here) -> None:
    done = here("alerts", "list", "--name", "CheckoutErrors", "--related", *DEMO, "--tz", "UTC")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("alert CheckoutErrors → west shop/checkout, at 23:22:48, looked at from")
    rows, commands = lines[1::2], lines[2::2]
    assert len(rows) == len(commands)
    assert all(line.split()[0] in TARGETS for line in rows)
    assert all(line.strip().startswith("aiops ") for line in commands)


def test_names_are_commands_for_the_shell(here: Here) -> None:
    done = here("alerts", "list", "--name", "CheckoutErrors", "--related", *DEMO, "-o", "name")
    assert all(line.startswith("aiops ") for line in done.stdout.splitlines())


def test_no_more_than_five_things_are_followed_and_that_is_said(here: Here) -> None:
    done = here("metrics", "query", "up", "--related", *DEMO, "-o", "json")
    assert len({(i["origin"], i["subject"]) for i in items(done)}) <= 5
    assert "note: the first 5 of" in done.stderr


def test_the_window_that_was_asked_for_is_looked_at(here: Here) -> None:
    window = ("--from", "2026-11-24T23:19:00Z", "--to", "2026-11-24T23:21:00Z")
    rows = related(here, "related", "deploy/ledger", *window)
    assert not [r for r in rows if r["signal"] == "log"], "the ledger had no error yet"
    assert not [r for r in rows if "failed" in r["summary"]]
    assert all(
        "--from 2026-11-24T23:19:00Z --to 2026-11-24T23:21:00Z" in r["command"]
        for r in rows
        if "--from" in r["command"]
    )


@pytest.mark.parametrize(
    ("thing", "code", "said"),
    [
        ("deploy/chekout", 4, "did you mean deployment/checkout?"),
        ("deployment", 2, "is no KIND/NAME"),
        ("deploymnt/checkout", 2, "did you mean deployment/checkout?"),
        ("pod/none-1", 4, "no chosen cluster has Pod none-1"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(here: Here, thing: str, code: int, said: str) -> None:
    done = here("related", thing, *DEMO)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2


HOSTILE = 'a"}; touch pwned; {x="$(touch pwned)\x1b[2J\n`touch pwned`'


def test_hostile_labels_stay_words_of_the_commands(here: Here, stub: Stub) -> None:
    alert = {
        "fingerprint": "1",
        "startsAt": "2026-11-24T23:22:48.487Z",
        "endsAt": "2036-11-24T23:22:48.487Z",
        "updatedAt": "2026-11-24T23:22:48.487Z",
        "labels": {"alertname": HOSTILE, "namespace": HOSTILE, "pod": HOSTILE, "service": HOSTILE},
        "annotations": {},
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
        "receivers": [],
    }
    other = alert | {"fingerprint": "2", "labels": alert["labels"] | {"alertname": "Other"}}  # type: ignore[operator]
    stub.on("/api/v2/alerts", answer([alert, other]))
    lines = {
        "resultType": "streams",
        "result": [{"stream": {"pod": "x"}, "values": [["1795562568000000000", HOSTILE]]}],
    }
    stub.on("/loki/api/v1/labels", answer({"status": "success", "data": ["namespace", "pod", "app"]}))
    stub.on("/loki/api/v1/query_range", answer({"status": "success", "data": lines}))
    config = here.home / "config.toml"
    config.write_text(f'[clusters."l*b".endpoints]\nalertmanager = "{stub.url}"\nloki = "{stub.url}"\n')
    args = ("alerts", "list", "--related", "--config", str(config))
    rows = here(*args, "-o", "json").json["items"]
    assert {"alert", "log"} <= {row["signal"] for row in rows}
    for row in rows:
        words = shlex.split(row["command"])
        assert words[:2] in (["aiops", "alerts"], ["aiops", "logs"])
        assert words[words.index("-c") + 1] == "l[*]b"
        assert words[words.index("--config") + 1] == str(config)
    asked = next(a.params["query"] for a in stub.asked if "query" in a.params)
    assert parse_logql(asked)[0]({"namespace": HOSTILE, "pod": HOSTILE})
    table = here(*args)
    assert "\x1b" not in table.stdout + table.stderr
    assert not list(here.home.glob("**/pwned"))


def test_rows_that_were_not_found_lead_nowhere(here: Here) -> None:
    done = here("alerts", "list", "--name", "Nothing", "--related", *DEMO)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to start from" in done.stderr
    assert items(here("alerts", "list", "--name", "Nothing", "--related", *DEMO, "-o", "json")) == []


def test_a_node_exporters_address_leads_to_its_node_and_pods(aiops: Aiops, clusters: Clusters) -> None:
    cluster = clusters("relatednode", {"apiserver", "prometheus", "node"})
    fleet = Fleet([cluster])
    fleet.write()
    cluster.prometheus.wait_for("count_over_time(node_uname_info[1m]) > 4")
    [told] = cluster.prometheus.query("node_uname_info")
    node = told["metric"]["nodename"]
    cluster.kube.node(node)
    pod = {"nodeName": node, "containers": [{"name": "x", "image": "registry.example/x:1"}]}
    cluster.kube.apply("Pod", {"metadata": {"name": "on-it", "namespace": "default"}, "spec": pod})
    window = ("--since", "60s", "--step", "1s")  # the servers are seconds old
    done = aiops("metrics", "query", "node_load1", "--related", *window, "-o", "json", env=fleet.env)
    rows = done.json["items"]
    assert {r["subject"] for r in rows} == {f"node {node}"}, done.stderr
    assert {"metric", "event", "object"} == {r["signal"] for r in rows}
    [pods] = [r for r in rows if r["signal"] == "object" and "Pod on-it" in r["summary"]]
    words = shlex.split(pods["command"])
    assert words[:3] == ["aiops", "related", "Pod/on-it"]
    back = aiops(*words[1:], "-o", "json", env=fleet.env).json["items"]
    assert f"Node {node}" in [r["summary"] for r in back]
