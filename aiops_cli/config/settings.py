"""aiops' config file: `$XDG_CONFIG_HOME/aiops/config.toml`, `--config FILE` or `AIOPS_CONFIG`.

Unknown keys are errors that name the nearest known one. Nothing needs a config file.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.ptp import BUDGETS, OPERATOR

EndpointName = Literal["prometheus", "alertmanager", "loki", "tempo", "jaeger", "korrel8r"]
ENDPOINT_NAMES: tuple[EndpointName, ...] = (
    "prometheus",
    "alertmanager",
    "loki",
    "tempo",
    "jaeger",
    "korrel8r",
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _checked(url: str) -> str:
    """The URL without a trailing slash. Raises ValueError, which quotes nothing: it may hold a secret."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("this is no http:// or https:// URL")
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ValueError("this URL names no host, or no port that there is")
    if "@" in parts.netloc:
        raise ValueError("a URL must not carry a password: use `credential`")
    if "?" in url or "#" in url:
        raise ValueError("a URL must not carry a query or fragment: use `credential` or `headers`")
    return url.rstrip("/")


class EndpointSettings(_Strict):
    """One endpoint: a URL, and how to be let in. `credential` names an entry of the OS keyring."""

    url: str
    tenant: str | None = None
    credential: str | None = None
    ca_file: str | None = None
    insecure: bool = False
    headers: dict[str, str] = {}

    @field_validator("url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        return _checked(value)


class EndpointsSettings(_Strict):
    """Endpoints by hand; a value may be a bare URL. `dcgm` and `ptp` are exporter URLs, one or a list;
    `alertmanager` may be a list, for a HA pair or several that know different alerts; `prometheus` may
    be one of replicas, which know the same series."""

    prometheus: list[EndpointSettings] | None = Field(default=None, min_length=1)
    alertmanager: list[EndpointSettings] | None = Field(default=None, min_length=1)
    loki: EndpointSettings | None = None
    tempo: EndpointSettings | None = None
    jaeger: EndpointSettings | None = None
    korrel8r: EndpointSettings | None = None
    dcgm: list[str] = []
    ptp: list[str] = []

    @field_validator("loki", "tempo", "jaeger", "korrel8r", mode="before")
    @classmethod
    def _bare_url(cls, value: object) -> object:
        return {"url": value} if isinstance(value, str) else value

    @field_validator("prometheus", "alertmanager", mode="before")
    @classmethod
    def _bare_urls(cls, value: object) -> object:
        given = [value] if isinstance(value, (str, dict)) else value
        return [{"url": v} if isinstance(v, str) else v for v in given] if isinstance(given, list) else given

    @field_validator("dcgm", "ptp", mode="before")
    @classmethod
    def _exporter_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("dcgm", "ptp")
    @classmethod
    def _exporters(cls, value: list[str]) -> list[str]:
        return [_checked(url) for url in value]


class ClusterSettings(_Strict):
    """A `[clusters.NAME]` table: NAME is a kubeconfig context, or a new cluster of its own."""

    labels: dict[str, str] = {}
    endpoints: EndpointsSettings = EndpointsSettings()
    discover: bool = True


class GroupSettings(_Strict):
    """A `[groups.NAME]` table: contexts by glob and by label."""

    contexts: list[str] = []
    selector: str | None = None


class DefaultSettings(_Strict):
    """What commands do when no flag says otherwise."""

    contexts: list[str] = []
    output: str = "table"
    timeout: float = Field(default=30.0, gt=0, le=300)
    max_in_flight: int = Field(default=10, ge=1, le=200)
    replica_labels: list[str] = ["prometheus_replica", "thanos_ruler_replica", "__replica__"]


class CacheSettings(_Strict):
    enabled: bool = True
    max_bytes: int = Field(default=2 * 2**30, ge=0)


class QuerySettings(_Strict):
    """A named query of one's own: PromQL, and what its values are and mean."""

    expr: str
    unit: str = ""
    meaning: str = ""


class GpuSettings(_Strict):
    """What makes a finding of the GPU commands (models/gpu.py, GpuThresholds)."""

    idle_utilization: float = Field(default=5.0, ge=0, le=100)
    idle_minutes: float = Field(default=30.0, gt=0)
    memory_full: float = Field(default=95.0, gt=0, le=100)
    temperature_warning: float = Field(default=80.0, gt=0)
    temperature_critical: float = Field(default=90.0, gt=0)
    throttled: float = Field(default=10.0, gt=0, le=100)
    nvlink_errors: float = Field(default=1.0, gt=0)
    straggler: float = Field(default=6.0, gt=0)
    straggler_peers: int = Field(default=4, ge=3)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        """Crossed, the lower one would be critical, or nothing at all."""
        if self.temperature_warning > self.temperature_critical:
            raise ValueError(
                f"temperature_warning ({self.temperature_warning:g} °C) must not be above "
                f"temperature_critical ({self.temperature_critical:g} °C)"
            )
        return self


class PtpSettings(_Strict):
    """How `cnf ptp` judges. Offsets in ns, times in s; None for what the cluster itself says."""

    profile: str = OPERATOR
    max_offset_ns: float | None = Field(default=None, gt=0)
    holdover_timeout: float | None = Field(default=None, gt=0)
    stuck_after: float = Field(default=300.0, ge=30)
    flaps: int = Field(default=3, ge=2)

    @field_validator("profile")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in BUDGETS:
            raise ValueError(f"no such profile; there are {', '.join(BUDGETS)}")
        return value


class SriovSettings(_Strict):
    """What makes a finding of `cnf sriov` (models/cnf.py, SriovLimits)."""

    drops_per_second: float = Field(default=1.0, ge=0)
    used_percent: float = Field(default=100.0, gt=0, le=100)


class DpdkSettings(_Strict):
    """What makes a finding of `cnf dpdk` (models/cnf.py, DpdkLimits), and which metrics are of DPDK ports:
    a regex of whole names up to the counter's, which stands last (`dpdk_imissed`)."""

    imissed_per_second: float = Field(default=0.0, ge=0)
    rx_nombuf_per_second: float = Field(default=0.0, ge=0)
    ierrors_per_second: float = Field(default=0.0, ge=0)
    throttled_per_second: float = Field(default=0.0, ge=0)
    metrics: str = "(.*_)?(dpdk|ethdev)_(.*_)?"

    @field_validator("metrics")
    @classmethod
    def _regex(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"this is no regex: {error}") from None
        return value


class CnfSettings(_Strict):
    """Which pods are network functions. `functions` adds to what is known (services/cnf_workloads.py), or
    replaces it for a name: globs of words in names and labels."""

    functions: dict[str, list[str]] = {}
    exclude_namespaces: list[str] = ["openshift-*", "kube-*"]


class Settings(_Strict):
    """The whole config file. `path` is where it was read from, or None; `keys` rebinds the dashboard's
    actions, by id, to keys as Textual names them, several by commas."""

    defaults: DefaultSettings = DefaultSettings()
    cache: CacheSettings = CacheSettings()
    clusters: dict[str, ClusterSettings] = {}
    groups: dict[str, GroupSettings] = {}
    queries: dict[str, QuerySettings] = {}
    gpu: GpuSettings = GpuSettings()
    ptp: PtpSettings = PtpSettings()
    sriov: SriovSettings = SriovSettings()
    dpdk: DpdkSettings = DpdkSettings()
    cnf: CnfSettings = CnfSettings()
    keys: dict[str, str] = {}
    path: Path | None = Field(default=None, exclude=True)

    @field_validator("queries", mode="before")
    @classmethod
    def _bare_expr(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {k: {"expr": v} if isinstance(v, str) else v for k, v in value.items()}


def default_path() -> Path:
    """Where the config file lies if nothing else is said."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "aiops" / "config.toml"


def load_settings(path: Path | None = None) -> Settings:
    """Read the config. A file that was named must exist; the default one may be missing.

    Raises UsageError (CONFIG_INVALID) that names the file, the key and the fix.
    """
    named = path or (Path(env) if (env := os.environ.get("AIOPS_CONFIG")) else None)
    file = named or default_path()
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named is None:
            return Settings()
        raise _invalid(
            f"config file {file} does not exist", "create it, or drop --config/AIOPS_CONFIG"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(
            f"config file {file} can't be read: {error}", "fix its permissions or encoding"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise _invalid(
            f"config file {file} is no valid TOML: {error}", "fix the syntax at that line"
        ) from None
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise _explain(error, file) from None
    return settings.model_copy(update={"path": file})


def _invalid(message: str, hint: str) -> UsageError:
    return UsageError(message, hint=hint, code=ErrorCode.CONFIG_INVALID)


def _explain(error: ValidationError, file: Path) -> UsageError:
    first = error.errors()[0]
    location = tuple(part for part in first["loc"] if isinstance(part, str))  # without places in lists
    where = ".".join(location)
    if first["type"] == "extra_forbidden":
        known = _known_keys(location)
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known)}"
        return _invalid(f"config file {file}: unknown key {where!r}", hint)
    return _invalid(
        f"config file {file}: {where}: {first['msg']}",
        "see docs/configuration.md for the keys and their types",
    )


def _known_keys(location: tuple[str, ...]) -> list[str]:
    model: Any = Settings
    for part in location[:-1]:
        if isinstance(model, type) and issubclass(model, BaseModel):
            annotation = model.model_fields[part].annotation if part in model.model_fields else None
            model = annotation
        else:
            arguments = getattr(model, "__args__", ())
            model = arguments[-1] if arguments else None
        possible = [i for a in getattr(model, "__args__", ()) for i in (a, *getattr(a, "__args__", ()))]
        arguments = [a for a in possible if isinstance(a, type) and issubclass(a, BaseModel)]
        if arguments and getattr(model, "__origin__", None) is not dict:
            model = arguments[0]
    if isinstance(model, type) and issubclass(model, BaseModel):
        return sorted(name for name in model.model_fields if name != "path")
    return []
