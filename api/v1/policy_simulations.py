"""What a draft of rules would change, said before it is in force."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, Field

from api.bodies import Strict, shown
from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.once import once
from records.governance import simulating
from records.governance.models import SimulationStatus

router = APIRouter(prefix="/policies", tags=["policies"])


class SimulationOrder(Strict):
    """What to simulate besides the impact."""

    days: int = Field(30, ge=1, le=365, description="how far back acts are decided again")


class SimulationView(BaseModel):
    """What a draft would change. Ids, labels and counts: no word of anybody's record."""

    id: UUID
    draft_id: UUID
    draft_version: int
    base_version: int = Field(description="the version it is compared with")
    status: SimulationStatus
    done: int = Field(description="people counted so far")
    total: int = Field(description="people whom it may concern")
    result: dict[str, Any] | None = Field(
        description="`totals` by kind, action and label; `effects` by person and rule; `replay`; `analysis`"
    )
    created_at: datetime


@router.get(
    "/simulations/{simulation_id}",
    operation_id="read_policy_simulation",
    response_model=SimulationView,
)
async def get_simulation(simulation_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read how far a simulation is, and what came of it."""
    return _simulation(await simulating.read_simulation(clinic, me, simulation_id))


@router.post(
    "/drafts/{draft_id}/simulate",
    operation_id="simulate_policy_draft",
    status_code=202,
    response_model=SimulationView,
)
@once(get_simulation, at="/v1/policies/simulations", status=202)
async def post_simulate(
    draft_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    order: Annotated[SimulationOrder, Body(default_factory=SimulationOrder)],
) -> Response:
    """Ask who would gain and who would lose what, which recent acts would go otherwise, and what no data show.

    It is done outside this process; `Location` says how far it is, and what came of it.
    """
    asked = await simulating.ask(session, clinic, me, draft_id, order.days)
    path = f"/v1/policies/simulations/{asked['id']}"
    return _simulation(asked, 202, {"Location": path, "Retry-After": "2"})


def _simulation(
    found: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Json(shown(SimulationView, found), status, headers)
