"""Waiting for the writer lock on another thread (spec/sdk.md §5.3)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from syncline.errors import RealmError

if TYPE_CHECKING:
    from syncline.storage.file import RealmFile
    from syncline.storage.transaction import WriteTransaction

__all__ = ["LockRequest"]

_log: Final = logging.getLogger("syncline.realm")


class LockRequest:
    """One wait, on a thread of its own. ``granted`` is called on it, once there is a transaction or an error."""

    def __init__(self, file: RealmFile, granted: Callable[[LockRequest], None]) -> None:
        self._file = file
        self._granted = granted
        self._guard = threading.Lock()
        self._tx: WriteTransaction | None = None
        self._is_withdrawn = False
        self.error: RealmError | None = None
        threading.Thread(target=self._wait, name="syncline-write", daemon=True).start()

    def _wait(self) -> None:
        tx: WriteTransaction | None = None
        try:
            tx = self._file.begin(relaxed=True)
        except RealmError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it, and the blocks would wait for ever
            self.error = RealmError(f"no write transaction on {self._file.path} can begin: {error!r}")
        with self._guard:
            if not self._is_withdrawn:
                self._tx, tx = tx, None
        if tx is not None:
            self._give_back(tx)
            return
        try:
            self._granted(self)
        except RuntimeError:  # the loop has ended: nobody is left to write
            self.withdraw()

    def take(self) -> WriteTransaction | None:
        """The transaction, if it was not withdrawn."""
        with self._guard:
            tx, self._tx = self._tx, None
            return tx

    def withdraw(self) -> None:
        """The lock is not wanted any more, whether it has come or not."""
        with self._guard:
            self._is_withdrawn = True
            tx, self._tx = self._tx, None
        if tx is not None:
            self._give_back(tx)

    def _give_back(self, tx: WriteTransaction) -> None:
        try:
            self._file.rollback(tx)
        except RealmError:
            _log.debug("a Realm was closed while it waited to write")
