"""Numbers as Kubernetes and Linux write them: quantities, CPU lists, page sizes, link speeds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from aiops_cli.models.numbers import amount, whole

_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?")
_DECIMAL = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", 1)}
_MOST_CPUS = 1 << 16
HUGEPAGES = "hugepages-"


def quantity(text: str | int | None) -> float | None:
    """A Kubernetes quantity such as 250m, 4Gi or 1e3 as a number; None for what is none, or not finite."""
    if text is None:
        return None
    if isinstance(text, int):
        return amount(text)
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        return None
    number, suffix = match[1], match[2] or ""
    if suffix[:1] in ("e", "E") and suffix not in ("E", "Ei"):
        value = float(number + suffix)
    else:
        value = float(number) * (_DECIMAL.get(suffix) or _BINARY[suffix])
    return value if math.isfinite(value) else None


def cpuset(text: str | None) -> frozenset[int] | None:
    """A CPU list such as 2-5,30 as numbers; None for what is none, or for an absurd one."""
    if text is None:
        return None
    found: set[int] = set()
    for part in filter(None, (p.strip() for p in text.strip().split(","))):
        low, dash, high = part.partition("-")
        first, last = whole(low), whole(high if dash else low)
        if first is None or last is None or not first <= last < _MOST_CPUS:
            return None
        found.update(range(first, last + 1))
    return frozenset(found)


def a_second(value: float) -> str:
    """A rate as people say it, in four digits and more: 0.25, 12.5, 48,213."""
    return f"{value:.4g}" if abs(value) < 9999.5 else f"{value:,.0f}"


def as_cpuset(cpus: Iterable[int]) -> str:
    """Numbers as a CPU list."""
    parts: list[str] = []
    start = last = None
    for cpu in [*sorted(set(cpus)), None]:
        if last is not None and cpu == last + 1:
            last = cpu
            continue
        if start is not None:
            parts.append(f"{start}" if start == last else f"{start}-{last}")
        start = last = cpu
    return ",".join(parts)


def hugepage_sizes(resources: Mapping[str, str | int]) -> dict[str, int]:
    """Bytes by page size (1Gi, 2Mi) of a container's or node's resources."""
    found = {
        name.removeprefix(HUGEPAGES): amount(quantity(text))
        for name, text in resources.items()
        if name.startswith(HUGEPAGES)
    }
    return {size: number for size, number in found.items() if number is not None}


def link_speed(text: str) -> int | None:
    """Mbit/s of `25000 Mb/s`; -1, which the kernel says without a carrier, as it is; None for no number."""
    number = text.strip().split(" ", 1)[0]
    known = whole(number.removeprefix("-"))
    return -known if known is not None and number.startswith("-") else known
