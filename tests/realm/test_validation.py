"""What schemas may say and what not: the tables of spec/sdk.md §1.2 and §1.7, row by row."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    EmbeddedModel,
    Field,
    List,
    Model,
    ObjectSchema,
    Property,
    RealmConfiguration,
    SchemaMode,
    SchemaValidationError,
    Set,
    ValidationMode,
)
from syncline.realm.schema import PropertyType
from syncline.realm.validation import class_problems, validate
from syncline.values import kinds

SINGLE, LIST = kinds.SINGLE_COLLECTION, kinds.LIST_COLLECTION
SET, DICT = kinds.SET_COLLECTION, kinds.DICTIONARY_COLLECTION
PRIMITIVES = sorted(
    {
        kinds.INT,
        kinds.BOOL,
        kinds.STRING,
        kinds.BINARY,
        kinds.TIMESTAMP,
        kinds.FLOAT,
        kinds.DOUBLE,
        kinds.OBJECT_ID,
        kinds.DECIMAL,
        kinds.UUID,
    }
)
DOG = ObjectSchema("Dog", [Property("id", "int", primary_key=True), Property("best", "Dog")])
PART = ObjectSchema("Part", [Property("x", "int")], kind=kinds.EMBEDDED)
LOG = ObjectSchema("Log", [Property("_id", "int", primary_key=True)], kind=kinds.ASYMMETRIC)


def errors(*classes: ObjectSchema, mode: ValidationMode = ValidationMode.BASIC) -> tuple[str, ...]:
    try:
        validate(classes, mode)
    except SchemaValidationError as error:
        return error.errors
    return ()


def one(type: PropertyType, *others: ObjectSchema) -> tuple[str, ...]:
    return errors(ObjectSchema("Thing", [Property("x", type)]), *others)


# --- nullability (table 1.2) ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collection", [SINGLE, LIST, SET, DICT])
@pytest.mark.parametrize("kind", PRIMITIVES)
@pytest.mark.parametrize("nullable", [False, True])
def test_primitives_may_be_optional_alone_and_as_elements(kind: int, collection: int, nullable: bool) -> None:
    assert one(PropertyType(kind, nullable, collection)) == ()


@pytest.mark.parametrize(
    ("collection", "nullable", "problem"),
    [
        (SINGLE, True, ""),
        (SINGLE, False, "Thing.x: a link can always be null"),
        (LIST, False, ""),
        (LIST, True, "Thing.x: a list or set of objects cannot hold None"),
        (SET, False, ""),
        (SET, True, "Thing.x: a list or set of objects cannot hold None"),
        (DICT, True, ""),
        (DICT, False, "Thing.x: a link in a dictionary can always be None"),
    ],
)
def test_links(collection: int, nullable: bool, problem: str) -> None:
    found = one(PropertyType(kinds.LINK, nullable, collection, "Dog"), DOG)
    assert len(found) == bool(problem)
    assert all(text.startswith(problem) for text in found)


@pytest.mark.parametrize("collection", [SINGLE, LIST, SET, DICT])
def test_mixed_is_always_optional(collection: int) -> None:
    assert one(PropertyType(kinds.MIXED, True, collection)) == ()
    assert one(PropertyType(kinds.MIXED, False, collection)) == (
        "Thing.x: a Mixed value can always be None: declare it as nullable",
    )


def test_backlinks_are_a_list_and_never_optional() -> None:
    person = ObjectSchema("Person", [Property("dogs", "Thing[]")])
    assert one(PropertyType(kinds.LINK, False, LIST, "Person", "dogs"), person) == ()
    assert one(PropertyType(kinds.LINK, True, LIST, "Person", "dogs"), person) == ("Thing.x: backlinks cannot be None",)
    assert one(PropertyType(kinds.LINK, False, SINGLE, "Person", "dogs"), person) == (
        "Thing.x: backlinks are a list of objects",
    )


def test_a_collection_itself_is_never_optional() -> None:
    for annotation in (List[int], Set[int]):
        with pytest.raises(SchemaValidationError, match="a collection always exists and may be empty"):
            type("Wrong", (Model,), {"__annotations__": {"x": annotation | None}})  # type: ignore[operator]


def test_all_problems_of_one_class_at_once() -> None:
    class Cat(Model):
        name: str

    with pytest.raises(SchemaValidationError) as caught:

        class Wrong(Model):
            cat: Cat
            number: complex
            cats: List[Cat | None]
            key: tuple = Field(primary_key=True)  # type: ignore[type-arg]
            flag: bool = Field(primary_key=True)

    found = [problem.partition(":")[0] for problem in caught.value.errors]
    assert found == ["Wrong.number", "Wrong.key", "Wrong.cat", "Wrong.cats", "Wrong.flag", "Wrong"]
    assert "two primary keys, key and flag" in caught.value.errors[-1]
    with pytest.raises(SchemaValidationError, match=r"the default of Odd.x: a Mixed value cannot be a set"):

        class Odd(Model):
            x: Any = {1}  # noqa: RUF012
            y: str = Field(name="")


def test_no_name_is_no_name_of_its_own() -> None:
    assert class_problems(ObjectSchema("Dog", [Property("a", "int", stored_name="")], stored_name="")) != []


def test_the_parent_of_an_embedded_object_keeps_its_name() -> None:
    class Child(Model):
        parent: str

    with pytest.raises(SchemaValidationError, match=r"Part.parent: every model has an attribute of this name"):

        class Part(EmbeddedModel):
            parent: str


def test_a_plain_link_is_explained() -> None:
    class Cat(Model):
        name: str

    with pytest.raises(SchemaValidationError, match=r"Owner.cat: .* declare it as 'Cat \| None'"):

        class Owner(Model):
            cat: Cat


# --- the rules (table 1.7) --------------------------------------------------------------------------------------------


def test_v1_class_names() -> None:
    assert errors(DOG, ObjectSchema("Cat", [])) == ()
    assert errors(DOG, DOG) == ("the class name 'Dog' is used twice",)
    assert errors(ObjectSchema("A", [], stored_name="x"), ObjectSchema("A", [], stored_name="y")) == (
        "the class name 'A' is used twice",
    )


def test_v2_property_names() -> None:
    def found(*properties: Property) -> list[str]:
        return class_problems(ObjectSchema("Dog", properties))

    assert found(Property("a", "int"), Property("b", "int", stored_name="c")) == []
    assert found(Property("a", "int"), Property("a", "int")) == [
        "Dog.a: declared twice",
        "Dog: two properties are stored as 'a'",
    ]
    assert found(Property("a", "int", stored_name="x"), Property("b", "int", stored_name="x")) == [
        "Dog: two properties are stored as 'x'"
    ]
    assert found(Property("a", "int", stored_name="b"), Property("b", "int", stored_name="c"))[0].startswith(
        "Dog.b: another property is stored under this name"
    )
    assert found(Property("a", "int"), Property.backlinks("a", "Dog", "best")) == ["Dog.a: declared twice"]
    assert found(Property("b", "int", stored_name="a"), Property.backlinks("a", "Dog", "best"))[0].startswith(
        "Dog.a: another property is stored under this name"
    )


def test_v3_backlinks() -> None:
    def found(target: str, origin: str) -> tuple[str, ...]:
        dog = ObjectSchema("Dog", [Property("n", "int"), Property.backlinks("x", target, origin)])
        return errors(dog, person, ObjectSchema("Pal", []))

    person = ObjectSchema("Person", [Property("dogs", "Dog[]"), Property("n", "int"), Property("pal", "Pal")])
    assert found("Person", "dogs") == ()
    assert found("", "dogs") == ("Dog.x: backlinks need the class that links here",)
    assert found("Person", "") == ("Dog.x: backlinks need the name of the property that links here",)
    assert "is not in the schema" in found("Cat", "dogs")[0]
    assert "has no property 'cats'" in found("Person", "cats")[0]
    assert found("Person", "n") == ("Dog.x: Person.n does not link to Dog",)
    assert found("Person", "pal") == ("Dog.x: Person.pal does not link to Dog",)


@pytest.mark.parametrize("kind", [*PRIMITIVES, kinds.MIXED])
def test_v5_primary_keys(kind: int) -> None:
    allowed = kind in (kinds.INT, kinds.STRING, kinds.OBJECT_ID, kinds.UUID)
    for nullable in (False, True):
        prop = Property("id", PropertyType(kind, nullable or kind == kinds.MIXED), primary_key=True)
        assert (class_problems(ObjectSchema("Dog", [prop])) == []) is allowed
    listed = Property("id", PropertyType(kind, kind == kinds.MIXED, LIST), primary_key=True)
    assert "a primary key is an int, str, ObjectId or UUID" in class_problems(ObjectSchema("Dog", [listed]))[0]


def test_v5_the_primary_key_is_one_property() -> None:
    two = [Property("a", "int", primary_key=True), Property("b", "int", primary_key=True)]
    assert class_problems(ObjectSchema("Dog", two)) == ["Dog: two primary keys, a and b; a class has at most one"]
    named = ObjectSchema("Dog", [Property("a", "int"), Property("b", "int")], primary_key="b")
    assert class_problems(named) == []
    assert named.primary_key is not None
    assert named.primary_key.name == "b"
    assert class_problems(ObjectSchema("Dog", [Property("a", "int")], primary_key="c")) == [
        "Dog: its primary key 'c' is none of its properties"
    ]


INDEXABLE = {kinds.INT, kinds.BOOL, kinds.STRING, kinds.TIMESTAMP, kinds.OBJECT_ID, kinds.UUID, kinds.MIXED}


@pytest.mark.parametrize("collection", [SINGLE, LIST, SET, DICT])
@pytest.mark.parametrize("kind", [*PRIMITIVES, kinds.MIXED, kinds.LINK])
def test_v6_indexes(kind: int, collection: int) -> None:
    link = kind == kinds.LINK
    nullable = kind == kinds.MIXED or (link and collection in (SINGLE, DICT))
    type = PropertyType(kind, nullable, collection, "Dog" if link else None)
    possible = (collection == SINGLE and kind in INDEXABLE) or (collection == LIST and kind == kinds.STRING)
    assert (class_problems(ObjectSchema("Dog", [Property("x", type, index=True)])) == []) is possible
    full_text = class_problems(ObjectSchema("Dog", [Property("x", type, index="fulltext")]))
    assert (full_text == []) is (kind == kinds.STRING and collection == SINGLE)


def test_v7_targets() -> None:
    assert one(PropertyType(kinds.LINK, True, SINGLE, "Dog"), DOG) == ()
    assert one(PropertyType(kinds.INT, target="Dog"), DOG) == (
        "Thing.x: a property of type int has no target class, but Dog was given",
    )
    assert "links to Cat, which is not in the schema" in one(PropertyType(kinds.LINK, True, SINGLE, "Cat"))[0]


def test_v8_sets_of_embedded_objects() -> None:
    for text, problems in (("Part", 0), ("Part[]", 0), ("Part{}", 0), ("Part<>", 1)):
        assert len(one(PropertyType.parse(text), PART)) == problems


@pytest.mark.parametrize("text", ["Log", "Log[]", "Log<>", "Log{}"])
def test_v9_nothing_links_to_asymmetric_objects(text: str) -> None:
    thing = ObjectSchema("Thing", [Property("_id", "int", primary_key=True), Property("x", text)])
    assert errors(thing, LOG, mode=ValidationMode.SYNC_FLEXIBLE) == (
        "Thing.x: nothing can link to Log, whose objects are asymmetric",
    )
    backlinked = ObjectSchema("Log", [*LOG.properties, Property.backlinks("b", "T", "l")], kind=kinds.ASYMMETRIC)
    other = ObjectSchema("T", [Property("_id", "int", primary_key=True), Property("l", "Log")])
    assert len(errors(backlinked, other, mode=ValidationMode.SYNC_FLEXIBLE)) == 2


def test_v10_embedded_classes_have_no_key() -> None:
    keyed = ObjectSchema("Part", [Property("id", "int", primary_key=True)], kind=kinds.EMBEDDED)
    assert errors(PART) == ()
    assert errors(keyed) == ("Part.id: embedded objects have no primary key; they belong to their parent",)


def test_v11_asymmetric_classes_need_flexible_sync() -> None:
    problem = ("Log: asymmetric objects need a Realm with flexible sync",)
    assert errors(LOG) == problem
    assert errors(LOG, mode=ValidationMode.SYNC_PARTITION) == problem
    assert errors(LOG, mode=ValidationMode.SYNC_FLEXIBLE) == ()


def test_v12_and_v13_embedded_classes() -> None:
    itself = ObjectSchema("Part", [Property("parts", "Part[]")], kind=kinds.EMBEDDED)
    assert len(errors(itself)) == 1
    reject = ValidationMode.REJECT_EMBEDDED_ORPHANS
    assert errors(PART) == ()
    assert errors(PART, mode=reject) == (
        "Part: no class that is not embedded leads to it, so it could have no objects; leave it out",
    )
    whole = ObjectSchema("Whole", [Property("box", "Box")])
    box = ObjectSchema("Box", [Property("parts", "Part{}")], kind=kinds.EMBEDDED)
    assert errors(PART, box, whole, mode=reject) == ()
    wrong = ObjectSchema("Wrong", [Property("x", "Cat")])
    assert len(errors(itself, wrong, mode=reject)) == 1, "cycles and orphans are looked for where all else is right"


def test_v14_the_key_of_app_services() -> None:
    right = ObjectSchema("A", [Property("id", "int", primary_key=True, stored_name="_id")])
    wrong = ObjectSchema("B", [Property("id", "int", primary_key=True)])
    none = ObjectSchema("C", [])
    assert errors(right, wrong, none, PART) == ()
    for mode in (ValidationMode.SYNC_PARTITION, ValidationMode.SYNC_FLEXIBLE):
        assert errors(right, PART, mode=mode) == ()
        assert len(errors(right, wrong, none, PART, mode=mode)) == 2


# --- which rules a configuration asks for (1.4, 2.2) ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [
        ({}, "keyless orphan"),
        ({"sync": SimpleNamespace(flexible=False)}, "keyless"),
        ({"sync": SimpleNamespace(flexible=True)}, "keyless asymmetric"),
        ({"sync": SimpleNamespace(flexible=True), "schema_mode": SchemaMode.ADDITIVE_DISCOVERED},
         "keyless asymmetric orphan"),
        ({"schema_mode": SchemaMode.ADDITIVE_EXPLICIT}, "keyless"),
        ({"validation_mode": ValidationMode.REJECT_EMBEDDED_ORPHANS}, "keyless"),
        ({"validation_mode": ValidationMode.SYNC_PARTITION}, "orphan"),
        ({"validation_mode": ValidationMode.SYNC_FLEXIBLE}, "asymmetric orphan"),
    ],
)  # fmt: skip
def test_rules_of_configurations(settings: dict[str, Any], accepted: str) -> None:
    rules = RealmConfiguration(**settings).rules
    for name, schema in (("keyless", ObjectSchema("A", [])), ("asymmetric", LOG), ("orphan", PART)):
        assert (errors(schema, mode=rules) == ()) is (name in accepted.split()), name


def test_a_realm_is_opened_by_the_rules_of_its_configuration(open_realm: OpenRealm) -> None:
    thing = ObjectSchema("Thing", [Property("id", "int", primary_key=True)])
    with pytest.raises(SchemaValidationError, match=r"needs the primary key to be stored as '_id'"):
        open_realm(thing, validation_mode=ValidationMode.SYNC_PARTITION)
    with open_realm(LOG, validation_mode=ValidationMode.SYNC_FLEXIBLE) as realm:
        assert realm.schema[0].kind == kinds.ASYMMETRIC


# --- names (1.6) ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "fits"), [("é" * 28 + "x", True), ("é" * 29, False), ("", False), ("a\0", False)])
def test_class_names_are_limited_in_bytes(name: str, fits: bool) -> None:
    assert (class_problems(ObjectSchema(name, [])) == []) is fits


@pytest.mark.parametrize(("name", "fits"), [("é" * 31 + "x", True), ("é" * 32, False), ("", False)])
def test_property_names_are_limited_in_bytes(name: str, fits: bool) -> None:
    assert (class_problems(ObjectSchema("Dog", [Property(name, "int")])) == []) is fits


def test_all_problems_of_all_classes_at_once(open_realm: OpenRealm) -> None:
    class Part(EmbeddedModel):
        x: int

    class Holder(Model):
        id: int = Field(primary_key=True)
        parts: List[Part]

    with pytest.raises(SchemaValidationError) as caught:
        open_realm(
            Holder,
            Part,
            ObjectSchema("A", [Property("x", "Cat"), Property("key", "double", primary_key=True)]),
            ObjectSchema("B", [Property("parts", "Part<>"), Property("y", PropertyType(kinds.MIXED))]),
        )
    assert len(caught.value.errors) == 4
    assert all(problem in str(caught.value) for problem in caught.value.errors)
