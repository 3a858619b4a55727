"""What each database is asked to do; one adapter class per database does it in that database's own best way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from databases.data import Row, Totals

__all__ = ["Database"]


class Database(ABC):
    """A database in a folder of its own, with objects of four properties, ``number`` indexed.

    Every transaction is durable when its method returns: ``fsync`` before the commit is over.
    """

    #: the packages whose versions matter
    packages: ClassVar[tuple[str, ...]] = ()
    #: more objects take it too long
    largest: ClassVar[int | None] = None
    #: whether it can tell an observer of a result what changed in it
    notifies: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def version(cls) -> str:
        """What the versions of the packages do not tell."""
        return ""

    @abstractmethod
    def open(self) -> None:
        """Open the files; make them where they are missing."""

    @abstractmethod
    def close(self) -> None:
        """Close them."""

    # --- writing: one transaction each --------------------------------------------------------------------------------

    @abstractmethod
    def insert_single(self, rows: Sequence[Row]) -> None:
        """One call per object."""

    @abstractmethod
    def insert_bulk(self, rows: Sequence[Row]) -> None:
        """The quickest public way for many objects."""

    @abstractmethod
    def update(self, changes: Sequence[tuple[int, float]]) -> None:
        """New values by key."""

    @abstractmethod
    def delete(self, first: int, last: int) -> None:
        """All objects with keys from ``first`` to ``last``."""

    # --- reading ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def get(self, keys: Iterable[int]) -> Totals:
        """Every property of the objects with these keys, looked up one by one."""

    @abstractmethod
    def objects_all(self) -> Totals:
        """Every property of every object, from the objects the database gives (rows, where it has none)."""

    @abstractmethod
    def objects_one(self) -> float:
        """The sum of the values, from the objects the database gives."""

    def values_all(self) -> Totals:
        """Every property of every object, without objects where the database can."""
        return self.objects_all()

    def values_one(self) -> float:
        """The sum of the values (added up here, not in the database), without objects where the database can."""
        return self.objects_one()

    @abstractmethod
    def filter_indexed(self, below: int) -> tuple[int, int]:
        """How many objects have a number below, and the sum of their keys, from the objects themselves."""

    @abstractmethod
    def filter_plain(self, below: float) -> tuple[int, int]:
        """The same for the values, which have no index."""

    @abstractmethod
    def sort(self, take: int) -> list[int]:
        """The keys of the first objects by name, from the objects themselves."""

    @abstractmethod
    def count(self) -> int:
        """How many objects there are."""

    # --- observing ----------------------------------------------------------------------------------------------------

    def observe(self, below: int) -> Any:
        """Start to observe the objects with a number below; what has to be kept meanwhile."""
        raise TypeError(f"{type(self).__name__} has no observers of results")

    def change_and_hear(self, key: int, value: float) -> int:
        """Change an object; how many modifications the observer was told of, which is before this returns."""
        raise TypeError(f"{type(self).__name__} has no observers of results")
