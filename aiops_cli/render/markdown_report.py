"""A report as Markdown that can be pasted: summary first, then what a reader asks next."""

from __future__ import annotations

import math
import shlex
from datetime import datetime, tzinfo

from aiops_cli.models.analysis import Cause, Evidence
from aiops_cli.render.markdown import block, code, table, text
from aiops_cli.render.text import clock, duration, si
from aiops_cli.services.report import Report, ReportQuery, entity_text, named

_ROWS = 50
_FULL = 3
_COMMANDS = {"prometheus": "aiops metrics range", "loki": "aiops logs query"}


def markdown(report: Report, zone: tzinfo | None) -> str:
    """The whole report. Times are shown in `zone`, None for the local one."""
    writer = _Writer(zone)
    sections = [
        writer.head(report),
        _summary(report),
        writer.causes(report),
        writer.alerts(report),
        writer.anomalies(report),
        *writer.findings(report),
        _clusters(report),
        writer.timeline(report),
        _gaps(report),
        writer.queries(report),
        _provenance(report),
    ]
    return "\n".join(section.rstrip() + "\n" for section in sections)


class _Writer:
    """The sections that show times."""

    def __init__(self, zone: tzinfo | None) -> None:
        self.zone = zone

    def time(self, value: str | None) -> str:
        if not value:
            return "-"
        try:
            return clock(datetime.fromisoformat(value).timestamp(), self.zone)
        except (ValueError, OverflowError):
            return text(value)

    def head(self, report: Report) -> str:
        zone = str(self.zone) if self.zone is not None else "local time"
        return (
            f"# Incident report: {text(report.title)}\n\n"
            f"- Window: {self.time(report.start)} to {self.time(report.end)} ({zone})\n"
            f"- Explained moment: {self.time(report.at)}\n"
            f"- Generated: {self.time(report.created_at)} by {text(report.created_by)}, report "
            f"{code(report.id)}\n"
        )

    def causes(self, report: Report) -> str:
        parts = ["## Root causes\n"]
        if not report.causes:
            read = (
                "what could be read of the window (see the data gaps)"
                if any(not m.error.absent for m in report.missing)
                else "the window"
            )
            parts.append(f"None: nothing in {read} deviates enough to be called one.\n")
        parts += [self._cause(cause) for cause in report.causes[:_FULL]]
        if others := report.causes[_FULL:]:
            parts.append("### Less likely\n")
            titles = ("rank", "what", "indicator", "confidence", "since", "best evidence")
            rows = [
                (
                    str(c.rank),
                    text(entity_text(c.entity)),
                    text(c.indicator),
                    f"{c.confidence:.2f}",
                    self.time(c.onset),
                    text(c.evidence[0].text if c.evidence else ""),
                )
                for c in others
            ]
            parts.append(table(titles, rows, right=("rank", "confidence")))
        return "\n".join(parts)

    def _cause(self, cause: Cause) -> str:
        lines = [
            f"### {cause.rank}. {text(entity_text(cause.entity))}: {text(cause.indicator)}\n",
            f"Confidence {cause.confidence:.2f}, score {cause.score:.2f}, since {self.time(cause.onset)}.\n",
        ]
        if cause.evidence:
            lines.append(
                table(
                    ("signal", "at", "observation", "seen", "usual"),
                    [
                        (e.signal, self.time(e.at), text(e.text), _amount(e.value, e), _amount(e.baseline, e))
                        for e in cause.evidence
                    ],
                    right=("seen", "usual"),
                )
            )
        if cause.against:
            lines.append("Against it:\n")
            lines.append("".join(f"- {text(e.text)} ({e.signal})\n" for e in cause.against))
        if len(cause.chain) > 1:
            lines.append(f"Way of the trouble: {' → '.join(text(entity_text(e)) for e in cause.chain)}\n")
        if cause.blast_radius:
            lines.append(f"Affected: {_some([text(entity_text(e)) for e in cause.blast_radius])}\n")
        if queries := list(dict.fromkeys(e.query for e in cause.evidence if e.query)):
            lines.append("Read it again with:\n")
            lines.append("".join(f"- {code(q)}\n" for q in queries))
        if cause.next_steps:
            lines.append("Next steps:\n")
            lines.append("".join(f"{i}. {text(s)}\n" for i, s in enumerate(cause.next_steps, 1)))
        return "\n".join(lines)

    def alerts(self, report: Report) -> str:
        if not report.alerts:
            unread = [
                m.cluster for m in report.missing if m.source in ("alerts", "all") and not m.error.absent
            ]
            known = f"None is known of; {', '.join(text(c) for c in unread)} could not be asked."
            return f"## Alerts\n\n{known if unread else 'None is active.'}\n"
        rows = [
            (
                text(a.severity or "-"),
                text(a.state),
                text(a.cluster),
                text(a.name),
                self.time(a.starts_at),
                text(a.annotations.get("summary") or a.annotations.get("description") or ""),
                code(
                    ", ".join(f"{k}={v}" for k, v in sorted(a.labels.items()) if k != "alertname"), cell=True
                ),
            )
            for a in report.alerts[:_ROWS]
        ]
        titles = ("severity", "state", "cluster", "alert", "since", "summary", "labels")
        return "## Alerts\n\n" + table(titles, rows) + _left(len(report.alerts))

    def anomalies(self, report: Report) -> str:
        if not report.anomalies:
            return "## Anomalies\n\nNone was found.\n"
        rows = [
            (
                a.severity,
                text(a.cluster),
                code(named(a.expr), cell=True),
                code(", ".join(f"{k}={v}" for k, v in sorted(a.labels.items())), cell=True),
                a.type,
                self.time(a.start),
                self.time(a.end),
                text(si(a.expected)),
                text(si(a.actual)),
                text(a.reason),
            )
            for a in report.anomalies[:_ROWS]
        ]
        titles = ("severity", "cluster", "query", "series", "type", "from", "to", "usual", "seen", "reason")
        shown = table(titles, rows, right=("usual", "seen"))
        return "## Anomalies\n\n" + shown + _left(len(report.anomalies))

    def findings(self, report: Report) -> list[str]:
        """Nothing where there is none: most fleets have no such devices."""
        if not report.findings:
            return []
        rows = [
            (
                f.severity,
                text(f.cluster),
                text(f.code),
                text(entity_text(f.entity)),
                self.time(f.since),
                self.time(f.until),
                text(f.text),
                text(f.action),
            )
            for f in report.findings[:_ROWS]
        ]
        titles = ("severity", "cluster", "finding", "what", "from", "to", "observation", "what to do")
        shown = table(titles, rows) + _left(len(report.findings))
        return ["## GPUs, clocks and network devices\n\n" + shown]

    def timeline(self, report: Report) -> str:
        rows = [
            (self.time(e.at), text(e.cluster), e.kind, text(e.subject), text(e.text)) for e in report.timeline
        ]
        omitted = (
            f"\n{report.timeline_omitted} more, farther from the explained moment, are left out.\n"
            if report.timeline_omitted
            else ""
        )
        return "## Timeline\n\n" + table(("at", "cluster", "kind", "what", "detail"), rows) + omitted

    def queries(self, report: Report) -> str:
        parts = ["## Appendix: queries\n"]
        if not report.queries:
            parts.append("No query was run.\n")
        groups: dict[tuple[str, tuple[str, ...], str, str, float | None], list[ReportQuery]] = {}
        for query in report.queries:
            key = (query.source, tuple(query.clusters), query.start, query.end, query.step)
            groups.setdefault(key, []).append(query)
        for (source, clusters, start, end, step), asked in groups.items():
            parts.append(
                f"{text(source)} on {', '.join(text(c) for c in clusters)}, {self.time(start)} to "
                f"{self.time(end)}{f', step {step:g} s' if step else ''}:\n"
            )
            language = "sh" if source in _COMMANDS else ""
            parts.append(block("\n".join(_repeat(q, report.bundle) for q in asked), language))
        return "\n".join(parts)


