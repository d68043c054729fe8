"""docs/schema.md: every table, drawn and listed from the SQLModel metadata."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Table,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.schema import CreateIndex
from sqlmodel import SQLModel

from api.docgen.markdown import mermaid, said, table
from api.docgen.markdown import page as whole
from records.base import table_of
from records.tables import metadata

AREAS: Final = {
    "people": "People",
    "scheduling": "Scheduling",
    "clinical": "Medical records",
    "access": "Access and policy",
    "vault": "Keys",
    "identity": "Logins",
    "audit": "Audit",
}
_SHORT: Final = {"TIMESTAMP WITH TIME ZONE": "timestamptz", "TIME WITHOUT TIME ZONE": "time"}
_INTRODUCTION: Final = """
One PostgreSQL database, two schemas: `public` for the clinic, `audit` for the trail. Columns marked *sealed* hold
ciphertext only ([phi.md](phi.md) lists them). Ids are UUIDv7, made before the row is. The migrations and the models
are held to each other by a test.
"""


def page() -> str:
    """Return the page."""
    assert metadata.tables
    parts = [part for area in AREAS for part in _area(area)]
    return whole("Database schema", _INTRODUCTION, "## All tables", _overview(), *parts)


def _kinds(area: str | None = None) -> list[type[SQLModel]]:
    """Return the table classes of one area of `records`, or of all, by table name."""
    every = [mapper.class_ for mapper in SQLModel._sa_registry.mappers]  # noqa: SLF001 - there is no public list
    mine = [k for k in every if k.__module__.split(".")[1] in ({area} if area else AREAS)]
    return sorted(mine, key=lambda kind: _name(table_of(kind)))


def _overview() -> str:
    lines = [line for kind in _kinds() for line in _relations(table_of(kind))]
    return mermaid(["erDiagram", *sorted(lines)])


def _area(area: str) -> Iterator[str]:
    kinds = _kinds(area)
    tables = [table_of(kind) for kind in kinds]
    near = {_name(t) for t in tables}
    lines = [line for t in tables for line in _relations(t) if line.split()[0] in near]
    yield f"## {AREAS[area]}"
    yield mermaid(["erDiagram", *(line for t in tables for line in _entity(t)), *sorted(lines)])
    for kind in kinds:
        yield f"### `{table_of(kind).fullname}`\n\n{said(kind)}"
        if rules := sorted(_rules(table_of(kind))):
            yield table(("rule", "says"), rules)


def _name(of: Table) -> str:
    return of.fullname.replace(".", "_")


def _entity(of: Table) -> Iterator[str]:
    yield f'  {_name(of)}["{of.fullname}"] {{'
    for column in of.columns:
        keys = ["PK"] * column.primary_key + ["FK"] * bool(column.foreign_keys)
        remark = ", ".join(["sealed"] * bool(column.info.get("phi")) + ["null"] * _nullable(column))
        yield "    " + " ".join(
            filter(None, [_type(column), column.name, ", ".join(keys), remark and f'"{remark}"'])
        )
    yield "  }"


def _relations(of: Table) -> Iterator[str]:
    """Yield a line for each foreign key, from the table that is named to the one that names it."""
    for rule in of.constraints:
        if isinstance(rule, ForeignKeyConstraint):
            optional = any(column.nullable for column in rule.columns)
            one = _unique(of, [c.name for c in rule.columns])
            line = ("|o" if optional else "||") + "--" + ("o|" if one else "o{")
            by = ", ".join(rule.column_keys)
            yield f'  {_name(rule.referred_table)} {line} {_name(of)} : "{by}"'


def _unique(of: Table, names: Sequence[str]) -> bool:
    whole_keys = [of.primary_key, *(c for c in of.constraints if isinstance(c, UniqueConstraint))]
    return any({c.name for c in key.columns} == set(names) for key in whole_keys)


def _rules(of: Table) -> Iterator[tuple[str, str]]:
    for rule in of.constraints:
        match rule:
            case CheckConstraint():
                yield f"`{rule.name}`", f"check `{rule.sqltext}`"
            case ExcludeConstraint():
                yield f"`{rule.name}`", f"never twice: {_exclusion(rule)}"
            case UniqueConstraint():
                yield f"`{rule.name}`", f"unique `({', '.join(rule.columns.keys())})`"
            case ForeignKeyConstraint() if len(rule.column_keys) > 1:
                yield f"`{rule.name}`", f"references `{rule.referred_table.fullname}`, both columns"
    for index in of.indexes:
        yield f"`{index.name}`", f"`{_indexed(index)}`"


def _exclusion(rule: Any) -> str:
    terms = [f"`{text} {op}`" for text, _, op in rule._render_exprs]  # noqa: SLF001 - nowhere public
    return f"{' and '.join(terms)}, where `{rule.where}`"


def _indexed(index: Index) -> str:
    sql = str(CreateIndex(index).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    unique = "unique " if index.unique else ""
    return unique + " ".join(sql.split(" ON ", 1)[1].split()[1:])


def _nullable(column: Column[Any]) -> bool:
    return bool(column.nullable)


def _type(column: Column[Any]) -> str:
    text = column.type.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    return _SHORT.get(text, text.lower())
