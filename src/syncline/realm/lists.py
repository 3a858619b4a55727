"""Live lists (spec/sdk.md §1.12, §12.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from syncline.errors import IllegalOperationError, OutOfBoundsError
from syncline.realm.collection_summaries import SummarizedCollection
from syncline.realm.converters import place_number
from syncline.realm.deleting import delete
from syncline.realm.linked import delete_objects, results_of
from syncline.realm.live import LiveCollection, equality_key
from syncline.realm.models import collection_annotations
from syncline.realm.results import Results
from syncline.realm.spots import ListInsertSpot, ListSetSpot, built_in_place
from syncline.realm.verifying import verify_elements
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.query.ast import SortKey
    from syncline.query.expression import Condition, Expr
    from syncline.realm.changes import CollectionChange
    from syncline.realm.streams import Changes
    from syncline.realm.tokens import NotificationToken

__all__ = ["List"]

T = TypeVar("T")


class List(SummarizedCollection, MutableSequence[T]):
    """A list in a Realm: ``dogs: List[Dog]``. Behaves as Python's list; writing needs a write transaction.

    Indexes count what is visible: a link to an object that another device deleted meanwhile is skipped.
    """

    # --- reading ------------------------------------------------------------------------------------------------------

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        reader = self._read()
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                with self._context.lock:
                    return self._loaded(reader.list_slice(self._reference, start, max(start, stop)))
            return [self[place] for place in range(start, stop, step)]
        place = self._index(index)
        with self._context.lock:
            return cast(T, self._load(reader.list_get(self._reference, place)))

    def _index(self, index: int) -> int:
        """A visible index from 0. Raises IndexError, TypeMismatchError."""
        index = place_number(index, self._converter.where)
        if index < 0:
            index += len(self)
        if index < 0:
            raise OutOfBoundsError(f"{self._converter.where}: list index out of range")
        return index

    def _loaded(self, stored: Sequence[Any]) -> list[T]:
        if self._converter.kind == kinds.LINK:
            return cast("list[T]", list(self._objects(stored)))
        return [self._load(value) for value in stored]

    def _objects(self, references: Sequence[Any]) -> Iterator[Any]:
        """The objects of links, read page by page."""
        if references:
            yield from self._context.classes.binding(self._place.target_id).iterate(
                [ref.object_key for ref in references]
            )

    def __iter__(self) -> Iterator[T]:
        """The elements as of now; objects deleted while the loop runs are skipped."""
        reader = self._read()
        with self._context.lock:
            stored = reader.list_slice(self._reference)
        if self._converter.kind == kinds.LINK:
            return self._objects(stored)
        return map(self._load, stored)

    def __contains__(self, value: object) -> bool:
        return self._find(value) is not None

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The index of the first element equal to ``value``. Raises ValueError if there is none."""
        found = self._find(value)
        if found is not None and (start > found or start < 0 or stop is not None):
            size = len(self)
            first, last = slice(start, stop).indices(size)[:2]
            key = equality_key(value)
            found = next((place for place in range(first, last) if equality_key(self[place]) == key), None)
        if found is None:
            raise ValueError(f"{value!r} is not in {self._converter.where}")
        return found

    def _find(self, value: Any) -> int | None:
        reader = self._read()
        possible, stored = self._stored_or_none(value)
        if not possible:
            return None
        with self._context.lock:
            return reader.list_find(self._reference, stored)

    def count(self, value: Any) -> int:
        """How many elements equal ``value``."""
        key = equality_key(value)
        return sum(1 for element in self if equality_key(element) == key)

    def __eq__(self, other: object) -> bool:
        if self._is_same(other):
            return True
        if isinstance(other, LiveCollection) or not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented if not isinstance(other, LiveCollection) else False
        return list(self) == list(other)

    def __repr__(self) -> str:
        return self._shown(lambda: (repr(self[place]) for place in range(len(self))), "[]")

    # --- writing ------------------------------------------------------------------------------------------------------

    def _store(self, value: Any) -> Any:
        return self._converter.store(value, self._context)

    def insert(self, index: int, value: T) -> None:
        """Insert before ``index``; as with Python's list, an index beyond the ends means the end."""
        tx = self._write()
        index = place_number(index, self._converter.where)
        size = tx.size(self._reference)
        place = max(0, index + size) if index < 0 else min(index, size)
        if built_in_place(self._place, value):
            spot = ListInsertSpot(tx, self._reference, place)
            self._context.assigner().store(spot, self._converter, self._place, value)
        else:
            tx.list_insert(self._reference, place, self._store(value))
        self._changed()

    def append(self, value: T) -> None:
        """Add an element at the end."""
        self.insert(self._write().size(self._reference), value)

    def extend(self, values: Iterable[T]) -> None:
        """Add each of ``values`` at the end."""
        tx = self._write()
        given = list(values)
        if any(built_in_place(self._place, value) for value in given):
            verify_elements(self._context.assigner(), self._converter, self._place, given)
            for value in given:
                self.append(value)
            return
        tx.list_extend(self._reference, [self._store(value) for value in given])
        self._changed()

    def __iadd__(self, values: Iterable[T]) -> List[T]:
        self.extend(values)
        return self

    @overload
    def __setitem__(self, index: int, value: T) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[T]) -> None: ...
    def __setitem__(self, index: int | slice, value: Any) -> None:
        tx = self._write()
        if isinstance(index, slice):
            self._set_slice(index, list(value))
            return
        place = self._index(index)
        if place >= tx.size(self._reference):
            raise OutOfBoundsError(f"{self._converter.where}: list index out of range")
        if built_in_place(self._place, value):
            spot = ListSetSpot(tx, self._reference, place)
            self._context.assigner().store(spot, self._converter, self._place, value)
        else:
            tx.list_set(self._reference, place, self._store(value))
        self._after_removal()

    def _set_slice(self, index: slice, values: list[Any]) -> None:
        verify_elements(self._context.assigner(), self._converter, self._place, values)
        start, stop, step = index.indices(len(self))
        if step != 1:
            places = range(start, stop, step)
            if len(places) != len(values):
                raise ValueError(f"{self._converter.where}: {len(values)} values for {len(places)} places")
            for place, value in zip(places, values, strict=True):
                self[place] = value
            return
        self._write().list_erase_range(self._reference, start, max(start, stop))
        for offset, value in enumerate(values):
            self.insert(start + offset, value)
        self._after_removal()

    def __delitem__(self, index: int | slice) -> None:
        """Remove the entry; the object it links to stays (see :meth:`delete_at`)."""
        tx = self._write()
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                tx.list_erase_range(self._reference, start, max(start, stop))
            else:
                for place in sorted(range(start, stop, step), reverse=True):
                    tx.list_erase(self._reference, place)
        else:
            tx.list_erase(self._reference, self._index(index))
        self._after_removal()

    def remove(self, value: T) -> None:
        """Remove the first element equal to ``value``. Raises ValueError if there is none."""
        self._write()
        found = self._find(value)
        if found is None:
            raise ValueError(f"{value!r} is not in {self._converter.where}")
        del self[found]

    def clear(self) -> None:
        """Remove all elements; objects they link to stay."""
        self._write().list_clear(self._reference)
        self._after_removal()

    def move(self, source: int, target: int) -> None:
        """Move an element so that its index becomes ``target``: one operation that others merge as such."""
        tx = self._write()
        tx.list_move(self._reference, self._index(source), self._index(target))
        self._changed()

    def swap(self, first: int, second: int) -> None:
        """Exchange two elements."""
        tx = self._write()
        tx.list_swap(self._reference, self._index(first), self._index(second))
        self._changed()

    def delete_at(self, index: int) -> None:
        """Delete the object at ``index`` from the Realm, and with it the entry."""
        if self._converter.kind != kinds.LINK:
            raise IllegalOperationError(
                f"{self._converter.where}: only lists of objects can delete; use 'del' for a value"
            )
        delete(self._context, [self[index]])

    def delete_all(self) -> None:
        """Delete all objects in the list from the Realm, and with them the entries."""
        delete_objects(self)

    def reverse(self) -> None:
        """Turn the order around, by exchanging elements."""
        self._write()
        size = len(self)
        for place in range(size // 2):
            self.swap(place, size - 1 - place)

    # --- queries and observers ----------------------------------------------------------------------------------------

    def where(self, *conditions: Condition | bool) -> Results[Any]:
        """The objects in the list that meet all ``conditions``, in the order of the list."""
        return results_of(self).where(*conditions)

    def filter(self, rql: str, *arguments: Any) -> Results[Any]:
        """The objects in the list that match a text in the Realm Query Language (``Results.filter``), in its order."""
        return results_of(self).filter(rql, *arguments)

    def sort(self, *keys: SortKey | Expr | str, descending: bool = False) -> Results[Any]:
        """The objects in the list, sorted; the list itself stays as it is."""
        return results_of(self).sort(*keys, descending=descending)

    def observe(
        self,
        callback: Callable[[List[T], CollectionChange], object],
        *,
        key_paths: list[str] | None = None,
        keep: bool = False,
    ) -> NotificationToken:
        """Call ``callback(list, change)`` when the list or an object in it changes; see :meth:`Results.observe`."""
        self._read()
        return self._context.observers.observe_list(self, callback, key_paths, keep)

    def changes(self, key_paths: list[str] | None = None, *, frozen: bool = True) -> Changes[CollectionChange]:
        """What :meth:`observe` tells, as an asynchronous iterator; see :meth:`Results.changes`."""
        self._read()
        observers = self._context.observers
        return observers.stream(lambda inbox: observers.observe_list(self, inbox, key_paths), frozen=frozen)


collection_annotations[List] = kinds.LIST_COLLECTION