def _repeat(query: ReportQuery, bundle: str | None) -> str:
    """The command that asks it again; the bare query where there is none."""
    command = _COMMANDS.get(query.source)
    if command is None:
        return query.query
    words = [*command.split(), query.query, *(w for c in query.clusters for w in ("-c", c))]
    words += ["--from", query.start, "--to", query.end]
    if query.step:
        words += ["--step", f"{query.step:g}"]
    return shlex.join(words + (["--bundle", bundle] if bundle else []))


def _summary(report: Report) -> str:
    return "## Summary\n\n" + "".join(f"- {text(line)}\n" for line in report.summary)


def _clusters(report: Report) -> str:
    rows = [
        (
            text(c.name),
            text(c.state or "not probed"),
            "-" if c.score is None else str(c.score),
            c.status,
            _source(c.source, c.metrics_source, c.metrics_age_seconds),
            text(", ".join(dict.fromkeys(c.missing))),
        )
        for c in report.clusters
    ]
    titles = ("cluster", "state", "health", "answer", "data from", "missing")
    return "## Clusters\n\n" + table(titles, rows, right=("health",))


def _source(source: str, metrics: str, age: float) -> str:
    if metrics == source:
        return source
    return f"{source}; metrics {metrics}" + (f" ({age:.0f} s old)" if age else "")


def _gaps(report: Report) -> str:
    if not report.missing:
        return "## Data gaps\n\nNone: every source that was asked has answered.\n"
    rows = [
        (
            text(m.cluster),
            text(m.source),
            text(m.error.code),
            text(m.error.message),
            text(m.error.hint),
        )
        for m in report.missing
    ]
    return "## Data gaps\n\n" + table(("cluster", "source", "code", "why", "what to do"), rows)


def _provenance(report: Report) -> str:
    origin = f"the recording {code(report.bundle)}" if report.bundle else "live clusters"
    return (
        f"## Provenance\n\nRead from {origin}; how each cluster answered is under Clusters, what is missing "
        "under Data gaps. The ranking is computed on this machine from these answers alone; texts from "
        "clusters are shown as they came, less what looks like a secret.\n"
    )


def _amount(value: float | None, evidence: Evidence) -> str:
    """What was seen, as people say it: 208µs, 73.2 %, 1.2GB, 0.02 calls."""
    if value is None:
        return ""
    if evidence.unit in ("s", "seconds"):
        return text(duration(value * 1e3))
    if evidence.unit == "ratio":
        return f"{value:.3g}" if not math.isfinite(value) else f"{value * 100:.3g} %"
    if evidence.unit == "bytes":
        return text(si(value, "B"))
    number = f"{value:.3g}" if 0 < abs(value) < 1e-3 else si(value)
    unit = (evidence.unit or "").removesuffix("s" if value == 1 else "")
    return text(f"{number} {unit}".rstrip())


def _some(names: list[str], limit: int = 12) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _left(total: int) -> str:
    return f"\n{total - _ROWS} more are in the JSON of this report.\n" if total > _ROWS else ""
