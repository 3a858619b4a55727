"""The attributes of model classes: ``Dog.age`` is an expression, ``dog.age`` a value (spec/sdk.md §6.6, §12.1).

One descriptor per property. Reading is an index into the row that a managed object keeps, unless the Realm has moved on
(:mod:`syncline.realm.objects`); writing goes straight to the transaction and into the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from syncline.errors import ModifyPrimaryKeyError, ReadOnlyPropertyError, TypeMismatchError
from syncline.query.ast import Path
from syncline.query.expression import ClassRef, Expr, PropertyRef
from syncline.realm.converters import Converter, describe
from syncline.realm.declarations import Counter
from syncline.realm.objects import ReadProperty
from syncline.realm.schema import Property
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.models import Model

__all__ = ["Attribute", "BacklinksAttribute", "make_attribute"]


class Attribute(ReadProperty):
    """Descriptor of a property with a single value. ``place`` is its index among all properties of the class."""

    def __init__(
        self,
        owner: str,
        prop: Property,
        place: int,
        slot: int,
        target: Callable[[], ClassRef] | None,
    ) -> None:
        self.converter = Converter(f"{owner}.{prop.name}", prop.type, prop.exact, prop.custom)
        expression = Expr(Path((prop.stored_name,)), target, collection=prop.type.collection)
        super().__init__(prop.name, prop, slot, self.converter.load, expression)
        self.place = place
        self.target = target

    @property
    def reference(self) -> PropertyRef:
        """The property as expressions see it."""
        return PropertyRef(self.property.stored_name, self.target, self.property.type.collection)

    def __set__(self, obj: Model, value: Any) -> None:
        binding = obj._binding
        if binding is None:
            self.set_unmanaged(obj, value)
            return
        if self.property.primary_key:
            if binding.assign_key(obj, self, value):
                return
            raise ModifyPrimaryKeyError(
                f"{self.converter.where}: a primary key cannot be changed; create another object"
            )
        binding.assign(obj, self, value)

    def __delete__(self, obj: Model) -> None:
        raise AttributeError(f"{self.converter.where}: a property cannot be deleted; assign None if it is optional")

    def set_unmanaged(self, obj: Model, value: Any) -> None:
        """Check and keep the value of an object in no Realm."""
        self.converter.check(value, obj._accepts)
        obj._values[self.name] = value


class CounterAttribute(Attribute):
    """An int that can be incremented so that concurrent increments add up (spec/sdk.md §1.14)."""

    def __get__(self, obj: Model | None, owner: type | None = None) -> Any:
        value = super().__get__(obj, owner)
        if obj is None or value is None:
            return value
        binding = obj._binding
        if binding is None:
            return Counter.bound(
                value, lambda by: self.set_unmanaged(obj, int(self.unmanaged(obj)) + by), (obj, self.name)
            )
        return Counter.bound(value, lambda by: binding.add_integer(obj, self, by), (obj, self.name))

    def __set__(self, obj: Model, value: Any) -> None:
        binding = obj._binding
        if binding is not None and isinstance(value, Counter) and value.pending is not None:
            before = self.__get__(obj)
            if before is not None and value.is_increment_of(before):
                binding.add_integer(obj, self, value.pending)
                return
        super().__set__(obj, int(value) if isinstance(value, Counter) else value)


class CollectionAttribute(Attribute):
    """A list, set or dictionary: reading gives the live collection, always the same one; assigning replaces its
    content.
    """

    def __get__(self, obj: Model | None, owner: type | None = None) -> Any:
        if obj is None:
            return self.expression
        binding = obj._binding
        if binding is None:
            return self.unmanaged(obj)
        binding.check_valid(obj)
        if obj._values is None:
            obj._values = {}
        found = obj._values.get(self.name)
        if found is None:
            found = obj._values[self.name] = binding.collection(obj, self)
        return found

    def __set__(self, obj: Model, value: Any) -> None:
        binding = obj._binding
        if binding is None:
            self.set_unmanaged(obj, value)
        else:
            binding.assign_collection(obj, self, value)

    def unmanaged(self, obj: Model) -> Any:
        """A plain Python collection, kept with the object; a copy of the model's default if that is what it is."""
        values = obj._values
        if self.name not in values:
            default = obj._default(self.property)
            values[self.name] = self._plain(() if default is None else default)
        return values[self.name]

    def set_unmanaged(self, obj: Model, value: Any) -> None:
        plain = self._plain(() if value is None else value)
        for element in plain.values() if isinstance(plain, dict) else plain:
            self.converter.check(element, obj._accepts)
        obj._values[self.name] = plain

    def _plain(self, elements: Any) -> Any:
        where = self.converter.where
        if isinstance(elements, str | bytes) or not isinstance(elements, Iterable):
            raise TypeMismatchError(f"{where}: expected a collection, got {describe(elements)}")
        if self.property.type.collection == kinds.LIST_COLLECTION:
            return list(elements)
        if self.property.type.collection == kinds.SET_COLLECTION:
            return set(elements)
        if elements and not isinstance(elements, Mapping):
            raise TypeMismatchError(f"{where}: expected a dictionary, got {describe(elements)}")
        return dict(elements)


class BacklinksAttribute:
    """Descriptor of backlinks: on the class an expression, on an object live results (spec/sdk.md §1.13)."""

    def __init__(self, owner: str, prop: Property, source: Callable[[], ClassRef]) -> None:
        assert prop.type.origin is not None
        self.name = prop.name
        self.property = prop
        self.where = f"{owner}.{prop.name}"
        self.source = source
        self.origin = prop.type.origin
        #: the query engine finds the way by the name (query.paths.Names)
        self.reference = PropertyRef(prop.name, source, kinds.LIST_COLLECTION)
        self.expression = Expr(Path((prop.name,)), source, plural=True)

    def elements(self) -> tuple[str, str, str]:
        """The property as a path of stored names: ``@links.Person.dogs``."""
        source: Any = self.source()
        return "@links", source.stored_name, source.property_ref(self.origin).stored_name

    def __get__(self, obj: Model | None, owner: type | None = None) -> Any:
        if obj is None:
            return self.expression
        if obj._binding is None:
            return ()
        return obj._binding.backlinks(obj, *self.elements()[1:])

    def __set__(self, obj: Model, value: Any) -> None:
        raise self.read_only()

    def __delete__(self, obj: Model) -> None:
        raise self.read_only()

    def read_only(self) -> ReadOnlyPropertyError:
        """The error of an assignment."""
        return ReadOnlyPropertyError(
            f"{self.where}: backlinks follow from the links; change {self.origin!r} of the objects that link here"
        )


def make_attribute(
    owner: str, prop: Property, place: int, slot: int, target: Callable[[], ClassRef] | None
) -> Attribute:
    """The descriptor for a property of the class named ``owner``."""
    if prop.type.is_collection:
        kind: type[Attribute] = CollectionAttribute
    elif prop.counter:
        kind = CounterAttribute
    else:
        kind = Attribute
    return kind(owner, prop, place, slot, target)
