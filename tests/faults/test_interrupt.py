"""Ctrl-C in the middle: exit code 130, one line, no traceback, nothing half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Aiops
from tests.faults.files import cluster_entry, write_config, write_kubeconfig
from tests.faults.fixtures import HOUR, hour
from tests.faults.stub import Behaviour, Stub, answer, held


class Waiting:
    """A server that holds its answer back until the test is over, and says when it was asked."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.released = threading.Event()

    def behaviour(self, body: object) -> Behaviour:
        return held(answer(body), until=self.released, arrived=self.arrived)


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    one = Waiting()
    yield one
    one.released.set()


def started(*args: str) -> subprocess.Popen[str]:
    """In a process group of its own, as a shell starts a job."""
    return subprocess.Popen(
        [sys.executable, "-m", "aiops_cli", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """What Ctrl-C in a terminal does: SIGINT to the whole group."""
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def test_while_a_server_thinks(home: Path, stub: Stub, well: Stub, waiting: Waiting) -> None:
    stub.on("/", waiting.behaviour(hour()))
    write_config(home, {"slow": {"prometheus": stub.url}, "well": {"prometheus": well.url}})
    process = started("metrics", "range", "up", *HOUR)
    assert waiting.arrived.wait(30)

    assert interrupted(process) == (130, "", "interrupted\n")


def test_while_a_body_comes_in_nothing_of_it_is_kept(
    aiops: Aiops, home: Path, stub: Stub, waiting: Waiting
) -> None:
    stub.on("/", waiting.behaviour(hour()))
    write_config(home, {"slow": {"prometheus": stub.url}})
    process = started("metrics", "range", "up", *HOUR)
    assert waiting.arrived.wait(30)
    assert interrupted(process)[0] == 130
    assert [p for p in (home / "cache").rglob("*") if p.is_file()] == []

    stub.on("/", answer(hour()))
    again = aiops("metrics", "range", "up", *HOUR, "-o", "json")

    assert len(again.json["items"][0]["samples"]) == 61


def test_a_bundle_being_recorded_is_not_left_half_written(home: Path, stub: Stub, waiting: Waiting) -> None:
    stub.on("/", waiting.behaviour(hour()))
    write_config(home, {"slow": {"prometheus": stub.url}})
    folder = home / "out"
    folder.mkdir()
    process = started("bundle", "record", str(folder / "incident.aiops"), "--since", "10m")
    assert waiting.arrived.wait(30)

    code, out, err = interrupted(process)

    assert (code, out) == (130, "")
    assert "Traceback" not in err
    assert list(folder.iterdir()) == []


def test_while_an_exec_plugin_runs_it_goes_too(home: Path) -> None:
    plugin = home / "plugin"
    os.mkfifo(home / "ready")
    plugin.write_text(f'#!/bin/sh\necho $$ > "{home}/ready"\nexec sleep 600\n')
    plugin.chmod(0o700)
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("c", "https://127.0.0.1:1")],
        users={"me": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}},
        contexts={"edge": ("c", "me")},
    )
    process = started("clusters", "health")
    pid = int((home / "ready").read_text())

    code, _, err = interrupted(process)

    assert code == 130
    assert "Traceback" not in err
    assert not Path(f"/proc/{pid}").exists()
