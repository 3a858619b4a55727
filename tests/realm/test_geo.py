"""Places on the earth as embedded objects, and which of them lie in a shape (spec/sdk.md §7.10)."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline import (
    EmbeddedModel,
    Field,
    GeoBox,
    GeoCircle,
    GeoPoint,
    GeoPointModel,
    GeoPolygon,
    InvalidPropertyError,
    LimitExceededError,
    List,
    MissingPropertyValueError,
    Model,
    OutOfBoundsError,
    QueryArgumentError,
    Realm,
    RealmConfiguration,
    Results,
    TypeMismatchError,
    WrongTransactionStateError,
    km,
)


class Place(GeoPointModel):
    name: str = ""


class Stop(GeoPointModel):
    class Meta:
        name = "BusStop"


class Shop(Model):
    id: int = Field(primary_key=True)
    place: Place | None
    stops: List[Stop]
    rival: Shop | None


@pytest.fixture
def realm() -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Shop, Place, Stop])) as opened:
        yield opened


def test_a_place_is_a_geojson_point(realm: Realm) -> None:
    place = Place(longitude=12.57, latitude=55, altitude=3, name="Hall")
    assert (place.longitude, place.latitude, place.altitude, place.name) == (12.57, 55.0, 3.0, "Hall")
    assert place.point == GeoPoint(12.57, 55, 3)
    with realm.write():
        shop = realm.create(Shop, id=1, place=place, stops=[Stop.of((1, 2)), Stop.of(place), Stop.of(GeoPoint(3, 4))])
        realm.create(Shop, id=2, place={"type": "Point", "coordinates": [1.0, 2.0]})  # as it stands in GeoJSON
    assert shop.place is not None
    assert (shop.place.type, list(shop.place.coordinates)) == ("Point", [12.57, 55.0, 3.0])
    assert shop.place.point == GeoPoint(12.57, 55.0, 3.0)
    assert [stop.point for stop in shop.stops] == [GeoPoint(1, 2), GeoPoint(12.57, 55, 3), GeoPoint(3, 4)]
    assert shop.place.__geo_interface__ == {"type": "Point", "coordinates": (12.57, 55.0, 3.0)}
    assert shop.place.__geo_interface__ == GeoPoint(12.57, 55.0, 3.0).__geo_interface__
    assert [p.name for p in Stop._info.schema.properties] == ["type", "coordinates"]
    assert Stop._info.stored_name == "BusStop"


@pytest.mark.parametrize("live", [True, False])
def test_it_can_be_moved(realm: Realm, live: bool) -> None:
    place = Place(longitude=1, latitude=2)
    with realm.write():
        if live:
            shop = realm.create(Shop, id=1, place=place)
            assert shop.place is not None
            place = shop.place
        assert place.is_managed == live
        place.longitude = 10
        place.latitude -= 0.5
        assert list(place.coordinates) == [10.0, 1.5]
        place.altitude = 7
        assert place.point == GeoPoint(10, 1.5, 7)
        place.altitude = 8
        place.altitude = None
        place.altitude = None
        assert list(place.coordinates) == [10.0, 1.5]
        place.point = (20, 30, 40)
        assert place.point == GeoPoint(20, 30, 40)
        place.point = Stop(longitude=-180, latitude=-90)
        assert list(place.coordinates) == [-180.0, -90.0]
    if live:
        with pytest.raises(WrongTransactionStateError):
            place.longitude = 0


WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda p: Place(longitude=180.1, latitude=0), LimitExceededError, "Place.longitude: 180.1 is no longitude: give"),
    (lambda p: Place(longitude=0, latitude=-91), LimitExceededError, "degrees from -90 to 90"),
    (lambda p: Place(longitude=math.nan, latitude=0), LimitExceededError, "nan is no longitude"),
    (lambda p: Place(longitude="1", latitude=0), TypeMismatchError, "Place.longitude: '1' is no number of degrees"),
    (lambda p: Place(longitude=True, latitude=0), TypeMismatchError, "True is no number"),
    (lambda p: Place(longitude=1, latitude=2, altitude="high"), TypeMismatchError, "Place.altitude: 'high'"),
    (lambda p: Place(), MissingPropertyValueError, "Place needs longitude= and latitude="),
    (lambda p: Place(longitude=1), MissingPropertyValueError, "Place needs longitude= and latitude="),
    (lambda p: Place(longitude=1, coordinates=[1, 2]), MissingPropertyValueError, "or coordinates= instead"),
    (lambda p: Place.of("here"), TypeMismatchError, "Place: 'here' is no place"),
    (lambda p: Place.of((0, 100)), LimitExceededError, "Place.latitude: 100 is no latitude"),
    (lambda p: setattr(p, "longitude", 200), LimitExceededError, "200 is no longitude"),
    (lambda p: setattr(p, "latitude", None), TypeMismatchError, "None is no number"),
    (lambda p: setattr(p, "altitude", "x"), TypeMismatchError, "'x' is no number"),
    (lambda p: setattr(p, "point", (1, 2, 3, 4)), TypeMismatchError, "is no place"),
]


@pytest.mark.parametrize(("make", "error", "reason"), WRONG, ids=[reason for _, _, reason in WRONG])
def test_what_is_not_on_the_earth_is_refused(make: Any, error: type[Exception], reason: str) -> None:
    place = Place(longitude=1, latitude=2)
    with pytest.raises(error, match=reason):
        make(place)
    assert place.point == GeoPoint(1, 2)


def test_what_others_wrote_need_not_be_a_point(realm: Realm) -> None:
    with realm.write():
        shop = realm.create(Shop, id=1, place={"coordinates": [5.0]})
        place = shop.place
        assert place is not None
        with pytest.raises(OutOfBoundsError, match=r"Place has 1 coordinates.* assign a place to its property"):
            assert place.latitude
        with pytest.raises(OutOfBoundsError):
            place.longitude = 3
        assert list(realm.objects(Shop).where(Shop.place.within(GeoCircle((5, 0), 1)))) == []
        place.point = (5, 1)
    assert list(realm.objects(Shop).where(Shop.place.within(GeoCircle((5, 0), 1)))) == [shop]


def test_places_in_queries(realm: Realm) -> None:
    with realm.write():
        near = realm.create(Shop, id=1, place=Place(longitude=12.5, latitude=55.7))
        far = realm.create(
            Shop, id=2, place=Place(longitude=20, latitude=50), stops=[Stop.of((12.5, 55.7))], rival=near
        )
        realm.create(Shop, id=3)
    assert near.place is not None
    around = GeoCircle(near.place, km(5))
    shops = realm.objects(Shop)
    assert list(shops.where(Shop.place.within(around))) == [near]
    assert list(shops.where(~Shop.place.within(around) & (Shop.id < 3))) == [far]
    assert list(shops.where(Shop.stops.within(around))) == [far]
    assert list(shops.where(Shop.rival.place.within(around))) == [far]
    assert list(shops.filter("place GEOWITHIN $0", GeoBox(near.place.point, (21, 52)))) == []
    assert list(shops.where(Shop.place.coordinates[0] > 15)) == [far]
    assert list(shops.where((Shop.place.longitude > 15) & (Shop.place.latitude < 51))) == [far]
    assert list(shops.where(Shop.stops.any.longitude == 12.5)) == [far]
    assert list(shops.where(Shop.rival.place.altitude > 1)) == []
    assert shops.where(Shop.place.longitude > 15).description == "place.coordinates[0] > 15"
    with pytest.raises(InvalidPropertyError, match="Place has no property 'point'"):
        Shop.place.point  # noqa: B018
    assert [place.longitude for place in realm.objects(Place).where(Place.longitude > 15)] == [20]
    assert list(realm.objects(Place).where(Place.altitude > 15)) == []
    with realm.write():
        far.place = Place.of(near.place)
    assert list(shops.where(Shop.place.within(around))) == [near, far]


def test_they_show_where_they_are(realm: Realm) -> None:
    place = Place(longitude=1, latitude=2, altitude=3, name="Hall")
    assert repr(place) == "<Place longitude=1.0 latitude=2.0 altitude=3.0 name='Hall'>"
    with realm.write():
        shop = realm.create(Shop, id=1, place={"coordinates": [1.0, 2.0]}, stops=[{"coordinates": [1.0]}])
        shown, odd = shop.place, shop.stops[0]
        assert repr(shown) == "<Place longitude=1.0 latitude=2.0 name=''>"
        assert repr(odd) == "<Stop type='Point' coordinates=[1 items]>"
        realm.delete(shop)
    assert "deleted" in repr(shown)


def test_a_class_that_looks_like_a_point_is_enough() -> None:
    class Spot(EmbeddedModel):
        type: str = "Point"
        coordinates: List[float]

    assert GeoCircle(Place(longitude=1, latitude=2), 0.1) == GeoCircle((1, 2), 0.1)
    with pytest.raises(QueryArgumentError, match="is no place"):
        GeoCircle(Spot(coordinates=[1.0, 2.0]), 0.1)  # type: ignore[arg-type]


# --- SQL finds what the definition finds ------------------------------------------------------------------------------


class World(NamedTuple):
    """Shops, where they are if that is a place, and where their stops are."""

    shops: Results[Shop]
    places: dict[int, tuple[float, float]]
    stops: dict[int, list[tuple[float, float]]]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    choices = random.Random(5)
    special = [(x, y) for x in (-180, -179.9999, 0, 90, 180) for y in (-90, -89.99, -60, 0, 60, 89.99, 90)]
    spread = [(choices.uniform(-180, 180), math.degrees(math.asin(choices.uniform(-1, 1)))) for _ in range(120)]
    dense = [(choices.gauss(179.9, 2) % 360 - 180, choices.gauss(70, 2)) for _ in range(60)]
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Shop, Place, Stop])) as opened:
        with opened.write():
            places = dict(enumerate(special + spread + dense))
            stops = {number: [(x / 2, y / 2), (-x, -y)] for number, (x, y) in places.items() if number % 3}
            for number, place in places.items():
                listed = [{"coordinates": stop} for stop in stops.get(number, ())]
                opened.create(Shop, id=number, place={"coordinates": place}, stops=listed)
            for number, wrong in enumerate(({"type": "Line"}, {"coordinates": [181.0, 0.0]}, {"coordinates": [0.0]})):
                opened.create(Shop, id=1000 + number, place={"coordinates": [0.5, 0.5], **wrong})
            opened.create(Shop, id=2000, place={"type": "POINT", "coordinates": [0.5, 0.5, 100.0, 1.0]})
        yield World(opened.objects(Shop), {**places, 2000: (0.5, 0.5)}, stops)


LONGITUDES = st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, -179.5, 0.0, 90.0, 179.5, 180.0]))
LATITUDES = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, -89.95, -89.0, 0.0, 60.0, 89.95, 90.0]))
PLACES = st.tuples(LONGITUDES, LATITUDES)
SIZES = st.one_of(st.floats(0, 3.2), st.floats(0, 0.05), st.sampled_from([0.0, math.pi / 2, math.pi]))


def ring(center: tuple[float, float], radius: float, corners: int, wobble: float) -> list[tuple[float, float]]:
    """The corners of a polygon around a place, closed; ``wobble`` makes every other one lie further in."""
    lng, lat = map(math.radians, center)
    points = []
    for number in range(corners):
        bearing, reach = 2 * math.pi * number / corners, radius * (1 - wobble * (number % 2))
        y = math.asin(math.sin(lat) * math.cos(reach) + math.cos(lat) * math.sin(reach) * math.cos(bearing))
        x = lng + math.atan2(
            math.sin(bearing) * math.sin(reach) * math.cos(lat), math.cos(reach) - math.sin(lat) * math.sin(y)
        )
        points.append(((math.degrees(x) + 540) % 360 - 180, math.degrees(y)))
    return [*points, points[0]]


@st.composite
def shapes(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["circle", "box", "triangle", "star"]))
    if kind == "circle":
        return GeoCircle(draw(PLACES), draw(SIZES))
    try:
        if kind == "box":
            return GeoBox(draw(PLACES), draw(PLACES))
        if kind == "triangle":
            corners = draw(st.lists(PLACES, min_size=3, max_size=3))
            return GeoPolygon([*corners, corners[0]])
        radius, wobble = draw(st.floats(0.01, 1.5)), draw(st.floats(0, 0.7))
        return GeoPolygon(ring(draw(PLACES), radius, draw(st.integers(3, 9)), wobble))
    except QueryArgumentError:  # these corners make none
        return GeoCircle(draw(PLACES), draw(SIZES))


@settings(max_examples=60, deadline=None)
@given(shapes())
def test_sql_finds_what_lies_in_a_shape(world: World, shape: Any) -> None:
    found = world.shops.where(Shop.place.within(shape))
    assert {shop.id for shop in found} == {n for n, place in world.places.items() if shape.contains(*place)}
    found = world.shops.where(Shop.stops.within(shape))
    assert {shop.id for shop in found} == {
        n for n, stops in world.stops.items() if any(shape.contains(*s) for s in stops)
    }


def test_degrees_of_numpy() -> None:
    point = GeoPoint(numpy.float32(12.5), numpy.int64(42), numpy.float32(100))
    assert (type(point.longitude), type(point.latitude), type(point.altitude)) == (float, int, float)
    assert GeoCircle(point, numpy.float32(0.5)).radius == 0.5
    assert Place(longitude=numpy.float32(12.5), latitude=numpy.int64(42)).latitude == 42
    with pytest.raises(QueryArgumentError, match=r"is no latitude"):
        GeoPoint(0, numpy.float32(91))
