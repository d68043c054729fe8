"""A way to a server that can be made deaf: it takes connections and every byte, and passes nothing on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Way:
    """`url` leads through here. While `open` is not set nothing passes, and nobody is told."""

    url: str
    open: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def way_to(url: str) -> AsyncIterator[Way]:
    """Yield a way to a server that is open, until somebody closes it."""
    parts = urlsplit(url)
    way = Way("")
    way.open.set()
    running = set[asyncio.Task[None]]()

    async def passing(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(1 << 16):
                await way.open.wait()
                target.write(piece)
        except OSError:
            pass  # one end went: the other is told
        finally:
            target.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port)
        for each in (passing(reader, far_writer), passing(far_reader, writer)):
            task = asyncio.create_task(each)
            running.add(task)
            task.add_done_callback(running.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    way.url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()
    try:
        yield way
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.sleep(0.05)  # until what was closed is
