"""What live lists, sets and dictionaries share (spec/sdk.md §1.12, §6.6).

A live collection is a view of the file: every access reads the version its Realm is at, or the open write
transaction. It lives in a collection property, or inside a Mixed value.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self

from syncline.errors import InvalidatedObjectError, StaleAccessorError, WrongThreadError
from syncline.realm.converters import Converter
from syncline.realm.custom_types import custom_type
from syncline.realm.freezing import CollectionFreezing
from syncline.realm.live_object import DELETED
from syncline.realm.models import Model
from syncline.realm.schema import PropertyType
from syncline.storage.catalogue import PropertyInfo
from syncline.storage.columns import INT_MAX, INT_MIN
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.values import Float32, kinds
from syncline.values.order import sort_key

if TYPE_CHECKING:
    from syncline.realm.context import Context

__all__ = ["LiveCollection", "equality_key"]

#: How many elements a repr shows.
SHOWN: Final = 10


class LiveCollection(CollectionFreezing):
    """A collection of one object, or one inside a Mixed value. Not made by applications."""

    _context: Context
    _reference: CollectionRef
    _converter: Converter
    _place: PropertyInfo
    _epoch: int

    @classmethod
    def _make(cls, context: Context, reference: CollectionRef, converter: Converter) -> Self:
        """The live collection at ``reference``; ``converter`` is that of its elements."""
        self = cls.__new__(cls)
        self._context = context
        self._reference = reference
        self._converter = converter
        self._place = context.reader().element(reference)
        self._epoch = -1
        return self

    def __init__(self, *args: Any) -> None:
        raise TypeError(
            f"{type(self).__name__} is for annotations; assign a plain list, set or dict to the property instead"
        )

    @property
    def is_valid(self) -> bool:
        """Whether the object that owns the collection still exists in an open Realm."""
        if self._context.closed:
            return False
        try:
            self._read()
        except InvalidatedObjectError:
            return False
        return True

    def _read(self) -> Reader:
        """What to read from. Raises InvalidatedObjectError if the owner is gone."""
        context = self._context
        reader = context.reader()
        if self._epoch != context.epoch:
            with context.lock:
                exists = self._epoch != DELETED and reader.collection_exists(self._reference)
            if not exists and not self._reference.property_id:
                raise StaleAccessorError(
                    f"{self._converter.where}: another value took the place of this collection, or its object was "
                    "deleted; read it again"
                )
            if not exists:
                raise InvalidatedObjectError(
                    f"{self._converter.where}: the object this collection belongs to was deleted"
                )
            self._epoch = context.epoch
        return reader

    def _write(self) -> WriteTransaction:
        """The open write transaction. Raises WrongTransactionStateError, InvalidatedObjectError."""
        tx = self._context.writing()
        self._read()
        return tx

    def _changed(self) -> None:
        self._context.changes += 1

    def _after_removal(self) -> None:
        """An element is gone: what belonged to it, an embedded object or a nested collection, went with it."""
        if self._place.embedded or self._place.type == kinds.MIXED:
            self._context.touch()
        self._changed()

    def _replace(self, values: Iterable[Any] | None) -> None:
        """Make ``values`` the content."""
        self._write()
        self._context.assigner().fill(self._reference, self._converter, self._place, values)

    def _load(self, stored: Any) -> Any:
        load = self._converter.load
        return stored if load is None else load(stored, self._context)

    def _stored_or_none(self, value: Any) -> tuple[bool, Any]:
        """Whether ``value`` can be an element, and its stored form; adds nothing to the Realm."""
        if self._converter.kind in (kinds.LINK, kinds.MIXED) and isinstance(value, Model):
            binding = value._binding
            if binding is None or binding.context is not self._context or not binding.is_valid(value):
                return False, None
            return True, ObjectRef(binding.info.id, value._key)
        if self._converter.kind == kinds.LINK:
            return False, None
        try:
            stored = self._converter.store(value, self._context)
        except (TypeError, ValueError):
            return self._number_or_none(value)
        return type(stored) is not int or INT_MIN <= stored <= INT_MAX, stored

    def _number_or_none(self, value: Any) -> tuple[bool, Any]:
        """The element that a number of another type equals: 1.0 is in a set of ints that has 1, True is not."""
        kind = self._converter.kind
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or kind not in _NUMBERS:
            return False, None
        try:
            number = _NUMBERS[kind](value)
            if equality_key(number) != equality_key(value):
                return False, None
            return True, self._converter.store(number, self._context)
        except (TypeError, ValueError, ArithmeticError):
            return False, None

    def __len__(self) -> int:
        reader = self._read()
        with self._context.lock:
            return reader.size(self._reference)

    def __bool__(self) -> bool:
        return len(self) > 0

    __hash__ = None  # type: ignore[assignment]

    def _is_same(self, other: Any) -> bool:
        """Whether ``other`` is the same collection of the same object."""
        return (
            isinstance(other, LiveCollection)
            and self._reference == other._reference
            and self._context.file.path == other._context.file.path
        )

    def _shown(self, elements: Callable[[], Iterable[str]], brackets: str, name: str | None = None) -> str:
        """The text of repr; never raises."""
        name = name or type(self).__name__
        try:
            if not self.is_valid:
                return f"<{name} ({'closed' if self._context.closed else 'deleted'})>"
            size = len(self)
            parts = list(islice(elements(), SHOWN))
        except WrongThreadError:
            return f"<{name} (on another thread)>"
        more = ", …" if size > SHOWN else ""
        return f"<{name} {brackets[0]}{', '.join(parts)}{more}{brackets[1]} ({size} items)>"


def equality_key(value: Any) -> Hashable:
    """What two values have in common if they are one to a set of the database (spec/sdk.md §1.11.1): 1, 1.0 and
    Decimal(1) are, 1 and True are not. A value that no Realm can hold is equal to itself only.
    """
    if isinstance(value, Model):
        binding = value._binding
        return ("unmanaged", id(value)) if binding is None else (binding.identity, value._key)
    custom = custom_type(type(value))
    try:
        return sort_key(_ANYTHING.store_scalar(value if custom is None else custom.to_stored(value)))
    except (TypeError, ValueError):
        return "other", id(value)


#: What makes a number one of another type.
_NUMBERS: Final[dict[int, Callable[[Any], Any]]] = {
    kinds.INT: int,
    kinds.FLOAT: Float32,
    kinds.DOUBLE: float,
    kinds.DECIMAL: Decimal,
}

_ANYTHING: Final = Converter("a value", PropertyType(kinds.MIXED, nullable=True))
