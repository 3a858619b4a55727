"""``+ - * /`` of stored numbers, with the results of spec/sdk.md §7.8, and the aggregates of §7.6.

The result has the larger of the two types: int < float < double < decimal. Integers wrap at 64 bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, Final, TypeAlias

from syncline.query.ast import Aggregation, ArithmeticOperator
from syncline.values import Decimal128, Float32, kinds
from syncline.values.order import link_sort_key, sort_key

__all__ = ["Number", "aggregate", "calculate", "is_number", "order_key", "wrapped"]

#: A stored number.
Number: TypeAlias = "int | float | Decimal128"

_INT_MIN: Final = -(1 << 63)
_INT_MAX: Final = (1 << 63) - 1
#: Nothing raises: overflow gives an infinity, what has no result a NaN, as IEEE 754 says.
_DECIMALS: Final = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=-6143, Emax=6144, clamp=1, traps=[])
#: Enough digits for the sum of any decimals.
_EXACT: Final = Context(prec=12_400, rounding=ROUND_HALF_EVEN, Emin=-20_000, Emax=20_000, traps=[])


def is_number(value: object) -> bool:
    """Whether a stored value is a number; a bool is none."""
    return isinstance(value, int | float | Decimal128) and not isinstance(value, bool)


def wrapped(value: int) -> int:
    """An integer modulo 2**64, from −2**63 to 2**63 − 1."""
    return ((value - _INT_MIN) & ((1 << 64) - 1)) + _INT_MIN


def calculate(operator: ArithmeticOperator, left: Number | None, right: Number | None) -> Number | None:
    """The result for two numbers; null if one of them is."""
    if left is None or right is None:
        return None
    if isinstance(left, Decimal128) or isinstance(right, Decimal128):
        return Decimal128.from_decimal(_decimals(operator, _as_decimal(left), _as_decimal(right)))
    if isinstance(left, int) and isinstance(right, int):
        return _integers(operator, left, right)
    result = _floats(operator, float(left), float(right))
    single = all(isinstance(number, int | Float32) for number in (left, right))
    return Float32(result) if single else result


def _integers(operator: ArithmeticOperator, left: int, right: int) -> int:
    match operator:
        case ArithmeticOperator.ADD:
            return wrapped(left + right)
        case ArithmeticOperator.SUBTRACT:
            return wrapped(left - right)
        case ArithmeticOperator.MULTIPLY:
            return wrapped(left * right)
        case ArithmeticOperator.DIVIDE:
            if right == 0:
                return _INT_MIN if left < 0 else _INT_MAX
            quotient = abs(left) // abs(right)
            return wrapped(quotient if (left < 0) == (right < 0) else -quotient)


def _floats(operator: ArithmeticOperator, left: float, right: float) -> float:
    match operator:
        case ArithmeticOperator.ADD:
            return left + right
        case ArithmeticOperator.SUBTRACT:
            return left - right
        case ArithmeticOperator.MULTIPLY:
            return left * right
        case ArithmeticOperator.DIVIDE:
            if right:
                return left / right
            if left == 0 or math.isnan(left):
                return math.nan
            return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _decimals(operator: ArithmeticOperator, left: Decimal, right: Decimal) -> Decimal:
    match operator:
        case ArithmeticOperator.ADD:
            return _DECIMALS.add(left, right)
        case ArithmeticOperator.SUBTRACT:
            return _DECIMALS.subtract(left, right)
        case ArithmeticOperator.MULTIPLY:
            return _DECIMALS.multiply(left, right)
        case ArithmeticOperator.DIVIDE:
            return _DECIMALS.divide(left, right)


def _as_decimal(value: Number) -> Decimal:
    """A double as the shortest decimal that reads back as it, which is how constants become decimals, too."""
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, Float32):
        return Decimal(str(value))
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


# --- aggregates -------------------------------------------------------------------------------------------------------


def aggregate(function: Aggregation, kind: int, values: Iterable[object]) -> object:
    """What a collection of values of that kind comes to: nulls are left out (spec/sdk.md §7.6).

    ``@sum`` of nothing is 0, everything else of nothing null. Of Mixed values, sums and averages take the numbers.
    """
    known = [value for value in values if value is not None]
    if function in (Aggregation.MIN, Aggregation.MAX):
        return _extreme(function, kind, known)
    numbers: list[Number] = [
        value for value in known if isinstance(value, int | float | Decimal128) and is_number(value)
    ]
    if kind in (kinds.DECIMAL, kinds.MIXED):
        return _decimal_sum(function, numbers)
    if function is Aggregation.AVG:
        return _average(numbers)
    if kind == kinds.INT:
        return wrapped(sum(number for number in numbers if isinstance(number, int)))
    return _added(numbers)


def _extreme(function: Aggregation, kind: int, known: list[object]) -> object:
    """NaN never wins, except among Mixed values, where it is simply the least number."""
    if kind != kinds.MIXED:
        known = [value for value in known if not _is_nan(value)]
    if not known:
        return None
    return (min if function is Aggregation.MIN else max)(known, key=order_key)


def order_key(value: Any) -> bytes:
    """Sorts stored values as spec/sdk.md §1.11.1 says, and is the same for equal ones."""
    if hasattr(value, "object_key"):
        return link_sort_key(value.class_id, value.object_key)
    return sort_key(value)


def _is_nan(value: object) -> bool:
    return value.is_nan() if isinstance(value, Decimal128) else isinstance(value, float) and math.isnan(value)


def _added(numbers: list[Number]) -> float:
    """The exact sum, rounded once: it does not depend on the order."""
    doubles = [float(number) for number in numbers if not isinstance(number, Decimal128)]
    odd = [double for double in doubles if not math.isfinite(double)]
    if odd:
        return sum(odd)
    try:
        return math.fsum(doubles)
    except OverflowError:
        return _nearest(sum(map(Fraction, doubles)))


def _nearest(number: Fraction | int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _average(numbers: list[Number]) -> float | None:
    if not numbers:
        return None
    if all(isinstance(number, int) for number in numbers):
        return sum(number for number in numbers if isinstance(number, int)) / len(numbers)
    return _added(numbers) / len(numbers)


def _decimal_sum(function: Aggregation, numbers: list[Number]) -> Decimal128 | None:
    """The exact sum, rounded once."""
    decimals = [_as_decimal(number) for number in numbers if not _is_nan(number)]
    total = Decimal(0)
    for decimal in decimals:
        total = _EXACT.add(total, decimal)
    if function is Aggregation.SUM:
        return Decimal128.from_decimal(_DECIMALS.plus(total))
    return Decimal128.from_decimal(_DECIMALS.divide(total, Decimal(len(decimals)))) if decimals else None
