"""Code systems: is this a code of ICD-10-CM, of LOINC, a unit of UCUM? Each raises ValueError when it is not."""

import gzip
import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

from stdnum import luhn

_ICD: Final = re.compile(r"([A-Z][0-9][0-9A-Z])(?:\.?([0-9A-Z]{1,4}))?")
_LOINC: Final = re.compile(r"[0-9]{1,6}-[0-9]")
_UCUM: Final = re.compile(r"[!-~]{1,80}")


def icd10cm(code: Any) -> str:
    """Return a code that stands in the table of 2026, with or without its dot; headings count."""
    found = _ICD.fullmatch(code) if isinstance(code, str) else None
    if found is None or f"{found[1]}{found[2] or ''}" not in _table():
        raise ValueError("this is no code of ICD-10-CM")
    return str(code)


def loinc(code: Any) -> str:
    """Return a code of LOINC's form whose check digit is right."""
    well_formed = isinstance(code, str) and _LOINC.fullmatch(code)
    if not well_formed or not luhn.is_valid(code.replace("-", "")):
        raise ValueError("this is no code of LOINC")
    return str(code)


def ucum(unit: str) -> str:
    """Return what could be a unit of UCUM: its characters, its brackets in pairs."""
    if not _UCUM.fullmatch(unit) or not _paired(unit):
        raise ValueError("this is no unit of UCUM")
    return unit


def _paired(unit: str) -> bool:
    waiting = []
    pairs = {")": "(", "]": "[", "}": "{"}
    for character in unit:
        if character in pairs.values():
            waiting.append(character)
        elif character in pairs and (not waiting or waiting.pop() != pairs[character]):
            return False
    return not waiting


@cache
def _table() -> frozenset[str]:
    """Read the table (CMS, April 2026, public domain): 98,000 codes without dots."""
    packed = files("records.clinical").joinpath("icd10cm.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().split())
