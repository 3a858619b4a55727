"""FreshCopy: the server's state in a second file, for a client reset (spec/sessions.md §12.3 steps 2 to 5).

It lies at ``<path>.fresh``, encrypted like the file that is reset, and is downloaded by a protocol session of its own,
which never uploads and which the application does not hear of. One that an interrupted reset has left is continued; one
that cannot be read, or that the server does not know any more, is made anew. It carries a mark: a Realm of the
application that happens to have this name is neither used nor deleted, it makes the reset fail.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from syncline.errors import AutomaticResetError, FileError, SynclineError
from syncline.protocol.client_session import UploadPolicy
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.storage.system import FIRST_VERSION
from syncline.sync.progress import ProgressNotifier
from syncline.sync.protocol_session import ProtocolSession
from syncline.sync.session_errors import RESET_ACTIONS, Effect, Failure, consequence
from syncline.sync.states import ConnectionState
from syncline.sync.waits import Wait, WaitKind

if TYPE_CHECKING:
    from syncline.sync.session_core import SessionCore

__all__ = ["FreshCopy", "has_leftover", "remove_leftover"]

logger = logging.getLogger("syncline.sync.reset")

_SUFFIX: Final = ".fresh"
_MARK: Final = "reset.fresh"
_MOST_REFUSALS: Final = 3
"""The server that refuses a copy so often in one reset will refuse the next one, too."""


class FreshCopy:
    """Downloads once: :meth:`start`, then ``done(error)`` on the event loop, unless :meth:`stop` comes before.

    An owner of a protocol session (:class:`~syncline.sync.protocol_session.SessionOwner`).
    """

    def __init__(self, core: SessionCore, number: int, done: Callable[[Exception | None], object]) -> None:
        """``core``: of the file that is reset; ``number``: of this session among all of the process."""
        self.manager = core.manager
        self.configuration = core.configuration
        self.path = core.path + _SUFFIX
        self.progress = ProgressNotifier(self.path)
        self.hears_commits = True
        self._core = core
        self._number = number
        self._done = done
        self._file: RealmFile | None = None
        self._history: ClientHistory | None = None
        self._protocol: ProtocolSession | None = None
        self._outcome: Exception | None = None
        self._is_over = False
        self._is_ours = False  # to delete
        self._refusals = 0
        self._is_refused = False

    @property
    def file(self) -> RealmFile:
        """The open file; only once it is downloaded, or for its own protocol session."""
        assert self._file is not None
        return self._file

    @property
    def history(self) -> ClientHistory:
        """Where it stands with the server."""
        assert self._history is not None
        return self._history

    # --- on the event loop --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open or make the file, then download."""
        self.manager.client.work(self._open, self._opened)

    def stop(self) -> None:
        """Nobody wants it any more; what was downloaded stays for the next time. ``done`` is called all the same."""
        self._end(AutomaticResetError("the session became inactive"))

    def token_renewed(self) -> None:
        """A new access token: for the next connection, without delay."""
        if self._protocol is not None:
            self._protocol.token_renewed()

    def reconnect(self) -> None:
        """Skip delays."""
        if self._protocol is not None:
            self._protocol.reconnect()

    def restart(self) -> None:
        """Bind anew, with what is here already."""
        if self._protocol is not None and not self._is_over:
            self._protocol.stop()

    def _open(self) -> RealmFile:
        try:
            file = self._core.file.open_beside(self.path)
        except FileError as error:
            logger.info("%s cannot be used, a new one is made: %s", self.path, error)
            RealmFile.delete(self.path)
            file = self._core.file.open_beside(self.path)
        try:
            if not _is_fresh_copy(file):
                raise AutomaticResetError(f"{self.path} is in the way: a client reset needs that name, move it")
            with file.write() as tx:
                ClientHistory.set_value_in(tx, _MARK, 1)
        except BaseException:
            file.close()
            raise
        self._is_ours = True
        return file

    def _opened(self, file: RealmFile | None, error: Exception | None) -> None:
        self._file = file
        if file is None:
            self._is_over = True
            self._done(error)
        elif self._is_over:
            self._done(self._outcome)
        else:
            self._history = ClientHistory(file, keep_bytes=0)
            self._download()

    def _download(self) -> None:
        protocol = self._protocol = ProtocolSession(
            self, self.manager.client, self._number, uploads=UploadPolicy.NEVER, session_reason=_CLIENT_RESET
        )
        self.start_protocol(protocol)
        protocol.add_wait(Wait(WaitKind.DOWNLOAD, self._end))

    def _end(self, error: Exception | None) -> None:
        """The outcome is known; it is told when nothing touches the file any more."""
        if self._is_over:
            return
        self._is_over = True
        self._outcome = error
        if self._protocol is not None:
            self._protocol.stop()

    def close(self, *, delete: bool) -> None:
        """Close the file; ``delete`` it, too. Any thread; failures are logged."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        if delete and self._is_ours:
            try:
                RealmFile.delete(self.path)
            except OSError as error:
                logger.warning("%s is not needed any more, but cannot be deleted: %s", self.path, error)

    # --- what its protocol session says -------------------------------------------------------------------------------

    def start_protocol(self, protocol: ProtocolSession) -> None:
        """Bind; see :meth:`SessionCore.start_protocol`."""
        try:
            protocol.start()
        except OSError as error:
            self.local_fault(protocol, error)

    def protocol_finished(self, protocol: ProtocolSession) -> None:
        """Nothing of it touches the file any more."""
        if self._is_over:
            self._done(self._outcome)
        else:
            self._protocol = None
            is_refused, self._is_refused = self._is_refused, False
            self.close(delete=is_refused)
            self.start()

    def connection_changed(self, protocol: ProtocolSession, state: ConnectionState, failure: Failure | None) -> None:
        """A lost connection is made again; what the application hears of that, and what becomes of the session if none
        can be made, is as without a reset."""
        if failure is None or self._is_over or self._is_renewed(failure):
            return
        self._core.failed(None, failure, disconnected=True)

    def failed(self, protocol: ProtocolSession, failure: Failure, *, disconnected: bool) -> None:
        """The server refused something. A copy that it does not know any more is made anew, some times."""
        if self._is_renewed(failure):
            return
        effect = consequence(failure).effect
        if effect in (Effect.LOG_OUT, Effect.INVALIDATE_USER):  # the user's affair: nothing is wrong with the file
            self._core.failed(None, failure, disconnected=True)
        elif not failure.is_fatal:
            logger.info("%s: %s", self.path, failure.message)
        elif failure.action in RESET_ACTIONS and self._refusals < _MOST_REFUSALS and not self._is_over:
            self._refusals += 1
            self._is_refused = True
            protocol.stop()
        else:
            self._end(AutomaticResetError(f"the server's state cannot be downloaded: {failure.message}"))

    def _is_renewed(self, failure: Failure) -> bool:
        """Whether a new token or another route is the answer; they are asked for."""
        effect = consequence(failure).effect
        if effect not in (Effect.REFRESH_TOKEN, Effect.REFRESH_LOCATION):
            return False
        self.manager.renewal.take_effect(self._core, effect)
        return True

    def local_fault(self, protocol: ProtocolSession, error: Exception | None) -> None:
        """The disk is full, say."""
        self._end(AutomaticResetError(f"{self.path} cannot be written: {error}"))

    def wait_completed(self, wait: Wait) -> None:
        """Everything is here."""
        wait.finish(None)


#: Why a session is bound (spec/wire-protocol.md §7.1).
_CLIENT_RESET: Final = 1


def _is_fresh_copy(file: RealmFile) -> bool:
    """Whether it was made here, or has just been made."""
    return file.version <= FIRST_VERSION or ClientHistory(file, keep_bytes=0).value(_MARK) is not None


def has_leftover(path: str) -> bool:
    """Whether something lies where a fresh copy of the file at ``path`` would."""
    return RealmFile.exists(path + _SUFFIX)


def remove_leftover(file: RealmFile) -> None:
    """Delete the fresh copy that an interrupted reset of ``file`` has left. Any thread; failures are logged."""
    path = file.path + _SUFFIX
    if not has_leftover(file.path):
        return
    try:
        copy = file.open_beside(path)
        try:
            is_ours = _is_fresh_copy(copy)
        finally:
            copy.close()
        if is_ours:
            RealmFile.delete(path)
    except (SynclineError, OSError) as error:
        logger.warning("%s is not needed any more, but cannot be deleted: %s", path, error)
