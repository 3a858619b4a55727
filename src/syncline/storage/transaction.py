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
from typing import Final, cast

import apsw

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    AddColumn,
    AddInteger,
    AddTable,
    CreateObject,
    EraseColumn,
    EraseTable,
    Instruction,
    Update,
)
from syncline.collector import COLLECTOR_PAUSED
from syncline.errors import (
    IllegalOperationError,
    LimitExceededError,
    ModifyPrimaryKeyError,
    SchemaError,
    TypeMismatchError,
)
from syncline.storage import evolution
from syncline.storage.apply import Applier
from syncline.storage.catalogue import NOT_INDEXED, Catalogue, ClassInfo, PropertyInfo
from syncline.storage.changes import ChangeLog
from syncline.storage.collection_writer import CollectionWriter, Prepared
from syncline.storage.columns import INT_MAX, INT_MIN, INT_TAG, MAX_KEY_LO, Value, check_key, encode, encode_scalar
from syncline.storage.deletion import clear_class, erase_embedded, erase_objects, record_revival
from syncline.storage.links import drop_lonely_tombstones, revive
from syncline.storage.recording import Recorder
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.rows import ClassRows
from syncline.storage.schema import nullability
from syncline.storage.tables import missing
from syncline.storage.workspace import Workspace
from syncline.values import GlobalKey, Key, Link
from syncline.values.kinds import (
    DICTIONARY,
    DICTIONARY_COLLECTION,
    GLOBAL_KEY,
    INT,
    LINK,
    LIST,
    LIST_COLLECTION,
    MIXED,
    NULL,
    OBJECT,
    SINGLE_COLLECTION,
    STRING,
    TOP_LEVEL,
)

__all__ = ["WriteTransaction"]

_WRAP: Final = 1 << 64


