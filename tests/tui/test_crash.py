"""An error of the dashboard's own: one line and a file, and no value of a variable in either."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tests.tui.conftest import driving


async def test_an_internal_error_is_a_line_and_a_file_without_values(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        token = "planted-secret-token"
        raise RuntimeError(f"it broke at {len(token)}")

    shown: list[str] = []
    with pytest.raises(RuntimeError, match="it broke"):
        async with driving(bundle="demo") as pilot:
            app = pilot.app
            monkeypatch.setattr(app, "_close_messages_no_wait", _noted(app, shown))
            app.call_later(fails)
            await pilot.pause()

    assert shown[0].startswith(
        "error: the dashboard ended by an error of its own: RuntimeError: it broke at 20"
    )
    (crash,) = (home / "data" / "aiops" / "crashes").iterdir()
    assert "in fails" in crash.read_text()
    assert "planted-secret" not in crash.read_text() + shown[0]


def _noted(app: object, shown: list[str]) -> object:
    plain = app._close_messages_no_wait  # type: ignore[attr-defined]

    def close() -> None:
        console = Console(width=400)
        with console.capture() as captured:
            for renderable in app._exit_renderables:  # type: ignore[attr-defined]
                console.print(renderable)
        shown.append(captured.get())
        plain()

    return close
