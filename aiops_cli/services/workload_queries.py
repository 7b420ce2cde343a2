"""Queries for the logs and traces of what a row is about, in the words of its cluster's own labels."""

from __future__ import annotations

from aiops_cli.analysis.subjects import Map, Place
from aiops_cli.errors import AiopsError
from aiops_cli.models.related import Subject
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fleet import Member
from aiops_cli.services.related_commands import matcher, quoted, selector
from aiops_cli.services.related_logs import selectors, stream_labels


async def located(member: Member, subject: Subject) -> Place:
    """Where the subject is; by its labels alone where the pods can't be listed."""
    try:
        pods = (await (await member.kube()).workloads()).rows
    except AiopsError:
        pods = []
    return Map(member.name, pods).locate(subject)


async def logs_query(member: Member, subject: Subject) -> str:
    """LogQL for its lines: by pod where streams have that label, else by what they are named. Raises
    AiopsError where the cluster has no logs."""
    place = await located(member, subject)
    found = selectors(place, await stream_labels(member, TimeRange(subject.start, subject.end)))
    if found:
        return selector("", found[0])
    return selector("", [matcher("namespace", place.namespace)]) if place.namespace else ""


async def traces_query(member: Member, subject: Subject) -> str:
    """TraceQL for traces through its service; empty where it has none."""
    place = await located(member, subject)
    named = subject.labels.get("service.name") or next(iter((*place.names, *subject.names)), None)
    return f"{{ resource.service.name = {quoted(named)} }}" if named else ""
