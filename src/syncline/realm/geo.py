"""Places on the earth as embedded objects, in the form that GEOWITHIN asks for (spec/sdk.md §7.10).

No ``from __future__ import annotations`` here: the classes derived from :class:`GeoPointModel` live in modules that
need not know the names in its annotations.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

from syncline.errors import (
    LimitExceededError,
    MissingPropertyValueError,
    OutOfBoundsError,
    QueryArgumentError,
    TypeMismatchError,
)
from syncline.query.expression import Expr, PropertyRef
from syncline.query.geometry import GeoPoint, PointLike, to_point
from syncline.realm.lists import List
from syncline.realm.models import EmbeddedModel
from syncline.values.numbers import plain_number

__all__ = ["GeoPointModel"]

T = TypeVar("T")

_LIMITS: Final = (("longitude", 180.0), ("latitude", 90.0))


def _degrees(owner: str, place: int, value: Any) -> float:
    """A longitude (place 0) or latitude (1) that is on the earth."""
    name, limit = _LIMITS[place]
    value = plain_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeMismatchError(f"{owner}.{name}: {value!r} is no number of degrees")
    if not abs(value) <= limit:
        raise LimitExceededError(f"{owner}.{name}: {value!r} is no {name}: give degrees from -{limit:g} to {limit:g}")
    return float(value)


def _point(owner: str, place: PointLike) -> GeoPoint:
    """A place that is on the earth, in whichever form. Raises TypeMismatchError and LimitExceededError."""
    if isinstance(place, Sequence) and len(place) in (2, 3) and not isinstance(place, str | bytes):
        for number in (0, 1):
            _degrees(owner, number, place[number])
    try:
        return to_point(place)
    except QueryArgumentError as error:
        raise TypeMismatchError(f"{owner}: {error}") from None


def _meters(owner: str, value: Any) -> float:
    value = plain_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeMismatchError(f"{owner}.altitude: {value!r} is no number")
    return float(value)


class _Degrees:
    """The longitude or the latitude: on the class an expression, on an object its place in ``coordinates``."""

    def __init__(self, place: int) -> None:
        self.place = place
        #: where queries find it, also behind a link
        self.reference = PropertyRef("coordinates", index=place)

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return owner.coordinates[self.place]
        return _coordinates(obj)[self.place]

    def __set__(self, obj: Any, value: Any) -> None:
        degrees = _degrees(type(obj).__name__, self.place, value)
        _coordinates(obj)[self.place] = degrees


class _Altitude:
    """The third of the ``coordinates``, if there is one."""

    reference = PropertyRef("coordinates", index=2)

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return owner.coordinates[2]
        coordinates = _coordinates(obj)
        return coordinates[2] if len(coordinates) > 2 else None

    def __set__(self, obj: Any, value: Any) -> None:
        meters = None if value is None else _meters(type(obj).__name__, value)
        coordinates = _coordinates(obj)
        if meters is None:
            while len(coordinates) > 2:
                coordinates.pop()
        elif len(coordinates) > 2:
            coordinates[2] = meters
        else:
            coordinates.append(meters)


def _coordinates(obj: Any) -> Any:
    """The list of an object, which is long enough for a point."""
    found = obj.coordinates
    if len(found) < 2:
        raise OutOfBoundsError(
            f"{type(obj).__name__} has {len(found)} coordinates, and a point has a longitude and a latitude; "
            "assign a place to its property `point`"
        )
    return found


if TYPE_CHECKING:

    class _Stored(Generic[T]):
        """A stored property that is no argument of the constructor."""

        @overload
        def __get__(self, obj: None, owner: Any) -> Expr: ...
        @overload
        def __get__(self, obj: object, owner: Any) -> T: ...
        def __get__(self, obj: object | None, owner: Any) -> Any: ...
        def __set__(self, obj: object, value: T) -> None: ...


class GeoPointModel(EmbeddedModel):
    """Base of embedded classes for places on the earth; what is stored is a point as in GeoJSON.

    ::

        class Place(GeoPointModel):
            name: str = ""

        class Shop(Model):
            place: Place | None

        shop = realm.create(Shop, place=Place(longitude=12.57, latitude=55.68, name="Town hall"))
        shop.place.latitude += 0.1
        realm.objects(Shop).where(Shop.place.within(GeoCircle((12.5, 55.7), km(5))))

    ``longitude`` (−180…180) and ``latitude`` (−90…90) are in degrees; ``altitude``, which queries ignore, in whatever
    unit the application uses, or None. All three can be assigned, on live objects in a write transaction. The stored
    properties are ``type``, which is ``"Point"``, and the list ``coordinates``: what else writes these, for instance
    another device, may write anything.

    Making or changing a place raises LimitExceededError for degrees that are not on the earth, TypeMismatchError for
    what is no number; reading or changing one OutOfBoundsError for an object with less than two coordinates.
    """

    __slots__ = ()

    class Meta:
        abstract = True

    if TYPE_CHECKING:  # these are the arguments of the constructor
        longitude: float
        latitude: float
        altitude: float | None = None
        type = _Stored[str]()
        coordinates = _Stored[List[float]]()
    else:
        type: str = "Point"
        coordinates: List[float]
        longitude = _Degrees(0)
        latitude = _Degrees(1)
        altitude = _Altitude()

        def __init__(self, *, longitude=None, latitude=None, altitude=None, **values):
            name = self.__class__.__name__
            if longitude is not None and latitude is not None and "coordinates" not in values:
                values["coordinates"] = [_degrees(name, 0, longitude), _degrees(name, 1, latitude)]
                if altitude is not None:
                    values["coordinates"].append(_meters(name, altitude))
            elif "coordinates" not in values or (longitude, latitude, altitude) != (None, None, None):
                raise MissingPropertyValueError(f"{name} needs longitude= and latitude=, or coordinates= instead")
            super().__init__(**values)

    @classmethod
    def of(cls, place: PointLike, **values: Any) -> Self:
        """A new object for a place in another form: ``Place.of((12.57, 55.68), name="Town hall")``.

        ``place`` is a :class:`GeoPoint`, a sequence of longitude, latitude and perhaps altitude, or an object that has
        these. Raises TypeMismatchError for anything else, and what the constructor raises.
        """
        point = _point(cls.__name__, place)
        return cls(longitude=point.longitude, latitude=point.latitude, altitude=point.altitude, **values)

    @property
    def point(self) -> GeoPoint:
        """The place as a value; assigning any form of a place (see :meth:`of`) moves the object there."""
        return GeoPoint(self.longitude, self.latitude, self.altitude)

    @point.setter
    def point(self, place: PointLike) -> None:
        point = _point(type(self).__name__, place)
        coordinates = self.coordinates
        for number, degrees in enumerate((point.longitude, point.latitude)):
            if number < len(coordinates):  # in place, so that devices that do this at the same time do not add up
                coordinates[number] = float(degrees)
            else:
                coordinates.append(float(degrees))
        self.altitude = point.altitude

    def _parts(self) -> list[str]:
        coordinates = list(self.coordinates)
        if self.type != "Point" or not 2 <= len(coordinates) <= 3:
            return super()._parts()
        named = zip(("longitude", "latitude", "altitude"), coordinates, strict=False)
        return [*(f"{name}={degrees!r}" for name, degrees in named), *super()._parts()[2:]]

    @property
    def __geo_interface__(self) -> Mapping[str, Any]:
        """The point as GeoJSON, as shapely, geopandas and others read it."""
        return {"type": "Point", "coordinates": tuple(_coordinates(self))}
