"""Shared flags stand before or after the subcommand; wrong usage is told in two lines."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from aiops_cli import __version__
from tests.conftest import Aiops
from tests.faults.files import write_config
from tests.faults.stub import Stub, answer, dead_address, vector


@pytest.mark.parametrize(
    "args",
    [
        "-c well -o name metrics query up",
        "metrics -c well -o name query up",
        "metrics query -c well -o name up",
        "metrics query up -c well -o name",
        "metrics query up --context well --output name",
        "metrics query up --context=well --output=name",
        "metrics query up -cwell -oname",
        "-c well metrics query up -o=name",
        "metrics query up -c well -qo name",
        "metrics query up -c well -qoname",
    ],
)
def test_before_and_after(aiops: Aiops, home: Path, well: Stub, args: str) -> None:
    write_config(home, {"well": {"prometheus": well.url}, "other": {"prometheus": dead_address()}})

    done = aiops(*args.split())

    assert (done.returncode, done.stdout, done.stderr) == (0, 'well/up{job="node"}\n', "")


def test_a_query_that_begins_with_a_minus(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "-o", "name", "--", "-up")

    assert done.returncode == 0
    assert well.asked[0].params["query"] == "-up"


@pytest.mark.parametrize(
    ("args", "said", "advice"),
    [
        ("nonsense", "No such command 'nonsense'", "aiops --help"),
        ("metrics nonsense", "No such command 'nonsense'", "aiops metrics --help"),
        ("metrics query", "Missing argument", "aiops metrics query --help"),
        ("metrics query up --nonsense", "No such option: --nonsense", "aiops metrics query --help"),
        ("metrics query up down", "unexpected extra argument", "aiops metrics query --help"),
        ("metrics query up -o", "-o needs a value", "--help"),
        ("metrics query up --timeout", "--timeout needs a value", "--help"),
        ("logs query {} --limit many", "Invalid value for '--limit'", "aiops logs query --help"),
    ],
)
def test_wrong_usage(aiops: Aiops, args: str, said: str, advice: str) -> None:
    done = aiops(*args.split())

    assert (done.returncode, done.stdout) == (2, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and said in error
    assert hint.startswith("hint: ") and advice in hint


def test_a_misspelt_command_and_option_are_guessed(aiops: Aiops) -> None:
    assert "Did you mean 'metrics'?" in aiops("metrcs", "query", "up").stderr
    assert "Did you mean 'query'?" in aiops("metrics", "qury", "up").stderr
    assert "--limit" in aiops("logs", "query", "{}", "--limt", "3").stderr


@pytest.mark.parametrize("args", ["", "metrics", "clusters", "bundle"])
def test_a_group_alone_shows_its_help(aiops: Aiops, args: str) -> None:
    done = aiops(*args.split())

    assert done.returncode == 2
    assert "Usage" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "args", ["--help", "-h", "metrics --help", "metrics query --help", "version --help", "sql --help"]
)
def test_help(aiops: Aiops, args: str) -> None:
    done = aiops(*args.split())

    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout


def test_the_version(aiops: Aiops) -> None:
    assert aiops("version").stdout == f"aiops {__version__}\n"
    assert aiops("version", "-o", "json").json == {
        "apiVersion": "aiops/v1",
        "kind": "Version",
        "version": __version__,
    }


@pytest.mark.parametrize("name", ["aiops", "kubectl-aiops"])
def test_both_names_are_installed(name: str) -> None:
    program = Path(sys.executable).with_name(name)

    done = subprocess.run([program, "version"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, f"aiops {__version__}\n")


def test_debug_shows_requests_without_their_query(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"well": {"prometheus": well.url}})

    done = aiops("metrics", "query", 'up{secret="s3cr3t"}', "--debug", "-o", "name")

    assert done.returncode == 0
    assert f"GET {well.url}/api/v1/query 200 " in done.stderr
    assert "s3cr3t" not in done.stderr


def test_debug_adds_the_trace_of_an_error(aiops: Aiops) -> None:
    assert "Traceback" not in aiops("metrics", "query", "up)").stderr
    assert "Traceback" in aiops("metrics", "query", "up)", "--debug").stderr


def test_timings(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "up", "--timings", "-o", "name")

    assert done.stdout == 'well/up{job="node"}\n'
    cluster, total = done.stderr.splitlines()
    assert cluster.startswith("timing: well ") and "SUCCESS" in cluster
    assert total.startswith("timing: total ")


def test_quiet_drops_warnings_and_keeps_errors(aiops: Aiops, home: Path, well: Stub) -> None:
    well.on("/", answer(vector(({"__name__": "up", "job": "node"}, 1)) | {"warnings": ["store gone"]}))
    write_config(home, {"well": {"prometheus": well.url}, "ill": {"prometheus": dead_address()}})

    done = aiops("metrics", "query", "up", "-q", "-o", "name")

    assert (done.returncode, done.stdout) == (3, 'well/up{job="node"}\n')
    (line,) = done.stderr.splitlines()
    assert line.startswith("ill: CLUSTER_UNREACHABLE: ")


def test_a_warning_of_several_clusters_is_one_line(aiops: Aiops, home: Path, well: Stub) -> None:
    well.on("/", answer(vector(({"__name__": "up"}, 1)) | {"warnings": ["store gone"]}))
    write_config(home, {f"c{i}": {"prometheus": f"{well.url}/{i}"} for i in range(7)})

    few = aiops("metrics", "query", "up", "-c", "c1", "-c", "c2")
    all_ = aiops("metrics", "query", "up")

    assert few.stderr == "c1, c2: warning: store gone\n"
    assert all_.stderr == "c0, c1, c2, c3, c4 and 2 more: warning: store gone\n"


@pytest.mark.parametrize("args", ["metrics query up", "alerts list"])
def test_a_window_that_changes_nothing_is_told(aiops: Aiops, args: str) -> None:
    for flag in (["--since", "2m"], ["--from", "now-2m"]):
        done = aiops(*args.split(), *flag, "--bundle", "demo")

        assert done.returncode == 0
        assert f"note: {flag[0]} changes nothing here: " in done.stderr
        assert "changes nothing" not in aiops(*args.split(), "--bundle", "demo").stderr


def test_a_reader_that_has_enough_ends_it_quietly(aiops: Aiops, home: Path, stub: Stub) -> None:
    many = [({"__name__": "up", "instance": f"node-{i:06d}"}, i) for i in range(20_000)]
    stub.on("/", answer(vector(*many)))
    write_config(home, {"edge": {"prometheus": stub.url}})

    done = subprocess.run(
        f"{sys.executable} -m aiops_cli metrics query up -o name | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        cwd=home,
        check=False,
    )

    assert done.stdout == 'edge/up{instance="node-000000"}\n0\n'
    assert done.stderr == ""


def on_a_terminal(command: list[str], *, columns: int) -> str:
    """What a command writes to a terminal of that width."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux's word for the end of a terminal
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    process.wait()
    return written.decode().replace("\r\n", "\n")


def test_a_table_fits_the_terminal(home: Path, stub: Stub) -> None:
    long = "a-very-long-name-of-a-job-" * 8
    stub.on("/", answer(vector(({"job": long + "1"}, 1234567), ({"job": long + "2"}, 2))))
    write_config(home, {"edge": {"prometheus": stub.url}})

    shown = on_a_terminal([sys.executable, "-m", "aiops_cli", "metrics", "query", "up"], columns=60)

    lines = shown.replace("\r\033[K", "").splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 60
    assert lines[1].endswith("…  1.235M")


def test_progress_is_shown_on_a_terminal_and_wiped(home: Path, well: Stub) -> None:
    from tests.faults.stub import late

    well.on("/", late(answer(vector(({"job": "a"}, 1))), seconds=1.5))
    write_config(
        home,
        {"slow": {"prometheus": well.url}, "dead": {"prometheus": dead_address()}},
    )

    shown = on_a_terminal([sys.executable, "-m", "aiops_cli", "metrics", "query", "up"], columns=100)

    assert "1/2 clusters, waiting for slow" in shown
    assert "\r\033[K" in shown.split("waiting for slow", 1)[1]
