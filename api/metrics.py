"""Prometheus metrics: what the processes counted, and what the database says of the whole. Labels are routes and codes only."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from core.database import Database
from core.errors import DomainError
from records.audit.troubles import GAUGES, gauges
from records.care.emergency import waiting
from records.clinic import Clinic
from records.custody.ages import key_ages

router = APIRouter(tags=["operations"])

PATIENCE: Final = 1.0
"""Seconds that the database has to answer; without it what processes counted is told."""
_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""How `confide serve --workers` names the folder to the client library of its processes."""


@router.get("/metrics", operation_id="metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Return Prometheus metrics. Labels are routes, methods and codes only."""
    clinic: Clinic = request.app.state.clinic
    found = list[Metric]()
    with suppress(DomainError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            found += [metric async for metric in _stored(clinic.database)]
    told = CollectorRegistry(auto_describe=False)
    told.register(_Found(found))
    return Response(_counted() + generate_latest(told), media_type=CONTENT_TYPE_LATEST)


@dataclass(frozen=True, eq=False)
class _Found:
    """Metrics that were looked up for this answer, as a collector."""

    metrics: list[Metric]

    def collect(self) -> list[Metric]:
        return self.metrics


def _counted() -> bytes:
    """Return what processes counted: this one, or all that serve one port, each of which writes its counts to a shared folder."""
    if _FOLDER not in os.environ:
        return generate_latest()
    summed = CollectorRegistry()
    MultiProcessCollector(summed)  # type: ignore[no-untyped-call]
    return generate_latest(summed)


async def _stored(database: Database) -> AsyncIterator[Metric]:
    for name, value in (await gauges(database)).items():
        yield GaugeMetricFamily(f"confide_audit_{name}", GAUGES[name], value=value)
    yield _labelled(
        "confide_break_glass_unreviewed",
        "Emergency grants without a review",
        "state",
        await waiting(database),
    )
    yield _labelled(
        "confide_key_age_seconds",
        "Age of the newest key-encryption key",
        "purpose",
        await key_ages(database),
    )


def _labelled(name: str, told: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(name, told, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
