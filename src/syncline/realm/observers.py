"""Who wants to know of changes, and how a round of notifications goes (spec/sdk.md §9.4).

A round works out what every observer is to be told, then calls them one after the other, with the Realm at the version
that the change sets speak of. It happens in ``refresh``, before a write transaction, and on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from syncline.errors import WrongTransactionStateError
from syncline.realm.affected import Affected, parse_key_paths
from syncline.realm.observing import (
    DictionaryObserver,
    ListObserver,
    ObjectObserver,
    Observer,
    ResultsObserver,
    SetObserver,
)
from syncline.realm.tokens import NotificationToken
from syncline.storage.changes import ChangeLog

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context
    from syncline.realm.dictionaries import Dictionary
    from syncline.realm.lists import List
    from syncline.realm.models import Model
    from syncline.realm.realm import Realm
    from syncline.realm.results import Results
    from syncline.realm.sets import Set

__all__ = ["CHANGE", "REFRESH_REQUIRED", "ObserverToken", "Observers"]

#: Events of Realm observers: the version moved; a newer one exists, but this Realm does not follow by itself.
CHANGE: Final = "change"
REFRESH_REQUIRED: Final = "refresh_required"


class ObserverToken(NotificationToken):
    """Keeps one observer alive. ``start``: how many of the pending change logs are older than it."""

    def __init__(self, observer: Observer, start: int) -> None:
        super().__init__()
        self.observer: Observer | None = observer
        self.start = start

    def invalidate(self) -> None:
        super().invalidate()
        self.observer = None


class _RealmToken(NotificationToken):
    """Keeps one Realm observer alive."""

    def __init__(self, callback: Callable[[Realm, str], object]) -> None:
        super().__init__()
        self.callback = callback


def _nobody() -> None:
    """No scheduler can deliver by itself."""


def _merged(logs: list[ChangeLog | None]) -> ChangeLog | None:
    merged = ChangeLog()
    for log in logs:
        if log is None:
            return None
        merged.merge(log)
    return merged


class Observers:
    """The observers of one Realm, in the order they came."""

    def __init__(self, context: Context) -> None:
        self.context = context
        #: asks for a round soon, where that is possible
        self.wake: Callable[[], None] = _nobody
        self.in_round = False
        self._tokens: list[ref[ObserverToken]] = []
        self._realm_tokens: list[ref[_RealmToken]] = []

    @property
    def any(self) -> bool:
        """Whether somebody observes something in the Realm."""
        return bool(self._tokens)

    # --- adding -------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        context = self.context
        context.check()
        if context.frozen:
            raise WrongTransactionStateError("a frozen Realm never changes, so there is nothing to observe")
        if context.tx is not None:
            raise WrongTransactionStateError(
                "observers cannot be added inside a write transaction; add them before or after it"
            )

    def _add(self, observer: Observer) -> NotificationToken:
        token = ObserverToken(observer, len(self.context.pending))
        self._tokens.append(ref(token))
        self.wake()
        return token

    def observe_realm(self, callback: Callable[[Realm, str], object]) -> NotificationToken:
        """See :meth:`Realm.observe`."""
        self._check()
        token = _RealmToken(callback)
        self._realm_tokens.append(ref(token))
        return token

    def observe_object(
        self, binding: Binding, obj: Model, callback: Callable[[Any, Any], object], key_paths: Sequence[str] | None
    ) -> NotificationToken:
        """See :meth:`Model.observe`."""
        self._check()
        paths = parse_key_paths(key_paths, binding.model._info)
        return self._add(ObjectObserver(binding, obj, callback, paths))

    def observe_results(
        self, results: Results[Any], callback: Callable[[Any, Any], object], key_paths: Sequence[str] | None
    ) -> NotificationToken:
        """See :meth:`Results.observe`."""
        self._check()
        paths = parse_key_paths(key_paths, results._binding.model._info)
        return self._add(ResultsObserver(results, callback, paths))

    def observe_list(
        self, collection: List[Any], callback: Callable[[Any, Any], object], key_paths: Sequence[str] | None
    ) -> NotificationToken:
        """See :meth:`List.observe`."""
        return self._add(ListObserver(collection, callback, self._element_paths(collection, key_paths)))

    def observe_set(
        self, collection: Set[Any], callback: Callable[[Any, Any], object], key_paths: Sequence[str] | None
    ) -> NotificationToken:
        """See :meth:`Set.observe`."""
        return self._add(SetObserver(collection, callback, self._element_paths(collection, key_paths)))

    def observe_dictionary(
        self, collection: Dictionary[Any], callback: Callable[[Any, Any], object], key_paths: Sequence[str] | None
    ) -> NotificationToken:
        """See :meth:`Dictionary.observe`."""
        return self._add(DictionaryObserver(collection, callback, self._element_paths(collection, key_paths)))

    def _element_paths(self, collection: Any, key_paths: Sequence[str] | None) -> Any:
        self._check()
        if key_paths is None or not collection._place.target_id:
            return None if key_paths is None else []
        return parse_key_paths(key_paths, self.context.classes.binding(collection._place.target_id).model._info)

    # --- a round ------------------------------------------------------------------------------------------------------

    def deliver(self) -> list[Exception]:
        """Tell every observer what changed since the last round; the exceptions that callbacks raised."""
        tokens = self._alive()
        if self.in_round or not tokens:
            return []
        due = self._prepare(tokens)
        errors: list[Exception] = []
        self.in_round = True
        try:
            for token, observer, change in due:
                if token.is_valid and not self.context.closed:
                    self._call(observer, change, errors)
                if observer.finished:
                    token.invalidate()
        finally:
            self.in_round = False
        return errors

    def _prepare(self, tokens: list[ObserverToken]) -> list[tuple[ObserverToken, Observer, Any]]:
        """What each observer is to be told."""
        pending, self.context.pending = self.context.pending, []
        affected: dict[int, Affected] = {}
        due = []
        for token in tokens:
            start, token.start = token.start, 0
            if start not in affected:
                affected[start] = Affected(self.context, _merged(pending[start:]))
            observer = token.observer
            change = observer.prepare(affected[start]) if observer is not None else None
            if observer is not None and change is not None:
                due.append((token, observer, change))
        return due

    def _call(self, observer: Observer, change: Any, errors: list[Exception]) -> None:
        try:
            observer.callback(observer.observed, change)
        except Exception as error:  # noqa: BLE001 - whatever the application's code raises must not stop the round
            errors.append(error)

    def _alive(self) -> list[ObserverToken]:
        alive = [token for known in self._tokens if (token := known()) is not None and token.is_valid]
        if len(alive) < len(self._tokens):
            self._tokens = [ref(token) for token in alive]
        return alive

    def tell_realm(self, event: str) -> list[Exception]:
        """Call the Realm observers; the exceptions they raised."""
        errors: list[Exception] = []
        for known in list(self._realm_tokens):
            token = known()
            if token is None or not token.is_valid:
                self._realm_tokens.remove(known)
                continue
            try:
                token.callback(self.context.realm, event)
            except Exception as error:  # noqa: BLE001 - whatever the application's code raises must not stop the round
                errors.append(error)
        return errors
