"""Migrations after the first release run while the version before serves: none locks a table for long, none takes away what it uses.

Those up to it make an empty database. squawk judges what a migration says as SQL, which it has to be able to say: one
that must read rows first is two, or a chore.
"""

import json
import subprocess
import sysconfig
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from api.commands.provision import alembic

RELEASED = "0047"
"""The last migration that an empty database alone is brought to; it moves until the first release is out, and never after."""
SQUAWK = Path(sysconfig.get_path("scripts")) / "squawk"
NO_MATTER = {
    "ban-drop-constraint", "ban-drop-default", "prefer-bigint-over-int", "prefer-bigint-over-smallint",
    "prefer-identity", "prefer-robust-stmts", "prefer-text-field", "prefer-timestamp-tz", "require-statement-timeout",
    "require-lock-timeout",
}  # fmt: skip
"""Rules of taste, and of timeouts: that of locks is set where migrations run (migrations/env.py)."""


def said(upgrade: Callable[[], object]) -> str:
    told = StringIO()
    offline = {"as_sql": True, "output_buffer": told, "transactional_ddl": True}
    with Operations.context(MigrationContext.configure(dialect_name="postgresql", opts=offline)):
        upgrade()
    return f"BEGIN;{told.getvalue()}COMMIT;"


def faults(sql: str) -> set[str]:
    asked = [
        str(SQUAWK), "--reporter", "json", "--pg-version", "15",
        *(f"--exclude={rule}" for rule in sorted(NO_MATTER)),
    ]  # fmt: skip
    done = subprocess.run(  # it ends with 1 where it finds something
        asked, check=False, input=sql, capture_output=True, text=True, timeout=20
    )
    return {found["rule_name"] for found in json.loads(done.stdout)}


def newer() -> list[Any]:
    known = ScriptDirectory.from_config(alembic()).walk_revisions()
    return [script for script in known if script.revision > RELEASED]


def test_no_migration_since_the_first_release_stops_the_version_before():
    assert {s.revision: found for s in newer() if (found := faults(said(s.module.upgrade)))} == {}


def concurrently() -> None:
    with op.get_context().autocommit_block():
        op.create_index("ix", "doctor", ["created_at"], postgresql_concurrently=True)


def new_table() -> None:
    op.create_table("thing", sa.Column("id", sa.BigInteger(), primary_key=True))
    op.create_index("ix", "thing", ["id"])


@pytest.mark.parametrize(
    "upgrade",
    [
        lambda: op.add_column("doctor", sa.Column("shown", sa.Text())),
        lambda: op.execute("ALTER TABLE doctor ADD CONSTRAINT some CHECK (shown <> '') NOT VALID"),
        lambda: op.execute("-- squawk-ignore ban-drop-column\nALTER TABLE doctor DROP COLUMN old"),
        concurrently,
        new_table,
    ],
)
def test_what_takes_a_moment_passes(upgrade: Callable[[], object]):
    assert faults(said(upgrade)) == set()


@pytest.mark.parametrize(
    ("upgrade", "rule"),
    [
        (lambda: op.create_index("ix", "doctor", ["id"]), "require-concurrent-index-creation"),
        (lambda: op.drop_column("doctor", "label"), "ban-drop-column"),
        (lambda: op.drop_table("doctor"), "ban-drop-table"),
        (lambda: op.alter_column("doctor", "label", new_column_name="x"), "renaming-column"),
        (lambda: op.rename_table("doctor", "physician"), "renaming-table"),
        (lambda: op.alter_column("doctor", "label", nullable=False), "adding-not-nullable-field"),
        (lambda: op.alter_column("doctor", "label", type_=sa.Text()), "changing-column-type"),
        (
            lambda: op.add_column("doctor", sa.Column("x", sa.Text(), nullable=False)),
            "adding-required-field",
        ),
        (
            lambda: op.create_check_constraint("c", "doctor", "label <> ''"),
            "constraint-missing-not-valid",
        ),
        (
            lambda: op.create_foreign_key("f", "doctor", "account", ["id"], ["id"]),
            "adding-foreign-key-constraint",
        ),
        (
            lambda: op.create_unique_constraint("u", "doctor", ["label"]),
            "disallowed-unique-constraint",
        ),
    ],
)
def test_what_would_stop_it_is_refused(upgrade: Callable[[], object], rule: str):
    assert rule in faults(said(upgrade))
