"""What a patient can be found by.

Sex, diagnoses, birth dates and postal codes alone are not among it: there are so few that tokens would tell them.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from core.crypto.blind_index import normal_date, normal_text
from records.base import Searchable
from records.people.contact import emails_of, names_of, phones_of, sound

Parts = Iterator[tuple[str, ...]]


def family_born(family: str, born: date) -> tuple[str, ...]:
    """Return the parts of a family name with a birth date."""
    return normal_text(family), normal_date(born)


def sound_born(family: str, born: date) -> tuple[str, ...]:
    """Return the parts of a family name's sound with a year of birth."""
    return sound(family), str(born.year)


def _families(values: Mapping[str, Any]) -> Parts:
    return ((normal_text(name["family"]),) for name in names_of(values))


def _families_born(values: Mapping[str, Any]) -> Parts:
    return (family_born(name["family"], values["birth_date"]) for name in names_of(values))


def _sounds_born(values: Mapping[str, Any]) -> Parts:
    return (sound_born(name["family"], values["birth_date"]) for name in names_of(values))


def _phones(values: Mapping[str, Any]) -> Parts:
    return ((phone,) for phone in phones_of(values))


def _emails(values: Mapping[str, Any]) -> Parts:
    return ((email,) for email in emails_of(values))


_NAMES: Final = ("name", "other_names")
_BORN: Final = (*_NAMES, "birth_date")

FAMILY: Final = Searchable(
    "family", "family name alone", _NAMES, _families, bits=14, keyspace=15.6, blurs=True
)
SOUND: Final = Searchable(
    "sound", "sound of family name, year of birth", _BORN, _sounds_born, 14, 18.0, blurs=True
)
BORN: Final = Searchable("born", "family name, birth date", _BORN, _families_born, 32, 30.0)
PHONE: Final = Searchable("phone", "telephone number", ("phone", "other_phones"), _phones, 64, 33.0)
EMAIL: Final = Searchable("email", "e-mail address", ("email", "other_emails"), _emails, 64, 40.0)
SEARCHABLE: Final = (FAMILY, SOUND, BORN, PHONE, EMAIL)
