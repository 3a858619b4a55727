"""The hub of one Realm: where the sessions of all its clients meet (architecture, *Group commit*, *Encoded once*).

The hub lives on the event loop; what blocks (commits, reading the log, compression) runs on worker threads, one commit
group of a Realm at a time. What the loop knows of the log is what has been committed: a version is published after it
is durable, never before.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final, Protocol, TypeVar, cast

from syncline.changesets.changeset import DownloadCursor, SaltedVersion, UploadChangeset, UploadCursor
from syncline.merge.observer import MergeObserver
from syncline.protocol.bodies import EMPTY_BODY
from syncline.protocol.errors import ErrorCode
from syncline.protocol.messages import Ident
from syncline.protocol.server_session import DownloadBatch, IdentFacts
from syncline.server.bounded_cache import BoundedCache
from syncline.server.commit_group import (
    GroupOutcome,
    IdentOperation,
    NewFileOperation,
    Operation,
    Uploader,
    UploadOperation,
    run_group,
)
from syncline.server.downloads import Chunk, OwnChanges, Scan, Tail, encode_chunk, scan
from syncline.server.integrator import Refusal
from syncline.server.log_store import ClientFile, LogStatus
from syncline.server.realm_directory import RealmRecord
from syncline.server.settings import Settings
from syncline.server.store_pool import StorePool

__all__ = ["Hub", "HubResources", "Member"]

_log = logging.getLogger("syncline.server")
T = TypeVar("T")

#: A DOWNLOAD of at most so many bytes is put together on the event loop; handing it over would cost more.
_INLINE_BYTES: Final = 8 * 1024
_INLINE_ENTRIES: Final = 64
_START: Final = DownloadCursor()
#: What remembering one chunk costs besides its body.
_CHUNK_OVERHEAD: Final = 1024
#: A tail takes at most this part of the memory for all tails.
_TAIL_SHARE: Final = 4

#: Where a session stands, as far as bodies are concerned: Realm, download cursor.
_ChunkKey = tuple[str, DownloadCursor]


class Member(Uploader, Protocol):
    """An identified session, as the hub sees it. All calls come on the event loop."""

    is_over: bool

    def advance(self, version: int) -> None:
        """The Realm has this version now."""

    def refuse(self, refusal: Refusal) -> None:
        """Its upload was not taken, and nothing it uploads will be until it binds again."""

    def supersede(self) -> None:
        """Another session has identified itself with the same client file: this one's connection is dead."""


class HubResources:
    """What all hubs of a server share: threads, open files, caches.

    ``observer`` is told, on worker threads, what the merge rules decide; it costs nothing when absent.
    """

    def __init__(
        self,
        settings: Settings,
        pool: StorePool,
        executor: ThreadPoolExecutor,
        observer: MergeObserver | None = None,
    ) -> None:
        self.settings = settings
        self.pool = pool
        self.executor = executor
        self.observer = observer
        self.tails: BoundedCache[str, Tail] = BoundedCache(settings.tail_cache_bytes)
        self.chunks: BoundedCache[_ChunkKey, Chunk] = BoundedCache(settings.body_cache_bytes)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call it on a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, function, *arguments)


