"""The leaves of compiled queries: one stored value against constants or another stored value (spec/sdk.md §13.7).

Every function gives an SQL expression that is 0 or 1, never NULL. Strings and all kinds of bytes are ordered as BLOB;
decimals and Mixed values by their sort keys; a NaN is a BLOB among numbers, equals nothing and has no order.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

import apsw

from syncline.query.ast import Operator
from syncline.query.comparison import matches
from syncline.query.text import Fold, to_bytes
from syncline.query.text import fold as fold_text
from syncline.storage.catalogue import TYPE_CODES
from syncline.storage.columns import LINK_TAG, encode_scalar
from syncline.storage.refs import ObjectRef
from syncline.values import Decimal128, kinds
from syncline.values.order import link_sort_key, sort_key

__all__ = [
    "FALSE",
    "TRUE",
    "Place",
    "Sql",
    "bare",
    "combine",
    "constant_test",
    "group_terms",
    "in_test",
    "negate",
    "null_test",
    "order_terms",
    "pair_test",
]


class Sql(NamedTuple):
    """A piece of SQL and the parameters of its question marks, in order."""

    text: str
    parameters: tuple[Any, ...] = ()


TRUE: Final = Sql("1")
FALSE: Final = Sql("0")


class Place(NamedTuple):
    """Where a value stands in a query: SQL for its columns (see :mod:`syncline.storage.layout`).

    ``kind`` is that of the property; ``value`` the value proper; ``key`` the sort key of decimals and Mixed values;
    ``tag`` the type code of a Mixed value; ``class_id`` the class that a link leads to; ``words`` the id of a property
    whose words are in a table, ``row`` the object that has the value then.
    """

    kind: int
    value: str
    key: str = ""
    tag: str = ""
    class_id: int = 0
    row: str = ""
    words: int | None = None


_NUMBERS: Final = frozenset({kinds.INT, kinds.FLOAT, kinds.DOUBLE})
_FLOATS: Final = frozenset({kinds.FLOAT, kinds.DOUBLE})
#: Kinds whose column is compared by its sort key.
_KEYED: Final = frozenset({kinds.DECIMAL, kinds.MIXED})
_STRING_TAG: Final = TYPE_CODES[kinds.STRING]
_BINARY_TAG: Final = TYPE_CODES[kinds.BINARY]
_NULL_KEY: Final = "x'00'"
_NAN_KEY: Final = "x'0200'"
_INT_MIN: Final = -(1 << 63)
_INT_MAX: Final = (1 << 63) - 1
#: GLOB takes time that grows with the pattern's stars; longer patterns go to a function that does not.
_GLOB_MAX: Final = 200
#: Longer IN lists are handed over as one array instead of one parameter each.
_IN_MAX: Final = 100
#: SQLite limits how deep expressions nest; long chains are built as balanced trees of pieces this long.
_CHAIN_MAX: Final = 100


def combine(operator: str, terms: Iterable[Sql]) -> Sql:
    """``terms`` joined with AND or OR, in parentheses, balanced so that any number will do."""
    level = list(terms)
    if not level:
        return TRUE if operator == "AND" else FALSE
    while len(level) > 1:
        level = [_joined(operator, level[i : i + _CHAIN_MAX]) for i in range(0, len(level), _CHAIN_MAX)]
    return level[0]


def _joined(operator: str, terms: list[Sql]) -> Sql:
    if len(terms) == 1:
        return terms[0]
    text = f" {operator} ".join(term.text for term in terms)
    return Sql(f"({text})", tuple(parameter for term in terms for parameter in term.parameters))


def negate(term: Sql) -> Sql:
    """The opposite of an expression that is 0 or 1."""
    return Sql(f"NOT ({term.text})", term.parameters)


def bare(term: Sql) -> Sql:
    """A term as a condition of WHERE: it may be NULL where ``term`` is 0. SQLite finds indexes for such terms only."""
    text = term.text
    if not (text.startswith("ifnull(") and text.endswith(", 0)")):
        return term
    inner, depth = text[len("ifnull(") : -len(", 0)")], 0
    for character in inner:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return term
    return Sql(f"({inner})", term.parameters)


def null_test(place: Place) -> Sql:
    """Whether the value is null; a link to a tombstone is."""
    if place.kind == kinds.LINK:
        return Sql(f"ifnull({place.value}, -1) < 0")
    if place.kind == kinds.MIXED:
        return Sql(f"({place.tag} IS NULL OR ({place.tag} = {LINK_TAG} AND {place.value} < 0))")
    return Sql(f"{place.value} IS NULL")


# --- against a constant -----------------------------------------------------------------------------------------------


def constant_test(operator: Operator, place: Place, constant: object, fold: Fold) -> Sql:
    """``place operator constant``; the constant is a stored value that the resolver allowed."""
    if operator.is_string:
        return _string_test(operator, place, constant, fold)
    if operator is Operator.NE:
        return negate(constant_test(Operator.EQ, place, constant, fold))
    if constant is None:
        return null_test(place) if matches(operator, None, None) else FALSE
    if operator is Operator.EQ:
        return _folded_equality(place, constant, fold) if fold else _equality(place, constant)
    return _order(operator, place, constant)


def _equality(place: Place, constant: object) -> Sql:
    kind = place.kind
    if _is_nan(constant):
        return FALSE
    if kind in _KEYED:
        return Sql(f"{place.key} IS ?", (_key(constant),))
    if kind == kinds.LINK:
        assert isinstance(constant, ObjectRef)
        return Sql(f"ifnull({place.value} = ?, 0)", (constant.object_key,))  # the index of links has no nulls
    if kind in _NUMBERS:
        number = _equal_number(kind, constant)
        return FALSE if number is None else Sql(f"{place.value} IS ?", (number,))
    return Sql(f"{place.value} IS ?", (encode_scalar(kind, constant),))


def _folded_equality(place: Place, constant: object, fold: Fold) -> Sql:
    if not isinstance(constant, str | bytes):
        return _equality(place, constant)
    text = _folded(constant, fold)
    if place.kind == kinds.MIXED:
        tag = _STRING_TAG if isinstance(constant, str) else _BINARY_TAG
        return Sql(f"({place.tag} IS {tag} AND {_folding(place, fold)} IS ?)", (text,))
    return Sql(f"{_folding(place, fold)} IS ?", (text,))


def _order(operator: Operator, place: Place, constant: object) -> Sql:
    """``< <= > >=`` against a constant that is not null: false for nulls, NaN and values of another kind."""
    kind, sign = place.kind, operator.value
    if _is_nan(constant):
        return FALSE
    if kind in _KEYED:
        key = _key(constant)
        least = _NAN_KEY if key[0] == 2 else _NULL_KEY
        test = f"{place.key} {sign} ? AND {place.key} > {least}"
        if kind == kinds.MIXED:
            test += f" AND substr({place.key}, 1, 1) = x'{key[0]:02x}'"
        return Sql(f"ifnull({test}, 0)", (key,))
    if kind in _NUMBERS:
        return _number_order(operator, place, constant)
    encoded = encode_scalar(kind, constant)
    if kind == kinds.STRING:
        return Sql(f"ifnull(CAST({place.value} AS BLOB) {sign} ?, 0)", (to_bytes(str(constant)),))
    return Sql(f"ifnull({place.value} {sign} ?, 0)", (encoded,))


def _key(constant: object) -> bytes:
    return link_sort_key(*constant) if isinstance(constant, ObjectRef) else sort_key(constant)


def _is_nan(constant: object) -> bool:
    if isinstance(constant, Decimal128):
        return constant.is_nan()
    return isinstance(constant, float) and math.isnan(constant)


# --- numbers ----------------------------------------------------------------------------------------------------------

#: A number constant in Python's exact types.
Number: TypeAlias = "int | float | Decimal"


def _number(constant: object) -> Number:
    if isinstance(constant, Decimal128):
        return constant.to_decimal()
    assert isinstance(constant, int | float)
    return constant


def _equal_number(kind: int, constant: object) -> int | float | None:
    """The number of a column's type that equals the constant exactly; None if there is none."""
    number = _number(constant)
    if isinstance(number, float):
        return float(number)
    if kind == kinds.INT:
        if isinstance(number, Decimal) and (not number.is_finite() or number != number.to_integral_value()):
            return None
        return int(number) if _INT_MIN <= number <= _INT_MAX else None
    nearest = _nearest_double(number)
    return nearest if nearest == number else None


