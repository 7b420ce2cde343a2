"""Reports that were generated, each a JSON file of its own, whole or not there."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from aiops_cli.errors import ErrorCode, StoreError, UsageError
from aiops_cli.models.result import API_VERSION, ClusterStatus
from aiops_cli.services.report import Report
from aiops_cli.store.files import write_whole
from aiops_cli.store.paths import data_dir


class ReportDocument(Struct, frozen=True, rename="camel"):
    """The JSON of `report generate` and `report show`: the envelope around one report."""

    clusters: list[ClusterStatus]
    items: list[Report]
    partial: bool = False
    api_version: str = API_VERSION
    kind: str = "Report"


def folder() -> Path:
    """`$XDG_DATA_HOME/aiops/reports`."""
    return data_dir() / "reports"


def save(document: ReportDocument) -> Path:
    """Keep a report; it is on disk when this returns. Raises StoreError."""
    path = folder() / f"{document.items[0].id}.json"
    try:
        write_whole(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n", durable=True)
    except OSError as error:
        raise StoreError(
            f"can't save the report in {folder()}: {error.strerror or error}",
            hint="free some space or make the folder writable, or set XDG_DATA_HOME elsewhere",
        ) from error
    return path


def kept() -> tuple[list[ReportDocument], list[str]]:
    """All reports, newest first, and a line on each file that can't be read."""
    documents, problems = [], []
    for path in sorted(folder().glob("*.json")):
        try:
            documents.append(_read(path))
        except UsageError as error:
            problems.append(error.message)
        except FileNotFoundError:
            continue
    documents.sort(key=lambda d: (d.items[0].created_at, d.items[0].id), reverse=True)
    return documents, problems


def find(id_: str) -> ReportDocument:
    """The report of that id, or of the only one that starts so. Raises UsageError."""
    names = sorted(p.stem for p in folder().glob("*.json"))
    matching = [n for n in names if n == id_] or [n for n in names if id_ and n.startswith(id_)]
    if len(matching) != 1:
        several = f"report {id_!r} is ambiguous: {', '.join(matching[:5])}"
        raise UsageError(
            several if matching else f"no report {id_!r}",
            hint="give more of the id" if matching else "aiops report list shows them",
        )
    return _read(folder() / f"{matching[0]}.json")


def _read(path: Path) -> ReportDocument:
    try:
        document = msgspec.json.decode(path.read_bytes(), type=ReportDocument)
    except FileNotFoundError:
        raise
    except (OSError, msgspec.MsgspecError) as error:
        why = str(error)
    else:
        if len(document.items) == 1:
            return document
        why = "it holds no report"
    raise UsageError(
        f"the report file {path} can't be read: {why}",
        hint="generate the report again; the file is left as it is",
        code=ErrorCode.FILE_INVALID,
    )
