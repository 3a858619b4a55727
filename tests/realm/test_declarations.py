"""What annotations and Field declare, and what they must not (spec/sdk.md §12.1)."""

from __future__ import annotations

import typing
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Optional
from uuid import UUID

import pytest

from syncline import (
    Counter,
    Dictionary,
    EmbeddedModel,
    Field,
    Float32,
    List,
    Model,
    ObjectId,
    SchemaError,
    Set,
    Timestamp,
)


class Address(EmbeddedModel):
    street: str = ""


class Everything(Model):
    KINDS: ClassVar[list[str]] = ["a"]
    _private: int = 7

    id: ObjectId = Field(primary_key=True, name="_id", default_factory=ObjectId)
    integer: int
    flag: bool = False
    text: Optional[str]  # noqa: UP045
    data: bytes | None = None
    real: float = 1.5
    single: Float32 | None = None
    moment: datetime | None = None
    exact: Timestamp | None = None
    price: Decimal = Decimal("1.50")
    uid: UUID | None = None
    extra: Any
    visits: Counter = 0  # type: ignore[assignment]
    home: Address | None
    best: Everything | None
    friends: List[Everything]
    names: list[str]
    tags: Set[str]
    numbers: set[int | None]
    scores: Dictionary[float | None]
    links: Dictionary[Everything]
    mapping: dict[str, Any]
    homes: typing.Annotated[List[Address], "documented"]
    note: str = Field("", name="remark", index=True)
    cache: object = Field(default=None, ignore=True)


def test_annotations_declare_types() -> None:
    schema = Everything._info.schema
    assert {prop.name: str(prop.type) for prop in schema.properties} == {
        "id": "objectId",
        "integer": "int",
        "flag": "bool",
        "text": "string?",
        "data": "data?",
        "real": "double",
        "single": "float?",
        "moment": "date?",
        "exact": "date?",
        "price": "decimal128",
        "uid": "uuid?",
        "extra": "mixed",
        "visits": "int",
        "home": "Address",
        "best": "Everything",
        "friends": "Everything[]",
        "names": "string[]",
        "tags": "string<>",
        "numbers": "int?<>",
        "scores": "double?{}",
        "links": "Everything{}",
        "mapping": "mixed{}",
        "homes": "Address[]",
        "note": "string",
    }


def test_field_says_more() -> None:
    by_name = Everything._info.schema.by_name
    assert by_name["id"].primary_key
    assert by_name["id"].stored_name == "_id"
    assert by_name["note"].stored_name == "remark"
    assert by_name["note"].index is True
    assert by_name["note"].default == ""
    assert by_name["visits"].counter
    assert by_name["exact"].exact


def test_ignored_and_private_names_are_ordinary_attributes() -> None:
    thing = Everything(integer=1)
    assert thing.cache is None
    thing.cache = [1]
    assert thing.cache == [1]
    assert thing._private == 7
    assert Everything.KINDS == ["a"]


def wrong_classes() -> dict[str, tuple[str, str]]:
    """Declaration → part of the error it must cause."""
    return {
        "x: complex": "Bad.x: complex is no property type; use int, bool, str",
        "x: int | str": "a property has one type, or one type and None; use Any",
        "x: int | str | None": "a property has one type, or one type and None",
        "x: None": "NoneType is no property type|None is no property type",
        "x: List[int] | None": "a collection always exists and may be empty",
        "x: List[List[int]]": "collections do not nest",
        "x: List": "List needs the type of its elements, for instance List\\[int\\]",
        "x: dict[int, str]": "the keys of a dictionary are str",
        "x: List[Counter]": "a Counter is a property of its own",
        "x: Address": "declare it as 'Address \\| None'",
        "x: List[Address | None]": "a list or set of objects cannot hold None",
        "x: 'int +'": "cannot be read",
        "x: float = Field(primary_key=True)": "a primary key is an int, str, ObjectId or UUID, not double",
        "x: List[int] = Field(primary_key=True)": "a primary key is an int, str, ObjectId or UUID, not int\\[\\]",
        "x: bytes = Field(index=True)": "a property of type data cannot be indexed",
        "x: int = Field(index='fulltext')": "a full-text index needs a str property",
        "x: str = Field(index='full')": "index is True, False or 'fulltext'",
        "x: int = 'five'": "the default of Bad.x: expected int, got str 'five'",
        "x: int = Field(default=1, default_factory=int)": "give a default or a default_factory, not both",
        f"{'x' * 64}: int": "has 64 bytes; it may have 1 to 63",
        "x: int = Field(name='a\\tb')": "characters that cannot be printed",
        "realm: int": "every model has an attribute of this name",
        "_key = property(id)": "Bad._key: every model has an attribute of this name; use another",
    }


