"""What a model class says about its properties: annotations and :func:`Field` (spec/sdk.md §12.1).

An annotation may name classes that do not exist yet, so reading it has two outcomes: a :class:`Declared` type, or
:class:`Unresolved` with the name that is missing; the class is then looked at again when it is first used.
"""

from __future__ import annotations

import builtins
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final, ForwardRef, get_args, get_origin
from uuid import UUID

from syncline.realm.custom_types import CustomType, custom_type
from syncline.realm.schema import MISSING
from syncline.values import Float32, ObjectId, Timestamp, kinds

__all__ = [
    "BACKLINKS",
    "AnnotationReader",
    "Counter",
    "Declared",
    "Field",
    "FieldInfo",
    "Misdeclared",
    "Origin",
    "Unresolved",
]


#: What ``Backlinks`` is among the collections of annotations: none that is stored.
BACKLINKS: Final = -1


class Counter(int):
    """The annotation and the value of an int property that counts: ``dog.visits += 1`` (spec/sdk.md §1.14).

    It reads as an int. ``+=``, ``-=``, ``increment`` and ``decrement`` record *by how much* it changes, so that
    concurrent changes add up, where ``dog.visits = dog.visits + 1`` records the result and the later one wins.
    """

    _add: Callable[[int], None] | None = None
    #: The object and the name of the property it was read from.
    _owner: tuple[object, str] | None = None
    #: Set on the result of ``+=``: by how much, for the attribute that it is about to be assigned to.
    pending: int | None = None

    @classmethod
    def bound(cls, value: int, add: Callable[[int], None], owner: tuple[object, str]) -> Counter:
        """A counter of the object and property ``owner``; ``add`` carries out an increment."""
        counter = cls(value)
        counter._add, counter._owner = add, owner
        return counter

    def __iadd__(self, by: int) -> Counter:
        """``dog.visits += by``: the assignment that follows records an addition, if it is to the same counter."""
        if not isinstance(by, int) or isinstance(by, bool):
            return NotImplemented
        changed = Counter(int(self) + by)
        changed._add, changed._owner, changed.pending = self._add, self._owner, (self.pending or 0) + by
        return changed

    def __isub__(self, by: int) -> Counter:
        """``dog.visits -= by``; see :meth:`__iadd__`."""
        return self.__iadd__(-by)

    def is_increment_of(self, other: Counter) -> bool:
        """Whether this is what ``other += n`` gave: for the same property of the same object, unchanged since."""
        if self.pending is None or self._owner is None or other._owner is None:
            return False
        same = self._owner[0] is other._owner[0] and self._owner[1] == other._owner[1]
        return same and int(self) - self.pending == int(other)

    def increment(self, by: int = 1) -> None:
        """Add ``by`` in the running write transaction. Raises WrongTransactionStateError outside of one."""
        if self._add is None:
            raise TypeError("this Counter belongs to no object in a Realm; add the object first")
        self._add(by)

    def decrement(self, by: int = 1) -> None:
        """Subtract ``by``; see :meth:`increment`."""
        self.increment(-by)

    def set(self, value: int) -> None:
        """Record the result: of concurrent ones the later wins. The same as assigning to the property."""
        if self._owner is None:
            raise TypeError("this Counter belongs to no object; assign a number to the property instead")
        setattr(*self._owner, int(value))

    @property
    def value(self) -> int:
        """The plain number."""
        return int(self)


@dataclass(frozen=True)
class FieldInfo:
    """What :func:`Field` was given."""

    default: Any = MISSING
    default_factory: Callable[[], Any] | None = None
    primary_key: bool = False
    stored_name: str | None = None
    index: bool | str = False
    ignore: bool = False


def Field(
    default: Any = MISSING,
    *,
    default_factory: Callable[[], Any] | None = None,
    primary_key: bool = False,
    name: str | None = None,
    index: bool | str = False,
    ignore: bool = False,
) -> Any:
    """Say more about a property than its annotation can.

    ``default`` or ``default_factory`` (called for each new object) is its value where none is given on creation.
    ``primary_key`` makes it the name of the object within its class; ``name`` is what it is called in the file and on
    the server; ``index`` speeds up equality and ranges (True) or enables text search (``"fulltext"``); ``ignore``
    makes it an ordinary attribute that is never stored.
    """
    return FieldInfo(default, default_factory, primary_key, name, index, ignore)


@dataclass(frozen=True)
class Declared:
    """An annotation understood. ``target`` is the model class of a link, or that backlinks come from."""

    kind: int
    nullable: bool = False
    collection: int = kinds.SINGLE_COLLECTION
    target: Any = None
    counter: bool = False
    exact: bool = False
    backlinks: bool = False
    custom: CustomType | None = None


@dataclass(frozen=True)
class Origin:
    """What ``Backlinks.of`` was given: the property that links here."""

    name: str


@dataclass(frozen=True)
class Unresolved:
    """An annotation that names something not defined yet."""

    name: str


class Misdeclared(Exception):
    """An annotation that no property can have; the text says why and what to write instead."""


