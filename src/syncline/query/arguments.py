"""The values that are given with a query: ``$0``, ``$K0`` (spec/sdk.md §7.9).

:func:`bind` puts them into a parsed tree. What comes out has constants, lists, names and shapes only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, NoReturn, Protocol, TypeGuard, runtime_checkable

from syncline.errors import QueryArgumentError, QuerySyntaxError
from syncline.query.ast import (
    Aggregate,
    Always,
    And,
    Argument,
    Arithmetic,
    Between,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    Element,
    IncomingCount,
    Index,
    KeyPathArgument,
    Lengths,
    LinkLiteral,
    Not,
    ObjectLiteral,
    Operand,
    Or,
    Path,
    Predicate,
    Query,
    ShapeLiteral,
    Size,
    Sort,
    Span,
    Stage,
    Subquery,
    TypeOf,
    Within,
)
from syncline.query.carets import pointed
from syncline.query.geometry import GeoBox, GeoCircle, GeoPolygon, Shape
from syncline.values import GlobalKey, Timestamp
from syncline.values.numbers import plain_number

__all__ = ["MAX_LIST", "QueryObject", "bind", "is_list", "listed", "parse_shape"]

#: The longest list that can be given with a query.
MAX_LIST: Final = 1_000_000

#: Iterables that are one value.
_SCALARS: Final = (str, bytes, bytearray, memoryview, Mapping, Timestamp, GlobalKey, ObjectLiteral, LinkLiteral)


@runtime_checkable
class QueryObject(Protocol):
    """An object of a Realm as queries see it: model instances are such."""

    def __query_object__(self) -> ObjectLiteral | LinkLiteral:
        """What names it in a query text: class and primary key; without a primary key its numbers in the file."""


def bind(query: Query, arguments: Sequence[Any] = ()) -> Query:
    """The same tree with the arguments in their places.

    Raises QueryArgumentError for an argument that is missing or is not what its place needs.
    """
    binder = _Binder(arguments)
    return Query(binder.predicate(query.predicate), tuple(binder.stage(stage) for stage in query.stages))


def is_list(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether an argument is a list of values: any iterable that is not itself a value."""
    if isinstance(value, _SCALARS) or hasattr(value, "object_key"):
        return False
    return isinstance(value, Iterable) and not isinstance(value, QueryObject)


def listed(values: Iterable[Any]) -> tuple[Any, ...]:
    """The values as a tuple. Raises QueryArgumentError for more than MAX_LIST of them."""
    taken = tuple(map(plain_number, islice(values, MAX_LIST + 1)))
    if len(taken) > MAX_LIST:
        raise QueryArgumentError(f"a list has at most {MAX_LIST} values")
    return taken


def parse_shape(text: str) -> Shape:
    """The shape that a text such as ``geoCircle([-73.9, 40.7], 0.01)`` means. Raises QueryArgumentError."""
    from syncline.query.parser import parse

    try:
        predicate = parse(f"x GEOWITHIN {text}").predicate
    except QuerySyntaxError as error:
        raise QueryArgumentError(f"{text!r} is no shape: {error}") from None
    if not isinstance(predicate, Within) or not isinstance(predicate.shape, ShapeLiteral):
        raise QueryArgumentError(f"{text!r} is no shape: give one of geoBox, geoCircle and geoPolygon")
    return _Binder(()).shape(predicate.shape)


