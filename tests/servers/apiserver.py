"""kube-apiserver on etcd with RBAC, and kube-controller-manager beside it where wanted.

Three ways in, one administrator each: a client certificate, a bearer token, and a token that an exec
plugin hands out. A fourth user, `viewer`, is authenticated and allowed nothing.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import sys
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import httpx2

from tests.servers.etcd import Etcd
from tests.servers.network import LOOPBACK, SERVICE_ADDRESS, free_port
from tests.servers.pki import CertificateAuthority, signing_key
from tests.servers.process import Server

ADMIN_GROUP = "system:masters"
ISSUER = "https://kubernetes.default.svc"
UserKind = Literal["certificate", "token", "exec"]
USER_KINDS: tuple[UserKind, ...] = ("certificate", "token", "exec")

EXEC_PLUGIN = """\
#!{python}
import json
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {{"token": {token!r}}}}}))
"""


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class ApiServer(Server):
    name = "apiserver"
    program = "kube-apiserver"
    max_procs = 2
    memory_limit = "512MiB"

    def __init__(self, home: Path, etcd: Etcd, *, cluster: str) -> None:
        super().__init__(home, needs=[etcd])
        self.cluster = cluster
        self.etcd = etcd
        self.port = free_port()
        self.authority = CertificateAuthority(f"{cluster} CA")
        self.admin = self.authority.client("aiops-admin", [ADMIN_GROUP])
        self.token = secrets.token_urlsafe(24)
        self.exec_token = secrets.token_urlsafe(24)
        self.viewer_token = secrets.token_urlsafe(24)
        self._pki = home / "pki"
        self.ca_file = self._pki / "ca.crt"
        self.kubeconfig = home / "kubeconfig.yaml"
        self.exec_plugin = home / "exec-plugin"

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        if self.ca_file.exists():
            return
        self._pki.mkdir(parents=True)
        serving = self.authority.server([LOOPBACK, "localhost", "kubernetes.default.svc", SERVICE_ADDRESS])
        serving.write(self._pki, "serving")
        private, public = signing_key()
        (self._pki / "service-account.key").write_bytes(private)
        (self._pki / "service-account.pub").write_bytes(public)
        users = [
            f'{self.token},aiops-token,aiops-token,"{ADMIN_GROUP}"',
            f'{self.exec_token},aiops-exec,aiops-exec,"{ADMIN_GROUP}"',
            f"{self.viewer_token},viewer,viewer,",
        ]
        (self._pki / "tokens.csv").write_text("\n".join(users) + "\n")
        self.exec_plugin.write_text(EXEC_PLUGIN.format(python=sys.executable, token=self.exec_token))
        self.exec_plugin.chmod(0o700)
        self.ca_file.write_bytes(self.authority.certificate)
        self.kubeconfig.write_text(
            json.dumps(kubeconfig_of([self.kubeconfig_parts("certificate")]), indent=2)
        )

    def command(self) -> list[str]:
        pki = self._pki
        return [
            f"--etcd-servers={self.etcd.url}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self.port}",
            f"--advertise-address={LOOPBACK}",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={pki / 'serving.crt'}",
            f"--tls-private-key-file={pki / 'serving.key'}",
            f"--client-ca-file={self.ca_file}",
            f"--token-auth-file={pki / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={pki / 'service-account.pub'}",
            f"--service-account-signing-key-file={pki / 'service-account.key'}",
            "--service-cluster-ip-range=10.96.0.0/24",
            # Pods are created by tests, without a controller that gives each namespace an account.
            "--disable-admission-plugins=ServiceAccount",
            "--profiling=false",
            "--v=0",
        ]

    @cached_property
    def _probe(self) -> httpx2.Client:
        trust = ssl.create_default_context(cadata=self.authority.certificate.decode())
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.Client(base_url=self.url, verify=trust, headers=headers, timeout=2.0, trust_env=False)

    def is_ready(self) -> bool:
        return self._probe.get("/readyz").status_code == 200

    def kubeconfig_parts(self, user: UserKind) -> tuple[dict[str, Any], dict[str, Any]]:
        """The `cluster` and `user` entries for that way in.

        The certificate user has everything inline, the others name the CA by file, as both occur.
        """
        cluster: dict[str, Any] = {"server": self.url}
        if user == "certificate":
            cluster["certificate-authority-data"] = _base64(self.authority.certificate)
            entry: dict[str, Any] = {
                "client-certificate-data": _base64(self.admin.certificate),
                "client-key-data": _base64(self.admin.key),
            }
        else:
            cluster["certificate-authority"] = str(self.ca_file)
        if user == "token":
            entry = {"token": self.token}
        elif user == "exec":
            entry = {
                "exec": {
                    "apiVersion": "client.authentication.k8s.io/v1",
                    "command": str(self.exec_plugin),
                    "interactiveMode": "Never",
                }
            }
        return ({"name": self.cluster, "cluster": cluster}, {"name": f"{self.cluster}-{user}", "user": entry})


class ControllerManager(Server):
    """Turns Deployments into ReplicaSets and Pods (which stay Pending), with the events of a rollout."""

    name = "controllers"
    program = "kube-controller-manager"
    memory_limit = "192MiB"

    def __init__(self, home: Path, apiserver: ApiServer) -> None:
        super().__init__(home, needs=[apiserver])
        self.apiserver = apiserver
        self.port = free_port()
        self.host = LOOPBACK

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    def command(self) -> list[str]:
        return [
            f"--kubeconfig={self.apiserver.kubeconfig}",
            f"--bind-address={self.host}",
            f"--secure-port={self.port}",
            f"--cert-dir={self.home / 'certs'}",
            "--leader-elect=false",
            "--controllers=deployment-controller,replicaset-controller,garbage-collector-controller,"
            "namespace-controller,statefulset-controller,daemonset-controller,job-controller",
            "--v=0",
        ]

    def is_ready(self) -> bool:
        # Its certificate is self-signed and of no interest: the endpoint says only "ok".
        return (
            httpx2.get(f"{self.url}/healthz", verify=False, timeout=1.0, trust_env=False).status_code == 200
        )


def kubeconfig_of(
    parts: list[tuple[dict[str, Any], dict[str, Any]]], *, current: str | None = None
) -> dict[str, Any]:
    """A kubeconfig with one context a cluster, named as the cluster; the first is current unless told."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster for cluster, _ in parts],
        "users": [user for _, user in parts],
        "contexts": [
            {"name": cluster["name"], "context": {"cluster": cluster["name"], "user": user["name"]}}
            for cluster, user in parts
        ],
        "current-context": current or (parts[0][0]["name"] if parts else ""),
    }
