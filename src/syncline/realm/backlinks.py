"""Backlinks: the objects that link to an object (spec/sdk.md §1.13)."""

from __future__ import annotations

from typing import Any, TypeVar

from syncline.realm.declarations import BACKLINKS, Origin
from syncline.realm.models import collection_annotations
from syncline.realm.results import Results

__all__ = ["Backlinks"]

T = TypeVar("T")


class Backlinks(Results[T]):
    """The objects whose property links here: ``owners: Backlinks["Person"] = Backlinks.of("dogs")``.

    Live and read-only :class:`Results`, in the order of the objects' creation; an object that links several times
    occurs several times. An object that is in no Realm has none.
    """

    @staticmethod
    def of(prop: str) -> Any:
        """Declare them: ``prop`` is the property, of the class in the annotation, that links here."""
        return Origin(prop)


collection_annotations[Backlinks] = BACKLINKS
