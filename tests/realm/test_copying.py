"""Unmanaged copies, pickles and copies between Realms (spec/sdk.md §6.3, §12.7)."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from syncline import Dictionary, EmbeddedModel, Field, List, Model, Realm, RealmConfiguration, Set, UpdateMode, errors
from syncline.storage.dump import dump


class Shop(Model):
    name: str = Field(primary_key=True)


class Collar(EmbeddedModel):
    colour: str
    maker: Shop | None = None


class Wolf(Model):
    name: str = Field(primary_key=True)
    age: int = 5
    born: datetime | None = None
    price: Decimal | None = None
    mate: Wolf | None = None
    pack: List[Wolf]
    foes: Set[Wolf]
    by_name: Dictionary[Wolf | None]
    collar: Collar | None = None
    collars: List[Collar]
    extra: Any = None
    tags: Set[str]


SCHEMA = [Collar, Shop, Wolf]


@pytest.fixture
def realm(tmp_path: Path) -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(tmp_path / "wolves.realm", schema=SCHEMA)) as realm:
        with realm.write():
            ann = realm.create(
                Wolf, name="ann", born=datetime(2020, 1, 1, tzinfo=UTC), price=Decimal("1.5"),
                collar={"colour": "red", "maker": {"name": "acme"}}, collars=[{"colour": "blue"}], tags={"b", "a"},
            )  # fmt: skip
            bob = realm.create(Wolf, name="bob", mate=ann, pack=[ann])
            cid = realm.create(Wolf, name="cid", mate=bob)
            ann.mate = bob
            ann.pack = [ann, bob, cid, ann]
            ann.foes = {bob}
            ann.by_name = {"c": cid, "nobody": None}
            ann.extra = [1, {"wolf": cid}]
        yield realm


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(tmp_path / "other.realm", schema=SCHEMA)) as realm:
        yield realm


def get(realm: Realm, name: str) -> Wolf:
    wolf = realm.get(Wolf, name)
    assert wolf is not None
    return wolf


def test_a_copy_with_everything(realm: Realm) -> None:
    ann = get(realm, "ann").detach()
    assert not ann.is_managed
    assert (ann.name, ann.age, ann.born, ann.price) == ("ann", 5, datetime(2020, 1, 1, tzinfo=UTC), Decimal("1.5"))
    bob = ann.mate
    assert bob is not None
    assert bob.mate is ann
    cid = ann.by_name["c"]
    assert cid is not None
    assert ann.pack == [ann, bob, cid, ann]
    assert ann.foes == {bob}
    assert ann.by_name == {"c": cid, "nobody": None}
    assert ann.extra == [1, {"wolf": cid}]
    assert ann.collar is not None
    assert (ann.collar.colour, ann.collar.maker.name if ann.collar.maker else None) == ("red", "acme")
    assert [collar.colour for collar in ann.collars] == ["blue"]
    assert ann.tags == {"a", "b"}
    assert copy.deepcopy(get(realm, "ann")).pack[2].name == "cid"


def test_depth(realm: Realm) -> None:
    ann = get(realm, "ann").detach(0)
    assert (ann.mate, ann.by_name, ann.extra) == (None, {"c": None, "nobody": None}, [1, {"wolf": None}])
    assert ann.pack == [ann, ann]
    assert ann.foes == set()
    assert ann.collar is not None
    assert ann.collar.maker is None
    cid = get(realm, "cid").detach(1)
    assert cid.mate is not None
    assert cid.mate.mate is None
    assert realm.copy_from(get(realm, "cid"), 2).mate.mate.mate is not None  # type: ignore[union-attr]


def test_what_cannot_be_detached(realm: Realm, other: Realm) -> None:
    ann = get(realm, "ann")
    with pytest.raises(errors.IllegalOperationError):
        other.copy_from(ann)
    with pytest.raises(errors.IllegalOperationError):
        other.copy_from(Wolf(name="x"))
    with realm.write():
        realm.delete(ann)
    with pytest.raises(errors.InvalidatedObjectError):
        ann.detach()


def test_a_copy_in_another_realm(realm: Realm, other: Realm) -> None:
    ann = get(realm, "ann")
    with other.write():
        copied = other.copy_to(ann)
        with pytest.raises(errors.ObjectAlreadyExistsError):
            other.copy_to(ann)
        assert other.copy_to(ann, update=UpdateMode.MODIFIED) == copied
    assert copied.realm is other
    assert dump(other._context.reader())["objects"] == dump(realm._context.reader())["objects"]
    with realm.write():
        twin = realm.copy_to(ann, update=UpdateMode.ALL)
    assert twin == ann


def test_a_copy_of_what_is_in_no_realm(realm: Realm) -> None:
    new = Wolf(name="new")
    new.mate = Wolf(name="newer", mate=new)
    new.extra = {"x": [new]}
    with realm.write():
        copied = realm.copy_to(new)
    assert not new.is_managed
    assert copied.is_managed
    assert copied.mate is not None
    assert copied.mate.mate == copied
    assert copied.extra["x"][0] == copied
    again = copy.deepcopy(new)
    assert again.mate is not new.mate
    assert again.mate is not None
    assert again.mate.mate is again
    assert new.detach(0).mate is None
    shallow = copy.copy(new)
    assert shallow.mate is new.mate
    shallow.pack.append(new)
    assert len(new.pack) == 0


def test_pickles(realm: Realm) -> None:
    ann = get(realm, "ann")
    for copier in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="detach"):
            copier(ann)
    for obj in (ann.detach(), get(realm.freeze(), "ann")):
        again = pickle.loads(pickle.dumps(obj))
        assert not again.is_managed
        assert again.mate.mate is again
        assert again.pack[0] is again
        assert again.collar.colour == "red"
    wolf = Wolf(name="x")
    assert wolf.age == 5
    assert pickle.loads(pickle.dumps(wolf)).name == "x"
