"""Shapes on the sphere for GEOWITHIN (spec/sdk.md §7.10).

Points are longitude and latitude in degrees, as in GeoJSON. Edges are geodesics: the shortest way between two points,
not parallels. A ring's inside is the smaller of the two areas that it divides the sphere into. Whether a point on an
edge is inside is not specified; otherwise results are good to about 1e-9 radians.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from syncline.errors import QueryArgumentError
from syncline.values.numbers import plain_number

__all__ = [
    "MAX_VERTICES",
    "GeoBox",
    "GeoCircle",
    "GeoPoint",
    "GeoPolygon",
    "Located",
    "Shape",
    "km",
    "latitudes",
    "longitudes",
    "miles",
]

#: A polygon with more corners is refused: checking it would take too long.
MAX_VERTICES: Final = 10_000

_EARTH_RADIUS_KM: Final = 6378.1
_EARTH_RADIUS_MILES: Final = 3963.16760121
#: Below this, the sign of a triple product of unit vectors is not trusted.
_DOUBTFUL: Final = 1e-14
#: Degrees by which a range of latitudes is wider than the shape, and within which a pole counts as part of it.
_MARGIN: Final = 1e-4
_NEAR_POLE: Final = 0.1


def km(distance: float) -> float:
    """A distance on the earth's surface as radians, for the radius of a circle."""
    return distance / _EARTH_RADIUS_KM


def miles(distance: float) -> float:
    """A distance on the earth's surface as radians, for the radius of a circle."""
    return distance / _EARTH_RADIUS_MILES


class Vector(NamedTuple):
    """A point of the unit sphere."""

    x: float
    y: float
    z: float


def _cross(a: Vector, b: Vector) -> Vector:
    return Vector(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)


def _dot(a: Vector, b: Vector) -> float:
    return a.x * b.x + a.y * b.y + a.z * b.z


def _triple(a: Vector, b: Vector, c: Vector) -> float:
    """Positive where ``c`` is left of the way from ``a`` to ``b``."""
    return _dot(_cross(a, b), c)


def _unit(vector: Vector) -> Vector:
    length = math.sqrt(_dot(vector, vector))
    return Vector(vector.x / length, vector.y / length, vector.z / length)


@dataclass(frozen=True, slots=True)
class GeoPoint:
    """A place: ``longitude`` −180…180, ``latitude`` −90…90, in degrees; ``altitude`` is kept but plays no role.

    Raises QueryArgumentError for a place that is not on the earth.
    """

    longitude: float
    latitude: float
    altitude: float | None = None

    def __post_init__(self) -> None:
        for name in ("longitude", "latitude", "altitude"):
            object.__setattr__(self, name, plain_number(getattr(self, name)))
        for name, value, limit in (("longitude", self.longitude, 180), ("latitude", self.latitude, 90)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= limit:
                raise QueryArgumentError(f"{value!r} is no {name}: give degrees from -{limit} to {limit}")

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """The point as GeoJSON, as shapely, geopandas and others read it."""
        altitude = () if self.altitude is None else (self.altitude,)
        return {"type": "Point", "coordinates": (self.longitude, self.latitude, *altitude)}

    def vector(self) -> Vector:
        """The place on the unit sphere."""
        return to_vector(self.longitude, self.latitude)

    def __str__(self) -> str:
        altitude = () if self.altitude is None else (self.altitude,)
        return f"[{', '.join(repr(float(part)) for part in (self.longitude, self.latitude, *altitude))}]"


@runtime_checkable
class Located(Protocol):
    """Whatever has a place of its own, such as an object in a Realm."""

    @property
    def longitude(self) -> float: ...
    @property
    def latitude(self) -> float: ...


#: What may be given for a place.
PointLike: TypeAlias = "GeoPoint | Located | Sequence[float]"


def to_vector(longitude: float, latitude: float) -> Vector:
    """A place in degrees on the unit sphere."""
    lng, lat = math.radians(longitude), math.radians(latitude)
    return Vector(math.cos(lat) * math.cos(lng), math.cos(lat) * math.sin(lng), math.sin(lat))


def to_point(value: PointLike) -> GeoPoint:
    """The place that was given in whichever form. Raises QueryArgumentError."""
    if isinstance(value, GeoPoint):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) in (2, 3):
        return GeoPoint(*value)
    if isinstance(value, Located):
        return GeoPoint(value.longitude, value.latitude, getattr(value, "altitude", None))
    raise QueryArgumentError(f"{value!r} is no place: give (longitude, latitude) in degrees")


