"""GEOWITHIN in SQL finds what the evaluator says, also among what is no point (spec/sdk.md §7.10)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.query.test_random_queries import check

from syncline import EmbeddedModel, GeoBox, GeoCircle, GeoPolygon, List, Model, Realm, RealmConfiguration, km

SHAPES = [
    GeoBox((9.0, 49.0), (11.0, 51.0)),
    GeoBox((170.0, -10.0), (-170.0, 10.0)),
    GeoCircle((10.0, 50.0), km(200)),
    GeoCircle((0.0, 89.0), km(500)),
    GeoPolygon([(0.0, 80.0), (120.0, 80.0), (-120.0, 80.0), (0.0, 80.0)]),
    GeoPolygon(
        [(0.0, 0.0), (20.0, 0.0), (20.0, 60.0), (0.0, 60.0), (0.0, 0.0)],
        [(5.0, 5.0), (15.0, 5.0), (15.0, 15.0), (5.0, 15.0), (5.0, 5.0)],
    ),
]


class Place(EmbeddedModel):
    type: str | None
    coordinates: List[float | None]


class Town(Model):
    at: Place | None
    places: List[Place]
    twin: "Town | None"  # noqa: UP037


def points() -> list[dict[str, Any] | None]:
    grid = [[float(x), float(y)] for x in (-180, 0, 10, 175) for y in (-90, -5, 10, 50, 60, 85, 90)]
    odd: list[list[Any]] = [
        [],
        [10.0],
        [10.0, 50.0, 7.0],
        [None, 50.0],
        [10.0, None],
        [math.nan, 50.0],
        [10.0, math.nan],
    ]
    wrong = [[200.0, 50.0], [10.0, 95.0], [math.inf, 50.0]]
    kinds = ["POINT", "Polygon", None, "point\0"]
    return [
        *({"type": "Point", "coordinates": each} for each in [*grid, *odd, *wrong]),
        *({"type": kind, "coordinates": [10.0, 50.0]} for kind in kinds),
        None,
    ]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_same_are_found(shape: Any) -> None:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Town, Place])) as realm:
        with realm.write():
            last = None
            for point in points():
                last = realm.create(Town, {"at": point, "twin": last, "places": [p for p in (point, point) if p]})
        for text in ("at", "twin.at", "places", "@links.Town.twin.at"):
            results = realm.objects(Town).filter(f"{text} GEOWITHIN $0", shape)
            assert results.explain().evaluator is None
            check(results)
            check(realm.objects(Town).filter(f"NOT {text} GEOWITHIN $0", shape))
        assert len(realm.objects(Town).filter("at GEOWITHIN $0", shape)) > 0
