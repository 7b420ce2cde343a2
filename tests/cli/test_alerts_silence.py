"""`alerts silence` writes where it is told to, once a cluster, and nothing else."""

from __future__ import annotations

import getpass
import json
import signal
import socket
import threading
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.alert_servers import AlertPair, post_alerts, silences_of, wait_until
from tests.conftest import Aiops
from tests.faults.fixtures import Here
from tests.faults.stub import Behaviour, Stub, answer, hang_up, held, in_turn


@pytest.fixture
def aiops(here: Here) -> Here:
    return here


@pytest.fixture
def env(pair: AlertPair, home: Path) -> dict[str, str]:
    return pair.config(home / "config.toml", apart=True)


def _live(url: str) -> list[dict[str, object]]:
    return [s for s in silences_of(url) if s["status"]["state"] != "expired"]


def _draft(name: str, **more: str) -> dict[str, object]:
    matcher = {"name": "alertname", "value": name, "isRegex": False, "isEqual": True}
    times = {"startsAt": "2026-01-01T00:00:00Z", "endsAt": "2199-01-01T00:00:00Z"}
    return {"matchers": [matcher], **times, "createdBy": "test", "comment": "x", **more}


def _only(stub: Stub, home: Path) -> dict[str, str]:
    config = home / "only.toml"
    config.write_text(f'[clusters.only.endpoints]\nalertmanager = "{stub.url}"\n')
    return {"AIOPS_CONFIG": str(config)}


def test_a_fleet_wide_silence_has_one_id_a_cluster(
    aiops: Aiops, pair: AlertPair, env: dict[str, str]
) -> None:
    made = aiops(
        *("alerts", "silence", "add", "Always", 'path!="C:\\\\x"', "-d", "2h"),
        *("--comment", "maintenance", "-o", "json"),
        env=env,
    )
    assert made.returncode == 0, made.stderr
    assert [(r["cluster"], r["result"]) for r in made.json["items"]] == [
        ("east", "CREATED"),
        ("west", "CREATED"),
    ]
    (east,), (west,) = _live(pair.a.url), _live(pair.apart.url)
    assert {east["id"], west["id"]} == {r["id"] for r in made.json["items"]}
    assert east["createdBy"] == f"{getpass.getuser()}@{socket.gethostname()}"
    assert east["comment"] == "maintenance"
    begin, end = (datetime.fromisoformat(str(east[k])) for k in ("startsAt", "endsAt"))
    assert abs((end - begin).total_seconds() - 7200) < 5
    assert {"name": "path", "value": "C:\\x", "isRegex": False, "isEqual": False} in east["matchers"]
    # the other of the pair is told by gossip, not by us
    wait_until(lambda: [s["id"] for s in _live(pair.b.url)] == [east["id"]], "gossip")


def test_a_dry_run_shows_what_would_be_covered_and_writes_nothing(
    aiops: Aiops, pair: AlertPair, env: dict[str, str]
) -> None:
    done = aiops(
        "alerts", "silence", "add", 'alertname=~"Always|Slow"', "--comment", "x", "--dry-run", env=env
    )
    assert done.returncode == 0, done.stderr
    assert "Always" in done.stdout and "Slow" in done.stdout and "Scraped" not in done.stdout
    assert "east: it would cover 2 alerts now" in done.stderr
    assert "west: it would cover " in done.stderr and "nothing was written" in done.stderr
    assert not _live(pair.a.url) and not _live(pair.apart.url)


def test_ids_go_through_a_pipe_to_expire_wherever_they_live(
    aiops: Aiops, pair: AlertPair, env: dict[str, str]
) -> None:
    aiops("alerts", "silence", "add", "Soon", "-d", "30m", "--comment", "x", env=env)
    aiops("alerts", "silence", "add", "Later", "-d", "5h", "--comment", "x", env=env)
    soon = aiops("alerts", "silence", "list", "--within", "1h", "-o", "name", env=env).stdout.split()
    assert len(soon) == 2
    assert aiops("alerts", "silence", "expire", *soon, "--dry-run", env=env).stdout.count("WOULD EXPIRE") == 2
    ended = aiops("alerts", "silence", "expire", *soon, env=env)
    assert ended.returncode == 0 and ended.stdout.count(" EXPIRED") == 2
    for url in (pair.a.url, pair.apart.url):
        assert [s["matchers"][0]["value"] for s in _live(url)] == ["Later"]  # type: ignore[index]
    again = aiops("alerts", "silence", "expire", *soon, env=env)
    assert again.returncode == 0 and again.stdout.count("ALREADY EXPIRED") == 2
    over = aiops("alerts", "silence", "list", "--expired", "--within", "1m", "-o", "name", env=env)
    assert set(soon) <= set(over.stdout.split())


