"""What a Realm takes in and gives out in bulk: many objects, documents, tables, copies (spec/sdk.md §6.3, §12.7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from syncline.realm import bulk
from syncline.realm.assigning import UpdateMode
from syncline.realm.bulk import Progress
from syncline.realm.models import Model

if TYPE_CHECKING:
    from syncline.realm.context import Context

__all__ = ["RealmExchange"]

M = TypeVar("M", bound=Model)


class RealmExchange:
    """The part of :class:`~syncline.Realm` that takes in and copies objects."""

    _context: Context

    def add_all(
        self,
        objects: Iterable[Model],
        *,
        update: UpdateMode = UpdateMode.NEVER,
        progress: Progress | None = None,
    ) -> int:
        """:meth:`~syncline.Realm.add` for each, many at once; how many were given.

        Calls ``progress(done)`` every few thousand objects. Raises what ``add`` raises; those before are written then,
        until the transaction is rolled back.
        """
        context = self._context
        context.writing()
        return bulk.add_all(context, objects, update, progress)

    def create_many(
        self,
        cls: type[Model] | str,
        values: Iterable[Mapping[str, Any]],
        *,
        update: UpdateMode = UpdateMode.NEVER,
        ignore_unknown: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """:meth:`~syncline.Realm.create` for each mapping, many times faster; how many objects were written.

        ::

            realm.create_many(Reading, ({"id": n, "value": value} for n, value in enumerate(values)))

        The file and its history are the same as after one ``create`` each. Under a link may also stand the primary key
        of an object that exists. ``values`` is read as it goes, in batches. Names that the class does not have raise
        InvalidPropertyError, or are left out with ``ignore_unknown``. ``progress(done)`` is called every few thousand
        objects. Raises what ``create`` raises; objects before the wrong one are written then, until the transaction is
        rolled back. Raises InvalidatedObjectError for the key of an object that does not exist.
        """
        context = self._context
        context.writing()
        return bulk.BulkWriter(context, context.classes.of(cls), update, ignore_unknown).write(values, progress)
