"""A program on a terminal of its own, 160 x 50: keys in, bytes out."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_KEPT = 1 << 17  # bytes of what it wrote


class Terminal:
    """`pid` is the program's."""

    def __init__(self, command: Sequence[str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], list(command))
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))

    def press(self, key: bytes) -> None:
        os.write(self._fd, key)

    def read(self, seconds: float, until: bytes = b"") -> bool:
        """Take what it writes for so long, or until it writes `until`; whether it did."""
        seen, deadline = b"", time.monotonic() + seconds
        while time.monotonic() < deadline:
            if select.select([self._fd], [], [], 0.01)[0]:
                seen = (seen + os.read(self._fd, 1 << 16))[-_KEPT:]
                if until and until in seen:
                    return True
        return False

    def end(self, by: signal.Signals) -> None:
        os.kill(self.pid, by)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


@contextmanager
def on_terminal(command: Sequence[str], *, end: signal.Signals = signal.SIGTERM) -> Iterator[Terminal]:
    """It runs meanwhile, and is ended by `end`."""
    terminal = Terminal(command)
    try:
        yield terminal
    finally:
        terminal.end(end)
