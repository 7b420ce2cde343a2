"""The cart: carts in memory, and each reservation as a file on a volume of its own until it is shipped."""

from __future__ import annotations

import ctypes
import os
import random
import threading
import time
from pathlib import Path

from prometheus_client import Gauge

from tests.incidents.shop.identity import Identity
from tests.incidents.shop.telemetry import Log
from tests.incidents.shop.web import Json, Request, Service

VOLUME_BYTES = 24 * 2**20
RECORD_BYTES = 96 * 2**10
SHIPPED_AFTER = 12.0
DUMP_BYTES = 512 * 2**10
DUMP_EACH = 0.5
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def spool_of(me: Identity) -> Path:
    return Path(me.volume) / "spool"


def mount_volume(folder: Path) -> None:
    """A small file system of this process alone, gone with it. As a user, in a user namespace of its own.

    Only threads started later see it. Raises OSError where the kernel allows neither.
    """
    folder.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()

    def check(result: int) -> None:
        if result != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"no volume for the cart: {os.strerror(code)}", str(folder))

    if user == 0:
        check(libc.unshare(CLONE_NEWNS))
    else:
        check(libc.unshare(CLONE_NEWNS | CLONE_NEWUSER))
        own = Path("/proc/self")
        (own / "setgroups").write_text("deny")
        (own / "uid_map").write_text(f"0 {user} 1")
        (own / "gid_map").write_text(f"0 {group} 1")
    check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    check(libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={VOLUME_BYTES}".encode()))


class Cart(Service):
    """Its volume must be mounted before the process has a second thread: `mount_volume` says why not later."""

    def __init__(self, me: Identity, log: Log) -> None:
        super().__init__(me, log, {"GET /carts": self.cart, "POST /reservations": self.reserve})
        self.faults = {"keep-dumps": self.keep_dumps}
        self.spool = spool_of(me)
        self._number = 0
        used = Gauge("volume_used_ratio", "Used share of a volume", ("volume",))
        used.labels("spool").set_function(self._used)
        pending = Gauge("queue_depth", "Reservations not shipped yet", ("queue",))
        pending.labels("reservations").set_function(lambda: len(list(self.spool.glob("*.json"))))

    def start(self) -> None:
        super().start()
        threading.Thread(target=self._ship, name="shipping", daemon=True).start()

    def cart(self, request: Request) -> Json:
        draw = random.Random(request.rest)
        return {"user": request.rest, "items": draw.sample(range(400), 3)}

    def reserve(self, request: Request) -> Json:
        """Raises OSError (no space left on device) when the volume is full, as the kernel says it."""
        self._number += 1
        file = self.spool / f"{time.time_ns()}-{self._number}.json"
        with file.open("wb") as out:
            out.write(str(request.body).encode().ljust(RECORD_BYTES))
            out.flush()
            os.fsync(out.fileno())
        return {"reservation": file.stem}

    def keep_dumps(self) -> None:
        """The fault: debug dumps are written beside the spool and nobody removes them."""
        threading.Thread(target=self._dump, name="dumps", daemon=True).start()

    def _used(self) -> float:
        space = os.statvfs(self.spool)
        return 1 - space.f_bavail / space.f_blocks

    def _ship(self) -> None:
        while True:
            time.sleep(1)
            before = time.time_ns() - int(SHIPPED_AFTER * 1e9)
            for file in self.spool.glob("*.json"):
                if int(file.stem.split("-")[0]) < before:
                    file.unlink(missing_ok=True)

    def _dump(self) -> None:
        number = 0
        while True:
            number += 1
            file = self.spool / f"heap-{number:06}.dump"
            try:
                file.write_bytes(os.urandom(DUMP_BYTES))
                self.log.info("heap dump written", file=file.name, bytes=DUMP_BYTES)
            except OSError as error:
                self.log.error("heap dump not written", error)
            time.sleep(DUMP_EACH)
