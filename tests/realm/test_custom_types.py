"""Types of the application in properties: registered ones, and enumerations (spec/sdk.md §14, row 17)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from io import StringIO

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Dictionary,
    Field,
    LimitExceededError,
    List,
    Model,
    QueryArgumentError,
    Realm,
    SchemaError,
    Set,
    TypeMismatchError,
    UpdateMode,
    register_type,
)


@dataclass(frozen=True)
class Money:
    cents: int


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


register_type(Money, int, lambda money: money.cents, Money)


class Article(Model):
    name: str = Field(primary_key=True)
    price: Money = Field(Money(100), index=True)
    discount: Money | None
    color: Color = Color.RED
    level: Level | None
    prices: List[Money]
    colors: Set[Color]
    by_shop: Dictionary[Money | None]


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    realm = open_realm(Article)
    realm.begin_write()
    return realm


def test_they_come_back_as_they_were(realm: Realm) -> None:
    pen = realm.create(Article, name="pen")
    assert (pen.price, pen.discount, pen.color, pen.level) == (Money(100), None, Color.RED, None)
    pen.price, pen.discount, pen.color, pen.level = Money(5), Money(1), Color.BLUE, Level.HIGH
    assert (pen.price, pen.discount, pen.color) == (Money(5), Money(1), Color.BLUE)
    assert pen.level is Level.HIGH
    pen.discount = None
    assert pen.discount is None
    assert [str(prop.type) for prop in realm.schema[0].properties[1:5]] == ["int", "int?", "string", "int?"]


def test_in_collections(realm: Realm) -> None:
    pen = realm.create(Article, name="pen", prices=[Money(1)], colors={Color.RED}, by_shop={"a": Money(2), "b": None})
    pen.prices.append(Money(3))
    assert list(pen.prices) == [Money(1), Money(3)]
    assert Money(3) in pen.prices
    assert pen.prices.index(Money(3)) == 1
    assert pen.colors == {Color.RED}
    assert pen.colors | {Color.BLUE} == {Color.RED, Color.BLUE}
    assert pen.colors.issubset([Color.RED, Color.BLUE])
    assert dict(pen.by_shop) == {"a": Money(2), "b": None}


def test_unmanaged_and_updated(realm: Realm) -> None:
    pen = Article(name="pen", price=Money(7), prices=[Money(8)])
    assert pen.price == Money(7)
    realm.add(pen)
    assert (pen.price, list(pen.prices)) == (Money(7), [Money(8)])
    realm.create(Article, name="pen", price=Money(9), update=UpdateMode.MODIFIED)
    assert pen.price == Money(9)


def test_documents_tables_and_frames_have_what_is_stored(realm: Realm, open_realm: OpenRealm) -> None:
    pen = {"price": Money(5), "color": Color.BLUE, "level": Level.HIGH, "prices": [Money(1)], "by_shop": {"a": None}}
    realm.create(Article, {"name": "pen", "colors": [Color.RED], **pen})
    text = realm.objects(Article).to_json()
    again = open_realm(Article, path=None, in_memory=True)
    again.begin_write()
    assert again.import_json(Article, text) == 1
    assert again.objects(Article).to_json() == text
    assert again.get(Article, "pen").level is Level.HIGH  # type: ignore[union-attr]
    assert again.import_csv(Article, StringIO("name,price,color,level\nink,7,red,\n")) == 1
    ink = again.get(Article, "ink")
    assert ink is not None
    assert (ink.price, ink.color, ink.level) == (Money(7), Color.RED, None)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"name": ["ink"], "price": [8], "color": ["blue"]})
    again.from_dataframe(Article, frame, update=UpdateMode.MODIFIED)
    assert (ink.price, ink.color) == (Money(8), Color.BLUE)
    with pytest.raises(TypeMismatchError, match=r"Article.color: .*'green' is not a valid Color"):
        again.import_json(Article, '{"name": "a", "color": "green"}')
    with pytest.raises(TypeMismatchError, match=r"Article.price: expected int, got str 'x'"):
        again.import_json(Article, '{"name": "a", "price": "x"}')


def test_queries_see_what_is_stored(realm: Realm) -> None:
    realm.create(Article, name="pen", price=Money(5))
    realm.create(Article, name="ink", price=Money(50), color=Color.BLUE)
    assert [each.name for each in realm.objects(Article).filter("price > 10 AND color == 'blue'")] == ["ink"]
    with pytest.raises(QueryArgumentError, match=r"Color is no .*such as Color.RED.value"):
        realm.objects(Article).where(Article.color == Color.RED)  # type: ignore[arg-type]


def test_what_does_not_fit(realm: Realm) -> None:
    pen = realm.create(Article, name="pen")
    with pytest.raises(TypeMismatchError, match=r"Article.price: expected Money, got int 5"):
        pen.price = 5  # type: ignore[assignment]
    with pytest.raises(TypeMismatchError, match=r"Article.price: cannot be None"):
        pen.price = None  # type: ignore[assignment]
    with pytest.raises(LimitExceededError):
        pen.price = Money(2**64)
    with pytest.raises(SchemaError, match=r"Money is registered already"):
        register_type(Money, int, lambda money: money.cents, Money)

    class Odd(Enum):
        A = 1
        B = "b"

    with pytest.raises(SchemaError, match=r"Odd is no property type"):
        type("Wrong", (Model,), {"__annotations__": {"x": Odd}})
