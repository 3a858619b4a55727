"""Who wants to know of changes, and how a round of notifications goes (spec/sdk.md §9.4).

A round works out what every observer is to be told, then calls them one after the other, with the Realm at the version
that the change sets speak of. It happens in ``refresh``, before a write transaction, and on the event loop. A callback
that begins a write transaction starts a round in the round if that moves the Realm on: it takes over what the outer
round has not told yet.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import ref

from syncline.errors import IllegalOperationError, InvalidPropertyError, WrongThreadError, WrongTransactionStateError
from syncline.realm.affected import Affected
from syncline.realm.changes import RealmChange
from syncline.realm.key_paths import KeyPath, parse_key_paths
from syncline.realm.merging import merged
from syncline.realm.observing import (
    DictionaryObserver,
    DictionaryViewObserver,
    Listener,
    ListObserver,
    ObjectObserver,
    Observer,
    ResultsObserver,
    SectionObserver,
    SectionsObserver,
    SetObserver,
)
from syncline.realm.schedulers import AsyncioScheduler
from syncline.realm.schema_changes import SchemaMode
from syncline.realm.streams import Changes, Inbox
from syncline.realm.tokens import NotificationToken
from syncline.storage.changes import ChangeLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncline.realm.binding import Binding
    from syncline.realm.context import Context
    from syncline.realm.dictionaries import Dictionary
    from syncline.realm.dictionary_views import DictionaryView
    from syncline.realm.lists import List
    from syncline.realm.models import Model, ModelInfo
    from syncline.realm.results import Results
    from syncline.realm.sections import Section, SectionedResults
    from syncline.realm.sets import Set
    from syncline.storage.snapshot import Snapshot

__all__ = ["CHANGE", "REFRESH_REQUIRED", "SCHEMA", "ObserverToken", "Observers"]

#: Events of Realm observers: the version moved; a newer one exists, but this Realm does not follow by itself; the
#: classes or properties of the file changed.
CHANGE: Final = "change"
REFRESH_REQUIRED: Final = "refresh_required"
SCHEMA: Final = "schema"


class ObserverToken(NotificationToken):
    """Keeps one observer alive. ``start``: how many of the pending change logs are older than it."""

    def __init__(self, owner: Observers, observer: Observer, start: int) -> None:
        super().__init__()
        self.owner = owner
        self.observer: Observer | None = observer
        self.start = start
        #: it could not be worked out what the observer missed, so everything may have changed
        self.is_lost = False

    def invalidate(self) -> None:
        super().invalidate()
        observer, self.observer = self.observer, None
        if observer is not None:
            _let_go(self.owner, self, observer.listener)


class _RealmToken(NotificationToken):
    """Keeps one Realm observer alive."""

    def __init__(self, owner: Observers, listener: Listener) -> None:
        super().__init__()
        self.owner = owner
        self.listener: Listener | None = listener

    def invalidate(self) -> None:
        super().invalidate()
        listener, self.listener = self.listener, None
        if listener is not None:
            _let_go(self.owner, self, listener)


def _let_go(owner: Observers, token: NotificationToken, listener: Listener) -> None:
    owner.kept.discard(token)
    if isinstance(listener, Inbox):
        listener.end()


class _Due(NamedTuple):
    """What one observer is still to be told."""

    token: ref[ObserverToken]
    observer: Observer
    change: Any


class _Before:
    """The version of the last round, pinned while some key path asks what was linked then."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        #: the newer ones of observers that know of a commit since
        self._newer: dict[Observer, Snapshot] = {}

    def of(self, observer: Observer) -> Snapshot | None:
        """The version that an observer was told of last."""
        return self._newer.get(observer, self.snapshot)

    def hold(self, snapshot: Snapshot | None) -> None:
        """Keep another one instead, or none."""
        given_up = [*self._newer.values(), *([] if self.snapshot is None else [self.snapshot])]
        self.snapshot, self._newer = snapshot, {}
        for each in given_up:
            each.release()

    def hold_for(self, observer: Observer, snapshot: Snapshot) -> None:
        """Until the next round keep another one for this observer."""
        previous = self._newer.pop(observer, None)
        self._newer[observer] = snapshot
        if previous is not None:
            previous.release()

    def release(self) -> None:
        """Keep none."""
        self.hold(None)


def _nobody() -> None:
    """No scheduler can deliver by itself."""


