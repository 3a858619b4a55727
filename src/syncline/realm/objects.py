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

from mypy_extensions import mypyc_attr

from syncline.collector import COLLECTOR_PAUSED
from syncline.errors import InvalidatedObjectError
from syncline.realm.identity_map import IdentityMap
from syncline.realm.live_object import DELETED, NO_KEY, UNREAD, Columns, LiveObject
from syncline.storage.catalogue import ClassInfo
from syncline.storage.reader import Reader
from syncline.storage.row_shape import RowShape, ValueRow
from syncline.storage.transaction import WriteTransaction
from syncline.values import Key

if TYPE_CHECKING:
    from syncline.realm.schema import Property

__all__ = ["ANY_THREAD", "PAGE", "ClassObjects", "Moment", "ObjectIterator", "ReadProperty"]

#: Rows read at once when results or lists are iterated. More are slower: their objects leave the processor's caches.
PAGE: Final = 256

#: A loop reads fewer columns if it can leave out one for so many that it needs: finding their places costs a little.
_NARROW: Final = 4

#: A loop that keeps more objects of a page than these is one that collects them.
_FEW: Final = PAGE // 64

#: Rows of so many different choices of columns are remembered for each class.
_SHAPES: Final = 64

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
        slot = self.slot
        if live._columns is not None:
            columns: Columns = live._columns
            slot = columns.place(slot)
            if not slot:
                live._epoch = UNREAD
                objects.load(live)
                slot = self.slot
        load = self.load
        if load is None:
            return live._row[slot]
        return load(live._row[slot], moment)

    def unmanaged(self, obj: Any) -> Any:
        """The value of an object in no Realm: what was assigned, or the model's default, or null."""
        values = obj._values
        if self.name in values:
            return values[self.name]
        return obj._default(self.property)


@mypyc_attr(allow_interpreted_subclasses=True)
class ClassObjects:
    """The live objects of one class of an open Realm."""

    def __init__(self, context: Moment, model: Any) -> None:
        self.context = context
        self.model: Any = model
        self.name: str = model.__name__
        self.known = IdentityMap(self, model)
        #: some row has two objects (one was made unmanaged and added over the other): writing to one must reach both
        self._has_twins = False

    def arrange(self, info: ClassInfo, shape: RowShape) -> None:
        """Objects are those of ``info``, with rows of that shape."""
        self.info = info
        self.shape = shape
        #: rows of some of the properties, by their slots
        self._shapes: dict[tuple[int, ...], RowShape] = {}

    # --- one object ---------------------------------------------------------------------------------------------------

    def object_at(self, key: int) -> Any:
        """The live object of that row; whether it exists is not looked at."""
        obj = self.known.find(key)
        return self.new(key) if obj is None else obj

    def new(self, key: int) -> Any:
        """A live object for a row that has none yet."""
        return self.known.new(key)

    def adopt(self, obj: LiveObject, key: int) -> None:
        """Turn an unmanaged object into the live object of the row ``key``."""
        obj._key = key
        obj._epoch = UNREAD
        obj._values = None
        obj._binding = self
        self._has_twins = self.known.add_over(obj, key) or self._has_twins

    def forget(self, key: int) -> None:
        """The row was deleted through this handle."""
        for obj in self.known.pop(key):
            live: LiveObject = obj
            live._epoch = DELETED

    def forget_all(self) -> None:
        """All rows of the class were deleted through this handle."""
        for key in self.known.all_keys():
            self.forget(key)

    def reread(self, key: int) -> None:
        """The row was written past its object: read it again when it is needed."""
        if self._has_twins:
            self.context.touch()
        obj = self.known.find(key)
        if obj is not None:
            live: LiveObject = obj
            live._epoch = UNREAD

    def assigned(self, obj: LiveObject, slot: int, value: Any) -> None:
        """A value was written to the object's row."""
        self.context.changes += 1
        if obj._epoch == self.context.epoch:
            place = slot
            if obj._columns is not None:
                columns: Columns = obj._columns
                place = columns.places[slot]
            if place:
                row = list(obj._row)
                row[place] = value
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
                return None if row is None else self.known.of_rows([row], context.epoch)[0]
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
        obj._columns = None
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
            return self.known.of_rows(rows, context.epoch)
        with COLLECTOR_PAUSED:
            with context.lock:
                rows = self.shape.by_keys(reader, keys)
            return self.known.of_rows(rows, context.epoch)

    def shape_of(self, slots: tuple[int, ...]) -> RowShape:
        """Rows of some of the properties."""
        shape = self._shapes.get(slots)
        if shape is None:
            if len(self._shapes) >= _SHAPES:
                self._shapes = {}
            shape = self._shapes[slots] = self.shape.narrowed(slots)
        return shape

    def iterate(self, keys: Sequence[int]) -> Iterator[Any]:
        """The objects of ``keys``, read page by page; those that are deleted meanwhile are skipped."""
        return ObjectIterator(self, keys, NO_KEY)

    def iterate_all(self) -> Iterator[Any]:
        """All objects there are now in the order of their keys, without asking for the keys first; see
        :meth:`iterate`.
        """
        return ObjectIterator(self, None, self._last_key())

    def _last_key(self) -> int:
        """The largest object key, -1 if there is none."""
        context = self.context
        reader = context.reader()
        with context.lock:
            reader.flush()
            rows = reader.tables.query(f"SELECT ifnull(max(k), -1) FROM {self.info.table}")
        return cast(int, rows[0][0])


