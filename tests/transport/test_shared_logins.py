"""Logins that many clusters share, several groups to impersonate, and keys that want a passphrase."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.conftest import Aiops, Clusters
from tests.faults.files import write_kubeconfig
from tests.faults.fixtures import Serve
from tests.faults.stub import answer, bearer
from tests.transport.test_credentials import (
    VERSION,
    api_state,
    cluster_entry,
    credential,
    health,
    login,
    login_to_stub,
    plugin,
    run_plugin,
)


def states(aiops: Aiops, home: Path, stubs: Serve, user: dict[str, object], token: str) -> dict[str, str]:
    """The health of five clusters that share a user and take that token."""
    servers = [stubs() for _ in range(5)]
    for server in servers:
        server.on("/", bearer(token, answer(VERSION)))
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry(f"c{i}", server.url) for i, server in enumerate(servers)],
        users={"me": user},
        contexts={f"edge{i}": (f"c{i}", "me") for i in range(5)},
    )
    return {item["cluster"]: item["components"]["apiServer"] for item in health(aiops).json["items"]}


def counting(home: Path, rest: str) -> tuple[str, Path]:
    count = home / "count"
    count.write_text("")
    body = f"open({str(count)!r}, 'a').write('x')\nn = len(open({str(count)!r}).read())\n"
    return plugin(home, body + rest), count


def test_a_plugin_is_run_once_for_all_clusters(aiops: Aiops, home: Path, stubs: Serve) -> None:
    command, count = counting(home, credential("v1", token="t"))

    found = states(aiops, home, stubs, run_plugin(command), "t")

    assert set(found.values()) == {"OK"} and len(found) == 5
    assert count.read_text() == "x"


def test_a_login_that_all_refuse_is_renewed_once(aiops: Aiops, home: Path, stubs: Serve) -> None:
    document = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": f"token-{n}"}}'
    command, count = counting(home, f"print(json.dumps({document}))")

    found = states(aiops, home, stubs, run_plugin(command), "token-2")

    assert set(found.values()) == {"OK"} and len(found) == 5
    assert count.read_text() == "xx"


def test_a_plugin_that_fails_is_run_once_and_fails_all(aiops: Aiops, home: Path, stubs: Serve) -> None:
    command, count = counting(home, "sys.exit(1)")

    found = states(aiops, home, stubs, run_plugin(command), "t")

    assert "OK" not in found.values() and len(found) == 5
    assert count.read_text() == "x"


def test_a_plugin_that_is_told_of_the_cluster_is_run_for_each(aiops: Aiops, home: Path, stubs: Serve) -> None:
    command, count = counting(home, credential("v1", token="t"))

    found = states(aiops, home, stubs, run_plugin(command, provideClusterInfo=True), "t")

    assert set(found.values()) == {"OK"}
    assert count.read_text() == "xxxxx"


def test_a_slow_login_takes_nothing_of_the_querys_time(aiops: Aiops, home: Path, stubs: Serve) -> None:
    stub = stubs()
    stub.on("/", bearer("t", answer(VERSION)))
    slow = "import time\ntime.sleep(1.5)\n"  # longer than the limit is the fault itself
    login_to_stub(home, stub, run_plugin(plugin(home, slow + credential("v1", token="t"))))

    done = aiops("clusters", "health", "-o", "json", "--timeout", "1s")

    assert api_state(done) == "OK"


def test_every_group_is_impersonated(aiops: Aiops, home: Path, clusters: Clusters) -> None:
    api = clusters("east", {"apiserver"}).apiserver
    groups = ["system:masters", "others"]
    user = {"token": api.token, "as": "somebody", "as-groups": groups}
    login(home, api, user | {"as-uid": "u-1", "as-user-extra": {"Example.org/Why Not": ["a", "b"]}})

    done = aiops("clusters", "discover", "-o", "json")

    assert done.returncode == 0
    assert done.json["clusters"][0]["warnings"] == []


def test_groups_without_a_user_say_nothing(aiops: Aiops, home: Path, clusters: Clusters) -> None:
    api = clusters("east", {"apiserver"}).apiserver
    login(home, api, {"token": api.token, "as-groups": ["others"]})

    assert api_state(health(aiops)) == "OK"


def test_an_encrypted_key_is_named_and_nobody_is_asked(aiops: Aiops, home: Path, clusters: Clusters) -> None:
    api = clusters("east", {"apiserver"}).apiserver
    encrypted = load_pem_private_key(api.admin.key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")
    )
    user = {
        "client-certificate-data": base64.b64encode(api.admin.certificate).decode(),
        "client-key-data": base64.b64encode(encrypted).decode(),
    }
    login(home, api, user)

    done = aiops("clusters", "discover")

    assert done.returncode == 4
    assert "edge: TLS_FAILED: the client key is encrypted" in done.stderr
