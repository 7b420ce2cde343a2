"""What is related to a row, and where its rows lead."""

from __future__ import annotations

import pytest
from textual.widgets import Static

from aiops_cli.tui.commands import place_of
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets.related import Related, show_related, thing
from tests.tui.conftest import driving, screen_text, until

AT = "2026-11-24T23:22:40Z"


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("aiops metrics range @service-errors --from A --to B -c west",
         Place("metrics", "@service-errors", {"at": AT}, ("west",))),
        ("aiops logs query '{app=\"x y\"} |= `-c`' --limit 0 -c west",
         Place("logs", '{app="x y"} |= `-c`', {"at": AT}, ("west",))),
        ("aiops traces show abc -c west", Place("traces", "", {"trace": "abc"}, ("west",))),
        ("aiops traces search --service=cart --error --slowest --limit 100 -c west",
         Place("traces", '{ resource.service.name = "cart" && status = error }', {"at": AT}, ("west",))),
        ("Look at the slowest traces: aiops -c west traces search --service checkout",
         Place("traces", '{ resource.service.name = "checkout" }', {"at": AT}, ("west",))),
        ("aiops events node/east-b -c east", Place("cluster", "node/east-b", {"tab": "events", "at": AT}, ("east",))),
        ("aiops alerts list --namespace=shop -c west", Place("alerts", "", {"ns": "shop", "at": AT}, ("west",))),
        ("aiops related Node/a -c west", None),
        ("kubectl get pods", None),
        ("aiops logs query 'unended", None),
    ],
)  # fmt: skip
def test_a_command_leads_to_the_screen_that_shows_the_same(command: str, place: Place | None) -> None:
    assert place_of(command, AT) == place


async def test_rows_about_a_workload_jump_and_objects_are_followed() -> None:
    async with driving(bundle="demo", size=(160, 50)) as pilot:
        board = pilot.app.screen
        show_related(board, "Deployment checkout", thing("west", "Deployment", "checkout", "shop"))  # type: ignore[arg-type]
        text = await until(pilot, "CheckoutErrors")
        assert "Related to Deployment checkout" in text
        assert "@service-errors" in text
        dialog = pilot.app.screen
        assert isinstance(dialog, Related)
        await pilot.press("G", "enter")
        await until(pilot, "Related to Node west-b")
        await until(pilot, "Pod ")
        await pilot.press("escape")
        assert pilot.app.screen is board


async def test_what_is_chosen_is_where_one_goes() -> None:
    async with driving(bundle="demo") as pilot:
        board = pilot.app.screen
        show_related(board, "Deployment checkout", thing("west", "Deployment", "checkout", "shop"))  # type: ignore[arg-type]
        await until(pilot, "active alert")
        grid = pilot.app.screen.query_one("#related")
        for i, item in enumerate(grid.rows):  # type: ignore[attr-defined]
            if item.signal == "alert":
                grid.cursor = i  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(
            pilot, lambda: pilot.app.screen is not board and not isinstance(pilot.app.screen, Related)
        )
        place = pilot.app.trail.here  # type: ignore[attr-defined]
        assert (place.view, place.args["ns"], place.contexts) == ("alerts", "shop", ("west",))


async def test_nothing_known_is_said() -> None:
    async with driving(bundle="demo") as pilot:
        show_related(pilot.app.screen, "nothing", lambda horizon: [])  # type: ignore[arg-type]
        await until(pilot, "nothing here to start from")
        assert isinstance(pilot.app.screen.query_one(".notice"), Static)
        assert "\x1b" not in screen_text(pilot)
