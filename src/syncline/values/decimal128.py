"""128-bit decimals in BID form (spec/changesets.md §3.6)."""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation, Overflow
from functools import total_ordering
from typing import Final

__all__ = ["Decimal128"]

_BIAS: Final = 6176
_COEFFICIENT_BITS: Final = 113
_COEFFICIENT_MASK: Final = (1 << _COEFFICIENT_BITS) - 1
_EXPONENT_BITS: Final = 14
_EXPONENT_MASK: Final = (1 << _EXPONENT_BITS) - 1
_DIGITS: Final = 34
_COEFFICIENT_MAX: Final = 10**_DIGITS - 1
_EXPONENT_MAX: Final = 6111

_INFINITY_EXPONENT: Final = 9184
_NAN_EXPONENT: Final = 9696
#: The bit pattern with which realm-core marks "no decimal": a NaN with this coefficient.
_NULL_COEFFICIENT: Final = 0xAA

#: Rounds to what 128 bits hold, half to even, with the two overflow results of IEEE 754.
_CONTEXT: Final = Context(prec=_DIGITS, Emin=-6143, Emax=6144, clamp=1, traps=[InvalidOperation, Overflow])


@total_ordering
class Decimal128:
    """An IEEE 754-2008 decimal128 by sign, exponent and coefficient; trailing zeros are kept (10.50 stays 10.50).

    Infinity and NaN are exponents 9184 and 9696 with coefficient 0, as in the 128-bit encoding. Equality and hash are
    those of the *number* (10.5 == 10.50, 0 == -0, NaN == NaN), order is that of mixed values (NaN first). Immutable by
    convention: nothing changes the three fields after construction.
    """

    __slots__ = ("coefficient", "exponent", "negative")
    coefficient: int
    exponent: int
    negative: bool

    def __init__(self, coefficient: int, exponent: int = 0, negative: bool = False) -> None:
        """The number (-1)**negative * coefficient * 10**exponent.

        Any coefficient of 113 bits and exponent of 14 (biased) is accepted, since both travel; a coefficient of more
        than 34 digits counts as zero, as IEEE 754 says. Raises ValueError for what 128 bits cannot hold.
        """
        if not 0 <= coefficient <= _COEFFICIENT_MASK:
            raise ValueError("the coefficient of a decimal does not fit into 113 bits")
        if not 0 <= exponent + _BIAS <= _EXPONENT_MASK:
            raise ValueError(f"the exponent {exponent} of a decimal does not fit into 14 bits")
        self.coefficient = coefficient
        self.exponent = exponent
        self.negative = negative

    # --- other forms -----------------------------------------------------------------------------------------------

    @classmethod
    def from_bid(cls, high: int, low: int) -> Decimal128:
        """From the two 64-bit words of the BID encoding."""
        return cls((high & ((1 << 49) - 1)) << 64 | low, ((high >> 49) & _EXPONENT_MASK) - _BIAS, bool(high >> 63 & 1))

    def to_bid(self) -> tuple[int, int]:
        """The two 64-bit words of the BID encoding, high word first."""
        high = int(self.negative) << 63 | (self.exponent + _BIAS) << 49 | self.coefficient >> 64
        return high, self.coefficient & 0xFFFF_FFFF_FFFF_FFFF

    @classmethod
    def from_bytes(cls, data: bytes) -> Decimal128:
        """From the 16 bytes that :meth:`to_bytes` makes. Raises ValueError for another number of bytes."""
        if len(data) != 16:
            raise ValueError(f"a Decimal128 has 16 bytes, not {len(data)}")
        return cls.from_bid(int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big"))

    def to_bytes(self) -> bytes:
        """The BID encoding in 16 bytes, high word first, big-endian; its hex is the vectors' ``bid``."""
        high, low = self.to_bid()
        return high.to_bytes(8, "big") + low.to_bytes(8, "big")

    @classmethod
    def from_decimal(cls, value: Decimal | int) -> Decimal128:
        """The nearest decimal128: at most 34 digits, half to even; tiny numbers become subnormal or zero.

        Payloads of NaNs are not kept. Raises ValueError for a finite number beyond 9.99…E+6144.
        """
        value = Decimal(value)
        if value.is_nan():
            return cls(0, _NAN_EXPONENT, value.is_signed())
        if value.is_infinite():
            return cls(0, _INFINITY_EXPONENT, value.is_signed())
        try:
            rounded = _CONTEXT.create_decimal(value)
        except (Overflow, InvalidOperation):
            raise ValueError(f"{value} is too large for a 128-bit decimal") from None
        sign, digits, exponent = rounded.as_tuple()
        return cls(int("".join(map(str, digits))), int(exponent), bool(sign))

    def to_decimal(self) -> Decimal:
        """The same number, with the same exponent, as the standard library's type."""
        if self.is_nan():
            return Decimal("-NaN" if self.negative else "NaN")
        if self.is_infinite():
            return Decimal("-Infinity" if self.negative else "Infinity")
        sign = "-" if self.negative else ""
        if not self.is_canonical():
            return Decimal(f"{sign}0")
        return Decimal(f"{sign}{self.coefficient}E{self.exponent}")

    @classmethod
    def from_text(cls, text: str) -> Decimal128:
        """Read a number in the usual notations: ``10.50``, ``-1E-6176``, ``Infinity``, ``NaN``.

        Rounds like :meth:`from_decimal`. Raises ValueError for anything else and for numbers out of range.
        """
        try:
            return cls.from_decimal(_CONTEXT.create_decimal(text))
        except (InvalidOperation, Overflow):
            raise ValueError(f"not a number that a 128-bit decimal can hold: {text[:60]!r}") from None

    # --- kinds of numbers ------------------------------------------------------------------------------------------

    def is_nan(self) -> bool:
        """Not a number (the null decimal included)."""
        return self.exponent >= _NAN_EXPONENT

    def is_infinite(self) -> bool:
        """Plus or minus infinity."""
        return _INFINITY_EXPONENT <= self.exponent < _NAN_EXPONENT

    def is_canonical(self) -> bool:
        """A finite number as IEEE 754 writes it; other finite patterns (35 digits, say) count as zero."""
        return self.coefficient <= _COEFFICIENT_MAX and self.exponent <= _EXPONENT_MAX

    def is_null(self) -> bool:
        """The bit pattern with which realm-core marks an absent decimal; it never travels as a decimal."""
        return self.coefficient == _NULL_COEFFICIENT and self.exponent == _NAN_EXPONENT and not self.negative

    # --- comparison ------------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decimal128):
            return NotImplemented
        if self.exponent == other.exponent and self.coefficient == other.coefficient:
            return self.negative == other.negative or self.coefficient == 0 or self.is_nan()
        if self.is_nan() or other.is_nan():
            return self.is_nan() and other.is_nan()
        return self.to_decimal() == other.to_decimal()

    def __lt__(self, other: Decimal128) -> bool:
        if not isinstance(other, Decimal128):
            return NotImplemented
        if self.is_nan() or other.is_nan():
            return self.is_nan() and not other.is_nan()
        return self.to_decimal() < other.to_decimal()

    def __hash__(self) -> int:
        return 0 if self.is_nan() else hash(self.to_decimal())

    def __str__(self) -> str:
        return str(self.to_decimal())

    def __repr__(self) -> str:
        return f"Decimal128({str(self)!r})"

    def __reduce__(self) -> tuple[type[Decimal128], tuple[int, int, bool]]:
        return Decimal128, (self.coefficient, self.exponent, self.negative)
