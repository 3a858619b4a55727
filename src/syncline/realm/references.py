"""ThreadSafeReference: something live on its way to another thread (spec/sdk.md §4.5).

::

    reference = ThreadSafeReference(dog)
    def job() -> None:
        with Realm.open(config) as realm:
            dog = realm.resolve(reference)          # None if it was deleted meanwhile
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast
from weakref import finalize

from syncline.errors import IllegalOperationError, InvalidatedObjectError, TypeMismatchError, WrongTransactionStateError
from syncline.query.ast import Always, Query
from syncline.realm.converters import describe
from syncline.realm.freezing import bring_up, counterpart
from syncline.realm.live import LiveCollection
from syncline.realm.models import Model
from syncline.realm.results import Results
from syncline.storage.refs import CollectionRef

if TYPE_CHECKING:
    from syncline.realm.context import Context
    from syncline.realm.realm import Realm
    from syncline.storage.snapshot import Snapshot

__all__ = ["RealmReferences", "ThreadSafeReference"]

T = TypeVar("T")


class _Pin:
    """The version a reference was made at, kept alive until it is resolved or dropped."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self.snapshot = snapshot

    def release(self) -> None:
        snapshot, self.snapshot = self.snapshot, None
        if snapshot is not None:
            snapshot.release()


class ThreadSafeReference(Generic[T]):
    """Stands for a live object, list, set, dictionary, results or Realm until ``realm.resolve`` makes it live again.

    It can be passed to any thread and resolved once; so long it keeps the version alive at which it was made. What is
    made inside a write transaction is there once that is committed. Frozen things pass threads as they are.
    """

    def __init__(self, thing: T) -> None:
        """Raises TypeMismatchError for what is none of these, InvalidatedObjectError for what is deleted or in no
        Realm, WrongTransactionStateError for results of a collection that the running write transaction made.
        """
        context, self._find = _described(thing)
        context.check()
        self._path = context.file.path
        if context.tx is None:
            context.reader()
            snapshot = context.pinned()
            self._version, self._pin = snapshot.version, _Pin(snapshot)
        else:
            self._version, self._pin = context.version + 1, _Pin(None)
        self._guard = threading.Lock()
        self._is_resolved = False
        finalize(self, self._pin.release).atexit = False

    def _resolve(self, realm: Realm) -> T | None:
        context = realm._context
        if context.file.path != self._path:
            raise IllegalOperationError(f"this reference is of {self._path}, not of {context.file.path}")
        with self._guard:
            if self._is_resolved:
                raise IllegalOperationError("this reference was resolved already; make one for every use")
            self._is_resolved = True
        try:
            if self._pin.snapshot is not None:
                context.start_at(self._pin.snapshot)
            bring_up(realm, self._version)
            return cast("T | None", self._find(context))
        finally:
            self._pin.release()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a ThreadSafeReference is for the threads of one process and cannot be pickled or copied")


def _described(thing: Any) -> tuple[Context, Callable[[Context], Any]]:
    """Where ``thing`` lives, and what finds it in another Realm of the file; holds on to nothing live."""
    if isinstance(thing, Model):
        return _object(thing)
    if isinstance(thing, Results):
        return _results(thing)
    if isinstance(thing, LiveCollection):
        return _collection(thing)
    if isinstance(context := getattr(thing, "_context", None), _context_type()):
        return context, lambda other: other.realm
    raise TypeMismatchError(f"expected a live object, list, set, dictionary, results or Realm, got {describe(thing)}")


def _context_type() -> type[Context]:
    from syncline.realm.context import Context

    return Context


def _object(obj: Model) -> tuple[Context, Callable[[Context], Any]]:
    binding, key = obj._binding, obj._key if obj._binding is not None else 0
    if binding is None:
        raise InvalidatedObjectError(f"{obj!r} is in no Realm; unmanaged objects pass threads as they are")
    binding.check_valid(obj)
    class_id = binding.info.id

    def find(context: Context) -> Any:
        found = context.classes.binding(class_id).object_at(key)
        return found if found.is_valid else None

    return binding.context, find


def _results(results: Results[Any]) -> tuple[Context, Callable[[Context], Any]]:
    context, binding, query, source = results._context, results._binding, results._query, results._source
    context.check()
    reference = source[1] if isinstance(source, tuple) and isinstance(source[1], CollectionRef) else None
    if context.tx is not None and reference is not None:
        with context.file.snapshot() as before, before.lock:
            if not before.reader.collection_exists(reference):
                raise WrongTransactionStateError(
                    "these results are of a collection that this write transaction made; refer to them after it"
                )

    def find(other: Context) -> Any:
        target = counterpart(binding, other)
        found = Results[Any](target, query, source)
        return found if found._source_exists() else Results[Any](target, Query(Always(False)))

    return context, find


def _collection(collection: LiveCollection) -> tuple[Context, Callable[[Context], Any]]:
    collection._read()
    kind, reference, converter = type(collection), collection._reference, collection._converter

    def find(context: Context) -> Any:
        found = kind._make(context, reference, converter)
        return found if found.is_valid else None

    return collection._context, find


class RealmReferences:
    """The part of :class:`~syncline.Realm` that takes what comes from other threads."""

    if TYPE_CHECKING:
        _context: Context

    def resolve(self, reference: ThreadSafeReference[T]) -> T | None:
        """What ``reference`` stands for, live in this Realm; None if it was deleted (results: empty ones).

        A Realm that is older than the reference moves to the newest version first. Raises IllegalOperationError for a
        reference of another file, or one that was resolved already, WrongTransactionStateError inside a write
        transaction and for a frozen Realm.
        """
        context = self._context
        context.check()
        if context.tx is not None or context.frozen:
            raise WrongTransactionStateError(
                "references are resolved outside of write transactions, in a Realm that is not frozen"
            )
        return reference._resolve(cast("Realm", self))