_SCALARS: Final[dict[Any, Declared]] = {
    bool: Declared(kinds.BOOL),
    int: Declared(kinds.INT),
    str: Declared(kinds.STRING),
    bytes: Declared(kinds.BINARY),
    datetime: Declared(kinds.TIMESTAMP),
    Timestamp: Declared(kinds.TIMESTAMP, exact=True),
    Float32: Declared(kinds.FLOAT),
    float: Declared(kinds.DOUBLE),
    Decimal: Declared(kinds.DECIMAL),
    ObjectId: Declared(kinds.OBJECT_ID),
    UUID: Declared(kinds.UUID),
    Counter: Declared(kinds.INT, counter=True),
    Any: Declared(kinds.MIXED, nullable=True),
}
_SUPPORTED: Final = (
    "int, bool, str, bytes, float, Float32, datetime, Timestamp, Decimal, ObjectId, UUID, Any, Counter, another model "
    "class with '| None', and List, Set or Dictionary of these"
)


class AnnotationReader:
    """Reads annotations in the place where a class stands: ``names`` are its globals and locals.

    ``collections`` says which generic classes are collections, ``is_model`` what can be linked to.
    """

    def __init__(
        self, names: Mapping[str, Any], collections: Mapping[Any, int], is_model: Callable[[Any], bool]
    ) -> None:
        self.names = names
        self.collections = collections
        self.is_model = is_model

    def read(self, annotation: Any) -> Declared | Unresolved | None:
        """The declared type; None for a ``ClassVar``. Raises Misdeclared."""
        try:
            annotation = self._evaluate(annotation)
            if annotation is ClassVar or get_origin(annotation) is ClassVar:
                return None
            return self._read(annotation)
        except NameError as error:
            return Unresolved(error.name or str(error))

    def _evaluate(self, annotation: Any) -> Any:
        if isinstance(annotation, ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, dict(vars(builtins)), self.names)
            except (SyntaxError, TypeError, AttributeError) as error:
                raise Misdeclared(f"the annotation {annotation!r} cannot be read: {error}") from None
            return self._evaluate(annotation)
        return annotation

    def _read(self, annotation: Any) -> Declared:
        annotation = self._evaluate(annotation)
        origin = get_origin(annotation)
        if origin is typing.Union or origin is types.UnionType:
            return self._optional(annotation)
        if origin is typing.Annotated:
            return self._read(get_args(annotation)[0])
        if origin is not None and self.collections.get(origin) == BACKLINKS:
            return self._backlinks(annotation)
        if origin in self.collections or annotation in self.collections:
            return self._collection(annotation, self.collections[origin or annotation])
        if self.is_model(annotation):
            return Declared(kinds.LINK, target=annotation)
        custom = custom_type(annotation)
        if custom is not None and custom.stored in _SCALARS and custom.stored is not Any:
            return replace(_SCALARS[custom.stored], custom=custom)
        declared = _SCALARS.get(annotation) if _hashable(annotation) else None
        if declared is None:
            raise Misdeclared(f"{_shown(annotation)} is no property type; use {_SUPPORTED}")
        return declared

    def _optional(self, annotation: Any) -> Declared:
        members = [self._evaluate(member) for member in get_args(annotation)]
        others = [member for member in members if member is not type(None)]
        if len(others) != 1 or len(others) == len(members):
            raise Misdeclared(
                f"{_shown(annotation)}: a property has one type, or one type and None; use Any for any value"
            )
        inner = self._read(others[0])
        if inner.collection != kinds.SINGLE_COLLECTION:
            raise Misdeclared(f"{_shown(annotation)}: a collection always exists and may be empty; leave out '| None'")
        if inner.counter:
            return Declared(inner.kind, True, counter=True)
        return replace(inner, nullable=True)

    def _backlinks(self, annotation: Any) -> Declared:
        source = self._evaluate(get_args(annotation)[0])
        if not self.is_model(source):
            raise Misdeclared(f"{_shown(annotation)}: backlinks come from a model class")
        return Declared(kinds.LINK, collection=kinds.LIST_COLLECTION, target=source, backlinks=True)

    def _collection(self, annotation: Any, collection: int) -> Declared:
        arguments = list(get_args(annotation))
        name = getattr(get_origin(annotation) or annotation, "__name__", str(annotation))
        has_keys = collection == kinds.DICTIONARY_COLLECTION and len(arguments) == 2
        if has_keys and self._evaluate(arguments.pop(0)) is not str:
            raise Misdeclared(f"{_shown(annotation)}: the keys of a dictionary are str")
        if len(arguments) != 1:
            raise Misdeclared(f"{name} needs the type of its elements, for instance {name}[int]")
        element = self._read(arguments[0])
        if element.collection != kinds.SINGLE_COLLECTION:
            raise Misdeclared(
                f"{_shown(annotation)}: collections do not nest; use List[Any], or a model class in between"
            )
        if element.counter:
            raise Misdeclared(f"{_shown(annotation)}: a Counter is a property of its own, not an element")
        nullable = element.nullable or (element.kind == kinds.LINK and collection == kinds.DICTIONARY_COLLECTION)
        return replace(element, nullable=nullable, collection=collection)


def _hashable(annotation: Any) -> bool:
    return getattr(type(annotation), "__hash__", None) is not None


def _shown(annotation: Any) -> str:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation).replace("typing.", "")
