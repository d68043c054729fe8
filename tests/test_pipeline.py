"""From the outbox through RabbitMQ and a Celery worker into the ledger: everything, once, and nothing forged."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import asyncpg
import orjson
import pytest
import rfc8785
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from core.broker import MOST, TRAIL, celery_app, declare
from core.clock import now
from core.crypto.kek import KeyPurpose
from core.database import Database
from core.errors import NotFound
from core.ids import new_id
from policies.vocabulary import Action, Outcome, ResourceType
from records.audit import ledger, relay
from records.audit.batch import TASK, Forged, pack, unpack
from records.audit.event import Event, Origin, Stamp
from records.audit.ledger import Malformed
from records.audit.relay import BATCH
from records.clinic import Clinic
from records.clinical.reading import read_record
from records.scheduling.booking import book
from tests.clinics import keyring, open_clinic, outbox, populate
from tests.pipelines import Pipeline, pipeline
from tests.sealing import sealed


def event(**changes: object) -> Event:
    fields = {
        "actor": new_id(),
        "action": Action.READ,
        "outcome": Outcome.ALLOW,
        "resource_type": ResourceType.RECORD,
        "resource_ids": (new_id(),),
        "origin": Origin("GET /v1/records/{record_id}", "r"),
    }
    return Event(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, role=ledger.ROLE, size=1)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def clinic(database_url: str, tmp_path: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(database_url, tmp_path) as clinic:
        yield clinic


@pytest.fixture
def line(database_url: str, broker: str, tmp_path: Path) -> Iterator[Pipeline]:
    keyring(tmp_path)
    with pipeline(database_url, broker, tmp_path) as line:
        yield line


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"id": "x"}', event().body() + b" ", event().body()[:-1]]
)
async def test_what_is_no_event_of_ours_does_not_enter_the_ledger(writer: Database, body: bytes):
    with pytest.raises(Malformed):
        await ledger.store(writer, [event().body(), body])


async def test_of_a_batch_with_one_bad_body_none_is_stored(writer: Database, database_url: str):
    with pytest.raises(Malformed):
        await ledger.store(writer, [event().body(), b"{}"])
    assert await count(database_url) == 0


async def test_a_second_delivery_changes_nothing(writer: Database, database_url: str):
    bodies = [event().body() for _ in range(3)]
    for _ in range(3):
        await ledger.store(writer, bodies)
    assert await count(database_url) == 3


async def test_the_ledger_holds_the_exact_bytes(writer: Database, database_url: str):
    made = event(patient=new_id(), rule="record-read-doctor", policy_version=1)
    await ledger.store(writer, [made.body()])
    connection = await asyncpg.connect(database_url)
    row = await connection.fetchrow("SELECT * FROM audit.event")
    await connection.close()
    assert row["body"] == made.body()
    assert (row["id"], row["actor"], row["patient"]) == (made.id, made.actor, made.patient)
    assert row["resource_ids"] == list(made.resource_ids)
    assert row["occurred_at"] == made.occurred_at


async def test_a_forged_batch_is_refused(database_url: str, tmp_path: Path):
    keys = keyring(tmp_path)
    batch = await sealed(database_url, keys, event(), event())
    rows, mac = pack(keys, batch)
    other, _ = pack(keys, await sealed(database_url, keys, event()))
    for forged in (other, rows[:1], rows[::-1], [["x" * 70_000, "", ""]], [[1]], 7):
        with pytest.raises(Forged):
            unpack(keys, forged, mac)  # type: ignore[arg-type]
    for false in (keys.mac(KeyPurpose.AUDIT, b"another use", b"").hex(), "no hex", ""):
        with pytest.raises(Forged):
            unpack(keys, rows, false)
    assert unpack(keys, rows, mac) == batch


SOMEBODY = """
INSERT INTO audit.outbox (event_id, body, seal, created_at) VALUES ($1, $2, $3, now())
"""


async def test_what_is_put_into_the_outbox_by_sql_is_set_apart_and_true_events_pass(
    clinic: Clinic, line: Pipeline, database_url: str, tmp_path: Path
):
    """The role of the API may write the outbox; without the key of a process it cannot make an event."""
    true = event()
    await clinic.trail.note(true)
    boot = UUID((await outbox(database_url))[0]["boot"])
    forged = [
        (e.id, e.body(Stamp(boot, n)), sha256(e.body()).digest())
        for n, e in enumerate([event(), event(actor=None)], 1)
    ]
    (tmp_path / "x").mkdir()
    (stray,) = await sealed(database_url, keyring(tmp_path / "x"), event())
    moved = (new_id(), *(await sealed(database_url, keyring(line.home), event()))[0][1:])
    odd = [(new_id(), body, bytes(32)) for body in (b"{}", b"\xff\x00", b"[]")]
    connection = await asyncpg.connect(database_url, server_settings={"role": "confide_app"})
    await connection.executemany(SOMEBODY, [*forged, stray, moved, *odd])
    await connection.close()
    await line.drained(20)
    assert await line.ledger() == [str(true.id)]
    connection = await asyncpg.connect(database_url)
    kept = await connection.fetch("SELECT reason, content FROM audit.quarantine ORDER BY reason")
    await connection.close()
    assert [row["reason"] for row in kept] == ["forged"] * 4 + ["malformed"] * 3
    assert {forged[0][1], stray.body, b"{}"} < {row["content"] for row in kept}


@given(
    st.lists(st.uuids(), max_size=100),
    st.one_of(st.none(), st.text("abcdefghijklmnopqrstuvwxyz-0123456789 ", max_size=40)),
    st.booleans(),
)
def test_the_body_of_an_event_is_canonical_json(ids: list, reason: str | None, urgent: bool):
    body = event(resource_ids=tuple(ids), reason=reason, break_glass=urgent).body()
    assert body == rfc8785.dumps(orjson.loads(body))


async def test_a_read_and_a_refusal_reach_the_ledger_within_seconds(
    clinic: Clinic, line: Pipeline, database_url: str
):
    people = await populate(clinic)
    await read_record(clinic, people.adams, people.record.id)
    with pytest.raises(NotFound):
        await read_record(clinic, people.baker, people.record.id)
    expected = [e["id"] for e in await outbox(database_url)]
    await line.drained(20)
    assert set(expected) <= set(await line.ledger())


@pytest.mark.parametrize("way", ["read", "write", "booking"])
async def test_the_first_event_of_a_process_is_known_whatever_it_is(
    clinic: Clinic, database_url: str, tmp_path: Path, way: str
):
    people = await populate(clinic)
    async with open_clinic(database_url, tmp_path) as fresh:
        if way == "read":
            await read_record(fresh, people.adams, people.record.id)
        elif way == "write":
            async with fresh.database.transaction() as session:
                await fresh.trail.note_within(session, event())
        else:
            day = now().replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
            at = day + timedelta(hours=2)
            async with fresh.database.transaction() as session:
                await book(session, fresh, people.reception, patient_id=people.patient_id,
                           doctor_id=people.adams.subject.doctor_id, start=at)  # fmt: skip
        last = (await outbox(database_url))[-1]["boot"]
    connection = await asyncpg.connect(database_url)
    known = await connection.fetch("SELECT boot FROM audit.producer")
    await connection.close()
    assert UUID(last) in {row["boot"] for row in known}


async def test_a_forged_message_leaves_no_trace_in_the_ledger(
    clinic: Clinic, line: Pipeline, broker: str, tmp_path: Path
):
    forged = [[str(new_id()), event().body().decode(), "00" * 32]]
    celery_app(broker, tmp_path).send_task(TASK, args=[forged, "00" * 36], queue=TRAIL)
    true = event()
    await clinic.trail.note(true)
    await line.drained(20)
    assert str(true.id) in await line.ledger()
    connection = await asyncpg.connect(line.url)
    kept = await connection.fetch("SELECT reason, events, content FROM audit.quarantine")
    await connection.close()
    assert [(row["reason"], row["events"]) for row in kept] == [("forged", 1)]
    assert orjson.loads(kept[0]["content"])[0] == forged
    assert orjson.loads(forged[0][1])["id"] not in await line.ledger()


async def test_a_full_queue_refuses_the_relay_and_the_outbox_waits(
    clinic: Clinic, database_url: str, broker: str, tmp_path: Path
):
    from records.audit.relay import _AWAY, ROLE, Relay

    await clinic.trail.note(event())
    database = Database(database_url, role=ROLE, size=1)
    await database.open()
    app = celery_app(broker, tmp_path)
    declare(app)
    one, sent = Relay(database, app, keyring(tmp_path)), 0
    try:
        with pytest.raises(_AWAY):
            while sent < 2 * MOST:
                app.send_task(TASK, args=[[], ""], queue=TRAIL, mandatory=True)
                sent += 1
        with pytest.raises(_AWAY):
            await one.once()
        connection = await asyncpg.connect(database_url)
        assert await connection.fetchval("SELECT sent_at FROM audit.outbox") is None
        await connection.close()
        emptied(app)
        assert await one.once() == 1
    finally:
        emptied(app)
        await database.close()
    assert sent >= MOST


async def test_a_backlog_of_several_batches_arrives_each_event_once(clinic: Clinic, line: Pipeline):
    noted = [event() for _ in range(3 * BATCH + 1)]
    for some in range(0, len(noted), 100):
        await clinic.trail.note(*noted[some : some + 100])
    await line.drained()
    assert await line.ledger() == sorted(str(e.id) for e in noted)


async def test_the_relay_does_not_walk_past_what_is_on_its_way(database_url: str):
    """Else each batch of a long outage costs more than the one before it."""
    rows = [(new_id(), b"{}", bytes(32)) for _ in range(4 * BATCH)]
    owner = await asyncpg.connect(database_url)
    await owner.executemany(SOMEBODY, rows)
    await owner.execute("VACUUM ANALYZE audit.outbox")
    database = Database(database_url, role=relay.ROLE, size=1)
    await database.open()
    async with database.bare() as connection:
        for _ in range(3):
            assert len(await connection.fetch(relay._TAKE)) == BATCH
        plan = await connection.fetch(f"EXPLAIN (ANALYZE) {relay._TAKE}")
    await database.close()
    assert await owner.fetchval("SELECT count(*) FROM audit.outbox WHERE sent_at IS NULL") == 0
    await owner.close()
    assert [line for (line,) in plan if "Removed by Filter" in line] == []


def test_a_worker_comes_back_before_the_broker_misses_it_and_a_second_one_of_the_machine_may_run(
    broker: str, tmp_path: Path
):
    app = celery_app(broker, tmp_path)
    box = app.control.mailbox.get_queue("celery@here")
    with app.connection_for_read() as before, app.connection_for_read() as after:
        for connection in (before, after):
            box(connection.default_channel).declare()
        box(after.default_channel).delete()


def emptied(app: Celery) -> None:
    with app.connection_for_write() as there:
        there.default_channel.queue_purge(TRAIL)


async def test_the_message_headers_say_nothing_of_the_arguments(
    clinic: Clinic, database_url: str, broker: str, tmp_path: Path
):
    """Celery copies arguments into headers for its monitors, unless it is told not to."""
    from records.audit.relay import ROLE, Relay

    noted = event(patient=new_id())
    await clinic.trail.note(noted)
    database = Database(database_url, role=ROLE, size=1)
    await database.open()
    app = celery_app(broker, tmp_path)
    with app.connection_for_read() as connection:
        connection.default_channel.queue_declare(TRAIL, passive=True)
        assert await Relay(database, app, keyring(tmp_path)).once() == 1
        await asyncio.sleep(0.2)
        message = connection.default_channel.basic_get(TRAIL, no_ack=True)
    await database.close()
    assert (message.headers["argsrepr"], message.headers["kwargsrepr"]) == ("-", "-")
    rows, _mac = orjson.loads(message.body)[0]
    assert [event_id for event_id, _body, _seal in rows] == [str(noted.id)]


async def count(url: str) -> int:
    connection = await asyncpg.connect(url)
    number = await connection.fetchval("SELECT count(*) FROM audit.event")
    await connection.close()
    return number
