"""Files follow their models as long as nothing contradicts (spec/sdk.md §2.3)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import EmbeddedModel, Field, List, Model, ObjectSchema, Property, Realm, SchemaError
from syncline.changesets.instructions import AddColumn, AddTable
from syncline.realm.schema_update import _add, models_by_name


def model(source: str, **names: Any) -> Any:
    """The class that ``source`` defines."""
    scope = {"Model": Model, "EmbeddedModel": EmbeddedModel, "Field": Field, "List": List, **names}
    exec(source, scope)
    return scope["Dog"]


OLD = model("class Dog(Model):\n  id: int = Field(primary_key=True)\n  name: str\n  age: int\n")


def test_new_classes_and_properties_are_added(open_realm: OpenRealm) -> None:
    realm = open_realm(OLD)
    with realm.write():
        realm.create(OLD, id=1, name="Rex", age=3)
    realm.close()

    class Cat(Model):
        name: str

    new = model(
        "class Dog(Model):\n  id: int = Field(primary_key=True)\n  weight: float = 1.5\n  note: str | None\n"
        "  name: str = Field(index=True)\n  cats: List[Cat]\n",
        Cat=Cat,
    )
    realm = open_realm(new, Cat)
    rex = realm.get(new, 1)
    assert (rex.name, rex.weight, rex.note, len(rex.cats)) == ("Rex", 0.0, None, 0)
    with realm.write():
        assert realm.create(new, id=2, name="Bo").weight == 1.5
    realm.close()
    old = open_realm(OLD)
    assert old.get(OLD, 1).age == 3
    with old.write():
        old.create(OLD, id=3, name="Kim", age=1)
        assert [dog.name for dog in old.objects(OLD)] == ["Rex", "Bo", "Kim"]


def test_opening_again_writes_nothing(open_realm: OpenRealm) -> None:
    version = open_realm(OLD).version
    assert open_realm(OLD).version == version


CONFLICTS = {
    "id: int = Field(primary_key=True)\n  age: str": "Dog.age: the file has it as 'int', the model as 'string'",
    "id: int = Field(primary_key=True)\n  age: int | None": "Dog.age: the file has it as 'int', the model as 'int\\?'",
    "id: int = Field(primary_key=True)\n  age: List[int]": "the file has it as 'int', the model as 'int\\[\\]'",
    "id: int\n  age: int": "its primary key is id in the file and none in the model; the key of a class cannot change",
    "id: int\n  name: str = Field(primary_key=True)": "its primary key is id in the file and name in the model",
    "id: str = Field(primary_key=True)": "Dog.id: the file has it as 'int', the model as 'string'",
}


@pytest.mark.parametrize("declarations", CONFLICTS)
def test_contradictions_are_refused(open_realm: OpenRealm, declarations: str) -> None:
    open_realm(OLD).close()
    with pytest.raises(SchemaError, match=CONFLICTS[declarations]):
        open_realm(model(f"class Dog(Model):\n  {declarations}\n"))
    assert open_realm(OLD).is_empty


def test_all_contradictions_are_listed(open_realm: OpenRealm) -> None:
    open_realm(OLD).close()
    wrong = model("class Dog(EmbeddedModel):\n  name: int\n  age: str\n")
    with pytest.raises(SchemaError) as caught:
        open_realm(wrong)
    assert len(str(caught.value).splitlines()) == 5
    assert "the file has it as an ordinary class, the model is embedded" in str(caught.value)


def test_links_must_lead_into_the_schema(open_realm: OpenRealm) -> None:
    class Cat(Model):
        name: str

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
    _add(tx, [info._info.schema for info in models_by_name([Zebra, Ant]).values()])
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


def test_a_class_that_vanishes_is_an_error(open_realm: OpenRealm) -> None:
    realm = open_realm(OLD)
    realm.begin_write()
    tx = realm._context.writing()
    info = tx.catalogue.classes["Dog"]
    tx.erase_property(info, info.properties["age"])
    with pytest.raises(SchemaError, match=r"the file no longer has Dog.age: somebody changed its schema"):
        realm.objects(OLD)
    realm.cancel_write()


def test_a_write_does_not_begin_on_a_schema_that_does_not_fit(open_realm: OpenRealm) -> None:
    realm = open_realm(OLD)
    assert len(realm.objects(OLD)) == 0
    with realm._context.file.write() as tx:
        info = tx.catalogue.classes["Dog"]
        tx.erase_property(info, info.properties["age"])
    for action in (realm.begin_write, realm.refresh):
        with pytest.raises(SchemaError, match=r"the file no longer has Dog.age"):
            action()
    assert not realm.in_write


def test_a_model_of_one_property_of_many(open_realm: OpenRealm) -> None:
    realm = open_realm(OLD)
    with realm.write():
        realm.create(OLD, id=7, name="Rex", age=3)
    realm.close()
    narrow = model("class Dog(Model):\n  id: int = Field(primary_key=True)\n")
    assert [dog.id for dog in open_realm(narrow).objects(narrow)] == [7]


def test_schema_changes_of_others_are_followed(open_realm: OpenRealm) -> None:
    realm: Realm = open_realm(OLD)
    with realm.write():
        rex = realm.create(OLD, id=1, name="Rex", age=3)
    dogs = realm.objects(OLD).where(OLD.age == 3)
    assert dogs.first() == rex
    open_realm(model("class Dog(Model):\n  id: int = Field(primary_key=True)\n  first: str\n  name: str\n  age: int\n"))
    realm.refresh()
    assert (rex.age, dogs.first()) == (3, rex)
    with realm.write():
        rex.age = 4
        assert len(dogs) == 0
    assert rex.age == 4
