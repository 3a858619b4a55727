"""Points in time with nanoseconds (spec/changesets.md §3.5, spec/sdk.md §1.1.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

__all__ = ["Timestamp"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        total = seconds * 1_000_000_000 + nanoseconds
        if total < 0:
            seconds, nanoseconds = divmod(-total, 1_000_000_000)
            return cls(-seconds, -nanoseconds)
        return cls(*divmod(total, 1_000_000_000))

    def to_datetime(self) -> datetime:
        """An aware UTC datetime, cut to microseconds. Raises OverflowError outside the years 1 to 9999."""
        return _EPOCH + timedelta(seconds=self.seconds, microseconds=int(self.nanoseconds / 1000))