def test_an_id_may_be_cut_and_an_unknown_one_is_told(
    aiops: Aiops, pair: AlertPair, env: dict[str, str]
) -> None:
    made = aiops("alerts", "silence", "add", "Cut", "--comment", "x", "-c", "west", "-o", "name", env=env)
    silence_id = made.stdout.strip()
    done = aiops("alerts", "silence", "expire", silence_id[:9] + "…", "no-such-id", env=env)
    assert done.returncode == 4
    assert silence_id in done.stdout and "error: no chosen cluster has silence no-such-id" in done.stderr
    assert not _live(pair.apart.url)


def test_silences_without_alerts_are_found(aiops: Aiops, pair: AlertPair, env: dict[str, str]) -> None:
    post_alerts(pair.apart.url, {"alertname": "Covered"})
    for words in (
        ["Covered"],
        ["Nobody"],
        ["Covered", "--start", "now+1h"],
        ["Nobody2", "--start", "now+1h"],
    ):
        made = aiops("alerts", "silence", "add", *words, "--comment", "x", "-c", "west", env=env)
        assert made.returncode == 0, made.stderr
    listed = aiops("alerts", "silence", "list", "-c", "west", "-o", "json", env=env).json["items"]
    counts = {(s["matchers"][0]["value"], s["state"]): s["alerts"] for s in listed}
    assert counts == {
        ("Covered", "ACTIVE"): 1,
        ("Nobody", "ACTIVE"): 0,
        ("Covered", "PENDING"): None,
        ("Nobody2", "PENDING"): None,
    }
    unmatched = aiops("alerts", "silence", "list", "-c", "west", "--unmatched", "-o", "json", env=env)
    assert {s["matchers"][0]["value"] for s in unmatched.json["items"]} == {"Nobody", "Nobody2"}


def test_one_cluster_that_fails_is_told_and_the_others_are_written(
    aiops: Aiops, pair: AlertPair, env: dict[str, str]
) -> None:
    pair.apart.kill()
    done = aiops("alerts", "silence", "add", "Partly", "--comment", "x", "-o", "name", env=env)
    assert done.returncode == 3
    assert [s["id"] for s in _live(pair.a.url)] == done.stdout.split()
    assert "west: CLUSTER_UNREACHABLE" in done.stderr and "may have been made" not in done.stderr


def test_clusters_that_share_an_alertmanager_get_one_silence(
    aiops: Aiops, pair: AlertPair, home: Path
) -> None:
    config = home / "shared.toml"
    config.write_text(
        "".join(
            f'[clusters.{name}.endpoints]\nalertmanager = "{pair.apart.url}"\n' for name in ("one", "two")
        )
    )
    done = aiops("alerts", "silence", "add", "Shared", "--comment", "x", env={"AIOPS_CONFIG": str(config)})
    assert done.returncode == 0
    assert len(_live(pair.apart.url)) == 1
    assert "two: warning: it has the same Alertmanager as one" in done.stderr


def test_an_alertmanager_that_clusters_share_gets_what_is_of_either(
    aiops: Aiops, pair: AlertPair, home: Path
) -> None:
    config, file = home / "shared.toml", home / "of-two.json"
    config.write_text(
        "".join(
            f'[clusters.{name}.endpoints]\nalertmanager = "{pair.apart.url}"\n' for name in ("one", "two")
        )
    )
    env = {"AIOPS_CONFIG": str(config)}
    file.write_text(json.dumps([_draft("OfTwo", cluster="two"), _draft("OfOne", cluster="one")]))
    done = aiops("alerts", "silence", "import", str(file), "-o", "name", env=env)
    assert done.returncode == 0, done.stderr
    assert sorted(str(s["id"]) for s in _live(pair.apart.url)) == sorted(done.stdout.split())
    assert len(done.stdout.split()) == 2


