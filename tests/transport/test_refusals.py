"""What servers send back with a refusal: redirects, waits, and the request's own secrets."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

from tests.conftest import Aiops
from tests.faults.files import cluster_entry, everything_under, write_config, write_kubeconfig
from tests.faults.stub import Asked, Behaviour, Stub, answer, in_turn, vector

TOKEN = 'sha256~hunter2-"<token>&'
HEADER = "Basic " + base64.b64encode(b"admin:hunter2").decode()


def echo(status: int, *, as_json: bool) -> Behaviour:
    """Quotes the request's headers in its error, as debugging proxies do."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        quoted = (
            f"refused: authorization {asked.headers.get('authorization')} key {asked.headers.get('x-key')}"
        )
        body: object = {"status": "error", "errorType": "x", "error": quoted, "message": quoted}
        await answer(body if as_json else quoted, status=status)(asked, writer)

    return behave


def shows_none(home: Path, text: str) -> None:
    kept = b"".join(everything_under(p) for p in home.iterdir() if p.name not in (".kube", "config"))
    for secret in (TOKEN, json.dumps(TOKEN)[1:-1], HEADER, HEADER.split()[1]):
        assert secret not in text
        assert secret.encode() not in kept
    assert "[hidden]" in text


@pytest.mark.parametrize("as_json", [True, False], ids=["JSON", "text"])
@pytest.mark.parametrize("status", [400, 403, 422, 500])
def test_headers_of_the_config_that_are_echoed_are_hidden(
    aiops: Aiops, home: Path, stub: Stub, status: int, as_json: bool
) -> None:
    stub.on("/", echo(status, as_json=as_json))
    inline = f'{{ url = "{stub.url}", headers = {{ Authorization = "{HEADER}", X-Key = "{HEADER}" }} }}'
    write_config(home, {"edge": {"prometheus": inline}})

    done = aiops("metrics", "query", "up", "-o", "json")

    assert stub.asked[0].headers["x-key"] == HEADER
    shows_none(home, done.stdout + done.stderr)


@pytest.mark.parametrize("as_json", [True, False], ids=["JSON", "text"])
def test_a_token_that_is_echoed_is_hidden(aiops: Aiops, home: Path, stub: Stub, as_json: bool) -> None:
    stub.on("/", echo(403, as_json=as_json))
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("c", stub.url)],
        users={"me": {"token": TOKEN}},
        contexts={"edge": ("c", "me")},
    )

    done = aiops("clusters", "discover")

    assert stub.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    shows_none(home, done.stdout + done.stderr)


def test_a_redirect_names_its_host(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/", answer("", status=302, headers={"Location": "https://sso.example/login?state=hunter2"}))
    write_config(home, {"edge": {"prometheus": stub.url}})

    done = aiops("metrics", "query", "up")

    assert done.returncode == 5
    assert "redirected to sso.example, mostly a login page (302)" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("location", ["", "https://[", "//\x80\x9b", "/login"])
def test_a_redirect_to_nowhere_is_still_one(aiops: Aiops, home: Path, stub: Stub, location: str) -> None:
    stub.on("/", answer("", status=302, headers={"Location": location}))
    write_config(home, {"edge": {"prometheus": stub.url}})

    done = aiops("metrics", "query", "up")

    assert done.returncode == 5
    assert "CREDENTIALS_INVALID: redirected to " in done.stderr


def test_a_redirect_to_https_is_a_mistake_in_the_url(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/", answer("", status=308, headers={"Location": stub.url.replace("http:", "https:")}))
    write_config(home, {"edge": {"prometheus": stub.url}})

    done = aiops("metrics", "query", "up")

    assert done.returncode == 4
    assert "BAD_ANSWER: the server redirects to https (308)" in done.stderr
    assert "write https://" in done.stderr


@pytest.mark.parametrize("wait", ["²", "soon", "-1", "9" * 400])
def test_a_wait_that_is_no_number_leaves_the_others_alone(
    aiops: Aiops, home: Path, stub: Stub, well: Stub, wait: str
) -> None:
    busy = answer("slow down", status=429, kind="text/plain", headers={"Retry-After": wait})
    stub.on("/", in_turn(busy, answer(vector(({"job": "x"}, 1)))))
    write_config(home, {"ill": {"prometheus": stub.url}, "well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "up", "-o", "json", "--allow-partial")

    assert done.returncode == 0
    assert "internal error" not in done.stderr
    assert any(item["cluster"] == "well" for item in done.json["items"])


def test_a_step_below_a_millisecond_is_refused(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"edge": {"prometheus": well.url}})

    done = aiops("metrics", "range", "up", "--from", "now-1s", "--step", "0.4ms")

    assert done.returncode == 2
    assert "shorter than a millisecond" in done.stderr
    assert well.asked == []
