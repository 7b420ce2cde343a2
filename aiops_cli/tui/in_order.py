"""Keys take effect in the order they were typed.

Textual hands a key to the widget that has the focus when it is read, and runs the action of a key only once
the key has come up from there. What is typed or pasted at once would be spread: of `/west` and enter, the
letters would go to the table, since the filter's line opens after they were read.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from textual import events
from textual.app import App
from textual.message_pump import MessagePump

_PATIENCE = 0.25  # seconds that a key may take before the next has its turn all the same
Typed = events.Key | events.Paste


class InOrder:
    """Holds what is typed back until what was typed before it has had its effect: its message has come up
    from the focused widget to the app, and so has what its action posted."""

    def __init__(
        self,
        app: App[Any],
        handle: Callable[[events.Event], Awaitable[None]],
        hold: Callable[[], None],
        release: Callable[[], None],
    ) -> None:
        """`handle` is what the app does with an event; `hold` is called before the first one of a burst, and
        `release` once the last one is on the screen."""
        self._app, self._handle = app, handle
        self._hold, self._release = hold, release
        self.at = time.monotonic()
        """When a key was had last."""
        self._waiting: deque[Typed] = deque()
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, event: Typed) -> None:
        """Handle it now, or in its turn."""
        if self._timer is not None:
            self._waiting.append(event)
        else:
            await self._begin(event)

    async def _begin(self, event: Typed) -> None:
        self.at = time.monotonic()
        self._hold()
        self._turn += 1
        over = partial(self._over, self._turn)
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, over)
        await self._handle(event)
        self._climb(self._lowest, lambda: self._climb(self._lowest, over))

    @property
    def _lowest(self) -> MessagePump:
        return self._app.focused or self._app.screen

    def _climb(self, pump: MessagePump | None, then: Callable[[], None]) -> None:
        """Call `then` once this one and all above it have handled what they have been sent so far."""
        if pump is None:
            then()
        elif not pump.call_later(self._climb, pump._parent, then):
            self._climb(pump._parent, then)

    def _over(self, turn: int) -> None:
        if turn != self._turn or self._timer is None:
            return
        self._timer.cancel()
        if self._waiting:
            self._app.call_later(self._begin, self._waiting.popleft())
        else:
            self._timer = None
            self._app.screen.call_after_refresh(self._release)
