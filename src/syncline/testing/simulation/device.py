"""A simulated device: a real client file on a fake disk, the client's protocol machine, and what it promised.

The driver does what ``sync/protocol_session.py`` does, without threads: it answers the machine's questions from the
file's history. The device keeps a ledger of the numbers it wrote into an object of its own, which nobody else touches:
what a commit returned must be there for ever, in order and once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from random import Random
from typing import Any, Final, TypeAlias

from syncline.errors import FileError, SynclineError
from syncline.merge.observer import MergeObserver
from syncline.protocol import (
    ClientConnection,
    ClientFileIdent,
    ClientSession,
    ClientSettings,
    DisconnectWanted,
    DownloadReceived,
    IdentReceived,
    SessionConfig,
    SessionError,
    SyncMode,
    TerminationReason,
    UploadWanted,
)
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.storage.reader import Reader
from syncline.testing.disk import Disk, Everything, Survival
from syncline.testing.operations import OperationError, execute
from syncline.testing.simulation.failures import SimulationError
from syncline.testing.simulation.images import DEVICE_FILE, OWN_CLASS, OWN_LIST, own_numbers
from syncline.testing.simulation.reading import Looker, close_dead

__all__ = ["Device"]

Operation: TypeAlias = "Mapping[str, Any]"

#: Unix time of virtual time 0 (nanoseconds); any moment after 2015 will do.
_START_NS: Final = 1_700_000_000_000_000_000

#: Why a connection may end without anything being wrong.
_HARMLESS: Final = (TerminationReason.TRY_AGAIN_LATER, TerminationReason.PONG_TIMEOUT)


class Device:
    """One client process after the other on one disk. ``skew_ms``: how far its clock is ahead."""

    def __init__(self, number: int, disk: Disk, skew_ms: int, delays_uploads: bool, observer: MergeObserver) -> None:
        self.number = number
        self.disk = disk
        self.skew_ms = skew_ms
        #: the file's ident as far as the device was told
        self.file_ident = ClientFileIdent()
        #: numbers in the device's own object whose commit has returned
        self.ledger: list[int] = []
        #: the newest version that a commit returned
        self.version = 0
        #: upload cursor and server version as the server acknowledged them
        self.acknowledged = 0
        self.server_version = 0
        #: uploads written, and changesets in them that had been sent before
        self.sent_again = 0
        self._newest_sent = 0
        self._settings = ClientSettings(upload_activation_delay=delays_uploads)
        self._observer = observer
        self._is_new = True
        self._sessions = 0
        self._clock_ns = _START_NS
        self._in_doubt: int | None = None
        self.start()

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process: open the file, look whether all that was promised is there, bind."""
        self._looker = Looker()
        self.file = RealmFile.open(self.disk.path(DEVICE_FILE), vfs=self.disk.vfs, clock=lambda: self._clock_ns)
        self.history = ClientHistory(self.file, self._observer)
        status = self.history.status()
        self._check_promises(status.current_version, ClientFileIdent(status.file_ident, status.file_salt))
        self.version = status.current_version
        self.file_ident = ClientFileIdent(status.file_ident, status.file_salt)
        self.machine = ClientConnection(SyncMode.PBS, Random(self.number), self._settings)
        self._sessions += 1
        config = SessionConfig("/simulated", self.file_ident, status.progress, status.current_version)
        self.session: ClientSession = self.machine.bind(self._sessions, config)
        self.questions: deque[IdentReceived | UploadWanted] = deque()
        self.downloads: deque[DownloadReceived] = deque()
        self.wants_to_hang_up = False

    def _check_promises(self, version: int, file_ident: ClientFileIdent) -> None:
        if version < self.version:
            raise SimulationError(
                "lost", f"device {self.number}: version {self.version} was committed, {version} is left"
            )
        if self.file_ident.ident and file_ident != self.file_ident:
            raise SimulationError(
                "lost", f"device {self.number}: its ident was {self.file_ident}, now it is {file_ident}"
            )
        if self._is_new:
            self._is_new = False
            return
        with self.reading() as reader:
            found = own_numbers(dump(reader), self.number)
        if self._in_doubt is not None and found == [*self.ledger, self._in_doubt]:
            self.ledger = found
        self._in_doubt = None
        if found != self.ledger:
            raise SimulationError("lost", f"device {self.number} committed {self.ledger}, found {found}")

    def stop(self) -> None:
        """End the process in an orderly way."""
        self.file.close()

    def lose_power(self, survival: Survival) -> None:
        """The process ends where it is, and the disk keeps what survives."""
        self.abandon()
        self.disk.restore(survival)

    def restart_after_crash(self, survival: Survival, recovery_steps: int | None) -> None:
        """Crash, come back, and perhaps crash again while coming back."""
        self.lose_power(survival)
        self.disk.cut_power_after(recovery_steps)
        try:
            self.start()
        except FileError:
            if not self.disk.is_off:
                raise
            self.lose_power(Everything())
            self.start()
        self.disk.cut_power_after(None)

    def abandon(self) -> None:
        """End the process for good."""
        self.disk.silence()
        close_dead(self.file)

    def set_clock(self, now_ms: int) -> None:
        """Set the device's clock: what commits are stamped with. ``now_ms`` includes its skew."""
        self._clock_ns = _START_NS + now_ms * 1_000_000

    def reading(self) -> AbstractContextManager[Reader]:
        """A reader of the newest version."""
        return self._looker.reading(self.file)

    # --- what the application does ----------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The canonical dump of the newest version."""
        with self.reading() as reader:
            return dump(reader)

    def commit(self, operations: Sequence[Operation], own: int | None, lenient: bool) -> None:
        """One transaction; ``own`` goes into the device's own object. ``lenient``: leave out what is not possible.

        Raises SimulationError for a valid operation that fails, FileError for a disk that does.
        """
        self._in_doubt = own
        with self.file.write() as tx:
            if own is not None:
                place = {"class": OWN_CLASS, "obj": {"int": self.number}, "path": [OWN_LIST]}
                execute(tx, {"op": "list_insert", **place, "value": {"int": own}})
            for operation in operations:
                try:
                    with tx.savepoint():
                        execute(tx, operation)
                except FileError:
                    raise
                except (SynclineError, OperationError, LookupError) as error:
                    if not lenient:
                        raise SimulationError("operation", f"{operation} failed: {error!r}") from error
            version = self.file.commit(tx)
        self._in_doubt = None
        if own is not None:
            self.ledger.append(own)
        if version is not None:
            self._made(version)
            self.session.committed(version)

    def checkpoint(self) -> None:
        """Write the write-ahead log back into the file."""
        self.file.writer.connection.wal_checkpoint()

    def _made(self, version: int) -> None:
        self.version = max(self.version, version)

    # --- what the machine wants -------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Take the machine's events; what needs work is done later, by :meth:`work`."""
        for event in self.machine.events():
            if isinstance(event, DisconnectWanted):
                if event.reaction.reason not in _HARMLESS:
                    raise SimulationError("protocol", f"device {self.number} hangs up: {event.message}")
                self.wants_to_hang_up = True
            elif isinstance(event, SessionError):
                raise SimulationError("refused", f"device {self.number}: {event.error.code} {event.error.message}")
            elif isinstance(event, DownloadReceived):
                self.downloads.append(event)
            elif isinstance(event, IdentReceived | UploadWanted):
                self.questions.append(event)

    def answer(self) -> None:
        """Answer the oldest question: store the ident, or say what there is to upload."""
        event = self.questions[0]
        if isinstance(event, IdentReceived):
            self._made(self.history.set_file_ident(*event.file_ident))
            self.file_ident = event.file_ident
            event.session.ident_stored(self.version)
        else:
            entries, cursor = self.history.uploadable(event.cursor)
            self._count_sent([entry.client_version for entry in entries])
            event.session.committed(cursor.client_version)
            event.session.supply_upload(event, entries, cursor)
        self.questions.popleft()
        self.collect()

    def integrate(self, most: int) -> None:
        """Take in what was downloaded, up to ``most`` messages in one transaction."""
        batch = list(self.downloads)[:most]
        last = batch[-1]
        entries = [entry for event in batch for entry in event.entries]
        try:
            version = self.history.integrate(last.progress, entries, last.downloadable_bytes)
        except FileError:
            raise
        except SynclineError as error:
            raise SimulationError("integration", f"device {self.number} cannot integrate: {error!r}") from error
        self._made(self.file.version if version is None else version)
        for _ in batch:
            self.downloads.popleft()
            self.session.integrated(last.progress, self.version)
        self.acknowledged = last.progress.upload.client_version
        self.server_version = last.progress.latest_server_version.version
        self.collect()

    def _count_sent(self, versions: Sequence[int]) -> None:
        self.sent_again += sum(version <= self._newest_sent for version in versions)
        self._newest_sent = max([self._newest_sent, *versions])
