"""Between what the application holds and what storage holds (spec/sdk.md §1.1, §1.11).

Most values are the same on both sides. Dates are ``datetime`` here and Timestamp there, decimals ``Decimal`` and
Decimal128, links model objects and references. A :class:`Converter` does this for one property or kind of element, and
says what is wrong with a value in terms of the model: *Dog.age: expected int, got str 'x'*.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from decimal import Decimal
from numbers import Real
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

from syncline.errors import IllegalOperationError, LimitExceededError, PropertyNotNullableError, TypeMismatchError
from syncline.realm.custom_types import CustomType
from syncline.realm.schema import PropertyType
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import Decimal128, Float32, ObjectId, Timestamp, kinds
from syncline.values.numbers import plain_number

__all__ = ["Context", "Converter", "describe", "load_mixed", "no_index", "no_property", "place_number"]


class Context(Protocol):
    """What converting needs of an open Realm."""

    def reference(self, value: Any, target: str | None, where: str, expected: str) -> ObjectRef:
        """The row of an object; unmanaged objects and mappings are added first. ``target`` None: any class will do."""

    def object_at(self, reference: ObjectRef) -> Any:
        """The live object of a row."""

    def collection(self, reference: CollectionRef) -> Any:
        """The live collection inside a Mixed value."""


#: What a Mixed place expects, in errors.
ANYTHING: Final = "a value that a Realm can hold"

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1

#: A function that turns a value into its stored form, given the place to name in errors.
Check: TypeAlias = Callable[[Any, str], Any]


def describe(value: object) -> str:
    """A value as errors show it: its type, and itself if it is short."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '…'}"


def no_index(value: object, where: str) -> TypeMismatchError:
    """The error for what is no index."""
    return TypeMismatchError(f"{where}: an index is an int, got {describe(value)}")


def place_number(index: object, where: str) -> int:
    """An index as an ``int``, also one of numpy. Raises TypeMismatchError for anything else."""
    try:
        return operator.index(index)  # type: ignore[arg-type]
    except TypeError:
        raise no_index(index, where) from None


def no_property(value: object) -> TypeMismatchError:
    """The error for what is neither a property nor the name of one."""
    return TypeMismatchError(f"expected a property such as Dog.age or 'age', got {describe(value)}")


def _mismatch(where: str, expected: str, value: object, advice: str = "") -> TypeMismatchError:
    got = "None" if value is None else describe(value)
    return TypeMismatchError(f"{where}: expected {expected}, got {got}{advice}")


def _int(value: Any, where: str) -> int:
    if isinstance(value, bool):
        raise _mismatch(where, "int", value)
    try:
        number = operator.index(value)
    except TypeError:
        raise _mismatch(where, "int", value) from None
    if not INT_MIN <= number <= INT_MAX:
        raise LimitExceededError(f"{where}: {number} does not fit into a signed 64-bit integer")
    return number


