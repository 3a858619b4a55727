"""Creating many objects of one class at once: values by column, one statement, one record (spec/changesets.md §9.6).

The same rows and the same changeset as :meth:`.WriteTransaction.create` for one object after the other would give, at a
fraction of the time: a column is checked and encoded in one loop, rows go to SQLite as they are, and the transaction
records one :class:`~syncline.changesets.batches.ObjectBatch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from syncline.changesets.batches import BatchColumn, ObjectBatch
from syncline.errors import LimitExceededError
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import INT_MAX, INT_MIN, MAX_KEY_LO, SqlValue, Value, check_key, encode_scalar
from syncline.storage.transaction import WriteTransaction
from syncline.values import GlobalKey, Key
from syncline.values.kinds import DOUBLE, INT, STRING

__all__ = ["BulkColumn", "create_batch", "find_all"]


class BulkColumn:
    """The values of one property for all objects of a batch, checked and encoded."""

    def __init__(
        self, tx: WriteTransaction, cls: ClassInfo, prop: PropertyInfo, values: list[Value], is_default: bool
    ) -> None:
        """Raises TypeMismatchError, LimitExceededError, InvalidatedObjectError as :meth:`.WriteTransaction.set`."""
        self.prop = prop
        self.kind = prop.type
        self.kinds: list[int] | None = None
        self.values = values
        self.is_default = is_default
        self.cells: list[list[SqlValue]] = []
        if _is_exact(prop, values):
            self.cells.append(_encode_exact(prop.type, values))
        else:
            self._prepare_each(tx, cls)

    def _prepare_each(self, tx: WriteTransaction, cls: ClassInfo) -> None:
        """Values of varying kinds, and those that take several columns."""
        kinds: list[int] = []
        payloads: list[Value] = []
        cells: list[list[SqlValue]] = [[] for _ in self.prop.columns]
        for value in self.values:
            cell, kind, payload = tx.prepare_single(cls, self.prop, value)
            kinds.append(kind)
            payloads.append(cast(Value, payload))
            for place in range(len(cells)):
                cells[place].append(cell[place])
        self.kinds = kinds
        self.values = payloads
        self.cells = cells


def _is_exact(prop: PropertyInfo, values: list[Value]) -> bool:
    """Whether all values are of the type that the property holds in one column as it is."""
    exact = prop.exact_type
    if exact is None:
        return False
    for value in values:  # noqa: SIM110 - a generator would cost more than what it does
        if type(value) is not exact:
            return False
    return True


def _encode_exact(kind: int, values: list[Value]) -> list[SqlValue]:
    if kind == INT:
        for value in values:
            if not INT_MIN <= cast(int, value) <= INT_MAX:
                raise LimitExceededError(f"{cast(int, value)} does not fit into 64 bits")
        return cast("list[SqlValue]", values)
    if kind == DOUBLE:
        for value in values:
            if value != value:
                break
        else:
            return cast("list[SqlValue]", values)
    return [encode_scalar(kind, value) for value in values]


def find_all(tx: WriteTransaction, cls: ClassInfo, keys: Sequence[Key]) -> list[int]:
    """The objects with these primary keys, -1 where there is none, looked up in batches.

    Raises TypeMismatchError and LimitExceededError for what cannot be a key.
    """
    rows = tx.workspace.rows(cls.id)
    key_type = cls.primary_key.type if cls.primary_key is not None else 0
    if key_type == INT and _are_integers(keys):
        for key in (min(keys), max(keys)):  # type: ignore[type-var]
            check_key(cls.name, cls.primary_key, key)
    else:
        for key in keys:
            check_key(cls.name, cls.primary_key, key)
    if key_type in (INT, STRING) and keys and rows.all_are_new(keys):
        return [-1] * len(keys)
    rows.prefetch(keys)
    return [rows.find(key) for key in keys]


def _are_integers(keys: Sequence[Key]) -> bool:
    for key in keys:
        if type(key) is not int:
            return False
    return len(keys) > 0


def create_batch(
    tx: WriteTransaction, cls: ClassInfo, keys: list[Key] | None, count: int, columns: list[BulkColumn]
) -> int:
    """New objects, the object key of the first; the others follow in order.

    ``keys``: their primary keys, all different and none taken (:func:`find_all`); None for a class without. The class
    is neither embedded nor asymmetric and has no tombstones. ``columns`` in the order in which they are to be recorded.
    """
    workspace = tx.workspace
    rows = workspace.rows(cls.id)
    if keys is None:
        if rows.next_key + count - 1 > MAX_KEY_LO:
            raise LimitExceededError(f"class {cls.name!r} has used up its object numbers")
        first_lo = rows.next_key
        keys = [GlobalKey(tx.file_ident, first_lo + place) for place in range(count)]
    cells: dict[int, list[SqlValue]] = {}
    for column in columns:
        slot = column.prop.slot
        for place in range(len(column.cells)):
            cells[slot + place] = column.cells[place]
    workspace.dirty = True
    first = rows.add_many(keys, cells)
    if tx.recorder.enabled:
        recorded = [
            BatchColumn(column.prop.name, column.kind, column.kinds, cast("list[object]", column.values),
                        column.is_default)
            for column in columns
        ]  # fmt: skip
        tx.recorder.instructions.append(ObjectBatch(cls.name, keys, recorded))
    return first
