"""Name lookups that hang hold nobody up.

asyncio looks names up in a pool of a few threads that it waits for at the end: with a VPN down, the
first dead names would keep the live ones waiting, and the program from ending. Here each lookup has a
thread of its own that is left behind when it takes too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from selectors import BaseSelector
from typing import Any


class LookupLoop(asyncio.SelectorEventLoop):
    """The usual event loop, but for `getaddrinfo`. The same name is looked up once at a time."""

    def __init__(self, selector: BaseSelector | None = None) -> None:
        super().__init__(selector)
        self._lookups: dict[tuple[Any, ...], asyncio.Future[Any]] = {}

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """As `socket.getaddrinfo`, which see for what it raises."""
        question = (host, port, family, type, proto, flags)
        if question not in self._lookups:
            self._lookups[question] = self._look(question)
        return await asyncio.shield(self._lookups[question])

    def _look(self, question: tuple[Any, ...]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()

        def answered(settle: Callable[[Any], None], outcome: Any) -> None:
            self._lookups.pop(question, None)
            settle(outcome)
            if settle == future.set_exception:
                future.exception()  # seen, even if everybody who asked has gone

        def look() -> None:
            settle: Callable[[Any], None]
            outcome: Any
            try:
                settle, outcome = future.set_result, socket.getaddrinfo(*question)
            except Exception as error:
                settle, outcome = future.set_exception, error
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self.call_soon_threadsafe(answered, settle, outcome)

        threading.Thread(target=look, name=f"lookup {question[0]!r}", daemon=True).start()
        return future
