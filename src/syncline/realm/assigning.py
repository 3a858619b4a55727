"""Creating, adding and updating objects (spec/sdk.md §6.1–6.3, spec/changesets.md §9.6).

An :class:`Assigner` carries one call of ``create`` or ``add`` through the whole graph of values it was given: nested
mappings and unmanaged objects become objects too, each of them once. What creating an object of one class takes is
worked out in :mod:`syncline.realm.plans`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from syncline.errors import (
    IllegalOperationError,
    InvalidatedObjectError,
    MissingPrimaryKeyError,
    ObjectTypeMismatchError,
    RealmError,
    TypeMismatchError,
)
from syncline.realm.attributes import Attribute
from syncline.realm.by_key import ByKey
from syncline.realm.converters import Converter, describe
from syncline.realm.copying import Copier
from syncline.realm.models import Model
from syncline.realm.plans import NO_DEFAULTS, Initial, Plan, default_of
from syncline.realm.schema import MISSING
from syncline.realm.spots import DictionarySpot, ListInsertSpot, ListSetSpot, PropertySpot, Spot, built_in_place
from syncline.realm.verifying import verify, verify_elements
from syncline.storage.catalogue import PropertyInfo
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import kinds
from syncline.values.order import equal

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context

__all__ = ["Assigner", "UpdateMode", "check_update", "same"]


R = TypeVar("R")

#: Levels of new objects inside new objects that are written at once; those below come afterwards.
_DEPTH_MAX: Final = 40


class UpdateMode(Enum):
    """What happens when an object with the same primary key exists (spec/sdk.md §6.2)."""

    #: it is an error
    NEVER = "never"
    #: every value given is written, also when it is equal
    ALL = "all"
    #: only values that differ are written
    MODIFIED = "modified"


class Assigner:
    """One call of create, add or assign; ``mode`` and ``ignore_unknown`` hold for all objects that it reaches."""

    def __init__(self, context: Context, mode: UpdateMode, ignore_unknown: bool = False) -> None:
        self.context = context
        self.mode = mode
        self.ignore_unknown = ignore_unknown
        #: create and add copy objects of other Realms; assigning a value does not
        self.copies = False
        self._is_verified = False
        self._copiers: dict[Any, Copier] = {}
        self._depth = 0
        self._deferred: list[Callable[[], None]] = []
        self._added: dict[int, ObjectRef] = {}
        #: the property, of the object that the call is about, to which a value could not be assigned
        self.refused: Attribute | None = None

    # --- objects ------------------------------------------------------------------------------------------------------

    def run_create(self, binding: Binding, values: Mapping[str, Any]) -> Model:
        """``realm.create``."""
        if self.mode is not UpdateMode.NEVER:
            check_update(self.mode, binding)
        self.copies = True
        return binding.object_at(self._run(lambda: self.create(binding, values)))

    def run_add(self, obj: Model) -> None:
        """``realm.add``; an object of this Realm stays as it is."""
        if obj._binding is not None:
            self.context.reference(obj, None, "add")
            return
        self.copies = True
        binding = self.context.classes.of(type(obj))
        if self.mode is not UpdateMode.NEVER:
            check_update(self.mode, binding)
        self.add(obj)

    def _run(self, work: Callable[[], R]) -> R:
        """Do something as the context's assigner, and then what was put off because it lay too deep."""
        previous = self.context.assign_with(self)
        try:
            result = work()
            while self._deferred:
                self._deferred.pop()()
            return result
        finally:
            self.context.assign_with(previous)

    def _descend(self, work: Callable[[], None]) -> None:
        """Go on with the values of an object; where objects are nested too deeply for Python, later."""
        if self._depth >= _DEPTH_MAX:
            self._deferred.append(work)
            return
        self._depth += 1
        try:
            work()
        finally:
            self._depth -= 1

    def create(self, binding: Binding, values: Mapping[str, Any]) -> int:
        """The object key of a new object, or of the one that has the primary key already, with ``values`` written."""
        if binding.info.embedded:
            raise IllegalOperationError(
                f"{binding.name} objects are embedded: they come into being by assigning them to their parent"
            )
        plan = binding.plan()
        if self.mode is not UpdateMode.NEVER:
            values = plan.named(values, self.ignore_unknown)
            key = plan.key_of(values, NO_DEFAULTS)
            existing = self._find(plan, key)
            if existing is not None:
                self._descend(partial(self._write, binding, existing, values))
                return existing
            initial, later = self._initial(plan, values, NO_DEFAULTS)
        else:
            initial, later = self._initial(plan, values, NO_DEFAULTS)
            key = plan.key_of(values, NO_DEFAULTS)
        return self._insert(plan, key, initial, later, None)

    def add(self, obj: Model) -> ObjectRef:
        """The row of an unmanaged object, which becomes managed, with everything reachable from it."""
        if self.context.assigner() is not self:
            return self._run(lambda: self.add(obj))
        known = self._added.get(id(obj))
        if known is not None:
            return known
        binding = self.context.classes.of(type(obj))
        if binding.info.embedded:
            raise IllegalOperationError(
                f"{obj!r} is embedded: assign it to the property of its parent instead of adding it"
            )
        plan, values, defaults = binding.plan(), obj._values, obj._defaults
        key = plan.key_of(values, defaults)
        if self.mode is not UpdateMode.NEVER:
            existing = self._find(plan, key)
            if existing is not None:
                self._adopt(binding, obj, existing)
                self._descend(partial(self._write, binding, existing, values))
                return ObjectRef(binding.info.id, existing)
        initial, later = self._initial(plan, values, defaults)
        return ObjectRef(binding.info.id, self._insert(plan, key, initial, later, obj))

    def is_foreign(self, obj: Model) -> bool:
        """Whether the object is one of another file, which create and add copy."""
        binding = obj._binding
        return self.copies and binding is not None and binding.context.file.path != self.context.file.path

    def add_foreign(self, obj: Model) -> ObjectRef:
        """The row of a deep copy of an object of another Realm; one object is copied once (spec/sdk.md §6.1)."""
        return self.context.reference(self._copy(obj), None, "copy")

    def _copy(self, obj: Model) -> Model:
        binding = obj._binding
        assert binding is not None
        copier = self._copiers.get(binding.context)
        if copier is None:
            copier = self._copiers[binding.context] = Copier(binding.context)
        binding.check_valid(obj)
        return copier.copy(ObjectRef(binding.info.id, obj._key))

    def add_mapping(self, target: str, values: Mapping[str, Any]) -> ObjectRef:
        """The row of a new object of the class of that stored name, or an updated one."""
        info = self.context.reader().catalogue.classes[target]
        return ObjectRef(info.id, self.create(self.context.classes.binding(info.id), values))

    def by_key(self, named: ByKey, target: str | None) -> ObjectRef:
        """The row of an object that is named by its key; ``target``: the stored name of the class that is linked to.

        Raises InvalidatedObjectError if there is none, MissingPrimaryKeyError, and TypeMismatchError for no key.
        """
        if target is not None:
            binding = self.context.classes.binding(self.context.reader().catalogue.classes[target].id)
        else:
            binding = self.context.classes.of(named.target or "")
        key, attribute = named.key, binding.plan().key
        if attribute is None:
            raise MissingPrimaryKeyError(f"{binding.name} has no primary key, so no link can name one of its objects")
        found = self.context.writing().find(binding.info, attribute.converter.store(key, self.context))
        if found is None:
            raise InvalidatedObjectError(f"there is no {binding.name} with the primary key {key!r} to link to")
        return ObjectRef(binding.info.id, found)

    def _adopt(self, binding: Binding, obj: Model, key: int) -> None:
        self._added[id(obj)] = ObjectRef(binding.info.id, key)
        binding.adopt(obj, key)

    def _initial(
        self, plan: Plan, values: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> tuple[list[Initial], list[tuple[Attribute, Any, bool]]]:
        """What the new row starts with, and what is assigned once it exists: (property, value, is it a default)."""
        initial, used = plan.scalars(values, defaults)
        later: list[tuple[Attribute, Any, bool]] = []
        for attribute in plan.rest:
            value = values.get(attribute.name, MISSING)
            if value is not MISSING:
                used += 1
                later.append((attribute, value, False))
            elif attribute.property.has_default:
                later.append((attribute, default_of(attribute.property, defaults), True))
        if plan.key is not None and plan.key.name in values:
            used += 1
        if used != len(values):
            return self._initial(plan, plan.named(values, self.ignore_unknown), defaults)
        return initial, later

    def _insert(
        self,
        plan: Plan,
        key: Any,
        initial: list[Initial],
        later: list[tuple[Attribute, Any, bool]],
        obj: Model | None,
    ) -> int:
        binding = plan.binding
        row = plan.insert(self.context.writing(), key, initial)
        if obj is not None:
            self._adopt(binding, obj, row)
        if later:
            self._descend(partial(self._assign_all, binding, row, later))
        return row

    def _assign_all(self, binding: Binding, row: int, values: list[tuple[Attribute, Any, bool]]) -> None:
        for attribute, value, is_default in values:
            self.assign(binding, row, attribute, value, is_default)

    def _find(self, plan: Plan, key: Any) -> int | None:
        """The object that an upsert means; None if it has to be made."""
        return None if plan.key is None else self.context.writing().find(plan.binding.info, key)

    @property
    def replaces(self) -> bool:
        """Whether an embedded object takes the place of the one that is there, instead of changing it."""
        return self.mode is not UpdateMode.MODIFIED

    @contextmanager
    def _verified(self, verification: Callable[[], None]) -> Iterator[None]:
        """First see whether what is to be written can be, if that was not seen with what it is a part of.

        What fails nevertheless may have been done in part: what was read before is read anew.
        """
        if self._is_verified:
            yield
            return
        verification()
        self._is_verified = True
        try:
            yield
        except BaseException:
            self.context.touch()
            raise
        finally:
            self._is_verified = False

    # --- values -------------------------------------------------------------------------------------------------------

    def _write(self, binding: Binding, key: int, values: Mapping[str, Any]) -> None:
        """Write what was given into an existing object, in the order of declaration."""
        for attribute in binding.model._info.attributes.values():
            if attribute.name in values and not attribute.property.primary_key:
                self.assign(binding, key, attribute, values[attribute.name])

    def assign(self, binding: Binding, key: int, attribute: Attribute, value: Any, is_default: bool = False) -> None:
        """Set any property of an object, building what has to be built."""
        try:
            place = binding.places[attribute.place]
            tx = self.context.writing()
            if attribute.property.type.is_collection:
                reference = tx.collection(binding.info, key, place)
                self.fill(reference, attribute.converter, place, value)
                return
            if is_default and value is None:
                return
            if self.mode is UpdateMode.MODIFIED and not is_default:
                done, value = self._merge(attribute.converter, place, tx.get(binding.info, key, place), value)
                if done:
                    return
            self.store(PropertySpot(tx, binding.info, key, place, is_default), attribute.converter, place, value)
            binding.reread(key)
            self._wrote(place)
        except RealmError:
            self.refused = attribute
            raise

    def _merge(self, converter: Converter, place: PropertyInfo, present: Any, value: Any) -> tuple[bool, Any]:
        """Whether a MODIFIED update is done without replacing what is there; if not, what to store (§6.2)."""
        if place.embedded:
            if value is None or present is None:
                return value is None and present is None, value
            self._update_embedded(present, self._embeddable(converter, value))
            return True, None
        if built_in_place(place, value):
            if not isinstance(present, CollectionRef) or present.kind != _collection_for(value):
                return False, value
            self.fill(present, converter, self.context.writing().element(present), value)
            return True, None
        stored = converter.store(value, self.context)
        if type(stored) is type(present) and (stored is present or same(stored, present)):
            return True, None
        return False, self.context.object_at(stored) if isinstance(stored, ObjectRef) else value

    def store(self, spot: Spot, converter: Converter, place: PropertyInfo, value: Any) -> None:
        """Put a value of any form into a spot that holds values of ``place``."""
        if not built_in_place(place, value):
            spot.set(converter.store(value, self.context))
            return
        with self._verified(lambda: verify(self, converter, place, value)):
            if place.embedded:
                value = self._embeddable(converter, value)
                self.fill_embedded(spot.set_embedded(), value)
            else:
                collection = _collection_for(value)
                elements = dict(value) if collection == kinds.DICTIONARY_COLLECTION else list(value)
                reference = spot.set_collection(collection)
                self.fill(reference, converter, self.context.writing().element(reference), elements)

    def check_embeddable(self, converter: Converter, value: Any) -> None:
        """Raise for what no embedded object can be made of: what has a parent, unless create and add copy it."""
        if isinstance(value, Model):
            if type(value)._info.stored_name != converter.type.target:
                raise ObjectTypeMismatchError(
                    f"{converter.where}: expected {converter.type.target}, got {describe(value)}"
                )
            if value.is_managed and not self.copies:
                raise IllegalOperationError(
                    f"{converter.where}: {value!r} has a parent already; embedded objects have one"
                )
        elif not isinstance(value, Mapping):
            raise TypeMismatchError(f"{converter.where}: expected {converter.type.target}, got {describe(value)}")

    def _embeddable(self, converter: Converter, value: Any) -> Any:
        """What an embedded object is made of; create and add copy one that has a parent. Raises for anything else."""
        self.check_embeddable(converter, value)
        if isinstance(value, Model):
            if self.is_foreign(value):
                return self._copy(value)
            if value.is_managed:
                return _plain(value)
        return value

    def fill_embedded(self, child: ObjectRef, value: Mapping[str, Any] | Model) -> None:
        """Give an embedded object the values of a mapping or an unmanaged object."""
        binding = self.context.classes.binding(child.class_id)
        plan = binding.plan()
        values: Mapping[str, Any] = value._values if isinstance(value, Model) else value
        defaults = value._defaults if isinstance(value, Model) else NO_DEFAULTS
        if isinstance(value, Model):
            self._adopt(binding, value, child.object_key)
        initial, later = self._initial(plan, values, defaults)
        tx = self.context.writing()
        for place, stored, is_default in initial:
            tx.set(binding.info, child.object_key, place, stored, is_default)
        for attribute, given, is_default in later:
            self.assign(binding, child.object_key, attribute, given, is_default)
        self.context.changes += 1

    def _update_embedded(self, child: ObjectRef, value: Mapping[str, Any] | Model) -> None:
        """Write what differs into an embedded object that stays."""
        binding = self.context.classes.binding(child.class_id)
        if isinstance(value, Model):
            values = value._values
            self._adopt(binding, value, child.object_key)
        else:
            values = binding.plan().named(value, self.ignore_unknown)
        self._write(binding, child.object_key, values)

    def fill(self, reference: CollectionRef, converter: Converter, place: PropertyInfo, value: Any) -> None:
        """Replace the content of a collection; in MODIFIED mode write only what differs (spec/sdk.md §6.2)."""
        if value is None:  # which clears it: a collection always exists (spec/sdk.md §1.2)
            value = {} if reference.kind == kinds.DICTIONARY_COLLECTION else ()
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise TypeMismatchError(f"{converter.where}: expected a collection, got {describe(value)}")
        if getattr(value, "_reference", None) == reference:
            return
        if reference.kind == kinds.DICTIONARY_COLLECTION:
            if not isinstance(value, Mapping):
                raise TypeMismatchError(f"{converter.where}: expected a dictionary, got {describe(value)}")
            elements: Any = dict(value)
        else:
            elements = list(value)
        # scalars in lists and sets are all converted before the first is written
        known = place.type not in (kinds.LINK, kinds.MIXED) and reference.kind != kinds.DICTIONARY_COLLECTION
        with self._verified(lambda: None if known else verify_elements(self, converter, place, elements)):
            if reference.kind == kinds.DICTIONARY_COLLECTION:
                self._fill_dictionary(reference, converter, place, elements)
            elif reference.kind == kinds.SET_COLLECTION:
                self._fill_set(reference, converter, elements)
            else:
                self._fill_list(reference, converter, place, elements)
        self._wrote(place)

    def _wrote(self, place: PropertyInfo) -> None:
        """Something was replaced; an embedded object or a nested collection that was there is gone."""
        if place.embedded or place.type == kinds.MIXED:
            self.context.touch()
        else:
            self.context.changes += 1

    def _fill_list(
        self, reference: CollectionRef, converter: Converter, place: PropertyInfo, values: list[Any]
    ) -> None:
        tx = self.context.writing()
        if any(built_in_place(place, value) for value in values):
            self._build_list(reference, converter, place, values)
            return
        stored = [converter.store(value, self.context) for value in values]
        if self.mode is not UpdateMode.MODIFIED:
            tx.list_clear(reference)
            tx.list_extend(reference, stored)
            return
        present = tx.list_slice(reference)
        for index, (new, old) in enumerate(zip(stored, present, strict=False)):
            if not (type(new) is type(old) and same(new, old)):
                tx.list_set(reference, index, new)
        tx.list_erase_range(reference, len(stored), len(present))
        tx.list_extend(reference, stored[len(present) :])

    def _build_list(
        self, reference: CollectionRef, converter: Converter, place: PropertyInfo, values: list[Any]
    ) -> None:
        """The same for elements that come into being where they are."""
        tx = self.context.writing()
        present: list[Any] = []
        if self.mode is UpdateMode.MODIFIED:
            present = tx.list_slice(reference)
            tx.list_erase_range(reference, len(values), len(present))
        else:
            tx.list_clear(reference)
        for index, value in enumerate(values):
            if index >= len(present):
                self.store(ListInsertSpot(tx, reference, index), converter, place, value)
                continue
            done, new = self._merge(converter, place, present[index], value)
            if not done:
                self.store(ListSetSpot(tx, reference, index), converter, place, new)

    def _fill_set(self, reference: CollectionRef, converter: Converter, values: list[Any]) -> None:
        tx = self.context.writing()
        stored = [converter.store(value, self.context) for value in values]
        if self.mode is not UpdateMode.MODIFIED:
            tx.set_clear(reference)
        for value in stored:
            tx.set_insert(reference, value)

    def _fill_dictionary(
        self, reference: CollectionRef, converter: Converter, place: PropertyInfo, values: dict[Any, Any]
    ) -> None:
        tx = self.context.writing()
        if self.mode is not UpdateMode.MODIFIED:
            tx.dict_clear(reference)
        for key, value in values.items():
            if self.mode is UpdateMode.MODIFIED and tx.dict_contains(reference, key):
                done, new = self._merge(converter, place, tx.dict_get(reference, key), value)
                if done:
                    continue
                value = new
            self.store(DictionarySpot(tx, reference, key), converter, place, value)


def _plain(value: Any) -> Any:
    """The values of an embedded object, and of all that it owns, as plain mappings and lists; links stay links."""
    if isinstance(value, Model):
        info = type(value)._info
        if info.kind != kinds.EMBEDDED:
            return value
        return {name: _plain(attribute.__get__(value)) for name, attribute in info.attributes.items()}
    if not hasattr(value, "_reference"):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(element) for key, element in value.items()}
    return [_plain(element) for element in value]


def check_update(mode: Any, binding: Binding) -> None:
    """Raise MissingPrimaryKeyError for an update in a class without primary key, TypeMismatchError for no mode."""
    if not isinstance(mode, UpdateMode):
        raise TypeMismatchError(f"update: expected an UpdateMode, got {describe(mode)}")
    if binding.plan().key is None:
        raise MissingPrimaryKeyError(
            f"{binding.name} has no primary key, so there is nothing to update; leave out update="
        )


def _collection_for(value: Any) -> int:
    """What a value becomes in a Mixed place."""
    return kinds.DICTIONARY_COLLECTION if isinstance(value, Mapping) else kinds.LIST_COLLECTION


def same(stored: Any, present: Any) -> bool:
    """Whether two stored values of one type are equal (spec/sdk.md §1.11.1)."""
    return stored == present if isinstance(stored, ObjectRef | CollectionRef) else equal(stored, present)
