"""Write transactions that keep nobody waiting (spec/sdk.md §5.3).

The writer lock is waited for on another thread; then the blocks of the queue run one after the other in the context of
the Realm. A commit is seen by everybody at once and reaches the disk in the background; who wants to know is told.
Commits in groups are one transaction of the database: a crash keeps all of a group, or none.

Who begins to write without queueing goes first: requests of the same thread for the lock are withdrawn, since their
blocks could not run before he has finished, and made anew afterwards.

A Realm that is synced commits durably at once, so that the server never knows more than the file does.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from syncline.errors import ClosedRealmError, RealmError, WriteTimeoutError, WrongTransactionStateError
from syncline.realm.lock_requests import LockRequest
from syncline.realm.schedulers import AsyncioScheduler
from syncline.storage.groups import make_durable

if TYPE_CHECKING:
    from syncline.realm.context import Context
    from syncline.realm.delivery import Delivery
    from syncline.realm.realm import Realm
    from syncline.realm.tokens import NotificationToken
    from syncline.storage.file import RealmFile
    from syncline.storage.transaction import WriteTransaction

__all__ = ["AsyncTransaction", "AsyncWrites", "PendingWrite", "RealmAsyncWrites", "giving_way"]

P = ParamSpec("P")
T = TypeVar("T")
Done = Callable[[Exception | None], object]

#: Commits that share one way to the disk.
_GROUP: Final = 20
#: Seconds after which a transaction that awaits is mentioned in the log: nobody else can write meanwhile.
_LONG: Final = 1.0

_log: Final = logging.getLogger("syncline.realm")


class PendingWrite(Future[T]):
    """The outcome of :meth:`Realm.write_soon`: there once the transaction is durable. Can be awaited and cancelled."""

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self).__await__()


class _Block:
    """What is to run in a transaction.

    ``fail`` is told why it could not. ``stays_open``: it ends its transaction later.
    """

    def __init__(
        self,
        number: int,
        run: Callable[[], object],
        fail: Callable[[Exception], object],
        stays_open: bool = False,
        is_dropped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.number = number
        self.run = run
        self.fail = fail
        self.stays_open = stays_open
        self.is_dropped = is_dropped


class _Commit:
    """A commit that is on its way to the disk."""

    def __init__(self, number: int, done: Done | None) -> None:
        self.number = number
        self.done = done


class AsyncWrites:
    """The queue of one Realm."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm
        self._context = realm._context
        self._numbers = 0
        self._queue: deque[_Block] = deque()
        self._request: LockRequest | None = None
        self._runs = False
        #: committed, but in a group that is not stored yet; stored, but perhaps not durable; on the way just now
        self._grouped: list[_Commit] = []
        self._unsynced: list[_Commit] = []
        self._syncing: list[_Commit] = []
        self.is_completing = False
        self._context.on_settled = self._settled

    @property
    def is_pending(self) -> bool:
        """Whether anything waits to run or to become durable."""
        waiting = any(not block.is_dropped() for block in self._queue)
        return waiting or bool(self._grouped or self._unsynced or self._syncing)

    # --- the queue ----------------------------------------------------------------------------------------------------

    def number(self) -> int:
        """A new one, for a block or a commit."""
        self._numbers += 1
        return self._numbers

    def submit(self, block: _Block) -> int:
        """Have it run in a transaction of its own."""
        self._queue.append(block)
        self.ask()
        return block.number

    def ask(self) -> None:
        """Wait for the writer lock, if there is something to run and no transaction is under way."""
        context = self._context
        if self._queue and self._request is None and not self._runs and context.tx is None and not context.closed:
            held_back = _giving_way.get((context.thread, id(context.file)))
            if held_back is not None:
                if self not in held_back:
                    held_back.append(self)
                return
            scheduler = self._realm._delivery.scheduler
            _asking.append(self)
            self._request = LockRequest(context.file, lambda granted: scheduler.invoke(lambda: self._granted(granted)))

    def withdraw(self) -> bool:
        """Do not wait for the lock; whether that was so."""
        request, self._request = self._request, None
        if request is None:
            return False
        _asking.remove(self)
        request.withdraw()
        return True

    def cancel(self, number: int) -> bool:
        """See :meth:`RealmAsyncWrites.async_cancel`."""
        for block in self._queue:
            if block.number == number:
                self._queue.remove(block)
                return True
        for commit in [*self._grouped, *self._unsynced, *self._syncing]:
            if commit.number == number:
                commit.done = None
        return False

    def _granted(self, request: LockRequest) -> None:
        """The lock is there; in the context of the Realm."""
        if self._request is not request:
            return
        if request.error is not None:
            self._forget_request()
            self._fail_all(request.error)
            return
        try:
            self._realm._catch_up()  # may run code of the application, which may begin to write: that withdraws
        except Exception as error:  # noqa: BLE001 - an observer's; the blocks have nothing to do with it
            self._realm._report([error])
        if self._request is not request:
            return
        try:
            self._realm._check_versions()
        except RealmError as error:
            self.withdraw()
            self._fail_all(error)
            return
        self._forget_request()
        tx = request.take()
        if tx is not None:
            self._run(tx)
            self.ask()

    def _forget_request(self) -> None:
        self._request = None
        _asking.remove(self)

    def _next(self) -> _Block | None:
        while self._queue:
            block = self._queue.popleft()
            if not block.is_dropped():
                return block
        return None

    def _goes_on(self) -> bool:
        """Whether the next block may run in the same group: not one that ends its transaction later."""
        following = next((block for block in self._queue if not block.is_dropped()), None)
        return following is not None and not following.stays_open

    def _run(self, tx: WriteTransaction) -> None:
        """Run blocks: one, and more as long as they commit in a group."""
        context = self._context
        try:
            context.adopt(tx, relaxed=True)
        except RealmError as error:  # the version does not fit, for any of them
            self._fail_all(error)
            return
        self._runs = True
        try:
            for _ in range(_GROUP):
                block = self._next()
                if block is None:
                    context.rollback()
                    break
                self._run_block(block)
                if block.stays_open or context.closed or context.group is None or not self._goes_on():
                    break
                context.adopt(context.file.begin_next(), relaxed=True)
            if context.tx is None and not context.closed:
                context.settle()
            elif context.group is not None and not context.closed:
                context.rollback()
        except RealmError as error:  # nothing of the group was kept: each of its commits is told
            self._realm._report([error])
        finally:
            self._runs = False

    def _run_block(self, block: _Block) -> None:
        realm = self._realm
        try:
            block.run()
        except Exception as error:  # noqa: BLE001 - whatever the application's code raises
            if realm.in_write:
                realm.cancel_write()
            block.fail(error)
            return
        if realm.in_write and not block.stays_open:
            realm.cancel_write()

    def _fail_all(self, error: Exception) -> None:
        while self._queue:
            self._queue.popleft().fail(error)

    # --- to the disk --------------------------------------------------------------------------------------------------

    def commit(self, done: Done | None, allow_grouping: bool, without_notifying: Iterable[NotificationToken]) -> int:
        """See :meth:`RealmAsyncWrites.async_commit`."""
        context, commit = self._context, _Commit(self.number(), done)
        if context.group is not None or (allow_grouping and self._runs):
            self._grouped.append(commit)
            try:
                self._realm._commit(context.commit_in_group, without_notifying)
            except BaseException as error:
                self._grouped.remove(commit)
                self._settled(error)
                raise
            if not allow_grouping:
                context.settle()
        else:
            self._realm._commit(lambda: context.commit(waits=False), without_notifying)
            self._unsynced.append(commit)
            self._sync()
        return commit.number

    def _settled(self, error: BaseException | None) -> None:
        """A group was stored, or was not."""
        commits, self._grouped = self._grouped, []
        if error is not None:
            self._complete(commits, error if isinstance(error, Exception) else RealmError(str(error)))
            return
        self._unsynced += commits
        realm = self._realm
        if realm._sync is not None:
            realm._sync.local_commit(self._context.version)
        realm._delivery.wake()
        self._sync()

    def _sync(self) -> None:
        """See to it that what was stored becomes durable, on another thread; one at a time."""
        if self._syncing or not self._unsynced:
            return
        batch, self._unsynced = self._unsynced, []
        self._syncing = batch
        scheduler, file = self._realm._delivery.scheduler, self._context.file

        def run() -> None:
            error = _make_durable(file)
            try:
                scheduler.invoke(lambda: self._synced(batch, error))
            except RuntimeError:
                _log.debug("nobody is left to be told that a commit is durable")

        threading.Thread(target=run, name="syncline-sync", daemon=True).start()

    def _synced(self, batch: list[_Commit], error: Exception | None) -> None:
        if self._syncing is batch:
            self._syncing = []
            self._complete(batch, error)
            self._sync()

    def _complete(self, commits: list[_Commit], error: Exception | None) -> None:
        self.is_completing = True
        try:
            for commit in commits:
                done, commit.done = commit.done, None
                if done is not None:
                    self._tell(done, error)
        finally:
            self.is_completing = False

    def _tell(self, done: Done, error: Exception | None) -> None:
        try:
            done(error)
        except Exception as another:  # noqa: BLE001 - whatever the application's code raises
            self._realm._report([another])

    def end(self) -> None:
        """The Realm was closed: what was committed becomes durable now, what did not run never will."""
        self.withdraw()
        commits = [*self._syncing, *self._unsynced]
        self._syncing, self._unsynced = [], []
        if commits:
            self._complete(commits, _make_durable(self._context.file))
        self._fail_all(ClosedRealmError(f"the Realm {self._context.file.path} was closed before the block could run"))


