"""A client that others wrote and certified, npm's openid-client, against the running service."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey

from policies.vocabulary import Role
from records.identity.accounts import create
from tests.logins import NAME, PASSWORD, hidden, serve
from tests.npm import install
from tests.running import running

SCRIPT = Path(__file__).parent / "openid_client.mjs"
PACKAGE = "openid-client@6"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client in it."""
    folder = install(tmp_path_factory.mktemp("openid-client"), PACKAGE)
    shutil.copy(SCRIPT, folder)
    return folder


@pytest.fixture
async def address(installed: Path, database_url: str, tmp_path: Path) -> AsyncIterator[str]:  # noqa: ARG001
    async with running(serve, database_url, tmp_path) as (issuer, service):
        async with service.clinic.database.transaction() as session:
            await create(
                session,
                service.clinic.indexes,
                username="admin@demo",
                password=PASSWORD,
                roles=[Role.ADMIN],
            )
        yield issuer


async def register(issuer: str, access: str, **more: object) -> dict:
    body = {
        "client_name": "Wall display",
        "grant_types": ["client_credentials"],
        "scope": "system/Appointment.rs",
        "roles": ["receptionist"],
    }
    headers = {"Authorization": f"Bearer {access}"}
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{issuer}/v1/clients", json=body | more, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def administrator(issuer: str) -> str:
    """Log the administrator in by the device flow, and return an access token."""
    async with httpx.AsyncClient(base_url=issuer) as http:
        asked = {"client_id": "confide-cli", "scope": "openid"}
        told = (await http.post("/oauth/device_authorization", data=asked)).json()
        page = await http.post("/oauth/device", data={"user_code": told["user_code"]})
        form = hidden(page.text) | {"username": "admin@demo", "password": PASSWORD}
        page = await http.post("/oauth/device", data=form)
        await http.post("/oauth/device", data=hidden(page.text) | {"consent": "yes"})
        grant = "urn:ietf:params:oauth:grant-type:device_code"
        form = asked | {"grant_type": grant, "device_code": told["device_code"]}
        return (await http.post("/oauth/token", data=form)).json()["access_token"]


async def test_openid_client_is_content(address: str, installed: Path):
    access, key = await administrator(address), ECKey.generate_key("P-384")
    plain = await register(address, access)
    jwks = {"keys": [key.as_dict(private=False) | {"kid": "k1"}]}
    keyed = await register(address, access, token_endpoint_auth_method="private_key_jwt", jwks=jwks)
    given = [address, NAME, PASSWORD, plain["client_id"], plain["client_secret"]]
    given += [keyed["client_id"], json.dumps(key.as_dict(private=True))]
    node = await asyncio.create_subprocess_exec(
        "node",
        "openid_client.mjs",
        *given,
        cwd=installed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(node.communicate(), 60)
    assert node.returncode == 0, output.decode()
    assert len(output.decode().splitlines()) == 13
