"""What is asked of Confide, and of the floor: the same rows, the same slots, the same bodies."""

from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Final
from uuid import UUID

import orjson

from api.bench import hours
from api.bench.fill import NOTES, PEOPLE, Filled, slot
from api.bench.rounds import Case

FLOOR: Final = "floor"
AUDITED: Final = "floor + audit INSERT"
SECURED: Final = "Confide"

_FASTEST: Final = 8000
"""Bookings a second at most, for which distinct slots are prepared."""
_CONTESTED: Final = PEOPLE + 8
_FREE: Final = PEOPLE + 16
_FAR: Final = 200_000
"""Half hours from tomorrow on: those before are the clinic's own."""


def reads(filled: Filled) -> list[Case]:
    """Read one record; the next request asks for another."""
    ids = Random(1).sample(filled.records, len(filled.records))  # noqa: S311 - an order, not a secret

    def lines(path: str) -> Callable[[int], Iterator[str]]:
        return lambda _seconds: (f"GET {path}/{record_id}" for record_id in ids)

    return [
        Case(FLOOR, "floor", lines("/records")),
        Case(AUDITED, "floor", lines("/audited")),
        Case(SECURED, "api", lines("/v1/records"), filled.doctor_token),
    ]


def lists(filled: Filled) -> list[Case]:
    """Read the newest twenty records of a patient."""

    def lines(prefix: str, query: str = "") -> Callable[[int], Iterator[str]]:
        return lambda _seconds: (
            f"GET {prefix}/patients/{p}/records{query}" for p in filled.patients
        )

    return [
        Case(FLOOR, "floor", lines("")),
        Case(SECURED, "api", lines("/v1", f"?limit={NOTES}"), filled.doctor_token),
    ]


def bookings(filled: Filled) -> list[Case]:
    """Book a free slot; neighbouring requests want different doctors and patients."""

    def lines(path: str) -> Callable[[int], Iterator[str]]:
        numbers = count(_FREE)
        return lambda seconds: (
            _booking(path, filled, person, number)
            for number, _ in zip(numbers, range(seconds * _FASTEST // PEOPLE), strict=False)
            for person in range(PEOPLE)
        )

    return [
        Case(FLOOR, "floor", lines("/bookings")),
        Case(SECURED, "api", lines("/v1/appointments"), filled.desk_token),
    ]


def searches(filled: Filled, service: str) -> list[Case]:
    """Look for the first twenty free times of all doctors in 31 days."""
    since, until = hours.window()

    def lines(query: str) -> Callable[[int], Iterator[str]]:
        return lambda _seconds: iter([f"GET {query}&from={since}&to={until}"])

    return [
        Case(FLOOR, "floor", lines("/slots?limit=20")),
        Case(SECURED, "api", lines(f"/v1/slots?limit=20&service_id={service}"), filled.desk_token),
    ]


def contested(filled: Filled) -> Case:
    """Book one and the same slot, all at once and over and over."""
    lines = [_booking("/v1/appointments", filled, 0, _CONTESTED)]
    return Case("one slot for all", "api", lambda _seconds: iter(lines), filled.desk_token)


def one_doctor(filled: Filled) -> Case:
    """Book slots of one doctor for ever new patients: neighbours in time, and none in another's way."""

    def lines(seconds: int) -> Iterator[str]:
        for number in range(seconds * _FASTEST):
            yield _booking(
                "/v1/appointments", filled, number % PEOPLE, _FAR + number, filled.doctors[0]
            )

    return Case("one doctor, distinct slots", "api", lines, filled.desk_token)


def _booking(
    path: str, filled: Filled, person: int, number: int, doctor: UUID | None = None
) -> str:
    body = {
        "patient_id": str(filled.patients[person]),
        "doctor_id": str(doctor or filled.doctors[person]),
        "start": slot(number),
        "reason": "Recurring palpitations, worse at night",
    }
    return f"POST {path} {orjson.dumps(body).decode()}"
