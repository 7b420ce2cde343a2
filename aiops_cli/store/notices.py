"""What the store has to tell the user, each thing once a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


class Notices:
    """Collects messages and shows each new one through `show` (a line for stderr).

    One object is shared by all caches of a process, so that a full disk is told once, not per cache.
    """

    def __init__(self, show: Callable[[str], None] | None = None) -> None:
        self._show = show
        self._disk_told = False
        self.messages: list[str] = []

    def say(self, message: str) -> None:
        if message in self.messages:
            return
        self.messages.append(message)
        if self._show:
            self._show(message)

    def disk(self, path: Path, error: OSError) -> None:
        """The disk refuses: full, read-only, not ours. Only the first such trouble is told."""
        if self._disk_told:
            return
        self._disk_told = True
        reason = os.strerror(error.errno) if error.errno else str(error)
        self.say(f"local store in {path} can't be used ({reason}); going on without it")
