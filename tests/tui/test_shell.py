"""The dashboard's frame: places and history, scope, range, prompt, keys, themes, what is remembered."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from textual.color import Color
from textual.widgets import Input

from aiops_cli.errors import UsageError
from aiops_cli.models.options import Options
from aiops_cli.store.paths import data_dir
from aiops_cli.tui import keymap
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.board import Board
from aiops_cli.tui.place import Place, parse, words
from aiops_cli.tui.remembered import Remembered
from aiops_cli.tui.screens import SCREENS
from aiops_cli.tui.themes import DEFAULT, THEMES
from aiops_cli.tui.widgets.dialogs import Ask, completions
from aiops_cli.tui.widgets.grid import Grid
from tests.tui.conftest import NARROW, WIDE, driving, screen_text, shows, until

# History and scope


async def test_history_goes_back_and_forth_with_the_clusters_each_place_had() -> None:
    async with driving(bundle="demo", size=WIDE) as pilot:
        app = pilot.app
        await until(pilot, "CheckoutErrors")
        app.go(Place("alerts", "Catalog", contexts=("west",)))
        await until(pilot, "@west")
        await pilot.press("left_square_bracket")
        text = await until(pilot, "3 clusters")
        assert app.screen.NAME == "fleet"
        assert "north" in text
        await pilot.press("right_square_bracket")
        await until(pilot, "@west")
        assert app.screen.place().text == "Catalog"
        await pilot.press("minus")
        await until(pilot, lambda: app.screen.NAME == "fleet")
        await pilot.press("minus")
        await until(pilot, lambda: app.screen.NAME == "alerts")


async def test_the_fleet_is_whole_again_after_a_cluster_was_looked_at() -> None:
    async with driving(bundle="demo", size=WIDE) as pilot:
        await until(pilot, "CheckoutErrors")
        pilot.app.go(Place("alerts", contexts=("west",)))
        await until(pilot, "@west")
        await pilot.press("1")
        await until(pilot, "3 clusters")


async def test_clusters_that_were_chosen_stay_chosen() -> None:
    async with driving(bundle="demo", size=WIDE) as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("at", *"east", "enter")
        await until(pilot, "@east")
        await pilot.press("6")
        await until(pilot, lambda: pilot.app.screen.NAME == "alerts")
        await pilot.press("1")
        await until(pilot, lambda: pilot.app.screen.NAME == "fleet")
        assert "@east" in screen_text(pilot)
        await pilot.press("at", *["backspace"] * 4, "enter")
        await until(pilot, "3 clusters")


async def test_escape_leaves_the_detail_then_the_filter_then_the_screen() -> None:
    async with driving("alerts", bundle="demo", size=WIDE) as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("1")
        await until(pilot, "ONLINE")
        grid = pilot.app.screen.query(Grid).first()
        grid.focus()
        await pilot.press("slash", *"west", "enter", "space")
        await until(pilot, "esc closes")
        await pilot.press("escape")
        text = await until(pilot, lambda: "esc closes" not in screen_text(pilot))
        assert "/west" in text
        await pilot.press("escape")
        await until(pilot, lambda: "/west" not in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen.NAME == "alerts")
        await pilot.press("escape", "escape")
        await until(pilot, "there is no older place")


async def test_no_cluster_of_that_name_is_told_and_nothing_changes() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("colon", *"@wset", "enter")
        text = await until(pilot, "wset")
        assert "west" in text
        assert "3 clusters" in text


# Range


async def test_a_bundle_says_what_it_spans_and_a_range_narrows_it() -> None:
    async with driving(bundle="demo", size=WIDE) as pilot:
        await until(pilot, lambda: "bundle demo  11-24 " in screen_text(pilot).splitlines()[1])
        await pilot.press("T", "enter")
        await until(pilot, "last 5m")


_BAD_RANGES = (
    "yesterday",
    "5 parsecs",
    "now to now-1h",
    "-3h",
    "0",
    "0s",
    "5",
    "99999999999d",
    "25:99 to 26:00",
)


async def test_clusters_that_a_place_chose_stand_out_with_the_key_that_leads_to_all() -> None:
    async with driving("alerts @west", bundle="demo", size=WIDE) as pilot:
        await until(pilot, "only @west · 1 all")
        await pilot.press("3")
        await until(pilot, lambda: pilot.app.screen.NAME == "metrics")
        await until(pilot, "only @west · 1 all")
        pilot.app.run_line("fleet @west")
        await until(pilot, lambda: pilot.app.screen.NAME == "fleet")
        await pilot.press("1")
        await until(pilot, "3 clusters")
        await pilot.press("at", *"west", "enter")
        text = await until(pilot, "@west")
        assert "only" not in text.splitlines()[1]


@pytest.mark.parametrize("said", _BAD_RANGES)
async def test_a_range_that_cannot_be_read_is_told(said: str) -> None:
    async with driving(bundle="demo", size=WIDE) as pilot:
        before = pilot.app.options
        pilot.app.set_range(said)
        await until(pilot, lambda: pilot.app._notifications)
        assert pilot.app.options == before


@pytest.mark.parametrize("said", [*_BAD_RANGES, "2020-01-01 to 2020-01-02"])
async def test_a_range_that_is_refused_stays_in_its_line_with_the_reason(said: str) -> None:
    async with driving(bundle="demo", size=WIDE) as pilot:
        before = pilot.app.options
        await pilot.press("T", "end", "enter")
        await until(pilot, "now-6h to now-5h")
        await pilot.press(*said, "enter")
        text = await until(pilot, "✖")
        assert pilot.app.screen.query_one(Input).value == said
        assert "--" not in text.splitlines()[-1]
        assert pilot.app.options == before
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, Board))


async def test_a_range_by_times_of_day_is_of_the_day_of_the_bundle() -> None:
    async with driving(bundle="demo", size=WIDE, tz="UTC") as pilot:
        await pilot.press("T", "end", "enter")
        await until(pilot, "now-6h to now-5h")
        await pilot.press(*"23:20 to 23:22", "enter")
        await until(pilot, "11-24 23:20 to 11-24 23:22")
        assert pilot.app.options.start == "2026-11-24T23:20:00Z"


async def test_a_range_of_another_start_that_can_not_be_asked_is_forgotten() -> None:
    Remembered().set("since", "99999999999d")
    assert Dashboard(Options()).options.since == "1h"


# Prompt


@pytest.mark.parametrize(
    ("line", "has", "lacks"),
    [
        ("al", "alerts", "fleet"),
        ("app.th", "app.theme", "app.quit"),
        ("logs n", "ns=", "alerts"),
        ("logs @we", "@west", "@east"),
        ("@e", "@east", "@west"),
    ],
)
def test_the_prompt_completes_views_ids_keys_and_clusters(line: str, has: str, lacks: str) -> None:
    found = completions(words(line, ["app.theme", "app.quit"], ["east", "west"]), line)
    assert has in found
    assert lacks not in found


async def test_a_completion_is_taken_by_tab_and_goes_there() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("colon", *"aler")
        await until(pilot, "alerts")
        await pilot.press("tab", "space", *"@we")
        await until(pilot, "@west")
        await pilot.press("tab")
        assert pilot.app.screen.query_one(Input).value == "alerts @west"
        await pilot.press("enter")
        await until(pilot, lambda: getattr(pilot.app.screen, "NAME", "") == "alerts")
        assert pilot.app.contexts == ("west",)


async def test_the_prompt_runs_an_action_by_its_id_and_names_the_nearest_view() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("colon", *"app.theme", "enter")
        await until(pilot, lambda: pilot.app.theme != DEFAULT)
        await pilot.press("colon", *"alarts", "enter")
        await until(pilot, "did you mean 'alerts'")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("app.nope", "no action 'app.nope'"),
        ("app.thme", "did you mean 'app.theme'"),
        ("alerts @wset", "did you mean 'west'"),
        ("logs at=25:99", "no time of day"),
        ("logs since=5", "has no unit"),
    ],
)
async def test_a_line_that_is_refused_stays_with_the_reason_and_leads_nowhere(line: str, said: str) -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("colon", *line, "enter")
        await until(pilot, said)
        assert pilot.app.screen.query_one(Input).value == line
        await pilot.press("escape")
        await until(pilot, lambda: getattr(pilot.app.screen, "NAME", "") == "fleet")


@pytest.mark.parametrize("start", [False, True])
async def test_a_time_of_day_leads_to_the_day_of_the_bundle(start: bool) -> None:
    line = 'logs {namespace="shop"} at=23:20:30'
    async with driving(line if start else "fleet", bundle="demo", size=WIDE, tz="UTC") as pilot:
        if not start:
            pilot.app.run_line(line)
        await until(pilot, lambda: pilot.app.screen.NAME == "logs")
        await until(pilot, lambda: pilot.app.screen.place().args.get("at") == "2026-11-24T23:20:30.000Z")


async def test_a_cluster_that_there_is_not_ends_the_start_with_one_clear_error() -> None:
    app = Dashboard(Options(bundle="demo"), start=parse("alerts @nosuch"))
    async with app.run_test() as pilot:
        for _ in range(500):
            if app.return_value is not None:
                break
            await pilot.pause(0.02)
    assert isinstance(app.return_value, UsageError)
    assert "'nosuch'" in app.return_value.message
    assert "east, west, north" in app.return_value.hint


@pytest.mark.parametrize(
    "place",
    [
        Place("logs", '{app="x y"} |= `a`', {"at": "2026-11-24T23:00:00Z"}, ("west",)),
        Place("metrics", "up @ 1609746000", {"since": "3h"}),
        Place("alerts", "", {"ns": "shop", "name": "Catalog Errors"}, ("prod-*", "!prod-9")),
    ],
)
def test_a_place_is_read_as_it_is_written(place: Place) -> None:
    assert parse(place.written()) == place


# Keys


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_the_last_line_leads_out_of_here_at_any_width(size: tuple[int, int]) -> None:
    async with driving(bundle="demo", size=size) as pilot:
        await until(pilot, "CheckoutErrors")
        last = (await until(pilot, "/ Filter")).splitlines()[-1]  # once the table has the keys
        assert last.rstrip().endswith(": Go  ? Keys  q Quit".replace("  ", " " if size == NARROW else "  "))
        assert "Open" in last
        assert "/ Filter" in last


@pytest.mark.parametrize("view", list(SCREENS))
async def test_range_clusters_and_back_are_in_every_last_line(view: str) -> None:
    async with driving(view, bundle="demo", size=WIDE) as pilot:
        await until(pilot, lambda: view == pilot.app.screen.NAME and shows(pilot, "T"))
        assert shows(pilot, "@")
        await pilot.resize_terminal(*NARROW)
        await until(pilot, lambda: shows(pilot, "esc"))


async def test_help_names_every_action_with_its_id_and_keys_of_the_config_hold(home: Path) -> None:
    config = home / "keys.toml"
    config.write_text('[keys]\n"table.filter" = "ctrl+g, f9"\n"app.theme" = "ctrl+y"\n')
    async with driving(bundle="demo", size=WIDE, config=str(config)) as pilot:
        await until(pilot, "CheckoutErrors")
        assert "^g Filter" in screen_text(pilot)
        await pilot.press("f9")
        await until(pilot, "Filter /")
        await pilot.press("escape", "ctrl+y")
        await until(pilot, lambda: pilot.app.theme != DEFAULT)
        await pilot.press("question_mark")
        text = await until(pilot, "rebind by id")
        assert "[keys] in the config" in text
        line = next(x for x in text.splitlines() if "table.filter" in x)
        assert re.search(r"\^g f9 +Filter  Keep rows that match", line)
        await pilot.press("G")
        await until(pilot, "Click selects")
        await pilot.press("g")
        await until(pilot, "table.filter")
        assert "^g f9" in line


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('"table.fliter" = "f"', "did you mean 'table.filter'?"),
        ('"table.filter" = "ctl+f"', "'ctl+f' is no key"),
    ],
)
async def test_a_key_that_cannot_be_ends_with_one_clear_error(home: Path, keys: str, said: str) -> None:
    config = home / "keys.toml"
    config.write_text(f"[keys]\n{keys}\n")
    app = Dashboard(Options(bundle="demo", config=str(config)))
    async with app.run_test() as pilot:
        for _ in range(500):
            if app.return_value is not None:
                break
            await pilot.pause(0.02)
    error = app.return_value
    assert isinstance(error, UsageError)
    assert said in f"{error.message} {error.hint}"
    assert str(config) in error.message


async def test_a_clash_of_keys_is_told(home: Path) -> None:
    config = home / "keys.toml"
    config.write_text('[keys]\n"table.filter" = "q"\n')
    async with driving(bundle="demo", size=WIDE, config=str(config)) as pilot:
        text = await until(pilot, "both have q")
        assert "app.quit" in text


def test_no_two_actions_that_are_meant_at_once_share_a_key_by_default() -> None:
    found = keymap.clashes(keymap.registry(), {})
    # What has the focus may take these for itself: it leaves, completes or opens something of its own.
    assert [c for c in found if not c[2] <= {"escape", "tab", "shift+tab"}] == []


def test_no_default_needs_the_prefix_of_tmux_or_screen() -> None:
    for _, binding in keymap.registry():
        assert not set(keymap.split(binding.key)) <= {"ctrl+a", "ctrl+b"}, binding.id


async def test_the_palette_has_every_action() -> None:
    async with driving(bundle="demo", size=WIDE) as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: not hasattr(pilot.app.screen, "NAME"))
        await pilot.press(*"screen alerts")
        await until(pilot, "Screen Alerts")
        await pilot.press(*["backspace"] * 13, *"theme aiops-li", "enter")
        await until(pilot, lambda: pilot.app.theme == "aiops-light")
        assert Remembered().text("theme") == "aiops-light"


# Remembered


async def test_screen_filter_order_theme_and_range_are_there_at_the_next_start() -> None:
    async with driving("fleet", bundle="demo", size=WIDE) as pilot:
        await until(pilot, "CheckoutErrors")
        pilot.app.screen.query(Grid).first().focus()
        await pilot.press("slash", *"west", "enter", "greater_than_sign", "ctrl+t")
        await until(pilot, "by cluster")
        theme = pilot.app.theme
        await pilot.press("q")
    async with driving(None, bundle="demo", size=WIDE) as pilot:
        await until(pilot, "/west · kept from before · 1 of 3 · by cluster")
        assert pilot.app.theme == theme


async def test_a_filter_of_an_earlier_start_that_hides_all_is_told_and_esc_clears_it() -> None:
    async with driving("alerts foo=bar", bundle="demo", size=WIDE) as pilot:
        await until(pilot, "none of 6 matches /foo=bar; esc shows all")
        await pilot.press("q")
    async with driving(None, bundle="demo", size=WIDE) as pilot:
        await until(pilot, "none of 6 matches /foo=bar, kept from before; esc shows all")
        await pilot.press("escape")
        await until(pilot, "CheckoutErrors")


def test_bundles_are_remembered_apart_but_for_the_theme(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.json"
    live, bundle = Remembered(path), Remembered(path, bundle=True)
    live.put("places", "logs", "{}")
    live.add_line("promql", "up")
    bundle.put("places", "logs", '{app="shop"}')
    bundle.add_line("promql", "rate(x[5m])")
    bundle.set("theme", "aiops-light")
    live, bundle = Remembered(path), Remembered(path, bundle=True)
    assert live.mapping("places") == {"logs": "{}"}
    assert live.texts("promql") == ["up"]
    assert bundle.mapping("places") == {"logs": '{app="shop"}'}
    assert bundle.texts("promql") == ["rate(x[5m])"]
    assert live.text("theme") == bundle.text("theme") == "aiops-light"


def test_the_range_of_live_clusters_is_remembered_where_none_is_said() -> None:
    Remembered().set("since", "3h")
    assert Dashboard(Options()).options.since == "3h"
    assert Dashboard(Options(since="5m")).options.since == "5m"
    assert Dashboard(Options(bundle="demo")).options.since is None


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x00\xff\xfe",
        b"[1, 2]",
        b"[" * 100_000,
        b'{"theme": "of-old", "bundles": 7}',
        b'{"bundles": {"screen": 7, "theme": ["x"], "since": "5 parsecs", "grids": {"fleet/x": 3}, "places": [], "prompt": {}}}',
        b'{"bundles": {"screen": "atlantis", "theme": "of-old", "grids": {"fleet/health": {"order": "-gone", "filter": "("}}}}',
    ],
)
async def test_whatever_stands_in_the_file_the_dashboard_starts(damaged: bytes) -> None:
    path = data_dir() / "dashboard.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damaged)
    async with driving(None, bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        assert pilot.app.theme == DEFAULT
        await pilot.press("ctrl+t")
        await until(pilot, lambda: pilot.app.theme != DEFAULT)
        assert json.loads(path.read_bytes())["theme"] == pilot.app.theme


async def test_a_damaged_memory_is_told() -> None:
    path = data_dir() / "dashboard.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{")
    async with driving(None, bundle="demo", size=WIDE) as pilot:
        await until(pilot, "dashboard.json.damaged")


def test_what_another_version_or_another_dashboard_wrote_stays(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.json"
    path.write_text('{"of the future": {"a": 1}}')
    one, other = Remembered(path), Remembered(path)
    one.add_line("prompt", "logs")
    other.add_line("prompt", "alerts")
    one.put("places", "logs", "{}")
    assert Remembered(path).texts("prompt") == ["logs", "alerts"]
    assert json.loads(path.read_text())["of the future"] == {"a": 1}


# Themes


def _luminance(colour: Color) -> float:
    """Relative luminance of WCAG 2.2 (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    parts = [v / 255 for v in colour.rgb]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [t for t in THEMES if not t.ansi], ids=lambda t: t.name)
