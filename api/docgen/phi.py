"""docs/phi.md: what is sealed, what can be searched for, and what lies open."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlmodel import SQLModel

from api.docgen.markdown import page as whole
from api.docgen.markdown import said, table
from core.settings import Settings
from records.base import Protected, phi_columns, table_of
from records.tables import metadata
from records.vault.indexes import Indexes, plan

_INTRODUCTION: Final = """
Every column below holds ciphertext and nothing else: the column type takes only sealed cells. A row's cells are sealed
under a key of that row's patient, and bound to their table, column, row and patient. *Padded* columns are filled up to
a bucket (16, 32, 64, 128 bytes, then multiples of 256), so that a code's length does not name it. The others show
their length to the byte.
"""
_INDEXES: Final = """
A blind index is a keyed hash. Equal values have equal tokens, so whoever reads the database sees that two are equal, and
with the key could try values. Where values are common, an index is *blurred*: so few bits that many values share a token,
planned at the first start for CONFIDE_EXPECTED_PATIENTS (the sizes below: its default). All blurred indexes of a table
share log2(patients) - 1 bits, so that they leave, on average, at least two patients alike; less than 4 bits each, and
Confide does not start. Candidates are compared again after decryption. Sex, diagnoses, records, addresses and a birth
date alone have no index.
"""
_OPEN: Final = """
Not sealed, because decisions, constraints and lists need it: ids, times, statuses, kinds, sensitivity labels, who treats
whom, which doctor sees which patient when, identifier types and systems, insurance periods. Doctors' profiles are public.
A patient's account names its
patient's id. Somebody who holds the database learns from these that a patient (a number) saw a doctor (a name) at a time.
"""


@dataclass(frozen=True, slots=True)
class Token:
    """One blind index: where its tokens are, the sealed columns they are made of, and what they stand for."""

    kept: str
    table: str
    columns: tuple[str, ...]
    bits: int
    meaning: str
    blurred: bool = False


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
    rows = [(f"`{t}.{c}`", "yes" if padded else "no", _searched(t, c)) for t, c, padded in sealed()]
    tokens = [
        (i.kept, ", ".join(f"`{i.table}.{c}`" for c in i.columns), _bits(i), i.meaning)
        for i in indexes()
    ]
    return whole(
        "PHI inventory",
        _INTRODUCTION,
        f"{len(rows)} sealed columns:",
        table(("column", "padded", "blind index"), rows),
        "## Blind indexes",
        _INDEXES,
        table(("index", "made of", "bits", "what for"), tokens),
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


def indexes() -> list[Token]:
    """Return every blind index: those that tables declare, and the single ones, found by asking each for a token."""
    return sorted((*_declared(), *_recorded()), key=lambda i: (i.table, i.kept))


def _declared() -> Iterator[Token]:
    patients = Settings.model_fields["expected_patients"].default
    for kind in Protected.__subclasses__():
        bits = plan(kind.searchable, patients)
        name = table_of(kind).name
        for i in kind.searchable:
            kept = f"`{name}_token`, `{i.name}`"
            yield Token(kept, name, i.columns, bits[i.name], i.meaning, i.blurs)


def _recorded() -> Iterator[Token]:
    for name in ("identifier", "source", "login"):
        recorder = _Recorder()
        method = getattr(Indexes, name)
        method(Indexes(recorder, recorder, 100_000), "x")  # type: ignore[arg-type]
        of, column, bits = recorder.asked
        yield Token(f"`Indexes.{name}`", of, (column,), bits, said(method))


def _searched(of: str, column: str) -> str:
    found = [i for i in indexes() if i.table == of and column in i.columns]
    return "; ".join(f"{i.kept} ({_bits(i)})" for i in found) or "none"


def _bits(index: Token) -> str:
    return f"{index.bits}, blurred" if index.blurred else str(index.bits)
