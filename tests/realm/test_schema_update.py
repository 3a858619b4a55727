"""Files follow their models as far as the schema mode lets them (spec/sdk.md §2.2, §2.5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    EmbeddedModel,
    Field,
    IllegalCombinationError,
    InvalidatedObjectError,
    InvalidExternalSchemaChangeError,
    InvalidSchemaChangeError,
    InvalidSchemaVersionError,
    List,
    MismatchedConfigError,
    Model,
    ObjectSchema,
    Property,
    Realm,
    RealmConfiguration,
    SchemaError,
    SchemaMismatchError,
    SchemaMode,
)
from syncline.changesets.instructions import AddColumn, AddTable
from syncline.realm.schema_update import models_by_name
from syncline.realm.schema_writing import add_missing
from syncline.storage.file import RealmFile
from syncline.values import kinds


def model(source: str, **names: Any) -> Any:
    """The class that ``source`` defines."""
    scope = {"Model": Model, "EmbeddedModel": EmbeddedModel, "Field": Field, "List": List, **names}
    exec(source, scope)
    return scope["Dog"]


OLD = model("class Dog(Model):\n  id: int = Field(primary_key=True)\n  name: str\n  age: int\n")


class Cat(Model):
    name: str


def test_new_classes_and_indexes_need_no_version(open_realm: OpenRealm) -> None:
    realm = open_realm(OLD)
    with realm.write():
        realm.create(OLD, id=1, name="Rex", age=3)
    realm.close()
    indexed = model(
        "class Dog(Model):\n  id: int = Field(primary_key=True)\n  name: str = Field(index=True)\n  age: int\n"
    )
    realm = open_realm(indexed, Cat)
    assert (realm.get(indexed, 1).name, len(realm.objects(Cat)), realm.schema_version) == ("Rex", 0, 0)


def test_opening_again_writes_nothing(open_realm: OpenRealm) -> None:
    version = open_realm(OLD).version
    assert open_realm(OLD).version == version


CONFLICTS = {
    "name: str\n  age: str": "Dog.age: the file has it as 'int', the model as 'string'",
    "name: str\n  age: int | None": "Dog.age: the file has it as 'int', the model as 'int\\?'",
    "name: str\n  age: List[int]": "the file has it as 'int', the model as 'int\\[\\]'",
    "name: str": "Dog.age: the file has it, the model does not",
    "name: str\n  age: int\n  weight: float": "Dog.weight: the file lacks the property",
}


@pytest.mark.parametrize("declarations", CONFLICTS)
def test_contradictions_are_refused(open_realm: OpenRealm, declarations: str) -> None:
    open_realm(OLD).close()
    changed = model(f"class Dog(Model):\n  id: int = Field(primary_key=True)\n  {declarations}\n")
    with pytest.raises(SchemaMismatchError, match=CONFLICTS[declarations]):
        open_realm(changed)
    assert open_realm(OLD).is_empty


def test_another_key_is_a_contradiction(open_realm: OpenRealm) -> None:
    open_realm(OLD).close()
    for declarations, message in (
        ("id: int\n  name: str\n  age: int", "its primary key is id in the file and none in the model"),
        ("id: int\n  name: str = Field(primary_key=True)\n  age: int", "key is id in the file and name in the model"),
        (
            "id: str = Field(primary_key=True)\n  name: str\n  age: int",
            "Dog.id: the file has it as 'int', the model as",
        ),
    ):
        with pytest.raises(SchemaMismatchError, match=message):
            open_realm(model(f"class Dog(Model):\n  {declarations}\n"))


def test_all_contradictions_are_listed(open_realm: OpenRealm) -> None:
    open_realm(OLD).close()
    wrong = model("class Dog(EmbeddedModel):\n  name: int\n  age: str\n")
    with pytest.raises(SchemaMismatchError) as caught:
        open_realm(wrong)
    assert len(caught.value.errors) == 5
    assert len(str(caught.value).splitlines()) == 6
    assert "the file has it as an ordinary class, the model is embedded" in str(caught.value)


def test_links_must_lead_into_the_schema(open_realm: OpenRealm) -> None:
    class Owner(Model):
        cat: Cat | None

    with pytest.raises(
        SchemaError, match=r"Owner.cat: links to Cat, which is not in the schema; add it to the schema list"
    ):
        open_realm(Owner)


def test_abstract_classes_are_not_stored(open_realm: OpenRealm) -> None:
    with pytest.raises(
        SchemaError, match=r"Model is an abstract base; put the classes derived from it into the schema"
    ):
        open_realm(Model)


def test_the_order_of_what_is_recorded(open_realm: OpenRealm) -> None:
    class Zebra(Model):
        x: int
        name: str

    class Ant(Model):
        id: int = Field(primary_key=True)
        zebra: Zebra | None

    realm = open_realm()
    realm.begin_write()
    tx = realm._context.writing()
    add_missing(tx, [info._info.schema for info in models_by_name([Zebra, Ant]).values()])
    recorded = [
        each.table if isinstance(each, AddTable) else f"{each.table}.{each.field}"
        for each in tx.instructions
        if isinstance(each, AddTable | AddColumn)
    ]
    assert recorded == ["Ant", "Zebra", "Ant.zebra", "Zebra.x", "Zebra.name"]
    realm.cancel_write()


def test_schemas_by_hand(open_realm: OpenRealm) -> None:
    dog = ObjectSchema(
        "Dog",
        [
            Property("name", "string", primary_key=True),
            Property("age", "int?", default=1),
            Property("friends", "Dog[]"),
            Property("kind", "string", stored_name="type", default="mutt"),
        ],
    )
    realm = open_realm(dog)
    with realm.write():
        rex = realm.create("Dog", name="Rex", friends=[{"name": "Bo"}])
        rex["age"] += 1
        rex.kind = "beagle"
    assert (rex["age"], rex["friends"][0]["name"], rex["kind"]) == (2, "Bo", "beagle")
    dogs = realm.objects("Dog").where(type(rex).friends.any.name == "Bo")
    assert dogs[:] == [rex]
    assert repr(rex) == "<Dog name='Rex' age=2 friends=[1 items] kind='beagle'>"
    with pytest.raises(SchemaError, match=r"a primary key is an int, str"):
        open_realm(ObjectSchema("Wrong", [Property("x", "double", primary_key=True)]))
    with pytest.raises(SchemaError, match=r"the default of Wrong.x: expected int, got str 'a'"):
        open_realm(ObjectSchema("Wrong", [Property("x", "int", default="a")]))


# --- versions ---------------------------------------------------------------------------------------------------------


def test_the_version_of_a_file(open_realm: OpenRealm, tmp_path: Path) -> None:
    path = tmp_path / "test.realm"
    assert Realm.schema_version(path) is None
    dynamic = open_realm()
    assert dynamic.schema_version is None
    dynamic.close()
    open_realm(OLD, schema_version=2**64 - 2).close()
    assert Realm.schema_version(path) == 2**64 - 2
    assert Realm.schema_version(RealmConfiguration(path)) == 2**64 - 2
    assert Realm.schema_version(in_memory=True) is None


def test_a_file_in_which_nothing_was_made_yet_has_no_version(tmp_path: Path) -> None:
    (tmp_path / "empty.realm").touch()
    assert Realm.schema_version(tmp_path / "empty.realm") is None


def test_the_version_of_an_encrypted_file(open_realm: OpenRealm, tmp_path: Path) -> None:
    key = bytes(range(64))
    open_realm(OLD, schema_version=5, encryption_key=key).close()
    assert Realm.schema_version(tmp_path / "test.realm", key) == 5


def test_a_version_never_goes_back(open_realm: OpenRealm) -> None:
    open_realm(OLD, schema_version=3).close()
    with pytest.raises(InvalidSchemaVersionError, match=r"has schema version 3, the configuration says 2") as caught:
        open_realm(OLD, schema_version=2)
    assert (caught.value.old, caught.value.new) == (3, 2)


def test_a_file_without_version_may_lack_properties(open_realm: OpenRealm, tmp_path: Path) -> None:
    file = RealmFile.open(tmp_path / "test.realm", history=False)
    with file.write() as tx:
        tx.add_class("Dog", primary_key="id", key_type=kinds.INT)
    file.close()
    assert open_realm(OLD, schema_version=4).schema_version == 4


# --- resets -----------------------------------------------------------------------------------------------------------


def filled(open_realm: OpenRealm, version: int = 0) -> None:
    with open_realm(OLD, schema_version=version) as realm, realm.write():
        realm.create(OLD, id=1, name="Rex", age=3)


LESS = model("class Dog(Model):\n  id: int = Field(primary_key=True)\n  name: str\n")


def test_a_soft_reset_deletes_what_would_migrate(open_realm: OpenRealm) -> None:
    options = {"delete_if_migration_needed": True}
    filled(open_realm)
    with open_realm(OLD, Cat, **options) as realm:  # a new class needs no migration
        assert len(realm.objects(OLD)) == 1
    with open_realm(LESS, **options) as realm:
        assert realm.is_empty
    filled_with_less = open_realm(LESS, **options)
    with filled_with_less.write():
        filled_with_less.create(LESS, id=1, name="Rex")
    filled_with_less.close()
    with open_realm(LESS, schema_version=1, **options) as realm:  # the version alone is enough
        assert (realm.is_empty, realm.schema_version) == (True, 1)
    with open_realm(LESS, schema_version=0, **options) as realm:
        assert realm.schema_version == 0


def test_a_hard_reset_deletes_on_any_difference(open_realm: OpenRealm) -> None:
    filled(open_realm)
    with open_realm(OLD, schema_mode=SchemaMode.HARD_RESET) as realm:
        assert len(realm.objects(OLD)) == 1
    with open_realm(OLD, Cat, schema_mode=SchemaMode.HARD_RESET) as realm:
        assert realm.is_empty


# --- additive ---------------------------------------------------------------------------------------------------------


def test_additive_modes_record_the_version_and_never_compare_it(open_realm: OpenRealm) -> None:
    mode = {"schema_mode": SchemaMode.ADDITIVE_EXPLICIT}
    filled(open_realm, 3)
    with open_realm(LESS, schema_version=1, **mode) as realm:
        assert (realm.schema_version, realm.get(LESS, 1).name) == (1, "Rex")
    grown = model("class Dog(Model):\n  id: int = Field(primary_key=True)\n  name: str\n  note: str | None\n")
    with open_realm(grown, schema_version=1, **mode) as realm:
        assert realm.get(grown, 1).note is None
    with open_realm(OLD, schema_version=1, **mode) as realm:
        assert realm.get(OLD, 1).age == 3
    other = model("class Dog(Model):\n  id: int = Field(primary_key=True)\n  name: int\n")
    with pytest.raises(InvalidSchemaChangeError, match=r"Dog.name: the file has it as 'string', the model as 'int'"):
        open_realm(other, schema_version=1, **mode)


def test_embedded_classes_without_owner(open_realm: OpenRealm) -> None:
    class Address(EmbeddedModel):
        city: str

    with pytest.raises(
        SchemaError,
        match=r"Address: no class that is not embedded leads to it, so it could have no objects; leave it out",
    ):
        open_realm(Cat, Address, schema_mode=SchemaMode.ADDITIVE_EXPLICIT)
    realm = open_realm(Cat, Address, schema_mode=SchemaMode.ADDITIVE_DISCOVERED)
    assert "Address" not in realm._context.reader().catalogue.classes


def test_a_file_with_a_history_is_only_added_to(open_realm: OpenRealm, tmp_path: Path) -> None:
    RealmFile.open(tmp_path / "test.realm", history=True).close()
    open_realm(OLD).close()
    with open_realm(LESS) as realm:
        assert realm.schema_version == 0


# --- changes made elsewhere -------------------------------------------------------------------------------------------


def test_a_class_that_vanishes_is_an_error(open_realm: OpenRealm) -> None:
    realm = open_realm(OLD)
    realm.begin_write()
    tx = realm._context.writing()
    info = tx.catalogue.classes["Dog"]
    tx.erase_property(info, info.properties["age"])
    with pytest.raises(InvalidExternalSchemaChangeError, match=r"somebody changed Dog in .* so that it does not fit"):
        realm.objects(OLD)
    realm.cancel_write()


def test_a_write_does_not_begin_on_a_schema_that_does_not_fit(open_realm: OpenRealm) -> None:
    realm = open_realm(OLD)
    assert len(realm.objects(OLD)) == 0
    with realm._context.file.write() as tx:
        info = tx.catalogue.classes["Dog"]
        tx.erase_property(info, info.properties["age"])
    for action in (realm.begin_write, realm.refresh):
        with pytest.raises(InvalidExternalSchemaChangeError, match=r"somebody changed Dog"):
            action()
    assert not realm.in_write


def test_a_handle_may_have_fewer_classes(open_realm: OpenRealm) -> None:
    realm = open_realm(OLD, Cat)
    with realm.write():
        realm.create(Cat, name="Tom")
    other = open_realm(OLD)
    assert [schema.name for schema in other.schema] == ["Dog"]
    assert [cat["name"] for cat in other.objects("Cat")] == ["Tom"]
    with pytest.raises(MismatchedConfigError, match=r"is open with schema version 0, not 1"):
        open_realm(OLD, schema_version=1)


def test_schema_additions_of_others_are_followed(open_realm: OpenRealm) -> None:
    realm: Realm = open_realm(OLD)
    with realm.write():
        rex = realm.create(OLD, id=1, name="Rex", age=3)
    dogs = realm.objects(OLD).where(OLD.age == 3)
    assert dogs.first() == rex
    with realm._context.file.write() as tx:
        info = tx.catalogue.classes["Dog"]
        tx.add_property(info, "first", kinds.STRING)
        tx.set_index(tx.catalogue.classes["Dog"], info.properties["age"], 1)
        tx.add_class("Bird")
    realm.refresh()
    assert (rex.age, dogs.first()) == (3, rex)
    with realm.write():
        rex.age = 4
        assert len(dogs) == 0
    assert rex.age == 4


def test_a_dynamic_realm_follows_any_change(open_realm: OpenRealm) -> None:
    filled(open_realm)
    realm = open_realm()
    rex = realm.objects("Dog")[0]
    with realm._context.file.write() as tx:
        info = tx.catalogue.classes["Dog"]
        tx.erase_property(info, info.properties["age"])
        tx.add_property(tx.catalogue.classes["Dog"], "note", kinds.STRING)
    realm.refresh()
    with pytest.raises(InvalidatedObjectError):
        rex["name"]
    assert realm.objects("Dog")[0]["note"] == ""
    with realm._context.file.write() as tx:
        tx.erase_class(tx.catalogue.classes["Dog"])
    realm.refresh()
    assert realm.schema == []


# --- what excludes each other -----------------------------------------------------------------------------------------


def test_modes_and_functions() -> None:
    def function(realm: Realm) -> None:
        del realm

    for options in (
        {"read_only": True, "migration": function},
        {"read_only": True, "initial_data": function},
        {"schema_mode": SchemaMode.ADDITIVE_EXPLICIT, "migration": function},
        {"schema_mode": SchemaMode.IMMUTABLE, "sync": object()},
        {"schema_mode": SchemaMode.AUTOMATIC, "sync": object()},
        {"schema_mode": SchemaMode.AUTOMATIC, "read_only": True},
        {"delete_if_migration_needed": True, "read_only": True},
        {"delete_if_migration_needed": True, "migration": function},
        {"delete_if_migration_needed": True, "sync": object()},
        {"delete_if_migration_needed": True, "schema_mode": SchemaMode.MANUAL},
        {"in_memory": True, "seed_file": "a.realm"},
    ):
        with pytest.raises(IllegalCombinationError):
            RealmConfiguration(**options)  # type: ignore[arg-type]
