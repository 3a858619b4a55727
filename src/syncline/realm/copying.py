"""Unmanaged copies of objects (spec/sdk.md §6.3): ``obj.detach()``, ``copy.deepcopy``, ``realm.copy_to``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from syncline.errors import InvalidatedObjectError
from syncline.realm.converters import load_mixed
from syncline.realm.graph import ObjectGraph
from syncline.realm.models import Model
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.attributes import Attribute
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context

__all__ = ["Copier", "detached", "values_of"]


def detached(obj: Model, depth: int | None = None) -> Any:
    """An unmanaged copy of an object with everything it leads to, each object once, cycles too.

    Links to objects more than ``depth`` links away become None, or are left out of collections. Raises
    InvalidatedObjectError for an object that was deleted.
    """
    binding = obj._binding
    if binding is None:
        return _UnmanagedCopier(depth).copy(obj)
    binding.check_valid(obj)
    return Copier(binding.context, depth).copy(ObjectRef(binding.info.id, obj._key))


class Copier:
    """Copies out of a Realm. Objects are made in the order of their distance, so each is as near as it can be.

    An object is copied once, however often :meth:`copy` meets it; an embedded one as often as its owner.
    """

    def __init__(self, context: Context, depth: int | None = None) -> None:
        self.context = context
        self.depth = depth
        self.graph = ObjectGraph(context, depth)
        self.made: dict[ObjectRef, Model] = {}
        self.distances: dict[ObjectRef, int] = {}

    def copy(self, root: ObjectRef) -> Model:
        """The unmanaged copy of an object; of an embedded one a new one each time. Raises InvalidatedObjectError."""
        if root in self.made and not self.context.classes.binding(root.class_id).info.embedded:
            return self.made[root]
        self.context.reader()
        with self.context.lock:
            self.graph.load([root])
            if root not in self.graph.rows:
                raise InvalidatedObjectError("this object was deleted")
            copy = self._new(root, 0)
            assert copy is not None
            waiting = [root]
            while waiting:  # a level at a time
                level, waiting = waiting, []
                for reference in level:
                    self._fill(reference, waiting)
            return copy

    def _new(self, reference: ObjectRef, distance: int) -> Model | None:
        if reference not in self.graph.rows:
            self.graph.load([reference])  # behind a Mixed
        if reference not in self.graph.rows:
            return None
        binding = self.context.classes.binding(reference.class_id)
        copy: Model = binding.model.__new__(binding.model)
        self.made[reference] = copy
        self.distances[reference] = distance
        return copy

    def _fill(self, reference: ObjectRef, waiting: list[ObjectRef]) -> None:
        binding = self.context.classes.binding(reference.class_id)
        values = self.made[reference]._values
        attributes = binding.model._info.attributes.values()
        for attribute, place, stored in zip(attributes, binding.places, self.graph.rows[reference], strict=True):
            distance = self.distances[reference] + (not place.embedded)
            values[attribute.name] = self._value(attribute, stored, distance, waiting)

    def _value(self, attribute: Attribute, stored: Any, distance: int, waiting: list[ObjectRef]) -> Any:
        if isinstance(stored, dict):
            return {name: self._one(attribute, each, distance, waiting) for name, each in stored.items()}
        if isinstance(stored, list):
            values = [self._one(attribute, each, distance, waiting) for each in stored]
            if attribute.converter.kind == kinds.LINK:
                values = [value for value in values if value is not None]
            return set(values) if attribute.property.type.collection == kinds.SET_COLLECTION else values
        return self._one(attribute, stored, distance, waiting)

    def _one(self, attribute: Attribute, stored: Any, distance: int, waiting: list[ObjectRef]) -> Any:
        if isinstance(stored, ObjectRef):
            return self._linked(stored, distance, waiting)
        if attribute.converter.kind == kinds.MIXED:
            return self._mixed(stored, distance, waiting)
        load = attribute.converter.load
        return stored if load is None else load(stored, self.context)

    def _linked(self, reference: ObjectRef, distance: int, waiting: list[ObjectRef]) -> Model | None:
        known = self.made.get(reference)
        if known is not None:
            return known
        if self.depth is not None and distance > self.depth:
            return None
        copy = self._new(reference, distance)
        if copy is not None:
            waiting.append(reference)
        return copy

    def _mixed(self, stored: Any, distance: int, waiting: list[ObjectRef]) -> Any:
        if isinstance(stored, ObjectRef):
            return self._linked(stored, distance, waiting)
        if isinstance(stored, CollectionRef):
            reader = self.context.reader()
            if stored.kind == kinds.LIST_COLLECTION:
                return [self._mixed(each, distance, waiting) for each in reader.list_slice(stored)]
            return {name: self._mixed(each, distance, waiting) for name, each in reader.dict_items(stored)}
        return load_mixed(stored, self.context)


class _UnmanagedCopier:
    """Copies objects that are in no Realm; managed ones that they link to stay as they are."""

    def __init__(self, depth: int | None) -> None:
        self.depth = depth
        self.made: dict[int, Model] = {}

    def copy(self, root: Model) -> Model:
        copy = self._new(root)
        level = [root]
        distance = 0
        while level:
            distance += 1
            waiting: list[Model] = []
            for obj in level:
                values = self.made[id(obj)]._values
                for name, value in obj._values.items():
                    values[name] = self._value(value, distance, waiting)
            level = waiting
        return copy

    def _new(self, obj: Model) -> Model:
        cls = type(obj)
        copy = self.made[id(obj)] = cls.__new__(cls)
        copy._defaults.update(obj._defaults)
        return copy

    def _value(self, value: Any, distance: int, waiting: list[Model]) -> Any:
        if isinstance(value, Model):
            if value.is_managed:
                return value
            known = self.made.get(id(value))
            if known is None and not (self.depth is not None and distance > self.depth):
                known = self._new(value)
                waiting.append(value)
            return known
        if isinstance(value, Mapping):
            return {name: self._value(each, distance, waiting) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(each, distance, waiting) for each in value]
        if isinstance(value, set):
            return {self._value(each, distance, waiting) for each in value}
        return value


def values_of(obj: Model, binding: Binding) -> dict[str, Any]:
    """The values of an object of the same Realm for a new one: links stay, what it owns is copied."""
    copied: Model = detached(obj, 0)
    values = dict(copied._values)
    for attribute, place in zip(binding.model._info.attributes.values(), binding.places, strict=True):
        if attribute.converter.kind in (kinds.LINK, kinds.MIXED) and not place.embedded:
            values[attribute.name] = attribute.__get__(obj)
    return values