def _nearest_double(number: int | Decimal) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _number_order(operator: Operator, place: Place, constant: object) -> Sql:
    """SQLite compares integers and doubles exactly; other constants are moved to a number that divides values alike."""
    number, sign = _number(constant), operator.value
    exact = _equal_number(place.kind, constant)
    if exact is None:
        assert not isinstance(number, float)
        exact = _nearest_double(number)
        above = exact > number
        if place.kind == kinds.INT and _INT_MIN <= number <= _INT_MAX:
            exact, above = math.floor(number), False
        less = operator in (Operator.LT, Operator.LE)
        sign = ("<" if above else "<=") if less else (">=" if above else ">")
    test = f"{place.value} {sign} ?"
    if place.kind in _FLOATS and sign[0] == ">":
        test += f" AND typeof({place.value}) <> 'blob'"
    return Sql(f"ifnull({test}, 0)", (exact,))


# --- strings ----------------------------------------------------------------------------------------------------------


def _folding(place: Place, fold: Fold) -> str:
    """SQL for the value without what is ignored."""
    return f"rlm_fold({place.value}, {int(fold)})" if fold else place.value


def _folded(constant: object, fold: Fold) -> str | bytes:
    if isinstance(constant, bytes):
        return to_bytes(fold_text(constant.decode("utf-8", "surrogateescape"), fold))
    folded = fold_text(str(constant), fold)
    return _as_sql(folded)