def _make_durable(file: RealmFile) -> Exception | None:
    try:
        if file.writer.can_relax:
            make_durable(file.path)
    except RealmError as error:
        return error
    return None


#: Queues that wait for a writer lock.
_asking: Final[list[AsyncWrites]] = []
#: Where somebody begins to write without queueing, by thread and file: the queues that ask once he has begun. If they
#: asked before, the lock would be granted to a queue that cannot run while he waits for it.
_giving_way: Final[dict[tuple[int, int], list[AsyncWrites]]] = {}


@contextmanager
def giving_way(realm: Realm) -> Iterator[None]:
    """While a transaction begins without queueing: queues of the same thread and file do not wait for the lock."""
    realm._refuse_in_completion()
    context = realm._context
    context.settle()
    place = get_ident(), id(context.file)
    held_back, is_outermost = _giving_way.get(place), place not in _giving_way  # observers who are told may write too
    if held_back is None:
        held_back = _giving_way[place] = []
    mine = [each for each in _asking if (each._context.thread, id(each._context.file)) == place]
    held_back += [each for each in mine if each.withdraw()]
    try:
        yield
    finally:
        if is_outermost:
            del _giving_way[place]
            for each in held_back:
                each.ask()


class AsyncTransaction:
    """``async with realm.write_async():`` — see :meth:`RealmAsyncWrites.write_async`."""

    def __init__(
        self, realm: Realm, timeout: float | None, without_notifying: Iterable[NotificationToken] = ()
    ) -> None:
        self._realm = realm
        self._timeout = timeout
        self._without_notifying = list(without_notifying)
        self._ready: asyncio.Future[None] | None = None
        self._is_mine = False
        self._warning: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> AsyncTransaction:
        realm = self._realm
        realm._context.observers.own(self._without_notifying)
        loop = asyncio.get_running_loop()
        self._ready = ready = loop.create_future()
        writes = realm._queue_of_writes()
        number = writes.submit(_Block(writes.number(), self._hand_over, self._fail, stays_open=True))
        try:
            await asyncio.wait_for(ready, self._timeout)
        except BaseException as error:
            writes.cancel(number)
            if self._is_mine:
                self._is_mine = False
                realm.cancel_write()
            if isinstance(error, TimeoutError):
                raise WriteTimeoutError(
                    f"another write transaction on {realm.path} did not end within {self._timeout} s"
                ) from None
            raise
        self._warning = loop.call_later(_LONG, self._warn)
        return self

    def _hand_over(self) -> None:
        assert self._ready is not None
        if self._ready.done():  # whoever waited was cancelled
            self._realm.cancel_write()
        else:
            self._is_mine = True
            self._ready.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)

    def _warn(self) -> None:
        _log.warning(
            "a write_async block on %s has run for more than %s s: nobody else can write meanwhile; await what takes "
            "long before it",
            self._realm.path,
            _LONG,
        )

    def cancel(self) -> None:
        """Undo everything now; the end of the block then does nothing."""
        if not self._is_mine:
            raise WrongTransactionStateError("this write transaction has ended already")
        self._is_mine = False
        self._realm.cancel_write()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._warning is not None:
            self._warning.cancel()
        runs, self._is_mine = self._is_mine and self._realm.in_write, False
        if not runs:
            return
        if error is not None:
            self._realm.cancel_write()
            return
        durable: PendingWrite[None] = PendingWrite()
        self._realm.async_commit(_resolver(durable, None), without_notifying=self._without_notifying)
        await asyncio.shield(asyncio.wrap_future(durable))


