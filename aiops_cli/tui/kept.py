"""What the store keeps of a fleet for the next start's first paint: the newest answers, up to a week."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from aiops_cli.models.options import Options
from aiops_cli.store.answers import AnswerCache
from aiops_cli.store.paths import cache_dir, config_dir
from aiops_cli.tui import clock

_SECONDS = 7 * 86400.0


class Kept:
    """Answers by name, of one fleet. A bundle has nothing kept: it is as fast itself."""

    def __init__(self, options: Options) -> None:
        self._answers = AnswerCache(cache_dir() / "dashboard")
        self._who = _who(options)
        self._live = options.bundle is None
        self._writes = self._live and not options.no_cache

    def recall(self, name: str, kind: Any) -> tuple[Any, float] | None:
        """What was kept under this name for these clusters, and when (unix seconds)."""
        now = clock.now()
        kept = self._answers.get(f"{self._who}/{name}", _SECONDS, now) if self._live else None
        if kept is None:
            return None
        try:
            return msgspec.msgpack.decode(kept.payload, type=kind), now - kept.age_seconds
        except msgspec.MsgspecError:  # another version's: live answers are on their way
            return None

    def keep(self, name: str, value: Any) -> None:
        if self._writes:
            self._answers.put(f"{self._who}/{name}", msgspec.msgpack.encode(value), clock.now())


def _who(options: Options) -> str:
    """What tells this fleet from another one before anything is read: the files that name it, as they are
    now, and the choice among them."""
    config = Path(options.config or os.environ.get("AIOPS_CONFIG") or config_dir() / "config.toml")
    kube = options.kubeconfig or os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    parts: list[object] = [options.contexts, options.selector, options.group, options.bundle]
    for path in (config, *(Path(p) for p in kube.split(os.pathsep) if p)):
        try:
            stat = path.stat()
            parts.append((str(path.absolute()), stat.st_mtime_ns, stat.st_size))
        except OSError:
            parts.append(str(path))
    return hashlib.sha256(repr(parts).encode()).hexdigest()
