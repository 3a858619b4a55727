"""How a Realm moves from version to version, and whom it tells (spec/sdk.md §4.1, §4.2, §9.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from syncline.errors import WrongTransactionStateError
from syncline.realm.changes import RealmChange
from syncline.realm.configuration import RealmConfiguration
from syncline.realm.context import Context
from syncline.realm.delivery import Delivery
from syncline.realm.observers import CHANGE, SCHEMA
from syncline.realm.schema_changes import SchemaMode
from syncline.realm.streams import Changes
from syncline.realm.tokens import NotificationToken
from syncline.storage.catalogue import Catalogue

if TYPE_CHECKING:
    from syncline.realm.realm import Realm

__all__ = ["RealmVersions"]


class RealmVersions:
    """The part of :class:`~syncline.Realm` that follows the file and tells observers."""

    #: Called with each exception that an observer's callback raised and nobody else gets: that of a round on the event
    #: loop, of a commit, and all but the first of a round in ``refresh`` or at the begin of a write transaction. None:
    #: the event loop's exception handler, or :func:`sys.unraisablehook`.
    on_callback_error: Callable[[Exception], object] | None

    _auto_refresh: bool
    _config: RealmConfiguration
    _context: Context
    _delivery: Delivery
    _releases: int

    @property
    def auto_refresh(self) -> bool:
        """Whether the Realm follows commits of others by itself; that needs an event loop."""
        return self._auto_refresh

    @auto_refresh.setter
    def auto_refresh(self, value: bool) -> None:
        self._context.check()
        if self._context.frozen:
            raise WrongTransactionStateError("a frozen Realm does not change")
        self._auto_refresh = value
        if value:
            self._delivery.wake()

    def refresh(self) -> bool:
        """Move to the newest version and tell observers what changed; whether the version moved.

        Does nothing in a write transaction, inside an observer's callback, and on a frozen Realm. An exception raised
        by a callback is raised here, after all callbacks were called.
        """
        context = self._context
        context.check()
        if self._config.mode is SchemaMode.IMMUTABLE:
            raise WrongTransactionStateError("an immutable Realm has no newer version; open it with read_only=True")
        if context.frozen or context.tx is not None or context.observers.in_round:
            return False
        self._delivery.drain()
        moved, errors = self._follow()
        if not context.closed:
            errors += context.observers.deliver()
        self._raise_first(errors)
        return moved

    def _follow(self) -> tuple[bool, list[Exception]]:
        """Move to the newest version and tell Realm observers; whether it moved, and the exceptions they raised."""
        known = self._context.catalogue
        moved = self._context.advance()
        return moved, self._tell_realm(known) if moved else []

    def _tell_realm(self, known: Catalogue | None, left_out: Collection[NotificationToken] = ()) -> list[Exception]:
        """Tell Realm observers that the version moved; ``known`` are the classes of the one before."""
        context = self._context
        assert context.catalogue is not None
        events = [CHANGE] if known is None or known.counter == context.catalogue.counter else [SCHEMA, CHANGE]
        return [error for event in events for error in context.observers.tell_realm(event, left_out)]

    def _raise_first(self, errors: list[Exception]) -> None:
        """What the callbacks of a round raised, for who started it."""
        self._report(errors[1:])
        if errors:
            raise errors[0]

    def pump(self, timeout: float | None = 0.0) -> bool:
        """Wait up to ``timeout`` seconds (None: without limit) for news, then :meth:`refresh`."""
        if not self._context.pending and not self._delivery.has_work:
            self._wait(timeout, lambda: self._delivery.has_work)
        return self.refresh()

    def wait_for_change(self, timeout: float | None = None) -> bool:
        """Wait until a version newer than the one seen exists; False after ``timeout`` seconds. Does not move to it.

        :meth:`wait_for_change_release` on another thread ends the wait with False.
        """
        return self._wait(timeout, lambda: False)

    def _wait(self, timeout: float | None, enough: Callable[[], bool]) -> bool:
        context = self._context
        context.check()
        released = self._releases
        found = context.file.wait_for_version(context.version, timeout, lambda: self._releases != released or enough())
        return found is not None

    def wait_for_change_release(self) -> None:
        """End a :meth:`wait_for_change` or :meth:`pump` that waits now. May be called on any thread."""
        self._releases += 1
        self._context.file.wake_waiters()

    def observe(self, callback: Callable[[Realm, str], object], *, keep: bool = False) -> NotificationToken:
        """Call ``callback(realm, event)``: ``"change"`` whenever the version moved or this Realm committed,
        ``"refresh_required"`` when a newer version exists and ``auto_refresh`` is off, ``"schema"``, before
        ``"change"``, when classes or properties of the file changed. There is no first call.

        Keep the returned token, or have the Realm ``keep`` it. Raises WrongTransactionStateError inside a write
        transaction and for a frozen Realm.
        """
        return self._context.observers.observe_realm(callback, keep)

    def changes(self) -> Changes[RealmChange]:
        """What :meth:`observe` tells as an asynchronous iterator: ``async for change in realm.changes(): …``.

        The first item has ``initial`` set; events that come before an item was taken are added to it. Raises
        WrongThreadError for a Realm that does not belong to an event loop.
        """
        observers = self._context.observers
        return observers.stream(observers.observe_realm)

    def invalidate(self) -> None:
        """Let go of the version; the next read sees the newest. A running write transaction is cancelled."""
        context = self._context
        context.check()
        if context.observers.is_preparing:
            raise WrongTransactionStateError("a key function cannot let go of the version that it is called for")
        if context.tx is not None:
            context.rollback()
        if not context.frozen:
            context.invalidate()

    def _report(self, errors: list[Exception]) -> None:
        handler = self.on_callback_error
        for error in errors:
            if handler is None:
                self._delivery.report(error)
                continue
            try:
                handler(error)
            except Exception as another:  # noqa: BLE001 - whatever the application's code raises
                self._delivery.report(another)
