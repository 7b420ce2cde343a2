"""Bundles of the right form whose content no recording can have are refused, with exit code 2."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import Aiops

START = 1_764_000_000
SPAN = ["t", "s", None, "svc", "n", "k", START * 10**9, 5, "ok", {}, {}, []]
ALERT = {
    "cluster": "a",
    "fingerprint": "f",
    "name": "n",
    "state": "FIRING",
    "severity": None,
    "labels": {},
    "annotations": {},
}


def bundle(path: Path, parts: dict[str, Any], **manifest: Any) -> str:
    data = msgspec.msgpack.encode(parts)
    described = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    whole: dict[str, Any] = {
        "format": 1,
        "createdBy": "x",
        "start": START,
        "end": START + 3600,
        "step": 15,
        "clusters": [{"name": "a"}],
        "parts": {"clusters/0000.msgpack": described},
    }
    file = path / "x.aiops"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("clusters/0000.msgpack", data)
        archive.writestr("manifest.json", json.dumps(whole | manifest))
    return str(file)


def logs(ns: int, stream: int) -> dict[str, Any]:
    return {"logs": [{"expr": "x", "streams": [{"a": "b"}], "lines": [[ns, stream, "hi"]]}]}


PARTS = {
    "a line of no stream": (logs(START * 10**9 + 5, 7), "a log line of no stream"),
    "a line of a stream before the first": (logs(START * 10**9 + 5, -1), "a log line of no stream"),
    "a span of less than nothing": (
        {"spans": [[*SPAN[:7], -5, *SPAN[8:]]]},
        "a span that ends before it starts",
    ),
    "an alert of no time": ({"alerts": [ALERT | {"startsAt": "soon"}]}, "an alert with an impossible time"),
    "a change at the end of time": (
        {"kube": {"changes": [{"at": 1e300, "kind": "k", "name": "n", "namespace": "n", "what": "w"}]}},
        "an event or change with an impossible time",
    ),
}
MANIFESTS: dict[str, dict[str, Any]] = {
    "an end beyond all dates": {"end": 1e300},
    "a start before all dates": {"start": -1},
    "steps without number": {"step": 1e-9},
    "a cluster named twice": {"clusters": [{"name": "a"}, {"name": "a"}]},
}


@pytest.mark.parametrize(("parts", "said"), PARTS.values(), ids=PARTS.keys())
@pytest.mark.parametrize("command", ['logs query {a="b"}', "rca analyze", "bundle verify"])
def test_impossible_parts(
    aiops: Aiops, tmp_path: Path, command: str, parts: dict[str, Any], said: str
) -> None:
    file = bundle(tmp_path, parts)
    words = command.split(" ", 2)
    done = aiops(*words, file) if words[0] == "bundle" else aiops(*words, "--bundle", file)

    assert done.returncode == 2
    assert said in done.stderr and "internal error" not in done.stderr


@pytest.mark.parametrize("changes", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_impossible_manifests(aiops: Aiops, tmp_path: Path, changes: dict[str, Any]) -> None:
    done = aiops("rca", "analyze", "--bundle", bundle(tmp_path, {}, **changes))

    assert done.returncode == 2
    assert "is damaged: its manifest" in done.stderr


def test_a_series_that_is_torn_is_found_by_verify(aiops: Aiops, tmp_path: Path) -> None:
    torn = {"queries": [{"expr": "up", "step": 15, "series": [[{"a": "b"}, b"x" * 8, b"y" * 7]]}]}

    assert aiops("bundle", "verify", bundle(tmp_path, torn)).returncode == 2


def test_a_bad_regex_is_the_querys_fault(aiops: Aiops) -> None:
    selector = aiops("--bundle", "demo", "logs", "query", '{job=~"("}')
    line = aiops("--bundle", "demo", "logs", "query", '{job=~".+"} |~ "("')

    for done in (selector, line):
        assert done.returncode == 2
        assert "INVALID_LOGQL" in done.stderr + done.stdout or "invalid LogQL" in done.stderr
        assert "internal error" not in done.stderr


def test_flags_before_a_regex_are_understood(aiops: Aiops) -> None:
    found = aiops("--bundle", "demo", "metrics", "query", 'up{job=~"(?i)LEDGER"}', "-o", "json").json

    assert {item["labels"]["job"] for item in found["items"]} == {"ledger"}
