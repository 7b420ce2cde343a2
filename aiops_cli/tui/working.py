"""Work beside the keys: what goes wrong in it is told, and never ends the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from textual.dom import DOMNode
from textual.worker import Worker

from aiops_cli.services.fanout import failure_of
from aiops_cli.tui.telling import error_line


def tell(node: DOMNode, error: Exception) -> None:
    """Say what went wrong in a notification."""
    node.app.notify(f"✖ {error_line(failure_of('', error))}", severity="error", markup=False)


def start(
    node: DOMNode,
    work: Callable[[], Coroutine[Any, Any, None]],
    *,
    group: str,
    exclusive: bool = True,
    name: str = "",
) -> Worker[None]:
    """Run `work` for `node` once the session is open; `exclusive` cancels what runs in its group."""
    app: Any = node.app

    async def guarded() -> None:
        try:
            await app.ready.wait()
            await work()
        except Exception as error:
            tell(node, error)

    return node.run_worker(guarded, name=name, group=group, exclusive=exclusive)
