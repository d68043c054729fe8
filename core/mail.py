"""Letters by SMTP: one sender, plain text, at most an entry for a calendar. Without a server the letter is not sent, and the log says so."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid
from urllib.parse import unquote, urlsplit

import structlog

from core.settings import LOOPBACK, Settings

PATIENCE = 10.0
"""Seconds for the mail server to answer."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a calendar program does by itself with a letter (iMIP, RFC 6047): an iCalendar text under its method."""

    method: str
    calendar: str


async def send(
    here: Settings,
    to: str,
    subject: str,
    text: str,
    key: str = "",
    invitation: Invitation | None = None,
) -> bool:
    """Hand a letter to the mail server; tell whether it was taken. A failure is logged by its kind, and no more.

    `key` names the letter: if it is sent again, its Message-ID is the same.
    """
    url = here.smtp_url.get_secret_value()
    if not url:
        log.warning("letter not sent: CONFIDE_SMTP_URL is not set", subject=subject)
        return False
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = here.mail_from, to, subject
    letter["Message-ID"] = f"<{key}@confide>" if key else make_msgid(domain="confide")
    letter.set_content(text)
    if invitation:
        method = {"method": invitation.method}
        letter.add_alternative(invitation.calendar, subtype="calendar", params=method)
    try:
        await asyncio.to_thread(_hand_over, url, letter)
    except (OSError, smtplib.SMTPException) as error:
        log.error("letter not sent", error=type(error).__name__)
        return False
    return True


def _hand_over(url: str, letter: EmailMessage) -> None:
    """`smtps://` is TLS from the start; `smtp://` is raised to TLS, except on this very machine."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "localhost", ssl.create_default_context()
    direct = parts.scheme == "smtps"
    server: smtplib.SMTP = (
        smtplib.SMTP_SSL(host, parts.port or 465, timeout=PATIENCE, context=tls)
        if direct
        else smtplib.SMTP(host, parts.port or 587, timeout=PATIENCE)
    )
    with server:
        if not direct and host not in LOOPBACK:
            server.starttls(context=tls)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(letter)
