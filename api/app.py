"""The ASGI application: lifespan, middleware, routers, error handlers, and the OpenAPI document."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from api import docs, errors, health, metrics, openapi, problems
from api.middleware import Envelope
from api.oauth import routes as oauth
from api.switchboard import Switchboard
from api.tracing import Traced
from api.v1 import (
    access,
    accounts,
    alerts,
    applications,
    appointments,
    attachments,
    audit,
    break_glass,
    calendars,
    cards,
    care,
    clients,
    coverages,
    disclosures,
    doctor_services,
    doctors,
    erasure,
    exports,
    holds,
    keys,
    locations,
    me,
    merging,
    mfa,
    passkeys,
    patients,
    policies,
    policy_checks,
    policy_simulations,
    policy_upgrades,
    record_life,
    records,
    schedules,
    sealed,
    searches,
    series,
    services,
    shifts,
    slots,
    time_off,
    visits,
    waitlist,
    watching,
)
from core import logging, tracing
from core.crypto.keyring import open_provider
from core.garbage import settle
from core.settings import Settings, settings
from records.clinic import Clinic

DESCRIPTION = """
Confide keeps a clinic's appointments and medical records, and can prove who read them. Every read of a patient's data
is decided by the policy in force, and is on the audit trail before it is answered. What you may not see answers
exactly like what does not exist.
"""
V1 = "/v1"
YOUNG = 5_000
"""Containers made, and still there, before the garbage collector looks at them; 700 if it is not told."""
_UNHEARD: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""Of FastAPI's own telemetry: whether anybody listens it asks at each request, for four microseconds."""
MODULES = (
    me,
    mfa,
    passkeys,
    applications,
    accounts,
    clients,
    patients,
    cards,
    coverages,
    merging,
    doctors,
    holds,
    series,
    services,
    doctor_services,
    locations,
    schedules,
    time_off,
    shifts,
    slots,
    appointments,
    visits,
    waitlist,
    calendars,
    records,
    record_life,
    attachments,
    care,
    break_glass,
    audit,
    sealed,
    access,
    disclosures,
    exports,
    alerts,
    searches,
    watching,
    policies,
    keys,
    erasure,
    policy_checks,
    policy_simulations,
    policy_upgrades,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the clinic, and close it after the last request."""
    chosen: Settings = app.state.settings
    async with Clinic.open(
        chosen.postgres_url,
        open_provider(chosen.kms),
        pool=chosen.database_pool,
        deadline=chosen.audit_deadline,
        patience=chosen.database_deadline,
    ) as clinic:
        await clinic.trail.introduce()
        app.state.clinic = clinic
        yield
    tracing.stop()


def create_app(chosen: Settings | None = None) -> FastAPI:
    """Return the application for the settings given, or for those of this process."""
    logging.configure(process="api")
    app = FastAPI(
        title="Confide",
        version="1.0.0",
        description=DESCRIPTION,
        contact={"name": "The authors of Confide"},
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # to the host the request names, which anybody may choose
        telemetry=_UNHEARD,
    )
    app.state.settings = chosen or settings()
    app.add_middleware(Envelope)
    if endpoint := app.state.settings.otlp_endpoint:
        tracing.start(endpoint, "api")
        app.add_middleware(Traced)
    errors.install(app)
    routes = Switchboard(app)
    for router in (
        oauth.router,
        docs.router,
        problems.router,
        health.router,
        metrics.router,
        calendars.public,
    ):
        routes.include(app, router)
    for module in MODULES:
        routes.include(app, module.router, prefix=V1, responses=errors.RESPONSES)
    openapi.complete(app)
    return app


def served() -> FastAPI:
    """Return the application of a process that does nothing else.

    The garbage collector took a seventh of a read's time to walk through what was loaded, again and again, and then a
    sixteenth of a booking's through what requests at work still hold.
    """
    app = create_app()
    settle()
    gc.set_threshold(YOUNG)
    return app
