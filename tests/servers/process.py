"""One server as a child process: started, awaited, stopped by pid, and never left behind.

Children stand in a process group of their own, so a Ctrl-C on the terminal reaches only the parent,
which then stops them. When the parent dies without a word (SIGKILL), the kernel kills them.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import httpx2

from tests.servers.binaries import locate

READY_SECONDS = 120.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
# The kernel's signal on a parent's death is sent when the *thread* that forked ends. This one lives as
# long as the process, whichever thread asks for a start.
_forker = ThreadPoolExecutor(1, thread_name_prefix="servers-forker")
_running: weakref.WeakSet[Server] = weakref.WeakSet()


class ServerFailed(RuntimeError):
    """A server ended by itself or did not become ready in time; carries the end of its log."""


def _killed_with(parent: int) -> Callable[[], None]:
    def in_child() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

    return in_child


def _fork(command: list[str], env: Mapping[str, str], cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out, warnings.catch_warnings():
        # Python 3.12 warns of any fork beside threads; the child only makes one system call.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_killed_with(os.getpid()),
        )


class Server:
    """A server program with a folder and ports of its own that survive a restart.

    Subclasses say what to run (`command`), what to write first (`prepare`) and when it is ready.
    """

    name: ClassVar[str]
    program: ClassVar[str]
    max_procs: ClassVar[int] = 1
    memory_limit: ClassVar[str] = "128MiB"

    def __init__(self, home: Path, *, needs: Iterable[Server] = ()) -> None:
        self.home = home
        self.needs = tuple(needs)
        self.log = home / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self.paused = False

    def command(self) -> list[str]:
        """The program's arguments, without the program."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Write the configuration; called before each start."""

    def environment(self) -> dict[str, str]:
        """Variables it needs beside the usual ones."""
        return {}

    def is_ready(self) -> bool:
        """One look, without waiting, at the server's own readiness endpoint."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """Of the running process. Raises RuntimeError when it is not started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def ready(self) -> bool:
        """True once it has been seen ready since its last start."""
        return self._ready and self.running

    def spawn(self) -> None:
        """Start the process without waiting. Raises MissingServer where the program is not here."""
        program = locate(self.program)
        self.home.mkdir(parents=True, exist_ok=True)
        self.prepare()
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "TZ": "UTC",
            "GOMAXPROCS": str(self.max_procs),
            "GOMEMLIMIT": self.memory_limit,
            **self.environment(),
        }
        command = [str(program), *self.command()]
        self._ready = False
        self._process = _forker.submit(_fork, command, env, self.home, self.log).result()
        _running.add(self)

    def look(self) -> bool:
        """Whether it is ready now. Raises ServerFailed when the process has ended."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not started")
        if (code := self._process.poll()) is not None:
            raise ServerFailed(f"{self.name} ended with {code}:\n{self.log_tail()}")
        if not self._ready:
            with contextlib.suppress(httpx2.HTTPError):
                self._ready = self.is_ready()
        return self._ready

    def forget_if_ended(self) -> None:
        """Let a server that died, or was killed from outside, be started again."""
        if not self.running:
            self._process = None
            self.paused = False

    def start(self) -> None:
        """Start and wait until ready. Does nothing when it is running."""
        if not self.running:
            bring_up([self])

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 15 seconds; returns once the process is gone."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL; returns once the process is gone."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start on the same ports with the same data; returns once ready."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections are accepted by the kernel and nothing ever answers."""
        os.killpg(self.pid, signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """Let a paused server go on; it answers what waited."""
        os.killpg(self.pid, signal.SIGCONT)
        self.paused = False

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        self._ready = self.paused = False
        if process is None:
            return
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, with_signal)
                os.killpg(process.pid, signal.SIGCONT)  # a paused one acts on SIGTERM only then
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        _running.discard(self)

    def log_tail(self, lines: int = 20) -> str:
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def bring_up(servers: Iterable[Server], *, seconds: float = READY_SECONDS) -> None:
    """Start servers side by side, each once those it needs are ready, and wait for all.

    Raises ServerFailed when one ends or the deadline passes; those already started keep running.
    """
    deadline = time.monotonic() + seconds
    waiting = [s for s in servers if not s.ready]
    for server in waiting:
        server.forget_if_ended()
    while waiting:
        for server in waiting:
            if server._process is None and all(n.ready for n in server.needs):
                server.spawn()
        waiting = [s for s in waiting if s._process is None or not s.look()]
        if waiting and time.monotonic() > deadline:
            late = waiting[0]
            raise ServerFailed(f"{late.name} was not ready after {seconds:.0f} s:\n{late.log_tail()}")
        if waiting:
            time.sleep(POLL_SECONDS)


def stop_all(servers: Iterable[Server]) -> None:
    """Tell all of them to stop at once, then wait for each."""
    alive = [s for s in servers if s.running]
    for server in alive:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
    for server in alive:
        server.stop()


@atexit.register
def _stop_running() -> None:
    stop_all(list(_running))


def get(url: str, *, timeout: float = 1.0, params: Mapping[str, str] | None = None) -> httpx2.Response:
    """A GET of a server that speaks plain HTTP. Reading the certificates of all the world's authorities, as
    is usual, takes thirty times as long, and servers are asked many times until they are ready."""
    return httpx2.get(url, params=params, timeout=timeout, verify=False, trust_env=False)


def get_ok(url: str) -> bool:
    """Whether a GET answers 200 within a second."""
    return get(url).status_code == 200
