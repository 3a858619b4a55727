"""The expression builder: ``Dog.age > 3`` becomes a node of the tree (spec/sdk.md §12.4).

An :class:`Expr` is what a property of a model class is; comparing one gives a :class:`Condition`; conditions combine
with ``&``, ``|`` and ``~``. Neither has a truth value, because ``and``, ``or``, ``not`` and ``1 < x < 3`` cannot be
overloaded.

This module knows no models. A class that has properties is a :class:`ClassRef`, a property a :class:`PropertyRef`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NoReturn, Protocol, cast

from syncline.errors import QueryArgumentError, QueryError
from syncline.query.arguments import is_list, listed
from syncline.query.ast import (
    Aggregate,
    Aggregation,
    Always,
    And,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Compare,
    Constant,
    ConstantList,
    Element,
    Index,
    Not,
    Operand,
    Operator,
    Or,
    Path,
    Position,
    Predicate,
    Quantifier,
    Size,
    SortKey,
    Subquery,
    TypeOf,
    Within,
)
from syncline.query.geometry import GeoBox, GeoCircle, GeoPolygon, Shape
from syncline.query.printing import operand_to_rql, to_rql
from syncline.query.text import Fold
from syncline.values import kinds
from syncline.values.numbers import plain_number

__all__ = ["ClassRef", "Condition", "Expr", "Filtered", "PropertyRef", "all_of", "any_of", "backlinks", "field"]


class ClassRef(Protocol):
    """A class whose properties expressions can name."""

    @property
    def public_name(self) -> str:
        """The name the application knows it by."""

    def property_ref(self, name: str) -> PropertyRef:
        """The property of that public name. Raises InvalidPropertyError if there is none."""


@dataclass(frozen=True, slots=True)
class PropertyRef:
    """A property as expressions see it: its stored name, for a link a function that finds the target class, and which
    collection it is (``values.kinds``); with an ``index``, one element of the list that is stored under the name.

    A function, because the target may be declared later than the class that links to it.
    """

    stored_name: str
    target: Callable[[], ClassRef] | None = None
    collection: int = kinds.SINGLE_COLLECTION
    index: int | None = None


class _NoTruth:
    """What conditions and expressions share: no truth value, no iteration, no ``in``."""

    __slots__ = ()
    __iter__ = None
    __contains__ = None

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} has no truth value: it is a question for the database. Combine conditions with & | ~ (each in "
            "parentheses), use between() for a chained comparison and in_() for `in`, and pass the result to where()"
        )


class Condition(_NoTruth):
    """A test that objects pass or fail; give it to ``results.where()``."""

    __slots__ = ("node",)

    def __init__(self, node: Predicate) -> None:
        self.node = node

    def __and__(self, other: Condition) -> Condition:
        return Condition(And(_terms(And, self) + _terms(And, _condition(other, "&"))))

    def __or__(self, other: Condition) -> Condition:
        return Condition(Or(_terms(Or, self) + _terms(Or, _condition(other, "|"))))

    def __rand__(self, other: object) -> NoReturn:
        _refuse(other, "&")

    def __ror__(self, other: object) -> NoReturn:
        _refuse(other, "|")

    def __invert__(self) -> Condition:
        return Condition(self.node.term if isinstance(self.node, Not) else Not(self.node))

    def __repr__(self) -> str:
        return f"<Condition {to_rql(self.node)}>"


def _terms(kind: type[And] | type[Or], condition: Condition) -> tuple[Predicate, ...]:
    """The terms of a condition of that kind, or the condition itself: chains of & and | stay flat."""
    node = condition.node
    return node.terms if isinstance(node, kind) else (node,)


def _condition(value: object, operator: str) -> Condition:
    if isinstance(value, Condition):
        return value
    _refuse(value, operator)


def _refuse(value: object, operator: str) -> NoReturn:
    raise TypeError(
        f"{operator} combines conditions, and {value!r} is none: put each comparison in parentheses, because "
        f"{operator} binds more tightly than == and <; compare a bool property with == True"
    )


def all_of(*conditions: Condition | Iterable[Condition]) -> Condition:
    """A condition that holds where all of them hold; with none given, everywhere."""
    terms = _flatten(conditions)
    return Condition(And(terms)) if terms else Condition(Always(True))


def any_of(*conditions: Condition | Iterable[Condition]) -> Condition:
    """A condition that holds where at least one of them holds; with none given, nowhere."""
    terms = _flatten(conditions)
    return Condition(Or(terms)) if terms else Condition(Always(False))


def _flatten(conditions: Iterable[Condition | Iterable[Condition]]) -> tuple[Predicate, ...]:
    terms: list[Predicate] = []
    for condition in conditions:
        if isinstance(condition, Condition):
            terms.append(condition.node)
        else:
            terms.extend(_condition(each, "all_of/any_of").node for each in condition)
    return tuple(terms)


class Expr(_NoTruth):
    """A property of a class, or a walk over links from one: what ``Dog.age`` and ``Person.best.age`` are.

    ``==`` builds a node, so do not look for expressions in lists; the hash is that of identity.
    """

    __slots__ = ("_collection", "_operand", "_owner", "_plural", "_target")

    def __init__(
        self,
        operand: Operand,
        target: Callable[[], ClassRef] | None = None,
        *,
        collection: int = kinds.SINGLE_COLLECTION,
        plural: bool = False,
        owner: ClassRef | None = None,
    ) -> None:
        """Not for applications. ``collection``: which one the last property is; ``plural``: whether the way to it leads
        to several objects; ``owner``: the class, of a property of a class.
        """
        self._operand = operand
        self._target = target
        self._collection = collection
        self._plural = plural
        self._owner = owner

    @property
    def _many(self) -> bool:
        return self._plural or self._collection != kinds.SINGLE_COLLECTION

    # --- walking over links, into collections and Mixed values ---

    def __getattr__(self, name: str) -> Expr:
        if name.startswith("_") or self._target is None or not isinstance(self._operand, Path):
            raise AttributeError(f"{self} has no attribute {name!r}: only links lead on to further properties")
        return self._property(name)

    def __getitem__(self, key: str | int | slice) -> Expr:
        """``list[0]``, ``dictionary["key"]``, and inside a Mixed value both; ``[:]`` is every element.

        On a single link a string is a property of the linked class, for names that are methods here
        (``Person.best["count"]``).
        """
        self._path(f"[{key!r}]")
        key = cast("str | int | slice", plain_number(key))
        if isinstance(key, str):
            if self._target is not None and self._collection != kinds.DICTIONARY_COLLECTION:
                return self._property(key)
        elif isinstance(key, slice):
            if key != slice(None):
                raise QueryError(f"{self}[{key}]: [:] stands for every element; parts of a collection cannot be asked")
            return self._picked(Index(Position.ALL), plural=True)
        elif isinstance(key, bool) or not isinstance(key, int) or key < 0:
            raise QueryError(f"{self}[{key!r}]: give an index from 0, or a key; .last is the last element")
        return self._picked(Index(key))

    @property
    def first(self) -> Expr:
        """The first element of a list."""
        return self._picked(Index(Position.FIRST))

    @property
    def last(self) -> Expr:
        """The last element of a list."""
        return self._picked(Index(Position.LAST))

    def keys(self) -> Expr:
        """The keys of a dictionary."""
        return Expr(self._longer("@keys"), plural=True)

    def values(self) -> Expr:
        """The values of a dictionary, where a name behind it could be a key."""
        return Expr(self._longer("@values"), self._target, collection=self._collection, plural=self._plural)

    def backlinks(self, source: Expr | None = None) -> Expr:
        """The objects that link to this one: ``Dog.best.backlinks(Person.dogs)``; without ``source`` all, to count."""
        return backlinks(self._path(".backlinks()"), source)

    def _property(self, name: str) -> Expr:
        assert self._target is not None
        reference = self._target().property_ref(name)
        path = self._longer(reference.stored_name, *(() if reference.index is None else (Index(reference.index),)))
        return Expr(path, reference.target, collection=reference.collection, plural=self._many)

    def _picked(self, index: Index, plural: bool = False) -> Expr:
        """An element of the collection, or every one."""
        return Expr(self._longer(index), self._target, plural=plural or self._plural)

    def _longer(self, *elements: Element) -> Path:
        path = self._path(f".{elements[0]}")
        return Path((*path.elements, *elements), path.quantifier)

    def _path(self, what: str) -> Path:
        if not isinstance(self._operand, Path):
            raise QueryError(f"{self}{what}: only a property can be followed, and {self} is a value that was computed")
        return self._operand

    # --- many values ---

    @property
    def any(self) -> Expr:
        """At least one element: ``Person.dogs.any.age > 3``."""
        return self._quantified(Quantifier.ANY)

    @property
    def all(self) -> Expr:
        """Every element; true for an empty collection."""
        return self._quantified(Quantifier.ALL)

    @property
    def none(self) -> Expr:
        """No element; true for an empty collection."""
        return self._quantified(Quantifier.NONE)

    def _quantified(self, quantifier: Quantifier) -> Expr:
        if not isinstance(self._operand, Path) or self._operand.quantifier is not None:
            raise QueryError(f"{self}: .{quantifier.value.lower()} stands once, behind a collection")
        path = Path(self._operand.elements, quantifier)
        return Expr(path, self._target, collection=self._collection, plural=self._plural)

    def count(self) -> Expr:
        """The number of elements of a collection, or of objects that links reach; of a string or data its bytes."""
        if not isinstance(self._operand, Path):
            raise QueryError(f"{self} is a number already")
        return Expr(Size(self._operand))

    def lengths(self) -> Expr:
        """The bytes of each string of a list."""
        return Expr(self._longer("length"), plural=True)

    def sum(self) -> Expr:
        """The sum of a collection, or of a property of linked objects: ``Person.dogs.age.sum()``; 0 of nothing."""
        return self._aggregate(Aggregation.SUM)

    def avg(self) -> Expr:
        """The average; null of nothing."""
        return self._aggregate(Aggregation.AVG)

    def min(self) -> Expr:
        """The least value; null of nothing."""
        return self._aggregate(Aggregation.MIN)

    def max(self) -> Expr:
        """The largest value; null of nothing."""
        return self._aggregate(Aggregation.MAX)

    def _aggregate(self, function: Aggregation) -> Expr:
        path = self._path(f".{function.name.lower()}()")
        if (
            self._collection != kinds.SINGLE_COLLECTION
            or len(path.elements) < 2
            or not isinstance(path.elements[-1], str)
        ):
            return Expr(Aggregate(function, path))
        *before, member = path.elements
        return Expr(Aggregate(function, Path(tuple(before), path.quantifier), Path((member,))))

    def where(self, condition: Callable[[Expr], Condition]) -> Filtered:
        """Those of the linked objects that meet a condition: ``Person.dogs.where(lambda dog: dog.age > 3).count()``."""
        path = self._path(".where()")
        if self._target is None:
            raise QueryError(f"{self}.where(): only linked objects can be asked for conditions of their own")
        depth = _depth.get()
        token = _depth.set(depth + 1)
        try:
            variable = f"$x{depth + 1 if depth else ''}"
            inner = condition(Expr(Path((variable,)), self._target))
            return Filtered(path, variable, _condition(inner, "where()").node)
        finally:
            _depth.reset(token)

    def type(self) -> Expr:
        """The type of a Mixed value, to be compared with a name: ``Thing.extra.type() == "int"``."""
        return Expr(TypeOf(self._path(".type()")), plural=self._many)

    # --- comparing ---

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare(Operator.EQ, other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare(Operator.NE, other)

    def __lt__(self, other: object) -> Condition:
        return self._compare(Operator.LT, other)

    def __le__(self, other: object) -> Condition:
        return self._compare(Operator.LE, other)

    def __gt__(self, other: object) -> Condition:
        return self._compare(Operator.GT, other)

    def __ge__(self, other: object) -> Condition:
        return self._compare(Operator.GE, other)

    __hash__ = object.__hash__

    def equals(self, value: object, *, ci: bool = False, di: bool = False) -> Condition:
        """Equal; with ``ci`` ignoring the case of ASCII and Latin-1 letters, with ``di`` ignoring diacritics: é is e.

        ``di``, here and elsewhere, is for local queries: servers do not have it.
        """
        return self._compare(Operator.EQ, value, _fold(ci, di))

    def startswith(self, value: object, *, ci: bool = False, di: bool = False) -> Condition:
        """A string or data that begins with ``value``."""
        return self._compare(Operator.BEGINSWITH, value, _fold(ci, di))

    def endswith(self, value: object, *, ci: bool = False, di: bool = False) -> Condition:
        """A string or data that ends with ``value``."""
        return self._compare(Operator.ENDSWITH, value, _fold(ci, di))

    def contains(self, value: object, *, ci: bool = False, di: bool = False) -> Condition:
        """A string or data that contains ``value`` anywhere."""
        return self._compare(Operator.CONTAINS, value, _fold(ci, di))

    def like(self, pattern: object, *, ci: bool = False, di: bool = False) -> Condition:
        """A string that matches ``pattern`` as a whole: ``*`` is any run of characters, ``?`` exactly one."""
        return self._compare(Operator.LIKE, pattern, _fold(ci, di))

    def text(self, words: str) -> Condition:
        """A string with a full-text index that contains all words, ``-excluded`` none, a beginning for ``begin*``."""
        return self._compare(Operator.TEXT, words)

    def is_null(self) -> Condition:
        """Null; the same as ``== None``."""
        return self._compare(Operator.EQ, None)

    def between(self, low: object, high: object) -> Condition:
        """From ``low`` to ``high``, both included."""
        return Condition(Between(self._operand, _constant(low), _constant(high)))

    def in_(self, values: Iterable[object] | Expr, *, ci: bool = False, di: bool = False) -> Condition:
        """Equal to one of ``values``, of which there may be any number, or to an element of a collection.

        Of a collection it is enough if one element is among them, unless ``.all`` or ``.none`` say otherwise.
        """
        if isinstance(values, str | bytes):
            raise QueryError(f"{self}.in_({values!r}): give a list of values, not one string")
        operand = self._operand
        if self._many and isinstance(operand, Path) and operand.quantifier is None:
            operand = Path(operand.elements, Quantifier.ANY)
        right = values._operand if isinstance(values, Expr) else ConstantList(listed(values), given=True)
        return Condition(Compare(Operator.IN, operand, right, _fold(ci, di)))

    def within(self, shape: Shape) -> Condition:
        """A link to an embedded GeoJSON point that lies in ``shape``: a GeoBox, GeoCircle or GeoPolygon."""
        if not isinstance(shape, GeoBox | GeoCircle | GeoPolygon):
            raise QueryArgumentError(f"{self}.within(): give a GeoBox, GeoCircle or GeoPolygon, not {shape!r}")
        return Condition(Within(self._path(".within()"), shape))

    def _compare(self, operator: Operator, other: object, fold: Fold = Fold.NOTHING) -> Condition:
        if isinstance(other, Condition):
            raise QueryError(
                f"{self} {operator.value} {other!r}: a condition is no value; combine conditions with & and |"
            )
        return Condition(Compare(operator, self._operand, _operand(other), fold))

    def __and__(self, other: object) -> NoReturn:
        _refuse(self, "&")

    def __or__(self, other: object) -> NoReturn:
        _refuse(self, "|")

    __rand__ = __and__
    __ror__ = __or__

    def __invert__(self) -> NoReturn:
        raise TypeError(f"~ negates a condition, and {self!r} is none: compare a bool property with == False")

    # --- calculating ---

    def __add__(self, other: object) -> Expr:
        return self._calculated(ArithmeticOperator.ADD, self, other)

    def __radd__(self, other: object) -> Expr:
        return self._calculated(ArithmeticOperator.ADD, other, self)

    def __sub__(self, other: object) -> Expr:
        return self._calculated(ArithmeticOperator.SUBTRACT, self, other)

    def __rsub__(self, other: object) -> Expr:
        return self._calculated(ArithmeticOperator.SUBTRACT, other, self)

    def __mul__(self, other: object) -> Expr:
        return self._calculated(ArithmeticOperator.MULTIPLY, self, other)

    def __rmul__(self, other: object) -> Expr:
        return self._calculated(ArithmeticOperator.MULTIPLY, other, self)

    def __truediv__(self, other: object) -> Expr:
        """Of two integers the whole part, as everywhere in queries."""
        return self._calculated(ArithmeticOperator.DIVIDE, self, other)

    def __rtruediv__(self, other: object) -> Expr:
        return self._calculated(ArithmeticOperator.DIVIDE, other, self)

    def _calculated(self, operator: ArithmeticOperator, left: object, right: object) -> Expr:
        plural = any(isinstance(side, Expr) and side._many for side in (left, right))
        return Expr(Arithmetic(operator, _operand(left), _operand(right)), plural=plural)

    # --- sorting ---

    def asc(self) -> SortKey:
        """Sort by this, smallest first; null comes before everything."""
        return self._sort_key(True)

    def desc(self) -> SortKey:
        """Sort by this, largest first."""
        return self._sort_key(False)

    def _sort_key(self, ascending: bool) -> SortKey:
        if not isinstance(self._operand, Path):
            raise QueryError(f"cannot sort by {self}: only by properties, also of single links")
        return SortKey(self._operand, ascending)

    def __str__(self) -> str:
        return operand_to_rql(self._operand)

    def __repr__(self) -> str:
        return f"<Expr {self}>"


def field(name: object) -> Expr:
    """A property as an expression: ``field("best.age") > 3``, for names that are only known at run time.

    Of an expression, itself: ``field(Dog.age) > 3`` satisfies type checkers that take ``Dog.age`` for what it is on an
    object. Raises QueryError for anything else.
    """
    if isinstance(name, Expr):
        return name
    if not isinstance(name, str) or not all(name.split(".")):
        raise QueryError(f"field({name!r}): give the name of a property, or a property of a class such as Dog.age")
    return Expr(Path(tuple(name.split("."))))


class Filtered:
    """Linked objects that meet a condition; :meth:`count` makes a number of them (spec/sdk.md §7.7)."""

    __slots__ = ("_subquery",)

    def __init__(self, path: Path, variable: str, predicate: Predicate) -> None:
        self._subquery = Subquery(path, variable, predicate)

    def count(self) -> Expr:
        """How many there are; an object that is linked twice counts twice."""
        return Expr(self._subquery)

    def __repr__(self) -> str:
        return f"<Filtered {operand_to_rql(self._subquery)}; use .count()>"


def backlinks(path: Path, source: Expr | None) -> Expr:
    """The objects that link to where ``path`` leads, through the property that ``source`` is."""
    if source is None:
        return Expr(Path((*path.elements, "@links"), path.quantifier), plural=True)
    owner, operand = source._owner, source._operand
    if owner is None or not isinstance(operand, Path):
        raise QueryError(f"backlinks({source}): give the property that links here, such as Person.dogs")
    elements = (*path.elements, "@links", owner.public_name, *operand.elements)
    return Expr(Path(elements, path.quantifier), lambda: owner, plural=True)


def _fold(ci: bool, di: bool) -> Fold:
    return (Fold.CASE if ci else Fold.NOTHING) | (Fold.MARKS if di else Fold.NOTHING)


def _operand(value: object) -> Operand:
    """The operand for the other side of an operator: an expression's own, or a constant."""
    if isinstance(value, Expr):
        return value._operand
    return ConstantList(listed(value), given=True) if is_list(value) else _constant(value)


def _constant(value: object) -> Constant:
    return Constant(plain_number(value), given=True)


#: How many ``where()`` of linked objects are around the one that is built: each needs a variable of its own.
_depth: ContextVar[int] = ContextVar("syncline_subquery_depth", default=0)
