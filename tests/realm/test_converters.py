"""Values of every type, through a property and back (spec/sdk.md §1.1, §1.11)."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy
import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Decimal128,
    Dictionary,
    Float32,
    LimitExceededError,
    List,
    Model,
    ObjectId,
    Realm,
    Timestamp,
    TypeMismatchError,
)


class Other(Model):
    x: int = 0


class Box(Model):
    integer: int | None
    flag: bool | None
    text: str | None
    data: bytes | None
    real: float | None
    single: Float32 | None
    moment: datetime | None
    exact: Timestamp | None
    price: Decimal | None
    oid: ObjectId | None
    uid: UUID | None
    link: Other | None
    extra: Any
    moments: List[datetime]


class Colour(IntEnum):
    RED = 7


@pytest.fixture
def box(open_realm: OpenRealm) -> Box:
    realm = open_realm(Box, Other)
    realm.begin_write()
    return realm.create(Box)


UNIX = datetime(1970, 1, 1, tzinfo=UTC)

KEPT: list[tuple[str, Any, Any]] = [
    ("integer", 2**63 - 1, 2**63 - 1),
    ("integer", -(2**63), -(2**63)),
    ("integer", Colour.RED, 7),
    ("integer", numpy.int16(7), 7),
    ("flag", True, True),
    ("text", "a\0ä\U0001f600", "a\0ä\U0001f600"),
    ("data", b"\0\xff", b"\0\xff"),
    ("data", bytearray(b"ab"), b"ab"),
    ("data", memoryview(b"ab"), b"ab"),
    ("real", 1, 1.0),
    ("real", Fraction(1, 2), 0.5),
    ("real", math.inf, math.inf),
    ("real", numpy.float32(0.5), 0.5),
    ("real", numpy.int64(2), 2.0),
    ("single", 0.1, float(Float32(0.1))),
    ("moment", UNIX + timedelta(microseconds=1), UNIX + timedelta(microseconds=1)),
    ("moment", datetime(1960, 5, 1, 12, 0, 0, 250, tzinfo=UTC), datetime(1960, 5, 1, 12, 0, 0, 250, tzinfo=UTC)),
    ("moment", datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=2))), datetime(2019, 12, 31, 22, tzinfo=UTC)),
    ("moment", Timestamp(1, 1), Timestamp(1, 1)),
    ("moment", Timestamp(2**40, 0), Timestamp(2**40, 0)),
    ("moment", Timestamp(1, 1000), UNIX + timedelta(seconds=1, microseconds=1)),
    ("exact", UNIX, Timestamp(0, 0)),
    ("price", Decimal("10.50"), Decimal("10.50")),
    ("price", 3, Decimal(3)),
    ("price", Decimal128(1, 2), Decimal("1E+2")),
    ("oid", ObjectId("64b000000000000000000000"), ObjectId("64b000000000000000000000")),
    ("uid", UUID(int=5), UUID(int=5)),
    ("extra", True, True),
    ("extra", 1.5, 1.5),
    ("extra", numpy.int64(3), 3),
    ("extra", numpy.uint8(3), 3),
    ("extra", numpy.float64(1.5), 1.5),
    ("extra", numpy.float32(0.1), 0.10000000149011612),
    ("extra", numpy.str_("x"), "x"),
    ("extra", numpy.bytes_(b"x"), b"x"),
    ("extra", UNIX, UNIX),
    ("extra", Decimal("1.0"), Decimal("1.0")),
    ("extra", bytearray(b"x"), b"x"),
    ("extra", UUID(int=5), UUID(int=5)),
]


@pytest.mark.parametrize(("name", "given", "read"), KEPT)
def test_values_are_kept(box: Box, name: str, given: Any, read: Any) -> None:
    setattr(box, name, given)
    assert getattr(box, name) == read
    assert type(getattr(box, name)) is type(read)
    realm = box.realm
    assert realm is not None
    realm.commit_write()
    realm.invalidate()
    assert getattr(box, name) == read
    assert type(getattr(box, name)) is type(read)
    realm.begin_write()
    setattr(box, name, None)
    assert getattr(box, name) is None


@pytest.mark.parametrize(("name", "given", "read"), KEPT)
def test_unmanaged_objects_take_the_same_values(name: str, given: Any, read: Any) -> None:
    assert getattr(Box(**{name: given}), name) == given


def test_trailing_zeros_and_singles_are_kept(box: Box) -> None:
    box.price = Decimal("1.00")
    assert str(box.price) == "1.00"
    box.extra = Float32(0.5)
    assert type(box.extra) is Float32


def test_nan_is_kept(box: Box) -> None:
    box.real = math.nan
    box.price = Decimal("NaN")
    assert math.isnan(box.real)
    assert box.price.is_nan()


REFUSED: list[tuple[str, Any, str]] = [
    ("integer", True, "Box.integer: expected int, got bool True"),
    ("integer", 1.0, "Box.integer: expected int, got float 1.0"),
    ("integer", "1", "Box.integer: expected int, got str '1'"),
    ("integer", numpy.array([1, 2]), "Box.integer: expected int, got ndarray"),
    ("flag", 1, "Box.flag: expected bool, got int 1"),
    ("text", b"x", "Box.text: expected str, got bytes b'x'"),
    ("data", "x", "Box.data: expected bytes, got str 'x'"),
    ("real", "1", "Box.real: expected float, got str '1'"),
    ("real", numpy.timedelta64(3, "s"), "Box.real: expected float, got timedelta64"),
    ("real", True, "Box.real: expected float, got bool True"),
    ("real", Decimal(1), "Box.real: expected float, got Decimal"),
    ("single", "x", "Box.single: expected float, got str 'x'"),
    ("moment", 5, "Box.moment: expected datetime, got int 5"),
    ("moment", datetime(2020, 1, 1), "expected an aware datetime, got datetime .*, which has no time zone; use"),
    ("price", 1.5, r"Box.price: expected Decimal, got float 1.5; use Decimal\(str\(value\)\)"),
    ("price", True, "Box.price: expected Decimal, got bool True"),
    ("oid", "64b000000000000000000000", r"Box.oid: expected ObjectId, got str .*; use ObjectId\(value\)"),
    ("uid", "x", r"Box.uid: expected UUID, got str 'x'; use UUID\(value\)"),
    ("link", 5, "Box.link: expected Other or None, got int 5"),
    ("link", Box(), "Box.link: expected Other or None, got Box"),
    ("flag", numpy.bool_(True), "Box.flag: expected bool, got bool"),
    ("extra", numpy.bool_(True), "Box.extra: expected a value that a Realm can hold, got bool"),
    ("extra", numpy.datetime64("2020-01-01"), "Box.extra: expected a value that a Realm can hold, got datetime64"),
    ("extra", numpy.timedelta64(3, "s"), "Box.extra: expected a value that a Realm can hold, got timedelta64"),
    ("extra", Fraction(1, 3), "Box.extra: expected a value that a Realm can hold, got Fraction"),
    ("extra", object(), "Box.extra: expected a value that a Realm can hold, got object"),
]


@pytest.mark.parametrize(("name", "value", "message"), REFUSED)
def test_wrong_types_are_refused(box: Box, name: str, value: Any, message: str) -> None:
    with pytest.raises(TypeMismatchError, match=message):
        setattr(box, name, value)
    with pytest.raises(TypeMismatchError, match=message):
        Box(**{name: value})
    assert getattr(box, name) is None


def test_values_out_of_range_are_refused(box: Box) -> None:
    for value in (2**63, -(2**63) - 1):
        with pytest.raises(LimitExceededError, match=r"64"):
            box.integer = value
    with pytest.raises(LimitExceededError, match=r"Box.real: .* is too large for a float"):
        box.real = 10**400
    with pytest.raises(LimitExceededError, match=r"Box.price: 1E.9999 is too large"):
        box.price = Decimal("1E9999")
    with pytest.raises(LimitExceededError):
        box.text = "\ud800"
    with pytest.raises(LimitExceededError):
        box.extra = 2**63
    with pytest.raises(LimitExceededError):
        box.extra = numpy.uint64(2**63)
    assert box.integer is None


def test_long_values_are_cut_in_errors(box: Box) -> None:
    with pytest.raises(TypeMismatchError) as caught:
        box.integer = "x" * 500  # type: ignore[assignment]
    assert len(str(caught.value)) < 120


def test_collections_convert_too(box: Box) -> None:
    box.moments = [UNIX]  # type: ignore[assignment]
    assert box.moments == [UNIX]
    with pytest.raises(TypeMismatchError, match=r"Box.moments: expected datetime, got int 5"):
        box.moments.append(5)  # type: ignore[arg-type]
    with pytest.raises(TypeMismatchError, match=r"Box.moments: expected a collection, got str 'x'"):
        box.moments = "x"  # type: ignore[assignment]


def test_mixed_holds_objects_and_collections(box: Box) -> None:
    realm = box.realm
    assert realm is not None
    other = realm.create(Other, x=5)
    box.extra = other
    assert box.extra is other
    box.extra = [1, {"a": [other, None]}]
    assert isinstance(box.extra, List)
    assert isinstance(box.extra[1], Dictionary)
    assert box.extra[1]["a"][0] is other
    nested = box.extra[1]["a"]
    nested.append({"deep": Other(x=6)})
    assert box.extra[1]["a"][2]["deep"].x == 6
    box.extra = 5
    assert box.extra == 5
    assert not nested.is_valid
    box.extra = {"k": 1}
    assert box.extra == {"k": 1}


def test_objects_of_another_realm_do_not_move(box: Box) -> None:
    from syncline import IllegalOperationError, RealmConfiguration

    with Realm.open(RealmConfiguration(in_memory=True, schema=[Other])) as elsewhere:
        with elsewhere.write():
            stranger = elsewhere.create(Other)
        for name in ("link", "extra"):
            with pytest.raises(
                IllegalOperationError, match=r"belongs to another Realm; objects do not move between Realms"
            ):
                setattr(box, name, stranger)