def _bool(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _mismatch(where, "bool", value)
    return value


def _str(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _mismatch(where, "str", value)
    return str(value)


def _bytes(value: Any, where: str) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise _mismatch(where, "bytes", value)
    return bytes(value)


def _float(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _mismatch(where, "float", value)
    try:
        return float(value)
    except OverflowError:
        raise LimitExceededError(f"{where}: {value} is too large for a float") from None
    except TypeError:  # a time span of numpy calls itself Real
        raise _mismatch(where, "float", value) from None


def _float32(value: Any, where: str) -> float:
    return float(Float32(_float(value, where)))


def _timestamp(value: Any, where: str) -> Timestamp:
    if isinstance(value, Timestamp):
        return value
    if not isinstance(value, datetime):
        raise _mismatch(where, "datetime", value)
    if value.tzinfo is None:
        raise _mismatch(
            where, "an aware datetime", value, ", which has no time zone; use datetime.now(UTC) or tzinfo=UTC"
        )
    return Timestamp.from_datetime(value)


def _decimal(value: Any, where: str) -> Decimal128:
    if isinstance(value, Decimal128):
        return value
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        advice = "; use Decimal(str(value))" if isinstance(value, float) else ""
        raise _mismatch(where, "Decimal", value, advice)
    try:
        return Decimal128.from_decimal(value)
    except ValueError as error:
        raise LimitExceededError(f"{where}: {error}") from None


def _object_id(value: Any, where: str) -> ObjectId:
    if not isinstance(value, ObjectId):
        raise _mismatch(where, "ObjectId", value, "; use ObjectId(value)" if isinstance(value, str) else "")
    return value


def _uuid(value: Any, where: str) -> UUID:
    if not isinstance(value, UUID):
        raise _mismatch(where, "UUID", value, "; use UUID(value)" if isinstance(value, str) else "")
    return value


class _Nothing:
    """The exact type of places where every value is converted."""


#: By kind: the type that needs no conversion, and the function for every other value.
SCALARS: Final[dict[int, tuple[type, Check]]] = {
    kinds.INT: (int, _int),
    kinds.BOOL: (bool, _bool),
    kinds.STRING: (str, _str),
    kinds.BINARY: (bytes, _bytes),
    kinds.DOUBLE: (float, _float),
    kinds.FLOAT: (_Nothing, _float32),
    kinds.TIMESTAMP: (Timestamp, _timestamp),
    kinds.DECIMAL: (Decimal128, _decimal),
    kinds.OBJECT_ID: (ObjectId, _object_id),
    kinds.UUID: (UUID, _uuid),
}


def _load_timestamp(value: Timestamp) -> datetime | Timestamp:
    """A datetime where it can say the same; otherwise the Timestamp, so that nothing is lost (spec/sdk.md §1.1.1)."""
    if value.nanoseconds % 1000:
        return value
    try:
        return value.to_datetime()
    except OverflowError:
        return value


class Converter:
    """Converts values of one property, or of the elements of one collection property.

    ``where`` names the place in errors. A value of exactly the type ``exact`` is stored as it is (storage checks
    ranges). ``load`` turns a stored value into the application's, given the Realm it comes from; None where they are
    the same.
    """

    def __init__(
        self, where: str, type: PropertyType, exact_timestamps: bool = False, custom: CustomType | None = None
    ) -> None:
        self.where = where
        self.type = type
        self.kind = type.kind
        self.nullable = type.nullable
        self.exact: Any = None
        self._check: Check | None = None
        if self.kind in SCALARS:
            self.exact, self._check = SCALARS[self.kind]
        #: the place holds scalars: no links, nothing of varying type
        self.is_scalar = self._check is not None
        self.load = _loader(self.kind, exact_timestamps)
        self.custom = custom
        if custom is not None and self._check is not None:
            self.exact, self._check = _Nothing, _custom_check(custom, self._check)
            self.load = _custom_loader(custom, self.load)

    def store(self, value: Any, context: Context) -> Any:
        """The stored form of a value, for a place that holds it directly.

        Objects of this Realm become references; unmanaged ones and mappings under a link are added to the Realm first.
        Raises TypeMismatchError, LimitExceededError, InvalidatedObjectError. Embedded objects and collections in a
        Mixed are not stored as values: see :mod:`syncline.realm.assigning`.
        """
        if type(value) is self.exact:
            return value
        if value is None:
            if self.nullable:
                return None
            raise self._null()
        if self._check is not None:
            return self._check(value, self.where)
        if self.kind == kinds.LINK:
            return context.reference(value, self.type.target, self.where, self._expected())
        return self.store_mixed(value, context)

    def store_mixed(self, value: Any, context: Context) -> Any:
        """The stored form of a value in a Mixed place that is no collection."""
        stored = self._scalar_in_mixed(value)
        if stored is None:
            self._refuse_set(value)
            return context.reference(value, None, self.where, ANYTHING)
        return stored

    def store_scalar(self, value: Any) -> Any:
        """The stored form of null or a scalar in a Mixed place. Raises TypeMismatchError, LimitExceededError."""
        stored = self._scalar_in_mixed(value)
        if stored is None and value is not None:
            raise _mismatch(self.where, ANYTHING, value)
        return stored

    def check(self, value: Any, is_object: Callable[[Any, str | None], bool]) -> None:
        """Raise TypeMismatchError or LimitExceededError if the place can never hold ``value``; needs no Realm.

        ``is_object(value, name)`` tells whether it is an object of the class of that stored name (None: of any class).
        """
        if value is None:
            if not self.nullable:
                raise self._null()
        elif self._check is not None:
            self._check(value, self.where)
        elif self.kind == kinds.LINK:
            if not (isinstance(value, Mapping) or is_object(value, self.type.target)):
                raise _mismatch(self.where, self._expected(), value)
        elif not (isinstance(value, Mapping | list | tuple) or self._is_scalar(value) or is_object(value, None)):
            self._refuse_set(value)
            raise _mismatch(self.where, ANYTHING, value)

    def _refuse_set(self, value: Any) -> None:
        """Raise IllegalOperationError for a set, which no Mixed value can be (spec/sdk.md §1.11)."""
        if isinstance(value, AbstractSet):
            raise IllegalOperationError(
                f"{self.where}: a Mixed value cannot be a set; give a list, got {describe(value)}"
            )

    def _is_scalar(self, value: Any) -> bool:
        return self._scalar_in_mixed(value) is not None

    def _scalar_in_mixed(self, value: Any) -> Any:
        for accepted, kind in _MIXED:
            if isinstance(value, accepted):
                return value if kind is None else SCALARS[kind][1](value, self.where)
        number = plain_number(value)
        return None if number is value else self._scalar_in_mixed(number)

    def _expected(self) -> str:
        return f"{self.type.target} or None" if self.nullable else str(self.type.target)

    def _null(self) -> PropertyNotNullableError:
        return PropertyNotNullableError(
            f"{self.where}: cannot be None; declare it as '{_annotation(self.type)} | None' if it may be"
            if self.type.collection == kinds.SINGLE_COLLECTION
            else f"{self.where}: its elements cannot be None"
        )


#: What a Mixed place takes, in the order to try; bool before int. None as the kind: as it is.
_MIXED: Final[tuple[tuple[Any, int | None], ...]] = (
    (bool, None),
    (int, kinds.INT),
    (Float32, None),
    (float, kinds.DOUBLE),
    (str, kinds.STRING),
    ((bytes, bytearray, memoryview), kinds.BINARY),
    (Timestamp, None),
    (datetime, kinds.TIMESTAMP),
    ((Decimal, Decimal128), kinds.DECIMAL),
    ((ObjectId, UUID), None),
)


def _annotation(type: PropertyType) -> str:
    return type.target or _ANNOTATIONS[type.kind]


_ANNOTATIONS: Final = {
    kinds.INT: "int",
    kinds.BOOL: "bool",
    kinds.STRING: "str",
    kinds.BINARY: "bytes",
    kinds.TIMESTAMP: "datetime",
    kinds.FLOAT: "Float32",
    kinds.DOUBLE: "float",
    kinds.DECIMAL: "Decimal",
    kinds.OBJECT_ID: "ObjectId",
    kinds.UUID: "UUID",
}


def _custom_check(custom: CustomType, check: Check) -> Check:
    def checked(value: Any, where: str) -> Any:
        if not isinstance(value, custom.python_type):
            raise _mismatch(where, custom.python_type.__name__, value)
        return check(custom.to_stored(value), where)

    return checked


def _custom_loader(custom: CustomType, load: Loader | None) -> Loader:
    def loaded(value: Any, context: Context) -> Any:
        if value is None:
            return None
        return custom.from_stored(value if load is None else load(value, context))

    return loaded


Loader: TypeAlias = "Callable[[Any, Context], Any]"


def _loader(kind: int, exact_timestamps: bool) -> Loader | None:
    if kind == kinds.TIMESTAMP:
        return None if exact_timestamps else lambda value, _: None if value is None else _load_timestamp(value)
    if kind == kinds.DECIMAL:
        return lambda value, _: None if value is None else value.to_decimal()
    if kind == kinds.LINK:
        return lambda value, context: None if value is None else context.object_at(value)
    if kind == kinds.MIXED:
        return load_mixed
    return None


def load_mixed(value: Any, context: Context) -> Any:
    """What the application sees of a value in a Mixed place."""
    if isinstance(value, Timestamp):
        return _load_timestamp(value)
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, ObjectRef):
        return context.object_at(value)
    if isinstance(value, CollectionRef):
        return context.collection(value)
    return value
