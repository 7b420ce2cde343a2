"""What the dashboard remembers from one start to the next: `$XDG_DATA_HOME/aiops/dashboard.json`.

Every field may be missing or of another version: what can't be read is as if it had never been set, and
what this version doesn't know is kept as it is. Never holds a query's answer or a secret.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from aiops_cli.store.files import write_whole
from aiops_cli.store.paths import data_dir

_KEPT_LINES = 200  # of a history


class Remembered:
    """A small JSON object, read once; written whole after each change. A disk that can't be written costs
    the memory, never the session."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or data_dir() / "dashboard.json"
        self._all: dict[str, Any] = {}
        self.trouble: OSError | None = None
        with contextlib.suppress(OSError, ValueError):
            read = json.loads(self._path.read_bytes())
            if isinstance(read, dict):
                self._all = read

    def text(self, key: str, default: str = "") -> str:
        value = self._all.get(key)
        return value if isinstance(value, str) else default

    def texts(self, key: str) -> list[str]:
        value = self._all.get(key)
        return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []

    def mapping(self, key: str) -> dict[str, Any]:
        value = self._all.get(key)
        return dict(value) if isinstance(value, dict) else {}

    def set(self, key: str, value: Any) -> None:
        """Remember it, at once on disk."""
        if self._all.get(key) == value:
            return
        self._all[key] = value
        try:
            write_whole(self._path, json.dumps(self._all, ensure_ascii=False, indent=1).encode())
            self.trouble = None
        except OSError as error:
            self.trouble = error

    def add_line(self, key: str, line: str) -> None:
        """Append to a history: the newest last, each line once."""
        if line.strip():
            self.set(key, [*(x for x in self.texts(key) if x != line), line][-_KEPT_LINES:])
