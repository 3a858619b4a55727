"""Constants become stored values of the type of what they are compared with (spec/sdk.md §7.9)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Final, TypeAlias
from uuid import UUID

from syncline.errors import QueryArgumentError, QueryError, QueryTypeError
from syncline.query.arithmetic import is_number
from syncline.query.ast import (
    ClassLike,
    Constant,
    ConstantList,
    FloatLiteral,
    KeyedObject,
    LinkLiteral,
    ObjectLiteral,
    Operand,
    Path,
    SchemaLike,
)
from syncline.query.operands import NUMERIC, TYPE, goes_with, kind_of, kind_of_value
from syncline.query.paths import Names
from syncline.query.text import half_character
from syncline.query.type_names import TypeSet, types_named
from syncline.values import Decimal128, Float32, ObjectId, Timestamp, kinds

__all__ = ["Constants", "Misfit", "Referrer", "kind_name", "to_stored"]

#: What an application's object is in the database: the reference to its row. Given the object, or its numbers, and the
#: class a link leads to (None where any class will do). Raises QueryError or TypeMismatchError for anything else.
Referrer: TypeAlias = "Callable[[object, ClassLike | None], object]"

_INT_MIN: Final = -(1 << 63)
_INT_MAX: Final = (1 << 63) - 1


class Misfit(Exception):
    """A constant that does not go with the other operand; the reason, and the class of the error it becomes."""

    def __init__(self, reason: str, error: type[QueryError]) -> None:
        super().__init__(reason)
        self.error = error


def kind_name(kind: int) -> str:
    """The name of a type, for messages."""
    return {kinds.MIXED: "mixed", TYPE: "@type"}.get(kind) or kinds.KIND_NAMES[kind]


def to_stored(value: object) -> object:
    """The stored form of a scalar; None for null and for whatever is no scalar. Raises ValueError with the reason."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone: use an aware datetime, for instance in UTC")
        return Timestamp.from_datetime(value)
    if isinstance(value, Decimal):
        return Decimal128.from_decimal(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str) and half_character(value) is not None:
        raise ValueError(f"{value[:60]!a} has half a surrogate pair, which is no character")
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if _INT_MIN <= value <= _INT_MAX else Decimal128.from_decimal(value)
    if isinstance(value, bool | float | str | bytes | Timestamp | Decimal128 | ObjectId | UUID):
        return value
    return None


class Constants:
    """Coerces the constants of one query."""

    def __init__(self, schema: SchemaLike, names: Names, refer: Referrer) -> None:
        self.schema = schema
        self.names = names
        self.refer = refer

    def single(self, constant: Constant, other: Operand) -> Constant:
        """A constant that is compared with ``other``. Raises Misfit."""
        value = constant.value
        try:
            stored = self._coerced(value, other, parse_text=not constant.given)
        except Misfit as misfit:
            if constant.given:
                misfit.error = QueryArgumentError
            raise
        if stored is not None and not goes_with(kind_of_value(stored), kind_of(other)):
            raise Misfit(
                f"{_described(other)} cannot be compared with {_type_of(value)} {value!r}",
                QueryArgumentError if constant.given else QueryTypeError,
            )
        return replace(constant, value=stored, origin=_origin(value, stored))

    def listed(self, constants: ConstantList, other: Operand) -> ConstantList:
        """A list that is compared with ``other``: elements of another type stay as they are, and never match."""
        values = tuple(self._coerced(value, other, True) for value in constants.values)
        origins = tuple(map(_origin, constants.values, values))
        if any(origin is not None for origin in origins):
            mixed = tuple(v if o is None else o for v, o in zip(values, origins, strict=True))
            return replace(constants, values=values, origins=mixed)
        return replace(constants, values=values)

    def number(self, constant: Constant, kind: int) -> Constant:
        """A constant that is calculated with, where the other side is a number of that kind. Raises Misfit."""
        value = constant.value
        if not is_number(value) and not isinstance(value, Decimal):
            raise Misfit(f"{value!r} is no number, so nothing can be calculated with it", QueryTypeError)
        stored = self._scalar(value)
        if kind == kinds.DECIMAL:
            stored = _to_decimal(stored)
        return replace(constant, value=float(stored) if isinstance(stored, FloatLiteral) else stored)

    def _coerced(self, value: object, other: Operand, parse_text: bool) -> object:
        kind = kind_of(other)
        if value is None:
            return None
        if kind == TYPE:
            return _types(value)
        if isinstance(value, ObjectLiteral):
            return self._keyed(value, _target(other), kind)
        if isinstance(value, LinkLiteral):
            return self._numbered(value, _target(other), kind)
        if kind == kinds.LINK:
            return self._object(value, _target(other))
        stored = self._scalar(value)
        if stored is None:
            if kind != kinds.MIXED:
                advice = f": queries see what is stored, such as {value}.value" if isinstance(value, Enum) else ""
                raise Misfit(f"{type(value).__name__} is no value that a property can hold{advice}", QueryArgumentError)
            return self._object(value, None)
        if kind not in NUMERIC:
            return float(stored) if isinstance(stored, FloatLiteral) else stored
        if isinstance(stored, str) and parse_text:
            stored = _parsed(stored)
        return _number(stored, kind) if is_number(stored) else stored

    def _scalar(self, value: object) -> object:
        try:
            return to_stored(value)
        except ValueError as error:
            raise Misfit(str(error), QueryArgumentError) from None

    # --- links ---

    def _object(self, value: object, target: ClassLike | None) -> object:
        try:
            return self.refer(value, target)
        except QueryError as error:
            raise Misfit(str(error), QueryArgumentError) from None

    def _keyed(self, literal: ObjectLiteral, target: ClassLike | None, kind: int) -> KeyedObject:
        cls = self.names.find_class(self.schema, literal.class_name)
        if cls is None:
            raise Misfit(f"there is no class {literal.class_name!r}", QueryTypeError)
        self._check_target(cls, target, kind)
        key = self._scalar(literal.key)
        if cls.primary_key is None:
            raise Misfit(f"{cls.name} has no primary key, so none of its objects can be named", QueryTypeError)
        expected = cls.primary_key.type
        if literal.key is not None and (key is None or kind_of_value(key) != expected):
            raise Misfit(f"{cls.name}.{cls.primary_key.name} is of type {kind_name(expected)}", QueryArgumentError)
        return KeyedObject(cls, key)

    def _numbered(self, literal: LinkLiteral, target: ClassLike | None, kind: int) -> object:
        if literal.class_id is None:
            if target is None:
                raise Misfit("the class of the object is not known here: write L<class>:<object>", QueryTypeError)
            return self._object(LinkLiteral(target.id, literal.object_key), target)
        cls = next((cls for cls in self.schema.classes.values() if cls.id == literal.class_id), None)
        if cls is None:
            raise Misfit(f"there is no class number {literal.class_id}", QueryTypeError)
        self._check_target(cls, target, kind)
        return self._object(literal, cls)

    def _check_target(self, cls: ClassLike, target: ClassLike | None, kind: int) -> None:
        if kind not in (kinds.LINK, kinds.MIXED):
            raise Misfit(f"an object of {cls.name} cannot be compared with {kind_name(kind)}", QueryTypeError)
        if target is not None and cls.id != target.id:
            raise Misfit(f"a link to {target.name} cannot be compared with an object of {cls.name}", QueryArgumentError)


