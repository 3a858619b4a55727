"""Aggregates in SQL (spec/sdk.md §7.6): what the values at a place come to, over the rows of a query.

Smallest and largest values are SQLite's own, by sort key where values have one. Sums of integers are added in two
halves that cannot overflow; all others by an aggregate function that does what the evaluator does
(:func:`syncline.query.arithmetic.aggregate`), so that both agree to the last bit, in whatever order rows come.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from syncline.query.ast import Aggregation
from syncline.storage.columns import LINK_TAG
from syncline.storage.query_leaves import Place, Sql, combine
from syncline.values import Decimal128, kinds

__all__ = ["aggregate_kind", "aggregate_query"]

_FLOATS: Final = frozenset({kinds.FLOAT, kinds.DOUBLE})
_ZERO: Final = f"x'{Decimal128.from_decimal(Decimal(0)).to_bytes().hex()}'"


def aggregate_kind(function: Aggregation, kind: int) -> int:
    """The kind of the result for values of ``kind``."""
    if function in (Aggregation.MIN, Aggregation.MAX):
        return kind
    if kind in (kinds.MIXED, kinds.DECIMAL):
        return kinds.DECIMAL
    return kind if function is Aggregation.SUM and kind == kinds.INT else kinds.DOUBLE


def aggregate_query(function: Aggregation, place: Place, tables: Sql, condition: Sql, extra: str = "") -> Sql:
    """A SELECT of one row: the result as ``v``; the smallest or largest with sort key ``s`` and tag ``t`` as its kind
    has them.

    ``extra``: a column for the class of a link, which becomes ``l``.
    """
    columns, more = _columns(function, place, extra)
    where = combine("AND", [condition, Sql(more)]) if more else condition
    return Sql(f"SELECT {columns} FROM {tables.text} WHERE {where.text}", (*tables.parameters, *where.parameters))


def _columns(function: Aggregation, place: Place, extra: str) -> tuple[str, str]:
    """The columns of the result, and a further condition on rows."""
    value, kind = place.value, place.kind
    if function in (Aggregation.MIN, Aggregation.MAX):
        return _extreme("min" if function is Aggregation.MIN else "max", place, extra)
    if kind == kinds.INT:
        halves = f"sum({value} >> 32), sum({value} & 4294967295)"
        if function is Aggregation.SUM:
            return f"rlm_int_sum({halves}) AS v", ""
        return f"rlm_int_average({halves}, count({value})) AS v", ""
    result = f"rlm_aggregate('{function.value}', {kind}, {value}, {place.tag or 'NULL'})"
    if function is Aggregation.SUM:  # of no rows
        result = f"ifnull({result}, {'0.0' if kind in _FLOATS else _ZERO})"
    return f"{result} AS v", ""


def _extreme(function: str, place: Place, extra: str) -> tuple[str, str]:
    """SQLite takes the other columns from the row that has the smallest or largest key. NaN never wins, except among
    Mixed values.
    """
    value, key = place.value, place.key
    if place.kind == kinds.MIXED:
        link = f"NOT ({place.tag} = {LINK_TAG} AND {value} < 0)"
        columns = f"{value} AS v, ifnull({function}({key}), x'00') AS s, {place.tag} AS t"
        return columns + (f", {extra} AS l" if extra else ""), f"ifnull({key} > x'00' AND {link}, 0)"
    if place.kind == kinds.DECIMAL:
        return f"{value} AS v, ifnull({function}({key}), x'00') AS s", f"ifnull({key} > x'0200', 0)"
    if place.kind in _FLOATS:
        return f"{function}({value}) AS v", f"typeof({value}) <> 'blob'"
    return f"{function}({value}) AS v", ""
