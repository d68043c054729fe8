"""docs/phi.md: what is sealed, what can be searched for, and what lies open."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlmodel import SQLModel

from api.docgen.markdown import page as whole
from api.docgen.markdown import said, table
from records.base import phi_columns, table_of
from records.tables import metadata
from records.vault.indexes import Indexes

_INTRODUCTION: Final = """
Every column below holds ciphertext and nothing else: the column type takes only sealed cells. A row's cells are sealed
under a key of that row's patient, and bound to their table, column, row and patient. *Padded* columns are filled up to
a bucket (16, 32, 64, 128 bytes, then multiples of 256), so that a code's length does not name it. The others show
their length to the byte.
"""
_INDEXES: Final = """
A blind index is a keyed hash. Equal values have equal tokens, so whoever reads the database sees that two are equal, and
with the key could try values. Names, birth dates, sex, addresses, telephone numbers and e-mail addresses have none in
this version.
"""
_OPEN: Final = """
Not sealed, because decisions, constraints and lists need it: ids, times, statuses, kinds, sensitivity labels, who treats
whom, which doctor sees which patient when, identifier types and systems, insurance periods. Doctors' profiles are public.
A patient's account names its
patient's id. Somebody who holds the database learns from these that a patient (a number) saw a doctor (a name) at a time.
"""


@dataclass(frozen=True, slots=True)
class Searchable:
    """One blind index: the method that makes its tokens, and what they stand for."""

    method: str
    table: str
    column: str
    bits: int


class _Recorder:
    """Stands in for the index key, and keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked = ("", "", 0)

    def token(
        self, table: str, column: str, _index: str, _parts: Sequence[str], bits: int
    ) -> bytes:
        self.asked = table, column, bits
        return b""


def page() -> str:
    """Return the page."""
    found = {(s.table, s.column): s for s in indexes()}
    rows = [
        (f"`{t}.{c}`", "yes" if padded else "no", _index(found.get((t, c))))
        for t, c, padded in sealed()
    ]
    tokens = [(f"`{s.method}`", f"`{s.table}.{s.column}`", s.bits, _what(s)) for s in indexes()]
    return whole(
        "PHI inventory",
        _INTRODUCTION,
        f"{len(rows)} sealed columns:",
        table(("column", "padded", "blind index"), rows),
        "## Blind indexes",
        _INDEXES,
        table(("made by `Indexes.`", "of", "bits", "what for"), tokens),
        "## What lies open",
        _OPEN,
    )


def sealed() -> list[tuple[str, str, bool]]:
    """Return every sealed column: table, column, whether it is padded."""
    assert metadata.tables
    kinds: list[type[SQLModel]] = [m.class_ for m in SQLModel._sa_registry.mappers]  # noqa: SLF001 - no public list
    return sorted(
        (table_of(kind).fullname, column.name, bool(column.info["padded"]))
        for kind in kinds
        for column in phi_columns(kind)
    )


def indexes() -> list[Searchable]:
    """Return every blind index, found by asking each for a token."""
    return sorted(_recorded(), key=lambda s: (s.table, s.column))


def _recorded() -> Iterator[Searchable]:
    for name, method in vars(Indexes).items():
        if name.startswith("_") or isinstance(method, classmethod):
            continue
        recorder = _Recorder()
        method(Indexes(recorder), "x")  # type: ignore[arg-type]
        yield Searchable(name, *recorder.asked)


def _index(found: Searchable | None) -> str:
    return f"yes, {found.bits} bits" if found else "none"


def _what(found: Searchable) -> str:
    return said(getattr(Indexes, found.method))
