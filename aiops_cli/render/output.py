"""The output formats. A `View` says how items of one kind look; every format shows the same items."""

from __future__ import annotations

import csv
import io
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from aiops_cli.errors import UsageError
from aiops_cli.models.result import API_VERSION, FleetResult
from aiops_cli.render.text import OBEYED, cells, cut, one_line

T = TypeVar("T")
FORMATS = ("table", "wide", "json", "ndjson", "yaml", "csv", "md", "name")


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of tables: `value` for people; `plain`, if given, for CSV and for sorting."""

    title: str
    value: Callable[[T], str | None]
    right: bool = False
    wide: bool = False
    plain: Callable[[T], Any] | None = None


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """How items of a kind are shown. `name` is what `-o name` prints."""

    kind: str
    columns: Sequence[Column[T]]
    name: Callable[[T], str]


@dataclass(frozen=True, slots=True)
class Style:
    """What the shared output flags say. `width` is None when stdout is no terminal: nothing is cut."""

    format: str = "table"
    width: int | None = None
    headers: bool = True
    columns: tuple[str, ...] = ()
    sort: str | None = None
    fields: tuple[str, ...] = ()


def render(
    view: View[T], result: FleetResult[T], style: Style, *, extra: dict[str, Any] | None = None
) -> str:
    """The whole text for stdout. Raises UsageError for an unknown format, column or field."""
    if style.format not in FORMATS:
        raise UsageError(f"unknown output format {style.format!r}", hint=f"one of: {', '.join(FORMATS)}")
    items = _sorted(view, result.rows, style)
    if style.format in ("json", "ndjson", "yaml"):
        return _machine(view.kind, items, result, style, extra or {})
    if style.format == "name":
        return "".join(one_line(view.name(i)) + "\n" for i in items)
    columns = _columns(view, style)
    if style.format == "csv":
        return _csv(columns, items, style)
    rows = [[one_line(c.value(i) or "-") for c in columns] for i in items]
    if style.format == "md":
        return _markdown(columns, rows)
    return _table(columns, rows, style)


def _machine(kind: str, items: list[T], result: FleetResult[T], style: Style, extra: dict[str, Any]) -> str:
    """The contract's envelope. Items are encoded as they are: a copy of each as builtins would take
    several times their memory. NaN and infinities become null."""
    rows: list[Any] = list(items)
    if style.fields:
        rows = [_pick(msgspec.to_builtins(i), style.fields) for i in rows]
    if style.format == "ndjson":
        return "".join(_escaped(msgspec.json.encode(i).decode()) + "\n" for i in rows)
    document = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "partial": result.partial,
        "clusters": list(result.clusters),
        "items": rows,
    } | extra
    encoded = msgspec.json.encode(document)
    if style.format == "json":
        return _escaped(msgspec.json.format(encoded, indent=2).decode()) + "\n"
    return _yaml(msgspec.json.decode(encoded))


def _escaped(document: str) -> str:
    """JSON, or double-quoted YAML, that says the same and holds nothing a terminal would obey."""

    def escape(match: re.Match[str]) -> str:
        return "".join(f"\\u{unit:04x}" for (unit,) in struct.iter_unpack(">H", match[0].encode("utf-16-be")))

    return OBEYED.sub(escape, document)


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Puts text that needs escapes in double quotes: YAML has them nowhere else."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, '"' if OBEYED.search(value) else None)

    Dumper.add_representer(str, text)
    return _escaped(yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def _pick(item: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    unknown = [f for f in fields if f.split(".")[0] not in item]
    if unknown:
        raise UsageError(f"unknown field {unknown[0]!r}", hint=f"fields here: {', '.join(item)}")
    picked: dict[str, Any] = {}
    for name in fields:
        value: Any = item
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        picked[name] = value
    return picked


def _columns(view: View[T], style: Style) -> list[Column[T]]:
    if not style.columns:
        return [c for c in view.columns if style.format in ("wide", "csv") or not c.wide]
    known = {c.title.lower(): c for c in view.columns}
    for name in style.columns:
        if name.lower() not in known:
            raise UsageError(f"unknown column {name!r}", hint=f"columns here: {', '.join(known)}")
    return [known[name.lower()] for name in style.columns]


def _sorted(view: View[T], items: Sequence[T], style: Style) -> list[T]:
    if not style.sort:
        return list(items)
    name = style.sort.lstrip("-").lower()
    column = next((c for c in view.columns if c.title.lower() == name), None)
    if column is None:
        raise UsageError(
            f"can't sort by {name!r}",
            hint=f"columns here: {', '.join(c.title.lower() for c in view.columns)}",
        )
    key: Callable[[T], Any] = column.plain or column.value
    known = [i for i in items if key(i) is not None]
    unknown = [i for i in items if key(i) is None]
    descending = style.sort.startswith("-")
    try:
        return sorted(known, key=key, reverse=descending) + unknown
    except TypeError:  # maps, lists with gaps, a column of many types: what SQL may answer
        return sorted(known, key=lambda i: str(key(i)), reverse=descending) + unknown


def _csv(columns: list[Column[T]], items: list[T], style: Style) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if style.headers:
        writer.writerow([one_line(c.title.lower()) for c in columns])
    for item in items:
        writer.writerow(
            ["" if (v := (c.plain or c.value)(item)) is None else one_line(str(v)) for c in columns]
        )
    return out.getvalue()


def _markdown(columns: list[Column[T]], rows: list[list[str]]) -> str:
    def line(values: Sequence[str]) -> str:
        return "| " + " | ".join(v.replace("\\", "\\\\").replace("|", "\\|") for v in values) + " |\n"

    rule = ["---:" if c.right else "---" for c in columns]
    return line([one_line(c.title.lower()) for c in columns]) + line(rule) + "".join(line(r) for r in rows)


def _table(columns: list[Column[T]], rows: list[list[str]], style: Style) -> str:
    titles = [one_line(c.title.upper()) for c in columns]
    if not rows:
        return ""
    shown = ([titles] if style.headers else []) + rows
    widths = [max(cells(r[i]) for r in shown) for i in range(len(columns))]
    if style.width:
        widths = _fit(widths, [c.right for c in columns], [len(t) for t in titles], style.width)
    lines = []
    for row in shown:
        parts = []
        for i, (text, column) in enumerate(zip(row, columns, strict=True)):
            text = cut(text, widths[i])
            pad = " " * (widths[i] - cells(text))
            parts.append(pad + text if column.right else text + pad)
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines) + "\n"


def _fit(widths: list[int], right: list[bool], least: list[int], total: int) -> list[int]:
    """Shrink the widest text columns until the row fits; numbers are cut last."""
    widths = list(widths)
    for numbers_too in (False, True):
        while sum(widths) + 2 * (len(widths) - 1) > total:
            candidates = [
                i
                for i in range(len(widths))
                if widths[i] > max(least[i], 4) and (numbers_too or not right[i])
            ]
            if not candidates:
                break
            widest = max(candidates, key=lambda i: widths[i])
            widths[widest] -= 1
    return widths