class WriteTransaction(CollectionWriter):
    """An open write transaction on one connection. Reading sees what was written.

    ``recording`` off: operations change rows and the change log but leave no instruction (client reset, migrations of
    local files). ``file_ident`` is the high part of new GlobalKeys, 0 while the file has none. ``keep_asymmetric``:
    objects of asymmetric classes survive the commit (a server's state).
    """

    def __init__(
        self,
        connection: apsw.Connection,
        catalogue: Catalogue,
        version: int,
        *,
        file_ident: int = 0,
        recording: bool = True,
        keep_asymmetric: bool = False,
    ) -> None:
        self.workspace = Workspace(connection, catalogue)
        self.recorder = Recorder(self.workspace, recording)
        self._connect(self.workspace, version)
        self.file_ident = file_ident
        self.keep_asymmetric = keep_asymmetric
        self._savepoints = 0

    # --- the transaction --------------------------------------------------------------------------------------------

    @property
    def instructions(self) -> list[Instruction]:
        """What was recorded, in order."""
        return self.recorder.instructions

    @property
    def embedded_classes(self) -> dict[int, str]:
        """Names of the embedded classes inside which instructions act, by instruction (for ``encode_recorded``)."""
        return self.recorder.embedded_classes

    @property
    def changes(self) -> ChangeLog:
        """What observers need to know; complete after :meth:`finish`."""
        return self.workspace.changes

    @property
    def schema_changed(self) -> bool:
        """Whether the catalogue differs from the one the transaction began with, so that views have to be made anew."""
        return self.workspace.schema_changed

    @property
    def recording(self) -> bool:
        """Whether operations leave instructions; may be switched inside a transaction."""
        return self.recorder.enabled

    @recording.setter
    def recording(self, enabled: bool) -> None:
        self.recorder.enabled = enabled

    @property
    def is_dirty(self) -> bool:
        """Whether anything was written or recorded, so that a commit makes a version.

        What leaves the rows as they are may still be recorded: making a list of a Mixed that is one already. Only what
        went through this object counts; statements on :attr:`connection` are their owner's to count.
        """
        return self.workspace.dirty or bool(self.instructions)

    def flush(self) -> None:
        """Write all buffers to SQLite.

        Raises WrongTransactionStateError after a failed :meth:`apply` not rolled back.
        """
        self.workspace.flush()

    def finish(self) -> None:
        """What must happen before COMMIT: counters, asymmetric classes emptied, tombstones without links forgotten."""
        workspace = self.workspace
        workspace.flush()
        if not self.keep_asymmetric:
            for class_id in workspace.asymmetric:
                info = workspace.catalogue.by_id.get(class_id)
                if info is not None:
                    workspace.drop(
                        [(class_id, cast(int, row[0])) for row in workspace.query(f"SELECT k FROM {info.table}")]
                    )
        if workspace.suspects:
            drop_lonely_tombstones(workspace)
        workspace.finish()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part that can fail alone: an exception undoes rows, instructions, changes and schema, and goes on up."""
        workspace = self.workspace
        mark = workspace.mark()
        size = len(self.recorder.instructions)
        self._savepoints += 1
        name = f"syncline_{self._savepoints}"
        self.connection.execute(f"SAVEPOINT {name}")
        try:
            yield
            workspace.keep(mark)
        except BaseException:
            self.connection.execute(f"ROLLBACK TO {name}")
            self.connection.execute(f"RELEASE {name}")
            workspace.restore(mark)
            self.recorder.truncate(size)
            raise
        self.connection.execute(f"RELEASE {name}")

    # --- schema -----------------------------------------------------------------------------------------------------

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
        if primary_key is None:
            primary_key, key_type, key_nullable = "", GLOBAL_KEY, False
        elif key_type == GLOBAL_KEY:
            raise SchemaError(f"class {name!r}: a primary key is int, string, objectId or uuid")
        info, created = evolution.add_class(self.workspace, name, kind, primary_key, key_type, key_nullable)
        if created:
            self._record(AddTable(name, kind, primary_key, key_type, key_nullable))
        return info

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

        Nullability is what spec/sdk.md §1.2 says, whatever was given, where it leaves no choice. The ClassInfo of
        ``cls`` is replaced: take the new one from :attr:`catalogue`. Raises SchemaError.
        """
        workspace = self.workspace
        existing = workspace.info(cls.id).properties.get(name)
        if existing is not None and existing.nullable != nullability(type, collection, nullable):
            raise SchemaError(f"property {cls.name}.{name} exists with another nullability, which cannot change")
        prop, created = evolution.add_property(workspace, cls, name, type, nullable, collection, target, indexed)
        if created:
            key_type = STRING if collection == DICTIONARY_COLLECTION else 0
            self._record(AddColumn(cls.name, name, type, prop.nullable, collection, target or "", key_type))
        return prop

    def erase_property(self, cls: ClassInfo, prop: PropertyInfo) -> None:
        """Remove a property with its values. Raises SchemaError for the primary key."""
        evolution.erase_property(self.workspace, cls, prop)
        self.recorder.forget_places()
        self._record(EraseColumn(cls.name, prop.name))

    def erase_class(self, cls: ClassInfo) -> None:
        """Remove a class with its objects. Raises SchemaError while another class links to it."""
        evolution.erase_class(self.workspace, cls, False)
        self.recorder.forget_places()
        self._record(EraseTable(cls.name))

    def set_index(self, cls: ClassInfo, prop: PropertyInfo, indexed: int) -> None:
        """Add or remove an index; never recorded (spec/sdk.md §1.5). Raises SchemaError."""
        evolution.set_index(self.workspace, cls, prop, indexed)

    def _record(self, instruction: Instruction) -> None:
        if self.recorder.enabled:
            self.recorder.instructions.append(instruction)

    # --- objects ----------------------------------------------------------------------------------------------------

    def create(
        self, cls: ClassInfo, key: Key = None, values: Sequence[tuple[PropertyInfo, Value, bool]] = ()
    ) -> tuple[int, bool]:
        """The object with this primary key, created if need be, and whether it was created.

        ``values``: (property, value, is default) set after the creation, in the given order, which should be that of
        the properties; collections and embedded objects are set afterwards. A class without primary key takes no
        ``key`` and gets a new GlobalKey. Re-creating what others still link to brings those links back
        (spec/changesets.md §9.4).

        Raises TypeMismatchError, LimitExceededError, InvalidatedObjectError (a linked object does not exist) and
        SchemaError (embedded class).
        """
        workspace = self.workspace
        rows = workspace.rows(cls.id)
        info = rows.info
        if info.keyless and key is None:
            key = GlobalKey(self.file_ident, self._next_lo(rows))
            k = -1
        else:
            if info.embedded:
                raise SchemaError(f"objects of the embedded class {info.name!r} live inside others: create them there")
            check_key(info.name, info.primary_key, key)
            k = rows.find(key)
        prepared = [self.prepare_single(cls, prop, value) for prop, value, _ in values] if values else []
        created = k < 0
        if created:
            k = workspace.create(info, key)
            if self.recorder.enabled:
                self.recorder.instructions.append(CreateObject(info.name, key))
        for (prop, _, is_default), value in zip(values, prepared, strict=True):
            self._write(rows, k, workspace.current(cls, prop), value, is_default)
        if created and workspace.has_tombstones(info.id):
            places = revive(workspace, info, key, k)
            if self.recorder.enabled:
                record_revival(workspace, self.recorder, Link(info.name, key), places)
        return k, created

    def _next_lo(self, rows: ClassRows) -> int:
        """The low part of a new GlobalKey: the row's own number (spec/sdk.md §13.12)."""
        if rows.next_key > MAX_KEY_LO:
            raise LimitExceededError(f"class {rows.info.name!r} has used up its object numbers")
        return rows.next_key

    def erase(self, cls: ClassInfo, k: int) -> None:
        """Delete an object; links to it are removed first, each with its instruction (spec/changesets.md §9.3).

        An embedded object may be deleted too: its owner's link is removed. Raises InvalidatedObjectError.
        """
        self.erase_many(cls, (k,))

    def erase_many(self, cls: ClassInfo, keys: Iterable[int]) -> None:
        """Delete objects in ascending order of their keys (spec/changesets.md §9.2, *delete a query result*).

        Raises InvalidatedObjectError if one does not exist.
        """
        workspace = self.workspace
        rows = workspace.rows(cls.id)
        info = rows.info
        ordered = sorted(set(keys))
        if not info.embedded and len(ordered) > 1:
            rows.prefetch_numbers(ordered)
        for k in ordered:
            if not workspace.exists(info, k):
                raise missing(info, k)
        if not info.embedded:
            erase_objects(workspace, self.recorder, info, ordered)
            return
        for k in ordered:
            if workspace.exists(info, k):  # it may have gone with one before
                erase_embedded(workspace, self.recorder, info, k)

    def clear_class(self, cls: ClassInfo) -> None:
        """Delete all objects of a class (spec/changesets.md §9.2)."""
        if cls.embedded:
            self.erase_many(cls, self.keys(cls))
        else:
            clear_class(self.workspace, self.recorder, self.workspace.rows(cls.id).info)

    # --- properties -------------------------------------------------------------------------------------------------

    def set(self, cls: ClassInfo, k: int, prop: PropertyInfo, value: Value, is_default: bool = False) -> None:
        """Set a property that is neither a collection nor the primary key.

        None empties (an embedded object there is deleted, a collection in a Mixed too). Embedded objects and
        collections in a Mixed come into being with :meth:`set_embedded` and :meth:`set_collection`. Raises
        TypeMismatchError, LimitExceededError, InvalidatedObjectError (the object or the target does not exist) and
        ModifyPrimaryKeyError.
        """
        rows = self.workspace.rows(cls.id)
        if rows.info is not cls:
            prop = self.workspace.current(cls, prop)
        prepared = self.prepare_single(cls, prop, value)
        if not rows.exists(k):
            raise missing(cls, k)
        self._write(rows, k, prop, prepared, is_default)

    def prepare_single(self, cls: ClassInfo, prop: PropertyInfo, value: Value) -> Prepared:
        """Check a value for a property as :meth:`set` does: its cell, its kind, and what is recorded of it."""
        if type(value) is prop.exact_type:  # most of all values
            return (encode_scalar(prop.type, value),), prop.type, value
        if prop.collection != SINGLE_COLLECTION:
            raise TypeMismatchError(f"{cls.name}.{prop.name} is a collection: change its elements")
        if prop.is_primary_key:
            raise ModifyPrimaryKeyError(f"{cls.name}.{prop.name} is the primary key and never changes")
        if value is None:
            return encode(prop, NULL, None) if prop.type != LINK else (None,), NULL, None
        return self._prepare(prop, prop, value)

    def _write(self, rows: ClassRows, k: int, prop: PropertyInfo, value: Prepared, is_default: bool) -> None:
        """Record and store a checked value in an object that exists."""
        cell, kind, payload = value
        recorder = self.recorder
        info = rows.info
        if recorder.enabled and not (
            # the default null of a link that is null; the original drops it for other links too, and diverges
            is_default and kind == NULL and prop.type == LINK and rows.cell(k, prop) == (None,)
        ):
            if info.embedded:
                place = recorder.property_address(info, k, prop)
                recorder.add(Update(place.table, place.key, place.field, place.path, kind, payload, is_default), place)
            else:
                recorder.instructions.append(
                    Update(info.name, rows.key_of(k), prop.name, (), kind, payload, is_default)
                )
        if prop.plain:
            row = rows.new.get(k)
            if row is not None:
                row[prop.slot] = cell[0]
                return
        self.workspace.set_cell(rows, k, prop, cell)

    def add_integer(self, cls: ClassInfo, k: int, prop: PropertyInfo, value: int) -> None:
        """Add to an integer (also one in a Mixed), modulo 2**64. Raises IllegalOperationError if there is none."""
        workspace = self.workspace
        prop = workspace.current(cls, prop)
        rows = workspace.rows(cls.id)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeMismatchError(f"only an int can be added to {cls.name}.{prop.name}")
        if not INT_MIN <= value <= INT_MAX:
            raise LimitExceededError(f"{value} does not fit into 64 bits")
        if prop.is_primary_key:
            raise ModifyPrimaryKeyError(f"{cls.name}.{prop.name} is the primary key and never changes")
        if prop.collection != SINGLE_COLLECTION or prop.type not in (INT, MIXED):
            raise TypeMismatchError(f"{cls.name}.{prop.name} is no integer")
        cell = rows.cell(k, prop)
        mixed = prop.type == MIXED
        number = cell[1] if mixed and cell[0] == INT_TAG else None if mixed else cell[0]
        if number is None:
            raise IllegalOperationError(f"{cls.name}.{prop.name} holds no integer to add to")
        if self.recorder.enabled:
            place = self.recorder.property_address(rows.info, k, prop)
            self.recorder.add(AddInteger(place.table, place.key, place.field, place.path, value), place)
        workspace.set_cell(rows, k, prop, encode(prop, INT, wrapped(cast(int, number) + value)))

    def set_embedded(self, cls: ClassInfo, k: int, prop: PropertyInfo, is_default: bool = False) -> ObjectRef:
        """A new embedded object in a property, instead of the one that may be there."""
        workspace = self.workspace
        prop = workspace.current(cls, prop)
        rows = workspace.rows(cls.id)
        if prop.collection != SINGLE_COLLECTION or not prop.embedded:
            raise TypeMismatchError(f"{cls.name}.{prop.name} does not hold an embedded object of its own")
        if self.recorder.enabled:
            self.recorder.property_address(rows.info, k, prop)  # refuses before anything is done
        if rows.cell(k, prop)[0] is not None:
            self._write(rows, k, prop, ((None,), NULL, None), False)
        child = workspace.create_embedded(cls.id, k, prop)
        self._write(rows, k, prop, ((child,), OBJECT, None), is_default)
        return ObjectRef(prop.target_id, child)

    def set_collection(
        self, cls: ClassInfo, k: int, prop: PropertyInfo, collection: int, is_default: bool = False
    ) -> CollectionRef:
        """Make a Mixed property a list or dictionary; one of that kind stays with its content."""
        workspace = self.workspace
        prop = workspace.current(cls, prop)
        rows = workspace.rows(cls.id)
        if prop.collection != SINGLE_COLLECTION:
            raise TypeMismatchError(f"{cls.name}.{prop.name} is a collection: change its elements")
        self._check_mixed(prop, collection)
        kind = LIST if collection == LIST_COLLECTION else DICTIONARY
        place = self.recorder.property_address(rows.info, k, prop) if self.recorder.enabled else None
        existing = self.get(rows.info, k, prop)
        if place is not None:
            recorded = Update(place.table, place.key, place.field, place.path, kind, None, is_default)
            self.recorder.add(recorded, place)
        if isinstance(existing, CollectionRef) and existing.kind == collection:
            return existing
        cell = workspace.create_node(collection, cls.id, k, prop.id, 0)
        workspace.set_cell(rows, k, prop, cell)
        return CollectionRef(collection, 0, cast(int, cell[1]))

    # --- changesets -------------------------------------------------------------------------------------------------

    def apply(self, changeset: Changeset) -> None:
        """Carry out a changeset that was made elsewhere, without recording (spec/changesets.md §10).

        Raises BadChangesetError, which names the instruction. Part of it may have been done then: the transaction must
        be rolled back, whole or to a :meth:`savepoint`; :meth:`flush` refuses until then.
        """
        self.apply_all((changeset,))

    def apply_all(self, changesets: Sequence[Changeset]) -> None:
        """:meth:`apply` for each, cheaper than one by one."""
        applier = Applier(self.workspace, self.file_ident)
        with COLLECTOR_PAUSED:
            applier.prefetch(changesets)
            for changeset in changesets:
                applier.apply(changeset)
        self.recorder.forget_places()


def wrapped(number: int) -> int:
    """The number modulo 2**64, as a signed one."""
    number %= _WRAP
    return number - _WRAP if number > INT_MAX else number
