"""Check files: YAML that says what must hold, read strictly, and the same for one inline expression.

Every mistake names the file and the key. The JSON Schema of the file is docs/schemas/check-file.json.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from aiops_cli.config.settings import Settings
from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.services import queries, times
from aiops_cli.services.claims import Claim, Op, claim_of
from aiops_cli.services.selection import parse_selector

Level = Literal["critical", "warning", "info"]
LEVELS: tuple[Level, ...] = ("critical", "warning", "info")
Labels = dict[str, str]
R = TypeVar("R")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SelectorSpec(_Strict):
    """The clusters a check is about, out of those the command chose: by glob, and by fleet labels."""

    contexts: list[str] = Field(default=[], description="Contexts or clusters by glob; !GLOB excludes.")
    labels: str | Labels = Field(default="", description="Fleet labels, key=value,… or a mapping.")


class PromqlSpec(_Strict):
    """A PromQL assertion; a bare string is `{expr: …}`."""

    expr: str = Field(description="PromQL, or @NAME of a named query. A comparison must hold.")
    for_: str | None = Field(
        default=None, alias="for", description="It must have held this long: 30s, 5m, 1h."
    )
    op: Op | None = Field(default=None, description="Together with threshold: each value must satisfy it.")
    threshold: float | None = Field(default=None, strict=True)
    allow_empty: bool = Field(default=False, alias="allowEmpty", description="No data is a pass.")

    @model_validator(mode="after")
    def _both_or_none(self) -> PromqlSpec:
        if (self.op is None) is not (self.threshold is None):
            raise ValueError("op and threshold belong together")
        return self


class AlertsSpec(_Strict):
    """An alert assertion."""

    absent: str | list[str] | Labels = Field(
        description="No alert that matches may fire: a mapping of labels, or matchers such as "
        'severity=~"critical|warning"; empty for any alert at all.'
    )


def _or_text(schema: dict[str, Any]) -> None:
    """A bare expression is allowed as well; `CheckSpec` makes a `PromqlSpec` of it."""
    schema["anyOf"].insert(0, {"type": "string"})


class CheckSpec(_Strict):
    """One check: exactly one of `promql` and `alerts`."""

    name: str = Field(min_length=1)
    severity: Level = "critical"
    message: str = Field(default="", description="What it means when this fails.")
    selector: SelectorSpec = SelectorSpec()
    promql: PromqlSpec | None = Field(default=None, json_schema_extra=_or_text)
    alerts: AlertsSpec | None = None

    @field_validator("promql", mode="before")
    @classmethod
    def _bare_expr(cls, value: object) -> object:
        return {"expr": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_assertion(self) -> CheckSpec:
        if (self.promql is None) is (self.alerts is None):
            raise ValueError("a check has one of promql and alerts")
        return self


class CheckFile(_Strict):
    """A whole check file."""

    checks: list[CheckSpec] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class MetricAssertion:
    """`claim` must hold now, or at every step of the last `seconds`."""

    claim: Claim
    seconds: float = 0.0
    allow_empty: bool = False

    def __str__(self) -> str:
        return f"{self.claim.expr} for {self.seconds:g}s" if self.seconds else self.claim.expr


@dataclass(frozen=True, slots=True)
class AlertAssertion:
    """No firing alert satisfies all `matchers`; `text` shows them as they were written."""

    matchers: tuple[Callable[[Labels], bool], ...]
    text: str

    def __str__(self) -> str:
        return f"no firing alert matches {self.text}"


@dataclass(frozen=True, slots=True)
class Check:
    """A check that is ready to run. `description` is what the author says of a failure."""

    name: str
    severity: Level
    assertion: MetricAssertion | AlertAssertion
    description: str = ""
    contexts: tuple[str, ...] = ()
    labels: str = ""
    source: str = field(default="--expr", compare=False)


def inline(expr: str, held: str | None, name: str | None, severity: str | None, settings: Settings) -> Check:
    """The check of `--expr`. Raises UsageError."""
    level = next((known for known in LEVELS if known == (severity or "critical")), None)
    if level is None:
        raise UsageError(f"unknown severity {severity!r}", hint=f"one of: {', '.join(LEVELS)}")
    seconds = times.parse_duration(held, "--for") if held else 0.0
    claim = claim_of(queries.resolve(expr, settings))
    return Check(name or expr, level, MetricAssertion(claim, seconds))


def load(path: Path, settings: Settings) -> list[Check]:
    """The checks of a file. Raises UsageError (FILE_INVALID, INVALID_PROMQL) with the file and the key."""
    raw = _read(path)
    try:
        spec = CheckFile.model_validate(raw)
    except ValidationError as error:
        raise _explain(error, path, raw) from None
    checks = []
    for index, one in enumerate(spec.checks):
        where = f"check file {path}: checks[{index}] ({one.name})"
        labels = one.selector.labels
        text = labels if isinstance(labels, str) else ",".join(f"{k}={v}" for k, v in labels.items())
        _at(f"{where}.selector.labels", lambda text=text: parse_selector(text))  # type: ignore[misc]
        checks.append(
            Check(
                one.name,
                one.severity,
                _assertion(one, where, settings),
                one.message,
                tuple(one.selector.contexts),
                text,
                str(path),
            )
        )
    return checks


def unique(checks: Sequence[Check]) -> None:
    """Raises UsageError if two checks have one name: their results could not be told apart."""
    seen: dict[str, Check] = {}
    for check in checks:
        if check.name in seen:
            where = " and ".join(dict.fromkeys((seen[check.name].source, check.source)))
            raise UsageError(
                f"two checks are called {check.name!r} ({where})",
                hint="give each a name of its own",
                code=ErrorCode.FILE_INVALID,
            )
        seen[check.name] = check


def _assertion(spec: CheckSpec, where: str, settings: Settings) -> MetricAssertion | AlertAssertion:
    if spec.alerts is not None:
        absent = spec.alerts.absent
        return _at(f"{where}.alerts.absent", lambda: _absent(absent))
    assert spec.promql is not None
    promql = spec.promql
    held = promql.for_
    seconds = _at(f"{where}.promql.for", lambda: times.parse_duration(held) if held else 0.0)
    claim = _at(
        f"{where}.promql.expr",
        lambda: claim_of(queries.resolve(promql.expr, settings), promql.op, promql.threshold),
    )
    return MetricAssertion(claim, seconds, promql.allow_empty)


def _at(where: str, make: Callable[[], R]) -> R:
    """What `make` gives; its UsageError gets the place in front."""
    try:
        return make()
    except UsageError as error:
        code = ErrorCode.INVALID_PROMQL if error.code == ErrorCode.INVALID_PROMQL else ErrorCode.FILE_INVALID
        raise UsageError(f"{where}: {error.message}", hint=error.hint, code=code) from None


_MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^",{}\s]+)\s*(?:,|$)')


def _absent(raw: str | list[str] | Labels) -> AlertAssertion:
    if isinstance(raw, dict):
        terms = [(name, "=", value) for name, value in raw.items()]
    else:
        terms = [t for part in ([raw] if isinstance(raw, str) else raw) for t in _matchers(part)]
    text = ", ".join(f'{name}{op}"{value}"' for name, op, value in terms)
    return AlertAssertion(tuple(_matcher(*term) for term in terms), f"{{{text}}}")


def _matchers(text: str) -> list[tuple[str, str, str]]:
    text = text.strip()
    rest = text[1:-1].strip() if text.startswith("{") and text.endswith("}") else text
    terms = []
    while rest:
        found = _MATCHER.match(rest)
        if found is None:
            raise UsageError(
                f"can't read the matcher {rest!r}",
                hint='write alertname="Down", severity=~"critical|warning"',
            )
        value = found[3]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), value[1:-1])
        terms.append((found[1], found[2], value))
        rest = rest[found.end() :].strip()
    return terms


def _matcher(name: str, op: str, value: str) -> Callable[[Labels], bool]:
    """A label that is missing counts as empty, as in Alertmanager; a regex matches the whole value."""
    if op in ("=", "!="):
        return lambda labels: (labels.get(name, "") == value) is (op == "=")
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise UsageError(f"the regex {value!r} is invalid: {error}", hint="fix the regex") from None
    return lambda labels: (pattern.fullmatch(labels.get(name, "")) is not None) is (op == "=~")


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice: one of the two would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _read(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _invalid(f"check file {path} does not exist", "check the path") from None
    except UnicodeDecodeError:
        raise _invalid(f"check file {path} is no UTF-8 text", "save it as UTF-8") from None
    except OSError as error:
        raise _invalid(
            f"check file {path} can't be read: {error.strerror or error}", "check the path and permissions"
        ) from None
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise _invalid(
            f"check file {path}{at} is no valid YAML: {problem}", "fix the syntax at that line"
        ) from None
    except RecursionError:
        raise _invalid(f"check file {path} is nested too deeply", "see docs/check.md for its form") from None


def _explain(error: ValidationError, path: Path, raw: object) -> UsageError:
    errors = error.errors()
    # A key that is misspelt is missing as well: the first says what to do.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    location = first["loc"]
    for key in ("absent", "labels"):  # pydantic names each form of a union behind the key
        if key in location:
            location = location[: location.index(key) + 1]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    file = f"check file {path}"
    if first["type"] == "extra_forbidden":
        known = _known_keys(location)
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known)}"
        return _invalid(f"{file}: unknown key {where!r}", hint)
    if not where and not isinstance(raw, dict):
        return _invalid(f"{file}: it has to be a mapping with `checks:`", "see docs/check.md for its form")
    said = first["msg"].removeprefix("Value error, ")
    return _invalid(
        f"{file}: {where or 'the file'}: {said}", "see docs/check.md for the keys and their types"
    )


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that the last part of `location` stands in."""
    tables: dict[str, type[BaseModel]] = {
        "checks": CheckSpec,
        "selector": SelectorSpec,
        "promql": PromqlSpec,
        "alerts": AlertsSpec,
    }
    model = next((tables[str(p)] for p in reversed(location[:-1]) if p in tables), CheckFile)
    return sorted(f.alias or name for name, f in model.model_fields.items())


def _invalid(message: str, hint: str) -> UsageError:
    return UsageError(message, hint=hint, code=ErrorCode.FILE_INVALID)
