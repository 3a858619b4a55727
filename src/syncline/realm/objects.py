"""What live objects, their classes and their Realms are made of: compiled, as every read comes here (spec/sdk.md §6).

A live object holds the row of one version; reading a property is an index into it, as long as the *epoch* of its Realm
is that in which the row was read. :class:`LiveObject` is the base of models, :class:`ReadProperty` of their attributes,
:class:`ClassObjects` of bindings, :class:`Moment` of what an open Realm is at. These four know each other's fields;
what is done once per transaction or per class is left to the classes derived from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import ReferenceType

from mypy_extensions import mypyc_attr

from syncline.collector import COLLECTOR_PAUSED
from syncline.errors import InvalidatedObjectError
from syncline.storage.catalogue import ClassInfo
from syncline.storage.reader import Reader
from syncline.storage.row_shape import RowShape, ValueRow
from syncline.storage.transaction import WriteTransaction
from syncline.values import Key

if TYPE_CHECKING:
    from syncline.realm.schema import Property

__all__ = ["ANY_THREAD", "DELETED", "PAGE", "UNREAD", "ClassObjects", "LiveObject", "Moment", "ReadProperty"]

#: The epoch of an object whose row was never read, and of one that was deleted through this handle: such an object
#: stays invalid even if the transaction is rolled back (spec/sdk.md §5.1).
UNREAD: Final = -1
DELETED: Final = -2

#: Rows read at once when results or lists are iterated. More are slower: their objects leave the processor's caches.
PAGE: Final = 256

#: From so many objects on the garbage collector rests while they are made.
_MANY: Final = 64

#: The thread of a frozen Realm: no thread has this number, and every one may use it.
ANY_THREAD: Final = 0

# a constant, which compiled code need not look up
_this_thread: Final = get_ident


@mypyc_attr(allow_interpreted_subclasses=True)
class Moment:
    """What an open Realm reads from. ``epoch`` grows whenever rows read before may be wrong, ``changes`` with every
    single write too. ``thread`` is the one that may use the Realm.
    """

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.epoch = 0
        self.changes = 0
        #: held while :meth:`reader` is read from: a context manager
        self.lock: Any = None
        self.closed = False
        self.tx: WriteTransaction | None = None
        self._reader: Reader | None = None

    def reader(self) -> Reader:
        """What to read from, under :attr:`lock`; pins the newest version if none is pinned.

        Raises WrongThreadError, ClosedRealmError.
        """
        reader = self._reader
        if reader is None or self.thread != _this_thread():
            return self._checked_reader()
        return reader

    def writing(self) -> WriteTransaction:
        """The open write transaction. Raises WrongTransactionStateError if there is none."""
        tx = self.tx
        if tx is None or self.thread != _this_thread():
            return self._checked_writing()
        return tx

    def touch(self) -> None:
        """Rows read before may be wrong."""
        self.epoch += 1
        self.changes += 1

    def _checked_reader(self) -> Reader:
        """:meth:`reader` where nothing is pinned yet, or on another thread."""
        raise AssertionError("the Realm says what is read")

    def _checked_writing(self) -> WriteTransaction:
        """:meth:`writing` where there is no transaction, or on another thread."""
        raise AssertionError("the Realm says what is written")


@mypyc_attr(allow_interpreted_subclasses=True)
class LiveObject:
    """The state of an object of a model class.

    ``_binding``: the :class:`ClassObjects` it is one of, None for an unmanaged object. ``_values``: of an unmanaged
    object what was assigned, of a managed one its live collections. ``_defaults``: of an unmanaged object the defaults
    made for it. ``_key``, ``_epoch``, ``_row``: of a managed object its row's key, and its values at an epoch.
    """

    __slots__ = ("_binding", "_defaults", "_epoch", "_key", "_row", "_values")

    _binding: Any
    _defaults: Any
    _epoch: int
    _key: int
    _row: ValueRow
    _values: Any


_new: Final = LiveObject.__new__


@mypyc_attr(allow_interpreted_subclasses=True)
class ReadProperty:
    """Descriptor of a property, as far as reading it goes. ``slot`` is the place of its value in an object's row.

    ``load`` makes what the application sees of what is stored: ``load(stored, moment)``; None if it is the same.
    ``expression`` is what the class has in place of a value.
    """

    def __init__(self, name: str, prop: Property, slot: int, load: Any, expression: Any) -> None:
        self.name = name
        self.property = prop
        self.slot = slot
        self.load = load
        self.expression = expression

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return self.expression
        live: LiveObject = obj
        binding = live._binding
        if binding is None:
            return self.unmanaged(obj)
        objects: ClassObjects = binding
        moment = objects.context
        thread = moment.thread
        if live._epoch != moment.epoch or (thread != ANY_THREAD and thread != _this_thread()):
            objects.load(live)
        load = self.load
        if load is None:
            return live._row[self.slot]
        return load(live._row[self.slot], moment)

    def unmanaged(self, obj: Any) -> Any:
        """The value of an object in no Realm: what was assigned, or the model's default, or null."""
        values = obj._values
        if self.name in values:
            return values[self.name]
        return obj._default(self.property)


