"""Live collections whose values come to something: smallest, largest, sum, average (spec/sdk.md §7.6, §8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncline.query.ast import Aggregation
from syncline.realm.linked import results_of
from syncline.realm.live import LiveCollection
from syncline.realm.summaries import check_summary, loaded_summary
from syncline.storage import query_run
from syncline.storage.connection import translating

if TYPE_CHECKING:
    from syncline.query.expression import Expr

__all__ = ["SummarizedCollection"]


class SummarizedCollection(LiveCollection):
    """The part of live lists, sets and dictionaries that computes one value of many."""

    def min(self, prop: str | Expr | None = None) -> Any:
        """The smallest value; of a collection of objects that of a property. See :meth:`Results.min`."""
        return self._summary(Aggregation.MIN, prop)

    def max(self, prop: str | Expr | None = None) -> Any:
        """The largest value; of a collection of objects that of a property. See :meth:`Results.max`."""
        return self._summary(Aggregation.MAX, prop)

    def sum(self, prop: str | Expr | None = None) -> Any:
        """The sum of the values; of a collection of objects that of a property. See :meth:`Results.sum`."""
        return self._summary(Aggregation.SUM, prop)

    def average(self, prop: str | Expr | None = None) -> Any:
        """The average of the values; of a collection of objects that of a property. See :meth:`Results.average`."""
        return self._summary(Aggregation.AVG, prop)

    def _summary(self, function: Aggregation, prop: str | Expr | None) -> Any:
        reader = self._read()
        if prop is not None:
            return results_of(self)._summary(function, prop)
        check_summary(function, self._converter)
        with self._context.lock, translating(self._context.file.path):
            reader.flush()
            stored = query_run.summarize_collection(reader, self._reference, self._place, function)
        return loaded_summary(function, stored, self._converter, self._context)
