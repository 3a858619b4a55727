"""Schemas as data: the short notation and the rules (spec/sdk.md §1.7)."""

from __future__ import annotations

import pytest

from syncline import ObjectSchema, Property, SchemaError
from syncline.realm.schema import PropertyType
from syncline.realm.validation import validate
from syncline.values import kinds

INT, LINK, MIXED, STRING = kinds.INT, kinds.LINK, kinds.MIXED, kinds.STRING
LIST, SET, DICT = kinds.LIST_COLLECTION, kinds.SET_COLLECTION, kinds.DICTIONARY_COLLECTION


@pytest.mark.parametrize(
    ("text", "type"),
    [
        ("int", PropertyType(INT)),
        ("int?", PropertyType(INT, True)),
        ("int?[]", PropertyType(INT, True, LIST)),
        ("string{}", PropertyType(STRING, False, DICT)),
        ("mixed", PropertyType(MIXED, True)),
        ("mixed<>", PropertyType(MIXED, True, SET)),
        ("Dog", PropertyType(LINK, True, target="Dog")),
        ("Dog?", PropertyType(LINK, True, target="Dog")),
        ("Dog[]", PropertyType(LINK, False, LIST, "Dog")),
        ("Dog<>", PropertyType(LINK, False, SET, "Dog")),
        ("Dog{}", PropertyType(LINK, True, DICT, "Dog")),
    ],
)
def test_short_notation(text: str, type: PropertyType) -> None:
    assert PropertyType.parse(text) == type
    assert PropertyType.parse(str(type)) == type


@pytest.mark.parametrize("text", ["", "int??", "int[", "[]", "int[]?", "int[][]"])
def test_text_that_is_no_type(text: str) -> None:
    with pytest.raises(SchemaError, match=r"is no property type; write for instance 'int'"):
        PropertyType.parse(text)


def problems(*classes: ObjectSchema) -> str:
    with pytest.raises(SchemaError) as caught:
        validate(classes)
    return str(caught.value)


DOG = ObjectSchema("Dog", [Property("name", "string")])


def test_a_good_schema_passes() -> None:
    validate([DOG, ObjectSchema("Person", [Property("dogs", "Dog[]"), Property("best", "Dog")])])


def test_each_rule() -> None:
    assert "the class name 'Dog' is used twice" in problems(DOG, DOG)
    assert "Dog.name: declared twice" in problems(
        ObjectSchema("Dog", [Property("name", "int"), Property("name", "int")])
    )
    assert "links to Cat, which is not in the schema" in problems(ObjectSchema("Dog", [Property("cat", "Cat")]))
    embedded = ObjectSchema("Part", [Property("x", "int")], kind=kinds.EMBEDDED)
    assert "a set cannot hold embedded objects" in problems(embedded, ObjectSchema("Dog", [Property("p", "Part<>")]))
    asymmetric = ObjectSchema("Log", [Property("id", "int", primary_key=True)], kind=kinds.ASYMMETRIC)
    text = problems(asymmetric, ObjectSchema("Dog", [Property("log", "Log")]))
    assert "nothing can link to Log" in text
    assert "Log: asymmetric objects need a Realm with flexible sync" in text
    assert "needs a primary key" in problems(ObjectSchema("Log", [], kind=kinds.ASYMMETRIC))
    assert "has 58 bytes; it may have 1 to 57" in problems(ObjectSchema("D" * 58, []))


def test_embedded_objects_cannot_contain_themselves() -> None:
    one = ObjectSchema("One", [Property("two", "Two")], kind=kinds.EMBEDDED)
    two = ObjectSchema("Two", [Property("ones", "One[]")], kind=kinds.EMBEDDED)
    text = problems(one, two)
    assert "One: an embedded object cannot contain one of its own class" in text
    assert "Two: an embedded object cannot contain" in text
    validate([ObjectSchema("Leaf", [], kind=kinds.EMBEDDED), ObjectSchema("Top", [Property("leaf", "Leaf")])])


def test_all_problems_are_reported_together() -> None:
    wrong = ObjectSchema("Dog", [Property("cat", "Cat"), Property("key", "double", primary_key=True)])
    lines = problems(wrong, ObjectSchema("", [])).splitlines()
    assert lines[0] == "the schema has 3 problems:"
    assert len(lines) == 4


def test_what_a_property_requires() -> None:
    assert Property("x", "int").required
    assert not Property("x", "int?").required
    assert not Property("x", "int[]").required
    assert not Property("x", "int", default=0).required
    assert DOG.primary_key is None
    assert ObjectSchema("Dog", [Property("x", "int", primary_key=True)]).primary_key is not None
