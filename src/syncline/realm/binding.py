"""A class of one open Realm: a model tied to its table (spec/sdk.md §6).

A :class:`Binding` knows where the model's properties stand in the file's rows, makes live objects, and reads and writes
for them. Objects of the same row are the same Python object as long as somebody holds it, so one cached row serves all
and a write is seen by every reader at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from syncline.errors import (
    InvalidatedObjectError,
    InvalidExternalSchemaChangeError,
    QueryError,
    RealmError,
)
from syncline.realm.attributes import Attribute
from syncline.realm.models import Model, ModelMeta, unknown_property
from syncline.realm.plans import Plan
from syncline.realm.spots import built_in_place
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.refs import ObjectRef
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.changes import ObjectChange
    from syncline.realm.context import Context
    from syncline.realm.streams import Changes
    from syncline.realm.tokens import NotificationToken

__all__ = ["Binding", "misfit"]

#: The epoch of an object whose row was never read, and of one that was deleted through this handle: such an object
#: stays invalid even if the transaction is rolled back (spec/sdk.md §5.1).
UNREAD: Final = -1
DELETED: Final = -2

#: The number of a class that the file does not have.
MISSING: Final = -1

#: Rows read at once when results or lists are iterated.
PAGE: Final = 256

_new_object = object.__new__


class Binding:
    """``model`` in the Realm of ``context``."""

    info: ClassInfo
    #: what equal objects share: the file and the class; frozen ones also the version
    identity: tuple[str, int]
    #: the stored property of each of the model's, in the model's order
    places: tuple[PropertyInfo, ...]

    def __init__(self, context: Context, model: ModelMeta, catalogue: Catalogue) -> None:
        self.context = context
        self.model: Any = model
        self.name = model.__name__
        self._objects: dict[int, ref[Model]] = {}
        self._sweep_at = 1024
        #: some row has two objects (one was made unmanaged and added over the other): writing to one must reach both
        self._has_twins = False
        self._arrange: Callable[[Sequence[Any]], list[Any]] = list
        #: a read-only synced Realm waits for the class to come; until then there are no objects
        self.is_missing = catalogue.find(model._info.stored_name) is None
        if self.is_missing:
            self.info = ClassInfo(MISSING, model._info.stored_name, model._info.schema.kind, (), None)
            self.identity = (context.file.path, MISSING)
        else:
            self.bind(catalogue)
        self.version = context.frozen_version

    def bind(self, catalogue: Catalogue) -> None:
        """Find the class and its properties in (another version of) the file's schema.

        Raises InvalidExternalSchemaChangeError if something the model needs is gone.
        """
        schema = self.model._info.schema
        info = catalogue.find(schema.stored_name)
        if info is None or any(prop.stored_name not in info.properties for prop in schema.properties):
            raise misfit(self.name, self.context.file.path)
        self.info = info
        self.identity = (self.context.file.path, info.id)
        self.is_missing = False
        self.places = tuple(info.properties[prop.stored_name] for prop in schema.properties)
        self._plan: Plan | None = None
        order = [info.singles.index(place) for place in self.places if place.collection == kinds.SINGLE_COLLECTION]
        if order == list(range(len(info.singles))):
            self._arrange = list
        elif len(order) > 1:
            self._arrange = _picker(order)
        else:
            self._arrange = lambda row: [row[index] for index in order]

    def fits(self, info: ClassInfo) -> bool:
        """Whether ``info``, the class as somebody left it, can stand for the one that was bound (spec/sdk.md §2.3).

        A class that the file alone describes must be the same; one that the application has a model for may have more
        properties, and other indexes.
        """
        before, key, old_key = self.info, info.primary_key, self.info.primary_key
        if info.kind != before.kind or (key and key.name) != (old_key and old_key.name):
            return False
        if not self.context.classes.is_requested(before.name) and len(info.properties) != len(before.properties):
            return False
        shapes = [(p.type, p.nullable, p.collection, p.target) for p in self.places]
        now = [info.properties.get(place.name) for place in self.places]
        return shapes == [p and (p.type, p.nullable, p.collection, p.target) for p in now]

    def plan(self) -> Plan:
        """How to create objects of the class."""
        if self._plan is None:
            self._plan = Plan(self)
        return self._plan

    # --- objects ------------------------------------------------------------------------------------------------------

    def object_at(self, key: int) -> Model:
        """The live object of that row; whether it exists is not looked at."""
        known = self._objects.get(key)
        obj = known() if known is not None else None
        if obj is None:
            obj = self.new(key)
        return obj

    def new(self, key: int) -> Model:
        """A live object for a row that has none yet."""
        obj: Model = _new_object(self.model)
        _set_binding(obj, self)
        _set_key(obj, key)
        _set_epoch(obj, UNREAD)
        _set_values(obj, None)
        self.intern(obj, key)
        return obj

    def adopt(self, obj: Model, key: int) -> None:
        """Turn an unmanaged object into the live object of the row ``key``."""
        _set_key(obj, key)
        _set_epoch(obj, UNREAD)
        _set_values(obj, None)
        _set_binding(obj, self)
        known = self._objects.get(key)
        self._has_twins = self._has_twins or (known is not None and known() is not None)
        self.intern(obj, key)

    def intern(self, obj: Model, key: int) -> None:
        """Remember the object while somebody holds it."""
        self._objects[key] = ref(obj)
        if len(self._objects) > self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Forget the objects that nobody holds any more."""
        self._objects = {k: known for k, known in list(self._objects.items()) if known() is not None}
        self._sweep_at = max(1024, 2 * len(self._objects))

    def forget(self, key: int) -> None:
        """The row was deleted through this handle."""
        known = self._objects.pop(key, None)
        obj = known() if known is not None else None
        if obj is not None:
            _set_epoch(obj, DELETED)

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
            _set_epoch(obj, UNREAD)

    def page(self, keys: Sequence[int]) -> list[Model]:
        """The live objects of the rows that exist among ``keys``, in that order, with their rows read at once."""
        context = self.context
        reader = context.reader()
        with context.lock:
            rows = reader.rows(self.info, keys)
        epoch, arrange, model = context.epoch, self._arrange, self.model
        objects: list[Model] = []
        for key in keys:
            row = rows.get(key)
            if row is None:
                continue
            # what object_at() does, without three calls for each object of a loop over many
            known = self._objects.get(key)
            obj = known() if known is not None else None
            if obj is None:
                obj = _new_object(model)
                _set_binding(obj, self)
                _set_key(obj, key)
                _set_values(obj, None)
                _set_row(obj, arrange(row))
                _set_epoch(obj, epoch)
                self._objects[key] = ref(obj)
            elif obj._epoch != epoch:
                _set_row(obj, arrange(row))
                _set_epoch(obj, epoch)
            objects.append(obj)
        if len(self._objects) > self._sweep_at:
            self._sweep()
        return objects

    def iterate(self, keys: Sequence[int]) -> Iterator[Model]:
        """The objects of ``keys``, read page by page; those that are deleted meanwhile are skipped."""
        context = self.context
        for start in range(0, len(keys), PAGE):
            page = self.page(keys[start : start + PAGE])
            epoch = context.epoch
            for obj in page:
                if (context.epoch == epoch and obj._epoch == epoch) or self.is_valid(obj):
                    yield obj

    # --- reading ------------------------------------------------------------------------------------------------------

    def load(self, obj: Model) -> None:
        """Make the object's row that of the current version; checks thread, Realm and object.

        Raises WrongThreadError, ClosedRealmError, InvalidatedObjectError.
        """
        context = self.context
        reader = context.reader()
        epoch = obj._epoch
        if epoch == context.epoch:
            return
        if epoch == DELETED:
            raise self._deleted()
        try:
            with context.lock:
                row = reader.get_row(self.info, obj._key)
        except InvalidatedObjectError:
            raise self._deleted() from None
        _set_row(obj, self._arrange(row))
        _set_epoch(obj, context.epoch)

    def _deleted(self) -> InvalidatedObjectError:
        return InvalidatedObjectError(
            f"this {self.name} was deleted; obj.is_valid tells whether an object still exists"
        )

    def check_valid(self, obj: Model) -> None:
        """Raise what :meth:`load` raises."""
        if obj._epoch != self.context.epoch:
            self.load(obj)
        else:
            self.context.reader()

    def is_valid(self, obj: Model) -> bool:
        """Whether the row exists in an open Realm."""
        if self.context.closed:
            return False
        try:
            self.check_valid(obj)
        except InvalidatedObjectError:
            return False
        return True

    def trouble(self, obj: Model) -> str:
        """Why the object cannot be shown, or an empty text."""
        if self.context.closed:
            return "closed"
        try:
            self.check_valid(obj)
        except InvalidatedObjectError:
            return "deleted"
        except RealmError:
            return "on another thread"
        return ""

    def owner_of(self, obj: Model) -> Model:
        """The object an embedded one belongs to."""
        self.check_valid(obj)
        reader = self.context.reader()
        with self.context.lock:
            owner, _ = reader.owner(self.info, obj._key)
        return self.context.object_at(owner)

    def backlinks(self, obj: Model, source: str, prop: str) -> Any:
        """The objects of the class of that stored name that link to ``obj`` through a property (stored name)."""
        self.check_valid(obj)
        catalogue = self.context.reader().catalogue
        origin = catalogue.classes[source]
        return self.context.backlinks(origin, origin.properties[prop], ObjectRef(self.info.id, obj._key))

    def linking_objects(self, obj: Model, source: Any, prop: str) -> Any:
        """See :meth:`Model.linking_objects`."""
        self.check_valid(obj)
        origin = self.context.classes.of(source)
        known = origin.model._info.attributes
        attribute = known.get(prop) or next((a for a in known.values() if a.property.stored_name == prop), None)
        if attribute is None:
            raise unknown_property(origin.name, prop, known)
        place = origin.places[attribute.place]
        if place.type != kinds.MIXED and place.target != self.info.name:
            raise QueryError(f"{origin.name}.{prop} does not link to {self.name}")
        return self.context.backlinks(origin.info, place, ObjectRef(self.info.id, obj._key))

    def count_links(self, obj: Model) -> int:
        """See :meth:`Model.linking_objects_count`."""
        self.check_valid(obj)
        reader = self.context.reader()
        with self.context.lock:
            return sum(len(reader.backlinks(self.info, obj._key, prop)) for prop in reader.incoming(self.info))

    # --- writing ------------------------------------------------------------------------------------------------------

    def assign(self, obj: Model, attribute: Attribute, value: Any) -> None:
        """Set a property with a single value in the open write transaction."""
        context = self.context
        tx = context.writing()
        if obj._epoch != context.epoch:
            self.load(obj)
        converter = attribute.converter
        if type(value) is not converter.exact:
            if built_in_place(self.places[attribute.place], value):
                context.assigner().assign(self, obj._key, attribute, value)
                context.touch()
                return
            value = converter.store(value, context)
        place = self.places[attribute.place]
        tx.set(self.info, obj._key, place, value)
        if self._has_twins or place.embedded or place.type == kinds.MIXED:  # more than this row may be another now
            context.touch()
        else:
            context.changes += 1
            obj._row[attribute.slot] = value

    def assign_key(self, obj: Model, attribute: Attribute, value: Any) -> bool:
        """Change the primary key; False outside of migrations, where it never changes."""
        context = self.context
        if context.assign_key is None:
            return False
        context.writing()
        self.check_valid(obj)
        converter = attribute.converter
        key = value if type(value) is converter.exact else converter.store(value, context)
        context.assign_key(self.info, obj._key, key)
        context.touch()
        return True

    def add_integer(self, obj: Model, attribute: Attribute, by: int) -> None:
        """Increment an int property so that concurrent increments add up."""
        tx = self.context.writing()
        self.check_valid(obj)
        tx.add_integer(self.info, obj._key, self.places[attribute.place], by)
        _set_epoch(obj, UNREAD)
        self.context.changes += 1

    # --- collections and observers ------------------------------------------------------------------------------------

    def collection(self, obj: Model, attribute: Attribute) -> Any:
        """The live collection of a collection property."""
        self.check_valid(obj)
        reference = self.context.reader().collection(self.info, obj._key, self.places[attribute.place])
        return self.context.make_collection(reference, attribute.converter)

    def assign_collection(self, obj: Model, attribute: Attribute, value: Any) -> None:
        """Replace the content of a collection property."""
        self.context.writing()
        attribute.__get__(obj)._replace(value)

    def observe_object(
        self, obj: Model, callback: Callable[[Any, ObjectChange], object], key_paths: list[str] | None, keep: bool
    ) -> NotificationToken:
        """See :meth:`Model.observe`."""
        self.check_valid(obj)
        return self.context.observers.observe_object(self, obj, callback, key_paths, keep)

    def object_changes(self, obj: Model, key_paths: list[str] | None, frozen: bool) -> Changes[ObjectChange]:
        """See :meth:`Model.changes`."""
        self.check_valid(obj)
        observers = self.context.observers
        return observers.stream(lambda inbox: observers.observe_object(self, obj, inbox, key_paths), frozen=frozen)


def misfit(name: str, path: str) -> InvalidExternalSchemaChangeError:
    """What to raise when somebody else changed a class so that it does not fit its model any more."""
    return InvalidExternalSchemaChangeError(
        f"somebody changed {name} in {path} so that it does not fit the model any more; close the Realm and open it "
        "with models that fit"
    )


def _picker(order: list[int]) -> Callable[[Sequence[Any]], list[Any]]:
    pick = itemgetter(*order)
    return lambda row: list(pick(row))


# Models check what is assigned to them; these go around it.
_set_binding = Model.__dict__["_binding"].__set__
_set_key = Model.__dict__["_key"].__set__
_set_epoch = Model.__dict__["_epoch"].__set__
_set_row = Model.__dict__["_row"].__set__
_set_values = Model.__dict__["_values"].__set__
