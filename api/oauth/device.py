"""Devices (RFC 8628): a device asks and waits, its owner logs it in on a page, the token endpoint answers it."""

from authlib.oauth2.rfc6749 import InvalidScopeError
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.oauth.clients import Client
from api.oauth.device_grant import DeviceGrant
from api.oauth.grants import METHODS
from api.oauth.page import foreign, ours, page, readable
from api.oauth.progress import Progress
from api.oauth.request import WebRequest, parameters, setting, wait
from api.oauth.server import NO_STORE, Server
from api.oauth.steps import TYPED, Asking, Visit, show, step
from core.errors import Throttled
from records.identity import attempts, devices
from records.identity.clients import find
from records.identity.events import logged_in
from records.identity.models import Account, OAuthDevice

router = APIRouter()

PAGE = "/oauth/device"


def ask(server: Server, asked: WebRequest) -> Response:
    """Let a device wait, and tell it what to show."""
    client: Client = server.authenticate_client(asked, METHODS, "device_authorization")
    scope = client.get_allowed_scope(asked.payload.scope)
    if not scope or not client.check_grant_type(DeviceGrant.GRANT_TYPE):
        raise InvalidScopeError
    codes = wait(devices.begin, asked.setting.writing, client.id, scope)
    address = f"{asked.setting.tokens.issuer}{PAGE}"
    told = {
        "device_code": codes.device,
        "user_code": codes.user,
        "verification_uri": address,
        "verification_uri_complete": f"{address}?user_code={codes.user}",
        "expires_in": int(devices.LIFE.total_seconds()),
        "interval": devices.INTERVAL,
    }
    return JSONResponse(told, headers=NO_STORE)


@router.get(PAGE)
async def enter(user_code: str = "") -> Response:
    """Show the form for the code that the device shows."""
    return page("device.html", user_code=user_code[:20], problem="", outcome="")


@router.post(PAGE)
@readable
async def decide(request: Request) -> Response:
    """Log the owner in and ask for consent: whoever types a code lets a device in that they cannot see."""
    if not ours(request):
        return foreign()
    given = await parameters(request)
    typed = {name: given.pop(name, "") for name in TYPED}
    code, network = given.get("user_code", ""), setting(request).origin.network
    counter, database = f"device {network}".encode(), request.app.state.clinic.database
    try:
        await attempts.count(database, counter, network)
        device, asked = await _device(request, code)
    except (Throttled, LookupError) as error:
        problem = "throttled" if isinstance(error, Throttled) else "unknown"
        status = 429 if isinstance(error, Throttled) else 404
        return page("device.html", status, user_code=code[:20], problem=problem, outcome="")
    await attempts.forget(database, counter, network)

    async def end(progress: Progress, account: Account, agreed: bool) -> Response:
        return await _decided(request, device, code, progress, account, agreed)

    visit = Visit(asked, PAGE, {"user_code": code}, Asking.ALWAYS, end, typed)
    return await step(request, visit) if any(typed.values()) else show("login.html", visit)


async def _device(request: Request, code: str) -> tuple[OAuthDevice, WebRequest]:
    here = setting(request)
    async with here.clinic.database.transaction() as session:
        device = await devices.waiting(session, code)
    row = await find(here.clinic.database, device.client_id) if device else None
    if device is None or row is None:
        raise LookupError
    asked = WebRequest(request, {"scope": device.scope}, setting(request, client=row.id))
    asked.client = Client(row)
    return device, asked


async def _decided(
    request: Request,
    device: OAuthDevice,
    code: str,
    progress: Progress,
    account: Account,
    agreed: bool,
) -> Response:
    clinic = request.app.state.clinic
    async with clinic.database.transaction() as session:
        here = setting(request, session, device.client_id)
        still = await devices.decide(
            session,
            code,
            account.id,
            allowed=agreed,
            auth_time=progress.auth_time,
            amr=progress.amr,
        )
        if still and agreed:
            event = logged_in(account, here.origin, progress.amr)
            await clinic.trail.note_within(session, event)
    outcome = ("allowed" if agreed else "denied") if still else ""
    problem = "" if still else "unknown"
    return page("device.html", user_code="", problem=problem, outcome=outcome)
