"""Departments and shifts are facts that rules may ask for: of the caller, and of what is asked for."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.clock import now
from core.ids import new_id
from policies.enforcer import PolicySnapshot
from policies.rules import Rule, defaults
from records.access.me import Me
from records.base import add
from records.identity.callers import everybody
from records.scheduling.supply import Schedule, TimeOff, TimeOffKind
from tests.apis import Api, serve
from tests.clinics import open_always

HOUR = timedelta(hours=1)
OFF_DUTY = Rule("off-duty", 1, "staff", "patient", "read search", "deny", "not r.sub.on_shift")
OTHER_HOUSE = Rule(
    "other-house", 1, "doctor", "record appointment", "read search", "deny",
    "r.obj.department is not None and r.obj.department != r.sub.department",
)  # fmt: skip


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def on_shift(api: Api, me: Me) -> bool | None:
    known = await everybody(api.clinic.database, me.subject.id)
    return known[0].subject.on_shift


def window(me: Me, start: datetime, end: datetime, **more: Any) -> Schedule:
    return Schedule(
        doctor_id=me.subject.doctor_id,
        weekday=start.isoweekday(),
        start_time=start.time(),
        end_time=end.time(),
        time_zone="UTC",
        valid_from=(now() - timedelta(days=8)).date(),
        **more,
    )


async def keep(api: Api, *rows: Any) -> None:
    async with api.clinic.database.transaction() as session:
        await add(session, *rows)


async def shift(api: Api, me: Me, begins: timedelta, ends: timedelta, who: Me | None = None) -> Any:
    body = {"start": (now() + begins).isoformat(), "end": (now() + ends).isoformat()}
    path = f"/v1/accounts/{me.subject.id}/shifts"
    return await api.post(who or api.people.reception, path, body)


async def test_without_hours_nobody_knows_whether_somebody_is_on_duty(api: Api):
    assert await on_shift(api, api.people.nurse) is None
    assert await on_shift(api, api.people.adams) is None


@pytest.mark.parametrize(
    ("begins", "ends", "expected"), [(-HOUR, HOUR, True), (HOUR, 2 * HOUR, False), (-2 * HOUR, -HOUR, False)]
)  # fmt: skip
async def test_a_shift_puts_its_account_on_duty_and_nobody_else(
    api: Api, begins: timedelta, ends: timedelta, expected: bool
):
    assert (await shift(api, api.people.nurse, begins, ends)).status_code == 201
    assert await on_shift(api, api.people.nurse) is expected
    assert await on_shift(api, api.people.reception) is None


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [(-HOUR, HOUR, True), (HOUR, 2 * HOUR, False), (-3 * HOUR, 20 * HOUR, True), (-20 * HOUR, HOUR, True)],
)  # fmt: skip
async def test_a_doctor_is_on_duty_in_a_weekly_window_also_over_midnight(
    api: Api, begins: timedelta, ends: timedelta, expected: bool
):
    await keep(api, window(api.people.adams, now() + begins, now() + ends))
    assert await on_shift(api, api.people.adams) is expected


async def test_a_window_that_is_valid_no_more_is_no_duty(api: Api):
    ended = (now() - timedelta(days=2)).date()
    await keep(api, window(api.people.adams, now() - HOUR, now() + HOUR, valid_until=ended))
    assert await on_shift(api, api.people.adams) is False


@pytest.mark.parametrize("whose", ["adams", "nobody"])
async def test_who_is_away_is_not_on_duty_and_when_closed_nobody_is(api: Api, whose: str):
    await open_always(api.clinic, api.people.adams)
    assert await on_shift(api, api.people.adams) is True
    doctor_id = api.people.adams.subject.doctor_id if whose == "adams" else None
    await keep(api, TimeOff(doctor_id=doctor_id, starts_at=now() - HOUR, ends_at=now() + HOUR))
    assert await on_shift(api, api.people.adams) is False


async def test_extra_hours_are_duty(api: Api):
    adams = api.people.adams
    extra = {"kind": TimeOffKind.EXTRA, "starts_at": now() - HOUR, "ends_at": now() + HOUR}
    await keep(api, window(adams, now() + HOUR, now() + 2 * HOUR))
    await keep(api, TimeOff(doctor_id=adams.subject.doctor_id, **extra))
    assert await on_shift(api, adams) is True


async def test_a_rule_for_those_on_duty_acts_on_the_next_request(api: Api):
    api.clinic.policy._snapshot = PolicySnapshot.build(1, [*defaults(), OFF_DUTY])
    desk, patients = api.people.reception, f"/v1/patients/{api.people.patient_id}"
    assert (await api.get(desk, patients)).status_code == 404  # unknown: a deny applies
    made = await shift(api, desk, -HOUR, HOUR)
    assert (await api.get(desk, patients)).status_code == 200
    listed = await api.get(desk, "/v1/patients")
    assert len(listed.json()["items"]) == 1
    gone = await api.http.delete(made.headers["location"], headers=await api.bearer(desk))
    assert gone.status_code == 204
    assert (await api.get(desk, patients)).status_code == 404
    assert (await api.get(desk, "/v1/patients")).json()["items"] == []


async def test_shifts_are_kept_by_the_desk_and_end_within_a_day_after_they_start(api: Api):
    nurse = api.people.nurse
    assert (await shift(api, nurse, -HOUR, HOUR, nurse)).status_code == 403
    assert (await shift(api, nurse, HOUR, -HOUR)).status_code == 422
    assert (await shift(api, nurse, HOUR, timedelta(days=3))).status_code == 422
    path = f"/v1/accounts/{new_id()}/shifts"
    body = {"start": now().isoformat(), "end": (now() + HOUR).isoformat()}
    assert (await api.post(api.people.reception, path, body)).status_code == 404
    await shift(api, nurse, -HOUR, HOUR)
    await shift(api, nurse, -3 * HOUR, -2 * HOUR)
    listed = await api.get(nurse, f"/v1/accounts/{nurse.subject.id}/shifts")
    assert len(listed.json()["items"]) == 1


async def test_a_department_of_another_house_is_closed_to_a_doctor_who_treats_there(api: Api):
    people = api.people
    api.clinic.policy._snapshot = PolicySnapshot.build(1, [*defaults(), OTHER_HOUSE])
    record, visit = f"/v1/records/{people.record.id}", f"/v1/appointments/{people.appointment_id}"
    doctor, account = (
        f"/v1/doctors/{people.adams.subject.doctor_id}", f"/v1/accounts/{people.adams.subject.id}"
    )  # fmt: skip
    assert (await api.get(people.adams, record)).status_code == 200
    await api.patch(people.admin, doctor, {"department": "cardiology"}, 'W/"1"')
    assert (
        await api.get(people.adams, record)
    ).status_code == 200  # hers, unless the account says else
    await api.patch(people.admin, account, {"department": "oncology"}, 'W/"1"')
    for path in (record, visit):
        assert (await api.get(people.adams, path)).status_code == 404
    assert (await api.get(people.adams, "/v1/appointments")).json()["items"] == []
    listed = await api.get(people.adams, f"/v1/patients/{people.patient_id}/records")
    assert listed.json()["items"] == []


async def test_a_patient_is_of_the_department_of_the_doctor_they_prefer(api: Api):
    people = api.people
    only = Rule("ward", 1, "receptionist", "patient", "read search", "deny",
                "r.obj.department != r.sub.department")  # fmt: skip
    patient = f"/v1/patients/{people.patient_id}"
    doctor, desk = (
        f"/v1/doctors/{people.adams.subject.doctor_id}", f"/v1/accounts/{people.reception.subject.id}"
    )  # fmt: skip
    await api.patch(people.admin, doctor, {"department": "cardiology"}, 'W/"1"')
    await api.patch(people.admin, desk, {"department": "cardiology"}, 'W/"1"')
    preferred = {"preferred_doctor_id": str(people.adams.subject.doctor_id)}
    changed = await api.patch(people.reception, patient, preferred, 'W/"1"')
    assert changed.status_code == 200, changed.text
    api.clinic.policy._snapshot = PolicySnapshot.build(1, [*defaults(), only])
    assert (await api.get(people.reception, patient)).status_code == 200
    await api.patch(people.admin, desk, {"department": "oncology"}, 'W/"2"')
    assert (await api.get(people.reception, patient)).status_code == 404
