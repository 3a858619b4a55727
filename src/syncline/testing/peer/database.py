"""One open file of a peer: transactions, what it holds, and what it remembers for sync."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from syncline.changesets.changeset import SyncProgress
from syncline.errors import WrongTransactionStateError
from syncline.storage.dump import content_hash, dump
from syncline.storage.file import FileLease, RealmFile
from syncline.storage.history import ClientHistory, HistoryStatus
from syncline.storage.reader import Reader
from syncline.storage.transaction import WriteTransaction
from syncline.testing.operations import Operation, execute
from syncline.testing.peer.link import Link
from syncline.testing.peer.stream import failure

__all__ = ["Database", "OperationFailed"]

Json: TypeAlias = Any

#: How long a transaction waits for another one of the same file, which this very driver may have begun.
_WRITER_S: Final = 30.0


class OperationFailed(Exception):
    """An operation of a transaction failed; nothing of the transaction was kept."""

    def __init__(self, index: int, cause: Exception) -> None:
        super().__init__(str(cause))
        self.index = index
        self.cause = cause


class Database:
    """A file, opened without a model, and its session if there is one (``link``)."""

    def __init__(self, path: str, encryption_key: bytes | None) -> None:
        """Open or create the file; raises what :meth:`RealmFile.open` raises."""
        self.lease = FileLease(RealmFile.open(path, encryption_key=encryption_key))
        self.link: Link | None = None
        #: the present session, or the last one: what it reported can be asked for after its end
        self.reported: Link | None = None
        self.origin_timestamp = 0
        self._file = self.lease.file
        self._history = ClientHistory(self._file)
        self._tx: WriteTransaction | None = None

    def close(self) -> None:
        """End the session, roll back what was begun, let go of the file."""
        if self.link is not None:
            self.link.close()
            self.link = None
        self._abandon()
        self.lease.close()

    # --- writing ------------------------------------------------------------------------------------------------------

    def transact(
        self, operations: Sequence[Operation], timestamp: int | None, *, notify: bool, skip_errors: bool
    ) -> dict[str, Json]:
        """One transaction: what each operation reports, and the version. Raises OperationFailed."""
        self._begin()
        try:
            results = [self._try(index, operation, skip_errors) for index, operation in enumerate(operations)]
        except BaseException:
            self._abandon()
            raise
        return {"results": results, "version": self._commit(timestamp, notify=notify)}

    def begin(self) -> None:
        """Start a transaction of single operations."""
        self._begin()

    def execute(self, operation: Operation) -> dict[str, Json]:
        """One operation of the running transaction; if it fails, nothing of it is kept."""
        tx = self._running()
        with tx.savepoint():
            return execute(tx, operation)

    def commit(self, timestamp: int | None) -> int:
        """End the running transaction; the version."""
        self._running()
        return self._commit(timestamp, notify=True)

    def rollback(self) -> None:
        """Undo the running transaction."""
        self._running()
        self._abandon()

    def set_ident(self, ident: int, salt: int) -> None:
        """Give a fresh file its client file ident. Raises WrongTransactionStateError for one that has an ident."""
        if self._tx is not None:
            raise WrongTransactionStateError("a transaction is running: commit or roll it back first")
        present = self._history.status().file_ident
        if present:
            raise WrongTransactionStateError(f"the file has the client file ident {present} already")
        self._history.set_file_ident(ident, salt)

    def _begin(self) -> None:
        if self._tx is not None:
            raise WrongTransactionStateError("a transaction is running already: commit or roll it back first")
        self._tx = self._file.begin(_WRITER_S)

    def _running(self) -> WriteTransaction:
        if self._tx is None:
            raise WrongTransactionStateError("no transaction is running: send 'begin' first")
        return self._tx

    def _try(self, index: int, operation: Operation, skip_errors: bool) -> dict[str, Json]:
        tx = self._running()
        try:
            if not skip_errors:
                return execute(tx, operation)
            with tx.savepoint():
                return execute(tx, operation)
        except Exception as error:  # whatever an operation raises, it is told
            if skip_errors:
                return failure(error)
            raise OperationFailed(index, error) from error

    def _commit(self, timestamp: int | None, *, notify: bool) -> int:
        """Commit; without ``notify`` the session hears of it with the next commit that has it, or at ``connect``."""
        tx, self._tx = self._running(), None
        chosen = self.origin_timestamp if timestamp is None else timestamp
        if self.link is not None:
            self.link.announce(notify)
        version = self._file.commit(tx, origin_timestamp=chosen or None)
        if version is None:
            version = tx.version
        if self.link is not None and notify:
            self.link.committed(version)
        return version

    def _abandon(self) -> None:
        tx, self._tx = self._tx, None
        if tx is not None:
            self._file.rollback(tx)

    # --- reading ------------------------------------------------------------------------------------------------------

    def dump(self) -> Json:
        """The canonical dump; inside a transaction with what it has done."""
        return self._read(dump)

    def hash(self) -> str:
        """The content hash of the same."""
        return str(self._read(content_hash))

    def history(self) -> dict[str, Json]:
        """Changesets not yet acknowledged, ident, progress and version, as committed."""
        status = self._history.status()
        return {
            "changesets": list(self._unacknowledged(status)),
            "ident": status.file_ident,
            "progress": _progress_form(status.progress),
            "current_version": status.current_version,
        }

    def _unacknowledged(self, status: HistoryStatus) -> Iterator[dict[str, Json]]:
        cursor = status.progress.upload
        while True:
            entries, after = self._history.uploadable(cursor)
            if after == cursor:
                return
            cursor = after
            for entry in entries:
                yield {
                    "changeset": entry.changeset.hex(),
                    "version": entry.client_version,
                    "last_integrated_remote_version": entry.last_integrated_server_version,
                    "origin_timestamp": entry.origin_timestamp,
                    "origin_file_ident": status.file_ident,
                }

    def _read(self, what: Callable[[Reader], Any]) -> Any:
        with self._reader() as reader:
            return what(reader)

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        if self._tx is not None:
            yield self._tx
            return
        with self._file.snapshot() as snapshot, snapshot.lock:
            yield snapshot.reader


def _progress_form(progress: SyncProgress) -> dict[str, Json]:
    return {name: cursor._asdict() for name, cursor in progress._asdict().items()}