class _Binder:
    def __init__(self, arguments: Sequence[Any]) -> None:
        self.arguments = arguments

    # --- predicates and stages ---

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
            case Compare(_, left, right):
                return replace(node, left=self.operand(left), right=self.operand(right))
            case Between(operand, low, high):
                return replace(node, operand=self.operand(operand), low=self.scalar(low), high=self.scalar(high))
            case Within(path, shape):
                bound = self.shape(shape) if isinstance(shape, ShapeLiteral | Argument) else shape
                return replace(node, path=self.path(path), shape=bound)

    def stage(self, stage: Stage) -> Stage:
        match stage:
            case Sort(keys):
                return Sort(tuple(replace(key, path=self.path(key.path)) for key in keys))
            case Distinct(paths):
                return Distinct(tuple(self.path(path) for path in paths))
            case _:
                return stage

    # --- operands ---

    def operand(self, node: Operand) -> Operand:
        match node:
            case Argument():
                return self._argument(node)
            case Constant(ObjectLiteral(name, Argument() as key)):
                return replace(node, value=ObjectLiteral(name, self.scalar(key).value))
            case Constant():
                return node
            case ConstantList(values):
                if not any(isinstance(value, Argument | ObjectLiteral) for value in values):
                    return node
                return replace(node, values=tuple(self._element(value) for value in values))
            case Path():
                return self.path(node)
            case Size(path) | TypeOf(path) | Lengths(path) | IncomingCount(path):
                return replace(node, path=self.path(path))
            case Aggregate(_, path):
                return replace(node, path=self.path(path))
            case Subquery(path, _, predicate):
                return replace(node, path=self.path(path), predicate=self.predicate(predicate))
            case Arithmetic(_, left, right):
                return replace(node, left=self.operand(left), right=self.operand(right))

    def _argument(self, node: Argument) -> Constant | ConstantList:
        value = self._value(node.number, node.span)
        if is_list(value):
            values = tuple(_plain(each, node.span) for each in listed(value))
            return ConstantList(values, node.quantifier, span=node.span, given=True)
        if node.quantifier is not None:
            self._fail(f"{node} needs a list, not {type(value).__name__}", node.span)
        return Constant(_plain(value, node.span), span=node.span, given=True)

    def scalar(self, node: Constant | Argument) -> Constant:
        """A constant that is one value."""
        if isinstance(node, Constant):
            return node
        value = self._value(node.number, node.span)
        if is_list(value):
            self._fail(f"{node} is a list here, where one value is needed", node.span)
        return Constant(_plain(value, node.span), span=node.span, given=True)

    def _element(self, value: object) -> object:
        if isinstance(value, Argument):
            return self.scalar(value).value
        if isinstance(value, ObjectLiteral) and isinstance(value.key, Argument):
            return ObjectLiteral(value.class_name, self.scalar(value.key).value)
        return value

    def path(self, path: Path) -> Path:
        """The path with ``$K0`` and ``[$0]`` replaced."""
        if all(isinstance(element, str) for element in path.elements):
            return path
        elements: list[Element] = []
        for element in path.elements:
            if isinstance(element, KeyPathArgument):
                elements += self._key_path(element, path.span)
            elif isinstance(element, Index) and isinstance(element.value, Argument):
                elements.append(Index(self._index(element.value, path.span)))
            else:
                elements.append(element)
        return replace(path, elements=tuple(elements))

    def _key_path(self, element: KeyPathArgument, span: Span | None) -> list[Element]:
        value = self._value(element.number, span)
        names = value.split(".") if isinstance(value, str) else []
        if not names or not all(names):
            self._fail(f"{element} needs a key path such as 'dog.name', not {value!r}", span)
        return list(names)

    def _index(self, argument: Argument, span: Span | None) -> int | str:
        value = plain_number(self._value(argument.number, span))
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value
        self._fail(f"[{argument}] needs an index that is not negative, or a key; not {value!r}", span)

    # --- shapes ---

    def shape(self, shape: ShapeLiteral | Argument) -> Shape:
        """The shape itself. Raises QueryArgumentError for one that cannot be."""
        if isinstance(shape, Argument):
            value = self._value(shape.number, shape.span)
            if isinstance(value, str):
                return parse_shape(value)
            if isinstance(value, GeoBox | GeoCircle | GeoPolygon):
                return value
            self._fail(f"{shape} needs a GeoBox, GeoCircle or GeoPolygon, not {type(value).__name__}", shape.span)
        rings = [[tuple(self._number(part, shape.span) for part in point) for point in ring] for ring in shape.rings]
        try:
            if shape.kind == "geoBox":
                return GeoBox(*rings[0])
            if shape.kind == "geoCircle":
                assert shape.radius is not None
                return GeoCircle(rings[0][0], self._number(shape.radius, shape.span))
            return GeoPolygon(*rings)
        except QueryArgumentError as error:
            self._fail(str(error), shape.span)

    def _number(self, value: float | Argument, span: Span | None) -> float:
        if not isinstance(value, Argument):
            return value
        given = plain_number(self._value(value.number, span))
        if isinstance(given, bool) or not isinstance(given, int | float):
            self._fail(f"{value} needs a number, not {given!r}", span)
        return given

    # --- arguments ---

    def _value(self, number: int, span: Span | None) -> Any:
        if number >= len(self.arguments):
            count = len(self.arguments)
            self._fail(f"argument {number} is missing: {count or 'no'} argument{'' if count == 1 else 's'} given", span)
        return self.arguments[number]

    def _fail(self, message: str, span: Span | None) -> NoReturn:
        raise QueryArgumentError(pointed(message, span))


def _plain(value: Any, span: Span | None) -> Any:
    if isinstance(value, GeoBox | GeoCircle | GeoPolygon):
        raise QueryArgumentError(pointed("a shape can only stand behind GEOWITHIN", span))
    return plain_number(value)
