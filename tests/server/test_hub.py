"""One Realm's hub on an event loop: groups, back-pressure, failures, downloads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.server.wire import TIMESTAMP, dogs, rename

from syncline.changesets.changeset import DownloadCursor, UploadChangeset, UploadCursor
from syncline.errors import DiskFullError
from syncline.protocol.bodies import decode_download_entries
from syncline.protocol.events import DownloadBatch
from syncline.protocol.settings import Limits
from syncline.server import hub as hub_module
from syncline.server.hub import Hub, HubResources
from syncline.server.hubs import Hubs
from syncline.server.integrator import Refusal
from syncline.server.permissions import Level
from syncline.server.realm_directory import RealmRecord
from syncline.server.settings import Settings
from syncline.server.sqlite_log import SqliteLogStore
from syncline.server.store_pool import StorePool

START = DownloadCursor()


class Member:
    def __init__(self, ident: int) -> None:
        self.file_ident = ident
        self.is_over = False
        self.versions: list[int] = []
        self.refusals: list[Refusal] = []
        self.superseded = False
        self.version = 2

    def level(self) -> Level:
        return Level.ADMIN

    def advance(self, version: int) -> None:
        self.versions.append(version)

    def refuse(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    def supersede(self) -> None:
        self.superseded = True


class World:
    """Hubs over a temporary folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.executor = ThreadPoolExecutor(4)
        self.pool = StorePool(lambda realm: SqliteLogStore.open(realm.path), 8)
        self.resources = HubResources(Settings(data=folder, **settings), self.pool, self.executor)
        self.hubs = Hubs(self.resources)
        self.folder = folder

    def realm(self, name: str = "a") -> RealmRecord:
        return RealmRecord("default", f"p:/{name}", None, name, self.folder / f"{name}.realm")

    async def member(self, hub: Hub) -> Member:
        file = await hub.new_client_file("ann", "s", False)
        member = Member(file.ident)
        hub.join(member, UploadCursor())
        return member

    def close(self) -> None:
        self.pool.close()
        self.executor.shutdown()


