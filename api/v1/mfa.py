"""The caller's second factors: an authenticator app, and recovery codes on paper."""

import segno
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from api.bodies import Strict
from api.deps import STEP_UP, Clinic, Me, Transaction, bearer, recent
from api.json import Json
from records.identity import factors
from records.identity.own import require_whole

router = APIRouter(prefix="/me/mfa", tags=["me"])


class FactorsView(BaseModel):
    """What second factors one has, and how one has logged in."""

    totp: bool = Field(description="an authenticator app is enrolled")
    passkeys: int = Field(description="how many are enrolled")
    recovery_codes_left: int
    acr: str = Field(description="how strong this login is: `aal1`, or `aal2`", examples=["aal2"])


class SeedView(BaseModel):
    """The seed for an authenticator app. It is shown here and nowhere again."""

    secret: str = Field(description="base32, to type into the app")
    uri: str = Field(description="`otpauth:`, as the QR code holds it")
    qr_svg: str = Field(description="the QR code, as an SVG document")


class Shown(Strict):
    """A code of the app."""

    code: str = Field(pattern=r"^[0-9]{6}$", examples=["123456"])


class RecoveryView(BaseModel):
    """Recovery codes, each good once. They are shown here and nowhere again."""

    recovery_codes: list[str] = Field(examples=[["ABCD-EFGH-IJKL-MNOP"]])


@router.get("", operation_id="read_own_factors", response_model=FactorsView)
async def get_factors(request: Request, clinic: Clinic, me: Me) -> Response:
    """Tell what second factors one has."""
    found = await factors.state(clinic, me.subject.id)
    return Json({**found, "acr": bearer(request).acr})


@router.post(
    "/totp",
    operation_id="begin_totp",
    status_code=201,
    response_model=SeedView,
    dependencies=[Depends(recent)],
)
async def post_totp(session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Begin to enrol an authenticator app. It counts once a code of it has been shown."""
    require_whole(me)
    seed = await factors.begin(session, clinic, me, "Confide")
    picture = segno.make(seed.uri, error="m").svg_inline(scale=4, border=2)
    return Json({"secret": seed.secret, "uri": seed.uri, "qr_svg": picture}, 201)


@router.post("/totp/confirm", operation_id="confirm_totp", response_model=RecoveryView)
async def post_confirm(shown: Shown, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Enrol the app, shown a code of it. From now on a login needs one."""
    require_whole(me)
    return Json({"recovery_codes": await factors.confirm(session, clinic, me, shown.code)})


@router.post(
    "/recovery-codes",
    operation_id="renew_recovery_codes",
    response_model=RecoveryView,
    dependencies=[STEP_UP],
)
async def post_codes(session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Make new recovery codes; those before are worth nothing from now on."""
    require_whole(me)
    return Json({"recovery_codes": await factors.fresh_codes(session, clinic, me)})


@router.delete("", operation_id="remove_own_factors", status_code=204, dependencies=[STEP_UP])
async def delete_factors(session: Transaction, clinic: Clinic, me: Me) -> None:
    """Do without a second factor from now on."""
    require_whole(me)
    await factors.remove(session, clinic, me, me.subject.id)
