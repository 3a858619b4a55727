"""LiveObject: what objects of models are made of (spec/sdk.md §6). Compiled, as every read of a property comes here."""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import mypyc_attr

from syncline.storage.row_shape import ValueRow

__all__ = ["DELETED", "NO_KEY", "UNREAD", "Columns", "LiveObject"]

#: The epoch of an object whose row was never read, and of one that was deleted through this handle: such an object
#: stays invalid even if the transaction is rolled back (spec/sdk.md §5.1).
UNREAD: Final = -1
DELETED: Final = -2

#: No object has this key.
NO_KEY: Final = -1


@mypyc_attr(allow_interpreted_subclasses=True)
class LiveObject:
    """The state of an object of a model class.

    ``_binding``: the ClassObjects it is one of, None for an unmanaged object. ``_values``: of an unmanaged object what
    was assigned, of a managed one its live collections. ``_defaults``: of an unmanaged object the defaults made for it.
    ``_key``, ``_epoch``, ``_row``: of a managed object its row's key, and its values at an epoch. ``_columns``: the
    :class:`Columns` of its row, None if that has all.
    """

    __slots__ = ("_binding", "_columns", "_defaults", "_epoch", "_key", "_row", "_values")

    _binding: Any
    _columns: Any
    _defaults: Any
    _epoch: int
    _key: int
    _row: ValueRow
    _values: Any


class Columns:
    """The columns that a loop's rows were read with, and those that it turns out to need.

    ``places``: by slot, where the value is in a row; 0, where the key is, if it was not read. ``asked``: by slot,
    whether some object of the loop was asked for it.
    """

    def __init__(self, places: list[int], asked: list[bool]) -> None:
        self.places = places
        self.asked = asked

    def place(self, slot: int) -> int:
        """Where the value is that somebody asks for; 0 if it was not read."""
        self.asked[slot] = True
        return self.places[slot]
