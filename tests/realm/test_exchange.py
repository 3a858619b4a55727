"""Values, documents and tables out of a Realm and into it (spec/sdk.md §12.7)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline import (
    Dictionary,
    EmbeddedModel,
    Field,
    Float32,
    List,
    Model,
    ObjectId,
    Realm,
    RealmConfiguration,
    Set,
    Timestamp,
    UpdateMode,
    errors,
)
from syncline.realm.json_values import timestamp_from_text, timestamp_to_text
from syncline.storage.dump import dump


class Chip(EmbeddedModel):
    number: int
    maker: str | None = None


class Keeper(Model):
    name: str = Field(primary_key=True)
    dogs: List[Hound]
    best: Hound | None = None


class Hound(Model):
    id: int = Field(primary_key=True)
    name: str = Field("", name="dog_name")
    age: int | None = None
    weight: float | None = None
    size: Float32 | None = None
    good: bool | None = None
    born: datetime | None = None
    seen: Timestamp | None = None
    price: Decimal | None = None
    photo: bytes | None = None
    code: ObjectId | None = None
    tag: UUID | None = None
    extra: Any = None
    owner: Keeper | None = None
    chip: Chip | None = None
    tricks: List[str]
    marks: Set[int]
    prices: Dictionary[Decimal]
    friends: List[Hound]


class Loose(Model):
    """Without primary key."""

    text: str
    next: Loose | None = None


SCHEMA = [Chip, Keeper, Hound, Loose]


@pytest.fixture
def realm(tmp_path: Path) -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(tmp_path / "exchange.realm", schema=SCHEMA)) as realm:
        yield realm


def fill(realm: Realm) -> None:
    with realm.write():
        ann = realm.create(Keeper, name="ann")
        rex = realm.create(
            Hound, id=1, name="Rex", age=3, weight=1.5, size=Float32(0.1), good=True, photo=b"\x00\xff",
            born=datetime(2020, 2, 29, 12, 30, 15, 123456, tzinfo=UTC), seen=Timestamp(-5, -7),
            price=Decimal("1.50"), code=ObjectId("5f" * 12), tag=UUID(int=7), extra=[1, {"a": None}], owner=ann,
            chip={"number": 9, "maker": "acme"}, tricks=["sit", "roll"], marks={3, 1}, prices={"x": Decimal("0.1")},
        )  # fmt: skip
        bo = realm.create(Hound, id=2, name="Bo", weight=math.nan, friends=[rex], owner=ann, extra=rex)
        ann.dogs = [rex, bo, rex]
        ann.best = bo
        realm.create(Hound, id=3, weight=math.inf, born=datetime(1, 1, 1, tzinfo=UTC))


# --- values -----------------------------------------------------------------------------------------------------------


def test_values(realm: Realm) -> None:
    fill(realm)
    dogs = realm.objects(Hound).sort("id")
    assert dogs.values("id", "name", Hound.owner.best.name) == [
        {"id": 1, "name": "Rex", "owner.best.name": "Bo"},
        {"id": 2, "name": "Bo", "owner.best.name": "Bo"},
        {"id": 3, "name": "", "owner.best.name": None},
    ]
    assert dogs.values_list("age", flat=True) == [3, None, None]
    assert dogs.values_list("owner", "tricks", "marks", "friends", "prices", "chip") == [
        ("ann", ["sit", "roll"], [1, 3], [], {"x": Decimal("0.1")}, {"number": 9, "maker": "acme"}),
        ("ann", [], [], [1], {}, None),
        (None, [], [], [], {}, None),
    ]
    assert dogs.values_list("extra", flat=True) == [[1, {"a": None}], 1, None]
    row = dogs.values()[0]
    rex = realm.get(Hound, 1)
    for name in ("name", "age", "weight", "size", "good", "born", "seen", "price", "photo", "code", "tag"):
        assert row[name] == getattr(rex, name)
        assert type(row[name]) is type(getattr(rex, name))
    assert set(row) == set(Hound._info.attributes)


def test_values_follow_order_and_filters(realm: Realm) -> None:
    with realm.write():
        realm.create_many(Hound, ({"id": number, "age": number % 7} for number in range(1000)))
    dogs = realm.objects(Hound)
    for results in (dogs, dogs.sort("age"), dogs.where(Hound.age == 3), dogs.where(Hound.id == 900), dogs.limit(5)):
        assert results.values_list("id", flat=True) == [dog.id for dog in results]
    assert dogs.where(Hound.id > 5000).values("id", "owner.name") == []
    with realm.write():
        realm.get(Hound, 7).age = 99
        assert dogs.where(Hound.id == 7).values_list("id", "age") == [(7, 99)]


def test_values_that_do_not_exist(realm: Realm) -> None:
    dogs = realm.objects(Hound)
    with pytest.raises(errors.InvalidPropertyError, match="agee"):
        dogs.values("agee")
    with pytest.raises(errors.InvalidPropertyError, match="no link"):
        dogs.values("age.x")
    with pytest.raises(errors.InvalidPropertyError, match="collection"):
        dogs.values("friends.age")
    with pytest.raises(errors.QueryError, match="no property"):
        dogs.values(Hound.friends.count())
    with pytest.raises(TypeError, match="exactly one"):
        dogs.values_list("id", "age", flat=True)


# --- dictionaries and JSON --------------------------------------------------------------------------------------------

REX = {
    "id": 1,
    "name": "Rex",
    "age": 3,
    "weight": 1.5,
    "size": 0.10000000149011612,
    "good": True,
    "born": "2020-02-29T12:30:15.123456000Z",
    "seen": "1969-12-31T23:59:54.999999993Z",
    "price": "1.50",
    "photo": "AP8=",
    "code": "5f" * 12,
    "tag": "00000000-0000-0000-0000-000000000007",
    "extra": [1, {"a": None}],
    "chip": {"number": 9, "maker": "acme"},
    "tricks": ["sit", "roll"],
    "marks": [1, 3],
    "prices": {"x": "0.1"},
    "friends": [],
}


def test_a_dictionary(realm: Realm) -> None:
    fill(realm)
    rex = realm.get(Hound, 1)
    assert rex is not None
    assert rex.to_dict(0) == REX | {"owner": {"$ref": ["Keeper", "ann"]}}
    form = rex.to_dict()
    assert list(form) == list(Hound._info.attributes)
    bo = form["owner"]["dogs"][1]
    assert form["owner"]["dogs"] == [{"$ref": ["Hound", 1]}, bo, {"$ref": ["Hound", 1]}]
    assert bo["weight"] == "NaN"
    assert bo["extra"] == {"$ref": ["Hound", 1]}
    assert bo["friends"] == [{"$ref": ["Hound", 1]}]
    assert form["owner"]["best"] == {"$ref": ["Hound", 2]}
    assert rex.to_dict(1)["owner"]["best"] == {"$ref": ["Hound", 2]}
    assert rex.to_dict(circular="null")["owner"]["best"] is None
    with pytest.raises(errors.IllegalOperationError, match="met twice"):
        rex.to_dict(circular="error")
    with pytest.raises(ValueError, match="circular"):
        rex.to_dict(circular="no")
    assert [dog["id"] for dog in realm.objects(Hound).sort("id", descending=True).to_dicts(0)] == [3, 2, 1]
    with pytest.raises(errors.InvalidatedObjectError):
        Hound(id=9).to_dict()
    with realm.write():
        realm.delete(rex)
    with pytest.raises(errors.InvalidatedObjectError):
        rex.to_dict()


def test_long_chains(realm: Realm) -> None:
    with realm.write():
        last = None
        for number in range(3000):
            last = realm.create(Loose, text=str(number), next=last)
    assert last is not None
    form, depth = last.to_dict(), 0
    while form["next"]:
        form, depth = form["next"], depth + 1
    assert depth == 2999
    with pytest.raises(errors.LimitExceededError, match="depth"):
        realm.objects(Loose).sort("text").limit(1000)[-1:][0].realm.objects(Loose).to_json()
    assert len(json.loads(realm.objects(Loose).to_json(depth=1))) == 3000
    copy = last.detach()
    assert copy.next is not None
    assert not copy.next.is_managed


def test_json_goes_round(realm: Realm, tmp_path: Path) -> None:
    fill(realm)
    text = realm.objects(Keeper).to_json()
    file = StringIO()
    assert realm.objects(Keeper).to_json(file) is None
    assert file.getvalue() == text
    assert realm.objects(Keeper).where(Keeper.name == "nobody").to_json() == "[]"
    loose = realm.objects(Hound).where(Hound.id == 3).to_json(lines=True)
    with Realm.open(RealmConfiguration(tmp_path / "again.realm", schema=SCHEMA)) as again:
        with again.write():
            assert again.import_json(Keeper, text) == 1
            assert again.import_json_lines(Hound, StringIO(loose + "\n")) == 1
        assert dump(again._context.reader()) == dump(realm._context.reader())
        before = again.version
        with again.write():
            again.import_json(Keeper, json.loads(text), update=UpdateMode.MODIFIED)
            path = tmp_path / "dogs.json"
            path.write_text(realm.objects(Hound).to_json(), encoding="utf-8")
            assert again.import_json(Hound, path, update=UpdateMode.MODIFIED) == 3
            with path.open(encoding="utf-8") as opened:
                again.import_json(Hound, opened, update=UpdateMode.MODIFIED)
        assert dump(again._context.reader()) == dump(realm._context.reader())
        assert again.version >= before


@pytest.mark.parametrize(
    ("document", "error", "match"),
    [
        ({"id": 1, "born": "yesterday"}, errors.TypeMismatchError, "Hound.born"),
        ({"id": 1, "born": "2020-02-30T00:00:00Z"}, errors.TypeMismatchError, "no such day"),
        ({"id": 1, "tag": "x"}, errors.TypeMismatchError, "Hound.tag"),
        ({"id": 1, "photo": "*"}, errors.TypeMismatchError, "Hound.photo"),
        ({"id": 1, "price": "much"}, errors.TypeMismatchError, "Hound.price"),
        ({"id": "1"}, errors.TypeMismatchError, "Hound.id"),
        ({"id": 1, "owner": "nobody"}, errors.InvalidatedObjectError, "no Keeper"),
        ({"id": 1, "owner": {"$ref": ["Hound", 1]}}, errors.TypeMismatchError, "reference to Keeper"),
        ({"id": 1, "extra": {"$ref": ["Hound", 7]}}, errors.InvalidatedObjectError, "no Hound"),
        ({"id": 1, "colour": "red"}, errors.InvalidPropertyError, "colour"),
        ([1], errors.TypeMismatchError, "JSON object"),
    ],
)
def test_documents_that_do_not_fit(realm: Realm, document: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match), realm.write():
        realm.import_json(Hound, json.dumps([document]))
    assert len(realm.objects(Hound)) == 0


def test_json_that_is_none(realm: Realm) -> None:
    with pytest.raises(errors.TypeMismatchError, match="no JSON: Expecting"), realm.write():
        realm.import_json(Hound, "[")
    with pytest.raises(errors.TypeMismatchError, match="line 2"), realm.write():
        realm.import_json_lines(Hound, StringIO('{"id": 1}\n{'))


def test_json_that_is_too_deep(realm: Realm) -> None:
    deep = "[" * 100_000
    with pytest.raises(errors.LimitExceededError, match="too deep"), realm.write():
        realm.import_json(Hound, deep)
    with pytest.raises(errors.LimitExceededError, match="too deep") as caught, realm.write():
        realm.import_json_lines(Hound, StringIO(f'{{"id": 1}}\n{deep}'))
    assert caught.value.__notes__ == ["in line 2 of the import"]
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(errors.LimitExceededError, match="too deep"), realm.write():
        realm.import_json(Hound, [{"id": 1, "extra": endless}])


def test_what_is_no_file_to_write_to(realm: Realm) -> None:
    with pytest.raises(errors.TypeMismatchError, match=r"expected an open text file.* got str 'dogs.json'"):
        realm.objects(Hound).to_json("dogs.json")  # type: ignore[call-overload]


def test_a_csv_field_that_is_longer_than_python_reads(realm: Realm) -> None:
    with pytest.raises(errors.TypeMismatchError, match="field limit") as caught, realm.write():
        realm.import_csv(Hound, StringIO("id,dog_name\n1," + "x" * 200_000 + "\n"))
    assert "csv.field_size_limit" in caught.value.__notes__[0]


def test_unknown_names_are_left_out(realm: Realm) -> None:
    with realm.write():
        assert realm.import_json(Hound, [{"id": 1, "dog_name": "Rex", "colour": 1}], ignore_unknown=True) == 1
    assert realm.objects(Hound).values("name") == [{"name": "Rex"}]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", Timestamp(0, 0)),
        ("2020-02-29T12:00:00.5+02:00", Timestamp(1582970400, 500_000_000)),
        ("1969-12-31 23:59:59.999999999z", Timestamp(0, -1)),
        ("0000-01-01T00:00Z", Timestamp(-62167219200, 0)),
        ("+012345-06-07T08:09:10Z", Timestamp(327416976550, 0)),
        ("-000001-12-31T00:00:00-0130", Timestamp(-62167300200 - 0, 0)),
    ],
)
def test_dates(text: str, moment: Timestamp) -> None:
    assert timestamp_from_text(text) == moment
    assert timestamp_from_text(timestamp_to_text(moment)) == moment


@given(st.integers(-(2**55), 2**55), st.integers(0, 999_999_999))
def test_any_date(seconds: int, nanoseconds: int) -> None:
    moment = Timestamp(seconds, nanoseconds if seconds >= 0 else -nanoseconds)
    text = timestamp_to_text(moment)
    assert timestamp_from_text(text) == moment
    if -62135596800 < seconds < 253402300800:
        whole = seconds - (seconds < 0 < nanoseconds)
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        assert datetime.fromisoformat(text[:19] + "+00:00") == epoch + timedelta(seconds=whole)


# --- CSV --------------------------------------------------------------------------------------------------------------


def test_csv(realm: Realm, tmp_path: Path) -> None:
    fill(realm)
    path = tmp_path / "dogs.csv"
    path.write_text(
        "Number;name;age;weight;good;born;price;photo;tag;owner;tricks;extra;notes\n"
        "10;Fido;;2.5;yes;2020-01-01T00:00:00Z;1.10;AP8=;00000000-0000-0000-0000-000000000007;ann;"
        '"[""sit""]";"{""a"": 1}";x\n'
        "\n"
        "11;;4;NaN;false;;;;;;;;\n",
        encoding="utf-8-sig",
    )
    seen: list[int] = []
    with realm.write():
        count = realm.import_csv(
            Hound, path, columns={"Number": "id", "notes": None}, delimiter=";", progress=seen.append
        )
    assert (count, seen) == (2, [2])
    fido, other = realm.get(Hound, 10), realm.get(Hound, 11)
    assert fido is not None
    assert other is not None
    assert (fido.name, fido.age, fido.weight, fido.good) == ("Fido", None, 2.5, True)
    assert (fido.born, fido.price, fido.photo) == (datetime(2020, 1, 1, tzinfo=UTC), Decimal("1.10"), b"\x00\xff")
    assert (fido.owner, list(fido.tricks), dict(fido.extra)) == (realm.get(Keeper, "ann"), ["sit"], {"a": 1})
    assert (other.name, other.age, other.good, other.owner, list(other.tricks)) == ("", 4, False, None, [])
    assert math.isnan(other.weight or 0)


@pytest.mark.parametrize(
    ("text", "error", "note"),
    [
        ("id,age\n1,2\nx,3\n", errors.TypeMismatchError, "line 3"),
        ("id,age\n1\n", errors.TypeMismatchError, None),
        ("id,colour\n1,red\n", errors.InvalidPropertyError, None),
        ("id,good\n1,maybe\n", errors.TypeMismatchError, "line 2"),
        ("id,tricks\n1,[\n", errors.TypeMismatchError, "line 2"),
    ],
)
def test_csv_that_does_not_fit(realm: Realm, text: str, error: type[Exception], note: str | None) -> None:
    with pytest.raises(error) as raised, realm.write():
        realm.import_csv(Hound, StringIO(text))
    assert note is None or any(note in each for each in raised.value.__notes__)


def test_links_to_what_has_no_key(realm: Realm) -> None:
    with pytest.raises(errors.TypeMismatchError, match="without a primary key"), realm.write():
        realm.import_csv(Loose, StringIO("text,next\na,b\n"))
    with pytest.raises(errors.MissingPrimaryKeyError), realm.write():
        realm.import_json(Loose, [{"text": "a", "next": 1}])


# --- frames -----------------------------------------------------------------------------------------------------------

COLUMNS = [name for name in Hound._info.attributes if name not in ("extra", "chip", "prices")]


def frames(realm: Realm, results: Any, columns: list[str]) -> dict[str, Any]:
    return {
        "pandas": results.to_pandas(columns),
        "polars": results.to_polars(columns),
        "arrow": results.to_arrow(columns),
    }


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_frames_go_round(realm: Realm, tmp_path: Path, library: str) -> None:
    fill(realm)
    columns = [*COLUMNS, "prices"]
    with realm.write():
        realm.get(Hound, 3).born = datetime(1700, 1, 1, tzinfo=UTC)
    frame = frames(realm, realm.objects(Hound), columns)[library]
    with Realm.open(RealmConfiguration(tmp_path / "again.realm", schema=SCHEMA)) as again:
        with again.write():
            again.create(Keeper, name="ann")
            assert again.from_dataframe(Hound, frame) == 3
        for name in columns:
            mine, theirs = (r.objects(Hound).values_list(name, flat=True) for r in (realm, again))
            assert list(map(repr, mine)) == list(map(repr, theirs)), name
        with again.write():
            assert again.from_dataframe(Hound, frame, update=UpdateMode.MODIFIED) == 3


def test_pandas_types(realm: Realm) -> None:
    fill(realm)
    frame = realm.objects(Hound).to_pandas()
    types = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert types | {"name": "object"} == {
        "id": "Int64", "name": "object", "age": "Int64", "weight": "float64", "size": "Float32", "good": "boolean",
        "born": "object", "seen": "datetime64[ns, UTC]", "price": "object", "photo": "object", "code": "object",
        "tag": "object", "extra": "object", "owner": "object", "chip": "object", "tricks": "object", "marks": "object",
        "prices": "object", "friends": "object",
    }  # fmt: skip
    seen = realm.objects(Hound).where(Hound.id == 1).to_pandas(["seen", "owner.best.id"])
    assert seen["seen"][0].value == -5_000_000_007
    assert list(seen["owner.best.id"]) == [2]
    empty = realm.objects(Hound).where(Hound.id == 99)
    assert (len(empty.to_pandas()), empty.to_polars().height, empty.to_arrow().num_rows) == (0, 0, 0)


def test_arrow_types(realm: Realm) -> None:
    fill(realm)
    dogs = realm.objects(Hound)
    types = {field.name: str(field.type) for field in dogs.to_arrow().schema}
    assert types == {
        "id": "int64", "name": "string", "age": "int64", "weight": "double", "size": "float", "good": "bool",
        "born": "timestamp[s, tz=UTC]", "seen": "timestamp[ns, tz=UTC]", "price": "decimal128(3, 2)",
        "photo": "binary", "code": "string", "tag": "string", "extra": "string", "owner": "string", "chip": "string",
        "tricks": types["tricks"], "marks": types["marks"], "prices": types["prices"], "friends": types["friends"],
    }  # fmt: skip
    assert types["tricks"].startswith("list<")
    assert types["prices"].startswith("map<string, decimal128(1, 1)")
    assert json.loads(dogs.to_arrow(["chip"])["chip"][0].as_py()) == {"number": 9, "maker": "acme"}
    with realm.write():
        realm.get(Hound, 2).price = Decimal("NaN")
    assert str(dogs.to_arrow(["price"]).schema.field("price").type) == "string"
    assert str(dogs.to_polars(["price"])["price"].dtype) == "String"


def test_polars_types(realm: Realm) -> None:
    fill(realm)
    schema = {name: str(dtype) for name, dtype in realm.objects(Hound).to_polars().schema.items()}
    assert schema["born"] == "Datetime(time_unit='us', time_zone='UTC')"
    assert schema["seen"] == "Datetime(time_unit='ns', time_zone='UTC')"
    assert schema["price"].startswith("Decimal(precision=38, scale=2")
    assert schema["marks"] == "List(Int64)"


def test_what_is_no_frame(realm: Realm) -> None:
    with pytest.raises(errors.TypeMismatchError, match="DataFrame"), realm.write():
        realm.from_dataframe(Hound, [1])


def test_a_library_that_is_not_there(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, extra in (("pandas", "pandas"), ("polars", "polars"), ("pyarrow", "arrow")):
        monkeypatch.setitem(__import__("sys").modules, name, None)
        with pytest.raises(ImportError, match=rf"pip install 'syncline\[{extra}\]'"):
            getattr(realm.objects(Hound), f"to_{extra}")()


# --- anything ---------------------------------------------------------------------------------------------------------

_moments = st.builds(Timestamp, st.integers(0, 2**33), st.integers(0, 999_999_999))
_mixed = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
_dogs = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(-(2**63), 2**63 - 1),
            "name": st.text(max_size=3),
            "age": st.none() | st.integers(-(2**63), 2**63 - 1),
            "weight": st.none() | st.floats(),
            "size": st.none() | st.floats(width=32).map(Float32),
            "good": st.none() | st.booleans(),
            "seen": st.none() | _moments,
            "price": st.none() | st.decimals(-(10**6), 10**6, places=3),
            "photo": st.none() | st.binary(max_size=3),
            "code": st.none() | st.binary(min_size=12, max_size=12).map(ObjectId),
            "tag": st.none() | st.uuids(),
            "tricks": st.lists(st.text(max_size=2), max_size=2),
            "marks": st.sets(st.integers(0, 3)),
            "prices": st.dictionaries(st.sampled_from("ab"), st.decimals(0, 9, places=1), max_size=2),
        },
        optional={"extra": _mixed, "chip": st.none() | st.fixed_dictionaries({"number": st.integers(0, 9)})},
    ),
    max_size=5,
    unique_by=lambda dog: dog["id"],
)


@settings(max_examples=int(os.environ.get("SYNCLINE_EXAMPLES", "6")), deadline=None)
@given(dogs=_dogs, data=st.data())
def test_anything_goes_round(dogs: list[dict[str, Any]], data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("round")
    with (
        Realm.open(RealmConfiguration(folder / "a.realm", schema=SCHEMA)) as realm,
        Realm.open(RealmConfiguration(folder / "b.realm", schema=SCHEMA)) as again,
    ):
        with realm.write():
            realm.create_many(Hound, dogs)
            for dog in realm.objects(Hound):
                dog.friends = data.draw(st.lists(st.sampled_from(list(realm.objects(Hound))), max_size=2))
        with again.write():
            again.import_json(Hound, realm.objects(Hound).to_json(), update=UpdateMode.MODIFIED)
        assert dump(again._context.reader()) == dump(realm._context.reader())
        for frame in frames(realm, realm.objects(Hound), [*COLUMNS, "prices"]).values():
            with again.write():
                again.delete_all()
                again.from_dataframe(Hound, frame.head(0) if hasattr(frame, "head") else frame.slice(0, 0))
                rows = [{"id": key} for key in realm.objects(Hound).values_list("id", flat=True)]
                again.create_many(Hound, rows)
                again.from_dataframe(Hound, frame, update=UpdateMode.ALL)
            for name in [*COLUMNS, "prices"]:
                mine, theirs = (r.objects(Hound).values_list(name, flat=True) for r in (realm, again))
                assert list(map(repr, mine)) == list(map(repr, theirs)), name


class Plain(Model):
    """Leads nowhere."""

    id: int = Field(primary_key=True)
    value: float
    seen: Timestamp | None = None
    marks: Set[int]
    prices: Dictionary[Decimal]


def test_objects_that_lead_nowhere(tmp_path: Path) -> None:
    with Realm.open(RealmConfiguration(tmp_path / "plain.realm", schema=[Plain])) as realm:
        with realm.write():
            realm.create(Plain, id=2, value=math.inf, seen=Timestamp(0, 5), marks={2, 1}, prices={"a": Decimal("1.0")})
            realm.create(Plain, id=1, value=1.5)
        assert realm.objects(Plain).sort("id").to_dicts() == [
            {"id": 1, "value": 1.5, "seen": None, "marks": [], "prices": {}},
            {
                "id": 2,
                "value": "Infinity",
                "seen": "1970-01-01T00:00:00.000000005Z",
                "marks": [1, 2],
                "prices": {"a": "1.0"},
            },
        ]
        assert realm.objects(Plain).where(Plain.id > 5).to_dicts() == []