def _as_sql(text: str) -> str | bytes:
    stored = encode_scalar(kinds.STRING, text)
    assert isinstance(stored, str | bytes)
    return stored


def _string_test(operator: Operator, place: Place, constant: object, fold: Fold) -> Sql:
    if constant is None:
        return null_test(place) if operator is Operator.LIKE else TRUE
    value = _folding(place, fold)
    needle = _folded(constant, fold) if fold else constant
    assert isinstance(needle, str | bytes)
    binary = isinstance(constant, bytes)
    test = _like(value, needle, binary) if operator is Operator.LIKE else _find(operator, value, needle)
    if place.kind == kinds.MIXED:
        return Sql(f"({place.tag} IS {_BINARY_TAG if binary else _STRING_TAG} AND {test.text})", test.parameters)
    return test


def _find(operator: Operator, value: str, needle: str | bytes) -> Sql:
    raw = to_bytes(needle) if isinstance(needle, str) else needle
    if not raw:
        return Sql(f"{value} IS NOT NULL")
    blob = f"CAST({value} AS BLOB)"
    if operator is Operator.BEGINSWITH:
        return Sql(f"ifnull(substr({blob}, 1, {len(raw)}) = ?, 0)", (raw,))
    if operator is Operator.ENDSWITH:
        return Sql(f"ifnull(substr({blob}, -{len(raw)}) = ?, 0)", (raw,))
    return Sql(f"ifnull(instr({blob}, ?) > 0, 0)", (raw,))


def _like(value: str, pattern: str | bytes, binary: bool) -> Sql:
    text = pattern if isinstance(pattern, str) else pattern.decode("utf-8", "surrogateescape")
    stored = pattern if binary else _as_sql(text)
    if binary or isinstance(stored, bytes) or "\0" in text or len(text) > _GLOB_MAX:
        return Sql(f"rlm_like({value}, ?)", (stored,))
    glob = text.replace("[", "[[]")
    return Sql(
        f"ifnull(CASE WHEN typeof({value}) = 'blob' OR instr({value}, char(0)) THEN rlm_like({value}, ?) "
        f"ELSE {value} GLOB ? END, 0)",
        (stored, glob),
    )


# --- against one of many ----------------------------------------------------------------------------------------------


def in_test(place: Place, values: Iterable[object], fold: Fold) -> Sql:
    """Whether the value equals one of ``values``, of which there may be any number."""
    listed = list(values)
    terms = [null_test(place)] if None in listed else []
    constants = [value for value in listed if value is not None and not _is_nan(value)]
    if fold:
        if place.kind == kinds.MIXED:
            terms += [_folded_equality(place, value, fold) for value in constants]
        else:
            terms += _member(_folding(place, fold), [_folded(value, fold) for value in constants])
    elif place.kind in _KEYED:
        terms += _member(place.key, [_key(value) for value in constants])
    elif place.kind == kinds.LINK:
        terms += _member(place.value, [value.object_key for value in constants if isinstance(value, ObjectRef)])
    elif place.kind in _NUMBERS:
        terms += _member(place.value, [n for v in constants if (n := _equal_number(place.kind, v)) is not None])
    else:
        terms += _member(place.value, [encode_scalar(place.kind, value) for value in constants])
    return combine("OR", terms)


def _member(value: str, encoded: list[Any]) -> list[Sql]:
    """``value IN (…)`` by the type of the encoded values, nothing if there are none."""
    tests = []
    for kind in (int, float, str, bytes):
        items = list(dict.fromkeys(item for item in encoded if type(item) is kind))
        if not items:
            continue
        if len(items) <= _IN_MAX:
            tests.append(Sql(f"ifnull({value} IN ({','.join('?' * len(items))}), 0)", tuple(items)))
        elif kind is str:
            tests.append(_member_array(value, "CAST(value AS TEXT)", [str(item).encode() for item in items]))
        else:
            tests.append(_member_array(value, "value", items))
    return tests


