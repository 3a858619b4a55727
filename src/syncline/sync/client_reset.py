"""The automatic client reset: the server refuses the file, so its content is rebased onto the server's state
(spec/sessions.md §12).

::

    step                     on                  what an interruption leaves
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    1 stop the session       event loop          the old file; the server refuses it again
    2 download a fresh copy  fresh_copy.py       … and a fresh copy to go on with
    3 before_client_reset    thread of its own   the same
    4 note the attempt       commit 1            … and the record of it (reset_tracking.py)
    5 transfer, new ident    commit 2            the new file, which syncs; the record until the server has everything
    6 after_client_reset     the same thread     the same; *after* is not called any more
    7 delete the fresh copy  the same thread     the same; the copy goes with the record
    8 new protocol session   event loop

Nothing is sent between 1 and 8: *before* returns before anything changes, *after* before the server hears of the new
identity. A step that fails makes it a manual reset: the error goes to the application (§12.8). So does a file that was
synced with another Realm: the server refuses it for the same reason, but its changes are not meant for this one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from syncline.errors import AutomaticResetError, ClosedRealmError, SynclineError
from syncline.protocol.errors import Status
from syncline.storage.history import ClientHistory
from syncline.storage.recovery import Recovery, recover
from syncline.storage.system import FIRST_VERSION
from syncline.storage.transfer import transfer
from syncline.sync import reset_tracking
from syncline.sync.fresh_copy import FreshCopy, has_leftover, remove_leftover
from syncline.sync.reset_report import write_report
from syncline.sync.session_errors import RESET_ACTIONS, Failure, FileActionKind
from syncline.sync.states import ClientResetMode
from syncline.sync.waits import Wait, WaitKind

if TYPE_CHECKING:
    from syncline.realm import Realm
    from syncline.storage.file import RealmFile
    from syncline.storage.transaction import WriteTransaction
    from syncline.sync.configuration import SyncConfiguration
    from syncline.sync.metadata import MetadataStore
    from syncline.sync.progress import ProgressValues
    from syncline.sync.session_core import SessionCore

__all__ = ["Acknowledgement", "ClientReset", "ResetStep", "is_automatic"]

logger = logging.getLogger("syncline.sync.reset")


class ResetStep(Enum):
    """How far a reset is, in words."""

    DOWNLOADING = "downloading a fresh copy"
    BEFORE = "before_client_reset"
    WRITING = "rewriting the file"
    AFTER = "after_client_reset"


def is_automatic(failure: Failure, configuration: SyncConfiguration) -> bool:
    """Whether the session answers ``failure`` with a client reset of its own."""
    return (
        failure.action in RESET_ACTIONS
        and failure.status is not Status.AUTO_CLIENT_RESET_FAILED
        and configuration.client_reset_mode is not ClientResetMode.MANUAL
        and not configuration.flexible
    )


class ClientReset:
    """One reset of one session: :meth:`start`, then :meth:`SessionCore.reset_ended` on the event loop, in any case."""

    def __init__(self, core: SessionCore, failure: Failure, number: int) -> None:
        """``failure``: the server's; ``number``: of the fresh copy's session among all of this process."""
        self._core = core
        self._failure = failure
        self._configuration = core.configuration
        self._client = core.manager.client
        self._fresh = FreshCopy(core, number, self._downloaded)
        self._is_stopped = False
        self._on_finished: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="syncline-reset", daemon=True)
        self.mode = core.configuration.client_reset_mode
        self.cause = failure.message
        self.since = time.time()
        self.step = ResetStep.DOWNLOADING

    @property
    def downloaded(self) -> ProgressValues | None:
        """How much of the fresh copy is here; None before the server has said how much there is."""
        return self._fresh.progress.current

    def start(self) -> None:
        """Begin, on the event loop."""
        logger.warning("%s: client reset: %s", self._core.path, self.cause)
        try:
            self._check_realm()
        except (SynclineError, OSError) as error:
            self._core.reset_ended(self, error)
            return
        self._fresh.start()

    def _check_realm(self) -> None:
        """Raises AutomaticResetError for a file of another Realm: what is unsynced in it was not written for this."""
        own, wanted = self._core.history.realm, self._configuration.bind_path
        if own not in (None, wanted):
            raise AutomaticResetError(f"the file was synced with the Realm {own!r}, not with {wanted!r}")

    def stop(self) -> None:
        """The session became inactive; what is being written already is written to the end. On the event loop."""
        self._is_stopped = True
        self._fresh.stop()
        if self._thread.ident is not None:
            self._client.ending[self._core.path] = self

    def call_when_finished(self, call: Callable[[], None]) -> None:
        """Call back when nothing of this reset touches the file any more."""
        self._on_finished.append(call)

    def _finish(self, error: Exception | None) -> None:
        if self._client.ending.get(self._core.path) is self:
            del self._client.ending[self._core.path]
        self._core.reset_ended(self, error)
        for call in self._on_finished:
            call()

    def token_renewed(self) -> None:
        """A new access token, which the download may need. On the event loop."""
        self._fresh.token_renewed()

    def reconnect(self) -> None:
        """Skip delays of the download. On the event loop."""
        self._fresh.reconnect()

    def restart(self) -> None:
        """The route or the headers are others now: a new session for the download. On the event loop."""
        self._fresh.restart()

    def _downloaded(self, error: Exception | None) -> None:
        if error is not None or self._is_stopped:
            self._fresh.close(delete=not self._is_stopped)
            self._core.reset_ended(self, error)
            return
        previous = self._client.ending.get(self._core.path)
        if previous is not None:  # a last download is still being integrated
            previous.call_when_finished(lambda: self._downloaded(None))
            return
        self._thread.start()

    def is_own_thread(self) -> bool:
        """Whether the caller is one of the callbacks: the session goes on when it has returned."""
        return threading.current_thread() is self._thread

    def failed(self, error: Exception) -> Failure:
        """What the application is told (spec/sessions.md §12.8)."""
        failure = self._failure
        message = f"the automatic client reset failed: {error}; the server asked for it: {failure.message}"
        return failure._replace(status=Status.AUTO_CLIENT_RESET_FAILED, message=message, is_fatal=True, cause=error)

    # --- on a thread of its own ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            self._perform()
        except Exception as error:  # noqa: BLE001 - also the application's: whatever it is, the reset has failed
            failure = error
        self._fresh.close(delete=True)
        if self._client.is_closed:  # the manager did not wait so long
            self._core.reset_ended(self, failure)
        else:
            self._client.post(self._finish, failure)

    def _perform(self) -> None:
        file = self._core.file
        if file.version <= FIRST_VERSION:
            return  # never written: the new session asks for an identity
        with _Callbacks(self._configuration, self._core, self._entered) as callbacks:
            callbacks.before()
            self._entered(ResetStep.WRITING)
            recovery = self._rewrite(file)
            callbacks.after(did_recover=recovery is not None)
        logger.info("%s: client reset done", file.path)

    def _entered(self, step: ResetStep) -> None:
        self.step = step

    def _rewrite(self, file: RealmFile) -> Recovery | None:
        """The two commits; the report is there before the second, so that nothing is lost untold."""
        record = report = None
        try:
            with file.write() as tx:
                record = self._note_attempt(tx)
                with file.write_on(tx) as tx:
                    tx.recording = False
                    unsynced = len(self._core.history.local_changes_in(tx))
                    recovery = self._take_over(tx, record.mode)
                    reset_tracking.write_record_in(tx, record._replace(outcome=reset_tracking.Outcome.DONE))
                    if unsynced:
                        report = self._tell(recovery, unsynced)
            return recovery
        except Exception:
            if record is not None:
                self._note_failure(file, record)
            if report is not None:
                with suppress(OSError):
                    report.unlink(missing_ok=True)
            raise

    def _tell(self, recovery: Recovery | None, unsynced: int) -> Path:
        """Write down what was recovered, and what could not be and why; or that everything was discarded."""
        beside = self._core.manager.layout.backup_path(self._configuration.recovery_directory)
        report = beside.with_name(f"{beside.name}.json")
        write_report(report, self._core.path, self.cause, recovery, unsynced)
        return report

    def _note_attempt(self, tx: WriteTransaction) -> reset_tracking.ResetRecord:
        """What will be tried. Raises AutomaticResetError if the resets before it have not succeeded."""
        failure, wanted = self._failure, self._configuration.client_reset_mode
        assert failure.action is not None
        assert wanted is not None
        previous = reset_tracking.read_record(self._core.history)
        code = failure.server_code or 0
        record = reset_tracking.next_record(previous, wanted, failure.action, code, failure.message)
        reset_tracking.write_record_in(tx, record)
        return record

    def _note_failure(self, file: RealmFile, record: reset_tracking.ResetRecord) -> None:
        """It was rolled back; what cannot be noted counts as interrupted."""
        try:
            with file.write() as tx:
                reset_tracking.write_record_in(tx, record._replace(outcome=reset_tracking.Outcome.FAILED))
        except (SynclineError, OSError) as error:
            logger.warning("%s: the failure of a client reset cannot be noted: %s", file.path, error)

    def _take_over(self, tx: WriteTransaction, mode: ClientResetMode) -> Recovery | None:
        """The fresh copy's objects, identity and cursors become those of the file, with what is recovered on top."""
        history = self._core.history
        status = self._fresh.history.status()
        history.set_file_ident_in(tx, status.file_ident, status.file_salt, self._configuration.bind_path)
        recovery = None
        if mode is ClientResetMode.RECOVER_UNSYNCED_CHANGES:
            recovery = self._recover(tx)
        else:
            with self._fresh.file.reading_alone() as source:
                transfer(source, tx)
        history.rewrite_in(
            tx,
            ident=status.file_ident,
            salt=status.file_salt,
            server_version=status.progress.latest_server_version,
            recovered={} if recovery is None else recovery.changesets,
        )
        return recovery

    def _recover(self, tx: WriteTransaction) -> Recovery:
        """Replay on the fresh copy, in a transaction that is only a source: it is rolled back."""
        fresh = self._fresh.file
        source = fresh.begin()
        try:
            recovery = recover(self._core.history.local_changes_in(tx), tx, source)
            source.flush()
            transfer(source, tx)
        finally:
            fresh.rollback(source)
        return recovery


