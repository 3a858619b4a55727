"""When one stored value stands in a relation to another: true or false, also for nulls and NaN (spec/sdk.md §7.4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

from syncline.query.ast import Operator
from syncline.query.text import Fold, like, to_bytes
from syncline.query.text import fold as fold_text
from syncline.query.type_names import TypeSet
from syncline.values import Decimal128, ObjectId

__all__ = ["matches"]

_T = TypeVar("_T", str, bytes)


def matches(operator: Operator, left: object, right: object, fold: int = Fold.NOTHING) -> bool:
    """Whether ``left operator right`` is true of two stored values, either of which may be None."""
    if isinstance(left, TypeSet) and isinstance(right, TypeSet):
        return bool(left & right) == (operator is not Operator.NE)
    if operator.is_string:
        return _string_operator(operator, left, right, fold)
    if left is None or right is None:
        return _with_null(operator, left is None and right is None)
    left, right = _folded(left, fold), _folded(right, fold)
    if not _comparable(left, right):
        return operator is Operator.NE
    left, right = _ordered(left), _ordered(right)
    if left != left or right != right:  # a NaN equals nothing and has no order
        return operator is Operator.NE
    return _RELATIONS[operator](left, right)


_RELATIONS: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.EQ: lambda left, right: bool(left == right),
    Operator.IN: lambda left, right: bool(left == right),
    Operator.NE: lambda left, right: bool(left != right),
    Operator.LT: lambda left, right: bool(left < right),
    Operator.LE: lambda left, right: bool(left <= right),
    Operator.GT: lambda left, right: bool(left > right),
    Operator.GE: lambda left, right: bool(left >= right),
}


def _with_null(operator: Operator, both: bool) -> bool:
    """Null equals null, and so it is also ``<=`` and ``>=`` to it; it is unequal to everything else."""
    if operator is Operator.NE:
        return not both
    return both and operator in (Operator.EQ, Operator.IN, Operator.LE, Operator.GE)


def _comparable(left: object, right: object) -> bool:
    if _is_number(left) and _is_number(right):
        return True
    return type(left) is type(right)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal128) and not isinstance(value, bool)


def _ordered(value: Any) -> Any:
    """Something that Python orders as the database does: strings by bytes, decimals as numbers."""
    if isinstance(value, Decimal128):
        return math.nan if value.is_nan() else value.to_decimal()
    if isinstance(value, str):
        return to_bytes(value)
    if isinstance(value, list | dict):  # equal to each other, whatever is in them
        return 0
    return value.binary if isinstance(value, ObjectId) else value


def _folded(value: object, fold: int) -> object:
    if fold and isinstance(value, str):
        return fold_text(value, fold)
    if fold and isinstance(value, bytes):
        return to_bytes(fold_text(value.decode("utf-8", "surrogateescape"), fold))
    return value


def _string_operator(operator: Operator, subject: object, needle: object, fold: int) -> bool:
    """String operators; a null needle is in everything, but is *like* only null (spec/sdk.md §7.5)."""
    if needle is None:
        return subject is None or operator is not Operator.LIKE
    subject, needle = _folded(subject, fold), _folded(needle, fold)
    if isinstance(subject, str) and isinstance(needle, str):
        return (
            like(subject, needle) if operator is Operator.LIKE else _find(operator, to_bytes(subject), to_bytes(needle))
        )
    if isinstance(subject, bytes) and isinstance(needle, bytes):
        if operator is Operator.LIKE:
            return like(subject.decode("utf-8", "surrogateescape"), needle.decode("utf-8", "surrogateescape"))
        return _find(operator, subject, needle)
    return False


def _find(operator: Operator, subject: bytes, needle: bytes) -> bool:
    if operator is Operator.BEGINSWITH:
        return subject.startswith(needle)
    if operator is Operator.ENDSWITH:
        return subject.endswith(needle)
    return needle in subject
