"""Single-precision floats, so that a mixed place can tell a float from a double (spec/sdk.md §1.1)."""

from __future__ import annotations

from math import copysign, inf, isfinite
from struct import Struct
from typing import Final

__all__ = ["Float32"]

_SINGLE: Final = Struct("<f")


def _rounded(value: float) -> float:
    """``value`` as the nearest single-precision float; too large ones become infinite, as in IEEE 754."""
    try:
        single: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    except OverflowError:
        return copysign(inf, value)
    return single


class Float32(float):
    """A float rounded to IEEE single precision; arithmetic with it gives ordinary floats.

    ``Float32(0.1) == 0.1`` is False: the value is 0.10000000149011612. ``repr`` shows the shortest text that reads back
    as the same single, ``Float32(0.1)``.
    """

    __slots__ = ()

    def __new__(cls, value: float | int | str = 0.0) -> Float32:
        """``value`` rounded to the nearest single, half to even. Raises what ``float()`` raises."""
        return super().__new__(cls, _rounded(float(value)))

    def __repr__(self) -> str:
        return f"Float32({self})"

    def __str__(self) -> str:
        if isfinite(self):
            for digits in range(1, 10):
                text = f"{float(self):.{digits}g}"
                if _rounded(float(text)) == self:
                    return repr(float(text))
        return float.__repr__(self)

    def __reduce__(self) -> tuple[type[Float32], tuple[float]]:
        return Float32, (float(self),)
