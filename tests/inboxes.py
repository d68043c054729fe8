"""A mail server of a test's own, which keeps what it gets."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from core.settings import Settings


class Inbox(Message):
    def __init__(self) -> None:
        super().__init__()
        self.letters: list = []

    def handle_message(self, message) -> None:
        self.letters.append(message)


@contextmanager
def open_inbox() -> Iterator[tuple[Inbox, Settings]]:
    """Yield an inbox, and the settings of a clinic whose letters go there."""
    box = Inbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, Settings(environment="development", smtp_url=f"smtp://127.0.0.1:{port}")
    server.stop()
