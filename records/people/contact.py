"""Names, telephone numbers and e-mail addresses in the one form in which two of them are compared."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import email_validator
import jellyfish
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

from core.crypto.blind_index import normal_text
from core.settings import settings

_IMPOSSIBLE: Final = {ValidationResult.TOO_LONG, ValidationResult.INVALID_COUNTRY_CODE}
_FEWEST: Final = 7
"""Digits of a number that could be dialled from anywhere."""


def phone_number(text: str) -> str | None:
    """Return a telephone number as E.164, read as the clinic's region dials; None if it is none."""
    try:
        number = phonenumbers.parse(text, settings().phone_region)
    except NumberParseException:
        return None
    digits = len(str(number.national_number))
    if digits < _FEWEST or phonenumbers.is_possible_number_with_reason(number) in _IMPOSSIBLE:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def email_address(text: str) -> str | None:
    """Return an e-mail address in lower case, or None if it is none; no name server is asked."""
    try:
        return email_validator.validate_email(
            text, check_deliverability=False
        ).normalized.casefold()
    except email_validator.EmailNotValidError:
        return None


def comparable_phone(text: str) -> str:
    """Return a telephone number as E.164 where it can be read, else its letters and digits."""
    return phone_number(text) or normal_text(text)


def comparable_email(text: str) -> str:
    """Return an e-mail address as it is compared, also what is none."""
    return email_address(text) or text.strip().casefold()


def sound(family: str) -> str:
    """Return how a family name sounds (Metaphone); in scripts it does not know, the name itself."""
    plain = normal_text(family)
    return jellyfish.metaphone(plain) or plain


def given_names(name: Mapping[str, Any]) -> list[str]:
    """Return the given names of a name, one by one, as they are compared."""
    given = name["given"]
    words = re.split(r"[\s-]+", given if isinstance(given, str) else " ".join(given))
    return [normal for word in words if (normal := normal_text(word))]


def names_of(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every name a patient has or had, the one in use first."""
    yield values["name"]
    yield from values.get("other_names") or ()


def phones_of(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield every telephone number of a patient as it is compared."""
    return map(comparable_phone, _points(values, "phone", "other_phones"))


def emails_of(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield every e-mail address of a patient as it is compared."""
    return map(comparable_email, _points(values, "email", "other_emails"))


def _points(values: Mapping[str, Any], first: str, others: str) -> Iterator[str]:
    if values.get(first):
        yield values[first]
    more: Sequence[Mapping[str, Any]] = values.get(others) or ()
    yield from (point["value"] for point in more)