@dataclass(frozen=True, slots=True, init=False)
class GeoCircle:
    """All places within ``radius`` radians of ``center``: ``GeoCircle((-73.9, 40.7), km(5))``.

    Raises QueryArgumentError for a negative radius, or one that is not finite.
    """

    center: GeoPoint
    radius: float
    _vector: Vector = field(init=False, repr=False, compare=False)

    def __init__(self, center: PointLike, radius: float) -> None:
        number = plain_number(radius)
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < math.inf:
            raise QueryArgumentError(f"a circle's radius is a number of radians, at least 0, not {radius!r}")
        object.__setattr__(self, "center", to_point(center))
        object.__setattr__(self, "radius", float(number))
        object.__setattr__(self, "_vector", self.center.vector())

    def contains(self, longitude: float, latitude: float) -> bool:
        """Whether a place lies in the circle."""
        center, place = self._vector, to_vector(longitude, latitude)
        cross = _cross(center, place)
        return math.atan2(math.sqrt(_dot(cross, cross)), _dot(center, place)) <= self.radius

    def __str__(self) -> str:
        return f"geoCircle({self.center}, {self.radius!r})"


@dataclass(frozen=True, slots=True, init=False)
class GeoPolygon:
    """All places inside an outer ring and in none of the holes.

    A ring is a sequence of at least four places of which the last is the first. Raises QueryArgumentError for a ring
    that is not closed, has fewer than three corners, a corner twice, or edges that cross, and for a hole that is not
    inside the outer ring, lies in another hole, or touches another ring in more than one corner.
    """

    outer: tuple[GeoPoint, ...]
    holes: tuple[tuple[GeoPoint, ...], ...]
    _rings: tuple[_Ring, ...] = field(init=False, repr=False, compare=False)

    def __init__(self, outer: Iterable[PointLike], *holes: Iterable[PointLike]) -> None:
        rings = [tuple(to_point(point) for point in ring) for ring in (outer, *holes)]
        if sum(map(len, rings)) > MAX_VERTICES:
            raise QueryArgumentError(f"a polygon has at most {MAX_VERTICES} corners")
        object.__setattr__(self, "outer", rings[0])
        object.__setattr__(self, "holes", tuple(rings[1:]))
        object.__setattr__(self, "_rings", tuple(_Ring(ring) for ring in rings))
        _check_holes(self._rings)

    def contains(self, longitude: float, latitude: float) -> bool:
        """Whether a place lies in the polygon."""
        place = to_vector(longitude, latitude)
        outer, *holes = self._rings
        return outer.contains(place) and not any(hole.contains(place) for hole in holes)

    def __str__(self) -> str:
        rings = ("{" + ", ".join(map(str, ring)) + "}" for ring in (self.outer, *self.holes))
        return f"geoPolygon({', '.join(rings)})"


@dataclass(frozen=True, slots=True, init=False)
class GeoBox:
    """All places between two opposite corners. Its edges are geodesics, so they bend away from the equator.

    Raises QueryArgumentError for corners on the same longitude or latitude.
    """

    low: GeoPoint
    high: GeoPoint
    _polygon: GeoPolygon = field(init=False, repr=False, compare=False)

    def __init__(self, low: PointLike, high: PointLike) -> None:
        first, last = to_point(low), to_point(high)
        if first.longitude == last.longitude or first.latitude == last.latitude:
            raise QueryArgumentError(f"a box needs two opposite corners, not {first} and {last}")
        corners = [
            first,
            GeoPoint(last.longitude, first.latitude),
            last,
            GeoPoint(first.longitude, last.latitude),
            first,
        ]
        object.__setattr__(self, "low", first)
        object.__setattr__(self, "high", last)
        object.__setattr__(self, "_polygon", GeoPolygon(corners))

    def contains(self, longitude: float, latitude: float) -> bool:
        """Whether a place lies in the box."""
        return self._polygon.contains(longitude, latitude)

    def __str__(self) -> str:
        return f"geoBox({self.low}, {self.high})"


Shape: TypeAlias = "GeoBox | GeoCircle | GeoPolygon"


