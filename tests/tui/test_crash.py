"""An error of the dashboard's own: one line and a file, and no value of a variable in either."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from aiops_cli.tui.crash import told
from tests.tui.conftest import driving


async def test_an_internal_error_is_a_line_and_a_file_without_values(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        token = "planted-secret-token"
        try:
            raise ValueError("Bearer " + token)
        except ValueError as error:
            raise RuntimeError(f"refused: {token}") from error

    shown: list[str] = []
    with pytest.raises(RuntimeError, match="refused"):
        async with driving(bundle="demo") as pilot:
            app = pilot.app
            monkeypatch.setattr(app, "_close_messages_no_wait", _noted(app, shown))
            app.call_later(fails)
            await pilot.pause()

    assert shown[0].startswith(
        "error: the dashboard ended by an error of its own: RuntimeError at test_crash.py:"
    )
    (crash,) = (home / "data" / "aiops" / "crashes").iterdir()
    assert crash.read_text().count("in fails") == 2
    assert "builtins.ValueError" in crash.read_text()
    assert "planted-secret" not in crash.read_text() + shown[0]


def test_the_newest_crashes_are_kept_and_none_takes_the_place_of_another(home: Path) -> None:
    for number in range(25):
        (home / "data" / "aiops" / "crashes").mkdir(parents=True, exist_ok=True)
        (home / "data" / "aiops" / "crashes" / f"2020{number:04}-101010.txt").write_text("old")
    said = [told(RuntimeError("x")), told(RuntimeError("x"))]
    names = sorted(p.name for p in (home / "data" / "aiops" / "crashes").iterdir())
    assert len(names) == 20
    assert all(line.endswith(name) for line, name in zip(said, names[-2:], strict=True))


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
