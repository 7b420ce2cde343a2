"""Silences as files: amtool's JSON, with the cluster beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.alerts import SilenceItem, SilenceMatcher
from aiops_cli.services.silences import Draft
from aiops_cli.services.times import unix


class _Imported(msgspec.Struct, rename="camel"):
    matchers: list[SilenceMatcher]
    starts_at: str
    ends_at: str
    created_by: str = ""
    comment: str = ""
    id: str = ""
    cluster: str | None = None


class _Envelope(msgspec.Struct):
    items: list[_Imported]


def exported(silences: Sequence[SilenceItem]) -> list[dict[str, Any]]:
    """As `amtool silence query -o json` prints them, with the cluster beside, which amtool leaves alone."""
    return [
        {
            "id": s.id,
            "status": {"state": s.state.lower()},
            "updatedAt": s.updated_at,
            "comment": s.comment,
            "createdBy": s.created_by,
            "endsAt": s.ends_at,
            "matchers": s.matchers,
            "startsAt": s.starts_at,
            "cluster": s.cluster,
        }
        for s in silences
    ]


def read_silences(text: bytes, now: float, name: str) -> tuple[list[Draft], int]:
    """The silences of an export (amtool's or ours) that are not over, and how many are.

    Raises UsageError (FILE_INVALID) that says what is wrong with which.
    """
    try:
        rows = (
            msgspec.json.decode(text, type=_Envelope).items
            if text.lstrip()[:1] == b"{"
            else msgspec.json.decode(text, type=list[_Imported])
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{name} holds no silences: {error}",
            hint="it has to be what `aiops alerts silence export` or `amtool silence query -o json` writes",
            code=ErrorCode.FILE_INVALID,
        ) from None
    drafts, over = [], 0
    for i, row in enumerate(rows):
        starts, ends = unix(row.starts_at), unix(row.ends_at)
        if starts is None or ends is None:
            raise UsageError(
                f"{name}: silence {i + 1} has an impossible time", hint="fix it", code=ErrorCode.FILE_INVALID
            )
        draft = Draft(row.matchers, starts, ends, row.created_by, row.comment, row.id, row.cluster)
        if ends <= now:
            over += 1
            continue
        try:
            draft.check(now)
        except UsageError as error:
            raise UsageError(
                f"{name}: silence {i + 1}: {error.message}", hint=error.hint, code=ErrorCode.FILE_INVALID
            ) from None
        drafts.append(draft)
    return drafts, over
