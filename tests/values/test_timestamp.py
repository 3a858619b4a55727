"""Points in time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.values import Timestamp

instants = st.builds(Timestamp.normalised, st.integers(-(2**62), 2**62), st.integers(-999_999_999, 999_999_999))


def test_both_parts_carry_the_sign() -> None:
    assert Timestamp.normalised(-2, 900_000_000) == (-1, -100_000_000)
    assert Timestamp.normalised(1, -1) == (0, 999_999_999)
    assert Timestamp.normalised(0, -5) == (0, -5)
    assert Timestamp.normalised(0, 3_000_000_001) == (3, 1)


def test_from_datetime() -> None:
    assert Timestamp.from_datetime(datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)) == (1, 500_000_000)
    assert Timestamp.from_datetime(datetime(1969, 12, 31, 23, 59, 58, 900_000, tzinfo=UTC)) == (-1, -100_000_000)
    east = timezone(timedelta(hours=2))
    assert Timestamp.from_datetime(datetime(1970, 1, 1, 2, tzinfo=east)) == (0, 0)


def test_to_datetime_cuts_to_microseconds() -> None:
    assert Timestamp(1, 1_999).to_datetime() == datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC)
    assert Timestamp(-1, -1_999).to_datetime() == datetime(1969, 12, 31, 23, 59, 58, 999_999, tzinfo=UTC)
    with pytest.raises(OverflowError):
        Timestamp(10**12, 0).to_datetime()


@given(st.datetimes(timezones=st.just(UTC)))
def test_datetimes_survive(value: datetime) -> None:
    assert Timestamp.from_datetime(value).to_datetime() == value


@given(instants, instants)
def test_tuples_and_bytes_sort_as_times_do(one: Timestamp, other: Timestamp) -> None:
    nanoseconds = [t.seconds * 10**9 + t.nanoseconds for t in (one, other)]
    assert (one < other) == (nanoseconds[0] < nanoseconds[1])
    assert (one.to_bytes() < other.to_bytes()) == (nanoseconds[0] < nanoseconds[1])


@given(instants)
def test_bytes_read_back(value: Timestamp) -> None:
    assert Timestamp.from_bytes(value.to_bytes()) == value


def test_the_ends_of_time() -> None:
    last = Timestamp(2**63 - 1, 999_999_999)
    assert Timestamp.from_bytes(last.to_bytes()) == last
    first = Timestamp(-(2**63), 0)
    assert Timestamp.from_bytes(first.to_bytes()) == first
    with pytest.raises(OverflowError):
        Timestamp(-(2**63), -1).to_bytes()
