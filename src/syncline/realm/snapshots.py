"""Snapshots of results: which objects, and in which order, once and for all (spec/sdk.md §8)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from syncline.errors import OutOfBoundsError
from syncline.realm.binding import Binding
from syncline.realm.converters import place_number
from syncline.realm.objects import PAGE
from syncline.storage.query_explain import Explanation, explain

if TYPE_CHECKING:
    from syncline.query.ast import Query
    from syncline.storage.query_run import Source

__all__ = ["Explanation", "ResultsSnapshots", "Snapshot"]

T = TypeVar("T")
V = TypeVar("V")


class Snapshot(Sequence["T | None"], Generic[T]):
    """The objects that results had at one time: ``for dog in realm.objects(Dog).snapshot(): …``.

    Objects may come, change and go meanwhile: the snapshot keeps its length and order. The objects are live; one that
    was deleted since is None. Make it by :meth:`Results.snapshot`; it belongs to the same thread.
    """

    def __init__(self, binding: Binding, keys: array[int]) -> None:
        self._binding = binding
        self._keys = keys

    def __len__(self) -> int:
        self._binding.context.check()
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> T | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[T | None]: ...
    def __getitem__(self, index: int | slice) -> T | list[T | None] | None:
        if isinstance(index, slice):
            return list(self._objects(self._keys[index]))
        index = place_number(index, "the snapshot")
        if not -len(self) <= index < len(self):
            raise OutOfBoundsError(f"index {index} is out of range: the snapshot has {len(self)} objects")
        return next(self._objects(array("q", [self._keys[index]])))

    def __iter__(self) -> Iterator[T | None]:
        return self._objects(self._keys)

    def _objects(self, keys: array[int]) -> Iterator[T | None]:
        for start in range(0, len(keys), PAGE):
            some = keys[start : start + PAGE]
            found: dict[int, Any] = {obj._key: obj for obj in self._binding.page(some)}
            for key in some:
                obj = found.get(key)
                yield cast(T, obj) if obj is not None and self._binding.is_valid(obj) else None

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self._keys)} {self._binding.name} objects>"


class ResultsSnapshots(Generic[T]):
    """The part of :class:`~syncline.Results` that says which objects, and how it finds them."""

    if TYPE_CHECKING:
        _binding: Binding

        _source: Source

        @property
        def description(self) -> str: ...
        def _all_keys(self) -> array[int]: ...
        def _run(self, function: Callable[..., V], query: Query, *more: Any) -> V: ...
        def _resolve(self) -> Query: ...

    def snapshot(self) -> Snapshot[T]:
        """The objects of now in the order of now, whatever is written later; see :class:`Snapshot`."""
        return Snapshot(self._binding, self._all_keys()[:])

    def explain(self) -> Explanation:
        """How the query is run, to ``print()``: its SQL, SQLite's plan in words, the indexes it uses, what is left to
        Python.
        """
        if self._binding.is_missing:
            return Explanation(self.description, "", (), (), (), None)
        return self._run(explain, self._resolve(), self._source)
