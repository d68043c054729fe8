"""One file out of a multipart body, as it arrives: nothing of it is gathered, and nothing written in clear."""

from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException

from core.errors import BadRequest, FieldError, Invalid

LONGEST_NAME: Final = 255
LONGEST_HEADERS: Final = 8 * 1024


class _Reader:
    """Takes a body in, gives out the pieces of the first part that is a file; other parts are passed over."""

    def __init__(self, boundary: bytes) -> None:
        self.name: str | None = None
        self.ended = False
        self._field = self._value = b""
        self._name: str | None = None
        self._open = False
        self._pieces: list[bytes] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_part_end": self._end,
            },
        )

    def feed(self, data: bytes) -> list[bytes]:
        """Read on; return what came of the file."""
        try:
            self._parser.write(data)
        except FormParserError:
            raise BadRequest("the multipart body is malformed") from None
        pieces, self._pieces = self._pieces, []
        return pieces

    def _begin(self) -> None:
        self._name = None

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field = self._grown(self._field, data[start:end])

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value = self._grown(self._value, data[start:end])

    def _on_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            options = parse_options_header(self._value)[1]
            name = options.get(b"filename")
            self._name = None if name is None else name.decode("utf-8", "replace")
        self._field = self._value = b""

    def _on_headers(self) -> None:
        if self._name is not None and self.name is None:
            self.name, self._open = self._name, True

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._open:
            self._pieces.append(data[start:end])

    def _end(self) -> None:
        self.ended = self.ended or self._open
        self._open = False

    @staticmethod
    def _grown(header: bytes, more: bytes) -> bytes:
        if len(header) + len(more) > LONGEST_HEADERS:
            raise BadRequest("a header of a part is too long")
        return header + more


async def incoming(request: Request, limit: int) -> tuple[str, AsyncIterator[bytes]]:
    """Return the name of the file in a request, and its pieces: as they arrive, at most `limit` bytes.

    Raises 415 for another media type, BadRequest for what is no multipart body, Invalid when no file is in it.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise HTTPException(415, "Unsupported Media Type")
    reader, body = _Reader(options[b"boundary"]), request.stream()
    async for data in body:
        pieces = reader.feed(data)
        if reader.name is not None:
            return _basename(reader.name), _bounded(reader, pieces, body, limit)
    raise Invalid(errors=[FieldError("/file", "missing", "there is no file in it")])


async def _bounded(
    reader: _Reader, pieces: list[bytes], body: AsyncIterator[bytes], limit: int
) -> AsyncIterator[bytes]:
    size = 0
    while True:
        for piece in pieces:
            size += len(piece)
            if size > limit:
                raise HTTPException(413, "The body is too large")
        if pieces:
            yield b"".join(pieces)
        try:
            pieces = reader.feed(await anext(body))
        except StopAsyncIteration:
            break
    if not reader.ended:
        raise BadRequest("the multipart body ends too soon")


def _basename(name: str) -> str:
    """Return the last part of a path, without control characters: some browsers send all of it."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:LONGEST_NAME] or "file"
