"""Pages to ask for a link by e-mail, and to choose a password by a link.

No address is stored: a user name that is an e-mail address is where the link goes, to the letter as it was typed into
the form, once its keyed hash has found an account. The answer is the same, and as fast, when it has not.
"""

import structlog
from email_validator import EmailNotValidError, validate_email
from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from api.oauth.page import foreign, ours, page, readable
from api.oauth.request import Setting, parameters, setting
from core import mail
from core.errors import Invalid, NotFound, Throttled
from core.settings import Settings
from records.identity import attempts, tickets
from records.identity.accounts import named
from records.identity.models import TicketKind

router = APIRouter()
log = structlog.get_logger()

_LETTER = """Somebody, you we hope, asked for a new password at {issuer}.

Choose one here within half an hour:

{url}

If it was not you, do nothing: your password is still the old one.
"""


@router.get("/oauth/reset")
async def ask() -> Response:
    """Show the form that asks for a link."""
    return page("reset.html", asked=False, problem="")


@router.post("/oauth/reset")
@readable
async def send(request: Request) -> Response:
    """Send a link, if the name is an account's; say the same if it is not."""
    if not ours(request):
        return foreign()
    username, here = (await parameters(request)).get("username", ""), setting(request)
    try:
        login, network = here.clinic.indexes.login(username), f"reset {here.origin.network}"
        await attempts.count(here.clinic.database, login, network)
    except Throttled:
        return page("reset.html", 429, asked=False, problem="throttled")
    answer = page("reset.html", asked=True, problem="")
    answer.background = BackgroundTask(_send, request.app.state.settings, here, username)
    return answer


@router.get("/oauth/password")
async def choose(link: str = "") -> Response:
    """Show the form to choose a password by. The link is looked at when the form comes back."""
    return page("password.html", link=link, problem="", done=False)


@router.post("/oauth/password")
@readable
async def chosen(request: Request) -> Response:
    """Set the password and use the link up."""
    if not ours(request):
        return foreign()
    given = await parameters(request)
    link, password = given.get("link", ""), given.get("password", "")
    if password != given.get("again"):
        return page("password.html", 422, link=link, problem="different", done=False)
    try:
        async with request.app.state.clinic.database.transaction() as session:
            here = setting(request, session)
            await tickets.redeem(session, here.clinic, here.origin, link, password)
    except NotFound as ended:
        return page("password.html", 404, link="", problem=ended.code, done=False)
    except Invalid as weak:
        return page("password.html", 422, link=link, problem=weak.errors[0].code, done=False)
    return page("password.html", link="", problem="", done=True)


async def _send(chosen: Settings, here: Setting, username: str) -> None:
    """Make the link and send it. In development, where nobody has a mail server, it is in the log."""
    account = await named(here.clinic, username)
    if account is None or not account.active:
        return
    async with here.clinic.database.transaction() as session:
        link = await tickets.ask(session, here.clinic, here.origin, account)
    url = link.url(here.tokens.issuer)
    if chosen.development and not chosen.smtp_url.get_secret_value():
        log.info("link to choose a password", url=url, kind=TicketKind.RESET)
    try:
        address = validate_email(username, check_deliverability=False).normalized
    except EmailNotValidError:
        return
    letter = _LETTER.format(issuer=here.tokens.issuer, url=url)
    await mail.send(chosen, address, "A new password", letter)
