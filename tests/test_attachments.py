"""Attachments: streamed, sealed, bound to their record, refused once it is signed; and never in clear on the disk."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from core.blobs import Blobs
from core.errors import Locked
from core.ids import new_id
from records.clinical.attachments import attach
from records.clinical.housekeeping import sweep
from tests.apis import Api, serve
from tests.clinics import outbox

PDF = b"%PDF-1.7\n" + b"A scan of a letter about megrims. " * 2000
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def path(api: Api, tail: str = "") -> str:
    return f"/v1/records/{api.people.record.id}/attachments{tail}"


async def send(
    api: Api, data: bytes = PDF, who: str = "adams", name: str = "letter.pdf", **other: Any
) -> httpx.Response:
    headers = await api.bearer(getattr(api.people, who))
    files = {"file": (name, data, other.get("type", "application/x-evil"))}
    return await api.http.post(other.get("path", path(api)), headers=headers, files=files)


def blobs(home: Path) -> list[Path]:
    return [p for p in (home / "attachments").glob("*/*") if p.is_file()]


async def test_what_is_sent_is_what_is_read_and_its_type_is_told_from_its_bytes(api: Api):
    sent = []
    for data, kind in (
        (PDF, "application/pdf"),
        (PNG, "image/png"),
        (b"", "application/octet-stream"),
        (b"plain words, \xc3\xa9t\xc3\xa9", "text/plain"),
        (b"\xff\xfe\x00\x01" * 9000, None),
        (PNG * 60, "image/png"),
    ):
        made = await send(api, data)
        assert made.status_code == 201, kind
        body = made.json()
        assert (body["name"], body["size"]) == ("letter.pdf", len(data))
        assert body["sha256"] == sha256(data).hexdigest()
        assert kind is None or body["media_type"] == kind
        read = await api.get(api.people.adams, made.headers["location"])
        assert (read.status_code, read.content) == (200, data), kind
        assert read.headers["content-type"].startswith(body["media_type"])
        assert read.headers["content-disposition"].startswith("attachment")
        sent.append(body)
    listed = await api.get(api.people.adams, path(api))
    assert listed.json()["items"] == sent


async def test_nothing_of_it_lies_in_clear_on_the_disk_or_in_the_database(
    api: Api, database_url: str, tmp_path: Path
):
    await send(api)
    (blob,) = blobs(tmp_path)
    kept = blob.read_bytes()
    assert b"megrims" not in kept
    assert blob.stat().st_mode & 0o077 == 0
    connection = await asyncpg.connect(database_url)
    row = await connection.fetchrow("SELECT * FROM attachment")
    await connection.close()
    assert not any(b"letter" in v or b"pdf" in v for v in row.values() if isinstance(v, bytes))


async def test_a_signed_record_takes_none_and_keeps_what_it_has(api: Api, tmp_path: Path):
    made = await send(api)
    sign = f"/v1/records/{api.people.record.id}/sign"
    await api.post(api.people.adams, sign, {})
    refused = await send(api)
    assert (refused.status_code, refused.json()["code"]) == (409, "record-signed")
    assert len(blobs(tmp_path)) == 1
    assert (await api.get(api.people.adams, made.headers["location"])).content == PDF


async def test_a_record_that_is_locked_while_a_file_arrives_does_not_take_it(
    api: Api, tmp_path: Path
):
    people, home = api.people, Blobs(tmp_path / "attachments")

    async def pieces() -> AsyncIterator[bytes]:
        yield PNG
        await api.post(people.adams, f"/v1/records/{people.record.id}/sign", {"lock": True})
        yield PNG

    with pytest.raises(Locked):
        await attach(api.clinic, people.adams, home, people.record.id, "scan.png", pieces())
    assert blobs(tmp_path) == []


async def test_a_locked_record_takes_none(api: Api):
    sign = f"/v1/records/{api.people.record.id}/sign"
    await api.post(api.people.adams, sign, {"lock": True})
    refused = await send(api)
    assert (refused.status_code, refused.json()["code"]) == (423, "record-locked")


async def test_to_whom_the_record_is_hidden_so_is_what_is_attached(api: Api, tmp_path: Path):
    made = await send(api)
    for who in ("baker", "nurse", "reception", "compliance", "admin", "patient"):
        me = getattr(api.people, who)
        for address in (path(api), made.headers["location"]):
            hidden = await api.get(me, address)
            absent = await api.get(me, address.replace(str(api.people.record.id), str(new_id())))
            assert hidden.status_code == absent.status_code == 404, who
            assert hidden.json()["detail"] == absent.json()["detail"], who
        assert (await send(api, who=who)).status_code == 404, who
    assert len(blobs(tmp_path)) == 1


async def test_an_attachment_is_found_under_its_own_record_only(api: Api):
    made = await send(api)
    other = await api.post(
        api.people.adams,
        f"/v1/appointments/{api.people.appointment_id}/records",
        {"kind": "note", "title": "t", "content": "c"},
    )
    wrong = f"{other.headers['location']}/attachments/{made.json()['id']}"
    assert (await api.get(api.people.adams, wrong)).status_code == 404


async def test_the_event_of_a_download_is_there_before_its_first_byte(api: Api, database_url: str):
    made = await send(api)
    headers = await api.bearer(api.people.adams)
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE audit.outbox IN ACCESS EXCLUSIVE MODE")
        answer = await api.http.get(made.headers["location"], headers=headers)
        assert answer.status_code == 503
        assert b"megrims" not in answer.content
    await connection.close()
    await api.get(api.people.adams, made.headers["location"])
    event = (await outbox(database_url))[-1]
    assert (event["action"], event["outcome"]) == ("read", "allow")
    assert event["endpoint"].endswith("/attachments/{attachment_id}")


@pytest.mark.parametrize("damage", ["flip", "cut", "swap", "gone"])
async def test_a_damaged_blob_gives_no_byte_that_is_not_authentic(
    api: Api, database_url: str, tmp_path: Path, damage: str
):
    made, other = await send(api, PNG * 20), await send(api, PDF)
    blob = Blobs(tmp_path / "attachments").path(_id(made))
    kept = blob.read_bytes()
    match damage:
        case "flip":
            blob.write_bytes(kept[:-9] + bytes([kept[-9] ^ 1]) + kept[-8:])
        case "cut":
            blob.write_bytes(kept[: 88 + 3 * (16384 + 16)])
        case "swap":
            blob.write_bytes(Blobs(tmp_path / "attachments").path(_id(other)).read_bytes())
        case "gone":
            blob.unlink()
    got = b""
    try:
        headers = await api.bearer(api.people.adams)
        async with api.http.stream("GET", made.headers["location"], headers=headers) as answer:
            async for piece in answer.aiter_raw():
                got += piece
            status = answer.status_code
    except Exception:  # noqa: BLE001 - whatever the client makes of a body that breaks off
        status = 0
    assert (PNG * 20).startswith(got) or status == 500
    assert got != PNG * 20
    assert b"megrims" not in got
    event = (await outbox(database_url))[-1]
    assert event["outcome"] == "error"


def _id(made: httpx.Response) -> UUID:
    return UUID(made.json()["id"])


async def test_a_name_moved_to_another_attachment_does_not_open(api: Api, database_url: str):
    made, _ = await send(api, name="one.pdf"), await send(api, name="two.pdf")
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE attachment a SET name = b.name FROM attachment b WHERE a.id <> b.id"
    )
    await connection.close()
    answer = await api.get(api.people.adams, made.headers["location"])
    assert (answer.status_code, answer.json()["code"]) == (500, "integrity")


FORM = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="a"'


async def test_a_body_that_is_no_file_is_a_problem_and_leaves_nothing(api: Api, tmp_path: Path):
    for content, kind, status in (
        (b"{}", "application/json", 415),
        (b"x", "multipart/form-data", 415),
        (b"nonsense", FORM, 400),
        (b"--b\r\nnonsense", FORM, 422),
        (PART + b"\r\n\r\n1\r\n--b--\r\n", FORM, 422),
        (PART + b'; filename="f"\r\n\r\ncut', FORM, 400),
    ):
        headers = await api.bearer(api.people.adams) | {"Content-Type": kind}
        answer = await api.http.post(path(api), headers=headers, content=content)
        assert answer.status_code == status, content
        assert answer.headers["content-type"] == "application/problem+json"
        assert blobs(tmp_path) == []


async def test_a_file_past_the_limit_is_refused_and_leaves_nothing(api: Api, tmp_path: Path):
    limited = api.app.state.settings.model_copy(update={"attachment_limit": 100_000})
    api.app.state.settings = limited
    assert (await send(api, b"x" * 100_000)).status_code == 201
    assert (await send(api, b"x" * 100_001)).status_code == 413
    assert len(blobs(tmp_path)) == 1


async def test_any_other_body_keeps_its_limit(api: Api):
    headers = await api.bearer(api.people.adams) | {"Content-Type": "application/json"}
    for address in (f"/v1/records/{new_id()}/sign", "/v1/records/x/attachments/y"):
        answer = await api.http.post(address, headers=headers, content=b" " * (1 << 21))
        assert answer.status_code in {404, 405, 413}


async def test_a_path_in_a_name_is_left_out(api: Api):
    made = await send(api, name="..\\..\\etc/passwd")
    assert made.json()["name"] == "passwd"


async def test_the_sweeper_takes_orphans_and_leaves_the_rest(
    api: Api, database_url: str, tmp_path: Path
):
    kept, erased = await send(api), await send(api, PNG)
    store = Blobs(tmp_path / "attachments")
    for finished in (True, False):
        orphan = new_id()
        file = store.begin(orphan)
        file.write(b"left over")
        file.close() if not finished else store.finish(orphan, file)
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM attachment WHERE id = $1", _id(erased))
    await connection.close()
    assert await sweep(api.clinic.database, store, age=3600) == 0
    assert await sweep(api.clinic.database, store, age=-1) == 3
    assert blobs(tmp_path) == [store.path(_id(kept))]
