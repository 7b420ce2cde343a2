"""How log lines look in tables."""

from __future__ import annotations

from datetime import tzinfo

from aiops_cli.cli.views import when
from aiops_cli.models.signals import LogItem
from aiops_cli.render.output import Column, View


def log_view(zone: tzinfo | None) -> View[LogItem]:
    def owner(i: LogItem) -> str | None:
        return next(
            (i.labels[k] for k in ("pod", "service_name", "app", "job", "container") if k in i.labels), None
        )

    return View(
        "LogList",
        [
            Column("cluster", lambda i: i.cluster),
            Column("time", lambda i: when(i.timestamp, zone), plain=lambda i: i.timestamp),
            Column("source", owner),
            Column("labels", lambda i: ",".join(f"{k}={v}" for k, v in sorted(i.labels.items())), wide=True),
            Column("line", lambda i: i.line),
        ],
        lambda i: i.timestamp,
    )
