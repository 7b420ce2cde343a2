"""Secrets planted wherever aiops reads them are found in nothing that it writes."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aiops, Clusters, Finished
from tests.faults.files import cluster_entry, everything_under, write_config, write_kubeconfig
from tests.faults.fixtures import HOUR, Here, hour
from tests.faults.stub import Behaviour, Stub, answer
from tests.servers.pki import CertificateAuthority


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


EXEC_TOKEN = "exec-token-9Zr4"
SECRETS = {
    "kubeconfig token": "kubeconfig-token-7Hq2",
    "token of an exec plugin": EXEC_TOKEN,
    "header of the config": "header-secret-3Xw8",
    "token file": "file-token-5Lm1",
    "basic auth password": "password-6Np0",
}
COMMANDS = [
    ("metrics", "range", "up", *HOUR),
    ("metrics", "query", "up", "-o", "json"),
    ("clusters", "list", "-o", "json"),
    ("clusters", "show", "*", "-o", "yaml"),
    ("clusters", "discover", "-o", "wide"),
    ("clusters", "health", "-o", "json"),
    ("clusters", "label", "by-token", "team=core"),
    ("config", "view", "-o", "json"),
    ("alerts", "list", "-o", "json"),
    ("logs", "query", '{job="x"}'),
    ("traces", "search"),
    ("anomalies", "detect", "--since", "10m"),
    ("rca", "analyze", "--since", "10m"),
    ("report", "generate", "--since", "10m"),
    ("bundle", "record", "incident.aiops", "--since", "10m"),
    ("cache", "info"),
]


class Planted:
    """A fleet of every kind of login; `found` tells which secrets stand in some bytes."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        client = CertificateAuthority().client("me")
        self._key = client.key.decode().splitlines()[1]
        self._key_data = base64.b64encode(client.key).decode()
        plugin = home / "plugin"
        plugin.write_text(
            f"#!{sys.executable}\nprint('''"
            '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", '
            f'"status": {{"token": "{EXEC_TOKEN}"}}}}'
            "''')\n"
        )
        plugin.chmod(0o700)
        (home / "token").write_text(SECRETS["token file"])
        users: dict[str, dict[str, Any]] = {
            "by-token": {"token": SECRETS["kubeconfig token"]},
            "by-exec": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}},
            "by-file": {"tokenFile": str(home / "token")},
            "by-password": {"username": "me", "password": SECRETS["basic auth password"]},
            "by-key": {
                "client-certificate-data": base64.b64encode(client.certificate).decode(),
                "client-key-data": self._key_data,
            },
        }
        write_kubeconfig(
            home / ".kube" / "config",
            clusters=[cluster_entry(name, f"{url}/{name}") for name in users],
            users=users,
            contexts={name: (name, name) for name in users},
        )
        table = f'{{ url = "{url}/by-header", headers = {{ Authorization = "Basic {SECRETS["header of the config"]}" }} }}'
        write_config(home, {"by-header": {"prometheus": table, "loki": table, "alertmanager": table}})

    def found(self, data: bytes) -> list[str]:
        secrets = SECRETS | {"client key": self._key, "client key in base64": self._key_data[:64]}
        return [
            name
            for name, secret in secrets.items()
            if any(
                form in data
                for form in (secret.encode(), base64.b64encode(secret.encode()), secret.encode("utf-16-le"))
            )
        ]


def written(done: Finished) -> bytes:
    return (done.stdout + done.stderr).encode()


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(hour()),
        answer({"kind": "Status", "message": "no", "code": 403}, status=403),
        answer("Unauthorized", status=401, kind="text/plain"),
        answer("<html>", kind="text/html", status=500),
    ],
    ids=["answers", "403", "401", "500"],
)
def test_no_secret_is_written(aiops: Aiops, home: Path, stub: Stub, behaviour: Behaviour) -> None:
    planted = Planted(home, stub.url)
    stub.on("/", behaviour)
    before = {path for path in home.rglob("*") if path.is_file()}
    leaks: dict[str, list[str]] = {}

    for command in COMMANDS:
        done = aiops(*command, "--debug", "--timings", timeout=120)
        if found := planted.found(written(done)):
            leaks[" ".join(command)] = found
        assert "internal error" not in done.stderr, command

    sent = {asked.headers.get("authorization", "") for asked in stub.asked}
    assert f"Bearer {SECRETS['kubeconfig token']}" in sent  # else nothing was tried
    assert f"Bearer {EXEC_TOKEN}" in sent
    assert f"Basic {SECRETS['header of the config']}" in sent
    assert leaks == {}
    for path in sorted(set(home.rglob("*")) - before):
        if path.is_file():
            assert planted.found(str(path).encode() + path.read_bytes()) == [], path


def test_what_a_real_server_sees_and_what_is_kept_of_it(aiops: Aiops, home: Path, clusters: Clusters) -> None:
    """The administrator's token of a real API server, through discovery and health."""
    api = clusters("east", {"apiserver"}).apiserver
    write_kubeconfig(
        home / "kubeconfig",
        clusters=[cluster_entry("c", api.url, ca=api.authority.certificate)],
        users={"me": {"token": api.token}},
        contexts={"east": ("c", "me")},
    )
    env = {"KUBECONFIG": str(home / "kubeconfig")}

    for command in (
        ("clusters", "discover"),
        ("clusters", "health"),
        ("clusters", "show", "east", "-o", "json"),
    ):
        done = aiops(*command, "--debug", env=env)
        assert done.returncode == 0
        assert api.token not in done.stdout + done.stderr
    for folder in ("data", "cache", "state"):
        if (home / folder).exists():
            assert api.token.encode() not in everything_under(home / folder)


def test_files_are_for_their_owner_alone(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/", answer(hour()))
    write_config(home, {"a": {"prometheus": stub.url}})
    aiops("metrics", "range", "up", *HOUR)
    aiops("clusters", "label", "a", "team=core")

    made = [p for name in ("cache", "data") for p in (home / name).rglob("*")]
    assert made
    assert [p for p in made if p.stat().st_mode & 0o077] == []
