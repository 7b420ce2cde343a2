"""How `bundle info` looks."""

from __future__ import annotations

from datetime import tzinfo

import msgspec

from aiops_cli.render.text import clock, one_line
from aiops_cli.services.bundle import Bundle


def info_text(bundle: Bundle, output: str, zone: tzinfo | None) -> str:
    """The manifest as JSON, or as lines for people."""
    manifest = bundle.manifest
    if output in ("json", "yaml", "ndjson"):
        document = {
            "apiVersion": "aiops/v1",
            "kind": "BundleInfo",
            "path": bundle.path,
        } | msgspec.to_builtins(manifest)
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
    lines = [
        f"bundle    {bundle.path} (format {manifest.format}, {manifest.created_by})",
        f"window    {clock(manifest.start, zone)} to {clock(manifest.end, zone)}, step {manifest.step:g} s",
        f"clusters  {', '.join(c.name for c in manifest.clusters)}",
    ]
    for cluster in manifest.clusters:
        lines += [f"  {cluster.name}: {source}: {what}" for source, what in cluster.sources.items()]
    if manifest.redacted:
        lines.append(f"redacted  {', '.join(manifest.redacted)}")
    lines += [f"missing   {f.cluster} {f.source}: {f.code}: {f.message}" for f in manifest.failures]
    return "\n".join(one_line(line) for line in lines) + "\n"
