"""Small answers (instant queries, labels, alerts) for as long as their time to live: a file each."""

from __future__ import annotations

import hashlib
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from aiops_cli.store.files import set_aside, write_whole
from aiops_cli.store.notices import Notices
from aiops_cli.store.upkeep import Upkeep, Usage

_FORMAT = "a1"  # part of the name, so that another format's files are never met
_CRC, _ASKED = struct.Struct("<I"), struct.Struct("<d")  # of what follows; unix seconds
_HEAD = _CRC.size + _ASKED.size
_RETRY_DISK_SECONDS = 60.0
_CLOCK_SLACK = 1.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A cached answer and how long ago it was asked."""

    payload: bytes
    age_seconds: float


class AnswerCache:
    """Cached payloads under `root`, shared with every other process; the newest one put is served."""

    def __init__(self, root: Path, *, max_bytes: int = 256 * 2**20, notices: Notices | None = None) -> None:
        self.root = root
        self._notices = notices or Notices()
        self._upkeep = Upkeep(root, max_bytes)
        self._no_writes_until = 0.0

    def get(self, key: str, ttl: float, now: float) -> Kept | None:
        """What was put under `key` at most `ttl` seconds before `now`.

        `key` must cover everything that changes the answer: cluster, endpoint, tenant, who asks, and
        the request itself. It is stored as a hash only.
        """
        path = self._path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._notices.disk(self.root, error)
            return None
        if len(data) < _HEAD or zlib.crc32(data[_CRC.size :]) != _CRC.unpack_from(data)[0]:
            aside = set_aside(path)
            if aside:
                self._notices.say(f"damaged cache file set aside as {aside}; what it held is fetched again")
            return None
        age = now - _ASKED.unpack_from(data, _CRC.size)[0]
        return Kept(data[_HEAD:], max(0.0, age)) if -_CLOCK_SLACK <= age <= ttl else None

    def put(self, key: str, payload: bytes, now: float) -> None:
        """Keep a complete answer asked at `now`. Never raises on disk trouble: says so once."""
        if time.monotonic() < self._no_writes_until:
            return
        body = _ASKED.pack(now) + payload
        try:
            write_whole(self._path(key), _CRC.pack(zlib.crc32(body)) + body)
            self._upkeep.wrote(len(body))
        except OSError as error:
            self._no_writes_until = time.monotonic() + _RETRY_DISK_SECONDS
            self._notices.disk(self.root, error)

    def info(self) -> Usage:
        return self._upkeep.usage()

    def prune(self, max_bytes: int) -> int:
        """Remove the answers written longest ago until `max_bytes` is met; bytes freed."""
        return self._upkeep.trim(max_bytes)

    def clear(self) -> int:
        """Remove everything; bytes freed."""
        return self._upkeep.clear()

    def _path(self, key: str) -> Path:
        return self._upkeep.folder / f"{_FORMAT}_{hashlib.sha256(key.encode()).hexdigest()}"
