"""Garbage is collected while nobody types.

A full collection looks at each object there is and stops every thread for as long as that takes: a third of a second
with two hundred clusters.
"""

from __future__ import annotations

import gc
import time

EVERY = 1.0  # seconds between looks whether there is a pause
_PAUSE = 2.0  # seconds without a key that are one
_WORTH = 100  # collections of younger objects, since the last full one, that make one worth it


def in_pause(last_key: float) -> None:
    """Collect all garbage, if there may be much, and no key came since `last_key` (of `time.monotonic`)."""
    if time.monotonic() - last_key >= _PAUSE and gc.get_count()[2] >= _WORTH:
        gc.collect()
