"""How alerts look in tables and in full."""

from __future__ import annotations

from datetime import tzinfo

from aiops_cli.cli.views import when
from aiops_cli.models.signals import AlertItem
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import age, one_line
from aiops_cli.services.times import unix


def alert_view(now: float) -> View[AlertItem]:
    def since(a: AlertItem) -> str:
        started = unix(a.starts_at)
        return "-" if started is None else age(now - started)

    return View(
        "AlertList",
        [
            Column("cluster", lambda a: a.cluster),
            Column("severity", lambda a: a.severity),
            Column("state", lambda a: a.state),
            Column(
                "age",
                since,
                right=True,
                plain=lambda a: None if (t := unix(a.starts_at)) is None else now - t,
            ),
            Column("alert", lambda a: a.name),
            Column("namespace", lambda a: a.labels.get("namespace")),
            Column("summary", lambda a: a.annotations.get("summary") or a.annotations.get("description")),
            Column("fingerprint", lambda a: a.fingerprint, wide=True),
            Column("labels", lambda a: ",".join(f"{k}={v}" for k, v in sorted(a.labels.items())), wide=True),
        ],
        lambda a: a.fingerprint,
    )


def alert_text(a: AlertItem, now: float, zone: tzinfo | None) -> str:
    """One alert in full, for people."""
    lines = [
        f"{a.name} ({a.state}, {a.severity or 'no severity'}) on {a.cluster}",
        f"  since        {when(a.starts_at, zone)}",
    ]
    lines += [f"  fingerprint  {a.fingerprint}", f"  source       {a.source}"]
    lines += [f"  {k}: {v}" for k, v in sorted(a.annotations.items())]
    lines += [f"  {k}={v}" for k, v in sorted(a.labels.items())]
    if a.generator_url:
        lines.append(f"  rule         {a.generator_url}")
    return "\n".join(one_line(line) for line in lines) + "\n"
