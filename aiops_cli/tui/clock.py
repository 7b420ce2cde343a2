"""The wall clock of the dashboard, in one place, so that a picture of a screen can be taken at a known time."""

from __future__ import annotations

import time
from datetime import datetime


def now() -> float:
    """Unix seconds."""
    return time.time()


def text(at: float | None = None) -> str:
    """Hours, minutes and seconds, local; of another day with its month and day."""
    today, then = datetime.fromtimestamp(now()), datetime.fromtimestamp(now() if at is None else at)
    return then.strftime("%H:%M:%S" if then.date() == today.date() else "%m-%d %H:%M")
