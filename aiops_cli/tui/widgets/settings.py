"""What is in force and where it came from: config, options, theme, times, keys, paths, cache. Nothing secret."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import MISSING, fields

from msgspec import Struct

from aiops_cli.models.options import Options
from aiops_cli.render.output import Column, View
from aiops_cli.services.session import Session

DEFAULT = "default"


class Setting(Struct, frozen=True, rename="camel"):
    """One thing that is in force. `origin` says who decided it."""

    group: str
    name: str
    value: str
    origin: str
    meaning: str = ""


SETTINGS: View[Setting] = View(
    "SettingList",
    [
        Column("group", lambda s: s.group),
        Column("name", lambda s: s.name, keep=True),
        Column("value", lambda s: s.value),
        Column("from", lambda s: s.origin),
        Column("meaning", lambda s: s.meaning or None, wide=True),
    ],
    lambda s: f"{s.group}.{s.name}",
)


async def read_settings(session: Session, theme: str, theme_origin: str) -> list[Setting]:
    """All of them, in the order that a reader asks."""
    return [
        *_files(session),
        Setting("theme", "theme", theme, theme_origin, "enter takes another; ctrl+t the next"),
        *_times(session),
        *_options(session.options),
        *_config(session),
        *_cache(session),
        *_keys(session.settings.keys),
    ]


def _files(session: Session) -> Iterator[Setting]:
    from aiops_cli.config.settings import default_path
    from aiops_cli.services.report_files import folder
    from aiops_cli.store.paths import cache_dir, data_dir

    given = session.options.config
    by = "--config" if given else "AIOPS_CONFIG" if os.environ.get("AIOPS_CONFIG") else DEFAULT
    path = session.settings.path
    yield Setting("paths", "config", str(path or f"{default_path()} (there is none)"), by)
    for name, found, variable in (
        ("data", data_dir(), "XDG_DATA_HOME"),
        ("reports", folder(), "XDG_DATA_HOME"),
        ("cache", cache_dir(), "XDG_CACHE_HOME"),
    ):
        yield Setting("paths", name, str(found), variable if os.environ.get(variable) else DEFAULT)
    if session.bundle is not None:
        yield Setting("paths", "bundle", str(session.bundle.path), "--bundle")
    elif session.options.kubeconfig or os.environ.get("KUBECONFIG"):
        by = "--kubeconfig" if session.options.kubeconfig else "KUBECONFIG"
        yield Setting("paths", "kubeconfig", session.options.kubeconfig or os.environ["KUBECONFIG"], by)
    else:
        yield Setting("paths", "kubeconfig", "~/.kube/config", DEFAULT)


def _times(session: Session) -> Iterator[Setting]:
    from datetime import datetime

    local = datetime.fromtimestamp(session.now).astimezone().tzname() or "local"
    tz = session.options.tz
    by = "--tz" if tz else "TZ" if os.environ.get("TZ") else "system"
    yield Setting("time", "zone", tz or f"local ({local})", by, "of the times on screen")
    o = session.options
    window = f"last {o.since}" if o.since else " to ".join(filter(None, (o.start, o.end or "now")))
    yield Setting(
        "time",
        "range",
        window if o.since or o.start or o.end else "all that was recorded",
        "T",
        "enter or T takes another",
    )


def _options(options: Options) -> Iterator[Setting]:
    """What the command line said."""
    shown_elsewhere = ("bundle", "config", "kubeconfig", "tz", "since", "start", "end")
    for f in fields(options):
        usual = (
            f.default
            if f.default is not MISSING
            else f.default_factory()
            if callable(f.default_factory)
            else None
        )
        value = getattr(options, f.name)
        if value != usual and f.name not in shown_elsewhere:
            text = ", ".join(value) if isinstance(value, list) else str(value)
            yield Setting("options", f.name, text, "command line")


def _config(session: Session) -> Iterator[Setting]:
    from aiops_cli.config.shown import leaves

    for path, value, given in leaves(session.settings):
        if not path.startswith("keys"):
            group, _, name = path.partition(".")
            yield Setting(group, name or group, value, "config" if given else DEFAULT)


def _cache(session: Session) -> Iterator[Setting]:
    from aiops_cli.store.answers import AnswerCache
    from aiops_cli.store.paths import cache_dir
    from aiops_cli.store.ranges import RangeCache

    notices = session.state.notices
    ranges = RangeCache(cache_dir() / "samples", max_bytes=session.settings.cache.max_bytes, notices=notices)
    for name, holds, cache in (
        ("holds ranges", "range queries", ranges.info()),
        ("holds lists", "lists", AnswerCache(cache_dir() / "answers", notices=notices).info()),
        ("holds screens", "first paints", AnswerCache(cache_dir() / "dashboard", notices=notices).info()),
    ):
        yield Setting("cache", name, f"{cache.entries} {holds}, {cache.bytes / 1e6:.1f} MB", "disk")


def _keys(rebound: dict[str, str]) -> Iterator[Setting]:
    from aiops_cli.tui.keymap import registry

    usual: dict[str, tuple[list[str], str]] = {}
    for _, binding in registry():
        keys, _ = usual.setdefault(binding.id or "", ([], binding.tooltip or binding.description))
        keys.append(binding.key)
    for id, (keys, meaning) in sorted(usual.items()):
        written = rebound.get(id, ",".join(dict.fromkeys(keys)))
        yield Setting("keys", id, written, "config" if id in rebound else DEFAULT, meaning)
