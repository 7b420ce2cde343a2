"""One cluster answers badly, another well: the good answer is shown, the bad one explained in one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Aiops, Finished
from tests.faults.files import write_config
from tests.faults.fixtures import Here
from tests.faults.stub import (
    Behaviour,
    Stub,
    answer,
    cut,
    drip,
    hang_up,
    in_turn,
    silence,
    vector,
)


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>…</body></html>"
ONE = vector(({"__name__": "up", "job": "slow"}, 1))


@dataclass(frozen=True)
class Fault:
    """`said` and `advice` are parts of the message and the hint; `alone` is the exit code when nothing else was asked."""

    behaviour: Behaviour
    code: str
    said: str
    advice: str
    alone: int = 4
    status: str = "ERROR"

    @property
    def timeout(self) -> str:
        """Short only where it is meant to pass."""
        return "1s" if "within 1 s" in self.said else "30s"


FAULTS = {
    "401": Fault(
        answer("Unauthorized", status=401, kind="text/plain"), "CREDENTIALS_INVALID", "401", "log in again", 5
    ),
    "403": Fault(
        answer("Forbidden", status=403, kind="text/plain"), "FORBIDDEN", "not allowed", "viewer role", 5
    ),
    "404": Fault(
        answer("404 page not found", status=404, kind="text/plain"), "NOT_FOUND", "404", "URL and path prefix"
    ),
    "429": Fault(
        answer("slow down", status=429, kind="text/plain", headers={"Retry-After": "60"}),
        "RATE_LIMITED",
        "rate limiting",
        "later",
    ),
    "500": Fault(answer("oops", status=500, kind="text/plain"), "SERVER_ERROR", "500", "logs"),
    "login redirect": Fault(
        answer("", status=302, headers={"Location": "https://sso.example/login"}),
        "CREDENTIALS_INVALID",
        "login page",
        "log in again",
        5,
    ),
    "HTML page": Fault(answer(LOGIN_PAGE, kind="text/html"), "BAD_ANSWER", "HTML", "API's URL"),
    "HTML that says it is JSON": Fault(answer(LOGIN_PAGE), "BAD_ANSWER", "HTML", "API's URL"),
    "no JSON": Fault(answer("{"), "BAD_ANSWER", "no valid JSON", "proxies"),
    "other JSON": Fault(
        answer({"kind": "Status", "message": "hello"}), "BAD_ANSWER", "no valid JSON", "proxies"
    ),
    "a string where a number belongs": Fault(
        answer(vector(({"job": "x"}, "many"))), "BAD_ANSWER", "no valid JSON", "proxies"
    ),
    "cut body": Fault(cut(ONE, after=40), "BAD_ANSWER", "cut off", "ask again"),
    "silence": Fault(silence(), "QUERY_TIMEOUT", "no answer within 1 s", "--timeout", status="TIMEOUT"),
    "endless drip": Fault(
        drip(ONE, pause=0.2), "QUERY_TIMEOUT", "no answer within 1 s", "--timeout", status="TIMEOUT"
    ),
    "hangs up": Fault(hang_up(), "CLUSTER_UNREACHABLE", "closed before an answer", "ask again"),
    "query timeout of the server": Fault(
        answer(
            {"status": "error", "errorType": "timeout", "error": "query timed out in expression evaluation"},
            status=503,
        ),
        "QUERY_TIMEOUT",
        "timed out on the server",
        "shorter window",
        status="TIMEOUT",
    ),
    "too many samples": Fault(
        answer(
            {
                "status": "error",
                "errorType": "execution",
                "error": "query processing would load too many samples",
            },
            status=422,
        ),
        "QUERY_FAILED",
        "too many samples",
        "ask for less",
    ),
}


@pytest.fixture(params=FAULTS.values(), ids=list(FAULTS))
def fault(request: pytest.FixtureRequest) -> Fault:
    found: Fault = request.param
    return found


def no_traceback(done: Finished) -> None:
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


def test_a_bad_cluster_is_explained_beside_the_others_answers(
    aiops: Aiops, home: Path, stub: Stub, well: Stub, fault: Fault
) -> None:
    stub.on("/", fault.behaviour)
    write_config(home, {"ill": {"prometheus": stub.url}, "well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "up", "--timeout", fault.timeout, "-o", "json")

    assert done.returncode == 3
    assert [(i["cluster"], i["samples"][0][1]) for i in done.json["items"]] == [("well", 1)]
    assert done.json["partial"] is True
    ill, other = done.json["clusters"]
    assert (ill["name"], ill["status"], other["status"]) == ("ill", fault.status, "SUCCESS")
    assert ill["error"]["code"] == fault.code
    assert fault.said in ill["error"]["message"]
    assert fault.advice in ill["error"]["hint"]
    assert ill["error"]["endpoint"] == stub.url
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ill: {fault.code}: ")
    assert fault.said in line and fault.advice in line and stub.url in line
    no_traceback(done)


def test_the_exit_code_when_nothing_else_was_asked(
    aiops: Aiops, home: Path, stub: Stub, fault: Fault
) -> None:
    stub.on("/", fault.behaviour)
    write_config(home, {"ill": {"prometheus": stub.url}})

    done = aiops("metrics", "query", "up", "--timeout", fault.timeout)

    assert done.returncode == fault.alone
    assert done.stdout == ""
    assert "ill: " + fault.code in done.stderr
    no_traceback(done)


def test_a_server_that_asks_for_a_moment_is_asked_again(aiops: Aiops, home: Path, stub: Stub) -> None:
    busy = answer("busy", status=429, kind="text/plain", headers={"Retry-After": "1"})
    stub.on("/api/v1/query", in_turn(busy, answer(ONE)))
    write_config(home, {"busy": {"prometheus": stub.url}})

    done = aiops("metrics", "query", "up", "-o", "name")

    assert (done.returncode, done.stdout) == (0, 'busy/up{job="slow"}\n')
    assert len(stub.asked) == 2


def test_a_server_that_asks_for_minutes_is_not_waited_for(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/", answer("busy", status=429, kind="text/plain", headers={"Retry-After": "120"}))
    write_config(home, {"busy": {"prometheus": stub.url}})

    done = aiops("metrics", "query", "up", timeout=30)

    assert done.returncode == 4
    assert len(stub.asked) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateways_hiccup_is_tried_again(aiops: Aiops, home: Path, stub: Stub, status: int) -> None:
    stub.on("/api/v1/query", in_turn(answer("bad gateway", status=status, kind="text/plain"), answer(ONE)))
    write_config(home, {"a": {"prometheus": stub.url}})

    done = aiops("metrics", "query", "up", "-o", "name")

    assert (done.returncode, done.stdout) == (0, 'a/up{job="slow"}\n')


def test_a_drip_that_ends_in_time_is_an_answer(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/api/v1/query", drip(ONE, pause=0.002))
    write_config(home, {"a": {"prometheus": stub.url}})

    assert aiops("metrics", "query", "up", "-o", "name").stdout == 'a/up{job="slow"}\n'


def test_partial_answers_are_allowed_when_asked_for(aiops: Aiops, home: Path, stub: Stub, well: Stub) -> None:
    stub.on("/", answer("oops", status=500))
    write_config(home, {"ill": {"prometheus": stub.url}, "well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "up", "--allow-partial")

    assert done.returncode == 0
    assert "well" in done.stdout
    assert "ill: SERVER_ERROR" in done.stderr


def test_a_redirect_takes_no_token_along(aiops: Aiops, home: Path, stub: Stub, well: Stub) -> None:
    stub.on("/", answer("", status=307, headers={"Location": f"{well.url}/api/v1/query"}))
    write_config(home, {"a": {"prometheus": stub.url}})

    aiops("metrics", "query", "up")

    assert well.asked == []


def test_a_thanos_without_a_store_is_partial(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/", answer(ONE | {"warnings": ["fetching from store 10.0.0.9: context deadline exceeded"]}))
    write_config(home, {"a": {"prometheus": stub.url}})

    done = aiops("metrics", "query", "up", "-o", "json")

    assert done.json["clusters"][0]["warnings"] == ["fetching from store 10.0.0.9: context deadline exceeded"]
    assert len(done.json["items"]) == 1
    assert "a: warning: fetching from store" in done.stderr


def test_an_answer_nested_without_end_is_refused(aiops: Aiops, home: Path, stub: Stub, well: Stub) -> None:
    stub.on("/", answer('{"status":"success","data":' + "[" * 100_000 + "]" * 100_000 + "}"))
    write_config(home, {"ill": {"prometheus": stub.url}, "well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "up", "-o", "name")

    assert (done.returncode, done.stdout) == (3, 'well/up{job="node"}\n')
    assert (
        "ill: BAD_ANSWER: the answer is nested too deeply; what answers there is not the API" in done.stderr
    )


def test_a_hundred_endpoints_behind_one_port(aiops: Aiops, home: Path, stub: Stub) -> None:
    names = [f"edge-{n:03d}" for n in range(100)]
    for name in names:
        stub.on(f"/{name}", answer(vector(({"__name__": "up", "of": name}, 1))))
    stub.on("/edge-013", answer("oops", status=500, kind="text/plain"))
    stub.on("/edge-077", answer(LOGIN_PAGE, kind="text/html"))
    write_config(home, {name: {"prometheus": f"{stub.url}/{name}"} for name in names})

    done = aiops("metrics", "query", "up", "-o", "json")

    assert done.returncode == 3
    ill = {"edge-013", "edge-077"}
    assert [(i["cluster"], i["labels"]["of"]) for i in done.json["items"]] == [
        (name, name) for name in names if name not in ill
    ]
    assert [c["name"] for c in done.json["clusters"]] == names
    assert {c["name"] for c in done.json["clusters"] if c["status"] != "SUCCESS"} == ill
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == sorted(ill)
