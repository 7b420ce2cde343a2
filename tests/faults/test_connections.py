"""Servers that can't be reached, or not be trusted; the others' answers are shown all the same."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Aiops, Clusters, Finished
from tests.faults.files import write_config
from tests.faults.fixtures import Here
from tests.faults.stub import Stub, answer, black_hole, dead_address, serve, server_tls, vector
from tests.servers.binaries import MissingServer
from tests.servers.pki import CertificateAuthority, Credential
from tests.servers.prometheus import Prometheus


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


ONE = vector(({"__name__": "up", "job": "safe"}, 1))


def of(done: Finished, cluster: str) -> dict[str, object]:
    (status,) = [c for c in done.json["clusters"] if c["name"] == cluster]
    found: dict[str, object] = status["error"] or {}
    return found | {"status": status["status"]}


def line_of(done: Finished, cluster: str) -> str:
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(f"{cluster}: ")]
    return line


def test_a_dead_host(aiops: Aiops, home: Path, well: Stub) -> None:
    dead = dead_address()
    write_config(home, {"dead": {"prometheus": dead}, "well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "up", "-o", "json")

    assert done.returncode == 3
    assert [i["cluster"] for i in done.json["items"]] == ["well"]
    assert of(done, "dead") == {
        "code": "CLUSTER_UNREACHABLE",
        "message": "could not connect: connection refused",
        "hint": "check that the server is up and the address is right",
        "endpoint": dead,
        "status": "ERROR",
    }
    assert line_of(done, "dead").endswith("check that the server is up and the address is right")


def test_a_name_that_nobody_knows(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(
        home, {"typo": {"prometheus": "http://no-such.invalid:9090"}, "well": {"prometheus": well.url}}
    )

    done = aiops("metrics", "query", "up", "-o", "json")

    assert done.returncode == 3
    assert of(done, "typo")["code"] == "CLUSTER_UNREACHABLE"
    assert of(done, "typo")["hint"] == "check the host name and DNS"


@pytest.mark.parametrize(
    "host", ["a..b", "x" * 70 + ".example", "[::1", "prom example", "-", "%zz", "prom:x"]
)
def test_a_host_that_can_be_none(aiops: Aiops, home: Path, well: Stub, host: str) -> None:
    write_config(home, {"typo": {"prometheus": f"http://{host}"}, "well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "up", "-o", "name")

    assert "internal error" not in done.stderr and "Traceback" not in done.stderr
    if done.returncode == 2:  # the config is refused as a whole
        assert "clusters.typo.endpoints.prometheus" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (3, 'well/up{job="node"}\n')
        assert line_of(done, "typo")


@pytest.mark.parametrize("timeout", ["1s", "1"])
def test_a_black_hole_costs_one_timeout(aiops: Aiops, home: Path, well: Stub, timeout: str) -> None:
    with black_hole() as url:
        write_config(home, {"hole": {"prometheus": url}, "well": {"prometheus": well.url}})
        done = aiops("metrics", "query", "up", "--timeout", timeout, "-o", "json", timeout=20)

    assert done.returncode == 3
    assert [i["cluster"] for i in done.json["items"]] == ["well"]
    hole = of(done, "hole")
    assert (hole["status"], hole["endpoint"]) == ("TIMEOUT", url)
    assert hole["code"] in ("CONNECT_TIMEOUT", "QUERY_TIMEOUT")
    assert "within 1 s" in line_of(done, "hole")


HANGING_LOOKUPS = """
import socket, threading
real = socket.getaddrinfo
def lookup(host, *args, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    if name.endswith(".hangs.example"):
        threading.Event().wait()
    return real("127.0.0.1" if name == "well.example" else host, *args, **kwargs)
socket.getaddrinfo = lookup
"""


def test_names_whose_lookup_hangs_hold_nobody_up(home: Path, well: Stub) -> None:
    """As with a VPN down; more of them than a pool of threads would hold, and before the good one."""
    (home / "sitecustomize.py").write_text(HANGING_LOOKUPS)
    hanging = {f"c{n:02d}": {"prometheus": f"http://c{n}.hangs.example"} for n in range(40)}
    write_config(home, hanging | {"well": {"prometheus": well.url.replace("127.0.0.1", "well.example")}})

    done = Aiops(home)(
        *("metrics", "query", "up", "--timeout", "2s", "-o", "name"),
        env={"PYTHONPATH": str(home)},
        timeout=30,
    )

    assert (done.returncode, done.stdout) == (3, 'well/up{job="node"}\n')
    lines = done.stderr.splitlines()
    assert len(lines) == 40
    assert all("within 2 s" in line for line in lines)


def test_nothing_at_all_answers(aiops: Aiops, home: Path) -> None:
    write_config(home, {"one": {"prometheus": dead_address()}, "two": {"prometheus": dead_address()}})

    done = aiops("metrics", "query", "up")

    assert done.returncode == 4
    assert done.stdout == ""
    assert line_of(done, "one") and line_of(done, "two")
    assert "Traceback" not in done.stderr


def test_a_real_server_killed_in_the_middle_of_a_session(
    aiops: Aiops, clusters: Clusters, home: Path
) -> None:
    one, two = (clusters(name, {"prometheus"}) for name in ("lab1", "lab2"))
    write_config(home, {c.name: {"prometheus": c.prometheus.url} for c in (one, two)})
    two.prometheus.kill()

    done = aiops("metrics", "query", "vector(1)", "-o", "json")

    assert done.returncode == 3
    assert [i["cluster"] for i in done.json["items"]] == ["lab1"]
    assert of(done, "lab2")["code"] == "CLUSTER_UNREACHABLE"


def test_a_real_server_that_hangs(aiops: Aiops, clusters: Clusters, home: Path) -> None:
    one, two = (clusters(name, {"prometheus"}) for name in ("lab1", "lab2"))
    write_config(home, {c.name: {"prometheus": c.prometheus.url} for c in (one, two)})
    two.prometheus.pause()

    done = aiops("metrics", "query", "vector(1)", "--timeout", "1s", "-o", "json")

    assert done.returncode == 3
    assert [i["cluster"] for i in done.json["items"]] == ["lab1"]
    assert (of(done, "lab2")["status"], of(done, "lab2")["code"]) == ("TIMEOUT", "QUERY_TIMEOUT")


class Secure:
    """HTTPS stubs of one authority, and its certificate in a file."""

    def __init__(self, home: Path, running: ExitStack) -> None:
        self.authority = CertificateAuthority()
        self.ca = home / "ca.pem"
        self.ca.write_bytes(self.authority.certificate)
        self._running = running

    def start(self, credential: Credential | None = None) -> Stub:
        shown = credential or self.authority.server(["127.0.0.1"])
        stub = self._running.enter_context(serve(tls=server_tls(shown)))
        stub.on("/", answer(ONE))
        return stub


@pytest.fixture
def secure(home: Path) -> Iterator[Secure]:
    with ExitStack() as running:
        yield Secure(home, running)


def ask_with_ca(aiops: Aiops, home: Path, url: str, ca: Path, well: Stub) -> Finished:
    write_config(
        home,
        {
            "tls": {"prometheus": f"{{ url = {json.dumps(url)}, ca_file = {json.dumps(str(ca))} }}"},
            "well": {"prometheus": well.url},
        },
    )
    return aiops("metrics", "query", "up", "-o", "json")


def test_the_right_ca_lets_in(aiops: Aiops, home: Path, secure: Secure, well: Stub) -> None:
    done = ask_with_ca(aiops, home, secure.start().url, secure.ca, well)

    assert done.returncode == 0
    assert [i["cluster"] for i in done.json["items"]] == ["tls", "well"]


def test_a_wrong_ca(aiops: Aiops, home: Path, secure: Secure, well: Stub) -> None:
    other = home / "other.pem"
    other.write_bytes(CertificateAuthority("somebody else").certificate)

    done = ask_with_ca(aiops, home, secure.start().url, other, well)

    assert done.returncode == 3
    assert [i["cluster"] for i in done.json["items"]] == ["well"]
    assert of(done, "tls")["code"] == "TLS_FAILED"
    assert "not trusted" in line_of(done, "tls") and "ca_file" in line_of(done, "tls")


def test_an_unknown_ca_without_any_setting(aiops: Aiops, home: Path, secure: Secure) -> None:
    write_config(home, {"tls": {"prometheus": secure.start().url}})

    done = aiops("metrics", "query", "up")

    assert done.returncode == 4
    assert "tls: TLS_FAILED: the certificate is not trusted" in done.stderr


def test_an_expired_certificate(aiops: Aiops, home: Path, secure: Secure, well: Stub) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    stub = secure.start(secure.authority.server(["127.0.0.1"], not_after=yesterday))

    done = ask_with_ca(aiops, home, stub.url, secure.ca, well)

    assert done.returncode == 3
    assert [i["cluster"] for i in done.json["items"]] == ["well"]
    assert of(done, "tls")["code"] == "TLS_FAILED"
    assert "the certificate has expired" in line_of(done, "tls")
    assert "renew the certificate" in line_of(done, "tls")


def test_a_certificate_for_another_name(aiops: Aiops, home: Path, secure: Secure, well: Stub) -> None:
    stub = secure.start(secure.authority.server(["prom.example"]))

    done = ask_with_ca(aiops, home, stub.url, secure.ca, well)

    assert of(done, "tls")["code"] == "TLS_FAILED"
    assert "for another name" in line_of(done, "tls")


def test_an_insecure_endpoint_answers_and_is_warned_about(aiops: Aiops, home: Path, secure: Secure) -> None:
    url = secure.start().url
    write_config(home, {"tls": {"prometheus": f'{{ url = "{url}", insecure = true }}'}})

    done = aiops("metrics", "query", "up", "-o", "name")

    assert (done.returncode, done.stdout) == (0, 'tls/up{job="safe"}\n')
    assert "tls" in done.stderr and "not verified" in done.stderr


def test_a_ca_file_that_is_not_there(aiops: Aiops, home: Path, secure: Secure, well: Stub) -> None:
    done = ask_with_ca(aiops, home, secure.start().url, home / "gone.pem", well)

    assert done.returncode == 3
    assert [i["cluster"] for i in done.json["items"]] == ["well"]
    assert "gone.pem can't be read" in line_of(done, "tls")
    assert "fix the path" in line_of(done, "tls")


def test_a_ca_file_that_is_no_certificate(aiops: Aiops, home: Path, secure: Secure, well: Stub) -> None:
    junk = home / "junk.pem"
    junk.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\xff")

    done = ask_with_ca(aiops, home, secure.start().url, junk, well)

    assert done.returncode == 3
    assert of(done, "tls")["code"] == "TLS_FAILED"
    assert "PEM" in line_of(done, "tls")


def test_a_plain_server_behind_https(aiops: Aiops, home: Path, clusters: Clusters) -> None:
    plain = clusters("lab1", {"prometheus"}).prometheus
    write_config(home, {"plain": {"prometheus": plain.url.replace("http:", "https:")}})

    done = aiops("metrics", "query", "up")

    assert done.returncode == 4
    assert "plain: TLS_FAILED" in done.stderr
    assert "scheme and port" in done.stderr


def test_a_secure_server_behind_http(aiops: Aiops, home: Path, secure: Secure) -> None:
    write_config(home, {"tls": {"prometheus": secure.start().url.replace("https:", "http:")}})

    done = aiops("metrics", "query", "up")

    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert line_of(done, "tls")


class MutualPrometheus(Prometheus):
    """A Prometheus that lets in only who shows a certificate of its authority."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, cluster="mutual")
        self.authority = CertificateAuthority()
        self.visitor = self.authority.client("aiops-tests")

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    def prepare(self) -> None:
        super().prepare()
        certificate, key = self.authority.server([self.host]).write(self.home, "serving")
        ca = self.home / "ca.crt"
        ca.write_bytes(self.authority.certificate)
        tls = {
            "cert_file": str(certificate),
            "key_file": str(key),
            "client_ca_file": str(ca),
            "client_auth_type": "RequireAndVerifyClientCert",
        }
        (self.home / "web.yml").write_text(json.dumps({"tls_server_config": tls}))

    def command(self) -> list[str]:
        return [*super().command(), f"--web.config.file={self.home / 'web.yml'}"]

    def is_ready(self) -> bool:
        trust = ssl.create_default_context(cadata=self.authority.certificate.decode())
        trust.load_cert_chain(*self.visitor.write(self.home, "visitor"))
        return httpx2.get(f"{self.url}/-/ready", verify=trust, timeout=1, trust_env=False).status_code == 200


@pytest.fixture
def mutual(tmp_path: Path) -> Iterator[MutualPrometheus]:
    server = MutualPrometheus(tmp_path / "mutual")
    try:
        server.start()
        yield server
    except MissingServer as error:
        pytest.skip(str(error))
    finally:
        server.stop()


def test_a_server_that_wants_a_client_certificate_and_gets_none(
    aiops: Aiops, home: Path, mutual: MutualPrometheus, well: Stub
) -> None:
    ca = home / "ca.pem"
    ca.write_bytes(mutual.authority.certificate)

    done = ask_with_ca(aiops, home, mutual.url, ca, well)

    assert done.returncode == 3
    assert [i["cluster"] for i in done.json["items"]] == ["well"]
    assert of(done, "tls")["code"] == "TLS_FAILED"
    assert "refused the client certificate" in line_of(done, "tls")
