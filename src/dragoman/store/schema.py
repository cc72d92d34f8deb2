"""The tables of the database, and how an older one becomes a newer one.

A new database gets the tables as they are here.  One that an older dragoman made is brought forward by `STEPS`, each of
which leads from one version to the next; none leads back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    insert,
    select,
    text,
    update,
)

METADATA = MetaData()

META = Table(
    "dragoman_meta",
    METADATA,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# A response and all that were continued from it, used for the last time at `used_at` (seconds): they expire together.
CHAINS = Table(
    "dragoman_chains",
    METADATA,
    Column("id", String, primary_key=True),
    Column("used_at", Double, nullable=False, index=True),
)

# `lease`: until when (seconds) whoever makes it is believed to be alive; 0 when nobody makes it any more.
# `body` is the Response without its output, as JSON.
RESPONSES = Table(
    "dragoman_responses",
    METADATA,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("chain_id", ForeignKey(CHAINS.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("previous_id", String),
    Column("conversation_id", String),
    Column("status", String, nullable=False),
    Column("lease", Double, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

# `side`: 0 what went in, 1 what came out.
RESPONSE_ITEMS = Table(
    "dragoman_response_items",
    METADATA,
    Column("response_id", ForeignKey(RESPONSES.c.id, ondelete="CASCADE"), primary_key=True),
    Column("side", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("item_id", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
)

CONVERSATIONS = Table(
    "dragoman_conversations",
    METADATA,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("metadata", LargeBinary, nullable=False),
)

CONVERSATION_ITEMS = Table(
    "dragoman_conversation_items",
    METADATA,
    Column("conversation_id", ForeignKey(CONVERSATIONS.c.id, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("item_id", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_dragoman_conversation_items_item_id", "item_id"),
)

DERIVED = Table(
    "dragoman_derived",
    METADATA,
    Column("name", String, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("modified_at", Double, nullable=False),
    Column("spec", LargeBinary, nullable=False),
)

Step = Callable[[Connection], None]

STEPS: tuple[Step, ...] = ()
"""`STEPS[0]` makes version 2 of version 1, and so on."""

_VERSION = "schema"
# Any number that nobody else takes: on PostgreSQL only one gateway at a time looks after the tables.
_LOCK = 0x647261676F


class NewerSchemaError(Exception):
    """A newer dragoman has made this database, or changed it."""


def prepare(connection: Connection, steps: Sequence[Step] = STEPS) -> None:
    """Make the tables, or bring them forward, in the transaction of `connection`.  Raises NewerSchemaError."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    META.create(connection, checkfirst=True)
    newest = len(steps) + 1
    found = connection.scalar(select(META.c.value).where(META.c.name == _VERSION))
    if found is None:
        METADATA.create_all(connection)
        connection.execute(insert(META).values(name=_VERSION, value=newest))
        return
    if found > newest:
        raise NewerSchemaError(f"its schema is version {found}, and this dragoman knows {newest}")
    for step in steps[found - 1 :]:
        step(connection)
    if found < newest:
        connection.execute(update(META).where(META.c.name == _VERSION).values(value=newest))
