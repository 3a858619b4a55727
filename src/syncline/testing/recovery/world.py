"""An application's file and the server's state, and a client reset between them, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from syncline.changesets.changeset import SaltedVersion
from syncline.changesets.codec import decode, encode_recorded
from syncline.changesets.instructions import EraseObject, Instruction
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory, LocalChange
from syncline.storage.recovery import Recovery, recover
from syncline.storage.transaction import WriteTransaction
from syncline.storage.transfer import transfer
from syncline.testing.operations import execute_all
from syncline.values import Key

__all__ = ["World"]

Json: TypeAlias = Any

#: Client file idents: of the application's file, of the one that changed the server's state, of the fresh copies.
_OWN: Final = 1
_OTHER: Final = 2
_FRESH: Final = 10


class World:
    """``own``: the application's file; ``fresh``: the server's state as a reset downloads it, which it never changes.

    What :meth:`both` writes is synced. :meth:`local` and :meth:`remote` are transactions of one side.
    """

    def __init__(self) -> None:
        self.own = RealmFile.in_memory()
        self.fresh = RealmFile.in_memory()
        self.history = ClientHistory(self.own)
        self.history.set_file_ident(_OWN, 1)
        ClientHistory(self.fresh).set_file_ident(_OTHER, 2)
        #: own changes up to this version are synced
        self.synced = self.own.version
        self.resets = 0

    def close(self) -> None:
        self.own.close()
        self.fresh.close()

    # --- writing ------------------------------------------------------------------------------------------------------

    def both(self, *operations: Json) -> None:
        """A transaction that both sides have."""
        before = self.own.version
        self.local(*operations)
        for change in self.history.local_changes(before):
            with self.fresh.write() as tx:
                tx.apply(decode(change.changeset))
        self.synced = self.own.version

    def local(self, *operations: Json) -> None:
        """A transaction of the application that the server has not got."""
        with self.own.write() as tx:
            execute_all(tx, operations)

    def local_instructions(self, *instructions: Instruction) -> None:
        """The same for instructions that no operation makes; the file's content stays as it is."""
        with self.own.write() as tx:
            tx.instructions.extend(instructions)

    def remote(self, *operations: Json) -> None:
        """A transaction of others that the application has not got."""
        with self.fresh.write() as tx:
            execute_all(tx, operations)

    def bury(self, table: str, key: Key, *, everywhere: bool = True) -> None:
        """An object is deleted by a third party: the links to it stay, hidden. ``everywhere``: on both sides."""
        for file in (self.fresh, self.own) if everywhere else (self.fresh,):
            with file.write() as tx:
                tx.apply(decode(encode_recorded([EraseObject(table, key)], {})))
        if everywhere:
            self.synced = self.own.version

    # --- resetting ----------------------------------------------------------------------------------------------------

    def unsynced(self) -> list[LocalChange]:
        """The changes that a reset has to recover."""
        return self.history.local_changes(self.synced)

    def recover(self) -> Recovery:
        """A reset that recovers. Raises AutomaticResetError, SchemaError; then nothing has changed."""
        changes = self.unsynced()
        with self._rolled_back() as source, self.own.write() as tx:
            self._take_ident(tx)
            recovery = recover(changes, tx, source)
            source.flush()
            transfer(source, tx)
            self._rewrite(tx, recovery.changesets)
        self.synced = min(recovery.changesets) - 1 if recovery.changesets else self.own.version
        return recovery

    def discard(self) -> None:
        """A reset that discards. Raises SchemaError; then nothing has changed."""
        with self.fresh.reading_alone() as source, self.own.write() as tx:
            self._take_ident(tx)
            transfer(source, tx)
            self._rewrite(tx, {})
        self.synced = self.own.version

    def upload(self) -> None:
        """The server gets the unsynced changes, but the application does not hear of it."""
        for change in self.unsynced():
            with self.fresh.write() as tx:
                tx.apply(decode(change.changeset))

    def uploaded_state(self) -> Json:
        """The server's state as it will be when the unsynced changes have been uploaded."""
        with self._rolled_back() as tx:
            for change in self.unsynced():
                tx.apply(decode(change.changeset))
            return dump(tx)

    def _take_ident(self, tx: WriteTransaction) -> None:
        tx.recording = False
        self.resets += 1
        self.history.set_file_ident_in(tx, _FRESH + self.resets, 3)

    def _rewrite(self, tx: WriteTransaction, recovered: dict[int, bytes]) -> None:
        version = SaltedVersion(100 * self.resets, 4)
        self.history.rewrite_in(tx, ident=_FRESH + self.resets, salt=3, server_version=version, recovered=recovered)

    @contextmanager
    def _rolled_back(self) -> Iterator[WriteTransaction]:
        tx = self.fresh.begin()
        try:
            yield tx
        finally:
            self.fresh.rollback(tx)

    # --- looking ------------------------------------------------------------------------------------------------------

    @property
    def own_state(self) -> Json:
        """The canonical dump of the application's file."""
        return state_of(self.own)

    @property
    def fresh_state(self) -> Json:
        """The canonical dump of the server's state."""
        return state_of(self.fresh)


def state_of(file: RealmFile) -> Json:
    """The canonical dump of a file."""
    with file.snapshot() as snapshot, snapshot.lock:
        return dump(snapshot.reader)