def test_text_of_every_colour_can_be_read_on_every_ground(theme: object) -> None:
    variables = theme.to_color_system().generate()  # type: ignore[attr-defined]
    names = ("foreground", "primary", "secondary", "accent", "success", "warning", "error")
    grounds = [Color.parse(variables[n]) for n in ("background", "surface", "panel")]
    poor = {}
    for ground in grounds:
        inks = {n: Color.parse(variables[n]) for n in names}
        inks["dim"] = ground.blend(inks["foreground"], 0.66)  # as Textual draws it
        inks["60%"] = ground.blend(inks["foreground"], 0.60)
        for name, ink in inks.items():
            light, dark = sorted((_luminance(ground), _luminance(ink)), reverse=True)
            ratio = (light + 0.05) / (dark + 0.05)
            if ratio < 4.5:
                poor[name, ground.hex] = round(ratio, 2)
    assert poor == {}


async def test_every_theme_draws_every_part() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        for _ in THEMES:
            await pilot.press("f2", "question_mark")
            await until(pilot, "esc closes")
            await pilot.press("escape", "colon", "escape", "T", "escape")
        assert pilot.app.theme == DEFAULT


async def test_asking_has_one_line_in_its_box() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("slash", "x")
        lines = (await until(pilot, "Filter /")).splitlines()
        assert isinstance(pilot.app.screen, Ask)
        assert lines[-2].startswith("│ x ")
        assert lines[-3].startswith("╭─ Filter / ─")


