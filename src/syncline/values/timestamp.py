"""Points in time with nanoseconds (spec/changesets.md §3.5, spec/sdk.md §1.1.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

__all__ = ["Timestamp"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = 1_000_000_000
_SECONDS_BIAS: Final = 1 << 63


class Timestamp(NamedTuple):
    """Seconds and nanoseconds since 1970-01-01T00:00:00Z, both of the same sign: tuples order as times do."""

    seconds: int
    nanoseconds: int = 0

    @classmethod
    def from_datetime(cls, value: datetime) -> Timestamp:
        """The same instant; a naive datetime is taken as UTC."""
        if value.tzinfo is None:
            value = value.replace(tzinfo=UTC)
        delta = value - _EPOCH
        return cls.normalised(delta.days * 86_400 + delta.seconds, delta.microseconds * 1000)

    @classmethod
    def normalised(cls, seconds: int, nanoseconds: int) -> Timestamp:
        """The instant ``seconds`` + ``nanoseconds`` with parts of equal sign, whatever the signs given."""
        total = seconds * _SECOND + nanoseconds
        if total < 0:
            seconds, nanoseconds = divmod(-total, _SECOND)
            return cls(-seconds, -nanoseconds)
        return cls(*divmod(total, _SECOND))

    def to_datetime(self) -> datetime:
        """An aware UTC datetime, cut to microseconds. Raises OverflowError outside the years 1 to 9999."""
        return _EPOCH + timedelta(seconds=self.seconds, microseconds=int(self.nanoseconds / 1000))

    def to_bytes(self) -> bytes:
        """Twelve bytes that sort as times do: seconds rounded down plus 2**63, nanoseconds from 0 (spec/sdk.md §13.3).

        Raises OverflowError for an instant more than 2**63 seconds away from 1970.
        """
        seconds, nanoseconds = self
        if nanoseconds < 0:
            seconds -= 1
            nanoseconds += _SECOND
        return (seconds + _SECONDS_BIAS).to_bytes(8, "big") + nanoseconds.to_bytes(4, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> Timestamp:
        """The instant that :meth:`to_bytes` wrote."""
        seconds = int.from_bytes(data[:8], "big") - _SECONDS_BIAS
        nanoseconds = int.from_bytes(data[8:], "big")
        if seconds < 0 < nanoseconds:
            return cls(seconds + 1, nanoseconds - _SECOND)
        return cls(seconds, nanoseconds)