def latitudes(shape: Shape) -> tuple[float, float]:
    """Degrees of latitude between which all places of the shape lie."""
    if isinstance(shape, GeoCircle):
        radius = math.degrees(shape.radius) + _MARGIN
        return shape.center.latitude - radius, shape.center.latitude + radius
    ring = (shape._polygon if isinstance(shape, GeoBox) else shape)._rings[0]
    ranges = [_latitudes(start, stop) for start, stop in ring.edges]
    low = math.degrees(math.asin(max(-1.0, min(low for low, _ in ranges)))) - _MARGIN
    high = math.degrees(math.asin(min(1.0, max(high for _, high in ranges)))) + _MARGIN
    if low < -90 + _NEAR_POLE or ring.contains(Vector(0, 0, -1)):
        low = -90.0
    if high > 90 - _NEAR_POLE or ring.contains(Vector(0, 0, 1)):
        high = 90.0
    return low, high


def longitudes(shape: Shape) -> tuple[tuple[float, float], ...]:
    """Ranges of degrees of longitude in which all places of the shape lie: two if it lies across the antimeridian."""
    low, high = latitudes(shape)
    if low <= -90 + _NEAR_POLE or high >= 90 - _NEAR_POLE:
        return _ALL_LONGITUDES  # around a pole there are all of them
    if isinstance(shape, GeoCircle):
        middle = shape.center.longitude
        reach = math.degrees(
            math.asin(min(1.0, math.sin(shape.radius) / math.cos(math.radians(shape.center.latitude))))
        )
        west, east = middle - reach, middle + reach
    else:
        ring = (shape._polygon if isinstance(shape, GeoBox) else shape)._rings[0]
        west = east = longitude = math.degrees(math.atan2(ring.vertices[0].y, ring.vertices[0].x))
        for start, stop in ring.edges:  # an edge goes the shorter way round
            longitude += math.degrees(
                math.atan2(start.x * stop.y - start.y * stop.x, start.x * stop.x + start.y * stop.y)
            )
            west, east = min(west, longitude), max(east, longitude)
    west, east = west - _MARGIN, east + _MARGIN
    if east - west >= 360:
        return _ALL_LONGITUDES
    if west < -180:
        return (west + 360, 180.0), (-180.0, east)
    if east > 180:
        return (west, 180.0), (-180.0, east - 360)
    return ((west, east),)


_ALL_LONGITUDES: Final = ((-180.0, 180.0),)


class _Ring:
    """The inside of a closed ring."""

    __slots__ = ("edges", "left", "normals", "vertices")

    def __init__(self, points: tuple[GeoPoint, ...]) -> None:
        if len(points) < 4 or points[0] != points[-1]:
            raise QueryArgumentError(
                "a ring needs at least three corners and ends with the place it began with; got "
                + (f"{len(points)} places" if len(points) < 4 else f"{points[0]} … {points[-1]}")
            )
        self.vertices = [point.vector() for point in points[:-1]]
        _check_distinct(points[:-1], self.vertices)
        self.edges = list(pairwise([*self.vertices, self.vertices[0]]))
        _check_edges(self.edges)
        self.normals = [_cross(start, stop) for start, stop in self.edges]
        #: whether the inside is on the left of the edges
        self.left = _area_on_the_left(self.vertices) <= 2 * math.pi

    def contains(self, place: Vector) -> bool:
        """Walks from the place to the middle of an edge and counts the edges on the way.

        An edge whose middle cannot be reached without coming too close to a corner is left for another one.
        """
        for number, (start, stop) in enumerate(self.edges):
            side = _dot(self.normals[number], place)
            if abs(side) < _DOUBTFUL:
                continue
            middle = _unit(Vector(start.x + stop.x, start.y + stop.y, start.z + stop.z))
            crossings = self._crossings(place, middle, number)
            if crossings is not None:
                return ((side > 0) == self.left) == (crossings % 2 == 0)
        return False

    def _crossings(self, place: Vector, middle: Vector, skipped: int) -> int | None:
        """How many edges but that one the way crosses; None if that is in doubt."""
        count = 0
        normal = _cross(place, middle)
        for number, (start, stop) in enumerate(self.edges):
            if number != skipped:
                edge = self.normals[number]
                # what _crossing asks for, by the two normals
                signs = (-_dot(normal, start), -_dot(edge, middle), _dot(normal, stop), _dot(edge, place))
                crossing = _all_alike(signs)
                if crossing is None:
                    return None
                count += crossing
        return count


