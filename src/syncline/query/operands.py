"""What a resolved operand is: its type, one value or many, and how ALL and NONE group them (spec/sdk.md §7.3, §7.4)."""

from __future__ import annotations

from enum import Enum
from typing import Final
from uuid import UUID

from syncline.query.ast import (
    Aggregate,
    Aggregation,
    Argument,
    Arithmetic,
    Constant,
    ConstantList,
    IncomingCount,
    KeyedObject,
    Lengths,
    Operand,
    Path,
    Position,
    Quantifier,
    Size,
    Step,
    Subquery,
    TypeOf,
)
from syncline.query.type_names import TypeSet
from syncline.values import Decimal128, Float32, ObjectId, Timestamp, kinds

__all__ = [
    "NUMERIC",
    "TYPE",
    "Grouping",
    "always_has_value",
    "ends_in_values",
    "goes_with",
    "grouping",
    "is_plural",
    "is_plural_path",
    "kind_of",
    "kind_of_value",
    "member_grouping",
    "quantifier_of",
]

#: The kind of ``@type``: no value of a property, but a set of types.
TYPE: Final = -100

#: From the least to the largest type of number (spec/sdk.md §7.8).
NUMERIC: Final = (kinds.INT, kinds.FLOAT, kinds.DOUBLE, kinds.DECIMAL)


class Grouping(Enum):
    """What ALL and NONE range over: a comparison holds if it holds for one of the groups (spec/sdk.md §7.3)."""

    FLAT = "all values together"
    PER_COLLECTION = "the values of each innermost collection"
    PER_ELEMENT = "each value for itself"


def kind_of_value(value: object) -> int:
    """The kind of a stored value; MIXED for null, which goes with everything."""
    for types, kind in _KINDS:
        if isinstance(value, types):
            return kind
    if value is None:
        return kinds.MIXED
    if isinstance(value, KeyedObject) or hasattr(value, "object_key"):
        return kinds.LINK
    raise TypeError(f"not a stored value: {value!r}")


_KINDS: Final[tuple[tuple[type, int], ...]] = (
    (bool, kinds.BOOL),
    (int, kinds.INT),
    (Float32, kinds.FLOAT),
    (float, kinds.DOUBLE),
    (str, kinds.STRING),
    (bytes, kinds.BINARY),
    (Timestamp, kinds.TIMESTAMP),
    (Decimal128, kinds.DECIMAL),
    (ObjectId, kinds.OBJECT_ID),
    (UUID, kinds.UUID),
    (TypeSet, TYPE),
)


def kind_of(operand: Operand) -> int:
    """The static type of a resolved operand's values: a number of ``values.kinds``, or TYPE.

    MIXED for what can be anything: Mixed values, null, and lists of constants of several types.
    """
    match operand:
        case Constant(value):
            return kind_of_value(value)
        case ConstantList(values):
            kinds_of_values = {kind_of_value(value) for value in values if value is not None}
            return kinds_of_values.pop() if len(kinds_of_values) == 1 else kinds.MIXED
        case Path():
            return _kind_of_path(operand)
        case Size() | IncomingCount() | Lengths() | Subquery():
            return kinds.INT
        case TypeOf():
            return TYPE
        case Aggregate():
            return _kind_of_aggregate(operand)
        case Arithmetic(_, left, right):
            return _larger(kind_of(left), kind_of(right))
        case Argument():
            raise TypeError(f"{operand} is not bound")


def _kind_of_path(path: Path) -> int:
    if not path.steps:
        return kinds.LINK
    step = path.steps[-1]
    if step.backward:
        return kinds.LINK
    if Position.KEYS in (step.select, *path.inner[-1:]):
        return kinds.STRING
    return step.property.type


def _kind_of_aggregate(aggregate: Aggregate) -> int:
    kind = _kind_of_path(aggregate.member if aggregate.member is not None else aggregate.path)
    if aggregate.function in (Aggregation.MIN, Aggregation.MAX):
        return kind
    if kind in (kinds.MIXED, kinds.DECIMAL):
        return kinds.DECIMAL
    return kind if aggregate.function is Aggregation.SUM and kind == kinds.INT else kinds.DOUBLE


