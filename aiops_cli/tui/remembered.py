"""What the dashboard remembers from one start to the next: `$XDG_DATA_HOME/aiops/dashboard.json`.

Every field may be missing or of another version: what can't be read is as if it had never been set, and
what this version doesn't know is kept as it is. A damaged file is set aside. Bundles have a memory apart from that
of live clusters, but for the theme. Never holds a query's answer or a secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiops_cli.store.files import set_aside, write_whole
from aiops_cli.store.paths import data_dir

_KEPT_LINES = 200  # of a history
_BUNDLES = "bundles"  # what is remembered of them is in an object of this name
_SHARED = ("theme",)


class Remembered:
    """A small JSON object; each change is written whole, at once, over what another dashboard wrote since.
    A disk that can't be written costs the memory, never the session: `trouble` is told once. `aside` is where
    a damaged file was put."""

    def __init__(
        self,
        path: Path | None = None,
        trouble: Callable[[OSError], None] | None = None,
        *,
        bundle: bool = False,
    ) -> None:
        self._path = path or data_dir() / "dashboard.json"
        self._trouble = trouble
        self._bundle = bundle
        self.aside: Path | None = None
        self._all = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            read = json.loads(self._path.read_bytes())
        except OSError:
            return {}
        except (ValueError, RecursionError):
            read = None
        if isinstance(read, dict):
            return read
        self.aside = set_aside(self._path)
        return {}

    def _get(self, key: str) -> Any:
        return self._part().get(key) if self._apart(key) else self._all.get(key)

    def _apart(self, key: str) -> bool:
        return self._bundle and key not in _SHARED

    def _part(self) -> dict[str, Any]:
        part = self._all.get(_BUNDLES)
        return part if isinstance(part, dict) else {}

    def text(self, key: str, default: str = "") -> str:
        value = self._get(key)
        return value if isinstance(value, str) else default

    def texts(self, key: str) -> list[str]:
        value = self._get(key)
        return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []

    def mapping(self, key: str) -> dict[str, Any]:
        value = self._get(key)
        return dict(value) if isinstance(value, dict) else {}

    def set(self, key: str, value: Any) -> None:
        """Remember it, at once on disk."""
        if self._get(key) == value:
            return
        self._all |= self._read()
        self._all |= {_BUNDLES: self._part() | {key: value}} if self._apart(key) else {key: value}
        try:
            write_whole(
                self._path, json.dumps(self._all, ensure_ascii=False, indent=1).encode("utf-8", "replace")
            )
        except OSError as error:
            if self._trouble is not None:
                self._trouble(error)
                self._trouble = None

    def put(self, key: str, name: str, value: Any) -> None:
        """Remember one entry of a mapping."""
        self._all |= self._read()
        self.set(key, self.mapping(key) | {name: value})

    def add_line(self, key: str, line: str) -> None:
        """Append to a history: the newest last, each line once."""
        if line.strip():
            self._all |= self._read()
            self.set(key, [*(x for x in self.texts(key) if x != line), line][-_KEPT_LINES:])
