"""The state of a Realm as plain Python, and finding places in it (spec/changesets.md §10.2, §10.3, §10.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple
from uuid import UUID

from syncline.changesets.limits import MAX_CLASS_NAME_SIZE, MAX_PROPERTY_NAME_SIZE
from syncline.testing.model.schema import ANYTHING, ClassDef, PropertyDef
from syncline.testing.model.values import (
    NULL,
    Dictionary,
    Embedded,
    Fields,
    FieldsT,
    Holder,
    List,
    ModelError,
    Scalar,
    Set,
    Value,
    copy_fields,
    default,
)
from syncline.values import Float32, GlobalKey, Key, Link, ObjectId, Timestamp, kinds

__all__ = ["Place", "State", "element_rules", "fitting"]

_KEY_TYPES: dict[int, type] = {kinds.INT: int, kinds.STRING: str, kinds.OBJECT_ID: ObjectId, kinds.UUID: UUID}


class Place(NamedTuple):
    """Where a value stands: in ``holder`` at ``step``; ``rules`` say what may stand there.

    A property's ``rules`` are the property itself. The place need not exist: a list's end, a dictionary's missing key.
    """

    holder: Holder
    step: int | str
    rules: PropertyDef

    def get(self) -> Value | None:
        """What stands there, or None."""
        if isinstance(self.holder, List):
            assert isinstance(self.step, int)
            return self.holder[self.step] if self.step < len(self.holder) else None
        assert isinstance(self.step, str)
        return self.holder.get(self.step)

    def put(self, value: Value) -> None:
        """Replace what stands there."""
        if isinstance(self.holder, List):
            assert isinstance(self.step, int)
            self.holder[self.step] = value
        else:
            assert isinstance(self.step, str)
            self.holder[self.step] = value

    @property
    def is_property(self) -> bool:
        """Is it a property of an object, not an element or entry?"""
        return isinstance(self.holder, Fields)


class State:
    """All classes by name, and of each class that is not embedded the objects by key.

    ``ident``: of the file. ``numbers``: how many objects each class ever had, the low part of the next GlobalKey
    (spec/sdk.md §13.12).
    """

    def __init__(self, ident: int) -> None:
        self.ident = ident
        self.classes: dict[str, ClassDef] = {}
        self.objects: dict[str, dict[Key, Fields]] = {}
        self.numbers: dict[str, int] = {}

    def copy(self) -> State:
        """One that changes independently."""
        other = State(self.ident)
        other.classes = {name: info.copy() for name, info in self.classes.items()}
        other.objects = {
            name: {key: copy_fields(fields) for key, fields in objects.items()}
            for name, objects in self.objects.items()
        }
        other.numbers = dict(self.numbers)
        return other

    # --- schema -----------------------------------------------------------------------------------------------------

    def cls(self, name: str) -> ClassDef:
        """The class with that name. Raises ModelError."""
        if name not in self.classes:
            raise ModelError(f"there is no class {name!r}")
        return self.classes[name]

    def add_class(self, info: ClassDef) -> None:
        """Create a class, or find that it exists as it is. Raises ModelError for a contradiction."""
        existing = self.classes.get(info.name)
        if existing is None:
            _check_name(info.name, MAX_CLASS_NAME_SIZE)
            if info.primary_key is not None:
                _check_name(info.primary_key.name, MAX_PROPERTY_NAME_SIZE)
            self.classes[info.name] = info
            if not info.embedded:
                self.objects[info.name] = {}
                self.numbers[info.name] = 0
        elif (existing.kind, existing.primary_key) != (info.kind, info.primary_key):
            raise ModelError(f"class {info.name!r} exists with another kind or primary key")

    def add_property(self, cls: ClassDef, prop: PropertyDef) -> None:
        """Create a property, or find that it exists as it is, nullability apart. Raises ModelError."""
        key = cls.primary_key
        existing = key if key is not None and key.name == prop.name else cls.properties.get(prop.name)
        if existing is not None:
            if existing._replace(nullable=prop.nullable) != prop:
                raise ModelError(f"property {cls.name}.{prop.name} exists with another type")
            return
        _check_name(prop.name, MAX_PROPERTY_NAME_SIZE)
        if prop.type == kinds.LINK:
            target = self.cls(prop.target or "")
            if target.kind == kinds.ASYMMETRIC or (target.embedded and prop.collection == kinds.SET_COLLECTION):
                raise ModelError(f"property {cls.name}.{prop.name} cannot link to {target.name!r}")
        cls.properties[prop.name] = prop
        for fields in self.all_fields():
            if self.class_of(fields) is cls:
                fields[prop.name] = default(prop)

    def erase_property(self, cls: ClassDef, name: str) -> None:
        """Remove a property with its values. Raises ModelError."""
        if name not in cls.properties:
            raise ModelError(f"class {cls.name!r} has no property {name!r} that could be removed")
        del cls.properties[name]
        for fields in list(self.all_fields()):
            if self.class_of(fields) is cls:
                del fields[name]

    def erase_class(self, cls: ClassDef) -> None:
        """Remove a class with its objects. Raises ModelError while properties of another class link to it."""
        for other in self.classes.values():
            if other is not cls and any(prop.target == cls.name for prop in other.properties.values()):
                raise ModelError(f"class {cls.name!r} is linked to by {other.name!r}")
        self.objects.pop(cls.name, None)
        self.numbers.pop(cls.name, None)
        del self.classes[cls.name]

    # --- objects ----------------------------------------------------------------------------------------------------

    def check_key(self, cls: ClassDef, key: Key) -> None:
        """Can an object of the class have that key? Raises ModelError (spec/changesets.md §10.2 step 2)."""
        rule = cls.primary_key
        if cls.embedded:
            raise ModelError(f"objects of the embedded class {cls.name!r} have no keys")
        if rule is None:
            fits = isinstance(key, GlobalKey) and key.fits()
        elif key is None:
            fits = rule.nullable
        else:
            fits = isinstance(key, _KEY_TYPES[rule.type])
        if not fits:
            raise ModelError(f"{key!r} cannot be a key of class {cls.name!r}")

    def exists(self, link: Link) -> bool:
        """Does the target exist? A link to one that does not is hidden until it does."""
        return link.key in self.objects.get(link.table, {})

    def object(self, cls: ClassDef, key: Key) -> Fields:
        """The properties of an object. Raises ModelError."""
        self.check_key(cls, key)
        if key not in self.objects[cls.name]:
            raise ModelError(f"class {cls.name!r} has no object {key!r}")
        return self.objects[cls.name][key]

    def create(self, cls: ClassDef, key: Key) -> Fields:
        """A new object, or the one that exists. Links to it that led nowhere show again. Raises ModelError."""
        self.check_key(cls, key)
        objects = self.objects[cls.name]
        if key not in objects:
            objects[key] = self._filled(Fields(cls.name))
            taken = key.lo if isinstance(key, GlobalKey) and key.hi == self.ident else 0
            self.numbers[cls.name] = max(self.numbers[cls.name], taken) + 1
        return objects[key]

    def new_embedded(self, rules: PropertyDef) -> Embedded:
        """A new embedded object for a place. Raises ModelError."""
        cls = self.classes.get(rules.target or "")
        if cls is None or not cls.embedded:
            raise ModelError(f"{rules.name!r} does not hold embedded objects")
        return self._filled(Embedded(cls.name))

    def _filled(self, fields: FieldsT) -> FieldsT:
        """Give all properties of the class what a new object holds."""
        for prop in self.class_of(fields).properties.values():
            fields[prop.name] = default(prop)
        return fields

    # --- everything -------------------------------------------------------------------------------------------------

    def class_of(self, fields: Fields) -> ClassDef:
        """The class of an object, embedded or not."""
        return self.classes[fields.class_name]

    def all_fields(self) -> Iterator[Fields]:
        """All objects, the embedded ones too."""
        for objects in self.objects.values():
            for fields in objects.values():
                yield fields
                yield from _embedded_in(fields)

    def replace_values(self, judge: Callable[[Value], bool], cut: bool) -> None:
        """What ``judge`` condemns leaves: null in a property or entry, no member of a set any more; a list element is
        taken out if ``cut``, else it becomes null."""
        for objects in self.objects.values():
            for fields in objects.values():
                _replace(fields, judge, cut)

    # --- places -----------------------------------------------------------------------------------------------------

    def hidden(self, rules: PropertyDef, value: Value) -> bool:
        """Is an element of a list or set of links not shown, because its target does not exist?"""
        if rules.type != kinds.LINK or not isinstance(value, Scalar):
            return False
        return isinstance(value.value, Link) and not self.exists(value.value)

    def real_index(self, elements: List, rules: PropertyDef, visible: int) -> int:
        """The index, hidden elements counted, of the ``visible``-th one that shows (spec/changesets.md §9.5)."""
        index = visible
        for at, element in enumerate(elements):
            if self.hidden(rules, element) and at <= index:
                index += 1
        return index

    def property(self, fields: Fields, name: str) -> Place:
        """A property of an object. Raises ModelError."""
        cls = self.class_of(fields)
        if name not in cls.properties:
            raise ModelError(f"class {cls.name!r} has no property {name!r}")
        return Place(fields, name, cls.properties[name])

    def step(self, place: Place, step: int | str, visible: bool) -> Place:
        """From a place into what it holds; ``visible``: indices do not count hidden elements. Raises ModelError."""
        held = place.get()
        if isinstance(held, Embedded) and isinstance(step, str):
            return self.property(held, step)
        rules = element_rules(place)
        if isinstance(held, List) and isinstance(step, int):
            return Place(held, self.real_index(held, rules, step) if visible else step, rules)
        if isinstance(held, Dictionary) and isinstance(step, str):
            if step.startswith("$") or "." in step:
                raise ModelError(f"{step!r} cannot be a key of a dictionary")  # spec/sdk.md §1.6
            return Place(held, step, rules)
        raise ModelError(f"there is nothing to go on with at {step!r}")


def _check_name(name: str, most: int) -> None:
    """The name of a class or property (spec/changesets.md §7, Limits). Raises ModelError."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ModelError(f"{name!r} is no name: it is not valid Unicode") from None
    if not 0 < size <= most:
        raise ModelError(f"{name!r} is no name: it has {size} bytes")


