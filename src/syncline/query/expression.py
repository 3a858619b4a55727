"""The expression builder: ``Dog.age > 3`` becomes a node of the tree (spec/sdk.md §12.4).

An :class:`Expr` is what a property of a model class is; comparing one gives a :class:`Condition`; conditions combine
with ``&``, ``|`` and ``~``. Neither has a truth value, because ``and``, ``or``, ``not`` and ``1 < x < 3`` cannot be
overloaded.

This module knows no models. A class that has properties is a :class:`ClassRef`, a property a :class:`PropertyRef`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from syncline.errors import QueryError
from syncline.query.ast import (
    Always,
    And,
    Between,
    Compare,
    Constant,
    ConstantList,
    Not,
    Operand,
    Operator,
    Or,
    Path,
    Predicate,
    Quantifier,
    Size,
    SortKey,
)
from syncline.query.printing import to_rql

__all__ = ["ClassRef", "Condition", "Expr", "PropertyRef", "all_of", "any_of"]


class ClassRef(Protocol):
    """A class whose properties expressions can name."""

    @property
    def public_name(self) -> str:
        """The name the application knows it by."""

    def property_ref(self, name: str) -> PropertyRef:
        """The property of that public name. Raises PropertyError if there is none."""


@dataclass(frozen=True, slots=True)
class PropertyRef:
    """A property as expressions see it: its stored name, and for a link a function that finds the target class.

    A function, because the target may be declared later than the class that links to it.
    """

    stored_name: str
    target: Callable[[], ClassRef] | None = None


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

    __slots__ = ("_operand", "_target")

    def __init__(self, operand: Path | Size, target: Callable[[], ClassRef] | None = None) -> None:
        self._operand = operand
        self._target = target

    # --- walking over links ---

    def __getattr__(self, name: str) -> Expr:
        if name.startswith("_") or self._target is None or not isinstance(self._operand, Path):
            raise AttributeError(f"{self} has no attribute {name!r}: only links lead on to further properties")
        return self[name]

    def __getitem__(self, name: str) -> Expr:
        """A property of the linked class; needed for a name that is also a method here (``Person.best["count"]``)."""
        if not isinstance(name, str) or self._target is None or not isinstance(self._operand, Path):
            raise QueryError(f"{self}[{name!r}]: only a link can be followed, by the name of a property")
        path, reference = self._operand, self._target().property_ref(name)
        return Expr(Path((*path.elements, reference.stored_name), path.quantifier), reference.target)

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
        return Expr(Path(self._operand.elements, quantifier), self._target)

    def count(self) -> Expr:
        """The number of elements of a collection, or of objects that links reach; of a string or data its bytes."""
        if not isinstance(self._operand, Path):
            raise QueryError(f"{self} is a number already")
        return Expr(Size(self._operand))

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

    def equals(self, value: object, *, ci: bool = False) -> Condition:
        """Equal; with ``ci`` ignoring the case of ASCII and Latin-1 letters."""
        return self._compare(Operator.EQ, value, ci)

    def startswith(self, value: object, *, ci: bool = False) -> Condition:
        """A string or data that begins with ``value``."""
        return self._compare(Operator.BEGINSWITH, value, ci)

    def endswith(self, value: object, *, ci: bool = False) -> Condition:
        """A string or data that ends with ``value``."""
        return self._compare(Operator.ENDSWITH, value, ci)

    def contains(self, value: object, *, ci: bool = False) -> Condition:
        """A string or data that contains ``value`` anywhere."""
        return self._compare(Operator.CONTAINS, value, ci)

    def like(self, pattern: object, *, ci: bool = False) -> Condition:
        """A string that matches ``pattern`` as a whole: ``*`` is any run of characters, ``?`` exactly one."""
        return self._compare(Operator.LIKE, pattern, ci)

    def is_null(self) -> Condition:
        """Null; the same as ``== None``."""
        return self._compare(Operator.EQ, None)

    def between(self, low: object, high: object) -> Condition:
        """From ``low`` to ``high``, both included."""
        return Condition(Between(self._operand, Constant(low), Constant(high)))

    def in_(self, values: Iterable[object], *, ci: bool = False) -> Condition:
        """Equal to one of ``values``, of which there may be any number."""
        if isinstance(values, str | bytes):
            raise QueryError(f"{self}.in_({values!r}): give a list of values, not one string")
        return Condition(Compare(Operator.IN, self._operand, ConstantList(tuple(values)), ci))

    def _compare(self, operator: Operator, other: object, fold: bool = False) -> Condition:
        right: Operand
        if isinstance(other, Expr):
            right = other._operand
        elif isinstance(other, Condition):
            raise QueryError(
                f"{self} {operator.value} {other!r}: a condition is no value; combine conditions with & and |"
            )
        else:
            right = Constant(other)
        return Condition(Compare(operator, self._operand, right, fold))

    def __and__(self, other: object) -> NoReturn:
        _refuse(self, "&")

    def __or__(self, other: object) -> NoReturn:
        _refuse(self, "|")

    __rand__ = __and__
    __ror__ = __or__

    def __invert__(self) -> NoReturn:
        raise TypeError(f"~ negates a condition, and {self!r} is none: compare a bool property with == False")

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
        return str(self._operand)

    def __repr__(self) -> str:
        return f"<Expr {self._operand}>"
