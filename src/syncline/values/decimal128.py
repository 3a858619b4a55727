"""128-bit decimals in BID form (spec/changesets.md §3.6)."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["Decimal128"]

_BIAS = 6176
_COEFFICIENT_BITS = 113
_COEFFICIENT_MASK = (1 << _COEFFICIENT_BITS) - 1
_COEFFICIENT_LIMIT = 10**34
_INFINITY_EXPONENT = 9184
_NAN_EXPONENT = 9696


class Decimal128:
    """An IEEE 754-2008 decimal128 by sign, exponent and coefficient; trailing zeros are kept (10.50 stays 10.50).

    Infinity and NaN are exponents 9184 and 9696, as in the 128-bit encoding. Equality and hash are those of the
    *number* (10.5 == 10.50, NaN == NaN), order is by :meth:`to_decimal`.
    """

    __slots__ = ("coefficient", "exponent", "negative")
    coefficient: int
    exponent: int
    negative: bool

    def __init__(self, coefficient: int, exponent: int = 0, negative: bool = False) -> None:
        self.coefficient = coefficient
        self.exponent = exponent
        self.negative = negative
