"""The change log: what a commit changed, as observers need it (spec/sdk.md §9.8, §13.8).

One per commit, stored as ``rlm_commit.log``. It names objects by class id and object key, properties by id; object keys
are never reused, so a key that is in ``inserted`` of one commit is in no earlier one. What happened to objects that the
same commit created is not listed: they are new as a whole. Indexes of lists are visible ones (spec/changesets.md §9.5).
"""

from __future__ import annotations

import json
from typing import Final, TypeAlias, cast

from syncline.errors import FileError

__all__ = [
    "DICT_CLEAR",
    "DICT_ERASE",
    "DICT_SET",
    "LIST_CLEAR",
    "LIST_ERASE",
    "LIST_INSERT",
    "LIST_MOVE",
    "LIST_SET",
    "UNKNOWN",
    "ChangeLog",
    "DictOperation",
    "ListOperation",
]

LIST_INSERT: Final = 0
LIST_SET: Final = 1
LIST_ERASE: Final = 2
LIST_MOVE: Final = 3
#: all elements removed; the first number is how many there were
LIST_CLEAR: Final = 4
DICT_SET: Final = 0
DICT_ERASE: Final = 1
DICT_CLEAR: Final = 2
#: too much happened to list it: compare the old and the new collection
UNKNOWN: Final = 9

#: Operations kept for one collection in one commit.
_OPERATIONS_MAX: Final = 10_000

#: (operation, index, second index of a move or 0); one UNKNOWN, anywhere, voids all
ListOperation: TypeAlias = "tuple[int, int, int]"
#: (operation, key)
DictOperation: TypeAlias = "tuple[int, str]"


class ChangeLog:
    """What one commit (or, merged, several) changed.

    ``inserted``: class id → ranges of object keys (first, stop). ``deleted``: class id → object keys. ``modified``:
    property id → keys of the objects in which it changed, collections and everything inside a Mixed included. ``lists``
    and ``dicts``: operations by (property id, owner), for collections inside a Mixed (0, node). Of a set only that it
    was cleared is listed, in ``dicts``: its order follows from its members.
    """

    def __init__(self) -> None:
        self.schema = False
        self.inserted: dict[int, list[tuple[int, int]]] = {}
        self.deleted: dict[int, set[int]] = {}
        self.modified: dict[int, set[int]] = {}
        self.lists: dict[tuple[int, int], list[ListOperation]] = {}
        self.dicts: dict[tuple[int, int], list[DictOperation]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing an observer could see has changed."""
        return not (self.schema or self.inserted or self.deleted or self.modified or self.lists or self.dicts)

    def note_modified(self, property_id: int, k: int) -> None:
        """The property of that object was written."""
        keys = self.modified.get(property_id)
        if keys is None:
            self.modified[property_id] = {k}
        else:
            keys.add(k)

    def note_deleted(self, class_id: int, k: int) -> None:
        """The object is gone."""
        keys = self.deleted.get(class_id)
        if keys is None:
            self.deleted[class_id] = {k}
        else:
            keys.add(k)

    def note_list(self, property_id: int, owner: int, operation: int, index: int, second: int = 0) -> None:
        """A list was changed at visible indexes."""
        place = (property_id, owner)
        operations = self.lists.get(place)
        if operations is None:
            self.lists[place] = [(operation, index, second)]
        elif len(operations) < _OPERATIONS_MAX:
            operations.append((operation, index, second))
        elif operations[0][0] != UNKNOWN:
            operations.insert(0, (UNKNOWN, 0, 0))

    def note_dict(self, property_id: int, owner: int, operation: int, key: str) -> None:
        """A dictionary was changed."""
        place = (property_id, owner)
        operations = self.dicts.get(place)
        if operations is None:
            self.dicts[place] = [(operation, key)]
        elif len(operations) < _OPERATIONS_MAX:
            operations.append((operation, key))
        elif operations[0][0] != UNKNOWN:
            operations.insert(0, (UNKNOWN, ""))

    def merge(self, later: ChangeLog) -> None:
        """Append what happened after this log."""
        self.schema = self.schema or later.schema
        for class_id, ranges in later.inserted.items():
            self.inserted.setdefault(class_id, []).extend(ranges)
        for class_id, keys in later.deleted.items():
            self.deleted.setdefault(class_id, set()).update(keys)
        for property_id, keys in later.modified.items():
            self.modified.setdefault(property_id, set()).update(keys)
        for place, list_operations in later.lists.items():
            self.lists.setdefault(place, []).extend(list_operations)
        for place, dict_operations in later.dicts.items():
            self.dicts.setdefault(place, []).extend(dict_operations)

    def encode(self) -> bytes:
        """Compact JSON: the form of ``rlm_commit.log``. Zero bytes for an empty log."""
        if self.is_empty:
            return b""
        return json.dumps(
            {
                "schema": self.schema,
                "inserted": {str(id): ranges for id, ranges in self.inserted.items()},
                "deleted": {str(id): sorted(keys) for id, keys in self.deleted.items()},
                "modified": {str(id): sorted(keys) for id, keys in self.modified.items()},
                "lists": [[*place, _bounded(operations)] for place, operations in self.lists.items()],
                "dicts": [[*place, _bounded(operations)] for place, operations in self.dicts.items()],
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> ChangeLog:
        """Read what :meth:`encode` wrote. Raises FileError for anything else."""
        log = cls()
        if not data:
            return log
        try:
            form = json.loads(data)
            log.schema = bool(form["schema"])
            log.inserted = {int(id): [(int(a), int(b)) for a, b in ranges] for id, ranges in form["inserted"].items()}
            log.deleted = {int(id): {int(k) for k in keys} for id, keys in form["deleted"].items()}
            log.modified = {int(id): {int(k) for k in keys} for id, keys in form["modified"].items()}
            log.lists = {(int(p), int(o)): [(int(x), int(a), int(b)) for x, a, b in ops] for p, o, ops in form["lists"]}
            log.dicts = {(int(p), int(o)): [(int(x), str(key)) for x, key in ops] for p, o, ops in form["dicts"]}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise FileError(f"a change log of the file is damaged: {error}") from error
        return log


def _bounded(operations: list[ListOperation] | list[DictOperation]) -> list[ListOperation] | list[DictOperation]:
    """The operations, or only the word that there were too many."""
    if len(operations) > _OPERATIONS_MAX:
        last = operations[0][1]
        return cast("list[ListOperation]", [(UNKNOWN, 0, 0)]) if isinstance(last, int) else [(UNKNOWN, "")]
    return operations