Run = Callable[[Callable[[World], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    """Runs a scene on a loop of its own."""
    settings = getattr(request, "param", {})

    def play(scene: Callable[[World], Awaitable[None]]) -> None:
        async def whole() -> None:
            world = World(tmp_path, **settings)
            try:
                await scene(world)
            finally:
                world.close()

        asyncio.run(whole())

    return play


def upload(hub: Hub, member: Member, *changesets: bytes) -> None:
    entries = []
    for changeset in changesets:
        entries.append(UploadChangeset(member.version, 0, TIMESTAMP + member.version, 0, changeset))
        member.version += 1
    hub.upload(member, entries, UploadCursor(member.version - 1, 0), 0)


def entries_of(batch: DownloadBatch) -> list[int]:
    assert not batch.body.is_compressed
    return [entry.server_version for entry in decode_download_entries(batch.body.data, Limits())]


def test_what_arrives_during_a_commit_forms_the_next_group(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    real: Callable[..., Any] = vars(hub_module)["run_group"]

    def counted(store: Any, operations: Any, *rest: Any) -> Any:
        groups.append(len(operations))
        return real(store, operations, *rest)

    monkeypatch.setattr(hub_module, "run_group", counted)

    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        members = [await world.member(hub) for _ in range(5)]
        groups.clear()
        for number, member in enumerate(members):
            upload(hub, member, dogs(number))
            await asyncio.sleep(0)
        await hub.drain()
        assert groups == [1, 4]
        assert hub.head.version == 5
        assert members[0].versions == [1, 5]
        assert len({entry.salt for entry in world.resources.tails.get("a")._entries}) == 2  # type: ignore[union-attr]

    run(scene)


def test_nobody_hears_of_a_version_before_it_is_durable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        member = await world.member(hub)

        def full(*arguments: Any) -> Any:
            raise DiskFullError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(hub_module, "run_group", full)
            upload(hub, member, dogs(1))
            upload(hub, member, rename(1, "x"))
            with pytest.raises(DiskFullError):
                await hub.new_client_file("ann", "s", False)
            await hub.drain()
        assert [(refusal.code) for refusal in member.refusals] == [201]
        assert member.versions == []
        assert hub.head.version == 0
        again = await world.member(hub)
        upload(hub, again, dogs(1))
        await hub.drain()
        assert again.versions == [1]

    run(scene)


def test_after_a_refusal_nothing_of_that_session_is_taken(run: Run) -> None:
    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        bad, good = await world.member(hub), await world.member(hub)
        upload(hub, bad, b"\xff")
        upload(hub, good, dogs(1))
        upload(hub, bad, dogs(2))
        await hub.drain()
        upload(hub, bad, dogs(3))
        await hub.drain()
        assert [refusal.code for refusal in bad.refusals] == [212]
        assert hub.head.version == 1

    run(scene)


def test_what_was_uploaded_before_leaving_is_integrated(run: Run) -> None:
    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        member = await world.member(hub)
        upload(hub, member, dogs(1))
        hub.leave(member)
        world.hubs.release(hub)
        await world.hubs.drain()
        assert hub.head.version == 1
        while len(world.hubs):
            await asyncio.sleep(0.001)
        again = await world.hubs.acquire(world.realm())
        assert again is not hub
        assert again.head.version == 1

    run(scene)


def test_a_newer_session_takes_the_place_of_an_older_one(run: Run) -> None:
    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        old = await world.member(hub)
        new = Member(old.file_ident)
        hub.join(new, UploadCursor())
        assert old.superseded
        upload(hub, old, dogs(1))
        hub.leave(old)
        upload(hub, new, dogs(2))
        await hub.drain()
        assert hub.head.version == 1
        assert (old.versions, new.versions) == ([], [1])

    run(scene)


def test_what_an_older_session_had_under_way_is_acknowledged_to_the_newer_one(run: Run) -> None:
    """Otherwise a DOWNLOAD would say that more was integrated than was acknowledged, which no client accepts."""

    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        old = await world.member(hub)
        upload(hub, old, dogs(1))
        await asyncio.sleep(0)  # the group is being committed
        new = Member(old.file_ident)
        hub.join(new, UploadCursor())
        await hub.drain()
        assert new.versions == [1]
        batch = hub.download_now(new.file_ident, START)
        assert batch is not None
        assert (batch.cursor, batch.upload) == ((1, 2), (2, 0))

    run(scene)


@pytest.mark.parametrize("run", [{"backlog_bytes": 2000}], indirect=True)
def test_too_much_waiting_work_asks_for_a_pause(run: Run) -> None:
    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        member = await world.member(hub)
        upload(hub, member, dogs(*range(1000)))
        congested = [hub.is_congested]
        await asyncio.wait_for(hub.room(), 10)
        congested.append(hub.is_congested)
        assert congested == [True, False]
        await hub.drain()

    run(scene)


@pytest.mark.parametrize("run", [{"group_uploads": 3}], indirect=True)
def test_groups_are_bounded(run: Run) -> None:
    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        member = await world.member(hub)
        for number in range(10):
            upload(hub, member, dogs(number))
        await hub.drain()
        assert member.versions == [3, 6, 9, 10]

    run(scene)


def test_downloads_come_from_memory_where_possible_and_are_shared(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        writer, reader, other = [await world.member(hub) for _ in range(3)]
        upload(hub, writer, dogs(1), rename(1, "a"))
        await hub.drain()
        first = hub.download_now(reader.file_ident, START)
        assert first is not None
        assert entries_of(first) == [1, 2]
        assert (first.cursor, first.latest, first.downloadable_bytes) == ((2, 0), hub.head, 0)
        shared = hub.download_now(other.file_ident, START)
        assert shared is not None
        assert shared.body is first.body
        own = hub.download_now(writer.file_ident, START)
        assert own is not None
        assert entries_of(own) == []
        assert (own.cursor, own.upload) == ((2, 3), (3, 0))
        nothing = hub.download_now(reader.file_ident, first.cursor)
        assert nothing is not None
        assert (entries_of(nothing), nothing.cursor) == ([], (2, 0))

    run(scene)


@pytest.mark.parametrize("run", [{"download_bytes": 1}], indirect=True)
@pytest.mark.parametrize("rejoins", [False, True])
def test_own_changes_are_not_left_for_their_author(run: Run, rejoins: bool) -> None:
    """An author who is behind: between what is left for it stand its own changes, of this session or of another."""

    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        author, other = [await world.member(hub) for _ in range(2)]
        reader = await world.member(hub)
        first, own, last = dogs(1), dogs(2, 3, 4), rename(1, "a")
        for member, changeset in ((other, first), (author, own), (other, last)):
            upload(hub, member, changeset)
            await hub.drain()
        if rejoins:
            hub.leave(author)
            hub.join(author, UploadCursor(author.version - 1, 0), START)
            assert hub.download_now(author.file_ident, START) is None
        batch = await hub.download(author.file_ident, START)
        assert (entries_of(batch), batch.downloadable_bytes) == ([1], len(last))
        for_reader = await hub.download(reader.file_ident, START)
        assert for_reader.downloadable_bytes > len(last)  # the author's are left for others
        upload(hub, author, rename(2, "b"))
        await hub.drain()
        again = hub.download_now(author.file_ident, START)
        assert again is not None
        assert again.downloadable_bytes == len(last)
        batch = await hub.download(author.file_ident, batch.cursor)
        assert (entries_of(batch), batch.downloadable_bytes) == ([3], 0)

    run(scene)


def test_what_was_read_for_the_author_of_a_change_is_not_given_to_others(run: Run) -> None:
    """Both stand at the same place and ask at the same time; the author's own changes are left out for it alone."""

    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        author, reader = [await world.member(hub) for _ in range(2)]
        upload(hub, author, dogs(1), rename(1, "a"))
        await hub.drain()
        own, others = await asyncio.gather(*(hub.download(m.file_ident, START) for m in (author, reader)))
        assert (entries_of(own), own.cursor) == ([], (2, 3))
        assert (entries_of(others), others.cursor) == ([1, 2], (2, 0))

    run(scene)


@pytest.mark.parametrize("run", [{"download_bytes": 200, "tail_cache_bytes": 8000}], indirect=True)
def test_the_past_comes_from_the_file_in_shared_parts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    real = hub_module._read_and_encode

    def counted(*arguments: Any) -> Any:
        reads.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(hub_module, "_read_and_encode", counted)

    async def fetch_all(hub: Hub, ident: int) -> list[int]:
        cursor, found = START, []
        while cursor.server_version < hub.head.version:
            batch = hub.download_now(ident, cursor) or await hub.download(ident, cursor)
            assert batch.cursor.server_version > cursor.server_version
            cursor = batch.cursor
            found += entries_of(batch)
        return found

    async def scene(world: World) -> None:
        hub = await world.hubs.acquire(world.realm())
        writer, *readers = [await world.member(hub) for _ in range(4)]
        upload(hub, writer, dogs(1), *(rename(1, f"name {n}") for n in range(60)))
        await hub.drain()
        everything = list(range(1, 62))
        assert await asyncio.gather(*(fetch_all(hub, reader.file_ident) for reader in readers)) == [everything] * 3
        assert len(reads) == len({arguments[2] for arguments in reads}), "each part is read once"
        before = len(reads)
        assert await fetch_all(hub, writer.file_ident) == []
        readers[0].version = 1000  # later than all the others
        upload(hub, readers[0], rename(1, "x"))
        await hub.drain()
        assert await fetch_all(hub, readers[1].file_ident) == [*everything, 62]
        assert await fetch_all(hub, writer.file_ident) == [62]
        assert len(reads) > before

    run(scene)


def test_hubs_are_made_once_and_dropped_when_unused(run: Run) -> None:
    async def scene(world: World) -> None:
        one, two = await asyncio.gather(*(world.hubs.acquire(world.realm()) for _ in range(2)))
        assert one is two
        other = await world.hubs.acquire(world.realm("b"))
        assert len(world.hubs) == 2
        for hub in (one, two, other):
            world.hubs.release(hub)
        while len(world.hubs):
            await asyncio.sleep(0.001)
        missing = world.realm("c")._replace(path=Path("/proc/nowhere/c.realm"))
        with pytest.raises(OSError, match=r"c\.realm|nowhere"):
            await world.hubs.acquire(missing)
        assert len(world.hubs) == 0

    run(scene)
