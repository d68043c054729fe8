"""GET from an address that somebody else wrote down: no redirect, no private network, bounded in size and time.

The address a name resolves to is looked at and then connected to itself, so that a name cannot mean one thing when it
is judged and another when it is used. TLS is checked against the name.
"""

import asyncio
import ssl
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import SOCK_STREAM
from typing import Final
from urllib.parse import SplitResult, urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

SECONDS: Final = 3.0
"""For all of it: name, connection, answer."""
LARGEST: Final = 64 * 1024
"""Bytes of an answer with its headers."""
_OK: Final = 200
_EMBEDDING: Final = ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway turns into IPv4 ones (RFC 6052)."""

_LOCAL: Final = tuple(
    map(ip_network, ("64:ff9b:1::/48", "fec0::/10", "::/96", "::ffff:0:0:0/96", "192.0.0.0/24"))
)
"""Networks that are nobody's or of one site (RFC 8215, 3879, 4291, 2765, 6890), whatever the library's version says."""


class NotFetched(Exception):
    """There is no answer that may be used."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a fetch may go: to addresses that are not public, and without TLS."""

    private: bool = False
    plain: bool = False


async def fetch(url: str, reach: Reach) -> bytes:
    """Return the body of an answer 200; NotFetched for anything else."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in (("https", "http") if reach.plain else ("https",)):
            raise NotFetched
        async with asyncio.timeout(SECONDS):
            return await _asked(parts, await _address(parts, reach))
    # A timeout is an OSError, as is all of TLS.
    except (OSError, ValueError, HttpParserError, HttpParserUpgrade):
        raise NotFetched from None


def public(text: str) -> bool:
    """Tell whether an address is one of the whole internet, however it is wrapped."""
    address = ip_address(text)
    inner = _within(address) if isinstance(address, IPv6Address) else None
    if inner is not None:
        return public(str(inner))
    odd = address.is_multicast or address.is_reserved or any(address in net for net in _LOCAL)
    return address.is_global and not odd


async def _address(parts: SplitResult, reach: Reach) -> str:
    loop, port = asyncio.get_running_loop(), _port(parts)
    found = await loop.getaddrinfo(parts.hostname or "", port, type=SOCK_STREAM)
    addresses = [str(info[4][0]).partition("%")[0] for info in found]
    if not addresses or not (reach.private or all(public(a) for a in addresses)):
        raise NotFetched
    return addresses[0]


async def _asked(parts: SplitResult, address: str) -> bytes:
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        address,
        _port(parts),
        ssl=ssl.create_default_context() if secure else None,
        server_hostname=parts.hostname if secure else None,
    )
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", "Accept: application/json"
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("ascii"))
        return await _answered(reader)
    finally:
        writer.transport.abort()


async def _answered(reader: asyncio.StreamReader) -> bytes:
    answer, size = _Answer(), 0
    parser = HttpResponseParser(answer)
    while not answer.complete:
        piece = await reader.read(LARGEST)
        size += len(piece)
        if not piece or size > LARGEST:
            raise NotFetched
        parser.feed_data(piece)
    if parser.get_status_code() != _OK:
        raise NotFetched
    return b"".join(answer.pieces)


class _Answer:
    """What the parser tells of an answer."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.complete = False

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.complete = True


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _within(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 one stands for."""
    if address in _EMBEDDING:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