class _Callbacks:
    """``before_client_reset`` and ``after_client_reset`` with the Realms that they get, which last as long as this."""

    def __init__(
        self, configuration: SyncConfiguration, core: SessionCore, entered: Callable[[ResetStep], object]
    ) -> None:
        """``entered`` is told which callback runs."""
        is_for_them = _was_opened(core)
        self._before: Callable[..., object] | None = configuration.before_client_reset if is_for_them else None
        self._after: Callable[..., object] | None = configuration.after_client_reset if is_for_them else None
        self._realm_configuration: Any = core.realm_configuration
        self._file = core.file
        self._entered = entered
        self._live: Realm | None = None
        self._frozen: Realm | None = None

    def __enter__(self) -> _Callbacks:
        if self._before is not None or self._after is not None:
            from syncline.realm import Realm, RealmConfiguration  # realm/ is complete by now, not when this is loaded

            given = self._realm_configuration or RealmConfiguration(self._file.path)
            self._live = Realm._open_for_session(given)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for realm in (self._frozen, self._live):
            if realm is not None:
                realm.close()

    def before(self) -> None:
        """Call *before* with the Realm as it is; what it writes belongs to the state before the reset."""
        if self._live is None:
            return
        if self._before is not None:
            self._entered(ResetStep.BEFORE)
            with self._live.freeze() as frozen:
                self._before(frozen)
            self._live.refresh()
        self._frozen = self._live.freeze()
        self._live.invalidate()

    def after(self, *, did_recover: bool) -> None:
        """Call *after* with the Realm as it was and as it is; what it writes is uploaded."""
        if self._after is not None and self._live is not None:
            self._entered(ResetStep.AFTER)
            self._live.refresh()
            self._after(self._frozen, self._live, did_recover)


