"""The published JSON Schemas are those of the models, and what commands print satisfies them."""

from __future__ import annotations

import importlib.util
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.conftest import Aiops, Clusters
from tests.servers.fleet import Fleet
from tests.servers.push import SpanNode, push_logs, push_spans

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_schemas", SCHEMAS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{kind}.json").read_text())
    return found


def validate(document: Any, kind: str) -> None:
    errors = [f"{e.json_path}: {e.message}" for e in Draft202012Validator(schema(kind)).iter_errors(document)]
    assert errors == []


def test_the_files_are_what_the_models_say() -> None:
    made = generator()
    fresh = {name: made.text(schema) for name, schema in made.schemas().items()}
    there = {path.name: path.read_text() for path in SCHEMAS.glob("*.json")}
    assert there == fresh, "run python docs/schemas/generate.py"


def test_every_kind_that_a_command_prints_has_a_schema() -> None:
    commands = "".join(path.read_text() for path in (ROOT / "aiops_cli" / "cli").glob("*.py"))
    # What no command imports is the dashboard's.
    views = set(re.findall(r"^ *from aiops_cli\.render\.(\w+) import", commands, re.M))
    rendered = ((ROOT / "aiops_cli" / "render" / f"{name}.py").read_text() for name in views)
    sources = "".join([commands, *rendered])
    kinds = set(re.findall(r'\bView\(\s*"([A-Za-z]+)"', sources))
    assert kinds == set(generator().KINDS)


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda p: p.stem)
def test_each_is_a_valid_schema(path: Path) -> None:
    Draft202012Validator.check_schema(json.loads(path.read_text()))


def test_the_example_of_the_docs_is_a_valid_check_file() -> None:
    text = (ROOT / "docs" / "check.md").read_text()
    [example] = re.findall(r"^```yaml\n(.*?)^```", text, re.S | re.M)
    validate(yaml.safe_load(example), "check-file")
    bad = {"checks": [{"name": "a", "promql": {"expr": "up", "fro": "5m"}}]}
    assert list(Draft202012Validator(schema("check-file")).iter_errors(bad))


@pytest.fixture(scope="session")
def whole(clusters: Clusters) -> Fleet:
    """One cluster with something of every signal in it."""
    cluster = clusters("east")
    now = datetime.now(UTC)
    alert = {
        "labels": {"alertname": "SchemaCheck", "severity": "warning"},
        "startsAt": (now - timedelta(minutes=3)).isoformat(),
    }
    url = f"{cluster.alertmanager.url}/api/v2/alerts"
    httpx2.post(url, json=[alert], trust_env=False).raise_for_status()
    push_logs(cluster.loki, [({"app": "schemas"}, [(now, "error: schema line")])])
    push_spans(cluster.jaeger, [SpanNode("schemas", "GET /", time.time() - 60, 0.1)])
    cluster.prometheus.wait_for('up{job="node-exporter"} == 1')
    fleet = Fleet([cluster])
    fleet.write()
    return fleet


COMMANDS: dict[str, tuple[str, ...]] = {
    "metrics query": ("metrics", "query", "up"),
    "metrics query without data": ("metrics", "query", "nothing_of_this_name"),
    "metrics query with NaN": ("metrics", "query", "0 / 0 * up"),
    "metrics range": ("metrics", "range", "up", "--since", "2m"),
    "metrics series": ("metrics", "series", "up"),
    "metrics labels": ("metrics", "labels"),
    "metrics values": ("metrics", "values", "job"),
    "alerts list": ("alerts", "list"),
    "logs query": ("logs", "query", '{app="schemas"}'),
    "traces search": ("traces", "search", "--service", "schemas"),
    "clusters list": ("clusters", "list"),
    "clusters health": ("clusters", "health"),
    "anomalies detect": ("anomalies", "detect", "--all-golden", "--since", "10m"),
    "rca analyze": ("rca", "analyze", "--since", "10m"),
    "check": ("check", "--expr", "up == 1"),
    "failing check": ("check", "--expr", "up == 2"),
    "report generate": ("report", "generate", "--since", "10m"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_prints_satisfies_its_schema(aiops: Aiops, whole: Fleet, name: str) -> None:
    done = aiops(*COMMANDS[name], "-o", "json", env=whole.env)
    assert done.returncode in (0, 1), done.stderr
    document = done.json
    validate(document, document["kind"])
    if name in ("alerts list", "logs query", "traces search", "report generate", "metrics query", "check"):
        assert document["items"], done.stderr


def test_a_cluster_that_failed_satisfies_the_schema(aiops: Aiops, home: Path) -> None:
    path = home / "config" / "aiops" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('[clusters.gone.endpoints]\nprometheus = "http://127.0.0.1:1"\n')
    for args in (("metrics", "query", "up"), ("check", "--expr", "up == 1")):
        document = aiops(*args, "-o", "json").json
        assert document["clusters"][0]["error"]["code"] == "CLUSTER_UNREACHABLE"
        validate(document, document["kind"])
