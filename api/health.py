"""Liveness, readiness and metrics: for machines, without a login and without a word about anybody."""

import asyncio
from contextlib import suppress
from typing import Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from sqlalchemy import literal, select
from starlette.datastructures import URL

from api.json import Json
from core.database import Query
from core.errors import DomainError
from core.settings import Settings
from records.audit.troubles import GAUGES, gauges
from records.care.emergency import waiting
from records.clinic import Clinic

router = APIRouter(tags=["operations"])

_GAUGES: Final = {name: Gauge(f"confide_audit_{name}", told) for name, told in GAUGES.items()}
_UNREVIEWED: Final = Gauge(
    "confide_break_glass_unreviewed", "Emergency grants without a review", ["state"]
)
_PING: Final = Query(select(literal(1)))


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
        "broker": await _broker(settings.broker_url.get_secret_value()),
    }
    ready = parts["database"] == parts["policy"] == "ok"
    body = {"status": "ok" if ready else "unavailable", "parts": parts}
    return Json(body, 200 if ready else 503)


@router.get("/metrics", operation_id="metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Return Prometheus metrics. Labels are routes, methods and codes only."""
    with suppress(DomainError, TimeoutError):
        async with asyncio.timeout(1):
            found = await gauges(request.app.state.clinic.database)
            unreviewed = await waiting(request.app.state.clinic.database)
        for name, value in found.items():
            _GAUGES[name].set(value)
        for state, number in unreviewed.items():
            _UNREVIEWED.labels(state).set(number)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


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


async def _broker(url: str) -> str:
    """Try the broker's port; a broker that is a folder is always there."""
    address = URL(url)
    if address.scheme != "amqp" or not address.hostname:
        return "ok"
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(address.hostname, address.port or 5672)
        writer.close()
    except (OSError, TimeoutError):
        return "waiting"
    return "ok"
