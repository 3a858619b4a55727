"""The SQL functions that compiled queries call where SQL itself has no equal (spec/sdk.md §13.7, §13.10).

Every connection of a Realm file has them, see :func:`register`; nothing in the file's schema uses them, so other SQLite
tools can open it. Strings that are not UTF-8 come as BLOB, like data: where that matters, a tag says which it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import apsw

from syncline.query.arithmetic import aggregate, calculate, wrapped
from syncline.query.ast import Aggregation, ArithmeticOperator, Operator
from syncline.query.comparison import matches
from syncline.query.full_text import search
from syncline.query.geometry import Shape
from syncline.query.text import fold, like, to_bytes
from syncline.storage.catalogue import TYPE_CODES
from syncline.storage.columns import SqlValue, decode_scalar, encode_scalar
from syncline.values import Decimal128, Float32
from syncline.values.kinds import DECIMAL, DOUBLE, FLOAT, INT, LINK, MIXED, STRING
from syncline.values.order import link_sort_key, sort_key

__all__ = ["encode_number", "register"]

_NULL_KEY: Final = sort_key(None)
_NAN_KEY: Final = sort_key(math.nan)


def register(connection: apsw.Connection) -> None:
    """Give the connection the functions. Costs microseconds."""
    functions: tuple[tuple[str, Callable[..., SqlValue], int], ...] = (
        ("rlm_fold", _fold, 2),
        ("rlm_like", _like, 2),
        ("rlm_key", _key, 3),
        ("rlm_match", _match, 6),
        ("rlm_text", _text_search, 2),
        ("rlm_within", _within, 3),
        ("rlm_calculate", _calculate, 5),
        ("rlm_int_sum", _int_sum, 2),
        ("rlm_int_average", _int_average, 3),
    )
    for name, function, arguments in functions:
        connection.create_scalar_function(name, function, arguments, deterministic=True)
    connection.create_aggregate_function("rlm_aggregate", _Aggregator.make, 4)


def _text(value: SqlValue) -> str:
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "surrogateescape")  # type: ignore[arg-type]


def _fold(value: SqlValue, what: int) -> SqlValue:
    """A string or data without what a ``Fold`` ignores (spec/sdk.md §7.5); null as null, what came as BLOB as one."""
    if isinstance(value, str):
        return fold(value, what)
    if isinstance(value, bytes):
        return to_bytes(fold(_text(value), what))
    return None


def _like(value: SqlValue, pattern: SqlValue) -> int:
    """The general LIKE, for what GLOB does not do: U+0000, bytes that are not UTF-8, very long patterns."""
    return 0 if value is None else int(like(_text(value), _text(pattern)))


def _key(kind: int, class_id: int, value: SqlValue) -> bytes:
    """The sort key of a value of that kind; of a link to an object of that class. A link to a tombstone is null."""
    if value is None:
        return _NULL_KEY
    if kind == LINK:
        assert isinstance(value, int)
        return link_sort_key(class_id, value) if value >= 0 else _NULL_KEY
    return sort_key(decode_scalar(kind, value))


def _match(
    operator: str, what: int, left_kind: int | None, left: SqlValue, right_kind: int | None, right: SqlValue
) -> int:
    """A string operator, or equality that ignores something, between two stored values (see ``_decoded``)."""
    return int(matches(Operator(operator), _decoded(left_kind, left), _decoded(right_kind, right), what))


def _decoded(kind: int | None, value: SqlValue) -> object:
    """A string or data; without a kind something else from a Mixed place, given by its sort key."""
    if value is None or (kind is None and value == _NULL_KEY):
        return None
    if kind is None:
        return math.nan if value == _NAN_KEY else ("other", value)
    return _text(value) if kind == STRING else decode_scalar(kind, value)


def _text_search(wanted: str, value: SqlValue) -> int:
    """The operator TEXT (spec/sdk.md §7.10)."""
    return int(search(wanted).matches(None if value is None else _text(value)))


def _within(shape: Shape, longitude: float, latitude: float) -> int:
    """The operator GEOWITHIN for a place in degrees (spec/sdk.md §7.10)."""
    return int(shape.contains(longitude, latitude))


# --- numbers ----------------------------------------------------------------------------------------------------------

_OPERATORS: Final = {operator.value: operator for operator in ArithmeticOperator}
_AGGREGATIONS: Final = {function.value: function for function in Aggregation}
_NUMBER_TAGS: Final = {TYPE_CODES[kind]: kind for kind in (INT, FLOAT, DOUBLE, DECIMAL)}
#: From the least to the largest type of number (spec/sdk.md §7.8).
_LARGER: Final = (INT, FLOAT, DOUBLE, DECIMAL)


def encode_number(kind: int, number: object) -> SqlValue:
    """The SQL value of a number, also of a decimal."""
    return number.to_bytes() if isinstance(number, Decimal128) else encode_scalar(kind, number)


def _number(kind: int, value: SqlValue) -> Any:
    number = decode_scalar(kind, value)
    return Float32(number) if kind == FLOAT else number  # type: ignore[arg-type]


def _calculate(symbol: str, left_kind: int, left: SqlValue, right_kind: int, right: SqlValue) -> SqlValue:
    """``left symbol right``; null if one of them is (spec/sdk.md §7.8)."""
    if left is None or right is None:
        return None
    result = calculate(_OPERATORS[symbol], _number(left_kind, left), _number(right_kind, right))
    return encode_number(max(left_kind, right_kind, key=_LARGER.index), result)


def _exact(high: int | None, low: int | None) -> int:
    """The sum of integers whose upper and lower halves were added up apart."""
    return 0 if high is None or low is None else (high << 32) + low


def _int_sum(high: int | None, low: int | None) -> int:
    return wrapped(_exact(high, low))


def _int_average(high: int | None, low: int | None, count: int) -> float | None:
    return _exact(high, low) / count if count else None


class _Aggregator:
    """``rlm_aggregate(function, kind, value, tag)``: a sum or an average of the numbers among the values."""

    def __init__(self) -> None:
        self.function: Aggregation | None = None
        self.kind = MIXED
        self.values: list[Any] = []

    @classmethod
    def make(cls) -> tuple[_Aggregator, Callable[..., None], Callable[[_Aggregator], SqlValue]]:
        """What SQLite calls for every group."""
        return cls(), cls.step, cls.final

    def step(self, function: str, kind: int, value: SqlValue, tag: int | None) -> None:
        """The next row."""
        if self.function is None:
            self.function, self.kind = _AGGREGATIONS[function], kind
        if value is not None:
            number = _NUMBER_TAGS.get(tag) if kind == MIXED and tag is not None else kind
            if number is not None and number != MIXED:
                self.values.append(_number(number, value))

    def final(self) -> SqlValue:
        """The result, encoded as its kind is stored. Without rows there is no telling of what: null."""
        if self.function is None:
            return None
        result = aggregate(self.function, self.kind, self.values)
        return None if result is None else encode_number(DOUBLE, result)