def element_rules(place: Place) -> PropertyDef:
    """What may stand in the collection at a place."""
    if place.is_property and place.rules.collection != kinds.SINGLE_COLLECTION:
        return place.rules._replace(collection=kinds.SINGLE_COLLECTION)
    return ANYTHING


def fitting(rules: PropertyDef, kind: int, value: object) -> Scalar:
    """A plain value other than a link for a place. Raises ModelError."""
    if kind == kinds.NULL:
        if not rules.nullable:
            raise ModelError(f"{rules.name!r} cannot be null")
        return NULL
    if kind < 0 or (rules.type != kinds.MIXED and rules.type != kind):
        raise ModelError(f"{rules.name!r} cannot hold a value of kind {kind}")
    if isinstance(value, Timestamp) and value < (-(1 << 63), 0):
        raise ModelError(f"{value} is out of range")  # spec/sdk.md §13.3: it has no sort key
    return Scalar(kind, Float32(value) if kind == kinds.FLOAT and isinstance(value, float) else value)


def _embedded_in(holder: Holder) -> Iterator[Embedded]:
    for value in list(holder) if isinstance(holder, List) else list(holder.values()):
        if isinstance(value, Embedded):
            yield value
        if isinstance(value, (Embedded, List, Dictionary)):
            yield from _embedded_in(value)


def _replace(holder: Holder, judge: Callable[[Value], bool], cut: bool) -> None:
    if isinstance(holder, List):
        if cut:
            holder[:] = [value for value in holder if not judge(value)]
        else:
            holder[:] = [NULL if judge(value) else value for value in holder]
        held = list(holder)
    else:
        for name, value in holder.items():
            if judge(value):
                holder[name] = NULL
        held = list(holder.values())
    for value in held:
        if isinstance(value, Set):
            for place, member in list(value.items()):
                if judge(member):
                    del value[place]
        elif not isinstance(value, Scalar):
            _replace(value, judge, cut)
