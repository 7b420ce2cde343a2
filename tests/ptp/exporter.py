"""`/metrics` as OpenShift's PTP pods serve them, from the logs of linuxptp that really runs.

The rules are those of linuxptp-daemon (pkg/daemon/metrics.go) and, for `Sidecar`, of cloud-event-proxy
(plugins/ptp_operator/metrics), written anew from their description: which lines set which gauge, the
alias of a NIC, what a FAULTY port does, and that only the sidecar tells HOLDOVER.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.servers.linuxptp import Ptp4l
from tests.servers.network import free_port, listen_address
from tests.servers.process import Server

FAULTY_OFFSET = 999999
FREERUN_OFFSET = -9999999999999999
STATE = {"FREERUN": 0, "LOCKED": 1, "HOLDOVER": 2}
ROLE = {"PASSIVE": 0, "SLAVE": 1, "MASTER": 2, "FAULTY": 3, "UNKNOWN": 4, "LISTENING": 5}
_SAMPLE = re.compile(
    r"(?P<who>master|CLOCK_REALTIME)(?: (?P<from>phc|sys))? offset +(?P<offset>-?\d+) (?P<servo>s\d) "
    r"freq +(?P<freq>[+-]?\d+)(?: (?:path )?delay +(?P<delay>-?\d+))?"
)
_SUMMARY = re.compile(
    r"(?P<who>CLOCK_REALTIME )?rms +(?P<rms>\d+) max +(?P<max>\d+) freq +(?P<freq>[+-]?\d+) \+/- +\d+"
    r"(?: delay +(?P<delay>-?\d+))?"
)
_PORT = re.compile(
    r"port (?P<id>\d+)(?: \([^)]*\))?: (?P<old>[A-Z_]+) to (?P<new>[A-Z_]+)(?: on (?P<why>\w+))?"
)

Labels = tuple[tuple[str, str], ...]


def alias(port: str) -> str:
    """ens1f0 is ens1fx: the ports of a NIC share one clock."""
    return re.sub(r"\d+(\D*)$", r"x\1", port)


class Daemon:
    """The gauges of one node, whose config has these ports; lines come in by `line`."""

    def __init__(self, node: str, ports: Iterable[str] = ("ens1f0",), config: str = "ptp4l.0.config") -> None:
        self.node, self.ports, self.config = node, tuple(ports), config
        self.gauges: dict[tuple[str, Labels], float] = {}
        self.slave = ""
        self.source = ""

    def set(self, metric: str, value: float, **labels: str) -> None:
        named = {("from" if k == "origin" else k): v for k, v in labels.items()}
        key = tuple(sorted({**named, "node": self.node}.items()))
        self.gauges[f"openshift_ptp_{metric}", key] = value

    def line(self, text: str) -> None:
        """One line of a log: `ptp4l[12.3]: [ptp4l.0.config] …`."""
        process = text.partition("[")[0].strip()
        if f"[{self.config}" not in text:
            return
        if match := _SUMMARY.search(text):
            self.summary(process, match)
        elif match := _SAMPLE.search(text):
            self.sample(process, match)
        if process == "ptp4l" and (match := _PORT.search(text)):
            self.port(int(match["id"]), match["old"], match["new"], match["why"] or "")

    def summary(self, process: str, match: re.Match[str]) -> None:
        """RMS, which has no sign, and no state."""
        iface, origin = ("CLOCK_REALTIME", "phc") if match["who"] else (alias(self.slave), "master")
        if iface:
            self.offset(process, iface, origin, float(match["rms"]), float(match["max"]), match)

    def sample(self, process: str, match: re.Match[str]) -> None:
        iface = match["who"] if match["who"] != "master" else alias(self.slave)
        if not iface:
            return
        value = float(match["offset"])
        self.offset(process, iface, match["from"] or "master", value, value, match)
        self.state(process, iface, "LOCKED" if match["servo"] in ("s2", "s3") else "FREERUN", value)

    def offset(
        self, process: str, iface: str, origin: str, value: float, most: float, match: re.Match[str] | None
    ) -> None:
        if origin == "master":
            self.source = process
        labels = {"process": process, "iface": iface, "origin": origin}
        self.set("offset_ns", value, **labels)
        self.set("max_offset_ns", most, **labels)
        self.set("frequency_adjustment_ns", float(match["freq"]) if match else 0, **labels)
        self.set("delay_ns", float((match and match["delay"]) or 0), **labels)

    def state(self, process: str, iface: str, state: str, value: float) -> None:
        """1 for LOCKED, else 0: the daemon knows no third."""
        self.set("clock_state", 1 if state == "LOCKED" else 0, process=process, iface=iface)

    def port(self, number: int, old: str, new: str, why: str) -> None:
        if not 0 < number <= len(self.ports):
            return
        name = self.ports[number - 1]
        role = new
        if why in ("FAULT_DETECTED", "SYNCHRONIZATION_FAULT"):
            role = "FAULTY"
        elif new not in ("SLAVE", "PASSIVE", "MASTER"):
            return
        self.set("interface_role", ROLE[role], process="ptp4l", iface=name)
        if role == "SLAVE":
            self.slave = name
        elif role == "FAULTY" and self.slave == name:
            self.lost(alias(name))
            self.slave = ""

    def lost(self, iface: str) -> None:
        """The slave port is faulty."""
        self.offset("ptp4l", iface, "master", FAULTY_OFFSET, FAULTY_OFFSET, None)
        self.offset("phc2sys", "CLOCK_REALTIME", "phc", FAULTY_OFFSET, FAULTY_OFFSET, None)
        self.state("ptp4l", iface, "FREERUN", FAULTY_OFFSET)

    def process(self, name: str, up: bool) -> None:
        labels: Labels = tuple(sorted({"process": name, "config": self.config, "node": self.node}.items()))
        if up and self.gauges.get(("openshift_ptp_process_status", labels)) != 1:
            key = ("openshift_ptp_process_restart_count", labels)
            self.gauges[key] = self.gauges.get(key, 0) + 1
        self.gauges["openshift_ptp_process_status", labels] = float(up)

    def clock_class(self, value: int) -> None:
        self.set("clock_class", value, process="ptp4l", config=self.config)

    def tick(self) -> None:
        """Called before each scrape, for what goes by time."""

    def text(self) -> str:
        """The page."""
        self.tick()
        lines = []
        for (name, labels), value in sorted(self.gauges.items()):
            inner = ",".join(f'{k}="{v}"' for k, v in labels)
            lines.append(f"{name}{{{inner}}} {value!r}")
        return "\n".join([*lines, ""])


class Sidecar(Daemon):
    """cloud-event-proxy: HOLDOVER for `timeout` seconds, then FREERUN; LOCKED only within the threshold."""

    def __init__(
        self,
        node: str,
        ports: Iterable[str] = ("ens1f0",),
        config: str = "ptp4l.0.config",
        *,
        threshold: int = 100,
        timeout: float = 5,
        profile: str = "slave",
    ) -> None:
        super().__init__(node, ports, config)
        self.threshold, self.timeout = threshold, timeout
        self.last: dict[tuple[str, str], str] = {}
        self._held: dict[tuple[str, str], float] = {}
        for name, value in (
            ("MinOffsetThreshold", -threshold),
            ("MaxOffsetThreshold", threshold),
            ("HoldOverTimeout", timeout),
        ):
            self.set("threshold", value, threshold=name, profile=profile)

    def state(self, process: str, iface: str, state: str, value: float) -> None:
        key = (process, iface)
        if self.last.get(key) == "HOLDOVER" and state == "LOCKED":
            self._held.pop(key, None)
        if state == "LOCKED" and not -self.threshold < value < self.threshold:
            state = "FREERUN"
        self.become(process, iface, state)

    def become(self, process: str, iface: str, state: str) -> None:
        self.last[process, iface] = state
        self.set("clock_state", STATE[state], process=process, iface=iface)

    def lost(self, iface: str) -> None:
        if self.last.get(("ptp4l", iface)) == "LOCKED":
            self.become("ptp4l", iface, "HOLDOVER")
            self._held["ptp4l", iface] = time.monotonic() + self.timeout

    def tick(self) -> None:
        for (process, iface), until in list(self._held.items()):
            if time.monotonic() >= until:
                del self._held[process, iface]
                self.become(process, iface, "FREERUN")
                self.set("offset_ns", FREERUN_OFFSET, process=process, iface=iface, origin="master")


class Watched:
    """Feeds exporters from the logs of running programs, as the daemon's pipes do."""

    def __init__(self, ptp4l: Ptp4l, others: dict[str, Server], exporters: Iterable[Daemon]) -> None:
        self.ptp4l, self.others, self.exporters = ptp4l, others, list(exporters)
        self._read: dict[Path, int] = {}
        self._lock = threading.Lock()

    def page(self, exporter: Daemon) -> str:
        with self._lock:
            for server in (self.ptp4l, *self.others.values()):
                for line in self._new_lines(server.log):
                    for one in self.exporters:
                        one.line(line)
            value = self.ptp4l.grandmaster_class()
            for one in self.exporters:
                one.process("ptp4l", self.ptp4l.running)
                for name, server in self.others.items():
                    one.process(name, server.running)
                if value is not None:
                    one.clock_class(value)
            return exporter.text()

    def _new_lines(self, log: Path) -> list[str]:
        if not log.exists():
            return []
        with log.open("rb") as file:
            file.seek(self._read.get(log, 0))
            text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read[log] = file.tell() - len(text) + len(whole)
        return whole.decode(errors="replace").splitlines()


class Pages:
    """An HTTP server of metrics pages: `/NAME` is `pages[NAME]()`."""

    def __init__(self) -> None:
        self.pages: dict[str, object] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 - the base class's name
                page = outer.pages.get(self.path.strip("/").partition("/")[0])
                body = page().encode() if callable(page) else b""
                self.send_response(200 if page else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.host, self.port = listen_address(), free_port()
        self._server = ThreadingHTTPServer((self.host, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://{self.host}:{self.port}/{name}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
