"""The wall clock of the dashboard, in one place, so that a picture of a screen can be taken at a known time."""

from __future__ import annotations

import time
from datetime import datetime


def now() -> float:
    """Unix seconds."""
    return time.time()


def text() -> str:
    """Hours, minutes and seconds, local."""
    return datetime.fromtimestamp(now()).strftime("%H:%M:%S")
