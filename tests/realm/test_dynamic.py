"""Realms opened without models (spec/sdk.md §2.5)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import Dictionary, EmbeddedModel, Field, InvalidPropertyError, List, Model, NoSuchTableError, Set


class Tag(EmbeddedModel):
    text: str


class Dog(Model):
    key: int = Field(primary_key=True, name="_id")
    name: str = Field(index=True)
    best: Dog | None
    tags: List[Tag]
    words: Set[str]
    scores: Dictionary[float | None]
    extra: Any

    class Meta:
        name = "Hund"


def test_a_file_tells_its_classes(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog, Tag)
    with realm.write():
        rex = realm.create(Dog, key=1, name="Rex", tags=[{"text": "x"}], words={"w"}, scores={"s": None})
        rex.best = rex
    realm.close()
    dynamic = open_realm()
    schemas = {schema.name: schema for schema in dynamic.schema}
    assert set(schemas) == {"Hund", "Tag"}
    assert {p.name: str(p.type) for p in schemas["Hund"].properties} == {
        "_id": "int",
        "name": "string",
        "best": "Hund",
        "tags": "Tag[]",
        "words": "string<>",
        "scores": "double?{}",
        "extra": "mixed",
    }
    assert schemas["Hund"].by_name["name"].index
    found = dynamic.get("Hund", 1)
    assert (found["name"], found["best"], found["tags"][0]["text"]) == ("Rex", found, "x")
    assert found["_id"] == 1
    assert repr(dynamic.objects("Hund").sort("name").first()).startswith("<Hund _id=1 name='Rex' best=<Hund 1>")
    with dynamic.write():
        found["name"] = "Bo"
        found.extra = [found]
        dynamic.create("Hund", {"_id": 2, "name": "Kim", "best": found})
    assert len(dynamic.objects("Hund")) == 2
    for action in (lambda: found["nme"], lambda: found.__setitem__("nme", 1)):
        with pytest.raises(InvalidPropertyError, match=r"Hund has no property 'nme': did you mean 'name'?"):
            action()
    with pytest.raises(NoSuchTableError, match=r"Dog is not in the schema of this Realm"):
        dynamic.objects(Dog)


def test_dynamic_classes_make_expressions(open_realm: OpenRealm) -> None:
    open_realm(Dog, Tag).close()
    realm = open_realm()
    with realm.write():
        rex = realm.create("Hund", {"_id": 1, "name": "Rex"})
        bo = realm.create("Hund", {"_id": 2, "name": "Bo", "best": rex})
    hund = type(rex)
    assert realm.objects("Hund").where(hund.best.name == "Rex")[:] == [bo]
    assert realm.objects(hund).where(hund.best.best == None).count() == 2  # noqa: E711


def test_public_names_are_for_the_application_only(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog, Tag)
    with realm.write():
        rex = realm.create(Dog, {"_id": 1, "name": "Rex"})
        assert realm.create(Dog, key=2, name="Bo", best=rex).best is rex
    assert realm.objects("Dog")[:] == realm.objects("Hund")[:]
    assert [dog.key for dog in realm.objects(Dog).sort("key", descending=True)] == [2, 1]
    assert [dog.key for dog in realm.objects(Dog).where(Dog.best.key == 1)] == [2]
    assert [dog.key for dog in realm.objects(Dog).sort("_id")] == [1, 2]


def test_classes_outside_the_models_appear_when_they_are_linked(open_realm: OpenRealm) -> None:
    class Cat(Model):
        name: str

    class Box(Model):
        extra: Any

    realm = open_realm(Cat, Box)
    with realm.write():
        realm.create(Box, extra=realm.create(Cat, name="Tom"))
    realm.close()
    narrow = open_realm(Box)
    cat = narrow.objects(Box)[0].extra
    assert cat.name == "Tom"
    assert type(cat).__name__ == "Cat"
    assert type(cat) is not Cat
