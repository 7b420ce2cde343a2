"""Records that are never thrown away: a folder of small immutable files, the latest of a key wins.

Each append is a file of its own, `j1_<nanoseconds>_<random>.ndjson`, written aside and renamed, so
that no writer waits for another and a killed one leaves nothing torn. Now and then whoever finds the
lock free joins the small files; the joined file is in place before the old ones go, and a record met
twice is known by its id. The number after `j` is the format; files of a newer one are left alone.
"""

from __future__ import annotations

import re
import secrets
import time
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from aiops_cli.store.files import lock_if_free, remove_abandoned, set_aside, write_whole
from aiops_cli.store.notices import Notices

_NAME = re.compile(r"j1_(\d+)_[0-9a-f]+\.ndjson")
_ANY_FORMAT = re.compile(r"j(\d+)_.*\.ndjson")
_HEAD, _MIDDLE = b'{"crc":"', b'","record":'
_JOIN_FROM = 64  # small files
_JOIN_BYTES = 2**20  # larger files stay as they are
_MAX_LISTINGS = 50


class Entry(msgspec.Struct, frozen=True):
    """A stored record. `at` (unix nanoseconds) orders records even where a clock was set back."""

    id: str
    at: int
    key: str
    data: dict[str, Any]


class Journal:
    """The records in `folder`. With `latest_only` older records of a key may go; others go after
    `keep_seconds`, where that is set."""

    def __init__(
        self,
        folder: Path,
        notices: Notices,
        *,
        latest_only: bool = False,
        keep_seconds: float | None = None,
    ) -> None:
        self.folder = folder
        self._notices = notices
        self._latest_only = latest_only
        self._keep_seconds = keep_seconds

    def append(self, records: Sequence[tuple[str, Any]]) -> None:
        """Store (key, record) pairs, all or none; on disk when this returns. Raises OSError if they are
        not; joining files is no part of that, and only told of when it fails."""
        if not records:
            return
        newest = max((_stamp(path) for path in self._files()), default=0)
        at, batch = max(time.time_ns(), newest + 1), secrets.token_hex(8)
        entries = [
            Entry(f"{batch}-{n}", at + n, key, msgspec.to_builtins(record))
            for n, (key, record) in enumerate(records)
        ]
        self._write(entries)
        try:
            self._join()
        except OSError as error:
            self._notices.disk(self.folder, error)

    def read(self) -> list[Entry]:
        """Every record, oldest first. A folder that can't be read has none, and is told of once.

        A listing is no snapshot: one made while files are joined may show neither the old files nor
        the new one. Two that agree missed nothing.
        """
        entries: dict[str, Entry] = {}
        seen: set[Path] = set()
        before: set[Path] | None = None
        for _ in range(_MAX_LISTINGS):
            listed = set(self._files())
            for path in listed - seen:
                found = self._load(path)
                if found is not None:
                    seen.add(path)
                    entries |= {e.id: e for e in found}
            if listed == before:
                break
            before = listed
        return sorted(entries.values(), key=lambda e: (e.at, e.id))

    def _files(self) -> list[Path]:
        try:
            paths = list(self.folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            self._notices.disk(self.folder, error)
            return []
        for path in paths:
            match = _ANY_FORMAT.fullmatch(path.name)
            if match and int(match[1]) > 1:
                self._notices.say(f"records of a newer aiops in {self.folder} are left alone")
        return [path for path in paths if _NAME.fullmatch(path.name)]

    def _load(self, path: Path) -> list[Entry] | None:
        """None when the file is gone or can't be read; a damaged line costs that line alone."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._notices.disk(self.folder, error)
            return None
        lines = data.splitlines()
        entries = [entry for line in lines if (entry := _parse(line))]
        if len(entries) < len(lines) or not data.endswith(b"\n"):
            self._salvage(path, entries)
        return entries

    def _salvage(self, path: Path, entries: list[Entry]) -> None:
        """Keep the whole lines in a file of their own before the damaged one is set aside."""
        try:
            if entries:
                self._write(entries)
        except OSError as error:
            self._notices.disk(self.folder, error)
            return
        aside = set_aside(path)
        if aside:
            self._notices.say(
                f"damaged file set aside as {aside}; {len(entries)} whole records in it were kept"
            )

    def _write(self, entries: Sequence[Entry]) -> None:
        name = f"j1_{max(e.at for e in entries)}_{secrets.token_hex(8)}.ndjson"
        write_whole(self.folder / name, b"".join(map(_line, entries)), durable=True)

    def _join(self) -> None:
        if len(self._files()) < _JOIN_FROM:
            return
        with lock_if_free(self.folder / ".lock") as locked:
            if not locked:
                return
            remove_abandoned(self.folder)
            files = self._files()
            oldest = 0 if self._keep_seconds is None else time.time_ns() - int(self._keep_seconds * 1e9)
            # Only what was read goes into the joined file, and only that may go away with it.
            read = {p: found for p in files if _is_small(p) and (found := self._load(p)) is not None}
            loaded = [e for found in read.values() for e in found]
            kept = [e for e in _latest(loaded) if e.at >= oldest] if self._latest_only else loaded
            unique = {e.id: e for e in kept if e.at >= oldest}
            if unique:
                self._write(sorted(unique.values(), key=lambda e: (e.at, e.id)))
            for path in {*read, *(p for p in files if _stamp(p) < oldest)}:
                path.unlink(missing_ok=True)


def _is_small(path: Path) -> bool:
    try:
        return path.stat().st_size < _JOIN_BYTES
    except FileNotFoundError:  # set aside by a reader
        return False


def _latest(entries: Iterable[Entry]) -> Iterable[Entry]:
    by_key: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda e: (e.at, e.id)):
        by_key[entry.key] = entry
    return by_key.values()


def _stamp(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _line(entry: Entry) -> bytes:
    record = msgspec.json.encode(entry)
    return _HEAD + b"%08x" % zlib.crc32(record) + _MIDDLE + record + b"}\n"


def _parse(line: bytes) -> Entry | None:
    at = len(_HEAD) + 8
    record = line[at + len(_MIDDLE) : -1]
    if line[: len(_HEAD)] != _HEAD or line[at : at + len(_MIDDLE)] != _MIDDLE:
        return None
    try:
        if int(line[len(_HEAD) : at], 16) != zlib.crc32(record):
            return None
        return msgspec.json.decode(record, type=Entry)
    except (ValueError, msgspec.MsgspecError):
        return None
