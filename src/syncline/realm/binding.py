"""A class of one open Realm: a model tied to its table (spec/sdk.md §6).

A :class:`Binding` knows where the model's properties stand in the file, and writes for its live objects; reading is in
:mod:`syncline.realm.objects`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from syncline.errors import InvalidatedObjectError, InvalidExternalSchemaChangeError, QueryError, RealmError
from syncline.realm.attributes import Attribute
from syncline.realm.live_object import DELETED
from syncline.realm.models import Model, ModelMeta, unknown_property
from syncline.realm.objects import ClassObjects
from syncline.realm.plans import Plan
from syncline.realm.spots import built_in_place
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.refs import ObjectRef
from syncline.storage.row_shape import RowShape
from syncline.values import Key, kinds

if TYPE_CHECKING:
    from syncline.realm.changes import ObjectChange
    from syncline.realm.context import Context
    from syncline.realm.streams import Changes
    from syncline.realm.tokens import NotificationToken

__all__ = ["Binding", "misfit"]

#: The number of a class that the file does not have.
MISSING: Final = -1


class Binding(ClassObjects):
    """``model`` in the Realm of ``context``."""

    context: Context
    #: what equal objects share: the file and the class; frozen ones also the version
    identity: tuple[str, int]
    #: the stored property of each of the model's, in the model's order
    places: tuple[PropertyInfo, ...]

    if TYPE_CHECKING:

        def object_at(self, key: int) -> Model: ...

        def new(self, key: int) -> Model: ...

        def get(self, key: Key) -> Model | None: ...

        def page(self, keys: Sequence[int]) -> list[Model]: ...

        def iterate(self, keys: Sequence[int]) -> Iterator[Model]: ...

        def iterate_all(self) -> Iterator[Model]: ...

    def __init__(self, context: Context, model: ModelMeta, catalogue: Catalogue) -> None:
        super().__init__(context, model)
        #: a read-only synced Realm waits for the class to come; until then there are no objects
        self.is_missing = catalogue.find(model._info.stored_name) is None
        if self.is_missing:
            info = ClassInfo(MISSING, model._info.stored_name, model._info.schema.kind, (), None)
            self.arrange(info, RowShape(info, ()))
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
        self.identity = (self.context.file.path, info.id)
        self.is_missing = False
        self.places = tuple(info.properties[prop.stored_name] for prop in schema.properties)
        self._plan: Plan | None = None
        singles = [place for place in self.places if place.collection == kinds.SINGLE_COLLECTION]
        self.arrange(info, RowShape(info, singles))

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

    def forget_from(self, first: int) -> None:
        """The rows with keys from ``first`` on were undone, with the collections of their objects."""
        for key in [key for key in self.known.all_keys() if key >= first]:
            for obj in self.known.all_of(key):
                for collection in (obj._values or {}).values():
                    collection._epoch = DELETED
            self.forget(key)

    # --- reading ------------------------------------------------------------------------------------------------------

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
        self.check_exists(obj)
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
            self.assigned(obj, attribute.slot, value)

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
        self.reread(obj._key)
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