def _resolver(future: PendingWrite[T], value: T) -> Done:
    def resolve(error: Exception | None) -> None:
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    return resolve


class RealmAsyncWrites:
    """The part of :class:`~syncline.Realm` that writes in the background, and joins transactions."""

    if TYPE_CHECKING:
        _context: Context
        _delivery: Delivery

        @property
        def in_write(self) -> bool: ...

        def write(self) -> Any: ...

    _writes: AsyncWrites | None = None

    def write_async(
        self, *, timeout: float | None = None, without_notifying: Iterable[NotificationToken] = ()
    ) -> AsyncTransaction:
        """A write transaction that does not block the event loop: ``async with realm.write_async(): …``.

        Waits its turn in the queue of the Realm; at the end of the block the commit is durable. The block may await,
        but nothing that needs to write to the same file; a warning is logged if it takes longer than a second.
        Otherwise as :meth:`write`. Raises WrongTransactionStateError for a frozen or read-only Realm, and for one that
        does not belong to a loop.
        """
        return AsyncTransaction(cast("Realm", self), timeout, without_notifying)

    async def run_write(self, function: Callable[[], T], *, allow_grouping: bool = False) -> T:
        """Call ``function`` in a write transaction as soon as possible: ``dog = await realm.run_write(make_dog)``.

        What it returns, once the commit is durable. What it raises is raised here, and undoes the transaction.
        """
        return await self.write_soon(function, allow_grouping=allow_grouping)

    def write_soon(self, function: Callable[[], T], *, allow_grouping: bool = False) -> PendingWrite[T]:
        """Have ``function`` called in a write transaction, after those asked for before; returns at once.

        The returned future holds what it returns, once the commit is durable, or what went wrong. Cancelling the future
        before its turn comes takes it from the queue. ``allow_grouping``: as for :meth:`async_commit`.
        """
        if inspect.iscoroutinefunction(function):
            raise TypeError("write_soon and run_write take a plain function; to await, use 'async with write_async():'")
        writes = self._queue_of_writes()
        outcome: PendingWrite[T] = PendingWrite()

        def run() -> None:
            if not outcome.set_running_or_notify_cancel():
                return
            value = function()
            if self.in_write:
                self.async_commit(_resolver(outcome, value), allow_grouping=allow_grouping)
            else:  # it ended the transaction itself
                outcome.set_result(value)

        def fail(error: Exception) -> None:
            if not outcome.done() and (outcome.running() or outcome.set_running_or_notify_cancel()):
                outcome.set_exception(error)

        writes.submit(_Block(writes.number(), run, fail, is_dropped=outcome.cancelled))
        return outcome

    def async_begin(self, block: Callable[[], object], on_error: Callable[[Exception], object] | None = None) -> int:
        """Have ``block`` called in a write transaction, in order; its number, for :meth:`async_cancel`.

        It ends the transaction with :meth:`async_commit`, ``commit_write`` or ``cancel_write``; where it does not, it
        is cancelled. What it raises cancels too, and is given to ``on_error``, or treated as that of a callback.
        """
        writes = self._queue_of_writes()
        realm = cast("Realm", self)
        report = on_error or (lambda error: realm._report([error]))
        return writes.submit(_Block(writes.number(), block, report))

    def async_commit(
        self,
        done: Done | None = None,
        *,
        allow_grouping: bool = False,
        without_notifying: Iterable[NotificationToken] = (),
    ) -> int:
        """Commit without waiting for the disk; its number, for :meth:`async_cancel`.

        ``done(error)`` is called in the context of the Realm once it is durable: with None, or with what went wrong.
        ``allow_grouping``: together with the blocks after it, up to 20 in all, which is much quicker; a crash keeps all
        of them, or none, and others see them together. ``done`` must not begin or end write transactions.
        """
        return self._queue_of_writes(in_write=True).commit(done, allow_grouping, without_notifying)

    def async_cancel(self, number: int) -> bool:
        """Take a block that has not run yet from the queue: True. Of a commit, ``done`` is not called: False."""
        self._context.check()
        self._refuse_in_completion()
        return self._writes is not None and self._writes.cancel(number)

    @property
    def has_pending_async_work(self) -> bool:
        """Whether blocks wait for their turn, or commits to become durable."""
        return self._writes is not None and self._writes.is_pending

    def transactional(self, function: Callable[P, T]) -> Callable[P, T]:
        """A decorator: the function joins the running write transaction of this Realm, or is one by itself.

        ::

            @realm.transactional
            def rename(dog: Dog, name: str) -> None:
                dog.name = name
        """
        if inspect.iscoroutinefunction(function):
            raise TypeError(
                "transactional is for plain functions; in a coroutine use 'async with realm.write_async():'"
            )

        @functools.wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> T:
            if self.in_write:
                return function(*args, **options)
            with self.write():
                return function(*args, **options)

        return call

    def _queue_of_writes(self, in_write: bool = False) -> AsyncWrites:
        """The queue. Raises WrongTransactionStateError where nothing can be queued."""
        context, realm = self._context, cast("Realm", self)
        context.check()
        self._refuse_in_completion()
        if in_write:
            context.writing()
        if context.frozen:
            raise WrongTransactionStateError("a frozen Realm does not change; use realm.thaw() to write")
        if realm.config.read_only:
            raise WrongTransactionStateError(f"{realm.path} was opened read-only")
        scheduler = self._delivery.scheduler
        if not scheduler.can_invoke() or (isinstance(scheduler, AsyncioScheduler) and scheduler.is_suspended):
            raise WrongTransactionStateError(
                "this Realm does not belong to an event loop that runs and could run the transaction later; use write()"
            )
        if self._writes is None:
            self._writes = AsyncWrites(realm)
        return self._writes

    def _refuse_in_completion(self) -> None:
        if self._writes is not None and self._writes.is_completing:
            raise WrongTransactionStateError("a completion callback cannot begin or end write transactions")

    def _after_write(self) -> None:
        if self._writes is not None:
            self._writes.ask()

    def _end_async_writes(self) -> None:
        if self._writes is not None:
            self._writes.end()
