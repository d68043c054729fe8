"""The floor: what FastAPI, asyncpg and orjson cost by themselves. No login, no policy, no crypto, no trail.

`python -m api.bench.floor PORT` serves it under the same server, loop and parser as Confide, with as many connections.
It is a floor worth the name: bodies leave as PostgreSQL stores them, and a connection is not reset after use.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, Query, Request, Response
from pydantic import AwareDatetime, BaseModel

SCHEMA = """
DROP SCHEMA IF EXISTS floor CASCADE;
CREATE SCHEMA floor;
CREATE TABLE floor.record (
  id uuid PRIMARY KEY, patient_id uuid NOT NULL, appointment_id uuid NOT NULL, author_id uuid NOT NULL,
  kind text NOT NULL, status text NOT NULL, sensitivity text NOT NULL, version int NOT NULL,
  title text NOT NULL, content jsonb NOT NULL, written_at timestamptz NOT NULL, created_at timestamptz NOT NULL);
CREATE INDEX ON floor.record (patient_id, id);
CREATE TABLE floor.audit (id uuid PRIMARY KEY, body bytea NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE floor.booking (
  id uuid PRIMARY KEY, patient_id uuid NOT NULL, doctor_id uuid NOT NULL, starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL, reason text, created_at timestamptz NOT NULL DEFAULT now(),
  EXCLUDE USING gist (doctor_id WITH =, tstzrange(starts_at, ends_at) WITH &&));
CREATE TABLE floor.slot (id uuid PRIMARY KEY, doctor_id uuid NOT NULL, starts_at timestamptz NOT NULL, ends_at timestamptz NOT NULL);
CREATE INDEX ON floor.slot (starts_at, doctor_id);
"""
COPY = """
INSERT INTO floor.record SELECT r.id, r.patient_id, r.appointment_id, r.author_id, r.kind, r.status, r.sensitivity,
  r.version, $1, $2::jsonb, v.written_at, r.created_at
FROM record r JOIN record_version v ON v.record_id = r.id AND v.number = r.version
"""
_ONE = "SELECT * FROM floor.record WHERE id = $1"
_OF_PATIENT = "SELECT * FROM floor.record WHERE patient_id = $1 ORDER BY id DESC LIMIT 20"
_SLOTS = (
    "SELECT doctor_id, starts_at, ends_at FROM floor.slot "
    "WHERE starts_at >= $1 AND starts_at < $2 ORDER BY starts_at, doctor_id LIMIT 20"
)
_AUDIT = "INSERT INTO floor.audit (id, body) VALUES ($1, $2)"
_BOOK = (
    "INSERT INTO floor.booking (id, patient_id, doctor_id, starts_at, ends_at, reason) "
    "VALUES ($1, $2, $3, $4, $5, $6) RETURNING created_at"
)


class NewBooking(BaseModel):
    """The body that Confide is sent, too."""

    patient_id: UUID
    doctor_id: UUID
    start: AwareDatetime
    reason: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep a pool open."""
    size = int(os.environ["CONFIDE_DATABASE_POOL"])
    async with asyncpg.create_pool(
        os.environ["CONFIDE_DATABASE_URL"], min_size=1, max_size=size, reset=_leave_as_is
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None)


@app.get("/healthz")
async def health() -> dict[str, str]:
    """Say that it runs."""
    return {"status": "ok"}


@app.get("/records/{record_id}")
async def read(record_id: UUID, request: Request) -> Response:
    """Read one row by its id."""
    row = await request.app.state.pool.fetchrow(_ONE, record_id)
    return _json(_shown(row))


@app.get("/audited/{record_id}")
async def read_audited(record_id: UUID, request: Request) -> Response:
    """Read one row, then insert one that says so, as most would write it."""
    async with request.app.state.pool.acquire() as connection:
        row = await connection.fetchrow(_ONE, record_id)
        event = {"actor": row["author_id"], "action": "read", "record": record_id}
        event |= {"patient": row["patient_id"], "at": datetime.now(UTC)}
        await connection.execute(_AUDIT, uuid4(), orjson.dumps(event, default=str))
    return _json(_shown(row))


@app.get("/patients/{patient_id}/records")
async def read_list(patient_id: UUID, request: Request) -> Response:
    """Read twenty rows."""
    rows = await request.app.state.pool.fetch(_OF_PATIENT, patient_id)
    return _json({"items": [_shown(row) for row in rows]})


@app.get("/slots")
async def slots(
    request: Request,
    since: Annotated[AwareDatetime, Query(alias="from")],
    until: Annotated[AwareDatetime, Query(alias="to")],
) -> Response:
    """Read the first twenty of stored slots."""
    rows = await request.app.state.pool.fetch(_SLOTS, since, until)
    return _json({"items": [dict(row) for row in rows]})


@app.post("/bookings", status_code=201)
async def book(new: NewBooking, request: Request) -> Response:
    """Insert one row."""
    booking_id, end = uuid4(), new.start + timedelta(minutes=30)
    values = (booking_id, new.patient_id, new.doctor_id, new.start, end, new.reason)
    created = await request.app.state.pool.fetchval(_BOOK, *values)
    return _json({"id": booking_id, "end": end, "created_at": created, **new.model_dump()}, 201)


def _shown(row: Any) -> dict[str, Any]:
    return {**row, "content": orjson.Fragment(row["content"])}


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content, default=str), status, media_type="application/json")


async def _leave_as_is(_connection: object) -> None:
    """Skip asyncpg's reset on release, as Confide does."""


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
    )
