"""Migration: making an old file fit new models, with the application's help (spec/sdk.md §2.4).

::

    def migrate(m):
        if m.old_version < 1:
            for old, new in m.enumerate("Person"):
                new.full_name = f"{old.first} {old.last}"
        if m.old_version < 2:
            m.rename_property("Person", "phone", "telephone")

Everything happens in one write transaction: an exception leaves the file as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from syncline.realm.models import Model

if TYPE_CHECKING:
    from syncline.realm.realm import Realm

__all__ = ["Migration"]


class Migration:
    """What a migration function works with.

    ``old``: the Realm at the version before, with the classes and properties it had; it cannot be written.
    ``new``: the Realm as it will be, open for writing; its objects also have the properties that will be removed, and
    their primary keys can be assigned. Both hand out objects by stored names. ``old_version``, ``new_version``: schema
    versions. Usable until the function returns.
    """

    old: Realm
    new: Realm
    old_version: int
    new_version: int

    def enumerate(self, cls: type[Model] | str) -> Iterator[tuple[Any, Any]]:
        """Pairs of ``(old object, new object)`` of a class, in the order of their creation.

        The old one is None for an object that was created in this migration, the new one for one that was deleted.
        """
        raise LookupError(cls)

    def rename_property(self, cls: type[Model] | str, old_name: str, new_name: str) -> None:
        """Keep the values of a property under another (stored) name.

        Raises MigrationFailedError: no such class or property, types do not agree, the models still have the old name.
        """
        raise LookupError(cls)

    def delete_model(self, cls: type[Model] | str) -> bool:
        """Remove a class with its objects; whether there was one. A class that the models have comes back empty.

        Raises MigrationFailedError while another class of the models links to it.
        """
        raise LookupError(cls)
