"""What the dashboard remembers from one start to the next: `$XDG_DATA_HOME/aiops/dashboard.json`.

Every field may be missing or of another version: what can't be read is as if it had never been set, and
what this version doesn't know is kept as it is. A damaged file is set aside. Bundles have a memory apart from that
of live clusters, but for the theme. Never holds a query's answer or a secret.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiops_cli.store.files import set_aside, write_whole
from aiops_cli.store.paths import data_dir

_KEPT_LINES = 200  # of a history
_BUNDLES = "bundles"  # what is remembered of them is in an object of this name
_SHARED = ("theme",)
_NONE = object()
Change = Callable[[dict[str, Any]], dict[str, Any]]
"""Of one state of the file to the next."""


class Remembered:
    """A small JSON object; each change is written whole, over what another dashboard wrote since. `beside`
    writes in a thread, so that a disk that hangs stops nobody; `close` waits for it. A disk that can't be
    written costs the memory, never the session: `trouble` is told once, from that thread. `aside` is where a
    damaged file was put."""

    def __init__(
        self,
        path: Path | None = None,
        trouble: Callable[[OSError], None] | None = None,
        *,
        bundle: bool = False,
        beside: bool = False,
    ) -> None:
        self._path = path or data_dir() / "dashboard.json"
        self._trouble = trouble
        self._bundle = bundle
        self._beside = beside
        self._due: list[Change] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None  # while there is something to write
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

    def _of(self, whole: dict[str, Any], key: str) -> Any:
        return _part(whole).get(key) if self._apart(key) else whole.get(key)

    def _apart(self, key: str) -> bool:
        return self._bundle and key not in _SHARED

    def text(self, key: str, default: str = "") -> str:
        value = self._of(self._all, key)
        return value if isinstance(value, str) else default

    def texts(self, key: str) -> list[str]:
        return _texts(self._of(self._all, key))

    def mapping(self, key: str) -> dict[str, Any]:
        return _mapping(self._of(self._all, key))

    def set(self, key: str, value: Any) -> None:
        """Remember it."""
        if self._of(self._all, key) != value:
            self._change(key, lambda _: value)

    def put(self, key: str, name: str, value: Any) -> None:
        """Remember one entry of a mapping."""
        if self.mapping(key).get(name, _NONE) != value:
            self._change(key, lambda old: _mapping(old) | {name: value})

    def add_line(self, key: str, line: str) -> None:
        """Append to a history: the newest last, each line once."""
        if line.strip() and self.texts(key)[-1:] != [line]:
            self._change(key, lambda old: [*(x for x in _texts(old) if x != line), line][-_KEPT_LINES:])

    def _change(self, key: str, new: Callable[[Any], Any]) -> None:
        def change(whole: dict[str, Any]) -> dict[str, Any]:
            one = {key: new(self._of(whole, key))}
            return whole | ({_BUNDLES: _part(whole) | one} if self._apart(key) else one)

        self._all = change(self._all)
        with self._lock:
            self._due.append(change)
            if self._thread is not None:
                return  # it writes this too
            if self._beside:
                self._thread = threading.Thread(target=self._write_due, name="remember", daemon=True)
                self._thread.start()
        if not self._beside:
            self._write_due()

    def _write_due(self) -> None:
        while True:
            with self._lock:
                due, self._due = self._due, []
                if not due:
                    self._thread = None
                    return
            whole = self._all | self._read()
            for change in due:
                whole = change(whole)
            self._write(whole)

    def _write(self, whole: dict[str, Any]) -> None:
        try:
            write_whole(
                self._path, json.dumps(whole, ensure_ascii=False, indent=1).encode("utf-8", "replace")
            )
        except OSError as error:
            if self._trouble is not None:
                self._trouble(error)
                self._trouble = None

    def close(self, seconds: float) -> None:
        """Wait so long at most for what is yet to be written."""
        if (thread := self._thread) is not None:
            thread.join(seconds)


def _part(whole: dict[str, Any]) -> dict[str, Any]:
    part = whole.get(_BUNDLES)
    return part if isinstance(part, dict) else {}


def _texts(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}