@pytest.mark.parametrize("declaration", wrong_classes())
def test_wrong_declarations_are_explained(declaration: str) -> None:
    names = dict(globals())
    source = f"class Bad(Model):\n    {declaration}\n"
    with pytest.raises(SchemaError, match=wrong_classes()[declaration]):
        exec(source, names)


def test_all_problems_of_a_class_are_listed() -> None:
    with pytest.raises(SchemaError) as caught:

        class Bad(Model):
            first: complex
            second: List[List[int]]

    assert str(caught.value).startswith("the schema has 2 problems:\n- Bad.first: complex is no property type")
    assert "\n- Bad.second:" in str(caught.value)


def test_two_keys_and_two_names() -> None:
    with pytest.raises(SchemaError, match=r"two primary keys, a and b"):

        class TwoKeys(Model):
            a: int = Field(primary_key=True)
            b: int = Field(primary_key=True)

    with pytest.raises(SchemaError, match=r"two properties are stored as 'x'"):

        class TwoNames(Model):
            a: int = Field(name="x")
            b: int = Field(name="x")

    with pytest.raises(SchemaError, match=r"another property is stored under this name"):

        class Swapped(Model):
            a: int = Field(name="b")
            b: int = Field(name="c")


def test_embedded_objects_have_no_key() -> None:
    with pytest.raises(SchemaError, match=r"embedded objects have no primary key"):

        class Wrong(EmbeddedModel):
            id: int = Field(primary_key=True)


def test_meta_knows_two_settings() -> None:
    class Renamed(Model):
        x: int

        class Meta:
            name = "stored_name"

    assert Renamed._info.stored_name == "stored_name"
    with pytest.raises(SchemaError, match=r"Wrong.Meta.table: Meta knows only 'name' and 'abstract'"):

        class Wrong(Model):
            x: int

            class Meta:
                table = "t"


def test_abstract_bases_give_their_properties() -> None:
    class Named(Model):
        name: str = Field(primary_key=True)

        class Meta:
            abstract = True

        def greet(self) -> str:
            return f"I am {self.name}"

    class Cat(Named):
        lives: int = 9

    class Mouse(Named):
        pass

    assert [prop.name for prop in Cat._info.schema.properties] == ["name", "lives"]
    assert [prop.name for prop in Mouse._info.schema.properties] == ["name"]
    assert Cat(name="Tom").greet() == "I am Tom"
    with pytest.raises(TypeError, match=r"Named is an abstract base"):
        Named(name="x")
    with pytest.raises(SchemaError, match=r"Cat is a class of stored objects and cannot be derived from"):

        class Lion(Cat):
            pass


def test_a_class_may_be_named_before_it_exists() -> None:
    class Owner(Model):
        pet: Parrot | None

    with pytest.raises(SchemaError, match=r"Owner.pet: 'Parrot' is not defined; define or import it"):
        Owner()

    class Parrot(Model):
        age: int

    assert str(Owner.pet.age) == "pet.age"
    assert Owner(pet=Parrot(age=3)).pet is not None


def test_a_class_of_the_same_name_elsewhere_is_not_meant() -> None:
    def elsewhere() -> type[Model]:
        class Neighbour(Model):
            wrong: int

        return Neighbour

    other = elsewhere()

    class Owner(Model):
        near: Neighbour | None

    class Neighbour(Model):
        right: int

    assert other.__name__ == "Neighbour"
    assert str(Owner.near.right) == "near.right"


def test_a_misspelt_class_is_reported() -> None:
    class Owner(Model):
        pet: Petunia | None  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(SchemaError, match=r"'Petunia' is not defined"):
        _ = Owner.pet


def test_counters_read_as_ints() -> None:
    thing = Everything(integer=1)
    thing.visits.increment()
    thing.visits.increment(5)
    thing.visits.decrement(2)
    assert thing.visits == 4
    assert thing.visits.value == 4
    with pytest.raises(TypeError, match=r"belongs to no object in a Realm"):
        Counter(3).increment()
