"""News of a visit: booked, moved, called off; told once, with an entry that a calendar program follows."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from icalendar import Calendar

from core.clock import now
from core.ids import first_id, new_id
from core.settings import Settings
from records.scheduling.letters import notifier
from records.scheduling.notices import tell
from tests.apis import Api, serve
from tests.inboxes import Inbox, open_inbox
from tests.test_reminders import ZONE, sql

SENDER = "desk@clinic.example"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, Settings]]:
    with open_inbox() as found:
        yield found


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def news(api: Api, here: Settings) -> int:
    return await tell(api.clinic, ZONE, SENDER, notifier(here))


async def act(api: Api, name: str, **body: object) -> dict:
    path = f"/v1/appointments/{api.people.appointment_id}/{name}"
    answer = await api.post(api.people.reception, path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def invitation(letter):
    """Return the calendar in a letter, and the method its Content-Type names."""
    text, entry = letter.get_payload()
    assert text.get_content_type() == "text/plain"
    assert entry.get_content_type() == "text/calendar"
    calendar = Calendar.from_ical(entry.get_payload(decode=True))
    assert entry.get_param("method") == str(calendar["METHOD"])
    (event,) = calendar.walk("VEVENT")
    return str(calendar["METHOD"]), event


async def test_a_hold_and_a_visit_that_is_over_are_no_news(api: Api, inbox, database_url: str):
    box, here = inbox
    await sql(database_url, "UPDATE appointment SET status = 'pending', held_until = now()")
    assert await news(api, here) == 0
    await sql(
        database_url,
        "UPDATE appointment SET status = 'booked', held_until = NULL,"
        " starts_at = now() - interval '1 h', ends_at = now(), blocked_from = NULL, blocked_until = NULL",
    )
    assert await news(api, here) == 0
    assert box.letters == []


async def test_booked_moved_and_called_off_are_told_once_each_and_a_calendar_follows(
    api: Api, inbox
):
    box, here = inbox
    assert [await news(api, here), await news(api, here)] == [1, 0]
    path = f"/v1/appointments/{api.people.appointment_id}"
    start = datetime.fromisoformat((await api.get(api.people.reception, path)).json()["start"])
    await act(api, "reschedule", start=(start + timedelta(hours=3)).isoformat())
    await news(api, here)
    await act(api, "cancel", reason_code="prov", reason="The doctor is ill")
    assert [await news(api, here), await news(api, here)] == [1, 0]
    told = [invitation(letter) for letter in box.letters]
    assert [method for method, _ in told] == ["REQUEST", "REQUEST", "CANCEL"]
    events = [event for _, event in told]
    assert [event["SEQUENCE"] for event in events] == [0, 1, 2]
    assert {str(event["UID"]) for event in events} == {f"{api.people.appointment_id}@confide"}
    assert [event.start for event in events] == [start, *[start + timedelta(hours=3)] * 2]
    assert str(events[2]["STATUS"]) == "CANCELLED"
    assert str(events[0]["ORGANIZER"]) == f"mailto:{SENDER}"
    whole = " ".join(str(letter) for letter in box.letters)
    for secret in ("megrims", "Adams", "Quillfeather", "ill", str(api.people.patient_id)):
        assert f" {secret}" not in whole


async def test_a_visit_that_never_was_meant_is_taken_out_of_the_calendar(api: Api, inbox):
    box, here = inbox
    await news(api, here)
    path = f"/v1/appointments/{api.people.appointment_id}/enter-in-error"
    assert (await api.post(api.people.adams, path, {})).status_code == 200
    assert [await news(api, here), await news(api, here)] == [1, 0]
    method, event = invitation(box.letters[-1])
    assert (method, str(event["STATUS"]), event["SEQUENCE"]) == ("CANCEL", "CANCELLED", 1)


async def test_a_wish_whose_confirming_was_undone_is_taken_out_of_the_calendar(api: Api, inbox):
    box, here = inbox
    body = {
        "patient_id": str(api.people.patient_id),
        "doctor_id": str(api.people.adams.subject.doctor_id),
        "start": (now() + timedelta(days=8)).isoformat(),
        "status": "proposed",
    }
    wish = await api.post(api.people.reception, "/v1/appointments", body)
    await news(api, here)
    told = []
    for act in ("confirm", "undo"):
        path = f"/v1/appointments/{wish.json()['id']}/{act}"
        assert (await api.post(api.people.reception, path, {})).status_code == 200
        assert [await news(api, here), await news(api, here)] == [1, 0]
        method, event = invitation(box.letters[-1])
        told.append((method, str(event["STATUS"])))
    assert told == [("REQUEST", "CONFIRMED"), ("CANCEL", "CANCELLED")]


async def test_of_two_workers_at_once_one_tells_and_what_is_not_taken_is_told_later(
    api: Api, inbox, database_url: str
):
    box, here = inbox
    dead = Settings(environment="development", smtp_url="smtp://127.0.0.1:9")
    assert await news(api, dead) == 0
    assert await sql(database_url, "SELECT 1 FROM notice") == []
    await asyncio.gather(*(news(api, here) for _ in range(4)))
    assert len(box.letters) == 1


def test_an_id_of_now_is_above_the_first_of_its_moment_and_below_those_to_come():
    at = datetime.now(UTC)
    assert first_id(at - timedelta(seconds=1)) < new_id() < first_id(at + timedelta(seconds=5))
    assert first_id(at).version == 7
