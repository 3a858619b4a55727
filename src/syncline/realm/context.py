"""One open Realm from the inside: its version and its transaction (spec/sdk.md §4, §5).

A :class:`Context` reads either from a snapshot, which stays at one version, or from the write transaction that is open.
Every row that an object keeps carries the ``epoch`` it was read in, results the count of ``changes``
(:class:`~syncline.realm.objects.Moment`).
"""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from syncline.errors import (
    ClosedRealmError,
    IllegalOperationError,
    ObjectTypeMismatchError,
    QueryArgumentError,
    TypeMismatchError,
    WrongThreadError,
    WrongTransactionStateError,
)
from syncline.query.ast import ClassLike, LinkLiteral
from syncline.realm.assigning import Assigner, UpdateMode
from syncline.realm.backlinks import Backlinks
from syncline.realm.by_key import ByKey
from syncline.realm.classes import Classes
from syncline.realm.converters import Converter, describe
from syncline.realm.dictionaries import Dictionary
from syncline.realm.lists import List
from syncline.realm.live import LiveCollection
from syncline.realm.models import Model, ModelMeta
from syncline.realm.objects import ANY_THREAD, Moment
from syncline.realm.observers import Observers
from syncline.realm.schema import PropertyType
from syncline.realm.sets import Set
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.changes import ChangeLog
from syncline.storage.file import FileLease, RealmFile
from syncline.storage.groups import CommitGroup, make_durable
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.snapshot import Snapshot
from syncline.storage.transaction import WriteTransaction
from syncline.values import Key, kinds

if TYPE_CHECKING:
    from syncline.realm.backend import SyncHandle
    from syncline.realm.opening import Admission
    from syncline.realm.realm import Realm

__all__ = ["Context", "Pins"]

#: No version was read yet.
_NOTHING: Final = -1

_COLLECTIONS: Final[dict[int, type[LiveCollection]]] = {
    kinds.LIST_COLLECTION: List,
    kinds.SET_COLLECTION: Set,
    kinds.DICTIONARY_COLLECTION: Dictionary,
}


class Pins:
    """What an open Realm keeps alive: the file, a version of it, a write transaction. Given back once, on any
    thread.
    """

    def __init__(self, lease: FileLease, admission: Admission, snapshot: Snapshot | None = None) -> None:
        self.lease = lease
        self.snapshot = snapshot
        self.tx: WriteTransaction | None = None
        #: called first: whoever could still call the Realm
        self.detach: list[Callable[[], None]] = []
        self.sync: SyncHandle | None = None
        self.admission = admission

    def release(self, by_finalizer: bool = False) -> None:
        """Give everything back; an open write transaction is undone. A finalizer runs in the middle of anything."""
        sync, self.sync = self.sync, None
        if sync is not None:
            if by_finalizer:
                sync.forget()
            else:
                sync.close()
        for detach in self.detach:
            detach()
        self.detach = []
        tx, self.tx = self.tx, None
        if tx is not None:
            self.lease.file.rollback(tx)
        snapshot, self.snapshot = self.snapshot, None
        if snapshot is not None:
            snapshot.release()
        self.lease.close()
        self.admission.end()


