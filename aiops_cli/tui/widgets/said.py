"""A panel for what is asked once, when a person says so: it tells what is under way in its own place."""

from __future__ import annotations

from aiops_cli.render.text import one_line
from aiops_cli.tui.widgets.panel import Panel


class Said(Panel):
    """`say` puts a text in place of the content; `reveal` shows the content again."""

    def say(self, *lines: str, state: str = "") -> None:
        self._put(state, blank=True)
        self._notice.update("\n".join(one_line(line) for line in lines if line))

    @property
    def state(self) -> str:
        """What stands at the right end of its line."""
        return self._head.state

    def reveal(self, state: str = "") -> None:
        self._put(state, blank=False)

    def _put(self, state: str, *, blank: bool) -> None:
        self.set_class(blank, "-blank")
        if self._head.state != (told := one_line(state)):
            self._head.state = told
            self._head.refresh()
