"""Realms that know less than their file has, and classes that are removed (spec/sdk.md §2.4, §2.5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Field,
    IllegalOperationError,
    InvalidatedObjectError,
    InvalidExternalSchemaChangeError,
    InvalidPropertyError,
    InvalidSchemaVersionError,
    List,
    Migration,
    MismatchedConfigError,
    Model,
    NoSuchTableError,
    ObjectSchema,
    Property,
    Realm,
    RealmConfiguration,
    SchemaMode,
    SchemaSubsetMode,
    Set,
    UpdateMode,
    WrongTransactionStateError,
)
from syncline.storage.file import RealmFile
from syncline.values import kinds

STRICT, COMPLETE = SchemaSubsetMode.STRICT, SchemaSubsetMode.COMPLETE
TYPES, PROPERTIES = SchemaSubsetMode.INCLUDE_TYPES, SchemaSubsetMode.INCLUDE_PROPERTIES

CAT = ObjectSchema("Cat", [Property("name", "string")])
WHOLE = ObjectSchema(
    "Dog",
    [
        Property("age", "int"),
        Property("id", "int", primary_key=True),
        Property("note", "string"),
        Property("name", "string"),
        Property("cat", "Cat"),
        Property("tags", "string[]"),
        Property("observe", "int?"),
        Property("any", "mixed"),
    ],
)


class Dog(Model):
    id: int = Field(primary_key=True)
    name: str

    def bark(self) -> str:
        return f"{self.name}!"


@pytest.fixture
def filled(open_realm: OpenRealm) -> None:
    """The file of the test, with more than the models say."""
    with open_realm(WHOLE, CAT) as realm, realm.write():
        cat = realm.create("Cat", name="Tom")
        values = {"age": 3, "note": "n", "cat": cat, "tags": ["a"], "observe": 5, "any": [1]}
        realm.create("Dog", {"id": 1, "name": "Rex", **values})


def shapes(realm: Realm) -> dict[str, list[str]]:
    return {schema.name: sorted(prop.name for prop in schema.properties) for schema in realm.schema}


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("mode", [SchemaMode.READ_ONLY, SchemaMode.IMMUTABLE, SchemaMode.ADDITIVE_DISCOVERED])
@pytest.mark.parametrize("subset", [STRICT, TYPES, PROPERTIES, COMPLETE])
def test_what_the_schema_shows(open_realm: OpenRealm, mode: SchemaMode, subset: SchemaSubsetMode) -> None:
    realm = open_realm(Dog, schema_mode=mode, schema_subset_mode=subset)
    every = sorted(prop.name for prop in WHOLE.properties)
    expected = {"Dog": every if PROPERTIES in subset else ["id", "name"]}
    assert shapes(realm) == expected | ({"Cat": ["name"]} if TYPES in subset else {})
    rex = realm.get(Dog, 1)
    assert rex is not None
    assert (rex.name, rex["name"], rex.bark(), isinstance(rex, Dog)) == ("Rex", "Rex", "Rex!", True)
    if PROPERTIES in subset:
        assert (rex["age"], rex["note"], rex["cat"]["name"], rex["observe"]) == (3, "n", "Tom", 5)
        assert (list(rex["tags"]), list(rex["any"])) == (["a"], [1])
    else:
        with pytest.raises(InvalidPropertyError, match=r"Dog has no property 'age'"):
            rex["age"]


@pytest.mark.usefixtures("filled")
def test_the_rest_can_be_written_and_queried(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog, schema_mode=SchemaMode.ADDITIVE_EXPLICIT, schema_subset_mode=PROPERTIES)
    dogs = realm.objects(Dog)
    with realm.write():
        bo = realm.create(Dog, id=2, name="Bo", note="m", cat=realm.objects("Cat")[0])
        kim = realm.add(Dog(id=3, name="Kim"))
        assert (bo["age"], bo["note"], bo["cat"]["name"], list(bo["tags"])) == (0, "m", "Tom", [])
        bo["age"] = 7
        bo["tags"].append("x")
        bo["observe"] = 1
        realm.create(Dog, {"id": 1, "age": 4}, update=UpdateMode.MODIFIED)
        realm.create_many(Dog, [{"id": 4, "name": "Ada", "age": 9}])
        assert kim.name == "Kim"
    assert [dog.name for dog in dogs.filter("age > 5 SORT(age DESC)")] == ["Ada", "Bo"]
    assert [dog.name for dog in dogs.where(Dog.name == "Rex")] == ["Rex"]
    assert callable(bo.observe)
    assert realm.freeze().objects(Dog)[0]["age"] == 4
    assert bo.freeze().thaw() == bo
    assert dogs[0].detach().name == "Rex"


@pytest.mark.usefixtures("filled")
def test_a_handle_of_another_subset(open_realm: OpenRealm) -> None:
    options: dict[str, Any] = {"read_only": True, "cache": True}
    realm = open_realm(Dog, **options)
    assert open_realm(Dog, **options) is realm
    with pytest.raises(MismatchedConfigError, match=r"is open on this thread with other classes"):
        open_realm(Dog, schema_subset_mode=COMPLETE, **options)
    other = open_realm(Dog, read_only=True, schema_subset_mode=COMPLETE)
    assert len(other.schema) == 2


def test_where_there_is_no_rest(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog, schema_subset_mode=COMPLETE)
    assert shapes(realm) == {"Dog": ["id", "name"]}
    with realm.write():
        realm.create(Dog, id=1, name="Rex")


def test_names_that_the_model_gives_to_something_else(open_realm: OpenRealm) -> None:
    both = ObjectSchema("Dog", [Property("a", "int"), Property("b", "string")])
    with open_realm(both) as realm, realm.write():
        realm.create("Dog", a=1, b="x")
    named = ObjectSchema("Dog", [Property("b", "int", stored_name="a")])
    realm = open_realm(named, read_only=True, schema_subset_mode=COMPLETE)
    assert realm.objects("Dog")[0]["b"] == 1


# --- by name ----------------------------------------------------------------------------------------------------------


def test_every_object_knows_its_properties_by_name(open_realm: OpenRealm) -> None:
    rex = Dog(id=1, name="Rex")
    rex["name"] = "Bo"
    assert (rex["name"], rex.name) == ("Bo", "Bo")
    with pytest.raises(InvalidPropertyError, match=r"Dog has no property 'nme': did you mean 'name'?"):
        rex["nme"]
    with pytest.raises(TypeError):
        list(rex)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        "name" in rex  # type: ignore[operator]  # noqa: B015
    realm = open_realm(Dog)
    with realm.write():
        realm.add(rex)
    assert realm.dynamic.objects("Dog")[0]["name"] == "Bo"


def test_embedded_objects_without_a_model_have_a_parent(open_realm: OpenRealm) -> None:
    leg = ObjectSchema("Leg", [Property("n", "int")], kind=kinds.EMBEDDED)
    with open_realm(ObjectSchema("Cat", [Property("legs", "Leg[]")]), leg) as realm, realm.write():
        tom = realm.create("Cat", legs=[{"n": 1}])
        assert tom["legs"][0].parent == tom
    dynamic = open_realm()
    assert dynamic.objects("Leg")[0].parent == dynamic.objects("Cat")[0]


def test_a_schema_by_hand_lives_with_what_others_add(open_realm: OpenRealm) -> None:
    realm = open_realm(CAT)
    with realm.write():
        tom = realm.create("Cat", name="Tom")
    with realm._context.file.write() as tx:
        tx.add_property(tx.catalogue.classes["Cat"], "age", kinds.INT)
    assert realm.refresh()
    assert (tom["name"], realm.objects("Cat")[0] == tom) == ("Tom", True)
    with realm._context.file.write() as tx:
        info = tx.catalogue.classes["Cat"]
        tx.erase_property(info, info.properties["name"])
    with pytest.raises(InvalidExternalSchemaChangeError):
        realm.refresh()


# --- removing a class -------------------------------------------------------------------------------------------------


class Part(Model):
    name: str


class Whole(Model):
    parts: List[Part]


class Holder(Model):
    any: Any
    every: Set[Any]


def test_a_class_is_removed_with_its_objects(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm = open_realm(Part, Holder, schema_version=4)
    with realm.write():
        part = realm.create(Part, name="x")
        holder = realm.create(Holder, any=[part, 1], every={part})
    with pytest.raises(WrongTransactionStateError):
        realm.delete_model(Part)
    with realm.write():
        assert realm.delete_model(Part)
        assert not realm.delete_model("Part")
        assert not part.is_valid
        with pytest.raises(NoSuchTableError):
            realm.objects(Part)
        with pytest.raises(NoSuchTableError):
            realm.objects("Part")
    assert (shapes(realm), realm.schema_version) == ({"Holder": ["any", "every"]}, 5)
    assert (list(holder.any), [each for each in holder.every if each is not None]) == ([None, 1], [])
    with pytest.raises(InvalidatedObjectError):
        _ = part.name
    realm.close()
    with pytest.raises(InvalidSchemaVersionError):
        open_realm(Part, Holder, schema_version=4)
    with open_realm(Part, Holder, schema_version=5) as again:
        assert len(again.objects(Part)) == 0
    assert Realm.schema_version(tmp_path / "test.realm") == 5


def test_what_is_undone_is_there_again(open_realm: OpenRealm) -> None:
    realm = open_realm(Part)
    with realm.write():
        realm.create(Part, name="x")
    with realm.write() as transaction:
        realm.delete_model("Part")
        assert realm.schema == []
        transaction.cancel()
    assert (shapes(realm), realm.schema_version) == ({"Part": ["name"]}, 0)
    assert [part.name for part in realm.objects(Part)] == ["x"]
    with realm.write():
        realm.create(Part, name="y")


def test_other_handles_of_a_class_that_was_removed(open_realm: OpenRealm) -> None:
    realm, typed, dynamic = open_realm(Part), open_realm(Part), Realm.open(RealmConfiguration(open_realm(Part).path))
    assert len(typed.objects(Part)) == len(dynamic.objects("Part")) == 0
    with realm.write():
        realm.delete_model(Part)
    with pytest.raises(InvalidExternalSchemaChangeError):
        typed.refresh()
    assert dynamic.refresh()
    assert dynamic.schema == []
    dynamic.close()


def test_classes_that_cannot_be_removed(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm = open_realm(Part, Whole)
    with realm.write():
        with pytest.raises(IllegalOperationError, match=r"Part cannot be removed: Whole.parts links to it"):
            realm.delete_model(Part)
        assert realm.delete_model(Whole)
        assert realm.delete_model(Part)
    RealmFile.open(tmp_path / "synced.realm", history=True).close()
    with (
        Realm.open(tmp_path / "synced.realm", schema=[Part]) as synced,
        synced.write(),
        pytest.raises(IllegalOperationError, match=r"stays there for all devices"),
    ):
        synced.delete_model(Part)


def test_a_migration_function_may_use_it_too(open_realm: OpenRealm) -> None:
    open_realm(Part, Holder).close()

    def migrate(m: Migration) -> None:
        assert m.new.delete_model("Part")

    with open_realm(Holder, schema_version=7, migration=migrate) as realm:
        assert (list(realm._context.reader().catalogue.classes), realm.schema_version) == (["Holder"], 7)
