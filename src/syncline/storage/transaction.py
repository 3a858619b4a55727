"""WriteTransaction: everything that can change, recorded as it happens (spec/changesets.md §9), and applying (§10).

A write goes into a buffer, its instruction into :attr:`instructions`, its notification into :attr:`changes`; rows reach
SQLite in batches (:meth:`flush`). An operation that raises leaves nothing behind: values are checked before anything is
touched. The owner of the connection (``RealmFile``) begins and ends the SQLite transaction::

    tx = WriteTransaction(connection, catalogue, version, file_ident=7)
    ann, _ = tx.create(person, "Ann")
    tx.set(person, ann, age, 30)
    tx.finish()                       # before COMMIT: buffers, counters, tombstones, asymmetric objects
    tx.instructions, tx.embedded_classes, tx.changes
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import apsw

from syncline.changesets.changeset import Changeset
from syncline.storage.catalogue import NOT_INDEXED, Catalogue, ClassInfo, PropertyInfo
from syncline.storage.reader import Reader, Value
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import Key
from syncline.values.kinds import SINGLE_COLLECTION, TOP_LEVEL

if TYPE_CHECKING:
    from syncline.changesets.instructions import Instruction
    from syncline.storage.changes import ChangeLog

__all__ = ["WriteTransaction"]


class WriteTransaction(Reader):
    """An open write transaction on one connection. Reading sees what was written.

    ``recording`` off: operations change rows and the change log but leave no instruction (client reset, migrations of
    local files). ``file_ident`` is the high part of new GlobalKeys, 0 while the file has none. ``keep_asymmetric``:
    objects of asymmetric classes survive the commit (a server's state).
    """

    #: what was recorded, in order
    instructions: list[Instruction]
    #: names of the embedded classes inside which instructions act, by instruction number (for ``encode_recorded``)
    embedded_classes: dict[int, str]
    #: what observers need to know
    changes: ChangeLog
    #: the catalogue now differs from the one the transaction began with: views have to be made anew
    schema_changed: bool
    recording: bool
    file_ident: int

    def __init__(
        self,
        connection: apsw.Connection,
        catalogue: Catalogue,
        version: int,
        *,
        file_ident: int = 0,
        recording: bool = True,
        keep_asymmetric: bool = False,
    ) -> None: ...

    # --- the transaction ----------------------------------------------------------------------------------------------

    @property
    def is_dirty(self) -> bool:
        """Whether anything was written, so that a commit makes a version.

        Only what went through this object counts; statements on :attr:`connection` are their owner's to count.
        """
        ...

    def flush(self) -> None:
        """Write all buffers to SQLite. Raises TransactionError after a failed :meth:`apply` that was not rolled back."""
        ...

    def finish(self) -> None:
        """Everything that must happen before COMMIT: empties asymmetric classes, drops tombstones without links, counters."""
        ...

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part that can fail alone: an exception undoes rows, buffers, instructions, changes and schema, and goes on up."""
        ...

    # --- schema -------------------------------------------------------------------------------------------------------

    def add_class(
        self,
        name: str,
        *,
        kind: int = TOP_LEVEL,
        primary_key: str | None = None,
        key_type: int = 0,
        key_nullable: bool = False,
    ) -> ClassInfo:
        """Create a class; one that exists and agrees is returned as it is, without instruction.

        Raises SchemaError: it exists with another kind or key, the name is empty or too long, the key's type is no key
        type, or an embedded class was given a key.
        """
        ...

    def add_property(
        self,
        cls: ClassInfo,
        name: str,
        type: int,
        *,
        nullable: bool = False,
        collection: int = SINGLE_COLLECTION,
        target: str | None = None,
        indexed: int = NOT_INDEXED,
    ) -> PropertyInfo:
        """Create a property; one that exists and agrees is returned as it is. Existing objects get zero or null.

        Nullability is what spec/sdk.md §1.2 says, whatever was given, where it leaves no choice. The ClassInfo of ``cls``
        is replaced: take the new one from :attr:`catalogue`. Raises SchemaError.
        """
        ...

    def erase_property(self, cls: ClassInfo, prop: PropertyInfo) -> None:
        """Remove a property with its values. Raises SchemaError for the primary key."""
        ...

    def erase_class(self, cls: ClassInfo) -> None:
        """Remove a class with its objects. Raises SchemaError while another class links to it."""
        ...

    def set_index(self, cls: ClassInfo, prop: PropertyInfo, indexed: int) -> None:
        """Add or remove an index; never recorded (spec/sdk.md §1.5)."""
        ...

    # --- objects ------------------------------------------------------------------------------------------------------

    def create(
        self, cls: ClassInfo, key: Key = None, values: Sequence[tuple[PropertyInfo, Value, bool]] = ()
    ) -> tuple[int, bool]:
        """The object with this primary key, created if need be, and whether it was created.

        ``values``: (property, value, is default) set after the creation, in property order; collections and embedded
        objects are set afterwards. A class without primary key takes no ``key`` and gets a new GlobalKey. Re-creating
        what others still link to brings those links back (spec/changesets.md §9.4). Raises TypeMismatchError,
        ValueRangeError, PrimaryKeyError (null for a key that must not be) and SchemaError (embedded class).
        """
        ...

    def erase(self, cls: ClassInfo, k: int) -> None:
        """Delete an object; links to it are removed first, each with its instruction (spec/changesets.md §9.3).

        An embedded object may be deleted too: its owner's link is removed. Raises InvalidObjectError.
        """
        ...

    def erase_many(self, cls: ClassInfo, keys: Iterable[int]) -> None:
        """Delete objects in ascending order of their keys (spec/changesets.md §9.2, *delete a query result*)."""
        ...

    def clear_class(self, cls: ClassInfo) -> None:
        """Delete all objects of a class (spec/changesets.md §9.2)."""
        ...

    # --- properties ---------------------------------------------------------------------------------------------------

    def set(self, cls: ClassInfo, k: int, prop: PropertyInfo, value: Value, is_default: bool = False) -> None:
        """Set a property that is neither a collection nor the primary key.

        None empties (an embedded object there is deleted, a collection in a Mixed too). Embedded objects and collections
        in a Mixed come into being with :meth:`set_embedded` and :meth:`set_collection`. Raises TypeMismatchError,
        ValueRangeError, InvalidObjectError (the object or the target does not exist), PrimaryKeyError.
        """
        ...

    def add_integer(self, cls: ClassInfo, k: int, prop: PropertyInfo, value: int) -> None:
        """Add to an integer (also one in a Mixed), modulo 2**64. Raises TypeMismatchError if there is none."""
        ...

    def set_embedded(self, cls: ClassInfo, k: int, prop: PropertyInfo, is_default: bool = False) -> ObjectRef:
        """A new embedded object in a property, instead of the one that may be there."""
        ...

    def set_collection(
        self, cls: ClassInfo, k: int, prop: PropertyInfo, collection: int, is_default: bool = False
    ) -> CollectionRef:
        """Make a Mixed property a list or dictionary; one of that kind stays with its content (spec/changesets.md §9.2)."""
        ...

    # --- lists --------------------------------------------------------------------------------------------------------

    def list_insert(self, ref: CollectionRef, index: int, value: Value) -> None:
        """Insert before the visible index; the size appends. Raises IndexError, TypeMismatchError, ValueRangeError."""
        ...

    def list_insert_embedded(self, ref: CollectionRef, index: int) -> ObjectRef:
        """Insert a new embedded object."""
        ...

    def list_insert_collection(self, ref: CollectionRef, index: int, collection: int) -> CollectionRef:
        """Insert an empty list or dictionary into a list of Mixed."""
        ...

    def list_set(self, ref: CollectionRef, index: int, value: Value) -> None:
        """Replace the element at the visible index."""
        ...

    def list_set_embedded(self, ref: CollectionRef, index: int) -> ObjectRef:
        """Replace the embedded object at the index by a new one."""
        ...

    def list_set_collection(self, ref: CollectionRef, index: int, collection: int) -> CollectionRef:
        """Make the element of a list of Mixed a list or dictionary; one of that kind stays with its content."""
        ...

    def list_extend(self, ref: CollectionRef, values: Iterable[Value]) -> None:
        """Append each value."""
        ...

    def list_erase(self, ref: CollectionRef, index: int) -> None:
        """Remove the element at the visible index; an embedded object there is deleted."""
        ...

    def list_erase_range(self, ref: CollectionRef, start: int, stop: int) -> None:
        """Remove elements ``start`` … ``stop`` - 1, the last one first."""
        ...

    def list_move(self, ref: CollectionRef, source: int, target: int) -> None:
        """Move an element so that its index becomes ``target``; onto itself does nothing."""
        ...

    def list_swap(self, ref: CollectionRef, first: int, second: int) -> None:
        """Exchange two elements (recorded as one or two moves, spec/changesets.md §9.2)."""
        ...

    def list_clear(self, ref: CollectionRef) -> None:
        """Remove all elements, hidden ones too; an empty list property records nothing."""
        ...

    # --- sets ---------------------------------------------------------------------------------------------------------

    def set_insert(self, ref: CollectionRef, value: Value) -> bool:
        """Add a member; False if an equal one was there."""
        ...

    def set_erase(self, ref: CollectionRef, value: Value) -> bool:
        """Remove a member; False if there was none."""
        ...

    def set_clear(self, ref: CollectionRef) -> None:
        """Remove all members."""
        ...

    # --- dictionaries -------------------------------------------------------------------------------------------------

    def dict_set(self, ref: CollectionRef, key: str, value: Value) -> bool:
        """Create or replace an entry; whether it was created. Raises ValueRangeError for a forbidden key (spec/sdk.md §1.6)."""
        ...

    def dict_set_embedded(self, ref: CollectionRef, key: str) -> ObjectRef:
        """A new embedded object under the key, instead of the one that may be there."""
        ...

    def dict_set_collection(self, ref: CollectionRef, key: str, collection: int) -> CollectionRef:
        """Make the entry of a dictionary of Mixed a list or dictionary; one of that kind stays with its content."""
        ...

    def dict_erase(self, ref: CollectionRef, key: str) -> bool:
        """Remove an entry; False if there was none."""
        ...

    def dict_clear(self, ref: CollectionRef) -> None:
        """Remove all entries."""
        ...

    # --- changesets ---------------------------------------------------------------------------------------------------

    def apply(self, changeset: Changeset) -> None:
        """Carry out a changeset that was made elsewhere, without recording (spec/changesets.md §10).

        Raises BadChangesetError, which names the instruction. Part of it may have been done then: the transaction must be
        rolled back, whole or to a :meth:`savepoint`; :meth:`flush` refuses until then.
        """
        ...

    def apply_all(self, changesets: Sequence[Changeset]) -> None:
        """:meth:`apply` for each, cheaper than one by one."""
        ...
