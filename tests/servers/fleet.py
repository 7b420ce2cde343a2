"""Several test clusters with the two files through which aiops finds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.apiserver import USER_KINDS, kubeconfig_of
from tests.servers.cluster import FULL, Cluster, start_clusters, stop_clusters, temporary_root

NAMES = ("east", "west", "north")
_ENDPOINTS = ("prometheus", "alertmanager", "loki", "jaeger")


def cluster_names(count: int) -> list[str]:
    """east, west, north, c4, c5, …"""
    return [NAMES[i] if i < len(NAMES) else f"c{i + 1}" for i in range(count)]


def write_kubeconfig(path: Path, clusters: Iterable[Cluster]) -> Path:
    """One context for each cluster that has an API server; certificate, token and exec users in turn."""
    parts = [
        cluster.apiserver.kubeconfig_parts(USER_KINDS[i % len(USER_KINDS)])
        for i, cluster in enumerate(c for c in clusters if "apiserver" in c.parts)
    ]
    path.write_text(json.dumps(kubeconfig_of(parts), indent=2) + "\n")  # JSON is YAML
    path.chmod(0o600)
    return path


def write_config(path: Path, clusters: Iterable[Cluster], *, discovered: Iterable[str] = ()) -> Path:
    """An aiops config.toml with the endpoints of each cluster, but for those named in `discovered`."""
    left_out = set(discovered)
    lines = []
    for cluster in clusters:
        if cluster.name in left_out:
            continue
        lines += [f"[clusters.{cluster.name}]", 'labels = { environment = "test" }']
        lines += [f"[clusters.{cluster.name}.endpoints]"]
        lines += [f'{name} = "{cluster.urls[name]}"' for name in _ENDPOINTS if name in cluster.urls]
        lines += [""]
    path.write_text("\n".join(lines))
    return path


def write_endpoints(path: Path, clusters: Mapping[str, Mapping[str, str]]) -> Path:
    """An aiops config.toml with these clusters, each the URLs of its endpoints by name."""
    lines = []
    for cluster, urls in clusters.items():
        lines += [
            f'[clusters."{cluster}".endpoints]',
            *(f'{name} = "{url}"' for name, url in urls.items()),
            "",
        ]
    path.write_text("\n".join(lines))
    return path


class Fleet:
    """Clusters, and `env` to run aiops with them: AIOPS_CONFIG, and KUBECONFIG where one has an API server.

    `discovered` names clusters whose endpoints are left out of the config, so that aiops has to find
    them through the API server. `fleet["east"]` is that cluster.
    """

    def __init__(
        self, clusters: Sequence[Cluster], *, discovered: Iterable[str] = (), root: Path | None = None
    ) -> None:
        self.clusters = list(clusters)
        self.home = root or temporary_root()
        self._discovered = tuple(discovered)
        self.kubeconfig = self.home / "kubeconfig.yaml"
        self.config = self.home / "config.toml"

    @classmethod
    def named(
        cls,
        names: Sequence[str],
        *,
        parts: Iterable[str] = FULL,
        discovered: Iterable[str] = (),
        scrape_interval: str = "1s",
    ) -> Self:
        """New clusters of those names, not yet started, in one temporary folder."""
        root = temporary_root()
        parts = frozenset(parts)
        clusters = [Cluster(n, parts=parts, scrape_interval=scrape_interval, root=root) for n in names]
        return cls(clusters, discovered=discovered, root=root)

    def __getitem__(self, name: str) -> Cluster:
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        raise KeyError(name)

    @property
    def env(self) -> dict[str, str]:
        found = {"AIOPS_CONFIG": str(self.config)}
        if any("apiserver" in cluster.parts for cluster in self.clusters):
            found["KUBECONFIG"] = str(self.kubeconfig)
        return found

    def write(self) -> None:
        """Write the kubeconfig and the config for the clusters' present parts."""
        write_kubeconfig(self.kubeconfig, self.clusters)
        write_config(self.config, self.clusters, discovered=self._discovered)

    def start(self) -> Self:
        start_clusters(self.clusters)
        self.write()
        return self

    def stop(self) -> None:
        stop_clusters(self.clusters)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
