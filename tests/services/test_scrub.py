"""What looks like a secret is left out of recordings and reports, and what does not is kept."""

from __future__ import annotations

import pytest

from aiops_cli.services.scrub import scrub, scrub_attributes, scrub_labels

TOLD = [
    "DB_PASSWORD=hunter2",
    "export PGPASSWORD='hunter2 and more'",
    "access_token=hunter2&user=kim",
    "client_secret: hunter2",
    "aws_secret_access_key=hunter2/+x",
    '{"password": "correct hunter2 battery"}',
    '{"password":"a\\"hunter2"}',
    '{"msg":"{\\"password\\":\\"hunter2\\",\\"user\\":\\"kim\\"}"}',
    "Server=db;pwd=hunter2;Database=x",
    "passphrase: hunter2",
    "password=a,hunter2",
    "start --password hunter2 --port 80",
    "start --db-token=hunter2",
    'args ["--password", "hunter2"]',
    "curl -u kim:hunter2 https://x",
    "Set-Cookie: session=hunter2; Path=/; other=hunter2",
    "Cookie: a=b; c=hunter2",
    "Authorization: Basic hunter2==",
    'authorization: Digest username="kim", response="hunter2"',
    "x-api-key: hunter2",
    "apiKey => hunter2",
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\\nhunter2",
    "got ghp_hunter2hunter2hunter2 here",
    "oc login sha256~hunter2hunter2hunter2hunter2hunter2hunter2",
    "jwt eyJhbGciOiJIUzI1NiJ9.hunter2.x",
    "postgres://kim:hunter2@db/x",
    "redis://:hunter2@cache:6379",
    "amqp://kim:p@hunter2@mq",
    "ALTER USER kim WITH PASSWORD 'hunter2'",
    "https://x/blob?sv=1&sig=hunter2%3D&x=1",
]


@pytest.mark.parametrize("text", TOLD)
def test_a_secret_goes(text: str) -> None:
    assert "hunter2" not in scrub(text)
    assert "[redacted]" in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "password authentication failed for user kim",
        'secret "db" not found in namespace shop',
        "token_type=mac, tokens: 512",
        "PWD=/srv/app",
        "compass: north, bypass: on",
        "GET http://shop:8080/cart?id=3 500",
        "mail kim@example.com about task-12345678901234567890123",
        "MountVolume.SetUp failed for volume x",
        "basic checks passed",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert scrub(text) == text


def test_what_stands_beside_a_secret_stays() -> None:
    assert scrub("access_token=hunter2&user=kim") == "access_token=[redacted]&user=kim"
    assert scrub('{"password":"hunter2","user":"kim"}') == '{"password":"[redacted]","user":"kim"}'
    assert scrub("pwd=hunter2;Database=x").endswith(";Database=x")


def test_names_of_attributes_count_at_any_depth() -> None:
    scrubbed = scrub_attributes(
        {
            "db.password": "hunter2",
            "http.request.header.authorization": ["Basic", "hunter2"],
            "http.request.header.x-api-key.0": "hunter2",
            "event": {"attributes": {"user.token": "hunter2", "tries": 3, "args": ["--pwd=hunter2", "-v"]}},
            "secret_name": "db",
            "token": None,
        }
    )
    assert "hunter2" not in str(scrubbed)
    assert scrubbed["secret_name"] == "db" and scrubbed["token"] is None
    assert scrubbed["event"]["attributes"]["tries"] == 3
    assert scrubbed["event"]["attributes"]["args"][1] == "-v"
    assert scrub_labels({"client_secret": "hunter2", "pod": "api-0"}) == {
        "client_secret": "[redacted]",
        "pod": "api-0",
    }


HOSTILE = {
    "backslashes": "\\" * 200_000,
    "dashes": "-" * 200_000,
    "words": "a_-" * 70_000,
    "names": "password" * 30_000,
    "urls": "://a:" * 50_000,
    "an open quote": 'token="' + "\\" * 200_000,
    "commas": "token=" + "a," * 100_000,
    "keys": "-----BEGIN PRIVATE KEY-----" * 5_000,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_line_is_read_to_its_end(text: str) -> None:
    assert "hunter2" not in scrub(text + '" password=hunter2')