class _News:
    """What was committed since the last round: for each observer what it does not know yet."""

    def __init__(self, context: Context, before: _Before) -> None:
        self._context = context
        self._before = before
        self._logs, context.pending = context.pending, []
        self._known: dict[tuple[int | None, Snapshot | None], Affected] = {}

    def since(self, token: ObserverToken, observer: Observer) -> Affected:
        """Asked once; until it is worked out what that means for the observer, it is lost."""
        start, before = None if token.is_lost else token.start, self._before.of(observer)
        token.start, token.is_lost = 0, True
        if (start, before) not in self._known:
            log = None if start is None else _merged_logs(self._logs[start:])
            self._known[start, before] = Affected(self._context, log, before)
        return self._known[start, before]


def _merged_logs(logs: list[ChangeLog | None]) -> ChangeLog | None:
    found = ChangeLog()
    for log in logs:
        if log is None:
            return None
        found.merge(log)
    return found


class Observers:
    """The observers of one Realm, in the order they came."""

    def __init__(self, context: Context) -> None:
        self.context = context
        #: asks for a round soon, where that is possible
        self.wake: Callable[[], None] = _nobody
        #: how many rounds are under way, one in the other
        self.depth = 0
        #: whether it is being worked out what is to be told
        self.is_preparing = False
        #: tokens that nobody else needs to keep
        self.kept: set[NotificationToken] = set()
        self._tokens: list[ref[ObserverToken]] = []
        self._realm_tokens: list[ref[_RealmToken]] = []
        self._due: deque[_Due] = deque()
        self._before = _Before()
        #: observers that know of a commit which is not stored yet, and what they knew before it
        self._uncertain: list[tuple[Observer, dict[str, Any]]] = []

    @property
    def any(self) -> bool:
        """Whether somebody observes something in the Realm."""
        return bool(self._tokens)

    @property
    def in_round(self) -> bool:
        """Whether a callback runs, or it is worked out what it will be told."""
        return self.depth > 0 or self.is_preparing

    # --- adding -------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        context = self.context
        context.check()
        if context.frozen:
            raise WrongTransactionStateError("a frozen Realm never changes, so there is nothing to observe")
        if context.realm.config.mode is SchemaMode.IMMUTABLE:
            raise WrongTransactionStateError("an immutable Realm never changes, so there is nothing to observe")
        if context.tx is not None:
            raise WrongTransactionStateError(
                "observers cannot be added inside a write transaction; add them before or after it"
            )

    def _add(self, observer: Observer, keep: bool) -> NotificationToken:
        _check_callback(observer.listener)
        token = ObserverToken(self, observer, len(self.context.pending))
        self._keep(token, keep)
        self._tokens.append(ref(token))
        if observer.looks_back and self._before.snapshot is None:
            if self._before.release not in self.context.pins.detach:
                self.context.pins.detach.append(self._before.release)
            self._before.hold(self.context.pinned())
        self.wake()
        return token

    def _keep(self, token: NotificationToken, keep: bool) -> None:
        if keep:
            token.end_quietly()
            self.kept.add(token)

    def observe_realm(self, listener: Listener, keep: bool = False) -> NotificationToken:
        """See :meth:`Realm.observe`."""
        self._check()
        _check_callback(listener)
        token = _RealmToken(self, listener)
        self._keep(token, keep)
        self._realm_tokens.append(ref(token))
        if isinstance(listener, Inbox):
            listener.receive(RealmChange(self.context.version, initial=True))
        return token

    def observe_object(
        self, binding: Binding, obj: Model, listener: Listener, key_paths: Sequence[str] | None, keep: bool = False
    ) -> NotificationToken:
        """See :meth:`Model.observe`."""
        self._check()
        return self._add(ObjectObserver(binding, obj, listener, self._paths(key_paths, binding)), keep)

    def observe_results(
        self, results: Results[Any], listener: Listener, key_paths: Sequence[str] | None, keep: bool = False
    ) -> NotificationToken:
        """See :meth:`Results.observe`."""
        self._check()
        return self._add(ResultsObserver(results, listener, self._paths(key_paths, results._binding)), keep)

    def observe_sections(
        self,
        sections: SectionedResults[Any],
        listener: Listener,
        key_paths: Sequence[str] | None,
        keep: bool = False,
    ) -> NotificationToken:
        """See :meth:`SectionedResults.observe`."""
        self._check()
        return self._add(SectionsObserver(sections, listener, self._paths(key_paths, sections.results._binding)), keep)

    def observe_section(
        self, section: Section[Any], listener: Listener, key_paths: Sequence[str] | None, keep: bool = False
    ) -> NotificationToken:
        """See :meth:`Section.observe`."""
        self._check()
        paths = self._paths(key_paths, section._sections.results._binding)
        return self._add(SectionObserver(section, listener, paths), keep)

    def observe_list(
        self, collection: List[Any], listener: Listener, key_paths: Sequence[str] | None, keep: bool = False
    ) -> NotificationToken:
        """See :meth:`List.observe`."""
        return self._add(ListObserver(collection, listener, self._element_paths(collection, key_paths)), keep)

    def observe_set(
        self, collection: Set[Any], listener: Listener, key_paths: Sequence[str] | None, keep: bool = False
    ) -> NotificationToken:
        """See :meth:`Set.observe`."""
        return self._add(SetObserver(collection, listener, self._element_paths(collection, key_paths)), keep)

    def observe_dictionary(
        self, collection: Dictionary[Any], listener: Listener, key_paths: Sequence[str] | None, keep: bool = False
    ) -> NotificationToken:
        """See :meth:`Dictionary.observe`."""
        return self._add(DictionaryObserver(collection, listener, self._element_paths(collection, key_paths)), keep)

    def observe_dictionary_view(
        self, view: DictionaryView[Any], listener: Listener, key_paths: Sequence[str] | None, keep: bool = False
    ) -> NotificationToken:
        """See :meth:`DictionaryView.observe`."""
        return self._add(DictionaryViewObserver(view, listener, self._element_paths(view._mapping, key_paths)), keep)

    def _paths(self, key_paths: Sequence[str] | None, binding: Binding) -> list[KeyPath] | None:
        return parse_key_paths(key_paths, binding.model._info, self._find)

    def _find(self, name: str) -> ModelInfo:
        found: ModelInfo = self.context.classes.of(name).model._info
        return found

    def _element_paths(self, collection: Any, key_paths: Sequence[str] | None) -> list[KeyPath] | None:
        self._check()
        target = collection._place.target_id
        if target:
            return self._paths(key_paths, self.context.classes.binding(target))
        if key_paths:
            raise InvalidPropertyError(
                f"{collection._converter.where}: key paths name properties of objects, and its elements are none"
            )
        return None if key_paths is None else []

    def stream(self, subscribe: Callable[[Inbox], NotificationToken], *, frozen: bool = False) -> Changes[Any]:
        """An iterator over what the inbox given to ``subscribe`` receives.

        Raises WrongThreadError where nothing would ever be delivered: the Realm does not belong to an event loop.
        """
        self._check()
        scheduler = self.context.realm._delivery.scheduler
        if not isinstance(scheduler, AsyncioScheduler) or scheduler.is_suspended:
            where = "on another event loop" if isinstance(scheduler, AsyncioScheduler) else "outside of an event loop"
            raise WrongThreadError(
                f"the Realm {self.context.file.path} was opened {where}, so nothing arrives by "
                "itself: open it inside the coroutine that waits for changes, or use observe() and realm.pump()"
            )
        return Changes(subscribe, frozen)

    # --- a round ------------------------------------------------------------------------------------------------------

    def deliver(self) -> list[Exception]:
        """Tell every observer what changed since the last round; the exceptions that callbacks raised."""
        errors = self._prepare(self._alive())
        due = self._due
        with self._round():
            while due and not self.context.closed:
                known, observer, change = due.popleft()
                token = known()
                if token is None or not token.is_valid:
                    continue
                assert not isinstance(observer.listener, Inbox)
                _call(observer.listener, observer.observed, observer.shown(change), errors)
                if observer.finished:
                    token.invalidate()
        return errors

    @contextmanager
    def _round(self) -> Iterator[None]:
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def _prepare(self, tokens: list[ObserverToken]) -> list[Exception]:
        """Work out what each observer is to be told. What an outer round was about to tell becomes part of it.

        Code of the application may take part, such as a key function of sections; the exceptions that it raised.
        """
        news = _News(self.context, self._before)
        observers = [(token, observer) for token in tokens if (observer := token.observer) is not None]
        whole = [(token, observer, news.since(token, observer)) for token, observer in observers]
        waiting = {due.observer: due for due in self._due}
        self._due.clear()
        errors: list[Exception] = []
        try:
            for token, observer, affected in whole:
                if self.context.closed:
                    return []
                change = self._worked_out(token, observer, affected, errors)
                earlier = waiting.pop(observer, None)
                self._enqueue(token, observer, change, None if earlier is None else earlier.change)
        finally:
            self._due.extend(waiting.values())  # of those that were not reached
        looking_back = any(observer.looks_back for _, observer in observers)
        if looking_back or self._before.snapshot is not None:
            self._before.hold(self.context.pinned() if looking_back else None)
        return errors

    def _worked_out(self, token: ObserverToken, observer: Observer, affected: Affected, errors: list[Exception]) -> Any:
        """What is new to one observer. If that fails, it will be told later, when everything is compared."""
        if observer.finished:
            return None
        state = observer.state()
        outer, self.is_preparing = self.is_preparing, True
        try:
            change = observer.prepare(affected)
        except BaseException as error:
            observer.restore(state)
            if not isinstance(error, Exception):
                raise
            errors.append(error)
            return None
        finally:
            self.is_preparing = outer
        token.is_lost = False
        return change

    def _enqueue(self, token: ObserverToken, observer: Observer, change: Any, waiting: Any) -> None:
        if isinstance(observer.listener, Inbox):  # no code of the application runs
            if change is not None:
                observer.listener.receive(observer.shown(change))
            if observer.finished:
                token.invalidate()
            return
        if waiting is not None:
            change = waiting if change is None else merged(waiting, change)
        if change is not None and (change.initial or not change.is_empty):
            self._due.append(_Due(ref(token), observer, change))

    def _alive(self) -> list[ObserverToken]:
        alive = [token for known in self._tokens if (token := known()) is not None and token.is_valid]
        if len(alive) < len(self._tokens):
            self._tokens = [ref(token) for token in alive]
        return alive

    def tell_realm(self, event: str, left_out: Collection[NotificationToken] = ()) -> list[Exception]:
        """Call the Realm observers, but for those of the tokens ``left_out``; the exceptions they raised."""
        errors: list[Exception] = []
        self._realm_tokens = [
            known for known in self._realm_tokens if (token := known()) is not None and token.is_valid
        ]
        with self._round():
            for known in self._realm_tokens[:]:
                token = known()
                listener = token.listener if token is not None and token not in left_out else None
                if listener is not None:
                    self._tell(listener, event, errors)
        return errors

    def _tell(self, listener: Listener, event: str, errors: list[Exception]) -> None:
        if isinstance(listener, Inbox):
            listener.receive(RealmChange(self.context.version, (event,)))
        else:
            _call(listener, self.context.realm, event, errors)

    # --- leaving out, and ending --------------------------------------------------------------------------------------

    def own(self, tokens: Iterable[NotificationToken]) -> list[NotificationToken]:
        """The tokens, if they are of this Realm. Raises IllegalOperationError otherwise."""
        found = list(tokens)
        for token in found:
            if not isinstance(token, ObserverToken | _RealmToken) or token.owner is not self:
                raise IllegalOperationError("without_notifying takes tokens of observers of the same Realm")
        return found

    def skip(self, tokens: Iterable[NotificationToken]) -> list[Exception]:
        """The commit just made is no news to these (spec/sdk.md §5.2); the exceptions of code of the application.

        One that was not told yet what happened before it, because the commit came from a callback, is told all of it.
        """
        context = self.context
        errors: list[Exception] = []
        for token in tokens:
            observer = token.observer if isinstance(token, ObserverToken) else None
            if not isinstance(token, ObserverToken) or observer is None or not observer.started:
                continue
            news = context.pending[token.start :]
            if len(news) == 1 and not token.is_lost:
                failed = len(errors)
                if context.group is not None:
                    self._uncertain.append((observer, observer.state()))
                self._worked_out(token, observer, Affected(context, news[0], self._before.of(observer)), errors)
                if len(errors) > failed:
                    continue
                token.start = len(context.pending)
                if observer.looks_back and context.group is None:
                    self._before.hold_for(observer, context.pinned())
                if observer.finished:
                    token.invalidate()
        return errors

    def settled(self, stored: bool) -> None:
        """A group of commits was stored, or not: then nobody knows of them."""
        uncertain, self._uncertain = self._uncertain, []
        if not stored:
            for observer, state in reversed(uncertain):
                observer.restore(state)

    def close(self) -> None:
        """The Realm is closed: there will be no further call."""
        tokens: list[NotificationToken | None] = [known() for known in self._tokens]
        for token in [*tokens, *(known() for known in self._realm_tokens)]:
            if token is not None:
                token.invalidate()
        self._tokens, self._realm_tokens = [], []
        self._due.clear()
        self._before.release()


def _check_callback(listener: Listener) -> None:
    """Raises TypeError for what cannot be called in a round of notifications."""
    if isinstance(listener, Inbox):
        return
    if not callable(listener):
        raise TypeError(f"observe() takes a function to be called, got {listener!r}")
    if inspect.iscoroutinefunction(listener):
        raise TypeError("observe() takes a plain function; in a coroutine use 'async for change in ….changes():'")


def _call(listener: Callable[[Any, Any], object], observed: Any, change: Any, errors: list[Exception]) -> None:
    try:
        listener(observed, change)
    except Exception as error:  # noqa: BLE001 - whatever the application's code raises must not stop the round
        errors.append(error)
