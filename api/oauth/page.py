"""Pages: server-rendered, strict about what they load, kept nowhere; and whether a form came from one of them."""

from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from authlib.oauth2 import OAuth2Error
from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.oauth.server import NO_STORE

_WITH_SCRIPT: Final = frozenset({"login.html", "second.html", "account.html"})
"""Pages that may use a passkey, by our own script; the others run none."""
PAGES: Final = Path(__file__).parent / "pages"
_pages = Environment(
    loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def page(name: str, status: int = 200, redirect_uri: str = "", **values: Any) -> Response:
    """Return a page. A form of it may lead to `redirect_uri` besides us."""
    headers = {
        "Content-Security-Policy": _policy(redirect_uri, script=name in _WITH_SCRIPT),
        "X-Frame-Options": "DENY",
        **NO_STORE,
    }
    return HTMLResponse(_pages.get_template(name).render(values), status, headers)


def readable(route: Callable[[Request], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Refuse, by a page, a form that cannot be read: a parameter that stands twice, a sign that it must not hold."""

    @wraps(route)
    async def answer(request: Request) -> Response:
        try:
            return await route(request)
        except OAuth2Error as error:
            detail = error.get_error_description()
            return page("refused.html", 400, reason=error.error, detail=detail)

    return answer


def ours(request: Request) -> bool:
    """Tell whether a form was sent by our page. What is no browser sends neither header."""
    site = request.headers.get("sec-fetch-site")
    if site:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def foreign() -> Response:
    """Refuse a form that another site sent."""
    return page("refused.html", 403, reason="cross_site", detail="The form came from elsewhere.")


def _policy(redirect_uri: str, *, script: bool) -> str:
    """Browsers hold `form-action` against the redirect after a form too: so it names the client's origin."""
    parts = urlsplit(redirect_uri)
    origin = f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""
    scripts = "script-src 'self'; " if script else ""
    return (
        f"default-src 'none'; {scripts}style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self'{origin}"
    )