def goes_with(left: int, right: int) -> bool:
    """Whether values of the two kinds can ever be equal."""
    return left == right or kinds.MIXED in (left, right) or (left in NUMERIC and right in NUMERIC)


def _larger(left: int, right: int) -> int:
    """The type of what two numbers make; Mixed unless both types are known."""
    if left not in NUMERIC or right not in NUMERIC:
        return kinds.MIXED
    return max(left, right, key=NUMERIC.index)


def is_plural(operand: Operand) -> bool:
    """Whether the operand can have several values, so that quantifiers and the rules of lists apply to it."""
    match operand:
        case ConstantList():
            return True
        case Path():
            return is_plural_path(operand)
        case TypeOf(path):
            return is_plural_path(path)
        case Lengths():
            return True
        case Size(path) | Aggregate(_, path):
            return member_grouping(path) is not None
        case Arithmetic(_, left, right):
            return is_plural(left) or is_plural(right)
        case _:
            return False


def is_plural_path(path: Path) -> bool:
    """Whether a resolved path can lead to several values."""
    return any(step.plural for step in path.steps) or any(s in (Position.ALL, Position.KEYS) for s in path.inner)


def always_has_value(operand: Operand) -> bool:
    """Whether an operand that is not plural has a value for every object, if only null.

    There is none behind an index that a list does not reach, for what a Mixed value does not hold, and for the size of
    a null.
    """
    match operand:
        case Path(_, _, steps, inner):
            return not inner and all(step.select is None or isinstance(step.select, str) for step in steps)
        case TypeOf(path):
            return always_has_value(path)
        case Size(path):
            return kind_of(path) == kinds.LINK or (not path.inner and ends_in_values(path.steps[-1]))
        case Arithmetic(_, left, right):
            return always_has_value(left) and always_has_value(right)
        case _:
            return True


def quantifier_of(operand: Operand) -> Quantifier | None:
    """The quantifier written in front of an operand; of arithmetic that of its plural side."""
    match operand:
        case Path(_, quantifier) | ConstantList(_, quantifier) | Argument(_, quantifier):
            return quantifier
        case Size(path) | TypeOf(path) | Lengths(path) | Aggregate(_, path) | IncomingCount(path):
            return path.quantifier
        case Arithmetic(_, left, right):
            return quantifier_of(left) or quantifier_of(right)
        case _:
            return None


def grouping(path: Path) -> Grouping:
    """How the values of a resolved path are grouped."""
    if path.inner:
        if not any(s in (Position.ALL, Position.KEYS) for s in path.inner):
            plural_last = bool(path.steps) and path.steps[-1].plural
            return Grouping.PER_ELEMENT if plural_last else Grouping.FLAT
        return Grouping.PER_COLLECTION if path.inner[-1] in (Position.ALL, Position.KEYS) else Grouping.PER_ELEMENT
    return Grouping.PER_COLLECTION if path.steps and ends_in_values(path.steps[-1]) else Grouping.FLAT


def ends_in_values(step: Step) -> bool:
    """Whether a step leads to all values of a collection that holds no links, or to the keys of a dictionary."""
    return step.plural and not step.backward and (step.property.type != kinds.LINK or step.select is Position.KEYS)


def member_grouping(path: Path) -> Grouping | None:
    """For a size or aggregate of what ``path`` leads to: None if it is one number for all, otherwise how the numbers,
    one for each collection or value, are grouped: always in one group (spec/sdk.md §7.3, last sentence).
    """
    if not path.steps:
        return None
    last = path.steps[-1]
    if not path.inner and (last.backward or (last.property.type == kinds.LINK and last.select is not Position.KEYS)):
        return None
    if path.inner:
        before = any(step.plural for step in path.steps) or any(s is Position.ALL for s in path.inner[:-1])
        return Grouping.FLAT if before or path.inner[-1:] == (Position.ALL,) else None
    before = any(step.plural for step in path.steps[:-1])
    return Grouping.FLAT if before else None
