"""Pictures of insurance cards: for who keeps or may see the insurance, sealed on the disk, and nothing but pictures."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from core.blobs import Blobs
from core.ids import new_id
from records.access.me import Me
from records.clinical.housekeeping import sweep
from tests.apis import Api, serve
from tests.clinics import outbox

PICTURE = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + bytes(range(256)) * 300


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


@pytest.fixture
async def path(api: Api) -> str:
    place = f"/v1/patients/{api.people.patient_id}/coverages"
    made = await api.post(api.people.reception, place, {"payor": "Harbor Mutual"})
    return f"{place}/{made.json()['id']}/cards"


async def sent(api: Api, me: Me, path: str, content: bytes = PICTURE) -> httpx.Response:
    headers = await api.bearer(me)
    files = {"file": ("front.png", content, "image/png")}
    return await api.http.post(path, headers=headers, files=files)


async def test_only_who_keeps_the_insurance_adds_a_card(api: Api, path: str):
    for who, status in {"adams": 403, "patient": 403, "baker": 404, "nurse": 404}.items():
        assert (await sent(api, getattr(api.people, who), path)).status_code == status, who
    assert (await api.get(api.people.reception, path)).json()["items"] == []


async def test_who_may_not_see_the_insurance_sees_no_card_of_it(api: Api, path: str):
    card = (await sent(api, api.people.reception, path)).json()["id"]
    elsewhere = path.replace(str(api.people.patient_id), str(new_id()))
    for place in (path, f"{path}/{card}", f"{elsewhere}/{card}"):
        hidden = await api.get(api.people.baker, place)
        assert (hidden.status_code, hidden.json()["code"]) == (404, "not-found")
    gone = await api.get(api.people.reception, f"{path}/{new_id()}")
    assert gone.status_code == 404


async def test_what_is_no_picture_is_refused_and_leaves_nothing(api: Api, path: str):
    refused = await sent(api, api.people.reception, path, b"just words")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/file"
    assert list(Blobs(api.app.state.settings.attachments).older_than(-1)) == []
    assert (await api.get(api.people.reception, path)).json()["items"] == []


async def test_a_card_comes_back_as_it_was_sent_and_is_an_event(
    api: Api, path: str, database_url: str
):
    made = await sent(api, api.people.reception, path)
    assert made.status_code == 201, made.text
    card = made.json()
    assert (card["name"], card["media_type"], card["size"]) == (
        "front.png",
        "image/png",
        len(PICTURE),
    )
    for who in ("reception", "adams", "patient"):
        got = await api.get(getattr(api.people, who), made.headers["Location"])
        assert (got.status_code, got.content) == (200, PICTURE), who
    assert got.headers["content-type"] == "image/png"
    (listed,) = (await api.get(api.people.adams, path)).json()["items"]
    assert listed == card
    last = (await outbox(database_url))[-1]
    assert (last["resource_type"], last["outcome"]) == ("coverage", "allow")


async def test_the_sweeper_keeps_a_card_until_its_patient_is_erased(api: Api, path: str):
    await sent(api, api.people.reception, path)
    blobs = Blobs(api.app.state.settings.attachments)
    assert await sweep(api.clinic.database, blobs, age=-1) == 0
    erasure = f"/v1/patients/{api.people.patient_id}/erasure"
    for who in (api.people.admin, api.people.compliance):
        await api.post(who, erasure, {"reason": "patient-request"})
    assert await sweep(api.clinic.database, blobs, age=-1) == 1
