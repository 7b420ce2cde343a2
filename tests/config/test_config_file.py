"""The config file: what is wrong in it is named with file, key and fix, before anything is asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Aiops, Finished
from tests.faults.files import config_path, write_config
from tests.faults.stub import Stub


def refused(done: Finished) -> tuple[str, str]:
    """The error and the hint of a command that did nothing but say them."""
    assert done.returncode == 2
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint: ")
    return error, hint


WRONG = {
    "broken TOML": ('[clusters.edge\nx = "1"\n', r"no valid TOML: .*line 1", "syntax"),
    "unknown table": ("[cluster.edge]\n", "unknown key 'cluster'", "did you mean 'clusters'?"),
    "unknown key": ("[defaults]\ntimeuot = 3\n", "unknown key 'defaults.timeuot'", "did you mean 'timeout'?"),
    "unknown endpoint": (
        '[clusters.edge.endpoints]\nprometeus = "http://x"\n',
        "unknown key 'clusters.edge.endpoints.prometeus'",
        "did you mean 'prometheus'?",
    ),
    "unknown key of an endpoint": (
        '[clusters.edge.endpoints]\nloki = { url = "http://x", tennant = "a" }\n',
        "unknown key 'clusters.edge.endpoints.loki.tennant'",
        "did you mean 'tenant'?",
    ),
    "key like no other": (
        "[defaults]\nqqq = 3\n",
        "unknown key 'defaults.qqq'",
        "known keys here: contexts, ",
    ),
    "wrong type": ('[defaults]\ntimeout = "soon"\n', "defaults.timeout: ", "docs/configuration.md"),
    "out of range": ("[defaults]\ntimeout = 3000\n", "defaults.timeout: ", "docs/configuration.md"),
    "no URL": ('[clusters.edge.endpoints]\nloki = "logs.example"\n', "no http:// or https:// URL", "docs/"),
    "no host": ('[clusters.edge.endpoints]\nloki = "https://[::1"\n', "names no host", "docs/"),
    "no port": ('[clusters.edge.endpoints]\nloki = "https://logs:99999"\n', "no port that there is", "docs/"),
    "password in a URL": (
        '[clusters.edge.endpoints]\nloki = "https://me:hunter2@logs.example"\n',
        "must not carry a password",
        "docs/",
    ),
}


@pytest.mark.parametrize(("text", "said", "advice"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named(aiops: Aiops, home: Path, text: str, said: str, advice: str) -> None:
    path = config_path(home)
    path.write_text(text)

    done = aiops("metrics", "query", "up")
    error, hint = refused(done)

    assert str(path) in error
    assert re.search(said, error)
    assert advice in hint
    assert "hunter2" not in done.stderr


def test_validate_says_the_same_and_exits_with_2(aiops: Aiops, home: Path) -> None:
    config_path(home).write_text("[defaults]\ntimeuot = 3\n")

    assert "did you mean 'timeout'?" in refused(aiops("config", "validate"))[1]


def test_a_valid_file_is_said_to_be_valid(aiops: Aiops, home: Path) -> None:
    path = config_path(home)
    path.write_text("[defaults]\ntimeout = 3\n")

    done = aiops("config", "validate")

    assert (done.returncode, done.stdout) == (0, f"{path}: valid\n")


def test_nothing_needs_a_config_file(aiops: Aiops, home: Path) -> None:
    assert aiops("config", "validate").stdout == "no config file: valid\n"
    assert aiops("config", "path").stdout == f"{config_path(home)}\n"


@pytest.mark.parametrize("how", ["--config", "AIOPS_CONFIG"])
def test_a_named_file_must_exist(aiops: Aiops, home: Path, how: str) -> None:
    gone = str(home / "gone.toml")
    env = {"AIOPS_CONFIG": gone} if how == "AIOPS_CONFIG" else {}

    error, hint = refused(
        aiops("config", "view", *(["--config", gone] if how == "--config" else []), env=env)
    )

    assert "gone.toml does not exist" in error
    assert "--config" in hint


def test_the_flag_wins_over_the_environment_and_that_over_the_default(aiops: Aiops, home: Path) -> None:
    files = {name: home / f"{name}.toml" for name in ("flag", "environment")}
    for number, path in enumerate(files.values(), 1):
        path.write_text(f"[defaults]\ntimeout = {number}\n")
    config_path(home).write_text("[defaults]\ntimeout = 9\n")
    env = {"AIOPS_CONFIG": str(files["environment"])}

    assert "timeout: 1.0" in aiops("config", "view", "--config", str(files["flag"]), env=env).stdout
    assert "timeout: 2.0" in aiops("config", "view", env=env).stdout
    assert "timeout: 9.0" in aiops("config", "view").stdout


def test_a_file_in_another_encoding(aiops: Aiops, home: Path) -> None:
    config_path(home).write_bytes(b"# caf\xe9\n")

    error, hint = refused(aiops("config", "view"))

    assert "can't be read" in error
    assert "encoding" in hint


def test_a_folder_in_place_of_the_file(aiops: Aiops, home: Path) -> None:
    config_path(home).mkdir()

    assert "can't be read" in refused(aiops("config", "view"))[0]


def test_header_values_are_not_shown(aiops: Aiops, home: Path) -> None:
    url = '{ url = "http://p.example", headers = { Authorization = "Basic c2VjcmV0" } }'
    write_config(home, {"edge": {"prometheus": url}})

    for output in ("table", "json", "yaml"):
        shown = aiops("config", "view", "-o", output).stdout
        assert "Authorization" in shown
        assert "c2VjcmV0" not in shown


def test_a_cluster_of_the_config_alone_is_asked(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"edge-7": {"prometheus": f"{well.url}/tenant/a/"}})

    done = aiops("metrics", "query", "up", "-o", "name")

    assert (done.returncode, done.stdout) == (0, 'edge-7/up{job="node"}\n')
    assert well.paths() == ["/tenant/a/api/v1/query"]


def test_tenant_and_headers_are_sent(aiops: Aiops, home: Path, well: Stub) -> None:
    table = f'{{ url = "{well.url}", tenant = "team-a", headers = {{ X-Team = "core" }} }}'
    write_config(home, {"edge": {"prometheus": table}})

    aiops("metrics", "query", "up")

    (asked,) = well.asked
    assert (asked.headers["x-scope-orgid"], asked.headers["x-team"]) == ("team-a", "core")


def test_a_header_that_can_not_be_sent(aiops: Aiops, home: Path, well: Stub) -> None:
    table = f'{{ url = "{well.url}", headers = {{ X-Team = "se\\ncret" }} }}'
    write_config(home, {"edge": {"prometheus": table}})

    done = aiops("metrics", "query", "up")

    assert done.returncode == 5
    assert "the X-Team header holds a line break" in done.stderr
    assert "cret" not in done.stderr
    assert well.asked == []


def test_a_ca_file_is_looked_for_beside_the_config(aiops: Aiops, home: Path) -> None:
    path = write_config(home, {"edge": {"prometheus": '{ url = "https://127.0.0.1:1", ca_file = "ca.pem" }'}})

    assert f"ca_file {path.parent / 'ca.pem'} can't be read" in aiops("metrics", "query", "up").stderr


def test_named_queries_of_the_config(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"edge": {"prometheus": well.url}}, '[queries]\nmine = "sum(up)"\n')

    assert aiops("metrics", "query", "@mine").returncode == 0
    assert well.asked[0].params["query"] == "sum(up)"

    error, hint = refused(aiops("metrics", "query", "@minee"))
    assert "unknown named query @minee" in error
    assert "did you mean @mine?" in hint
