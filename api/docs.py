"""Swagger UI at `/docs`: served from here, without a byte from elsewhere, logged in by code and PKCE."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import FileResponse, RedirectResponse

router = APIRouter(include_in_schema=False)

PAGES: Final = Path(__file__).parent / "pages"
_SWAGGER: Final = Path(str(files("fastapi_swagger") / "resources"))
_FILES: Final = {
    "swagger-ui.css": _SWAGGER,
    "swagger-ui-bundle.js": _SWAGGER,
    "docs.css": PAGES,
    "icon.svg": PAGES,
    "docs.js": PAGES,
    "oauth2-redirect.js": PAGES,
}
# No inline scripts. Swagger UI sets styles from script, which `style-src` lets it do, and draws icons as data: images.
_POLICY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}


@router.get("/")
async def door() -> Response:
    """Lead whoever opens the service in a browser to the page."""
    return RedirectResponse("/docs")


@router.get("/docs")
async def page() -> Response:
    """Return the page."""
    return FileResponse(PAGES / "docs.html", headers=_POLICY)


@router.get("/docs/oauth2-redirect")
async def redirect() -> Response:
    """Return the page that a login ends on: it hands the code to the window that asked, and closes."""
    return FileResponse(
        PAGES / "oauth2-redirect.html", headers=_POLICY | {"Cache-Control": "no-store"}
    )


@router.get("/docs/assets/{name}")
async def asset(name: str) -> Response:
    """Return one of the scripts and style sheets."""
    if name not in _FILES:
        raise HTTPException(404, "Not found")
    return FileResponse(_FILES[name] / name, headers={"Cache-Control": "public, max-age=3600"})
