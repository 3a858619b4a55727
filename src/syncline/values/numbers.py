"""Numbers of other libraries, numpy's above all, without importing any."""

from __future__ import annotations

import operator
from numbers import Integral, Rational, Real

__all__ = ["plain_number"]


def plain_number(value: object) -> object:
    """The ``int`` or ``float`` that says the same as a number of another library; anything else as it is.

    Fractions stay what they are: most have no float that says the same.
    """
    if isinstance(value, int | float) or not isinstance(value, Real):
        return value
    if isinstance(value, Integral) and hasattr(value, "__index__"):  # a time span of numpy calls itself Integral
        return operator.index(value)
    return value if isinstance(value, Rational) else float(value)