@mypyc_attr(allow_interpreted_subclasses=True)
class ClassObjects:
    """The live objects of one class of an open Realm.

    Objects of the same row are the same Python object as long as somebody holds it, so one row serves all and a write
    is seen by every reader at once.
    """

    def __init__(self, context: Moment, model: Any) -> None:
        self.context = context
        self.model: Any = model
        self.name: str = model.__name__
        #: the live objects by key, as weak references
        self._objects: dict[int, Any] = {}
        self._sweep_at = 1024
        #: some row has two objects (one was made unmanaged and added over the other): writing to one must reach both
        self._has_twins = False

    def arrange(self, info: ClassInfo, shape: RowShape) -> None:
        """Objects are those of ``info``, with rows of that shape."""
        self.info = info
        self.shape = shape

    # --- one object ---------------------------------------------------------------------------------------------------

    def object_at(self, key: int) -> Any:
        """The live object of that row; whether it exists is not looked at."""
        known = self._objects.get(key)
        obj = known() if known is not None else None
        return self.new(key) if obj is None else obj

    def new(self, key: int) -> Any:
        """A live object for a row that has none yet."""
        obj: LiveObject = _new(self.model)
        obj._binding = self
        obj._key = key
        obj._epoch = UNREAD
        obj._values = None
        self._intern(obj, key)
        return obj

    def adopt(self, obj: LiveObject, key: int) -> None:
        """Turn an unmanaged object into the live object of the row ``key``."""
        obj._key = key
        obj._epoch = UNREAD
        obj._values = None
        obj._binding = self
        known = self._objects.get(key)
        self._has_twins = self._has_twins or (known is not None and known() is not None)
        self._intern(obj, key)

    def _intern(self, obj: LiveObject, key: int) -> None:
        """Remember the object while somebody holds it."""
        self._objects[key] = ReferenceType(obj)
        if len(self._objects) > self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Forget the objects that nobody holds any more."""
        known = dict(self._objects)  # a copy, as other threads add to those of a frozen Realm
        keys, references = list(known), list(known.values())
        objects: dict[int, Any] = {}
        for place in range(len(references)):
            reference = references[place]
            if reference() is not None:
                objects[keys[place]] = reference
        self._objects = objects
        self._sweep_at = max(1024, 2 * len(self._objects))

    def forget(self, key: int) -> None:
        """The row was deleted through this handle."""
        known = self._objects.pop(key, None)
        obj = known() if known is not None else None
        if obj is not None:
            live: LiveObject = obj
            live._epoch = DELETED

    def forget_all(self) -> None:
        """All rows of the class were deleted through this handle."""
        for key in list(self._objects):
            self.forget(key)

    def reread(self, key: int) -> None:
        """The row was written past its object: read it again when it is needed."""
        if self._has_twins:
            self.context.touch()
        known = self._objects.get(key)
        obj = known() if known is not None else None
        if obj is not None:
            live: LiveObject = obj
            live._epoch = UNREAD

    def assigned(self, obj: LiveObject, slot: int, value: Any) -> None:
        """A value was written to the object's row."""
        self.context.changes += 1
        if obj._epoch == self.context.epoch:
            row = list(obj._row)
            row[slot] = value
            obj._row = tuple(row)

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, key: Key) -> Any:
        """The object with that primary key, or None.

        Raises TypeMismatchError, LimitExceededError for what cannot be a key.
        """
        context = self.context
        reader = context.reader()
        with context.lock:
            if context.tx is None:
                row = self.shape.find(reader, key)
                return None if row is None else self._objects_of([row])[0]
            number = reader.find(self.info, key)
        return None if number is None else self.object_at(number)

    def load(self, obj: LiveObject) -> None:
        """Make the object's row that of the current version; checks thread, Realm and object.

        Raises WrongThreadError, ClosedRealmError, InvalidatedObjectError.
        """
        context = self.context
        reader = context.reader()
        if obj._epoch == context.epoch:
            return
        if obj._epoch == DELETED:
            raise self._deleted()
        try:
            with context.lock:
                row = self.shape.one(reader, obj._key)
        except InvalidatedObjectError:
            raise self._deleted() from None
        obj._row = row
        obj._epoch = context.epoch

    def check_exists(self, obj: LiveObject) -> None:
        """Raise what :meth:`load` raises, without reading the row."""
        context = self.context
        reader = context.reader()
        if obj._epoch == context.epoch:
            return
        if obj._epoch == DELETED:
            raise self._deleted()
        with context.lock:
            exists = reader.exists(self.info, obj._key)
        if not exists:
            raise self._deleted()

    def _deleted(self) -> InvalidatedObjectError:
        return InvalidatedObjectError(
            f"this {self.name} was deleted; obj.is_valid tells whether an object still exists"
        )

    def check_valid(self, obj: LiveObject) -> None:
        """Raise what :meth:`load` raises."""
        if obj._epoch != self.context.epoch:
            self.load(obj)
        else:
            self.context.reader()

    def is_valid(self, obj: LiveObject) -> bool:
        """Whether the row exists in an open Realm. Raises WrongThreadError."""
        if self.context.closed:
            return False
        try:
            self.check_valid(obj)
        except InvalidatedObjectError:
            return False
        return True

    # --- reading many -------------------------------------------------------------------------------------------------

    def page(self, keys: Sequence[int]) -> list[Any]:
        """The live objects of the rows that exist among ``keys``, in that order, with their rows read at once."""
        context = self.context
        reader = context.reader()
        if len(keys) < _MANY:
            with context.lock:
                rows = self.shape.by_keys(reader, keys)
            return self._objects_of(rows)
        with COLLECTOR_PAUSED:
            with context.lock:
                rows = self.shape.by_keys(reader, keys)
            return self._objects_of(rows)

    def _page_after(self, last: int, end: int) -> list[Any]:
        """The live objects of the next rows in the order of their keys."""
        context = self.context
        reader = context.reader()
        with COLLECTOR_PAUSED:
            with context.lock:
                rows = self.shape.after(reader, last, end, PAGE)
            return self._objects_of(rows)

    def _objects_of(self, rows: list[ValueRow]) -> list[Any]:
        """The live objects of rows that were just read."""
        epoch, model, known = self.context.epoch, self.model, self._objects
        found: list[Any] = []
        for row in rows:
            key = row[0]  # as it came: the dictionary wants a Python object
            reference = known.get(key)
            obj = reference() if reference is not None else None
            if obj is None:
                made: LiveObject = _new(model)
                made._binding = self
                made._key = key
                made._values = None
                made._row = row
                made._epoch = epoch
                known[key] = ReferenceType(made)
                found.append(made)
            else:
                held: LiveObject = obj
                if held._epoch != epoch:
                    held._row = row
                    held._epoch = epoch
                found.append(held)
        if len(known) > self._sweep_at:
            self._sweep()
        return found

    def iterate(self, keys: Sequence[int]) -> Iterator[Any]:
        """The objects of ``keys``, read page by page; those that are deleted meanwhile are skipped."""
        context = self.context
        for start in range(0, len(keys), PAGE):
            page = self.page(keys[start : start + PAGE])
            epoch = context.epoch
            for obj in page:
                live: LiveObject = obj
                if (context.epoch == epoch and live._epoch == epoch) or self.is_valid(live):
                    yield live

    def iterate_all(self) -> Iterator[Any]:
        """All objects there are now in the order of their keys, without asking for the keys first; see
        :meth:`iterate`.
        """
        return self._iterate_to(self._last_key())

    def _iterate_to(self, end: int) -> Iterator[Any]:
        context = self.context
        last = -1
        while last < end:
            page = self._page_after(last, end)
            if not page:
                return
            epoch = context.epoch
            newest: LiveObject = page[-1]
            last = newest._key
            for obj in page:
                live: LiveObject = obj
                if (context.epoch == epoch and live._epoch == epoch) or self.is_valid(live):
                    yield live

    def _last_key(self) -> int:
        """The largest object key, -1 if there is none."""
        context = self.context
        reader = context.reader()
        with context.lock:
            reader.flush()
            rows = reader.tables.query(f"SELECT ifnull(max(k), -1) FROM {self.info.table}")
        return cast(int, rows[0][0])
