"""How concurrent changes meet: pairwise rules, the driver, the reciprocal step. Pure; compiled where possible."""

from syncline.merge.explain import ANY_KEY, Explanation, explain
from syncline.merge.footprint import Footprint
from syncline.merge.integration import History, WindowEntry, integrate
from syncline.merge.observer import MergeObserver
from syncline.merge.schema import Schema
from syncline.merge.transform import transform

__all__ = [
    "ANY_KEY",
    "Explanation",
    "Footprint",
    "History",
    "MergeObserver",
    "Schema",
    "WindowEntry",
    "explain",
    "integrate",
    "transform",
]
