"""Realm: an open database of objects (spec/sdk.md §3–6, §12.2, §12.3).

::

    with Realm.open(RealmConfiguration("dogs.realm", schema=[Dog])) as realm:
        with realm.write():
            rex = realm.create(Dog, name="Rex", age=3)
        for dog in realm.objects(Dog).where(Dog.age > 2).sort("name"):
            print(dog.name)
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

from syncline.errors import (
    ClosedRealmError,
    LimitExceededError,
    MissingPrimaryKeyError,
    RealmError,
    WrongThreadError,
    WrongTransactionStateError,
)
from syncline.realm.async_open import AsyncOpenTask
from syncline.realm.async_writes import RealmAsyncWrites, giving_way
from syncline.realm.backend import SyncHandle, sync_backend
from syncline.realm.configuration import RealmConfiguration
from syncline.realm.context import Context, Pins
from syncline.realm.deleting import clear, delete
from syncline.realm.delivery import Delivery
from syncline.realm.exchange import RealmExchange
from syncline.realm.freezing import frozen_of, live_of
from syncline.realm.maintenance import RealmMaintenance
from syncline.realm.models import Model, ModelMeta
from syncline.realm.observers import REFRESH_REQUIRED
from syncline.realm.opening import Admission, admit, admit_anyway, configuration_of, open_file
from syncline.realm.references import RealmReferences
from syncline.realm.results import Results
from syncline.realm.schedulers import FrozenScheduler, Scheduler, current_scheduler
from syncline.realm.schema import ObjectSchema
from syncline.realm.schema_changes import SchemaMode
from syncline.realm.schema_update import fit, models_by_name
from syncline.realm.subsets import shown, with_the_rest
from syncline.realm.tokens import NotificationToken
from syncline.realm.transactions import Transaction
from syncline.realm.versions import RealmVersions
from syncline.storage.dump import content_hash
from syncline.storage.file import FileLease, RealmFile
from syncline.storage.snapshot import Snapshot

__all__ = ["Realm"]

M = TypeVar("M", bound=Model)

#: How often a write transaction begins anew because somebody else committed while observers were told.
_BEGIN_ATTEMPTS: Final = 10


class Realm(RealmVersions, RealmAsyncWrites, RealmReferences, RealmExchange, RealmMaintenance):
    """An open Realm. It belongs to the thread, or to the event loop, on which it was opened.

    It sees one version of the file, which moves when :meth:`refresh` is called, when a write transaction begins, and
    on an event loop by itself. Close it, or use it in a ``with`` block.
    """

    _config: RealmConfiguration
    _context: Context
    _sync: SyncHandle | None

    def __new__(
        cls, configuration: RealmConfiguration | str | os.PathLike[str] | Any = None, /, **options: Any
    ) -> Realm:
        """The same as :meth:`open`: ``Realm("dogs.realm", schema=[Dog])``."""
        return cls.open(configuration, **options)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Nothing is left to do."""

    # --- opening and closing ------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        configuration: RealmConfiguration | str | os.PathLike[str] | Any = None,
        /,
        *,
        scheduler: Scheduler | None = None,
        **options: Any,
    ) -> Realm:
        """Open the Realm of a configuration; the file is created if need be, and what its schema lacks is added.

        A path with the options of :class:`RealmConfiguration` will do: ``Realm.open("dogs.realm", schema=[Dog])``. So
        will a :class:`~syncline.SyncConfiguration`. Without arguments: ``RealmConfiguration.default``. ``scheduler``:
        the context that the Realm belongs to, instead of the running event loop or the thread.

        Raises SchemaError (the models are wrong, or contradict the file), ConfigurationError, FileError,
        InvalidDatabaseError, NewerFormatError, DecryptionFailedError, WrongThreadError (a scheduler of another thread).
        """
        config = configuration_of(configuration, options)
        scheduler = config.scheduler if scheduler is None else scheduler
        if scheduler is not None and not scheduler.is_on_thread():
            raise WrongThreadError("a Realm is opened on the thread of its scheduler")
        admission, realm = admit(config), None
        if config.cache:
            realm = admission.known(config)
        if realm is None:
            realm = cls._open(config, admission, scheduler=scheduler)
            admission.remember(realm)
        return realm

    @classmethod
    def open_async(
        cls,
        configuration: RealmConfiguration | str | os.PathLike[str] | Any = None,
        /,
        *,
        timeout: float | None = None,
        on_complete: Callable[[Realm | None, Exception | None], Any] | None = None,
        executor: Executor | None = None,
        **options: Any,
    ) -> AsyncOpenTask:
        """Open a Realm once everything that the server has is here; never blocks (spec/sessions.md §16).

        ::

            realm = await Realm.open_async(config)
            async with Realm.open_async(config) as realm: …             # closed at the end of the block

        Takes what :meth:`open` takes. The schema is written after the download and only if the server lacks a part of
        it, so a user who may only read can open the Realm. While there is no connection it waits and retries; while
        the session is suspended or the user logged out it waits for that to end. A Realm that is not synced is opened
        in the background: migrations and the like keep nobody waiting.

        Args:
            timeout: seconds until it is given up with TimeoutError; by default it waits for as long as it takes.
            on_complete: ``on_complete(realm, error)``, called once: with the Realm, or with None and why there is none
                (OperationCancelledError after :meth:`AsyncOpenTask.cancel`). Where it runs the Realm belongs: on the
                running event loop; without one, or with ``executor``, on a thread.
            executor: calls ``on_complete`` on one of its threads.

        The task needs not be kept. What awaiting it raises, or the callback gets: all that :meth:`open` raises, the
        session's error if that ends it (a refused user, a Realm that must not be opened), OperationAbortedError if the
        user logs out, the session is suspended, or the manager shut down meanwhile. Raises TypeError if nobody could be
        given the Realm: outside of an event loop and without ``on_complete``.
        """
        config = configuration_of(configuration, options)
        return AsyncOpenTask(config, cls.open, cls._beside, timeout=timeout, on_complete=on_complete, executor=executor)

    @classmethod
    def _open_for_session(cls, config: RealmConfiguration) -> Realm:
        """A Realm of a synced file for the session itself, which gives it to callbacks and outlives it."""
        return cls._open(config, admit_anyway(), is_attached=False)

    @classmethod
    def _open(
        cls,
        config: RealmConfiguration,
        admission: Admission,
        *,
        is_attached: bool = True,
        scheduler: Scheduler | None = None,
    ) -> Realm:
        file: RealmFile | None = None
        try:
            models: Mapping[str, ModelMeta] | None = (
                None if config.schema is None else models_by_name(config.schema, config.rules)
            )
            file = open_file(config)
            if models is not None:
                fit(file, models, config, cls._beside)
                models = with_the_rest(models, file, config.schema_subset_mode)
            return cls._make(config, file, models, admission, is_attached, scheduler)
        except BaseException:
            if file is not None:
                file.close()
            admission.end()
            raise

    @classmethod
    def _make(
        cls,
        config: RealmConfiguration,
        file: RealmFile,
        models: Mapping[str, ModelMeta] | None,
        admission: Admission,
        is_attached: bool,
        scheduler: Scheduler | None = None,
    ) -> Realm:
        self = object.__new__(cls)
        pins = Pins(FileLease(file), admission)
        self._config = config
        is_followed = config.mode is not SchemaMode.IMMUTABLE
        self._auto_refresh = is_followed
        self._context = context = Context(self, pins, models)
        self._sync = None
        self.on_callback_error = None
        me = weakref.ref(self)
        self._delivery = Delivery(scheduler or current_scheduler(), lambda: _run(me))
        self._releases = 0
        context.observers.wake = self._delivery.wake
        pins.detach = [self._delivery.close]
        if is_followed:
            pins.detach.append(file.on_commit(lambda version: _committed(me)))
        if config.sync is not None and is_attached:
            try:
                self._sync = sync_backend().attach(config.sync, pins.lease, config)
            except BaseException:
                for detach in pins.detach:
                    detach()
                raise
            pins.sync = self._sync
        weakref.finalize(context, pins.release, True).atexit = False
        if not is_followed:
            context.reader()  # what is seen is what the file was when it was opened
        return self

    @classmethod
    def _beside(
        cls,
        config: RealmConfiguration,
        file: RealmFile,
        models: Mapping[str, ModelMeta] | None,
        snapshot: Snapshot | None = None,
    ) -> Realm:
        """One more Realm of an open file, for a function that takes part in opening it; at one version if frozen."""
        self = object.__new__(cls)
        pins = Pins(FileLease(file.share()), admit_anyway(), snapshot)
        self._config = config
        self._auto_refresh = False
        self._context = Context(self, pins, models)
        self._sync = None
        self.on_callback_error = None
        self._delivery = Delivery(FrozenScheduler(), lambda: None)
        self._releases = 0
        weakref.finalize(self._context, pins.release, True).atexit = False
        return self

    def close(self) -> None:
        """Give the file back. A running write transaction is cancelled; objects and results cannot be used any more.

        Calling it again does nothing. Raises WrongThreadError.
        """
        context = self._context
        if context.closed:
            return
        context.check()
        context.close()
        self._end_async_writes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        context = self._context
        state = " (closed)" if context.closed else " (frozen)" if context.frozen else ""
        return f"<Realm {self.path}{state}>"

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def config(self) -> RealmConfiguration:
        """The configuration it was opened with."""
        return self._config

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self._context.file.path

    @property
    def schema(self) -> list[ObjectSchema]:
        """The classes of this Realm: those of its configuration (and the rest, if its ``schema_subset_mode`` says so),
        or all that the file has.
        """
        context = self._context
        return shown(context.classes.requested(), self._config.schema_subset_mode, lambda: context.reader().catalogue)

    @property
    def dynamic(self) -> Self:
        """The Realm for those who know classes and properties by name: ``realm.dynamic.objects("Dog")[0]["name"]``.

        Every Realm understands names, so this is the Realm itself; one that was opened without a schema has whatever
        the file has, and follows what others make of it.
        """
        return self

    @property
    def version(self) -> int:
        """The version that is seen; each commit makes one."""
        return self._context.version

    @property
    def number_of_versions(self) -> int:
        """Versions of the file that this process keeps alive, and the newest."""
        return self._context.file.number_of_versions

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._context.closed

    @property
    def is_frozen(self) -> bool:
        """Whether it stays at one version for good; see :meth:`freeze`."""
        return self._context.frozen

    @property
    def in_write(self) -> bool:
        """Whether a write transaction of this Realm runs."""
        return self._context.tx is not None

    @property
    def is_empty(self) -> bool:
        """Whether no class has an object (classes whose names begin with ``__`` do not count)."""
        reader = self._context.reader()
        with self._context.lock:
            classes = [info for name, info in reader.catalogue.classes.items() if not name.startswith("__")]
            return not any(reader.count(info) for info in classes)

    def content_hash(self) -> str:
        """SHA-256 of everything the Realm holds, in its canonical form: equal on every device that holds the same.

        Classes, objects, values and links count; versions, local row numbers and files do not. Reads everything.
        """
        reader = self._context.reader()
        with self._context.lock:
            return content_hash(reader)

    @property
    def sync_session(self) -> Any:
        """The :class:`~syncline.SyncSession` of this file; None for a Realm that is not synced."""
        self._context.check()
        return None if self._sync is None else self._sync.session

    # --- reading ------------------------------------------------------------------------------------------------------

    @overload
    def objects(self, cls: type[M]) -> Results[M]: ...
    @overload
    def objects(self, cls: str) -> Results[Any]: ...
    def objects(self, cls: type[M] | str) -> Results[M] | Results[Any]:
        """All objects of a class, in the order they were created; narrow them down with ``where``, ``sort``, ``limit``.

        Raises SchemaError for a class that is not in the schema, InvalidPropertyError for an unknown name.
        """
        return Results(self._context.classes.of(cls))

    @overload
    def get(self, cls: type[M], key: Any) -> M | None: ...
    @overload
    def get(self, cls: str, key: Any) -> Any: ...
    def get(self, cls: type[M] | str, key: Any) -> Any:
        """The object with that primary key, or None.

        Raises TypeMismatchError for a key of another type, MissingPrimaryKeyError if the class has no primary key.
        """
        context = self._context
        binding = context.classes.of(cls)
        if binding.is_missing:
            return None
        attribute = binding.plan().key
        if attribute is None:
            raise MissingPrimaryKeyError(f"{binding.name} has no primary key; use objects({binding.name}).where(…)")
        if type(key) is not attribute.converter.exact:
            key = attribute.converter.store(key, context)
        return binding.get(key)

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(
        self, *, timeout: float | None = None, without_notifying: Iterable[NotificationToken] = ()
    ) -> Transaction:
        """A write transaction: ``with realm.write(): …``. Everything in it happens, or nothing.

        It begins at the newest version, after observers were told what happened so far. Waits for other writers, at
        most ``timeout`` seconds. The observers of the tokens ``without_notifying`` are not told of this commit, as they
        know already; what comes after it they are told as ever (spec/sdk.md §5.2).

        Raises WriteTimeoutError, WrongTransactionStateError (in one already), DiskFullError (at the end),
        IllegalOperationError (tokens of another Realm).
        """
        return Transaction(self, timeout, without_notifying)

    def begin_write(self, timeout: float | None = None) -> Transaction:
        """Start a write transaction that :meth:`commit_write` or :meth:`cancel_write` ends, or what is returned does.

        Raises what :meth:`write` raises at its beginning.
        """
        context = self._context
        context.check()
        if context.frozen:
            raise WrongTransactionStateError("a frozen Realm does not change; use realm.thaw() to write")
        if self._config.read_only:
            raise WrongTransactionStateError(f"{self.path} was opened read-only")
        if context.tx is not None:
            raise WrongTransactionStateError("this Realm is in a write transaction already; transactions do not nest")
        self._check_versions()
        with giving_way(self):
            self._begin(timeout)
        return Transaction(self, timeout, begun=True)

    def _begin(self, timeout: float | None) -> None:
        context = self._context
        for _ in range(_BEGIN_ATTEMPTS):
            self._catch_up()
            context.check()
            seen = context.seen
            context.begin(timeout)
            if context.seen == seen or not context.observers.any:
                return
            context.rollback()  # somebody was quicker: tell what he did first
        context.begin(timeout)

    def _check_versions(self) -> None:
        """Raise LimitExceededError if more versions are alive than the configuration allows."""
        most = self._config.max_active_versions
        if most is not None and (alive := self.number_of_versions) > most:
            raise LimitExceededError(
                f"{alive} versions of {self.path} are alive, more than max_active_versions = {most}: close frozen "
                "Realms, and refresh those that lag behind"
            )

    def _catch_up(self) -> None:
        """Before a write transaction: move to the newest version and tell observers (spec/sdk.md §9.4)."""
        observers = self._context.observers
        if observers.is_preparing:
            raise WrongTransactionStateError(
                "a key function cannot write while observers are told what changed; write in the observer"
            )
        if not observers.in_round:
            if observers.any:
                self.refresh()
        elif observers.depth > 1:
            raise WrongTransactionStateError(
                "a callback called because another one began to write cannot write itself; write after the round"
            )
        elif self._context.is_behind():
            _, errors = self._follow()
            self._raise_first(errors + observers.deliver())

    def commit_write(self, *, without_notifying: Iterable[NotificationToken] = ()) -> None:
        """Make everything that was written durable and visible to others; ``without_notifying`` as in :meth:`write`.

        Raises DiskFullError and FileError: nothing was kept. Raises WrongTransactionStateError outside a write
        transaction.
        """
        self._refuse_in_completion()
        self._commit(self._context.commit, without_notifying)

    def _commit(self, commit: Callable[[], bool], without_notifying: Iterable[NotificationToken]) -> None:
        context = self._context
        context.writing()
        skipped = context.observers.own(without_notifying)
        known = context.catalogue
        try:
            if not commit():
                return
        finally:
            self._after_write()
        errors = context.observers.skip(skipped)
        if self._sync is not None:
            self._sync.local_commit(context.version)
        self._delivery.wake()
        self._report(errors + self._tell_realm(known, skipped))

    def cancel_write(self) -> None:
        """Undo everything that was written. Objects created meanwhile become invalid."""
        self._refuse_in_completion()
        self._context.rollback()
        self._after_write()

    def delete(self, objects: Model | Iterable[Model]) -> None:
        """Delete an object, or all objects in a list, results or any other iterable. Links to them become null.

        Raises InvalidatedObjectError for an object that was deleted already or belongs elsewhere.
        """
        context = self._context
        context.writing()
        if isinstance(objects, Results):
            objects.delete_all()
        else:
            delete(context, [objects] if isinstance(objects, Model) else objects)

    def delete_all(self, cls: type[Model] | str | None = None) -> None:
        """Delete every object of a class, or of all classes."""
        context = self._context
        context.writing()
        if cls is not None:
            clear(context, context.classes.of(cls))
            return
        for info in list(context.reader().catalogue.classes.values()):
            if not info.embedded and not info.asymmetric:
                clear(context, context.classes.binding(info.id))

    # --- frozen Realms ------------------------------------------------------------------------------------------------

    def freeze(self) -> Realm:
        """The Realm as it is now, for good, usable on every thread. It keeps its version alive until it is closed.

        All who freeze one version share one frozen Realm: closing it ends it for all of them; dropping it is enough.
        Raises WrongTransactionStateError inside a write transaction.
        """
        return frozen_of(self)

    def thaw(self) -> Realm:
        """The live Realm of the file on this thread or event loop, opened if there is none; of a live one itself."""
        return live_of(self)


def _committed(me: weakref.ref[Realm]) -> None:
    """Somebody committed; called on any thread."""
    realm = me()
    if realm is not None:
        realm._delivery.wake()


def _run(me: weakref.ref[Realm]) -> None:
    """A round on the event loop."""
    realm = me()
    if realm is None or realm.is_closed or realm.in_write:
        return
    context = realm._context
    errors: list[Exception] = []
    try:
        if realm.auto_refresh:
            errors += realm._follow()[1]
        elif context.is_behind():
            errors += context.observers.tell_realm(REFRESH_REQUIRED)
        if not context.closed:
            errors += context.observers.deliver()
    except ClosedRealmError:
        return
    except RealmError as error:
        errors.append(error)
    realm._report(errors)