def test_alertmanagers_of_two_clusters_that_gossip_get_one_silence(
    aiops: Aiops, pair: AlertPair, home: Path
) -> None:
    config = home / "gossip.toml"
    config.write_text(
        f'[clusters.one.endpoints]\nalertmanager = "{pair.a.url}"\n'
        f'[clusters.two.endpoints]\nalertmanager = "{pair.b.url}"\n'
    )
    env = {"AIOPS_CONFIG": str(config)}
    made = aiops("alerts", "silence", "add", "Spread", "--comment", "x", "-o", "name", env=env)
    assert made.returncode == 0 and len(made.stdout.split()) == 1
    assert "two: warning: it has an Alertmanager that gossips with that of one" in made.stderr
    wait_until(lambda: [s["id"] for s in _live(pair.b.url)] == made.stdout.split(), "gossip")
    assert len(_live(pair.a.url)) == 1
    ended = aiops("alerts", "silence", "expire", made.stdout.strip(), "-o", "json", env=env)
    assert [(r["cluster"], r["result"]) for r in ended.json["items"]] == [("one", "EXPIRED")]


def test_a_dry_run_needs_no_more_than_a_silence_does(
    aiops: Aiops, pair: AlertPair, env: dict[str, str]
) -> None:
    pair.b.kill()
    done = aiops("alerts", "silence", "add", "Always", "--comment", "x", "--dry-run", env=env)
    assert "east: it would cover 1 alert now" in done.stderr
    assert f"east: warning: {pair.b.url}: could not connect" in done.stderr


def test_a_dry_run_of_an_import_tells_what_is_known(
    aiops: Aiops, pair: AlertPair, env: dict[str, str], home: Path
) -> None:
    known = aiops("alerts", "silence", "add", "Known", "--comment", "x", "-c", "west", "-o", "name", env=env)
    file = home / "silences.json"
    file.write_text(json.dumps([_draft("Known", id=known.stdout.strip()), _draft("New", id="unknown")]))
    done = aiops("alerts", "silence", "import", str(file), "--dry-run", "-c", "west", "-o", "json", env=env)
    assert [r["result"] for r in done.json["items"]] == ["WOULD UPDATE", "WOULD CREATE"]
    forced = aiops("alerts", "silence", "import", str(file), "--dry-run", "-f", "-c", "west", env=env)
    assert forced.stdout.count("WOULD CREATE") == 2
    assert [s["id"] for s in _live(pair.apart.url)] == known.stdout.split()


def test_what_was_ended_is_told_beside_what_could_not_be(aiops: Aiops, stub: Stub, home: Path) -> None:
    stub.on("/api/v2/status", answer({}))
    stub.on("/api/v2/silences", answer([{**_draft(i), "id": i} for i in ("first", "second", "third")]))
    stub.on("/api/v2/silence/first", answer(""))
    stub.on("/api/v2/silence/second", answer("disk is full", status=500))
    stub.on("/api/v2/silence/third", in_turn(hang_up(), answer("silence third already expired", status=500)))
    env = _only(stub, home)
    done = aiops("alerts", "silence", "expire", "first", "second", "third", "-o", "json", env=env)
    assert done.returncode == 3
    assert [(r["id"], r["result"]) for r in done.json["items"]] == [
        ("first", "EXPIRED"),
        ("third", "EXPIRED"),
    ]
    assert "second: Alertmanager answered 500: disk is full" in done.stderr


@pytest.mark.parametrize("fault", [hang_up(), answer("bad gateway", status=502), answer("", status=504)])
def test_a_write_without_an_answer_is_not_tried_again(
    aiops: Aiops, stub: Stub, home: Path, fault: Behaviour
) -> None:
    stub.on("/api/v2/status", answer({}))
    stub.on("/api/v2/silences", in_turn(answer("silence not found", status=404), fault))
    file = home / "silences.json"
    file.write_text(json.dumps([_draft("Once", id="unknown"), _draft("Later")]))
    done = aiops("alerts", "silence", "import", str(file), env=_only(stub, home))
    assert done.returncode == 4 and "may have been made all the same" in done.stderr
    assert stub.paths().count("/api/v2/silences") == 2  # as an update, and as a new one


def test_an_interrupt_tells_what_was_made(pair: AlertPair, stub: Stub, home: Path) -> None:
    written, never = threading.Event(), threading.Event()
    stub.on("/api/v2/status", answer({}))
    stub.on(
        "/api/v2/silences",
        in_turn(answer({"silenceID": "the-first"}), held(answer({}), until=never, arrived=written)),
    )
    file = home / "silences.json"
    file.write_text(json.dumps([_draft("First"), _draft("Second")]))
    program = Aiops(home)
    process = program.start("alerts", "silence", "import", str(file), env=_only(stub, home))
    assert written.wait(timeout=60)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    never.set()
    assert process.returncode == 130
    assert "only: the-first was made before the interrupt" in told
    assert "one may have been made just then" in told and "Traceback" not in told


