"""Code systems: is this a code of ICD-10-CM, of LOINC, a unit of UCUM? Each raises ValueError when it is not."""

import gzip
import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

from lark import Lark, LarkError
from stdnum import luhn

_ICD: Final = re.compile(r"([A-Z][0-9][0-9A-Z])(?:\.?([0-9A-Z]{1,4}))?")
_LOINC: Final = re.compile(r"[0-9]{1,6}-[0-9]")
LONGEST: Final = 80
"""Characters of a unit: reading one is more than a comparison."""


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
    """Return a unit that UCUM knows, or that is made of what it knows: `mg/dL`, `10*3/uL`, `mm[Hg]`, `{score}`."""
    try:
        if len(unit) <= LONGEST:
            _units().parse(unit)
            return unit
    except LarkError:
        pass
    raise ValueError("this is no unit of UCUM; what is counted stands in braces: {tablet}")


@cache
def _units() -> Lark:
    grammar = files("records.clinical").joinpath("ucum.lark").read_text(encoding="utf-8")
    return Lark(grammar, start="main_term")


@cache
def _table() -> frozenset[str]:
    """Read the table (CMS, April 2026, public domain): 98,000 codes without dots."""
    packed = files("records.clinical").joinpath("icd10cm.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().split())
