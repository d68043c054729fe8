"""Liveness and readiness: for machines, without a login and without a word about anybody."""

import asyncio
from typing import Final

from fastapi import APIRouter, Request, Response
from sqlalchemy import literal, select
from starlette.datastructures import URL

from api.json import Json
from core.database import Query
from core.errors import DomainError
from core.settings import Settings
from records.clinic import Clinic

router = APIRouter(tags=["operations"])

_PING: Final = Query(select(literal(1)))
_PORTS: Final = {"amqp": 5672, "amqps": 5671}


@router.get("/healthz", operation_id="liveness")
async def healthz() -> dict[str, str]:
    """Say that the process is alive."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="readiness", responses={503: {"description": "not ready"}})
async def readyz(request: Request) -> Response:
    """Say whether each part that requests need is there. The broker is not one: the outbox waits for it."""
    clinic: Clinic = request.app.state.clinic
    settings: Settings = request.app.state.settings
    parts = {
        "database": await _database(clinic),
        "policy": _policy(clinic),
        "broker": await broker(settings.broker_url.get_secret_value()),
    }
    ready = parts["database"] == parts["policy"] == "ok"
    body = {"status": "ok" if ready else "unavailable", "parts": parts}
    return Json(body, 200 if ready else 503)


async def _database(clinic: Clinic) -> str:
    try:
        async with asyncio.timeout(1):
            await clinic.database.one(_PING)
    except (DomainError, TimeoutError):
        return "unavailable"
    return "ok"


def _policy(clinic: Clinic) -> str:
    try:
        return "ok" if clinic.policy.snapshot else "unavailable"
    except DomainError:
        return "unavailable"


async def broker(url: str) -> str:
    """Try the broker's port; a broker that is a folder is always there."""
    address = URL(url)
    if address.scheme not in _PORTS or not address.hostname:
        return "ok"
    port = address.port or _PORTS[address.scheme]
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(address.hostname, port)
        writer.close()
    except (OSError, TimeoutError):
        return "waiting"
    return "ok"
