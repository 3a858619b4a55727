"""What many objects or values come to: smallest, largest, sum, average (spec/sdk.md §7.6, §8); computed in SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from syncline.errors import IllegalOperationError, QueryError
from syncline.query.ast import Aggregation, Path, Query
from syncline.query.expression import Expr
from syncline.realm.converters import Converter, load_mixed, no_property
from syncline.realm.models import unknown_property
from syncline.storage import query_run
from syncline.values import Decimal128, kinds

if TYPE_CHECKING:
    from syncline.realm.attributes import Attribute
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context

__all__ = ["ResultsSummaries", "check_summary", "loaded_summary"]

V = TypeVar("V")

_ADDED: Final = frozenset({kinds.INT, kinds.FLOAT, kinds.DOUBLE, kinds.DECIMAL, kinds.MIXED})
_ORDERED: Final = _ADDED | {kinds.TIMESTAMP}
_NAMES: Final = {
    Aggregation.MIN: "min",
    Aggregation.MAX: "max",
    Aggregation.SUM: "sum",
    Aggregation.AVG: "average",
}


class ResultsSummaries:
    """The part of :class:`~syncline.Results` that computes one value of many."""

    _binding: Binding
    _context: Context
    _source: query_run.Source

    if TYPE_CHECKING:

        def _run(self, function: Callable[..., V], query: Query, *more: Any) -> V: ...
        def _resolve(self) -> Query: ...
        def _check_source(self) -> None: ...

    def min(self, prop: str | Expr) -> Any:
        """The smallest value of a property: ``dogs.min(Dog.age)``. Nulls and NaN are left out; None if nothing is left.

        For int, float, Decimal, date and Mixed properties of the class itself. Raises IllegalOperationError for any
        other, InvalidPropertyError for an unknown name.
        """
        return self._summary(Aggregation.MIN, prop)

    def max(self, prop: str | Expr) -> Any:
        """The largest value of a property; see :meth:`min`."""
        return self._summary(Aggregation.MAX, prop)

    def sum(self, prop: str | Expr) -> Any:
        """The sum of a property's values, 0 of none; of Mixed values that of the numbers, a Decimal.

        Sums of int wrap at 64 bits. Dates have no sum; otherwise as :meth:`min`.
        """
        return self._summary(Aggregation.SUM, prop)

    def average(self, prop: str | Expr) -> Any:
        """The average of a property's values, None of none; see :meth:`sum`."""
        return self._summary(Aggregation.AVG, prop)

    def _summary(self, function: Aggregation, prop: str | Expr) -> Any:
        self._context.reader()
        binding = self._binding
        attribute = _own_attribute(binding, prop)
        check_summary(function, attribute.converter, attribute.converter.type.collection)
        if binding.is_missing:
            return 0 if function is Aggregation.SUM else None
        self._check_source()
        place = binding.places[attribute.place]
        stored = self._run(query_run.summarize, self._resolve(), self._source, function, place)
        return loaded_summary(function, stored, attribute.converter, self._context)


def _own_attribute(binding: Binding, prop: str | Expr) -> Attribute:
    """The attribute of a property of the class itself. Raises InvalidPropertyError, QueryError, TypeMismatchError."""
    attributes: dict[str, Attribute] = binding.model._info.attributes
    if isinstance(prop, str):
        found = attributes.get(prop)
        if found is None:
            raise unknown_property(binding.name, prop, attributes)
        return found
    if not isinstance(prop, Expr):
        raise no_property(prop)
    operand = prop._operand
    name = operand.elements[0] if isinstance(operand, Path) and len(operand.elements) == 1 else None
    found = next((each for each in attributes.values() if each.property.stored_name == name), None)
    if found is None:
        raise QueryError(f"{prop!r} is no property of {binding.name} itself")
    return found


def check_summary(function: Aggregation, converter: Converter, collection: int = kinds.SINGLE_COLLECTION) -> None:
    """Raise IllegalOperationError for values that have no such aggregate."""
    allowed = _ORDERED if function in (Aggregation.MIN, Aggregation.MAX) else _ADDED
    if converter.kind not in allowed or collection != kinds.SINGLE_COLLECTION:
        hint = "; name a property of the objects" if converter.kind == kinds.LINK else ""
        raise IllegalOperationError(f"{converter.where}: there is no {_NAMES[function]} of such values{hint}")


def loaded_summary(function: Aggregation, stored: Any, converter: Converter, context: Context) -> Any:
    """The result as the application sees it."""
    if isinstance(stored, Decimal128):
        return stored.to_decimal()
    if converter.kind == kinds.MIXED:
        return load_mixed(stored, context)
    if function in (Aggregation.MIN, Aggregation.MAX) and converter.load is not None:
        return converter.load(stored, context)
    return stored
