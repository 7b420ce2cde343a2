"""The wall clock of the dashboard, in one place, so that a picture of a screen can be taken at a known time."""

from __future__ import annotations

import time
from datetime import datetime, tzinfo


def now() -> float:
    """Unix seconds."""
    return time.time()


def text(at: float | None = None, zone: tzinfo | None = None) -> str:
    """Hours, minutes and seconds in `zone` (None: this machine's); of another day with its month and day."""
    today, then = (datetime.fromtimestamp(t, zone) for t in (now(), now() if at is None else at))
    return then.strftime("%H:%M:%S" if then.date() == today.date() else "%m-%d %H:%M")
