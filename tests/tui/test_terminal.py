"""The dashboard in a terminal of its own: however it ends, the terminal is as it was and nothing is lost."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.store.paths import data_dir

SECONDS = 12.0


class Terminal:
    """A pseudo terminal, its size, and a program in it as a session of its own."""

    def __init__(self, *args: str, cwd: Path, size: tuple[int, int] = (80, 24), **env: str) -> None:
        self.output = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            full = {**os.environ, "TERM": "xterm-256color", **env}
            command = [sys.executable, "-m", "aiops_cli", *args]
            os.execvpe(sys.executable, command, {k: v for k, v in full.items() if v})
        self.before = termios.tcgetattr(self.fd)
        self.code: int | None = None

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def send(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def kill(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def read(self, seconds: float = 0.1) -> bool:
        """Take what it wrote; False at its end."""
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                chunk = os.read(self.fd, 65536)
            except OSError:
                return False
            self.output += chunk
            return bool(chunk)
        return True

    def until(self, seen: str | Callable[[], object], since: int = 0) -> None:
        """Wait until its output from `since` on has this text, or this is true."""
        deadline = time.monotonic() + SECONDS
        while not (seen in self.text(since) if isinstance(seen, str) else seen()):
            assert self.read() and time.monotonic() < deadline, f"never: {seen}\n{self.text(since)[-2000:]}"

    def text(self, since: int = 0) -> str:
        """What it wrote, without the controls."""
        written = self.output[since:].decode(errors="replace")
        return re.sub(r"\x1b(\[[0-9;?<>=]*[a-zA-Z]|\][^\x07]*\x07)", "", written)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        deadline = time.monotonic() + SECONDS
        while self.code is None:
            self.read(0.05)
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.code = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, self.text()[-2000:]
        while select.select([self.fd], [], [], 0)[0] and self.read(0):
            pass
        return self.code

    def modes(self) -> dict[str, bool]:
        """Which private modes of the terminal are set by what was written: the last word counts."""
        return {n.decode(): on == b"h" for n, on in re.findall(rb"\x1b\[\?(\d+)([hl])", self.output)}

    def assert_restored(self) -> None:
        """Alternate screen left, cursor shown, mouse, focus and pasting off, and lines edited as before."""
        modes = self.modes()
        assert modes["25"]
        assert modes["7"]
        assert not any(modes[m] for m in ("1049", "1000", "1003", "1004", "2004"))
        assert termios.tcgetattr(self.fd)[:4] == self.before[:4]
        assert "Traceback" not in self.text()

    def close(self) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


Start = Callable[..., Terminal]


@pytest.fixture
def terminal(home: Path) -> Iterator[Start]:
    opened: list[Terminal] = []

    def start(env: Mapping[str, str] | None = None) -> Terminal:
        opened.append(Terminal("tui", "--bundle", "demo", cwd=home, **(env or {})))
        opened[-1].until("CheckoutErrors")
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def _filter(shown: Terminal) -> None:
    """Set a filter, which must not be lost."""
    since = len(shown.output)
    shown.send("/")
    shown.until("Filter /", since)
    since = len(shown.output)
    shown.send("west\r")
    shown.until("1 of 3", since)
    shown.until("Quit", since)  # the keys, where the line was


def _places() -> dict[str, Any]:
    return dict(json.loads((data_dir() / "dashboard.json").read_bytes())["bundles"]["places"])


@pytest.mark.parametrize("keys", ["q", "\x03"], ids=["q", "ctrl-c"])
def test_leaving_restores_the_terminal(terminal: Start, keys: str) -> None:
    shown = terminal()
    _filter(shown)
    assert shown.modes()["1049"]
    shown.send(keys)
    assert shown.wait() == 0
    shown.assert_restored()
    assert _places()["fleet"] == "west"


def test_keys_written_at_once_take_effect_in_their_order(terminal: Start) -> None:
    shown = terminal()
    shown.send("/west\rjkq")
    assert shown.wait() == 0
    assert _places()["fleet"] == "west"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_cleanly(terminal: Start, number: signal.Signals) -> None:
    shown = terminal()
    _filter(shown)
    shown.kill(number)
    assert shown.wait() == 128 + number
    shown.assert_restored()
    assert _places()["fleet"] == "west"


def test_a_terminal_that_is_closed_ends_it(terminal: Start) -> None:
    shown = terminal()
    _filter(shown)
    gone = os.pidfd_open(shown.pid)
    os.close(shown.fd)
    shown.fd = os.open(os.devnull, os.O_RDONLY)
    assert select.select([gone], [], [], SECONDS)[0]
    os.close(gone)
    shown.code = os.waitstatus_to_exitcode(os.waitpid(shown.pid, 0)[1])
    assert shown.code == 128 + signal.SIGHUP
    assert _places()["fleet"] == "west"
    assert not (data_dir() / "crashes").exists()


def test_it_can_be_stopped_and_goes_on(terminal: Start) -> None:
    shown = terminal()
    shown.kill(signal.SIGTSTP)
    _, status = os.waitpid(shown.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    while select.select([shown.fd], [], [], 0)[0]:
        shown.read()
    shown.assert_restored()
    since = len(shown.output)
    shown.kill(signal.SIGCONT)
    shown.until("CheckoutErrors", since)
    assert shown.modes()["1049"]
    shown.send("q")
    assert shown.wait() == 0
    shown.assert_restored()


def test_a_tiny_terminal_and_back(terminal: Start) -> None:
    shown = terminal()
    for width, height in ((40, 10), (1, 1), (20, 3), (200, 60), (80, 24)):
        since = len(shown.output)
        shown.resize(width, height)
        shown.until(lambda since=since: len(shown.output) > since)
    shown.until("CheckoutErrors", since)
    shown.send("q")
    assert shown.wait() == 0
    shown.assert_restored()


def test_a_disk_that_cannot_be_written_costs_only_the_memory(terminal: Start, tmp_path: Path) -> None:
    dead = tmp_path / "a-file"
    dead.write_text("")
    shown = terminal({f"XDG_{kind}_HOME": str(dead / kind) for kind in ("DATA", "CACHE")})
    shown.until("be remembered")
    _filter(shown)
    shown.send("q")
    assert shown.wait() == 0
    shown.assert_restored()


@pytest.mark.parametrize(
    ("env", "never"),
    [({"TERM": "xterm", "COLORTERM": ""}, r"[34]8;[25];"), ({"NO_COLOR": "1"}, r"\x1b\[(\d+;)*([349][0-7]|[34]8)[;m]")],
    ids=["16 colours", "no colour"],
)  # fmt: skip
def test_few_or_no_colours_are_enough(terminal: Start, env: dict[str, str], never: str) -> None:
    shown = terminal(env)
    _filter(shown)
    shown.send("q")
    assert shown.wait() == 0
    written = shown.output.decode(errors="replace")
    assert re.findall(never, written) == []
    assert re.search(r"\x1b\[(\d+;)*7[;m]", written)  # where the cursor is
    shown.assert_restored()


@pytest.mark.parametrize(
    ("args", "env", "said"),
    [
        ((), {"TERM": "dumb"}, "TERM=dumb"),
        (("alerts", "@nosuch"), {}, "no context or cluster matches 'nosuch'"),
        (("logs", "at=25:99"), {}, "'25:99' is no time of day"),
    ],
)
def test_what_can_not_be_shown_is_one_line_and_exit_2(
    args: tuple[str, ...], env: dict[str, str], said: str, home: Path
) -> None:
    shown = Terminal("tui", "--bundle", "demo", *args, cwd=home, **env)
    try:
        assert shown.wait() == 2
        assert said in shown.text()
        assert "Traceback" not in shown.text()
        if not args:
            assert b"\x1b[?1049h" not in shown.output
    finally:
        shown.close()
