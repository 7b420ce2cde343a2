"""Which Alertmanagers are one: a silence must reach each, and none twice."""

from __future__ import annotations

import pytest

from aiops_cli.services.silence_writes import _groups, _Place
from aiops_cli.sources.alertmanager import AlertmanagerSource, Instance
from aiops_cli.transport.client import HttpClient, Target

URL = "https://10.0.0.1:6443/api/v1/namespaces/monitoring/services/am/proxy"


def place(
    name: str = "", *peers: str, url: str = URL, credential: str | None = None, **way: object
) -> _Place:
    source = AlertmanagerSource(HttpClient(Target(url, **way)))  # type: ignore[arg-type]
    return _Place(source, Instance(name, frozenset(peers), None), credential)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (place(), place(url="https://10.0.0.2:6443")),
        (place(proxy="socks5://east"), place(proxy="socks5://west")),
        (place(tls_server_name="east"), place(tls_server_name="west")),
        (place(headers={"X-Scope-OrgID": "east"}), place(headers={"X-Scope-OrgID": "west"})),
        (place(credential="east"), place(credential="west")),
        (place("a", "a", url="https://a"), place("b", "b", url="https://b")),
    ],
)
def test_alertmanagers_of_different_clusters_each_get_a_silence(one: _Place, other: _Place) -> None:
    assert [(g.owner, g.others) for g in _groups([("east", one), ("west", other)])] == [
        ("east", {}),
        ("west", {}),
    ]


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        (place(), place(), "has the same Alertmanager as"),
        (place("a", "a", credential="east"), place("a", "a", credential="west"), "gossips with"),
        (place("a", "a", "b", url="https://a"), place("b", "a", "b", url="https://b"), "gossips with"),
    ],
)
def test_one_that_clusters_share_is_told_once(one: _Place, other: _Place, how: str) -> None:
    (group,) = _groups([("east", one), ("west", other)])
    assert group.owner == "east" and how in group.others["west"]
