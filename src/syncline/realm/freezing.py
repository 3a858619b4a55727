"""Freezing and thawing: the same data at one version for good, and back (spec/sdk.md §4.4).

What is frozen can be used on every thread, links to what is frozen, and keeps its version alive. All who freeze one
version of a file with the same classes share one frozen Realm. A frozen object is found again by its row in the live
Realm of the thread, or event loop, that thaws it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self, cast
from weakref import WeakValueDictionary

from syncline.errors import InvalidatedObjectError
from syncline.query.ast import Always, Query

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context
    from syncline.realm.converters import Converter
    from syncline.realm.models import Model
    from syncline.realm.realm import Realm
    from syncline.storage.query_run import Source
    from syncline.storage.refs import CollectionRef

__all__ = ["CollectionFreezing", "ModelFreezing", "ResultsFreezing", "bring_up", "counterpart", "frozen_of", "live_of"]

_frozen: Final[WeakValueDictionary[tuple[object, ...], Realm]] = WeakValueDictionary()
_guard = threading.RLock()  # a finalizer may freeze in the middle


def frozen_of(realm: Realm) -> Realm:
    """The frozen Realm of the version that ``realm`` is at.

    Raises WrongTransactionStateError inside a write transaction.
    """
    context = realm._context
    context.check()
    if context.frozen:
        return realm
    snapshot = context.pinned()
    key = (id(context.file), snapshot.version, _classes(context.classes.models))
    with _guard:
        known = _frozen.get(key)
        if known is not None and not known.is_closed and known._context.file is context.file:
            snapshot.release()
            return known
        frozen = type(realm)._beside(realm._config, context.file, context.classes.models, snapshot)
        frozen._context.pins.admission = context.pins.admission.again()
        frozen._sync = realm._sync
        _frozen[key] = frozen
    return frozen


def _classes(models: Mapping[str, Any] | None) -> frozenset[Any] | None:
    return None if models is None else frozenset(models.values())


def live_of(realm: Realm) -> Realm:
    """The live Realm of this thread or event loop that has the same file and classes; opened if there is none."""
    context = realm._context
    if not context.frozen:
        return realm
    context.check()
    known = context.pins.admission.here()
    if (
        known is not None
        and not known.is_closed
        and known._context.file is context.file
        and known._context.classes.models == context.classes.models
    ):
        return known
    admission = context.pins.admission.again()
    live = type(realm)._make(realm._config, context.file.share(), context.classes.models, admission, True)
    admission.remember(live)
    return live


def bring_up(realm: Realm, version: int) -> None:
    """See that a live Realm is not older than ``version``, where that is possible now."""
    context = realm._context
    if context.tx is not None or context.version >= version or realm.refresh() or context.observers.is_preparing:
        return
    realm._report(realm._follow()[1])  # inside a callback: other observers are told in the next round


def _thawed(realm: Realm) -> Realm:
    """The live Realm for what is frozen in ``realm``, at the same version or a newer one."""
    live = live_of(realm)
    bring_up(live, realm._context.version)
    return live


def counterpart(binding: Binding, context: Context) -> Binding:
    """The same class of the same file in another Realm."""
    if binding.is_missing:
        return context.classes.of(binding.model)
    return context.classes.binding(binding.info.id)


class ModelFreezing:
    """The part of :class:`~syncline.Model` that goes from live to frozen and back."""

    __slots__ = ()

    if TYPE_CHECKING:
        _binding: Binding | None
        _key: int

    @property
    def is_frozen(self) -> bool:
        """Whether the object stays as it is for good; see :meth:`freeze`."""
        return self._binding is not None and self._binding.context.frozen

    def freeze(self) -> Self:
        """The object as it is now, for good, usable on every thread; so is everything it links to.

        Raises InvalidatedObjectError for an object that is in no Realm or deleted, WrongTransactionStateError inside a
        write transaction.
        """
        binding = self._binding
        if binding is None:
            raise InvalidatedObjectError(f"{self!r} is in no Realm; add it to one before you freeze it")
        binding.check_valid(cast("Model", self))
        if binding.context.frozen:
            return self
        frozen = frozen_of(binding.context.realm)
        return cast(Self, counterpart(binding, frozen._context).object_at(self._key))

    def thaw(self) -> Self | None:
        """The live object, in the Realm of this thread or event loop; None if it was deleted. A live one is itself.

        A Realm that is opened for this stays open as long as the object is kept.
        """
        binding = self._binding
        if binding is None or not binding.context.frozen:
            return self
        live = counterpart(binding, _thawed(binding.context.realm)._context)
        found = live.object_at(self._key)
        return cast(Self, found) if live.is_valid(found) else None


class ResultsFreezing:
    """The part of :class:`~syncline.Results` that goes from live to frozen and back."""

    if TYPE_CHECKING:
        _binding: Binding
        _context: Context
        _query: Query
        _source: Source

        def _source_exists(self) -> bool: ...

    @property
    def is_frozen(self) -> bool:
        """Whether the results stay as they are for good; see :meth:`freeze`."""
        return self._context.frozen

    def freeze(self) -> Self:
        """The results as they are now, for good, usable on every thread. Raises WrongTransactionStateError inside a
        write transaction.
        """
        if self._context.frozen:
            return self
        frozen = frozen_of(self._context.realm)
        if not self._source_exists():
            return self._in(frozen, Query(Always(False)), None)
        return self._in(frozen, self._query, self._source)

    def thaw(self) -> Self:
        """The same query in the live Realm of this thread or event loop. Live results are themselves."""
        if not self._context.frozen:
            return self
        return self._in(_thawed(self._context.realm), self._query, self._source)

    def _in(self, realm: Realm, query: Query, source: Source) -> Self:
        binding = counterpart(self._binding, realm._context)
        return type(self)(binding, query, source)  # type: ignore[call-arg]


class CollectionFreezing:
    """The part of live collections that goes from live to frozen and back."""

    if TYPE_CHECKING:
        _context: Context
        _converter: Converter
        _epoch: int
        _reference: CollectionRef

        @classmethod
        def _make(cls, context: Context, reference: CollectionRef, converter: Converter) -> Self: ...

        @property
        def is_valid(self) -> bool: ...

    @property
    def is_frozen(self) -> bool:
        """Whether the collection stays as it is for good; see :meth:`freeze`."""
        return self._context.frozen

    def freeze(self) -> Self:
        """The collection as it is now, for good, usable on every thread; empty if the object that had it is deleted.

        Raises WrongTransactionStateError inside a write transaction.
        """
        if self._context.frozen:
            return self
        context = frozen_of(self._context.realm)._context
        found = self._make(context, self._reference, self._converter)
        found._epoch = context.epoch  # also if its owner is gone: nothing is there then
        return found

    def thaw(self) -> Self | None:
        """The live collection, in the Realm of this thread or event loop; None if the object that had it was deleted.

        A live one is itself.
        """
        if not self._context.frozen:
            return self
        found = self._make(_thawed(self._context.realm)._context, self._reference, self._converter)
        return found if found.is_valid else None
