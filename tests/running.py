"""The whole application in a process of its own, on a port of its own, as people reach it."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx

T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def running(
    serve: Callable[[str, Path, str], AbstractAsyncContextManager[T]], database_url: str, home: Path
) -> AsyncIterator[tuple[str, T]]:
    """Yield the address of the application on a clinic that `serve` fills, and what `serve` yields."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    async with serve(database_url, home, issuer) as filled:
        variables = {
            "CONFIDE_HOME": str(home),
            "CONFIDE_PORT": str(port),
            "CONFIDE_ISSUER": issuer,
            "CONFIDE_DATABASE_URL": database_url,
            "CONFIDE_ENVIRONMENT": "development",
        }
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api.cli", "serve", env=os.environ | variables
        )
        try:
            await answers(f"{issuer}/docs")
            yield issuer, filled
        finally:
            server.terminate()
            await server.wait()


async def answers(url: str) -> None:
    async with asyncio.timeout(90), httpx.AsyncClient() as client:
        while True:
            try:
                (await client.get(url)).raise_for_status()
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
            else:
                return
