"""Ports and the one address the servers listen on, shared with other test runs on the same machine."""

from __future__ import annotations

import atexit
import fcntl
import os
import random
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import IO

from tests.servers.binaries import which

LOOPBACK = "127.0.0.1"
# Private, and not loopback: an API server refuses endpoints in 127.0.0.0/8.
SERVICE_ADDRESS = "10.254.77.1"
# Below Linux's range for outgoing connections, so that a port stays free while its server restarts.
PORTS = range(20000, 32000)


def _shared_dir() -> Path:
    folder = Path(tempfile.gettempdir()) / f"aiops-test-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


# Open for the life of this process: the lock on the file is what keeps a port ours.
_held: dict[int, IO[str]] = {}


def free_port() -> int:
    """A port free on every address, kept from other test runs until this process ends."""
    for port in random.sample(PORTS, len(PORTS)):
        if port in _held:
            continue
        lock = (_shared_dir() / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("0.0.0.0", port))
        except OSError:
            lock.close()
            continue
        _held[port] = lock
        return port
    raise RuntimeError(f"no free port from {PORTS.start} to {PORTS.stop - 1}")


def _ip(*args: str) -> subprocess.CompletedProcess[str]:
    ip = which("ip")
    if ip is None:
        return subprocess.CompletedProcess(args, 127, "", "there is no `ip` program")
    return subprocess.run([str(ip), *args], capture_output=True, text=True, check=False)


def _give_back_address(lock: IO[str]) -> None:
    """Remove the address unless another test run still holds the lock on it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    _ip("address", "del", f"{SERVICE_ADDRESS}/32", "dev", "lo")


@cache
def service_address() -> tuple[str | None, str]:
    """An address on this machine that an API server accepts as an endpoint, and why there is none.

    It is laid on the loopback interface, so nothing outside the machine reaches it. Needs
    CAP_NET_ADMIN: root, or a network namespace of one's own (`unshare -rn`).
    """
    lock = (_shared_dir() / "address").open("w")
    fcntl.flock(lock, fcntl.LOCK_SH)
    # Inside a fresh network namespace even loopback is down.
    _ip("link", "set", "lo", "up")
    added = _ip("address", "add", f"{SERVICE_ADDRESS}/32", "dev", "lo")
    # It may be there from another test run, whose lock ours keeps it from being removed under us.
    if not _ip("-4", "-oneline", "address", "show", "to", SERVICE_ADDRESS).stdout.strip():
        lock.close()
        said = added.stderr.strip().removeprefix("RTNETLINK answers: ")
        return None, (
            f"no private address for the API server's service proxy ({said}); "
            f"run as root or under `unshare -rn`"
        )
    atexit.register(_give_back_address, lock)
    return SERVICE_ADDRESS, ""


def listen_address() -> str:
    """Where servers that can stand behind a Service listen."""
    return service_address()[0] or LOOPBACK