def _crossing(a: Vector, b: Vector, c: Vector, d: Vector) -> bool | None:
    """Whether the ways a–b and c–d cross; None if one ends too close to the other to tell."""
    return _all_alike((_triple(a, c, b), _triple(c, b, d), _triple(b, d, a), _triple(d, a, c)))


def _all_alike(signs: tuple[float, float, float, float]) -> bool | None:
    """Whether all have the same sign; None if some are too close to zero to tell."""
    low, high = min(signs), max(signs)
    if low < -_DOUBTFUL and high > _DOUBTFUL:
        return False
    return True if low > _DOUBTFUL or high < -_DOUBTFUL else None


def _area_on_the_left(vertices: Sequence[Vector]) -> float:
    """The area that a ring has on its left, 0 to 4π: the signed areas of triangles with the first corner, added."""
    first = vertices[0]
    area = sum(_signed_area(first, second, third) for second, third in pairwise(vertices[1:]))
    return area % (4 * math.pi)


def _signed_area(a: Vector, b: Vector, c: Vector) -> float:
    return 2 * math.atan2(_triple(a, b, c), 1 + _dot(a, b) + _dot(b, c) + _dot(c, a))


# --- what makes a polygon impossible ----------------------------------------------------------------------------------


def _check_distinct(points: Sequence[GeoPoint], vertices: Sequence[Vector]) -> None:
    seen: set[tuple[float, ...]] = set()
    for point, vertex in zip(points, vertices, strict=True):
        place = tuple(round(part, 15) for part in vertex)
        if place in seen:
            raise QueryArgumentError(f"the corner {point} occurs twice in a ring")
        seen.add(place)


def _check_edges(edges: Sequence[tuple[Vector, Vector]]) -> None:
    for start, stop in edges:
        if _dot(start, stop) < -1 + 1e-12:
            raise QueryArgumentError("an edge between opposite points of the earth has no direction; add a corner")
    if _any_crossing(edges):
        raise QueryArgumentError("the edges of a ring cross each other")


def _any_crossing(edges: Iterable[tuple[Vector, Vector]]) -> bool:
    """Whether two of the edges cross: looks, from south to north, only at those that exist at the same latitude."""
    ranges = sorted((*_latitudes(start, stop), start, stop) for start, stop in edges)
    active: list[tuple[float, float, Vector, Vector]] = []
    for current in ranges:
        active = [other for other in active if other[1] >= current[0]]
        if any(_crossing(current[2], current[3], other[2], other[3]) for other in active):
            return True
        active.append(current)
    return False


def _latitudes(start: Vector, stop: Vector) -> tuple[float, float]:
    """The least and the largest z on an edge, which may bulge beyond its ends towards a pole."""
    low, high = sorted((start.z, stop.z))
    normal = _cross(start, stop)
    length = _dot(normal, normal)
    bulge = math.sqrt(max(0.0, 1 - normal.z * normal.z / length)) if length else 1.0
    # the northernmost point of the great circle lies between the ends if these look at it from both sides
    top = Vector(-normal.x * normal.z, -normal.y * normal.z, normal.x * normal.x + normal.y * normal.y)
    if _between(start, stop, normal, top):
        high = max(high, bulge)
    if _between(start, stop, normal, Vector(-top.x, -top.y, -top.z)):
        low = min(low, -bulge)
    return low - 1e-12, high + 1e-12


def _between(start: Vector, stop: Vector, normal: Vector, point: Vector) -> bool:
    return _dot(_cross(start, point), normal) >= 0 and _dot(_cross(point, stop), normal) >= 0


def _check_holes(rings: Sequence[_Ring]) -> None:
    outer, *holes = rings
    if len(rings) > 1 and _any_crossing(edge for ring in rings for edge in ring.edges):
        raise QueryArgumentError("the edges of two rings of a polygon cross each other")
    for number, hole in enumerate(holes):
        for other in rings[: number + 1]:
            shared = set(hole.vertices) & set(other.vertices)
            if len(shared) > 1:
                raise QueryArgumentError("two rings of a polygon share more than one corner")
            corner = next(vertex for vertex in hole.vertices if vertex not in shared)
            if other is outer and not other.contains(corner):
                raise QueryArgumentError("a hole of a polygon lies outside of its outer ring")
            if other is not outer and (
                other.contains(corner)
                or hole.contains(next(vertex for vertex in other.vertices if vertex not in shared))
            ):
                raise QueryArgumentError("a hole of a polygon lies in another hole")
