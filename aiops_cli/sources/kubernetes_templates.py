"""Pod templates: how two of them differ, and which ConfigMaps and Secrets one names. No secret is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aiops_cli.models.signals import Difference

Template = dict[str, Any]
Named = dict[str, dict[str, Any]]

_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_SECRET_NAME = re.compile(r"pass|pwd|secret|token|key|cred|auth|dsn|cert|private|cookie|salt|sign", re.I)
_HARMLESS = re.compile(r"[\w.,:/ +%=-]{0,48}")
_RANDOM = re.compile(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9+/_-]{20,}")
# A password in the middle: `-Ddb.password=x`, `--requirepass x`, `mysql -px`, `redis-cli -a x`,
# `curl -u bob:x`, tokens of known kinds.
_GIVEN_AWAY = re.compile(
    rf"(?:{_SECRET_NAME.pattern})[\w.-]*(?:[=\s]|:(?!\d))|\b(?:mysql|mariadb)\w*\s(?:.*\s)?-p\S"
    r"|(?:^|\s)-a[=\s]+\S|(?:^|\s)(?:-u\s*|--user[=\s]+)\S+:\S"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AKIA|ASIA|eyJ|sk[-_]|hv[sb]\.|npm_)",
    re.I,
)
_TOLD_APART = frozenset({"containers", "initContainers", "volumes"})
_OF_CONTAINERS = frozenset({"name", "image", "env", "envFrom", "command", "args", "resources"})
_MOST_LEAVES = 6
_DEEPEST = 6


def differences(before: Template, now: Template) -> list[Difference]:
    """How two pod templates differ. Values that may be secret are left out."""
    found: list[Difference] = []
    notes, old_notes = _annotations(now), _annotations(before)
    if notes.get(_RESTARTED) != old_notes.get(_RESTARTED):
        found.append(Difference("restarted", "changed"))
    for name in sorted(notes.keys() | old_notes.keys()):
        if name != _RESTARTED and notes.get(name) != old_notes.get(name):
            found.append(Difference(f"annotation {name}", "changed"))
    spec, old_spec = now.get("spec") or {}, before.get("spec") or {}
    for group in ("initContainers", "containers"):
        found += _of_containers(_named(old_spec.get(group)), _named(spec.get(group)))
    found += _of_volumes(_named(old_spec.get("volumes")), _named(spec.get("volumes")))
    for key in sorted((spec.keys() | old_spec.keys()) - _TOLD_APART):
        if spec.get(key) != old_spec.get(key):
            found += _nested(key, None, old_spec.get(key), spec.get(key))
    return found


def said(difference: Difference) -> str:
    """A difference in words: `image of app a:1 → a:2`, `env A of app added: 1`, `nodeSelector.zone removed`."""
    if difference.field == "restarted":
        return "restarted"
    what = difference.field + (f" of {difference.container}" if difference.container else "")
    if difference.before is not None and difference.after is not None:
        return f"{what} {difference.before} → {difference.after}"
    value = difference.after if difference.change == "added" else difference.before
    return f"{what} {difference.change}" + ("" if value is None else f": {value}")


def gives_away(text: str) -> bool:
    """Whether a text, such as a command line, looks as if there were a password or token in it. A long one
    is not looked through."""
    return len(text) > 1000 or bool(_GIVEN_AWAY.search(text))


def images(template: Template) -> list[str]:
    spec = template.get("spec") or {}
    return [str(c.get("image", "")) for c in _named(spec.get("containers")).values()]


def config_references(template: Template) -> set[tuple[str, str]]:
    """(kind, name) of each ConfigMap and Secret that the template's pods read."""
    spec = template.get("spec") or {}
    found: set[tuple[str, str]] = set()
    for volume in _named(spec.get("volumes")).values():
        found |= set(_sources_of(volume))
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in _named(spec.get(group)).values():
            for entry in _rows(container.get("envFrom")):
                found |= set(_references(entry, "configMapRef", "secretRef"))
            for entry in _rows(container.get("env")):
                source = entry.get("valueFrom")
                found |= set(_references(source, "configMapKeyRef", "secretKeyRef"))
    return found


def _references(entry: Any, config_map: str, secret: str, name: str = "name") -> Iterator[tuple[str, str]]:
    for key, kind in ((config_map, "ConfigMap"), (secret, "Secret")):
        reference = entry.get(key) if isinstance(entry, dict) else None
        if isinstance(reference, dict):
            found = reference.get(name) or reference.get("secretName")
            if isinstance(found, str):
                yield kind, found


def _sources_of(volume: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _references(volume, "configMap", "secret")
    projected = volume.get("projected")
    for source in _rows(projected.get("sources") if isinstance(projected, dict) else None):
        yield from _references(source, "configMap", "secret")


def _annotations(template: Template) -> dict[str, str]:
    return (template.get("metadata") or {}).get("annotations") or {}


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in value or [] if isinstance(row, dict)] if isinstance(value, list) else []


def _named(value: Any) -> Named:
    return {str(row.get("name", "")): row for row in _rows(value)}


def _of_containers(before: Named, now: Named) -> list[Difference]:
    found = [Difference(f"container {name}", "removed") for name in before if name not in now]
    for name, new in now.items():
        old = before.get(name)
        if old is None:
            found.append(Difference(f"container {name}", "added", after=f"image {new.get('image', '')}"))
            continue
        if old.get("image") != new.get("image"):
            images = str(old.get("image")), str(new.get("image"))
            found.append(Difference("image", "changed", name, *images))
        found += _of_env(name, _named(old.get("env")), _named(new.get("env")))
        found += _of_env_from(name, _rows(old.get("envFrom")), _rows(new.get("envFrom")))
        for key in ("command", "args"):
            found += _of_arguments(key, name, old.get(key) or [], new.get(key) or [])
        found += _of_resources(name, old.get("resources") or {}, new.get("resources") or {})
        for key in sorted((old.keys() | new.keys()) - _OF_CONTAINERS):
            if old.get(key) != new.get(key):
                found += _nested(key, name, old.get(key), new.get(key))
    return found