def _was_opened(core: SessionCore) -> bool:
    """Whether the application has ever had the Realm, which it has not while it is opened asynchronously for the first
    time; then there is nothing of its own to see or to save (spec/sessions.md §12.3)."""
    if core.had_realm:
        return True
    cursor = core.history.status().progress.upload
    return cursor.client_version > 0 or bool(core.history.uploadable(cursor, limit=1)[0])


class Acknowledgement:
    """Forgets the attempt once everything is uploaded and downloaded after it (spec/sessions.md §12.7).

    With it goes a fresh copy that an interrupted reset has left, whether or not that came as far as an attempt. So does
    the file action of an attempt that failed: there is no reason any more to begin anew at the next start.
    """

    def __init__(self, core: SessionCore) -> None:
        self._core = core
        self._is_expected = False

    def expect(self) -> None:
        """A protocol session starts, on the event loop: wait, if there is an attempt to forget."""
        if self._is_expected:
            return
        if reset_tracking.has_record(self._core.history) or has_leftover(self._core.path):
            self._is_expected = True
            self._wait(WaitKind.UPLOAD, lambda: self._wait(WaitKind.DOWNLOAD, self._forget))

    def _wait(self, kind: WaitKind, then: Callable[[], object]) -> None:
        def ended(error: Exception | None) -> None:
            if error is None:
                then()
            else:
                self._is_expected = False  # the next protocol session tries again

        wait = Wait(kind, ended)
        wait.is_internal = True
        self._core.add_wait(wait)

    def _forget(self) -> None:
        try:
            file = self._core.file.share()
        except ClosedRealmError:  # the session has ended meanwhile; the next one of the file will do it
            return
        path, metadata = self._core.path, self._core.manager.metadata
        self._core.manager.client.work(lambda: _forget(file, path, metadata), self._forgotten)

    def _forgotten(self, result: None, error: Exception | None) -> None:
        self._is_expected = False
        if error is not None:
            logger.warning("%s: the end of a client reset cannot be noted: %s", self._core.path, error)


def _forget(file: RealmFile, path: str, metadata: MetadataStore) -> None:
    """Takes over the reference to the file; ``path``: as the session names it."""
    try:
        remove_leftover(file)
        if reset_tracking.has_record(ClientHistory(file)):
            action = metadata.file_action(path)
            if action is not None and action.action is FileActionKind.BACK_UP_THEN_DELETE_REALM:
                metadata.remove_file_action(path)
        with file.write() as tx:
            reset_tracking.forget_in(tx)
    finally:
        file.close()