class ObjectIterator:
    """The live objects of ``keys``, or of all rows up to the key ``end``, whose rows are read page by page.

    An object is made of its row when its turn comes. A loop that asks for few of the properties is given rows of these
    alone. Where objects are collected, or written to, those of a page are made together: collecting them costs less
    so, and the next writes reach them.
    """

    def __init__(self, objects: ClassObjects, keys: Sequence[int] | None, end: int) -> None:
        self._objects = objects
        self._known = objects.known
        self._keys = keys
        self._start = 0
        self._last = NO_KEY
        self._end = end
        #: what was read: rows with these columns (None: with all), or objects
        self._page: list[Any] = []
        self._columns: Any = None
        self._has_objects = False
        self._place = 0
        self._asked = [False] * (objects.shape.width + 1)
        #: what the Realm was at when the page was read, and how many objects had turned out to be held
        self._epoch = UNREAD
        self._changes = UNREAD
        self._held = objects.known.held
        self._collects = False

    def __iter__(self) -> ObjectIterator:
        return self

    def __next__(self) -> Any:
        objects = self._objects
        context = objects.context
        while True:
            place = self._place
            if place == len(self._page):
                self._turn_page()
                continue
            if self._has_objects:
                self._place = place + 1
                live: LiveObject = self._page[place]
                if (context.epoch == self._epoch and live._epoch == self._epoch) or objects.is_valid(live):
                    return live
            elif context.changes == self._changes:
                self._place = place + 1
                return self._known.of_row(self._page[place], self._epoch, self._columns)
            else:
                self._take(objects.page([row[0] for row in self._page[place:]]), True)

    def _take(self, page: list[Any], has_objects: bool) -> None:
        context = self._objects.context
        before = self._page
        self._page, self._place, self._has_objects = page, 0, has_objects
        self._epoch, self._changes = context.epoch, context.changes
        before.clear()  # last: objects that go now may tell somebody who goes on with this loop

    def _turn_page(self) -> None:
        """Read the next rows that exist. Raises StopIteration if there are none."""
        objects = self._objects
        context = objects.context
        reader = context.reader()
        held = self._known.held
        self._collects = self._collects or held > self._held + _FEW
        self._held = held
        is_written = self._changes != UNREAD and self._changes != context.changes
        makes_objects = self._collects or is_written or context.thread == ANY_THREAD
        shape = objects.shape if makes_objects else self._choose_columns()
        with COLLECTOR_PAUSED:
            with context.lock:
                rows = self._next_rows(shape, reader)
            if not rows:
                self._last = self._end
                self._take([], False)
                self._known.settle()
                raise StopIteration
            self._last = rows[-1][0]
            self._take(self._known.of_rows(rows, context.epoch) if makes_objects else list(rows), makes_objects)

    def _next_rows(self, shape: RowShape, reader: Reader) -> list[ValueRow]:
        keys = self._keys
        if keys is None:
            return shape.after(reader, self._last, self._end, PAGE) if self._last < self._end else []
        rows: list[ValueRow] = []
        while not rows and self._start < len(keys):
            rows = shape.by_keys(reader, keys[self._start : self._start + PAGE])
            self._start += PAGE
        return rows

    def _choose_columns(self) -> RowShape:
        """What to read of the next page: all at first, to see what is asked for."""
        objects = self._objects
        shape = objects.shape
        asked = [slot for slot in range(len(self._asked)) if self._asked[slot]]
        if self._changes == UNREAD:
            self._columns = Columns(list(range(shape.width + 1)), self._asked)
        elif not asked or _NARROW * (shape.width - len(asked)) < len(asked):
            self._columns = None
        else:
            places = [0] * (shape.width + 1)
            for number in range(len(asked)):
                places[asked[number]] = number + 1
            self._columns = Columns(places, self._asked)
            shape = objects.shape_of(tuple(asked))
        return shape
