"""A session whose questions tell how far they are: to the interface's loop, from the backend's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields

from aiops_cli.services.fanout import Progress, Watcher
from aiops_cli.services.session import Session


@dataclass(slots=True)
class Watched(Session):
    """The session of one question. `told` is what its fan-outs call."""

    told: Watcher | None = None

    def watcher(self) -> Watcher | None:
        return self.told


def watched(session: Session, show: Callable[[Progress], None]) -> Watched:
    """The session with `show` as its watcher, called on the loop that runs now, whoever asks."""
    loop = asyncio.get_running_loop()

    def told(progress: Progress) -> None:
        loop.call_soon_threadsafe(show, progress)

    return Watched(**{f.name: getattr(session, f.name) for f in fields(session)}, told=told)


def so_far(progress: Progress) -> str:
    """`2 of 3 clusters, waiting for west`."""
    waiting = progress.waiting
    names = ", ".join(waiting[:2]) + (f" and {len(waiting) - 2} more" if len(waiting) > 2 else "")
    return f"{progress.done} of {progress.total} clusters" + (f", waiting for {names}" if waiting else "")
