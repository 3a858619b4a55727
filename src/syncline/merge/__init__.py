"""How concurrent changes meet: pairwise rules, the driver, the reciprocal step. Pure; compiled where possible."""

from syncline.merge.footprint import Footprint
from syncline.merge.integration import History, WindowEntry, integrate
from syncline.merge.observer import MergeObserver
from syncline.merge.schema import Schema
from syncline.merge.transform import transform

__all__ = ["Footprint", "History", "MergeObserver", "Schema", "WindowEntry", "integrate", "transform"]
