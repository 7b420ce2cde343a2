"""Every way to log in to a real API server, and what is said when it does not work."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aiops, Clusters, Finished
from tests.faults.files import cluster_entry, write_kubeconfig
from tests.faults.stub import Stub, answer, bearer
from tests.servers.apiserver import ApiServer

VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}


@pytest.fixture
def api(clusters: Clusters) -> ApiServer:
    return clusters("east", {"apiserver"}).apiserver


def login(home: Path, api: ApiServer, user: Mapping[str, Any]) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("c", api.url, ca=api.authority.certificate)],
        users={"me": user},
        contexts={"edge": ("c", "me")},
    )


def login_to_stub(home: Path, stub: Stub, user: Mapping[str, Any]) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("c", stub.url)],
        users={"me": user},
        contexts={"edge": ("c", "me")},
    )


def health(aiops: Aiops, **env: str) -> Finished:
    return aiops("clusters", "health", "-o", "json", env=env)


def api_state(done: Finished) -> str:
    found: str = done.json["items"][0]["components"]["apiServer"]
    return found


def pem(data: bytes) -> str:
    return base64.b64encode(data).decode()


def plugin(home: Path, body: str, name: str = "plugin") -> str:
    """A credential plugin in Python; what it prints is its answer."""
    path = home / name
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\n{body}\n")
    path.chmod(0o700)
    return str(path)


def credential(version: str, **status: Any) -> str:
    document = {
        "apiVersion": f"client.authentication.k8s.io/{version}",
        "kind": "ExecCredential",
        "status": status,
    }
    return f"print(json.dumps({document!r}))"


def run_plugin(command: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    return {"exec": {"apiVersion": f"client.authentication.k8s.io/{version}", "command": command, **more}}


# What lets in


def test_a_client_certificate(aiops: Aiops, home: Path, api: ApiServer) -> None:
    login(
        home,
        api,
        {"client-certificate-data": pem(api.admin.certificate), "client-key-data": pem(api.admin.key)},
    )

    assert api_state(health(aiops)) == "OK"


def test_a_token(aiops: Aiops, home: Path, api: ApiServer) -> None:
    login(home, api, {"token": api.token})

    assert api_state(health(aiops)) == "OK"


def test_a_token_file_beside_the_kubeconfig(aiops: Aiops, home: Path, api: ApiServer) -> None:
    login(home, api, {"tokenFile": "token"})
    (home / ".kube" / "token").write_text(api.token + "\n")

    assert api_state(health(aiops)) == "OK"


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_an_exec_plugin_with_a_token(aiops: Aiops, home: Path, api: ApiServer, version: str) -> None:
    login(home, api, run_plugin(plugin(home, credential(version, token=api.exec_token)), version))

    assert api_state(health(aiops)) == "OK"


def test_an_exec_plugin_with_a_certificate(aiops: Aiops, home: Path, api: ApiServer) -> None:
    answered = credential(
        "v1",
        clientCertificateData=api.admin.certificate.decode(),
        clientKeyData=api.admin.key.decode(),
    )
    login(home, api, run_plugin(plugin(home, answered)))

    assert api_state(health(aiops)) == "OK"


def test_an_exec_plugin_by_relative_path_with_arguments_and_environment(
    aiops: Aiops, home: Path, api: ApiServer
) -> None:
    (home / ".kube").mkdir()
    plugin(
        home / ".kube",
        "assert sys.argv[1:] == ['--for', 'edge'] and os.environ['MODE'] == 'test'\n"
        + credential("v1", token=api.exec_token),
    )
    login(
        home,
        api,
        run_plugin("./plugin", args=["--for", "edge"], env=[{"name": "MODE", "value": "test"}]),
    )

    assert api_state(health(aiops)) == "OK"


def test_an_exec_plugin_is_told_of_the_cluster(aiops: Aiops, home: Path, api: ApiServer) -> None:
    told = home / "told.json"
    body = f"open({str(told)!r}, 'w').write(os.environ['KUBERNETES_EXEC_INFO'])\n"
    login(
        home,
        api,
        run_plugin(plugin(home, body + credential("v1", token=api.exec_token)), provideClusterInfo=True),
    )

    assert api_state(health(aiops)) == "OK"
    info = json.loads(told.read_text())
    assert (info["kind"], info["apiVersion"]) == ("ExecCredential", "client.authentication.k8s.io/v1")
    assert info["spec"]["interactive"] is False
    assert info["spec"]["cluster"]["server"] == api.url
    assert (
        base64.b64decode(info["spec"]["cluster"]["certificate-authority-data"]) == api.authority.certificate
    )


def test_an_exec_plugin_is_asked_once_a_run_and_again_after_a_401(
    aiops: Aiops, home: Path, stub: Stub
) -> None:
    count = home / "count"
    count.write_text("")
    body = f"open({str(count)!r}, 'a').write('x')\nn = len(open({str(count)!r}).read())\n"
    document = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": f"token-{n}"}}'
    login_to_stub(home, stub, run_plugin(plugin(home, body + f"print(json.dumps({document}))")))
    stub.on("/", bearer("token-2", answer(VERSION)))

    done = health(aiops)

    assert api_state(done) == "OK"
    assert count.read_text() == "xx"


def test_a_401_that_stays_is_not_asked_for_ever(aiops: Aiops, home: Path, stub: Stub) -> None:
    count = home / "count"
    body = f"open({str(count)!r}, 'a').write('x')\n"
    login_to_stub(home, stub, run_plugin(plugin(home, body + credential("v1", token="old"))))
    stub.on("/", answer("Unauthorized", status=401, kind="text/plain"))

    done = aiops("clusters", "discover")

    assert done.returncode == 5
    assert "edge: CREDENTIALS_INVALID: the credentials were refused (401)" in done.stderr
    assert count.read_text() == "xx"
    assert len(stub.asked) == 2


def test_a_token_file_that_was_rotated_is_read_again(aiops: Aiops, home: Path, stub: Stub) -> None:
    login_to_stub(home, stub, {"tokenFile": "token"})
    (home / ".kube" / "token").symlink_to(home / "first")
    (home / "first").write_text("old")
    stub.on("/", bearer("new", answer(VERSION)))

    refused = aiops("clusters", "discover")
    (home / "first").write_text("new")

    assert refused.returncode == 5
    assert api_state(health(aiops)) == "OK"


def test_impersonation_is_sent_and_allowed(aiops: Aiops, home: Path, api: ApiServer) -> None:
    login(home, api, {"token": api.token, "as": "viewer", "as-groups": ["system:masters"]})

    done = aiops("clusters", "discover", "-o", "json")

    assert done.returncode == 0
    assert done.json["clusters"][0]["warnings"] == []


# What does not


def test_impersonation_is_refused(aiops: Aiops, home: Path, api: ApiServer) -> None:
    login(home, api, {"token": api.viewer_token, "as": "somebody"})

    done = aiops("clusters", "discover")

    assert done.returncode == 5
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("edge: ")]
    assert line.startswith("edge: FORBIDDEN: ")
    assert "impersonate" in line


def test_a_wrong_token(aiops: Aiops, home: Path, api: ApiServer) -> None:
    login(home, api, {"token": "wrong-token"})

    done = aiops("clusters", "discover")

    assert done.returncode == 5
    assert "edge: CREDENTIALS_INVALID: the credentials were refused (401)" in done.stderr
    assert "wrong-token" not in done.stderr


def test_somebody_who_may_see_nothing(aiops: Aiops, home: Path, api: ApiServer) -> None:
    login(home, api, {"token": api.viewer_token})

    done = aiops("clusters", "discover")

    assert "403" in done.stderr
    assert "Traceback" not in done.stderr


REFUSED = {
    "basic auth": ({"username": "me", "password": "hunter2"}, "basic auth, which Kubernetes removed in 1.19"),
    "auth-provider": (
        {"auth-provider": {"name": "gcp"}},
        "a legacy auth-provider, which kubectl removed in 1.26; use an exec plugin",
    ),
}


@pytest.mark.parametrize(("user", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_kind_of_login_that_is_gone(
    aiops: Aiops, home: Path, stub: Stub, user: Mapping[str, Any], reason: str
) -> None:
    login_to_stub(home, stub, user)

    done = aiops("clusters", "discover")

    assert done.returncode == 5
    assert f"edge: CREDENTIALS_INVALID: user 'me' uses {reason}" in done.stderr
    assert "use a certificate, a token or an exec plugin" in done.stderr
    assert "hunter2" not in done.stderr
    assert stub.asked == []


BAD_PLUGINS = {
    "prints nothing": ("pass", "printed no ExecCredential", "run it by hand"),
    "prints no JSON": ("print('logged in!')", "printed no ExecCredential", "run it by hand"),
    "prints a list": ("print([])", "printed no ExecCredential", "run it by hand"),
    "fails": ("sys.exit('please log in')", "failed with exit code 1", "run it by hand"),
    "another version": (credential("v1beta1", token="t"), "answered apiVersion", "set exec.apiVersion"),
    "nothing to show": (credential("v1"), "gave neither token nor certificate", "run it by hand"),
    "a token that is none": (credential("v1", token={"a": 1}), "printed no ExecCredential", "run it by hand"),
    "a status that is none": (
        'print(\'{"apiVersion": "client.authentication.k8s.io/v1", "status": "fine"}\')',
        "printed no ExecCredential",
        "run it by hand",
    ),
    "a time that is none": (
        credential("v1", token="t", expirationTimestamp="soon"),
        "expirationTimestamp 'soon'",
        "run it by hand",
    ),
    "a token of two lines": (
        credential("v1", token="sec\nret"),
        "the token holds a line break",
        "write it again",
    ),
}


@pytest.mark.parametrize(("body", "said", "advice"), BAD_PLUGINS.values(), ids=BAD_PLUGINS.keys())
def test_a_bad_plugin_is_told_apart(
    aiops: Aiops, home: Path, stub: Stub, body: str, said: str, advice: str
) -> None:
    login_to_stub(home, stub, run_plugin(plugin(home, body)))

    done = aiops("clusters", "discover")

    assert done.returncode == 5
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
    line = next(line for line in done.stderr.splitlines() if line.startswith("edge: CREDENTIALS_INVALID: "))
    assert said in line and advice in line
    assert stub.asked == []


def test_a_plugin_that_is_not_installed_shows_its_install_hint(aiops: Aiops, home: Path, stub: Stub) -> None:
    hint = "Install it with:\n\n  corp-tool install corp-login\n"
    login_to_stub(home, stub, run_plugin("corp-login", installHint=hint))

    done = aiops("clusters", "discover")

    assert done.returncode == 5
    assert "exec plugin corp-login is not installed" in done.stderr
    assert "corp-tool install corp-login" in done.stderr


def test_a_plugin_that_may_not_be_run(aiops: Aiops, home: Path, stub: Stub) -> None:
    path = home / "plugin"
    path.write_text("#!/bin/sh\n")
    login_to_stub(home, stub, run_plugin(str(path)))

    done = aiops("clusters", "discover")

    assert done.returncode == 5
    assert f"exec plugin {path} can't be run: Permission denied" in done.stderr


def test_a_plugin_that_needs_a_terminal(aiops: Aiops, home: Path, stub: Stub) -> None:
    login_to_stub(home, stub, run_plugin(plugin(home, ""), interactiveMode="Always"))

    done = aiops("clusters", "discover")

    assert done.returncode == 5
    assert "needs a terminal" in done.stderr


def test_a_token_file_that_is_not_there(aiops: Aiops, home: Path, stub: Stub) -> None:
    login_to_stub(home, stub, {"tokenFile": "gone"})

    done = aiops("clusters", "discover")

    assert done.returncode == 5
    assert f"token file {home / '.kube' / 'gone'} can't be read" in done.stderr


def test_a_certificate_of_somebody_else(aiops: Aiops, home: Path, api: ApiServer, clusters: Clusters) -> None:
    stranger = clusters("west", {"apiserver"}).apiserver.admin
    login(
        home,
        api,
        {"client-certificate-data": pem(stranger.certificate), "client-key-data": pem(stranger.key)},
    )

    done = aiops("clusters", "discover")

    assert done.returncode == 5
    assert "edge: CREDENTIALS_INVALID" in done.stderr


def test_a_key_that_does_not_belong_to_the_certificate(aiops: Aiops, home: Path, api: ApiServer) -> None:
    other = api.authority.client("somebody")
    login(
        home, api, {"client-certificate-data": pem(api.admin.certificate), "client-key-data": pem(other.key)}
    )

    done = aiops("clusters", "discover")

    assert done.returncode == 4
    assert "edge: TLS_FAILED" in done.stderr
    assert "belong together" in done.stderr


@pytest.mark.parametrize(("name", "state"), [("kubernetes.default.svc", "OK"), ("other.example", "DOWN")])
def test_the_name_that_the_certificate_is_checked_for(
    aiops: Aiops, home: Path, api: ApiServer, name: str, state: str
) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("c", api.url, ca=api.authority.certificate, more={"tls-server-name": name})],
        users={"me": {"token": api.token}},
        contexts={"edge": ("c", "me")},
    )

    done = health(aiops)

    assert api_state(done) == state
    assert ("for another name" in done.stderr) is (state == "DOWN")


def test_an_insecure_cluster(aiops: Aiops, home: Path, api: ApiServer) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("c", api.url, more={"insecure-skip-tls-verify": True})],
        users={"me": {"token": api.token}},
        contexts={"edge": ("c", "me")},
    )

    assert api_state(health(aiops)) == "OK"
