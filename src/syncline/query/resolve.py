"""From names to meaning: checks a query against a schema (spec/sdk.md §7.3, §7.4, §7.9).

Resolution fills in the steps of every path, refuses comparisons that can never make sense, and turns constants into
stored values: ``datetime`` into Timestamp, ``Decimal`` into Decimal128, objects into references to rows. Paths end up
on the left and constants on the right, so that compiler and evaluator have fewer cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Final, NoReturn
from uuid import UUID

from syncline.errors import PropertyError, QueryError
from syncline.query.ast import (
    Always,
    And,
    Between,
    ClassLike,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    Limit,
    Not,
    Operand,
    Operator,
    Or,
    Path,
    Predicate,
    PropertyLike,
    Query,
    SchemaLike,
    Size,
    Sort,
    SortKey,
    Stage,
    Step,
)
from syncline.query.printing import to_rql
from syncline.values import Decimal128, Float32, ObjectId, Timestamp, kinds

__all__ = ["Names", "Referrer", "is_plural", "resolve"]

#: What an application's object is in the database: the reference to its row. Given the object and the class a link
#: leads to (None where any class will do). Raises QueryError or TypeMismatchError for anything else.
Referrer = Callable[[object, "ClassLike | None"], object]

#: Public property names of a class where they differ from the stored ones: class name → public → stored.
Names = Mapping[str, Mapping[str, str]]

_NUMERIC: Final = frozenset({kinds.INT, kinds.FLOAT, kinds.DOUBLE, kinds.DECIMAL})
_TEXTUAL: Final = frozenset({kinds.STRING, kinds.BINARY, kinds.MIXED})
_SORTABLE: Final = frozenset(
    {kinds.MIXED, kinds.INT, kinds.BOOL, kinds.STRING, kinds.TIMESTAMP, kinds.FLOAT, kinds.DOUBLE, kinds.DECIMAL}
    | {kinds.OBJECT_ID, kinds.UUID}
)
_MIRRORED: Final = {
    Operator.EQ: Operator.EQ,
    Operator.NE: Operator.NE,
    Operator.LT: Operator.GT,
    Operator.LE: Operator.GE,
    Operator.GT: Operator.LT,
    Operator.GE: Operator.LE,
}


def resolve(query: Query, cls: ClassLike, schema: SchemaLike, refer: Referrer, names: Names | None = None) -> Query:
    """The same query with everything looked up and checked.

    Raises PropertyError for unknown names and QueryError for whatever cannot be asked.
    """
    resolver = _Resolver(cls, schema, refer, names or {})
    predicate = resolver.predicate(query.predicate)
    return Query(predicate, tuple(resolver.stage(stage) for stage in query.stages))


def is_plural(path: Path) -> bool:
    """Whether a resolved path can lead to several values."""
    return any(step.property.collection != kinds.SINGLE_COLLECTION for step in path.steps)


class _Resolver:
    """Resolves against one class; stateless apart from what it was given."""

    def __init__(self, cls: ClassLike, schema: SchemaLike, refer: Referrer, names: Names) -> None:
        self.cls = cls
        self.schema = schema
        self.refer = refer
        self.names = names

    # --- predicates ---

    def predicate(self, node: Predicate) -> Predicate:
        match node:
            case Always():
                return node
            case And(terms):
                return And(tuple(self.predicate(term) for term in terms))
            case Or(terms):
                return Or(tuple(self.predicate(term) for term in terms))
            case Not(term):
                return Not(self.predicate(term))
            case Compare(Operator.IN):
                return self._in(node)
            case Compare():
                return self._compare(node)
            case Between():
                return self._between(node)
            case _:
                raise QueryError(f"{node} cannot be asked")

    def _compare(self, node: Compare) -> Compare:
        left, right, operator = self._operand(node.left), self._operand(node.right), node.operator
        if isinstance(left, Constant) and isinstance(right, Constant):
            self._refuse(node, "compares two constants")
        if isinstance(left, Constant) or (_plural(right) and not _plural(left)):
            if operator not in _MIRRORED:
                self._refuse(node, f"{operator.value} needs its property on the left")
            left, right, operator = right, left, _MIRRORED[operator]
        if _plural(right):
            self._refuse(node, "compares two collections; compare a collection with a value or a single property")
        assert isinstance(left, Path | Size)
        kind = _kind(left)
        if operator.is_string or node.fold:
            self._check_textual(node, operator, left, right)
        if kind == kinds.LINK and operator not in (Operator.EQ, Operator.NE):
            self._refuse(node, "links can only be compared with == and !=")
        if isinstance(right, Constant):
            if right.value is None and kind == kinds.LINK and _ends_in_collection(left):
                self._refuse(node, "a collection of links holds no nulls; ask for its .count() instead")
            right = Constant(self._coerce(node, right.value, left))
            if operator.is_order and hasattr(right.value, "object_key"):
                self._refuse(node, "links can only be compared with == and !=")
        elif kind == kinds.LINK == _kind(right) and _target_of(left) != _target_of(right):
            self._refuse(node, "compares links to different classes, which are never equal")
        elif not _comparable(kind, _kind(right)):
            self._refuse(node, f"a property of type {_name(left)} cannot be compared with one of type {_name(right)}")
        return Compare(operator, left, right, node.fold)

    def _in(self, node: Compare) -> Compare:
        assert isinstance(node.left, Path | Size)
        assert isinstance(node.right, ConstantList)
        operand = self._countable(node.left)
        if node.fold and _kind(operand) not in _TEXTUAL:
            self._refuse(node, "only strings and data can ignore case")
        values = tuple(self._coerce(node, value, operand) for value in node.right.values)
        return Compare(Operator.IN, operand, ConstantList(values), node.fold)

    def _between(self, node: Between) -> Between:
        assert isinstance(node.operand, Path | Size)
        operand = self._countable(node.operand)
        if _kind(operand) == kinds.LINK:
            self._refuse(node, "links have no order")
        low, high = (
            Constant(self._coerce(node, bound.value, operand))
            for bound in (node.low, node.high)
            if isinstance(bound, Constant)
        )
        if low.value is None or high.value is None:
            self._refuse(node, "a bound is null; give two values")
        return Between(operand, low, high)

    def _check_textual(self, node: Compare, operator: Operator, left: Path | Size, right: Operand) -> None:
        what = operator.value if operator.is_string else "ignoring case"
        if _kind(left) not in _TEXTUAL:
            self._refuse(node, f"{what} needs a string or data on the left, not {_name(left)}")
        if isinstance(right, Constant):
            if right.value is not None and not isinstance(right.value, str | bytes):
                self._refuse(node, f"{what} needs a string or data on the right, not {type(right.value).__name__}")
        elif _kind(right) not in _TEXTUAL:
            self._refuse(node, f"{what} needs a string or data on the right, not {_name(right)}")

    # --- operands ---

    def _operand(self, operand: Operand) -> Operand:
        assert isinstance(operand, Constant | Path | Size)
        return operand if isinstance(operand, Constant) else self._countable(operand)

    def _countable(self, operand: Path | Size) -> Path | Size:
        if isinstance(operand, Path):
            return self.path(operand)
        path = self.path(operand.path)
        leaf = path.steps[-1].property
        single = leaf.collection == kinds.SINGLE_COLLECTION
        if single and leaf.type not in (kinds.LINK, kinds.STRING, kinds.BINARY):
            raise QueryError(f"{operand}: a value of type {kinds.KIND_NAMES[leaf.type]} has no size")
        if single and leaf.type != kinds.LINK and is_plural(path):
            raise QueryError(f"{operand}: the size of strings behind a collection cannot be asked")
        return Size(path)

    def path(self, path: Path) -> Path:
        """The path with its steps. Raises PropertyError for an unknown name, QueryError where no path can go on."""
        steps: list[Step] = []
        cls: ClassLike | None = self.cls
        for number, name in enumerate(path.elements):
            assert isinstance(name, str)
            if cls is None:
                before = ".".join(map(str, path.elements[:number]))
                raise QueryError(f"{path}: {before} is no link, so {name!r} cannot follow it")
            prop = self._property(cls, name)
            target = self._target(prop)
            steps.append(Step(cls, prop, target))
            cls = target
        resolved = Path(tuple(step.property.name for step in steps), path.quantifier, tuple(steps))
        if path.quantifier is not None and not is_plural(resolved):
            raise QueryError(f"{path}: {path.quantifier.value} needs a path that goes through a collection")
        return resolved

    def _property(self, cls: ClassLike, name: str) -> PropertyLike:
        public = self.names.get(cls.name, {})
        prop = cls.properties.get(public.get(name, name))
        if prop is not None:
            return prop
        near = get_close_matches(name, [*public, *cls.properties], n=1)
        hint = f": did you mean {near[0]!r}?" if near else f"; it has {', '.join(cls.properties) or 'none'}"
        raise PropertyError(f"{cls.name} has no property {name!r}{hint}")

    def _target(self, prop: PropertyLike) -> ClassLike | None:
        return self.schema.find(prop.target) if prop.type == kinds.LINK and prop.target else None

    # --- constants ---

    def _coerce(self, node: Predicate, value: object, operand: Path | Size) -> object:
        """The stored form of a constant that is compared with ``operand`` (spec/sdk.md §7.9)."""
        if value is None:
            return None
        kind = _kind(operand)
        if kind == kinds.LINK:
            assert isinstance(operand, Path)
            return self.refer(value, operand.steps[-1].target)
        try:
            stored = _stored(value)
        except ValueError as error:
            self._refuse(node, str(error))
        if stored is None:
            if kind == kinds.MIXED:
                return self.refer(value, None)
            self._refuse(node, f"{type(value).__name__} is no value that a property can hold")
        if kind == kinds.MIXED:
            return stored
        if kind in _NUMERIC and _is_number(stored):
            return _coerce_number(stored, kind)
        if kind != _kind_of_value(stored):
            self._refuse(node, f"{_name(operand)} cannot be compared with {type(value).__name__} {value!r}")
        return stored

    # --- stages ---

    def stage(self, stage: Stage) -> Stage:
        match stage:
            case Sort(keys):
                return Sort(tuple(self._sort_key(key) for key in keys))
            case Distinct(paths):
                return Distinct(tuple(self._value_path(path, "DISTINCT") for path in paths))
            case Limit(count):
                if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                    raise QueryError(f"limit({count!r}): give a number that is not negative")
                return stage

    def _sort_key(self, key: SortKey) -> SortKey:
        path = self._value_path(key.path, "sort")
        kind = path.steps[-1].property.type
        if kind not in _SORTABLE:
            raise QueryError(f"cannot sort by {path}: values of type {kinds.KIND_NAMES[kind]} have no order")
        return SortKey(path, key.ascending)

    def _value_path(self, path: Path, verb: str) -> Path:
        resolved = self.path(path)
        if is_plural(resolved):
            raise QueryError(f"cannot {verb} by {path}: it goes through a collection")
        return resolved

    def _refuse(self, node: Predicate, why: str) -> NoReturn:
        raise QueryError(f"{to_rql(node)}: {why}")


def _plural(operand: Operand) -> bool:
    match operand:
        case Constant():
            return False
        case Size(path):
            return _many_numbers(path)
        case Path():
            return is_plural(operand)
        case _:
            return False


def _many_numbers(path: Path) -> bool:
    """Whether a size is one number for each of several collections (spec/sdk.md §7.6)."""
    leaf = path.steps[-1].property
    return leaf.type != kinds.LINK and is_plural(replace(path, steps=path.steps[:-1]))


def _ends_in_collection(operand: Path | Size) -> bool:
    return isinstance(operand, Path) and operand.steps[-1].property.collection != kinds.SINGLE_COLLECTION


def _kind(operand: Operand) -> int:
    if isinstance(operand, Path):
        return operand.steps[-1].property.type
    return kinds.INT


def _target_of(operand: Operand) -> str | None:
    return operand.steps[-1].property.target if isinstance(operand, Path) else None


def _name(operand: Operand) -> str:
    kind = _kind(operand)
    return "mixed" if kind == kinds.MIXED else kinds.KIND_NAMES[kind]


def _comparable(left: int, right: int) -> bool:
    return left == right or kinds.MIXED in (left, right) or (left in _NUMERIC and right in _NUMERIC)


def _stored(value: object) -> object | None:
    """The stored form of a scalar, None for anything that is no scalar."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise QueryError(f"{value!r} has no time zone: use an aware datetime, for instance in UTC")
        return Timestamp.from_datetime(value)
    if isinstance(value, Decimal):
        return Decimal128.from_decimal(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, int | float | str | bytes | Timestamp | Decimal128 | ObjectId | UUID):
        return value
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal128) and not isinstance(value, bool)


def _kind_of_value(value: object) -> int:
    for types, kind in _KINDS:
        if isinstance(value, types):
            return kind
    raise AssertionError(f"not a stored value: {value!r}")


_KINDS: Final[tuple[tuple[type, int], ...]] = (
    (bool, kinds.BOOL),
    (int, kinds.INT),
    (float, kinds.DOUBLE),
    (str, kinds.STRING),
    (bytes, kinds.BINARY),
    (Timestamp, kinds.TIMESTAMP),
    (Decimal128, kinds.DECIMAL),
    (ObjectId, kinds.OBJECT_ID),
    (UUID, kinds.UUID),
)


def _coerce_number(value: object, kind: int) -> object:
    """A number constant as the property's type would hold it, if it can; numbers compare by value in any case."""
    if kind == kinds.DECIMAL:
        return value if isinstance(value, Decimal128) else Decimal128.from_decimal(Decimal(str(value)))
    if kind == kinds.FLOAT and isinstance(value, float) and math.isfinite(value):
        return float(Float32(value))
    if kind == kinds.INT and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
