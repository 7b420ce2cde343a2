"""Which proxy a URL is asked through, from the environment."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit


def environment_proxy(url: str) -> str | None:
    """HTTPS_PROXY, HTTP_PROXY and NO_PROXY as Go reads them (CIDR and domain suffixes in NO_PROXY)."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    name = f"{parts.scheme}_proxy"
    proxy = os.environ.get(name.upper()) or os.environ.get(name)
    if not proxy or host == "localhost":
        return None
    try:
        address = ipaddress.ip_address(host)
        if address.is_loopback:
            return None
    except ValueError:
        address = None
    for entry in (os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "").split(","):
        rule = entry.strip().lower()
        if rule == "*" or (rule and _bypasses(rule, host, address)):
            return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _bypasses(rule: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if address is not None:
        try:
            return address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    rule = rule.split(":")[0]
    return host == rule.lstrip(".") or host.endswith("." + rule.lstrip("."))
