"""Derived models: a name of the gateway's own, and the JSON of what it stands for.  They are everybody's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Insert, Row, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.store.database import Database
from dragoman.store.items import batches, pack, plain, unpack
from dragoman.store.schema import DERIVED


class Derived(Struct, frozen=True):
    """One derived model.  Times are seconds since 1970."""

    name: str
    spec: dict[str, Any]
    created_at: float
    modified_at: float


class DerivedModels:
    """Names are taken as they are: who calls has checked them and brought them to one form.

    Each method is one step that happens whole or not at all, whoever else does what at the same time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, name: str, spec: Mapping[str, Any]) -> bool:
        """Make it, or make it anew; whether the name was free."""
        packed, now = pack(spec), self._database.clock()
        return await self._database.write(lambda connection: _put(connection, name, packed, now))

    async def copy(self, source: str, name: str) -> bool:
        """Let `name` be what `source` is now; False where there is no `source`."""
        now = self._database.clock()

        def work(connection: Connection) -> bool:
            packed = (
                connection.scalar(select(DERIVED.c.spec).where(DERIVED.c.name == source)) if plain(source) else None
            )
            if packed is not None:
                _put(connection, name, packed, now)
            return packed is not None

        return await self._database.write(work)

    async def get(self, name: str) -> Derived | None:
        """The model of this name."""
        if not plain(name):
            return None

        def work(connection: Connection) -> Derived | None:
            row = connection.execute(select(DERIVED).where(DERIVED.c.name == name)).one_or_none()
            return None if row is None else _read(row)

        return await self._database.read(work)

    async def all(self) -> list[Derived]:
        """Every one, by name."""
        return await self._database.read(
            lambda connection: [_read(row) for row in connection.execute(select(DERIVED).order_by(DERIVED.c.name))]
        )

    async def some(self, names: Iterable[str]) -> list[Derived]:
        """Those of these names that are there."""

        def work(connection: Connection) -> list[Derived]:
            asked = (select(DERIVED).where(DERIVED.c.name.in_(batch)) for batch in batches(sorted(names)))
            return [_read(row) for each in asked for row in connection.execute(each)]

        return await self._database.read(work)

    async def changed(self) -> dict[str, float]:
        """When each was made, or made anew: enough to see whether anything is another than it was."""
        when = select(DERIVED.c.name, DERIVED.c.modified_at)
        return await self._database.read(lambda connection: dict(map(tuple, connection.execute(when))))

    async def delete(self, name: str) -> bool:
        """Whether there was one."""
        if not plain(name):
            return False
        return await self._database.write(
            lambda connection: connection.execute(delete(DERIVED).where(DERIVED.c.name == name)).rowcount > 0
        )


def _put(connection: Connection, name: str, packed: bytes, now: float) -> bool:
    row = {"name": name, "spec": packed, "created_at": now, "modified_at": now}
    options = {"preserve_rowcount": True}  # which psycopg's is not without it
    if connection.execute(_insert(connection, row, replace=False), execution_options=options).rowcount > 0:
        return True
    connection.execute(_insert(connection, row, replace=True))
    return False


def _insert(connection: Connection, row: dict[str, Any], *, replace: bool) -> Insert:
    """Both databases have the same words for it, and SQLAlchemy has them twice."""
    changed = {"spec": row["spec"], "modified_at": row["modified_at"]}
    if connection.dialect.name == "postgresql":
        theirs = postgresql.insert(DERIVED).values(row)
        return (
            theirs.on_conflict_do_update(index_elements=["name"], set_=changed)
            if replace
            else theirs.on_conflict_do_nothing()
        )
    ours = sqlite.insert(DERIVED).values(row)
    return (
        ours.on_conflict_do_update(index_elements=["name"], set_=changed) if replace else ours.on_conflict_do_nothing()
    )


def _read(row: Row[Any]) -> Derived:
    return Derived(row.name, unpack(row.spec), row.created_at, row.modified_at)
