"""SQLAlchemy's ORM on the standard library's SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, create_engine, delete, event, func, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from databases.base import Database
from databases.data import Row, Totals, totals

#: Objects made at once while a result is iterated.
_PAGE = 1000


class Base(DeclarativeBase):
    """Its tables."""


class Reading(Base):
    """What is stored."""

    __tablename__ = "reading"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    number: Mapped[int] = mapped_column(index=True)
    value: Mapped[float]


def _durable(connection: Any, _record: object) -> None:
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")


class SqlAlchemy(Database):
    """A session for each piece of work."""

    packages = ("SQLAlchemy",)

    def open(self) -> None:
        self.engine = create_engine(f"sqlite:///{self.folder / 'readings.sqlite'}")
        event.listen(self.engine, "connect", _durable)
        Base.metadata.create_all(self.engine)

    def close(self) -> None:
        self.engine.dispose()

    def insert_single(self, rows: Sequence[Row]) -> None:
        with Session(self.engine) as session, session.begin():
            for key, name, number, value in rows:
                session.add(Reading(id=key, name=name, number=number, value=value))

    def insert_bulk(self, rows: Sequence[Row]) -> None:
        with Session(self.engine) as session, session.begin():
            session.execute(
                insert(Reading),
                [{"id": key, "name": name, "number": number, "value": value} for key, name, number, value in rows],
            )

    def update(self, changes: Sequence[tuple[int, float]]) -> None:
        with Session(self.engine) as session, session.begin():
            session.execute(update(Reading), [{"id": key, "value": value} for key, value in changes])

    def delete(self, first: int, last: int) -> None:
        with Session(self.engine) as session, session.begin():
            session.execute(delete(Reading).where(Reading.id.between(first, last)))

    def get(self, keys: Iterable[int]) -> Totals:
        with Session(self.engine) as session:
            readings = (session.get_one(Reading, key) for key in keys)
            return totals((reading.id, reading.name, reading.number, reading.value) for reading in readings)

    def objects_all(self) -> Totals:
        with Session(self.engine) as session:
            readings = session.scalars(select(Reading).execution_options(yield_per=_PAGE))
            return totals((reading.id, reading.name, reading.number, reading.value) for reading in readings)

    def objects_one(self) -> float:
        with Session(self.engine) as session:
            return sum(r.value for r in session.scalars(select(Reading).execution_options(yield_per=_PAGE)))

    def values_all(self) -> Totals:
        with Session(self.engine) as session:
            return totals(session.execute(select(Reading.id, Reading.name, Reading.number, Reading.value)))

    def values_one(self) -> float:
        with Session(self.engine) as session:
            return sum(session.scalars(select(Reading.value)))

    def filter_indexed(self, below: int) -> tuple[int, int]:
        return self._keys(select(Reading).where(Reading.number < below))

    def filter_plain(self, below: float) -> tuple[int, int]:
        return self._keys(select(Reading).where(Reading.value < below))

    def _keys(self, query: Select[tuple[Reading]]) -> tuple[int, int]:
        with Session(self.engine) as session:
            keys = [reading.id for reading in session.scalars(query)]
        return len(keys), sum(keys)

    def sort(self, take: int) -> list[int]:
        with Session(self.engine) as session:
            return [reading.id for reading in session.scalars(select(Reading).order_by(Reading.name).limit(take))]

    def count(self) -> int:
        with Session(self.engine) as session:
            return session.scalar(select(func.count()).select_from(Reading)) or 0
