"""Runs `python -m aiops_cli ARGS…` in a new process that has the libraries loaded already.

A start of Python and the libraries' imports take three quarters of a short command's time. Here one process
loads them once, runs nothing, and is forked for each command; aiops itself is loaded in the child, as ever.
Environment, working folder, standard streams, exit status and the way to the end are those of a new process.

    done = warm.run(["version"], env=os.environ, cwd=home, stdin=None, timeout=60.0)
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

# Libraries that read no environment when they are loaded; others would see that of the first command.
LIBRARIES = (
    "asyncio",
    "duckdb",
    "httpx2",
    "ipaddress",
    "msgspec",
    "numpy",
    "promql_parser",
    "pydantic",
    "statistics",
    "tomllib",
    "typer",
    "uuid",
    "yaml",
    "zoneinfo",
)
PACKET = 1 << 18
Streams = tuple[int, int, int]
# Python itself reads these when it starts.
AT_START = ("PYTHON", "LC_", "LANG", "MALLOC_", "LD_", "OPENBLAS_", "OMP_")


def at_start(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that a process that runs already no longer takes up."""
    return {name: value for name, value in env.items() if name.startswith(AT_START)}


def run(
    args: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: str | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Raises subprocess.TimeoutExpired after `timeout` seconds."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write((stdin or "").encode())
        given.seek(0)
        if loaded().suits(env):
            code = loaded().run(args, env, cwd, (given.fileno(), out.fileno(), err.fileno()), timeout)
        else:
            command = [sys.executable, "-m", "aiops_cli", *args]
            code = subprocess.run(
                command, env=env, cwd=cwd, stdin=given, stdout=out, stderr=err, timeout=timeout, check=False
            ).returncode
        return subprocess.CompletedProcess(args, code, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return io.TextIOWrapper(file).read()


class Loaded:
    """A process with the libraries that is forked. It ends with this one, whatever way this one ends."""

    def __init__(self) -> None:
        self._env = at_start(os.environ)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def suits(self, env: Mapping[str, str]) -> bool:
        """Whether a command with this environment would start no differently."""
        return at_start(env) == self._env

    def run(
        self, args: Sequence[str], env: Mapping[str, str], cwd: Path, streams: Streams, timeout: float
    ) -> int:
        """The exit status, as subprocess gives it. Raises subprocess.TimeoutExpired."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                socket.send_fds(self._control, [b"!"], [*streams, theirs.fileno()])
            ours.send(json.dumps([list(args), dict(env), str(cwd)]).encode())
            if not (pid := ours.recv(PACKET)):
                raise RuntimeError("the process that commands are forked from has ended")
            ours.settimeout(timeout)
            try:
                return int(ours.recv(PACKET))
            except BaseException as error:
                os.kill(int(pid), signal.SIGKILL)
                if isinstance(error, TimeoutError):
                    raise subprocess.TimeoutExpired(["aiops", *args], timeout) from None
                raise


@cache
def loaded() -> Loaded:
    return Loaded()


def serve(control: socket.socket) -> None:
    """Fork a child for each message, until there can be no more. Returns in the parent alone."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    wake, woken = os.pipe()
    for end in (wake, woken):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    calls: dict[int, socket.socket] = {}
    awaited: list[socket.socket | int] = [control, wake]
    while True:
        ready, _, _ = select.select(awaited, [], [])
        if wake in ready:
            os.read(wake, 4096)
            while calls and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with contextlib.suppress(BrokenPipeError), calls.pop(ended[0]) as call:
                    call.send(b"%d" % os.waitstatus_to_exitcode(ended[1]))
        if control in ready:
            _, fds, _, _ = socket.recv_fds(control, 1, 4)
            if not fds:
                return
            *streams, asked = fds
            call = socket.socket(fileno=asked)
            if (pid := os.fork()) == 0:
                for other in (control, *calls.values()):
                    other.close()
                os.close(wake)
                signal.set_wakeup_fd(-1)
                os.close(woken)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                become(call, streams)
            for stream in streams:
                os.close(stream)
            calls[pid] = call
            with contextlib.suppress(BrokenPipeError):
                call.send(b"%d" % pid)


def become(call: socket.socket, streams: Sequence[int]) -> None:
    """Be the command: ends as it does, by SystemExit or another exception."""
    with call:
        args, env, cwd = json.loads(call.recv(PACKET))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        raw = open(number, "rb" if number == 0 else "wb", closefd=False)  # noqa: SIM115
        buffered = os.isatty(number) or number == 2
        new = io.TextIOWrapper(raw, old.encoding, old.errors, line_buffering=buffered)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    gc.enable()
    sys.path[0] = cwd
    sys.argv[1:] = args
    runpy.run_module("aiops_cli", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