class Context(Moment):
    """The state of one Realm handle. ``models`` are its classes by stored name; None: whatever the file has."""

    def __init__(self, realm: Realm, pins: Pins, models: Mapping[str, ModelMeta] | None) -> None:
        """A snapshot among the pins makes it frozen at that version."""
        super().__init__(ANY_THREAD if pins.snapshot is not None else get_ident())
        self.realm = realm
        self.pins = pins
        self.file: RealmFile = pins.lease.file
        self.frozen = pins.snapshot is not None
        #: the version of a frozen Realm, by which its objects differ from live ones
        self.frozen_version = pins.snapshot.version if pins.snapshot is not None else None
        self.lock: threading.RLock = threading.RLock()
        self.classes = Classes(self, models)
        self.observers = Observers(self)
        #: what was committed since observers were last told, oldest first; None: unknown, everything may have changed
        self.pending: list[ChangeLog | None] = []
        #: commits that are stored together, while there are such, and their transactions; who is told when they are,
        #: or why they are not
        self.group: CommitGroup | None = None
        self.grouped: list[WriteTransaction] = []
        self.on_settled: Callable[[BaseException | None], None] = lambda error: None
        self.is_relaxed = False
        #: the version that is read, or was read last; and its classes and properties
        self.seen = _NOTHING
        self.catalogue: Catalogue | None = None
        #: in a migration: assigns primary keys, which never change otherwise
        self.assign_key: Callable[[ClassInfo, int, Key], None] | None = None
        #: in a migration: removes a class with its objects
        self.delete_class: Callable[[str], bool] | None = None
        #: the transaction is somebody else's, who ends it
        self.is_guest = False
        self._idle_lock = self.lock
        self._assigner: Assigner | None = None
        if pins.snapshot is not None:
            self._read_from(pins.snapshot)
        _contexts.add(self)

    # --- checks -------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise WrongThreadError or ClosedRealmError where the Realm cannot be used."""
        if self.thread != get_ident() and not self.frozen:
            raise WrongThreadError(
                f"the Realm {self.file.path} was opened on another thread: open it again on this one, or hand over "
                "frozen objects (realm.freeze())"
            )
        if self.closed:
            raise ClosedRealmError(f"the Realm {self.file.path} was closed; open it again")

    def _checked_reader(self) -> Reader:
        self.check()
        if self._reader is None:
            self._read_from(self.file.snapshot())
        assert self._reader is not None
        return self._reader

    def _checked_writing(self) -> WriteTransaction:
        self.check()
        tx = self.tx
        if tx is None:
            if self.frozen:
                raise WrongTransactionStateError("a frozen Realm does not change; write to realm.thaw()")
            raise WrongTransactionStateError("changes need a write transaction: put them into 'with realm.write():'")
        return tx

    @property
    def version(self) -> int:
        """The version that is read."""
        return self.reader().version

    # --- moving from version to version -------------------------------------------------------------------------------

    def _arrive(self, version: int) -> None:
        """This version is read from now on; remembers for observers what happened since the one before."""
        if version == self.seen:
            return
        if self.seen != _NOTHING and self.observers.any:
            logs = self.file.change_logs(self.seen, version)
            self.pending += [None] if logs is None else logs
        self.seen = version
        self.touch()

    def _read_from(self, snapshot: Snapshot) -> None:
        """Raises InvalidExternalSchemaChangeError: the version stays."""
        try:
            self.classes.follow(snapshot.catalogue)
        except BaseException:
            snapshot.release()
            raise
        previous, self.pins.snapshot = self.pins.snapshot, snapshot
        self._arrive(snapshot.version)
        self._reader, self.lock, self.catalogue = snapshot.reader, snapshot.lock, snapshot.catalogue
        if previous is not None and previous is not snapshot:
            previous.release()

    def is_behind(self) -> bool:
        """Whether a newer version exists."""
        return self.file.version > self.version

    def advance(self) -> bool:
        """Move to the newest version; whether that is another one."""
        self.settle()
        old = self.pins.snapshot
        if old is None:
            self.reader()
            return True
        snapshot = self.file.snapshot()
        if snapshot.version == old.version:
            snapshot.release()
            return False
        self._read_from(snapshot)
        return True

    def start_at(self, snapshot: Snapshot) -> None:
        """Where no version is pinned, this one is read."""
        if self._reader is None:
            self._read_from(snapshot.acquire())

    def invalidate(self) -> None:
        """Let go of the version; the next read takes the newest."""
        self.settle()
        snapshot, self.pins.snapshot = self.pins.snapshot, None
        self._lose_version()
        if snapshot is not None:
            snapshot.release()

    def pinned(self) -> Snapshot:
        """The version that is read, once more. Raises WrongTransactionStateError in a write transaction."""
        if self.tx is not None:
            raise WrongTransactionStateError(
                "what is being written cannot be frozen; freeze before or after the write transaction"
            )
        self.settle()
        self.reader()
        assert self.pins.snapshot is not None
        return self.pins.snapshot.acquire()

    def close(self) -> None:
        """Every later use raises ClosedRealmError."""
        if self.group is not None:
            if self.tx is not None:
                self.rollback()
            self.settle()
        self.closed = True
        self.observers.close()
        self.tx = self._reader = None
        self.touch()
        self.pins.release()

    # --- writing ------------------------------------------------------------------------------------------------------

    def begin(self, timeout: float | None) -> None:
        """Start a write transaction at the newest version.

        Raises WriteTimeoutError, and WrongTransactionStateError where it would wait for its own thread for ever.
        """
        if timeout is None and self._waits_for_itself():
            gc.collect()  # a Realm that was dropped in a write transaction is waited for no longer
            if self._waits_for_itself():
                raise WrongTransactionStateError(
                    f"another Realm of {self.file.path} on this thread is in a write transaction, which cannot end "
                    "while this one waits for it; end that one first, or give a timeout"
                )
        self.adopt(self.file.begin(timeout))

    def _waits_for_itself(self) -> bool:
        """Whether the writer lock is held by another Realm of this thread."""
        writing = _writing.get(self.file)
        other: Context | None = None if writing is None or not self.file.in_write else writing()
        return other is not None and other.tx is not None and other.thread == get_ident()

    def adopt(self, tx: WriteTransaction, *, relaxed: bool = False) -> None:
        """Write in a transaction that was begun for this Realm. ``relaxed``: its commit does not wait for the disk."""
        old = self.pins.snapshot
        self.pins.tx = tx
        _writing[self.file] = weakref.ref(self)
        self.is_relaxed = relaxed
        try:
            self.classes.follow(tx.catalogue)
        except BaseException:
            self.pins.tx = None
            self.file.rollback(tx)
            raise
        try:
            self._arrive(tx.version)
            self.tx, self._reader, self.lock = tx, tx, self._idle_lock
        except BaseException:
            self.tx = self.pins.tx = None
            self._lose_version()
            self.file.rollback(tx)
            raise
        self.pins.snapshot = None
        if old is not None:
            old.release()

    def join(self, tx: WriteTransaction) -> None:
        """Write in a transaction that somebody else has begun and will end, until :meth:`leave`."""
        self.is_guest = True
        _writing[self.file] = weakref.ref(self)
        self._arrive(tx.version)
        self.tx, self._reader, self.lock = tx, tx, self._idle_lock
        self.classes.follow(tx.catalogue)

    def leave(self) -> None:
        """The opposite of :meth:`join`."""
        self.is_guest = False
        self.assign_key = self.delete_class = None
        self.tx = None
        self._lose_version()

    def _check_ends(self) -> None:
        if self.is_guest:
            raise WrongTransactionStateError("this transaction ends with the function; raise an exception to undo it")

    def commit(self, *, waits: bool = True) -> bool:
        """End the write transaction; whether there is a new version. On an error nothing of it is kept.

        It is durable then, unless the transaction is a relaxed one and ``waits`` is False.
        """
        tx = self.writing()
        self._check_ends()
        if self.group is not None:
            is_new = self.commit_in_group()
            self.settle()
            return is_new
        version = tx.version
        self.tx = self.pins.tx = None
        try:
            snapshot = self.file.commit_pinned(tx)
        except BaseException:
            self.classes.undone(tx)
            self._lose_version()
            raise
        self.pins.snapshot, self._reader, self.lock = snapshot, snapshot.reader, snapshot.lock
        self.seen, self.catalogue = snapshot.version, snapshot.catalogue
        if self.observers.any:
            self.pending.append(tx.changes)
        self.classes.follow(snapshot.catalogue)
        if waits and self.is_relaxed:
            make_durable(self.file.path)
        return snapshot.version != version

    def commit_in_group(self) -> bool:
        """End the write transaction as one of a group that is stored by :meth:`settle`; whether it wrote anything."""
        tx = self.writing()
        if self.group is None:
            self.group = CommitGroup(self.file)
        self.grouped.append(tx)
        self.tx = self.pins.tx = None
        try:
            version = self.group.commit(tx)
        except BaseException:
            self.group = None
            self._lose_group()
            raise
        if version is not None:
            tx.version = self.seen = version
            self.catalogue = tx.catalogue
            if self.observers.any:
                self.pending.append(tx.changes)
        return version is not None

    def settle(self) -> None:
        """Store a group of commits, if there is one: others see them now. On an error nothing of it is kept."""
        group, self.group = self.group, None
        if group is None:
            return
        try:
            snapshot = group.finish()
        except BaseException as error:
            self._lose_group()
            self.on_settled(error)
            raise
        self.grouped = []
        self.pins.snapshot, self._reader, self.lock = snapshot, snapshot.reader, snapshot.lock
        self.seen, self.catalogue = snapshot.version, snapshot.catalogue
        self.classes.follow(snapshot.catalogue)
        self.observers.settled(stored=True)
        self.on_settled(None)

    def _lose_group(self) -> None:
        """The commits of a group were not stored: their versions will be others', and observers start from what is."""
        self.seen = _NOTHING
        grouped, self.grouped = self.grouped, []
        for tx in grouped:
            self.classes.undone(tx)
        self.observers.settled(stored=False)
        if self.observers.any:
            self.pending.append(None)
        self._lose_version()

    def rollback(self) -> None:
        """Undo the write transaction."""
        tx = self.writing()
        self._check_ends()
        self.tx = self.pins.tx = None
        self.classes.undone(tx)
        if self.group is not None:
            self.group.rollback(tx)
            self.touch()
            self.settle()
            return
        self._lose_version()
        self.file.rollback(tx)

    def _lose_version(self) -> None:
        """Nothing is pinned now: the next read takes the newest version, which others may have made meanwhile."""
        self._reader = None
        self.lock = self._idle_lock
        self.touch()

    # --- objects ------------------------------------------------------------------------------------------------------

    def object_at(self, reference: ObjectRef) -> Model:
        """The live object of a row."""
        return self.classes.binding(reference.class_id).object_at(reference.object_key)

    def collection(self, reference: CollectionRef) -> LiveCollection:
        """The live collection inside a Mixed value."""
        mixed = PropertyType(kinds.MIXED, nullable=True)
        return self.make_collection(reference, Converter("a Mixed value", mixed))

    def make_collection(self, reference: CollectionRef, converter: Converter) -> LiveCollection:
        """The live collection at ``reference``."""
        return _COLLECTIONS[reference.kind]._make(self, reference, converter)

    def backlinks(self, origin: ClassInfo, prop: PropertyInfo, target: ObjectRef) -> Backlinks[Any]:
        """The objects of the class ``origin`` that link to ``target`` through ``prop``."""
        return Backlinks(self.classes.binding(origin.id), source=(prop, target))

    def reference(self, value: Any, target: str | None, where: str, expected: str = "an object") -> ObjectRef:
        """The row of an object under a link; an unmanaged object or a mapping is added first.

        Raises ObjectTypeMismatchError for an object of another class than ``target``, TypeMismatchError for anything
        else, IllegalOperationError for an object of another Realm, InvalidatedObjectError for one that was deleted.
        """
        if isinstance(value, Model):
            if target is not None and type(value)._info.stored_name != target:
                raise ObjectTypeMismatchError(f"{where}: expected {expected}, got {describe(value)}")
            binding = value._binding
            if binding is None:
                return self.assigner().add(value)
            if binding.context is not self:
                if self.assigner().is_foreign(value):
                    return self.assigner().add_foreign(value)
                raise IllegalOperationError(
                    f"{where}: {value!r} belongs to another Realm; objects do not move between Realms"
                )
            binding.check_valid(value)
            return ObjectRef(binding.info.id, value._key)
        if isinstance(value, ByKey):
            return self.assigner().by_key(value, target)
        if target is not None and isinstance(value, Mapping):
            return self.assigner().add_mapping(target, value)
        raise TypeMismatchError(f"{where}: expected {expected}, got {describe(value)}")

    def refer(self, value: Any, target: ClassLike | None) -> ObjectRef:
        """The row of an object in a query, or that of its numbers. Raises QueryArgumentError for anything else,
        InvalidatedObjectError.
        """
        if isinstance(value, LinkLiteral) and value.class_id is not None:
            return ObjectRef(value.class_id, value.object_key)
        binding = value._binding if isinstance(value, Model) else None
        if binding is None or binding.context.file.path != self.file.path:
            raise QueryArgumentError(
                f"{describe(value)} is no object of this Realm, so nothing can be compared with it"
            )
        if target is not None and binding.info.id != target.id:
            raise QueryArgumentError(f"a link to {target.name} cannot be compared with {describe(value)}")
        binding.check_valid(value)
        return ObjectRef(binding.info.id, value._key)

    # --- assigning ----------------------------------------------------------------------------------------------------

    def assigner(self) -> Assigner:
        """What carries out the running ``create`` or ``add``; outside of one, what assigns a single value."""
        return self._assigner if self._assigner is not None else Assigner(self, UpdateMode.NEVER)

    def assign_with(self, assigner: Assigner | None) -> Assigner | None:
        """Make it what :meth:`assigner` returns; the one before, to be put back."""
        previous, self._assigner = self._assigner, assigner
        return previous


#: Who writes a file, or wrote it last.
_writing: weakref.WeakKeyDictionary[RealmFile, weakref.ref[Context]] = weakref.WeakKeyDictionary()

#: Every open Realm of the process.
_contexts: weakref.WeakSet[Context] = weakref.WeakSet()


def _forget_inherited() -> None:
    """In a forked child no Realm is open: what it inherited is its parent's (spec/sdk.md §12.7)."""
    for context in list(_contexts):
        context.closed = True
        context.tx = context._reader = None
        context.pins.snapshot = context.pins.tx = None
        context.touch()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