def test_several_alertmanagers_that_do_not_gossip_each_get_it(
    aiops: Aiops, pair: AlertPair, home: Path
) -> None:
    config = home / "apart.toml"
    config.write_text(
        f'[clusters.both.endpoints]\nalertmanager = ["{pair.a.url}", "{pair.b.url}", "{pair.apart.url}"]\n'
    )
    done = aiops(
        "alerts", "silence", "add", "Each", "--comment", "x", "-o", "name", env={"AIOPS_CONFIG": str(config)}
    )
    assert done.returncode == 0 and len(done.stdout.split()) == 2
    assert [s["id"] for s in [*_live(pair.a.url), *_live(pair.apart.url)]] == done.stdout.split()


def test_an_export_comes_back_into_its_clusters(
    aiops: Aiops, pair: AlertPair, env: dict[str, str], home: Path
) -> None:
    aiops("alerts", "silence", "add", "Kept", 'x=~"a\\\\.b"', "-d", "3h", "--comment", "back", env=env)
    exported = aiops("alerts", "silence", "export", env=env)
    assert exported.returncode == 0
    file = home / "silences.json"
    file.write_text(exported.stdout)
    assert [s["cluster"] for s in json.loads(exported.stdout)] == ["east", "west"]
    ids = [s["id"] for s in json.loads(exported.stdout)]
    updated = aiops("alerts", "silence", "import", str(file), env=env)  # they are known: nothing doubles
    assert updated.returncode == 0 and updated.stdout.count("UPDATED") == 2
    assert [s["id"] for s in [*_live(pair.a.url), *_live(pair.apart.url)]] == ids
    aiops("alerts", "silence", "expire", *ids, env=env)
    made = aiops("alerts", "silence", "import", str(file), env=env)
    assert made.stdout.count("CREATED") == 2
    for url in (pair.a.url, pair.apart.url):
        (silence,) = _live(url)
        assert silence["comment"] == "back"
        assert {"name": "x", "value": "a\\.b", "isRegex": True, "isEqual": True} in silence["matchers"]  # type: ignore[operator]
    elsewhere = aiops("alerts", "silence", "import", str(file), "-c", "west", env=env)
    assert elsewhere.returncode == 2 and "east" in elsewhere.stderr and "--everywhere" in elsewhere.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "--comment", "x"], "needs a matcher"),
        (["add", "Down"], "needs a comment"),
        (["add", "Down", "--comment", " "], "needs a comment"),
        (["add", 'a=~".*"', "--comment", "x"], "fit every alert"),
        (["add", "a!=b", "--comment", "x"], "fit every alert"),
        (["add", "Down", "--comment", "x", "--end", "now-1h"], "ends before it starts"),
        (["add", "Down", "--comment", "x", "-d", "99999999d"], "ends after the year 9999"),
        (["add", "Down", "--comment", "x", "-d", "soon"], "no duration"),
        (["expire"], "no silence is named"),
        (["add", "Down", "--comment", "x", "--columns", "nope"], "unknown column"),
        (["add", "Down", "--comment", "x", "-o", "json", "--fields", "nope"], "unknown field"),
        (["expire", "x", "--sort", "nope"], "can't sort by"),
        (["import", "/nowhere.json"], "can't be read"),
        (["list", "--bundle", "demo"], "asks live clusters"),
        (["add", "Down", "--comment", "x", "--bundle", "demo"], "asks live clusters"),
        (["expire", "x", "--bundle", "demo"], "asks live clusters"),
        (["import", "/nowhere.json", "--bundle", "demo"], "asks live clusters"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_written(
    aiops: Aiops, pair: AlertPair, env: dict[str, str], words: list[str], said: str
) -> None:
    done = aiops("alerts", "silence", *words, env=env)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr and len(done.stderr.splitlines()) == 2
    assert not _live(pair.a.url) and not _live(pair.apart.url)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", '[{"id": "x"}]', '{"a": 1}', '[{"matchers": [], "startsAt": "x", "endsAt": "y"}]'],
)
def test_a_file_without_silences_is_refused(aiops: Aiops, env: dict[str, str], home: Path, text: str) -> None:
    file = home / "bad.json"
    file.write_text(text)
    done = aiops("alerts", "silence", "import", str(file), env=env)
    assert done.returncode == 2 and str(file) in done.stderr and "Traceback" not in done.stderr