def _target(other: Operand) -> ClassLike | None:
    """The class that a path of links leads to; None where any class will do."""
    if isinstance(other, Path) and other.steps and kind_of(other) == kinds.LINK:
        return other.steps[-1].target
    return None


def _types(value: object) -> TypeSet:
    found = types_named(value) if isinstance(value, str) else None
    if found is not None:
        return found
    if isinstance(value, str):
        raise Misfit(
            f"there is no type {value!r}; there are int, string, date, object, list and others", QueryTypeError
        )
    raise Misfit(f"@type is compared with the name of a type, such as 'int', not with {value!r}", QueryTypeError)


def _origin(value: object, stored: object) -> object:
    """What stays of a constant for printing: of links and types what was written."""
    return value if isinstance(stored, TypeSet | KeyedObject) or hasattr(stored, "object_key") else None


def _described(other: Operand) -> str:
    return kind_name(kind_of(other))


def _type_of(value: object) -> str:
    return "float" if isinstance(value, FloatLiteral) else type(value).__name__


# --- numbers ----------------------------------------------------------------------------------------------------------


_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,40}")
_FLOATING: Final = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)


def _parsed(text: str) -> object:
    """The number that a text is as a whole; the text itself if it is none."""
    if _INTEGER.fullmatch(text):
        return to_stored(int(text))
    return FloatLiteral(text) if _FLOATING.fullmatch(text) else text


def _number(value: object, kind: int) -> object:
    """A number constant as a property of that kind would hold it, if it can; numbers compare by value in any case."""
    if kind == kinds.DECIMAL:
        return _to_decimal(value)
    if isinstance(value, float) and kind == kinds.INT:
        if math.isinf(value) or (math.isnan(value) and isinstance(value, Float32)):
            raise Misfit(f"{value} cannot be compared with an integer", QueryArgumentError)
        if value.is_integer() and _INT_MIN <= value <= _INT_MAX:
            return int(value)
    if isinstance(value, float) and kind == kinds.FLOAT and math.isfinite(value):
        return Float32(value)
    return float(value) if isinstance(value, FloatLiteral) else value


def _to_decimal(value: object) -> object:
    """A double as the shortest decimal that reads back as it; what the text has, exactly."""
    try:
        if isinstance(value, FloatLiteral):
            return Decimal128.from_text(value.text)
        if isinstance(value, float):
            return Decimal128.from_text(str(value))
        return Decimal128.from_decimal(value) if isinstance(value, int) else value
    except ValueError as error:
        raise Misfit(str(error), QueryArgumentError) from None
