"""Write transactions as context managers (spec/sdk.md §5, §12.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import apsw

from syncline.errors import WrongTransactionStateError
from syncline.storage.connection import translating

if TYPE_CHECKING:
    from syncline.realm.realm import Realm
    from syncline.realm.tokens import NotificationToken

__all__ = ["Transaction"]


class Transaction:
    """A write transaction as a context manager: committed at the end of the block, cancelled by an exception.

    One that :meth:`Realm.begin_write` has begun is ended by :meth:`commit` or :meth:`cancel`, or as a context manager.
    """

    def __init__(
        self,
        realm: Realm,
        timeout: float | None,
        without_notifying: Iterable[NotificationToken] = (),
        *,
        begun: bool = False,
    ) -> None:
        self._realm = realm
        self._timeout = timeout
        self._without_notifying = without_notifying
        self._running = begun
        self._is_entered = False
        #: what was begun, to tell it from what others begin after its end
        self._tx = realm._context.tx if begun else None

    def __enter__(self) -> Transaction:
        if self._is_entered:
            raise WrongTransactionStateError("this write transaction runs already; transactions do not nest")
        if not self._running:
            self._without_notifying = self._realm._context.observers.own(self._without_notifying)
            self._realm.begin_write(self._timeout)
            self._running, self._tx = True, self._realm._context.tx
        self._is_entered = True
        return self

    def commit(self) -> None:
        """Make everything durable now; the end of the block then does nothing."""
        with self._ending():
            self._realm.commit_write(without_notifying=self._without_notifying)

    def cancel(self) -> None:
        """Undo everything now; the end of the block then does nothing."""
        with self._ending():
            self._realm.cancel_write()

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """Where the end is refused, as on another thread, the transaction goes on."""
        context = self._realm._context
        if not self._running or context.tx is not self._tx:
            raise WrongTransactionStateError("this write transaction has ended already")
        try:
            yield
        finally:
            self._running = context.tx is self._tx
            if not self._running:
                self._tx = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = self._running and self._realm.in_write
        self._running = self._is_entered = False
        self._tx = None
        if error is None:
            if running:
                self._realm.commit_write(without_notifying=self._without_notifying)
            return
        if running:
            self._realm.cancel_write()
        if isinstance(error, apsw.Error):
            with translating(self._realm.path):
                raise error