@pytest.mark.parametrize("view", ["alerts", "metrics", "traces", "gpu", "cnf"])
async def test_a_hidden_view_asks_nothing_when_one_comes_back(view: str) -> None:
    async with driving(view, bundle="demo") as pilot:
        board = pilot.app.screen
        assert isinstance(board, Board)
        await until(pilot, lambda: board.feeds)
        await pilot.press("v")
        await pilot.press("question_mark")
        await until(pilot, "Keys ·")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is board)
        seen = list(board.asked_feeds())
        assert seen and len(seen) < len(board.feeds)
        assert all(feed._task is None for feed in board.feeds if feed not in seen)


# Saved


async def test_rows_are_saved_by_their_name_with_whole_ages_and_times(home: Path) -> None:
    async with driving("alerts", bundle="demo", size=WIDE) as pilot:
        await until(pilot, "CheckoutErrors")
        pilot.app.screen.query(Grid).first().focus()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: list(home.glob("aiops-alert*.csv")))
        await until(pilot, "rows saved to ~/aiops-alert")
    rows = list(csv.DictReader(next(home.glob("aiops-alert*.csv")).open()))
    assert all(row["age_seconds"].isdecimal() for row in rows)
    assert all(row["since"].startswith("2026-11-24T23:") for row in rows)