def _member_array(value: str, column: str, items: list[Any]) -> Sql:
    """One parameter for a long list. Text goes as bytes: SQLite's arrays cannot hold U+0000 in strings."""
    if isinstance(items[0], int):
        packed: Any = array("q", items)
    elif isinstance(items[0], float):
        packed = array("d", items)
    else:
        packed = tuple(items)
    return Sql(f"ifnull({value} IN (SELECT {column} FROM carray(?)), 0)", (apsw.carray(packed),))


# --- against another stored value -------------------------------------------------------------------------------------


def pair_test(operator: Operator, left: Place, right: Place, fold: Fold) -> Sql:
    """``left operator right`` for two stored values."""
    if operator.is_string or fold:
        text = f"{operator.value if operator is not Operator.NE else '=='}"
        test = Sql(f"rlm_match('{text}', {int(fold)}, {_textual(left)}, {_textual(right)})")
        return negate(test) if operator is Operator.NE else test
    if operator is Operator.NE:
        return negate(pair_test(Operator.EQ, left, right, fold))
    if left.kind in _NUMBERS and right.kind in _NUMBERS:
        return _plain_pair(operator, left.value, right.value, _not_nan(left) + _not_nan(right))
    if left.kind == right.kind and left.kind not in _KEYED:
        if left.kind == kinds.LINK:
            return Sql(f"ifnull(max({left.value}, -1), -1) = ifnull(max({right.value}, -1), -1)")
        if left.kind == kinds.STRING and operator.is_order:
            return _plain_pair(operator, f"CAST({left.value} AS BLOB)", f"CAST({right.value} AS BLOB)", [])
        return _plain_pair(operator, left.value, right.value, [])
    return _keyed_pair(operator, _key_of(left), _key_of(right))


def _textual(place: Place) -> str:
    """The kind and value arguments of ``rlm_match``; of a Mixed that holds neither string nor data NULL and its key."""
    if place.kind != kinds.MIXED:
        return f"{place.kind}, {place.value}"
    kind = f"CASE {place.tag} WHEN {_STRING_TAG} THEN {kinds.STRING} WHEN {_BINARY_TAG} THEN {kinds.BINARY} END"
    textual = f"{place.tag} IN ({_STRING_TAG}, {_BINARY_TAG})"
    return f"{kind}, CASE WHEN {textual} THEN {place.value} ELSE {_key_of(place)} END"


def _not_nan(place: Place) -> list[str]:
    return [f"typeof({place.value}) <> 'blob'"] if place.kind in _FLOATS else []


def _plain_pair(operator: Operator, left: str, right: str, guards: list[str]) -> Sql:
    if operator is Operator.EQ:
        test = f"{left} IS {right}"
    else:
        null = f"({left} IS NULL AND {right} IS NULL)" if operator in (Operator.LE, Operator.GE) else "0"
        test = f"ifnull({left} {operator.value} {right}, {null})"
    return Sql(f"({' AND '.join([test, *guards])})")


def _key_of(place: Place) -> str:
    if place.kind == kinds.DECIMAL:
        return place.key
    if place.kind == kinds.MIXED:
        return f"CASE WHEN {place.tag} = {LINK_TAG} AND {place.value} < 0 THEN {_NULL_KEY} ELSE {place.key} END"
    return f"rlm_key({place.kind}, {place.class_id}, {place.value})"


def _keyed_pair(operator: Operator, left: str, right: str) -> Sql:
    """Two values by their sort keys: comparable if the first bytes agree, and no NaN."""
    sign = "=" if operator is Operator.EQ else operator.value
    return Sql(
        f"({left} {sign} {right} AND substr({left}, 1, 1) = substr({right}, 1, 1) "
        f"AND {left} <> {_NAN_KEY} AND {right} <> {_NAN_KEY})"
    )


# --- sort, distinct ---------------------------------------------------------------------------------------------------


def order_terms(place: Place) -> list[str]:
    """What to sort by: null first, then NaN, then values in the order of spec/sdk.md §1.11.1."""
    if place.kind in (kinds.DECIMAL, kinds.MIXED):
        return group_terms(place)
    if place.kind in _FLOATS:
        return [f"CASE typeof({place.value}) WHEN 'null' THEN 0 WHEN 'blob' THEN 1 ELSE 2 END", place.value]
    return [f"CAST({place.value} AS BLOB)" if place.kind == kinds.STRING else place.value]


def group_terms(place: Place) -> list[str]:
    """What makes values equal to DISTINCT."""
    if place.kind == kinds.DECIMAL:
        return [f"ifnull({place.key}, x'00')"]
    if place.kind == kinds.MIXED:
        return [f"CASE WHEN {place.tag} = 7 AND {place.value} < 0 THEN x'00' ELSE ifnull({place.key}, x'00') END"]
    if place.kind == kinds.LINK:
        return [f"ifnull(max({place.value}, -1), -1)"]
    return [place.value]
