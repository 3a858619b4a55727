"""GEOWITHIN in SQL: which places lie in a shape (spec/sdk.md §7.10, §13.6).

The shape itself is decided by a function in Python. What SQL compares first lets few places through to it: the degrees
of latitude and longitude between which all of the shape lies, also across the antimeridian and around a pole.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from syncline.query.geometry import Shape, latitudes, longitudes
from syncline.storage.catalogue import ClassInfo
from syncline.storage.query_leaves import Sql

__all__ = ["place_test"]


def place_test(point: ClassInfo, link: str, shape: Shape, alias: Callable[[], str]) -> Sql:
    """Whether the object of the embedded class ``point`` that ``link`` leads to is a place in the shape.

    ``alias`` gives names that were not used before.
    """
    coordinates = point.properties["coordinates"].table
    assert coordinates is not None
    row, x, y = alias(), alias(), alias()
    low, high = latitudes(shape)
    ranges = longitudes(shape)
    between = " OR ".join([f"{x}.v BETWEEN ? AND ?"] * len(ranges))
    text = (
        f"EXISTS (SELECT 1 FROM {coordinates.name} {y} JOIN {coordinates.name} {x} ON {x}.o = {y}.o AND {x}.i = 0 "
        f"JOIN {point.table} {row} ON {row}.k = {y}.o "
        f"WHERE {y}.o = {link} AND {y}.i = 1 AND {y}.v BETWEEN ? AND ? AND ({between}) "
        f"AND typeof({x}.v) = 'real' AND typeof({y}.v) = 'real' "
        f"AND lower({row}.{point.properties['type'].columns[0]}) = 'point' AND rlm_within(?, {x}.v, {y}.v))"
    )
    bounds = (max(low, -90.0), min(high, 90.0), *(degrees for pair in ranges for degrees in pair))
    return Sql(text, (*bounds, apsw.pyobject(shape)))