class Hub:
    """One Realm. Make it with :meth:`open`; every method belongs to the event loop's thread."""

    def __init__(self, realm: RealmRecord, resources: HubResources, status: LogStatus) -> None:
        self.realm = realm
        self.head: SaltedVersion = status.head
        self._total = status.total
        self._resources = resources
        self._settings = resources.settings
        self._members: dict[int, Member] = {}
        self._cursors: dict[int, UploadCursor] = {}
        self._own: dict[int, OwnChanges] = {}
        self._queue: deque[tuple[Operation, asyncio.Future[Any] | None, int]] = deque()
        self._backlog = 0
        self._room = asyncio.Event()
        self._room.set()
        self._worker: asyncio.Task[None] | None = None
        self._scans: dict[_ChunkKey, asyncio.Task[Chunk]] = {}

    @classmethod
    async def open(cls, realm: RealmRecord, resources: HubResources) -> Hub:
        """The hub of the Realm as it was left.

        Raises:
            FileError: its file cannot be opened.
        """
        hub = cls(realm, resources, await resources.run(_read_status, resources.pool, realm))
        tail = resources.tails.get(realm.storage_id)
        if tail is not None and tail.newest != hub.head.version:
            resources.tails.discard(realm.storage_id)
        return hub

    # --- sessions ---------------------------------------------------------------------------------------------------

    async def new_client_file(self, user_id: str, login_session: str, is_subserver: bool) -> ClientFile:
        """A new client file, durable.

        Raises:
            FileError: it cannot be stored.
        """
        return cast(ClientFile, await self._submit(NewFileOperation(user_id, login_session, is_subserver)))

    async def identify(self, request: Ident, user_id: str, is_subserver: bool) -> IdentFacts:
        """What is known of the client file that IDENT names, after everything that was uploaded before.

        Raises:
            FileError: it cannot be read.
        """
        return cast(IdentFacts, await self._submit(IdentOperation(request, user_id, is_subserver)))

    def join(self, member: Member, upload: UploadCursor, download: DownloadCursor = _START) -> None:
        """The session has passed the checks of IDENT; ``upload`` is its stored cursor, ``download`` where it stands.

        An older session of the file has to go.
        """
        ident = member.file_ident
        has_own_ahead = upload.client_version > download.last_integrated_client_version
        self._own[ident] = OwnChanges(self.head.version if has_own_ahead else 0)
        older = self._members.get(ident)
        self._members[ident] = member
        self._cursors[ident] = upload
        if older is not None and older is not member:
            older.is_over = True
            older.supersede()

    def leave(self, member: Member) -> None:
        """The session has ended. What it uploaded before is still integrated."""
        if self._members.get(member.file_ident) is member:
            del self._members[member.file_ident]
            del self._cursors[member.file_ident]
            del self._own[member.file_ident]

    @property
    def is_idle(self) -> bool:
        """True if nothing waits and nobody is here."""
        return not self._members and not self._queue and self._worker is None

    # --- uploads ----------------------------------------------------------------------------------------------------

    def upload(
        self, member: Member, entries: Sequence[UploadChangeset], progress: UploadCursor, locked_version: int
    ) -> None:
        """Queue what a session uploaded. A refusal it is told; the acknowledgement is in its next DOWNLOAD."""
        size = sum(len(entry.changeset) for entry in entries) + 64
        self._enqueue(UploadOperation(member, entries, progress, locked_version), None, size)

    @property
    def is_congested(self) -> bool:
        """True while so much waits here that clients should not be read."""
        return self._backlog > self._settings.backlog_bytes

    async def room(self) -> None:
        """Wait until the hub is not congested."""
        await self._room.wait()

    async def drain(self) -> None:
        """Wait until everything queued is integrated."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    def _submit(self, operation: Operation) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self._enqueue(operation, future, 64)
        return future

    def _enqueue(self, operation: Operation, future: asyncio.Future[Any] | None, size: int) -> None:
        self._queue.append((operation, future, size))
        self._backlog += size
        if self.is_congested:
            self._room.clear()
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Commit groups, one after the other, until nothing waits."""
        try:
            while self._queue:
                operations, futures = self._take_group()
                if not operations:
                    continue
                try:
                    outcome = await self._resources.run(_commit, self._resources, self.realm, operations)
                except Exception as error:  # noqa: BLE001 - whatever it was, the sessions in the group are told
                    self._fail(operations, futures, error)
                else:
                    self._publish(outcome, futures)
        finally:
            self._worker = None

    def _take_group(self) -> tuple[list[Operation], list[asyncio.Future[Any] | None]]:
        operations: list[Operation] = []
        futures: list[asyncio.Future[Any] | None] = []
        size = 0
        while self._queue and size < self._settings.group_bytes and len(operations) < self._settings.group_uploads:
            operation, future, operation_size = self._queue.popleft()
            size += operation_size
            if isinstance(operation, UploadOperation) and cast(Member, operation.uploader).is_over:
                continue  # refused or superseded since; never acknowledged, so nothing is lost
            operations.append(operation)
            futures.append(future)
        self._backlog -= size
        if not self.is_congested:
            self._room.set()
        return operations, futures

    def _publish(self, outcome: GroupOutcome, futures: Sequence[asyncio.Future[Any] | None]) -> None:
        """The group is durable: now everybody may know."""
        self.head = outcome.status.head
        self._total = outcome.status.total
        if outcome.entries:
            tails = self._resources.tails
            name = self.realm.storage_id
            tail = tails.get(name) or Tail(self._settings.tail_cache_bytes // _TAIL_SHARE)
            tail.extend(outcome.entries)
            tails.put(name, tail, tail.size)
            for entry in outcome.entries:
                own = self._own.get(entry.origin)
                if own is not None:
                    own.add(entry.version, len(entry.changeset))
        for uploader, cursor in outcome.cursors:
            if uploader.file_ident in self._cursors:  # also if a newer session has taken the file over meanwhile
                self._cursors[uploader.file_ident] = cursor
        for uploader, refusal in outcome.refusals:
            member = cast(Member, uploader)
            member.is_over = True
            member.refuse(refusal)
        for index, future in enumerate(futures):
            if future is not None and not future.done():
                future.set_result(outcome.files.get(index) or outcome.facts[index])
        if outcome.entries:
            for member in list(self._members.values()):
                member.advance(self.head.version)

    def _fail(
        self, operations: Sequence[Operation], futures: Sequence[asyncio.Future[Any] | None], error: Exception
    ) -> None:
        """Nothing of the group was kept: everybody in it comes back later, with the same changes."""
        _log.error("a commit group of Realm %s failed: %s", self.realm.storage_id, error, exc_info=error)
        for operation, future in zip(operations, futures, strict=True):
            if future is not None and not future.done():
                future.set_exception(error)
            elif isinstance(operation, UploadOperation):
                member = cast(Member, operation.uploader)
                if not member.is_over:
                    member.is_over = True
                    member.refuse(Refusal(ErrorCode.OTHER_SESSION_ERROR, "the server could not store the changes"))

    # --- downloads --------------------------------------------------------------------------------------------------

    def download_now(self, file_ident: int, cursor: DownloadCursor) -> DownloadBatch | None:
        """The session's next DOWNLOAD if it can be had at once, otherwise None: then :meth:`download`."""
        if cursor.server_version >= self.head.version:
            return self._batch(file_ident, Chunk(cursor, self._total, False, True, frozenset(), EMPTY_BODY))
        own = self._own.get(file_ident)
        if own is not None and own.unknown_up_to:
            return None
        chunk = self._resources.chunks.get((self.realm.storage_id, cursor))
        if chunk is not None and chunk.serves(file_ident, self.head.version):
            return self._batch(file_ident, chunk)
        tail = self._resources.tails.get(self.realm.storage_id)
        entries = None if tail is None else tail.stretch(cursor.server_version, self._settings.download_bytes)
        if entries is None or len(entries) > _INLINE_ENTRIES:
            return None
        found = scan(entries, cursor, file_ident, self._settings.download_bytes)
        if found.size > _INLINE_BYTES or not self._is_sendable(found):
            return None
        return self._batch(file_ident, self._remember(cursor, encode_chunk(found)))

    async def download(self, file_ident: int, cursor: DownloadCursor) -> DownloadBatch:
        """The session's next DOWNLOAD.

        Raises:
            FileError: the log cannot be read.
        """
        await self._know_own_changes(file_ident, cursor)
        key = (self.realm.storage_id, cursor)
        running = self._scans.get(key)
        if running is not None:
            chunk = await asyncio.shield(running)
            if chunk.serves(file_ident, self.head.version):
                return self._batch(file_ident, chunk)
        task = asyncio.get_running_loop().create_task(self._read_chunk(file_ident, cursor))
        self._scans.setdefault(key, task)
        try:
            return self._batch(file_ident, await asyncio.shield(task))
        finally:
            if self._scans.get(key) is task:
                del self._scans[key]

    async def _know_own_changes(self, file_ident: int, cursor: DownloadCursor) -> None:
        own = self._own.get(file_ident)
        if own is not None and own.unknown_up_to:
            own.learn(
                await self._resources.run(
                    _own_sizes,
                    self._resources.pool,
                    self.realm,
                    file_ident,
                    cursor.server_version,
                    own.unknown_up_to,
                )
            )

    async def _read_chunk(self, file_ident: int, cursor: DownloadCursor) -> Chunk:
        limit = self._settings.download_bytes
        tail = self._resources.tails.get(self.realm.storage_id)
        entries = None if tail is None else tail.stretch(cursor.server_version, limit)
        if entries is not None:
            chunk = await self._resources.run(_scan_and_encode, entries, cursor, file_ident, limit)
            if chunk.body.uncompressed_size or chunk.cursor.server_version == self.head.version:
                return self._remember(cursor, chunk)
        chunk = await self._resources.run(
            _read_and_encode, self._resources.pool, self.realm, cursor, self.head.version, file_ident, limit
        )
        return self._remember(cursor, chunk)

    def _remember(self, cursor: DownloadCursor, chunk: Chunk) -> Chunk:
        if not chunk.is_personal:
            self._resources.chunks.put((self.realm.storage_id, cursor), chunk, len(chunk.body.data) + _CHUNK_OVERHEAD)
        return chunk

    def _is_sendable(self, found: Scan) -> bool:
        return bool(found.entries) or found.cursor.server_version == self.head.version

    def _batch(self, file_ident: int, chunk: Chunk) -> DownloadBatch:
        latest = self.head
        own = self._own.get(file_ident)
        left = self._total - chunk.total - (0 if own is None else own.left_after(chunk.cursor.server_version))
        return DownloadBatch(
            cursor=chunk.cursor,
            latest=latest,
            upload=self._cursors.get(file_ident, UploadCursor()),
            downloadable_bytes=max(0, left),
            body=chunk.body,
        )

    async def content_hash(self) -> tuple[int, str]:
        """The newest version, and the content hash of the materialised state at that version."""
        return await self._resources.run(_content_hash, self._resources.pool, self.realm)


# --- on worker threads ------------------------------------------------------------------------------------------------


def _own_sizes(pool: StorePool, realm: RealmRecord, origin: int, after: int, up_to: int) -> list[tuple[int, int]]:
    with pool.use(realm) as store:
        return store.sizes_of(origin, after, up_to)


def _read_status(pool: StorePool, realm: RealmRecord) -> LogStatus:
    with pool.use(realm) as store:
        return store.status()


def _commit(resources: HubResources, realm: RealmRecord, operations: Sequence[Operation]) -> GroupOutcome:
    with resources.pool.use(realm) as store:
        return run_group(store, operations, resources.settings.schema_policy, resources.observer)


def _scan_and_encode(entries: list[Any], cursor: DownloadCursor, file_ident: int, limit: int) -> Chunk:
    return encode_chunk(scan(entries, cursor, file_ident, limit))


def _read_and_encode(
    pool: StorePool, realm: RealmRecord, cursor: DownloadCursor, head: int, file_ident: int, limit: int
) -> Chunk:
    with pool.use(realm) as store, closing(store.entries(cursor.server_version, head, file_ident)) as entries:
        found = scan(entries, cursor, file_ident, limit)
    return encode_chunk(found)


def _content_hash(pool: StorePool, realm: RealmRecord) -> tuple[int, str]:
    with pool.use(realm) as store:
        return store.content_hash()
