"""The dashboard with a stopwatch: `python -m benchmarks.measured_dashboard FILE [--config …] [PLACE …]`.

From each key that runs an action (when the terminal's bytes were read) to the paint that follows the action,
and the bytes of each paint. Written to FILE as JSON when it ends, and every ten seconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from textual import events

from aiops_cli.models.options import Options
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import parse
from aiops_cli.tui.widgets.bars import Where

_EVERY = 10.0
_KEPT = 200_000


class Measured(Dashboard):
    """Times keys; `file` gets [seconds since start, action, milliseconds] a key and [seconds, bytes] a paint."""

    def __init__(self, file: Path, options: Options, **more: Any) -> None:
        super().__init__(options, **more)
        self.file = file
        self.began = time.monotonic()
        self.keys: list[tuple[float, str, float]] = []
        self.paints: list[tuple[float, int]] = []
        self._read_at: float | None = None
        self._due: list[tuple[float, str]] = []

    # Textual runs the handlers of every class of an app: none calls its base's.

    async def on_mount(self) -> None:
        self.set_interval(_EVERY, self.write)
        driver = self._driver
        if driver is not None:
            plain = driver.write

            def counted(data: str) -> None:
                self.paints.append((time.monotonic() - self.began, len(data.encode())))
                plain(data)

            driver.write = counted  # type: ignore[method-assign]

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self._read_at = event.time
        await super().on_event(event)

    async def run_action(self, action: Any, *args: Any, **more: Any) -> bool:
        read_at, self._read_at = self._read_at, None
        done = await super().run_action(action, *args, **more)
        if read_at is not None:
            self._due.append((read_at, str(action)))
            bars = [*self.screen.query(Where)] or [self.focused or self.screen]  # a dialog has none
            for bar in bars:
                bar.refresh()  # an action that changes nothing else is painted too
        return done

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        now = time.monotonic()
        for read_at, action in self._due:
            self.keys.append((read_at - self.began, action, (now - read_at) * 1000))
        self._due.clear()
        del self.keys[:-_KEPT], self.paints[:-_KEPT]

    def write(self) -> None:
        self.file.write_text(json.dumps({"keys": self.keys, "paints": self.paints}))

    async def on_unmount(self) -> None:
        self.write()


def main() -> None:
    file, *rest = sys.argv[1:]
    options = Options()
    if rest[:1] == ["--config"]:
        options.config, rest = rest[1], rest[2:]
    if rest[:1] == ["--kubeconfig"]:
        options.kubeconfig, rest = rest[1], rest[2:]
    error = Measured(Path(file), options, start=parse(" ".join(rest)) if rest else None).run()
    if error is not None:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
