"""What is fetched from an address that somebody else wrote down, and what is not; key sets that clients publish."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from core import fetching
from core.fetching import NotFetched, Reach, fetch, public
from records.identity import keysets
from tests.apis import Api, serve
from tests.test_clients import EC, RSA, SERVICE, assertion, prove, register
from tests.test_clients import public as key_set

HERE = Reach(private=True, plain=True)


@pytest.fixture
async def api(database_url: str, tmp_path: Path, monkeypatch) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        chosen = api.app.state.settings.model_copy(update={"fetch_private": True})
        monkeypatch.setattr(api.app.state, "settings", chosen)
        yield api


@asynccontextmanager
async def site(answer: Callable[[str], Awaitable[bytes]]) -> AsyncIterator[str]:
    """Answer each request with what `answer` returns for its path; yield the address."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.write(await answer(head.split()[1]))
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def ok(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def always(body: bytes) -> Callable[[str], Awaitable[bytes]]:
    async def answer(_path: str) -> bytes:
        return body

    return answer


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::",
        "64:ff9b:1::7f00:1", "fec0::1", "::7f00:1", "::ffff:0:7f00:1", "192.0.0.8",
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_internet_are_not_public(address: str):
    assert not public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are(address: str):
    assert public(address)


@pytest.mark.parametrize(
    ("url", "reach"),
    [
        ("http://127.0.0.1:{port}/", Reach(private=True)),
        ("http://127.0.0.1:{port}/", Reach(plain=True)),
        ("http://localhost:{port}/", Reach(plain=True)),
        ("http://2130706433:{port}/", Reach(plain=True)),
        ("https://127.0.0.1:{port}/", HERE),
        ("file:///etc/passwd", HERE),
        ("ftp://127.0.0.1:{port}/", HERE),
        ("http:///nowhere", HERE),
        ("http://127.0.0.1:99999/", HERE),
        ("http://127.0.0.1:{port}/\r\nX: y", Reach(private=True)),
    ],
)
async def test_what_may_not_be_asked_is_not_asked(url: str, reach: Reach):
    asked: list[str] = []

    async def answer(path: str) -> bytes:
        asked.append(path)
        return ok(b"{}")

    async with site(answer) as address:
        with pytest.raises(NotFetched):
            await fetch(url.replace("{port}", address.rpartition(":")[2]), reach)
    assert asked == []


async def test_an_answer_is_fetched_in_whatever_way_it_is_sent():
    chunked = (
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
    )
    for sent, body in ((ok(b'{"a":1}'), b'{"a":1}'), (chunked, b'{"a":1}')):
        async with site(always(sent)) as address:
            assert await fetch(f"{address}/x?y=z", HERE) == body


@pytest.mark.parametrize(
    "sent",
    [
        ok(b"", "302 Found", "Location: http://127.0.0.1/"),
        ok(b"{}", "404 Not Found"),
        ok(b" " * (fetching.LARGEST + 1)),
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
    ids=["redirect", "missing", "huge", "nonsense", "cut", "nothing", "upgrade"],
)
async def test_an_answer_that_is_not_simply_right_is_none(sent: bytes):
    async with site(always(sent)) as address:
        with pytest.raises(NotFetched):
            await fetch(address, HERE)


async def test_a_slow_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetching, "SECONDS", 0.2)

    async def answer(_path: str) -> bytes:
        await asyncio.sleep(2)
        return ok(b"{}")

    began = time.monotonic()
    async with site(answer) as address:
        with pytest.raises(NotFetched):
            await fetch(address, HERE)
        assert time.monotonic() - began < 1


async def published(api: Api, address: str) -> dict[str, Any]:
    keyed = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": f"{address}/jwks"}
    return await register(api, SERVICE, **keyed)


async def test_a_client_may_publish_its_keys_and_turn_them_over(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    shown, asked = [key_set(EC)], []

    async def answer(path: str) -> bytes:
        asked.append(path)
        other = {"kty": "oct", "kid": "for something else", "k": "AAAA"}
        return ok(json.dumps({"keys": [*shown[-1]["keys"], other]}).encode())

    async with site(answer) as address:
        client = await published(api, address)
        for _ in range(2):
            assert (await prove(api, client, assertion(api, client))).status_code == 200
        assert asked == ["/jwks"], "the second assertion found the keys at hand"
        shown.append(key_set(RSA, kid="k2"))
        fresh = assertion(api, client, RSA, {"kid": "k2"})
        assert (await prove(api, client, fresh)).status_code == 401, "asked a moment ago"
        monkeypatch.setattr(keysets, "PAUSE", 0)
        assert (await prove(api, client, fresh)).status_code == 200
        gone = assertion(api, client)
        assert (await prove(api, client, gone)).status_code == 401, "it is not published any more"


async def test_keys_at_hand_outlast_a_short_silence_of_their_address(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    async with site(always(ok(json.dumps(key_set(EC)).encode()))) as address:
        client = await published(api, address)
        assert (await prove(api, client, assertion(api, client))).status_code == 200
    monkeypatch.setattr(keysets, "PAUSE", 0)
    monkeypatch.setattr(keysets, "FRESH", 0)
    assert (await prove(api, client, assertion(api, client))).status_code == 200
    monkeypatch.setattr(keysets, "STALE", 0)
    assert (await prove(api, client, assertion(api, client))).status_code == 401


async def test_no_transaction_is_open_while_a_clients_host_is_waited_for(
    api: Api, database_url: str
):
    found = "SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    opened = []

    async def answer(_path: str) -> bytes:
        connection = await asyncpg.connect(database_url)
        opened.append(await connection.fetch(f"{found} AND datname = current_database()"))
        await connection.close()
        return ok(json.dumps(key_set(EC)).encode())

    async with site(answer) as address:
        client = await published(api, address)
        assert (await prove(api, client, assertion(api, client))).status_code == 200
    assert opened == [[]]


async def test_keys_at_a_private_address_are_not_fetched_unless_that_is_allowed(api: Api):
    api.app.state.settings = api.app.state.settings.model_copy(update={"fetch_private": False})
    async with site(always(ok(json.dumps(key_set(EC)).encode()))) as address:
        client = await published(api, address)
        assert (await prove(api, client, assertion(api, client))).status_code == 401


async def test_a_key_address_without_tls_is_not_registered(api: Api):
    for uri in ["http://keys.example/jwks", "file:///x", "https://a@b.example/"]:
        keyed = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri}
        answer = await api.post(api.people.admin, "/v1/clients", SERVICE | keyed)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/jwks_uri"), (
            uri
        )
