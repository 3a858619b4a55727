"""What a comparison asks of a value, whatever stands on its other side (spec/sdk.md §7.4, §7.6, §7.9).

Rests on :mod:`syncline.storage.query_leaves`, which knows values that may be compared; here are also constants that may
not, lists of constants with quantifiers, types, objects that are named by their keys, and searches in text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias, cast

from syncline.query.ast import Compare, Constant, ConstantList, KeyedObject, Operator, Quantifier
from syncline.query.operands import TYPE, goes_with, kind_of_value
from syncline.query.text import Fold
from syncline.query.type_names import TypeSet
from syncline.storage.catalogue import ClassInfo
from syncline.storage.columns import LINK_TAG, key_to_columns
from syncline.storage.query_leaves import FALSE, TRUE, Place, Sql, combine, constant_test, in_test, negate, pair_test
from syncline.storage.query_text import text_search
from syncline.storage.refs import ObjectRef
from syncline.values import kinds

__all__ = ["NotInSql", "Test", "constant_side", "pair_of"]


class NotInSql(Exception):
    """A part of a query that has no SQL."""


#: What is asked of a value, given its place.
Test: TypeAlias = Callable[[Place], Sql]


def pair_of(operator: Operator, one: Place, other: Place, fold: Fold) -> Sql:
    """``one operator other`` for values of any two kinds. Raises NotInSql."""
    if one.kind == other.kind == TYPE:
        common = Sql(f"({one.value} & {other.value}) <> 0")
        return negate(common) if operator is Operator.NE else common
    if TYPE in (one.kind, other.kind) or (kinds.LINK in (one.kind, other.kind) and (fold or operator.is_string)):
        raise NotInSql
    return pair_test(operator, one, other, fold)


def constant_side(node: Compare, few: bool = False) -> Test:
    """What a comparison with constants on the right asks of a value, or of only a few."""
    operator, fold, right = node.operator, node.fold, node.right
    if operator is Operator.TEXT:
        assert isinstance(right, Constant)
        return text_search(str(right.value), few)[0]
    operator = Operator.EQ if operator is Operator.IN else operator
    if isinstance(right, Constant):
        return lambda place: _against(operator, place, right.value, fold)
    assert isinstance(right, ConstantList)
    values, quantifier = right.values, right.quantifier
    if operator is Operator.EQ and quantifier is not Quantifier.ALL:

        def among(place: Place) -> Sql:
            found = _among(place, values, fold)
            return negate(found) if quantifier is Quantifier.NONE else found

        return among

    def each(place: Place) -> Sql:
        tests = [_against(operator, place, value, fold) for value in values]
        if quantifier is Quantifier.ALL:
            return combine("AND", tests)
        some = combine("OR", tests)
        return negate(some) if quantifier is Quantifier.NONE else some

    return each


def _among(place: Place, values: Iterable[object], fold: Fold) -> Sql:
    """Whether the value equals one of ``values``."""
    plain: list[object] = []
    terms: list[Sql] = []
    for value in values:
        if value is None and place.kind != TYPE:
            plain.append(None)
        elif place.kind in (TYPE, kinds.LINK, kinds.MIXED) or not goes_with(kind_of_value(value), place.kind):
            terms.append(_against(Operator.EQ, place, value, fold))
        else:
            plain.append(value)
    return combine("OR", [*terms, in_test(place, plain, fold)] if plain else terms)


def _against(operator: Operator, place: Place, value: object, fold: Fold) -> Sql:
    """``place operator value`` for a constant, which need not be comparable."""
    different = TRUE if operator is Operator.NE else FALSE
    if place.kind == TYPE or isinstance(value, TypeSet):
        if place.kind != TYPE or not isinstance(value, TypeSet):
            return different
        common = Sql(f"({place.value} & {value.value}) <> 0")
        return negate(common) if operator is Operator.NE else common
    if isinstance(value, KeyedObject):
        found = _keyed(place, value)
        return negate(found) if operator is Operator.NE else found
    if value is None:
        return constant_test(operator, place, None, fold)
    kind = kind_of_value(value)
    textual = kind in (kinds.STRING, kinds.BINARY)
    if not goes_with(kind, place.kind) or (operator.is_string and not textual):
        return different
    if kind == kinds.LINK:
        if not isinstance(value, ObjectRef):
            raise NotInSql
        if place.kind == kinds.LINK and place.class_id != value.class_id:
            return different
    return constant_test(operator, place, value, fold if textual else Fold.NOTHING)


def _keyed(place: Place, wanted: KeyedObject) -> Sql:
    """Whether the value is a link to the object that has a primary key now."""
    cls = cast(ClassInfo, wanted.cls)
    key = cls.primary_key
    if key is None or place.kind not in (kinds.LINK, kinds.MIXED):
        return FALSE
    if place.kind == kinds.LINK and place.class_id != cls.id:
        return FALSE
    same = f"k = {place.value}"
    if place.kind == kinds.MIXED:
        same = f"{place.tag} = {LINK_TAG} AND {place.key} = rlm_key({kinds.LINK}, {cls.id}, k)"
    (encoded,) = key_to_columns(wanted.key)  # type: ignore[arg-type]
    return Sql(f"EXISTS (SELECT 1 FROM {cls.table} WHERE {key.columns[0]} IS ? AND {same})", (encoded,))
