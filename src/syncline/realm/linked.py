"""The objects that a live collection of links holds: as results, and to delete (spec/sdk.md §1.12)."""

from __future__ import annotations

from typing import Any

from syncline.errors import IllegalOperationError, QueryError
from syncline.realm.deleting import delete
from syncline.realm.live import LiveCollection
from syncline.realm.results import Results
from syncline.values import kinds

__all__ = ["delete_objects", "results_of"]


def results_of(collection: LiveCollection) -> Results[Any]:
    """The objects in a list, set or dictionary of objects, each as often and in the order that it occurs there.

    Raises QueryError for a collection of anything else, or inside a Mixed value.
    """
    if collection._converter.kind != kinds.LINK or not collection._reference.property_id:
        raise QueryError(f"{collection._converter.where}: only {_plural(collection)} of objects can be queried")
    binding = collection._context.classes.binding(collection._place.target_id)
    return Results(binding, source=(collection._place, collection._reference))


def delete_objects(collection: LiveCollection) -> None:
    """Delete the objects in the collection from the Realm, and with them its elements; a dictionary keeps its keys.

    Raises IllegalOperationError for a collection of anything else.
    """
    collection._write()
    if collection._converter.kind != kinds.LINK:
        raise IllegalOperationError(
            f"{collection._converter.where}: only {_plural(collection)} of objects can delete; use clear() for values"
        )
    delete(collection._context, list(results_of(collection)))


def _plural(collection: LiveCollection) -> str:
    return {kinds.LIST_COLLECTION: "lists", kinds.SET_COLLECTION: "sets"}.get(
        collection._reference.kind, "dictionaries"
    )
