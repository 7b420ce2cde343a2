"""Fixtures for every test: a home of its own, the CLI as a subprocess, and clusters of real servers.

Servers are started when the first test asks for them and are shared until the session ends; what a test
killed or paused is brought back after it. Tests that write to a shared server use names of their own.
A server program that this machine lacks skips the test, and so does anything else that skips; with
AIOPS_REQUIRE_SERVERS=1 every skip is a failure.

Servers of a cluster come from `clusters`, `east`, `west`, `fleet3` and `metrics_fleet`. Beside them
stand other servers of the Prometheus API, each empty but for what it scrapes from itself:

    prometheus3       Prometheus 3.9: native histograms, UTF-8 names, infos, OTLP at `.otlp_url`
    victoriametrics   VictoriaMetrics 1.79; `.import_openmetrics(text)` adds samples
    ha_pair           two Prometheus 2.42 that differ in `prometheus_replica`, `.a` and `.b`, and Thanos over
                      both, `.query`: all three have a `url`

`endpoints({"vm": {"prometheus": victoriametrics.url}})` is the environment for aiops with such servers.
Programs of others to compare with: `peer("promtool", "query", "instant", url, "up")`, as `promtool3`,
`logcli`, `amtool` and `kubectl`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.servers.binaries import MissingServer, locate
from tests.servers.cluster import ALL_PARTS, FULL, Cluster, start_clusters, stop_clusters, temporary_root
from tests.servers.fleet import Fleet, write_endpoints
from tests.servers.network import service_address
from tests.servers.process import Server, bring_up, stop_all
from tests.servers.prometheus import Prometheus3
from tests.servers.thanos import HaPair
from tests.servers.victoriametrics import VictoriaMetrics

# Every proxy, colour, size and credential setting of the person who runs the tests.
LEAKING = (
    *(f"{scheme}_{suffix}" for scheme in ("HTTP", "HTTPS", "ALL", "NO") for suffix in ("PROXY", "proxy")),
    *(f"{scheme}_proxy" for scheme in ("http", "https", "all", "no")),
    *("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"),
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)
COMMAND_SECONDS = 60.0
INCIDENT_SECONDS = 150.0
# Files that share these session fixtures stay with one worker: each is several servers, and a machine lets
# few of them watch files (fs.inotify.max_user_instances, often 128; a whole cluster takes five).
GROUPS = {"fleet3": "fleet", "west": "fleet", "east": "fleet", "telecom": "telecom", "incident": "incident"}
LONGEST = (
    "fleet",
    "tests/tui/test_path.py",  # before others kill servers of the incident
    "incident",
    "tests/peers/test_equal_answers.py",
    "tests/incidents/test_shop.py",
    "tests/incidents/test_devices_live.py",
    "tests/cli/test_tail.py",
    "tests/test_servers.py",
)
# Read once: tests run without any AIOPS_ variable.
REQUIRE_SERVERS = os.environ.get("AIOPS_REQUIRE_SERVERS") == "1"


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    args: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.stdout)


class Aiops:
    """Runs `aiops ARGS…` in a process of its own, in this test's home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._started: list[subprocess.Popen[str]] = []

    def __call__(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout: float = COMMAND_SECONDS,
        cwd: Path | None = None,
    ) -> Finished:
        """Run to the end. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        done = warm.run(
            args, env={**os.environ, **(env or {})}, cwd=cwd or self.home, stdin=stdin, timeout=timeout
        )
        return Finished(args, done.returncode, done.stdout, done.stderr)

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start it and return at once, for commands that follow; killed when the test ends."""
        process = subprocess.Popen(
            self._command(args),
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()

    @staticmethod
    def _command(args: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "aiops_cli", *args]


class Clusters:
    """The session's clusters by name: `clusters("east", {"prometheus", "node"})`.

    The same name is the same cluster, which gains the parts asked for later. Those that no session fixture
    holds end with the file of tests that asked for them.
    """

    SHARED = frozenset({"east", "west", "north", "lab1", "lab2", "telecom", "jumps"})

    def __init__(self) -> None:
        self._root = temporary_root()
        self._by_name: dict[str, Cluster] = {}

    def __call__(self, name: str, parts: Iterable[str] = FULL) -> Cluster:
        return self.together([name], parts)[0]

    def together(self, names: Iterable[str], parts: Iterable[str] = FULL) -> list[Cluster]:
        """Several at once, started side by side; those with a node exporter have scraped it."""
        parts = frozenset(parts)
        found = []
        for name in names:
            cluster = self._by_name.setdefault(name, Cluster(name, parts=(), root=self._root))
            try:
                cluster.add_parts(parts)
            except MissingServer as error:
                pytest.skip(str(error))
            found.append(cluster)
        start_clusters(found)
        for cluster in found:
            if {"prometheus", "node"} <= cluster.parts:
                cluster.prometheus.wait_for('up{job="node-exporter"}')
        return found

    def revive(self) -> None:
        for cluster in self._by_name.values():
            cluster.revive()

    def stop_unshared(self) -> None:
        own = [self._by_name.pop(name) for name in self._by_name.keys() - self.SHARED]
        for server in (server for cluster in own for server in cluster.servers):
            server.kill()  # nobody reads what it would still write
        stop_clusters(own)

    def stop(self) -> None:
        stop_clusters(list(self._by_name.values()))


POOL = pytest.StashKey[Clusters]()


class Standalone:
    """Servers that belong to no cluster: started, brought back after a test, and stopped at the end."""

    def __init__(self) -> None:
        self.home = temporary_root()
        self._servers: list[Server] = []

    def start(self, *servers: Server) -> None:
        for server in servers:
            try:
                locate(server.program)
            except MissingServer as error:
                pytest.skip(str(error))
        bring_up(servers)
        self._servers += servers

    def revive(self) -> None:
        for server in self._servers:
            if server.paused:
                server.resume()
        bring_up([server for server in self._servers if not server.running])

    def stop(self) -> None:
        stop_all(self._servers)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with nothing in it; XDG folders are `config`, `data` and `cache` in it."""
    root = tmp_path_factory.mktemp("home", numbered=True)
    for name in [*LEAKING, *(n for n in os.environ if n.startswith("AIOPS_"))]:
        monkeypatch.delenv(name, raising=False)
    for variable, folder in {
        "HOME": "",
        "XDG_CONFIG_HOME": "config",
        "XDG_DATA_HOME": "data",
        "XDG_CACHE_HOME": "cache",
        "XDG_STATE_HOME": "state",
    }.items():
        monkeypatch.setenv(variable, str(root / folder) if folder else str(root))
    # Else each start of the program compiles it anew, which takes longer than what is tested.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return root


@pytest.fixture
def aiops(home: Path) -> Iterator[Aiops]:
    """The CLI: `aiops("metrics", "query", "up", "-o", "json", env=fleet3.env).json`."""
    runner = Aiops(home)
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def clusters(request: pytest.FixtureRequest) -> Iterator[Clusters]:
    """Clusters with just the parts a test needs: `clusters("east", {"loki"}).loki.url`."""
    pool = request.config.stash[POOL] = Clusters()
    yield pool
    pool.stop()


@pytest.fixture(scope="module", autouse=True)
def _unshared_clusters_end(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if pool := request.config.stash.get(POOL, None):
        pool.stop_unshared()


@pytest.fixture(scope="session")
def east(clusters: Clusters) -> Cluster:
    """A whole cluster: API server, Prometheus with a node exporter, Alertmanager, Loki and Jaeger."""
    return clusters("east")


@pytest.fixture(scope="session")
def west(clusters: Clusters) -> Cluster:
    """A second whole cluster."""
    return clusters("west")


@pytest.fixture(scope="session")
def fleet3(clusters: Clusters) -> Fleet:
    """East, west and north, whole; north has no endpoints in the config and has to be discovered.

    Where this machine cannot lay out an address for the service proxy, north's are given too.
    """
    fleet = Fleet(
        clusters.together(["east", "west", "north"]),
        discovered=["north"] if service_address()[0] else (),
    )
    fleet.write()
    return fleet


@pytest.fixture(scope="session")
def metrics_fleet(clusters: Clusters) -> Fleet:
    """Two clusters of a Prometheus and a node exporter alone, `lab1` and `lab2`, named in config only."""
    fleet = Fleet(clusters.together(["lab1", "lab2"], {"prometheus", "node"}))
    fleet.write()
    return fleet


@pytest.fixture(scope="session")
def incident(clusters: Clusters) -> Iterator[Fleet]:
    """A cluster, `jumps`, whose shop fails orders, since the pool of the ledger's connections is exhausted; a
    rollout of the catalog beside it. The alert on checkout has reached Alertmanager.

    Several waits, each of up to `INCIDENT_SECONDS`: tests with it need a timeout of 900.
    """
    from tests.incidents.deployment import Shop
    from tests.incidents.scenarios import SCENARIOS

    cluster = clusters("jumps", ALL_PARTS)
    shop = Shop(cluster, rate=8, seed=1)
    fleet = Fleet([cluster])
    fleet.write()

    def wait_for(expr: str) -> None:
        cluster.prometheus.wait_for(expr, seconds=INCIDENT_SECONDS)

    try:
        shop.start()
        shop.wait_ready()
        shop.open()
        wait_for('rate(http_requests_total{job="checkout"}[30s]) > 1')
        # A stretch in which all is well, to compare with: ranges have a sample each 15 s.
        wait_for('count_over_time(up{job="ledger"}[5m]) > 75')
        shop.roll_out("catalog", "7.3.1")
        SCENARIOS["pool"].inject(shop)
        wait_for('ALERTS{alertname="CheckoutErrors",alertstate="firing"}')
        wait_for('http_requests_total{job="ledger",code="503"} > 20')
        yield fleet
    finally:
        shop.stop()


@pytest.fixture(scope="session")
def standalone() -> Iterator[Standalone]:
    """Where servers of no cluster are kept; a test may `start` more of them in folders of its `home`."""
    pool = Standalone()
    yield pool
    pool.stop()


@pytest.fixture(scope="session")
def prometheus3(standalone: Standalone) -> Prometheus3:
    """Prometheus 3.9, with external label `cluster="new"`; it has scraped itself once."""
    server = Prometheus3(standalone.home / "prometheus3", cluster="new")
    standalone.start(server)
    server.wait_for("up")
    return server


@pytest.fixture(scope="session")
def victoriametrics(standalone: Standalone) -> VictoriaMetrics:
    """VictoriaMetrics, which keeps what tests import: use names of your own."""
    server = VictoriaMetrics(standalone.home / "victoriametrics")
    standalone.start(server)
    return server


@pytest.fixture(scope="session")
def ha_pair(standalone: Standalone) -> HaPair:
    """Two replicas and Thanos over them; `ha_pair.a.add_targets` scrapes for one alone."""
    pair = HaPair(standalone.home / "ha", cluster="ha")
    standalone.start(*pair.servers)
    return pair


@pytest.fixture
def endpoints(home: Path) -> Callable[[Mapping[str, Mapping[str, str]]], dict[str, str]]:
    """Writes a config with these clusters, each the URLs of its endpoints, and returns the environment."""

    def write(clusters: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        return {"AIOPS_CONFIG": str(write_endpoints(home / "endpoints.toml", clusters))}

    return write


@pytest.fixture
def peer() -> Callable[..., Finished]:
    """Runs another tool to the end: `peer("logcli", "labels", env={"LOKI_ADDR": loki.url})`."""

    def run(program: str, *args: str, env: Mapping[str, str] | None = None) -> Finished:
        try:
            path = locate(program)
        except MissingServer as error:
            pytest.skip(str(error))
        done = subprocess.run(
            [str(path), *args],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return Finished(args, done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def service_proxy() -> str:
    """For tests that go through the API server's service proxy: the address servers stand at."""
    address, reason = service_address()
    if address is None:
        pytest.skip(reason)
    return address


@pytest.fixture(autouse=True)
def _revived(request: pytest.FixtureRequest) -> Iterator[None]:
    """Bring back what the test killed or paused, for the next one."""
    yield
    for pool in {"clusters", "standalone"} & set(request.fixturenames):
        request.getfixturevalue(pool).revive()


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits longest first, so that no worker is left with it when the others are done."""
    groups: dict[Path, str] = {}
    for item in items:
        for fixture in GROUPS.keys() & set(getattr(item, "fixturenames", ())):
            groups[item.path] = GROUPS[fixture]
    order = {name: place for place, name in enumerate(LONGEST)}
    places = []
    for item in items:
        file = item.nodeid.partition("::")[0]
        group = groups.get(item.path, file)
        item.add_marker(pytest.mark.xdist_group(group))
        places.append(min(order.get(name, len(order)) for name in (group, file)))
    items[:] = [item for _, item in sorted(zip(places, items, strict=True), key=itemgetter(0))]


def pytest_configure() -> None:
    # The default action of SIGTERM would leave no time to stop the servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A shell's background job ignores it, and so would every command that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The group is no part of the name by which a test is asked for again; workers are known by it."""
    if "PYTEST_XDIST_WORKER" not in os.environ and report.nodeid.rfind("@") > report.nodeid.rfind("]"):
        report.nodeid = report.nodeid.rpartition("@")[0]


def _fail_instead_of_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_SERVERS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though AIOPS_REQUIRE_SERVERS=1: {_reason(report)}"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    return (str(where[2]) if isinstance(where, tuple) else str(where)).removeprefix("Skipped: ")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_instead_of_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_instead_of_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line on what was skipped and why."""
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        total = sum(reasons.values())
        listed = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"{total} skipped: {listed}")
