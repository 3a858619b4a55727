"""What can be asked: trees of queries, their texts, the expression builder, the evaluator (spec/sdk.md §7)."""

from syncline.query.expression import Condition, Expr, all_of, any_of, field
from syncline.query.geometry import GeoBox, GeoCircle, GeoPoint, GeoPolygon, km, miles

__all__ = [
    "Condition",
    "Expr",
    "GeoBox",
    "GeoCircle",
    "GeoPoint",
    "GeoPolygon",
    "all_of",
    "any_of",
    "field",
    "km",
    "miles",
]