def _pair(
    field: str, container: str | None, before: str | None, after: str | None, change: str = "changed"
) -> Difference:
    """Both values or neither: half of a pair would say that the other one is not there."""
    if change == "changed" and (before is None or after is None):
        before = after = None
    return Difference(field, change, container, before, after)


def _of_env(container: str, before: Named, now: Named) -> list[Difference]:
    found = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        change = "added" if old is None else "removed" if new is None else "changed"
        found.append(_pair(f"env {name}", container, _env_value(name, old), _env_value(name, new), change))
    return found


def _env_value(name: str, entry: dict[str, Any] | None) -> str | None:
    """The value, or where it comes from; None where it may be secret."""
    if entry is None:
        return None
    source = entry.get("valueFrom")
    if isinstance(source, dict):
        for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if isinstance(reference := source.get(key), dict):
                return f"{kind} {reference.get('name', '')}/{reference.get('key', '')}"
        return None
    value = entry.get("value", "")
    return value if isinstance(value, str) and _may_show(name, value) else None


def _of_env_from(container: str, before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[Difference]:
    if before == now:
        return []

    def told(rows: list[dict[str, Any]]) -> list[str]:
        return [f"{k} {n}" for row in rows for k, n in _references(row, "configMapRef", "secretRef")]

    old, new = told(before), told(now)
    gone, fresh = [n for n in old if n not in new], [n for n in new if n not in old]
    if not (gone or fresh):
        return [Difference("envFrom", "changed", container)]
    change = "added" if not gone else "removed" if not fresh else "changed"
    return [Difference("envFrom", change, container, ", ".join(gone) or None, ", ".join(fresh) or None)]


def _of_arguments(key: str, container: str, before: list[str], now: list[str]) -> list[Difference]:
    if before == now:
        return []
    gone, fresh = [str(a) for a in before if a not in now], [str(a) for a in now if a not in before]
    shown = all(
        _may_show(argument.partition("=")[0], argument) and not gives_away(line)
        for arguments, told in ((before, gone), (now, fresh))
        for argument, line in _in_line([str(a) for a in arguments])
        if argument in told
    )
    if not (gone or fresh) or not shown:
        return [Difference(key, "changed", container)]
    return [Difference(key, "changed", container, " ".join(gone) or "(none)", " ".join(fresh) or "(none)")]


def _in_line(arguments: list[str]) -> Iterator[tuple[str, str]]:
    """Each argument, with what makes a secret of it before it: the program, and an option without a value."""
    program = arguments[0] if arguments else ""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option = before if before.startswith("-") and "=" not in before else ""
        yield argument, f"{program if not program.startswith('-') else ''} {option} {argument}"


def _of_resources(container: str, before: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
    found = []
    for kind in ("requests", "limits"):
        old, new = before.get(kind) or {}, now.get(kind) or {}
        for resource in sorted(old.keys() | new.keys()):
            if old.get(resource) != new.get(resource):
                was, becomes = str(old.get(resource, "none")), str(new.get(resource, "none"))
                field = f"{resource} {kind.removesuffix('s')}"
                found.append(Difference(field, "changed", container, was, becomes))
    return found


def _of_volumes(before: Named, now: Named) -> list[Difference]:
    found = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        change = "added" if old is None else "removed" if new is None else "changed"
        was, becomes = _volume_source(old), _volume_source(new)
        if was == becomes:
            was = becomes = None
        found.append(_pair(f"volume {name}", None, was, becomes, change))
    return found


def _volume_source(volume: dict[str, Any] | None) -> str | None:
    """What a volume is made of: `ConfigMap limits`, `PersistentVolumeClaim data`, `emptyDir`."""
    if volume is None:
        return None
    if sources := [f"{kind} {name}" for kind, name in _sources_of(volume)]:
        return ", ".join(sources)
    claim = volume.get("persistentVolumeClaim")
    if isinstance(claim, dict):
        return f"PersistentVolumeClaim {claim.get('claimName')}"
    return next((key for key in sorted(volume) if key != "name"), None)


def _nested(field: str, container: str | None, before: Any, now: Any) -> list[Difference]:
    """What differs deeper down, where that is little and harmless; else that the whole did."""
    old, new = dict(_leaves(field, before)), dict(_leaves(field, now))
    names = [n for n in sorted(old.keys() | new.keys()) if old.get(n) != new.get(n)]
    if not 0 < len(names) <= _MOST_LEAVES or not all(
        _may_show(n, v) for n in names for v in (old.get(n, ""), new.get(n, ""))
    ):
        return [Difference(field, "changed", container)]
    return [
        Difference(
            name,
            "added" if name not in old else "removed" if name not in new else "changed",
            container,
            old.get(name),
            new.get(name),
        )
        for name in names
    ]


def _leaves(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Scalars with their dotted paths; a list, and what lies too deep, is one long text that is not shown."""
    if isinstance(value, dict) and depth < _DEEPEST:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner, depth + 1)
    elif isinstance(value, bool):
        yield path, str(value).lower()
    elif isinstance(value, str | int | float):
        yield path, str(value)
    elif value is not None:
        yield path, repr(value) + "\0"


def _may_show(name: str, value: str) -> bool:
    """Short plain values under harmless names; nothing that looks like a password, a key or a login."""
    return bool(
        not _SECRET_NAME.search(name)
        and _HARMLESS.fullmatch(value)
        and not _RANDOM.search(value)
        and not gives_away(value)
    )
