"""Shapes on the sphere (spec/sdk.md §7.10)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline import GeoBox, GeoCircle, GeoPoint, GeoPolygon, QueryArgumentError, km, miles
from syncline.query.geometry import MAX_VERTICES, latitudes, longitudes, to_vector

SQUARE = [(0, 0), (10, 0), (10, 10), (0, 10), (0, 0)]


def test_boxes_have_geodesic_edges() -> None:
    box = GeoBox((-10, 50), (10, 60))
    assert box.contains(0, 55)
    assert not box.contains(11, 55)
    assert not box.contains(0, 65)
    # the edges bend towards the pole: the southern one leaves out what a parallel would hold, the northern adds
    assert not box.contains(0, 50.2)
    assert box.contains(0, 60.2)


def test_boxes_across_the_date_line_and_the_pole() -> None:
    box = GeoBox((170, -10), (-170, 10))
    assert box.contains(180, 0)
    assert box.contains(-175, 5)
    assert not box.contains(0, 0)
    cap = GeoPolygon([(0, 80), (90, 80), (180, 80), (-90, 80), (0, 80)])
    assert cap.contains(45, 89)
    assert cap.contains(0, 90)
    assert not cap.contains(45, 70)
    assert not cap.contains(0, -90)


@pytest.mark.parametrize("ring", [SQUARE, SQUARE[::-1]], ids=["left", "right"])
def test_either_direction_means_the_smaller_side(ring: Any) -> None:
    polygon = GeoPolygon(ring)
    assert polygon.contains(5, 5)
    assert not polygon.contains(15, 5)
    assert not polygon.contains(-175, -5)


def test_concave_rings_and_holes() -> None:
    shape = GeoPolygon([(0, 0), (10, 0), (10, 10), (5, 2), (0, 10), (0, 0)], [(1, 1), (2, 1), (1, 2), (1, 1)])
    assert shape.contains(8, 2)
    assert shape.contains(1, 6)
    assert not shape.contains(5, 6)
    assert not shape.contains(1.2, 1.2)
    assert shape.contains(3, 1)


def test_circles() -> None:
    circle = GeoCircle((10, 50), km(100))
    assert circle.contains(10, 50.89)
    assert not circle.contains(10, 50.91)
    assert circle.contains(10, 50)
    assert GeoCircle((0, 90), 0.1).contains(77, 85)
    assert GeoCircle((0, 0), 4).contains(180, 0)
    assert GeoCircle((0, 0), 0).contains(0, 0)
    assert km(6378.1) == miles(3963.16760121) == 1.0


WRONG: list[tuple[Any, str]] = [
    (lambda: GeoPoint(181, 0), "181 is no longitude"),
    (lambda: GeoPoint(0, 90.1), "90.1 is no latitude"),
    (lambda: GeoPoint(math.nan, 0), "nan is no longitude"),
    (lambda: GeoPoint(True, 0), "True is no longitude"),
    (lambda: GeoCircle((0,), 1), "is no place"),
    (lambda: GeoCircle("ab", 1), "is no place"),
    (lambda: GeoCircle((0, 0), -1), "at least 0, not -1"),
    (lambda: GeoCircle((0, 0), math.inf), "at least 0, not inf"),
    (lambda: GeoBox((0, 0), (0, 1)), "two opposite corners"),
    (lambda: GeoPolygon([(0, 0), (1, 0), (0, 0)]), "at least three corners .* got 3 places"),
    (lambda: GeoPolygon([(0, 0), (1, 0), (1, 1), (0, 1)]), "ends with the place it began with"),
    (lambda: GeoPolygon([(0, 0), (1, 0), (0, 0), (0, 1), (0, 0)]), "occurs twice"),
    (lambda: GeoPolygon([(180, 0), (170, 5), (-180, 0), (170, -5), (180, 0)]), "occurs twice"),
    (lambda: GeoPolygon([(0, 0), (180, 0), (90, 45), (0, 0)]), "opposite points of the earth"),
    (lambda: GeoPolygon([(0, 0), (10, 10), (10, 0), (0, 10), (0, 0)]), "edges of a ring cross"),
    (lambda: GeoPolygon(SQUARE, [(20, 20), (21, 20), (20, 21), (20, 20)]), "outside of its outer ring"),
    (lambda: GeoPolygon(SQUARE, [(5, 5), (15, 5), (5, 6), (5, 5)]), "edges of two rings of a polygon cross"),
    (
        lambda: GeoPolygon(SQUARE, [(1, 1), (8, 1), (1, 8), (1, 1)], [(2, 2), (3, 2), (2, 3), (2, 2)]),
        "lies in another hole",
    ),
    (
        lambda: GeoPolygon(SQUARE, [(2, 2), (3, 2), (2, 3), (2, 2)], [(1, 1), (8, 1), (1, 8), (1, 1)]),
        "lies in another hole",
    ),
    (lambda: GeoPolygon(SQUARE, [(0, 0), (10, 10), (5, 6), (0, 0)]), "share more than one corner"),
    (lambda: GeoPolygon([(0, 0)] * (MAX_VERTICES + 1)), "at most 10000 corners"),
]


@pytest.mark.parametrize(("make", "reason"), WRONG, ids=[reason for _, reason in WRONG])
def test_shapes_that_cannot_be(make: Any, reason: str) -> None:
    with pytest.raises(QueryArgumentError, match=reason):
        make()


def test_a_hole_may_touch_the_ring_in_one_corner() -> None:
    shape = GeoPolygon(SQUARE, [(0, 0), (5, 2), (2, 5), (0, 0)])
    assert not shape.contains(2, 2)
    assert shape.contains(8, 8)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-179, 179), st.floats(-80, 80), st.integers(3, 12), st.floats(0.01, 1.0), st.floats(-180, 180),
    st.floats(-90, 90),
)  # fmt: skip
def test_a_regular_polygon_lies_between_its_two_circles(
    longitude: float, latitude: float, corners: int, radius: float, x: float, y: float
) -> None:
    points = [around(longitude, latitude, radius, 2 * math.pi * n / corners) for n in range(corners)]
    polygon = GeoPolygon([*points, points[0]])
    center, place = to_vector(longitude, latitude), to_vector(x, y)
    distance = math.acos(max(-1.0, min(1.0, sum(a * b for a, b in zip(center, place, strict=True)))))
    inner = math.atan(math.tan(radius) * math.cos(math.pi / corners))
    if distance < inner * 0.999:
        assert polygon.contains(x, y)
    if distance > radius * 1.001:
        assert not polygon.contains(x, y)


def around(longitude: float, latitude: float, radius: float, bearing: float) -> tuple[float, float]:
    """The place at a distance in radians, in the direction of ``bearing``."""
    lat = math.radians(latitude)
    y = math.asin(math.sin(lat) * math.cos(radius) + math.cos(lat) * math.sin(radius) * math.cos(bearing))
    x = math.radians(longitude) + math.atan2(
        math.sin(bearing) * math.sin(radius) * math.cos(lat), math.cos(radius) - math.sin(lat) * math.sin(y)
    )
    return (math.degrees(x) + 540) % 360 - 180, math.degrees(y)


PLACES = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


@settings(max_examples=60, deadline=None)
@given(st.lists(PLACES, min_size=3, max_size=3), st.floats(0, 3.2), PLACES)
def test_a_shape_lies_between_its_degrees(corners: list[Any], radius: float, place: tuple[float, float]) -> None:
    shapes: list[Any] = [GeoCircle(corners[0], radius)]
    for make in (lambda: GeoBox(*corners[:2]), lambda: GeoPolygon([*corners, corners[0]])):
        try:
            shapes.append(make())
        except QueryArgumentError:  # these corners make none
            continue
    for shape in shapes:
        low, high = latitudes(shape)
        ranges = longitudes(shape)
        assert all(-180 <= west <= east <= 180 for west, east in ranges)
        for longitude, latitude in (place, *corners, (0.0, 90.0), (0.0, -90.0)):
            inside = low <= latitude <= high and any(west <= longitude <= east for west, east in ranges)
            assert inside or not shape.contains(longitude, latitude)


def test_shapes_lie_between_longitudes() -> None:
    def rounded(shape: Any) -> list[tuple[float, float]]:
        return [(round(west, 3), round(east, 3)) for west, east in longitudes(shape)]

    assert rounded(GeoBox((10, 20), (30, 40))) == [(10, 30)]
    assert rounded(GeoBox((170, -10), (-170, 10))) == [(170, 180), (-180, -170)]
    assert rounded(GeoBox((-170, -10), (170, 10))) == [(170, 180), (-180, -170)]
    assert rounded(GeoCircle((0, 60), math.radians(1))) == [(-2.0, 2.0)]
    assert rounded(GeoCircle((-179, 0), math.radians(2))) == [(179, 180), (-180, -177)]
    assert rounded(GeoCircle((179, 0), math.radians(2))) == [(177, 180), (-180, -179)]
    assert rounded(GeoCircle((5, 89), math.radians(2))) == [(-180, 180)]
    assert rounded(GeoCircle((5, 0), 2)) == [(-180, 180)]
    assert rounded(GeoPolygon([(0, 80), (90, 80), (180, 80), (-90, 80), (0, 80)])) == [(-180, 180)]
