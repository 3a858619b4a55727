"""Lists as SQLite can look them up in an index.

``a == 1 or a == 2 or …`` is ``a == ANY {1, 2, …}``, one list instead of very many terms; and null, which no list finds,
is asked for by itself.
"""

from __future__ import annotations

from dataclasses import replace

from syncline.query.ast import Compare, Constant, ConstantList, KeyedObject, Operator, Path, Predicate, Quantifier
from syncline.query.type_names import TypeSet

__all__ = ["gathered", "without_null"]


def gathered(terms: tuple[Predicate, ...]) -> list[Predicate]:
    """The terms of an OR; of those that ask whether the same path equals this value or that, one for all."""
    found: dict[object, list[Predicate]] = {}
    for number, term in enumerate(terms):
        found.setdefault(_equality(term) or number, []).append(term)
    return [same[0] if len(same) == 1 else _one_of(same) for same in found.values()]


def _equality(term: Predicate) -> tuple[object, ...] | None:
    """What is the same of terms that can be one; None for any other term."""
    match term:
        case Compare(Operator.EQ, Path(elements, None | Quantifier.ANY as quantifier), Constant(value), fold):
            plain = value is not None and not isinstance(value, KeyedObject | TypeSet)
            return (elements, quantifier, fold) if plain else None
        case _:
            return None


def _one_of(terms: list[Predicate]) -> Compare:
    comparisons = [term for term in terms if isinstance(term, Compare)]
    values = tuple(term.right.value for term in comparisons if isinstance(term.right, Constant))
    return replace(comparisons[0], operator=Operator.IN, right=ConstantList(values, Quantifier.ANY))


def without_null(node: Compare) -> list[Predicate] | None:
    """``a == NULL`` and ``a IN {…}``, of which one must hold, for a list with null in it; None for any other."""
    match node:
        case Compare(Operator.EQ | Operator.IN, left, ConstantList(values, None | Quantifier.ANY as quantifier)) if (
            None in values and len(values) > 1
        ):
            rest = ConstantList(tuple(value for value in values if value is not None), quantifier)
            return [Compare(Operator.EQ, left, Constant(None), node.fold), replace(node, right=rest)]
        case _:
            return None
