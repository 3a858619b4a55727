"""What an open Realm keeps others from opening, and how sessions are found (spec/sessions.md §17.2, §17.3)."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from syncline import (
    ClosedRealmError,
    Field,
    IllegalCombinationError,
    MismatchedConfigError,
    Model,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncSession,
    SyncSessionState,
    SyncStopPolicy,
    WrongThreadError,
    session_for_realm,
)
from syncline.storage.file import RealmFile

KEY, OTHER_KEY = bytes(64), bytes(range(64))


class Dog(Model):
    id: int = Field(primary_key=True)


class Cat(Model):
    id: int = Field(primary_key=True)


Change = Callable[[Any, RealmConfiguration], RealmConfiguration]


def synced(world: Any, server: Any, *, schema: Any = (Dog,), **settings: Any) -> RealmConfiguration:
    """A configuration of the file ``a.realm``."""
    if not {"realm_url", "partition_value", "flexible"} & settings.keys():
        settings["realm_url"] = "/dogs"
    user = settings.pop("user", None) or world.user(server.url)
    sync = SyncConfiguration(user, path=str(world.folder / "a.realm"), **settings)
    return RealmConfiguration(schema=schema, sync=sync, encryption_key=KEY)


def with_sync(**changes: Any) -> Change:
    return lambda world, config: config.replace(sync=config.sync.replace(**changes))


# --- §17.2: what must agree -------------------------------------------------------------------------------------------

DIFFERENCES: dict[str, tuple[Change, str]] = {
    "being synced at all": (
        lambda world, config: RealmConfiguration(config.sync.path, schema=[Cat], encryption_key=KEY),
        "is open and synced: it cannot be opened without sync",
    ),
    "the user": (
        lambda world, config: config.replace(
            sync=config.sync.replace(user=world.user(config.sync.user.authentication_server, "you"))
        ),
        "synced as another user",
    ),
    "the user of another manager": (
        lambda world, config: config.replace(
            sync=config.sync.replace(
                user=world.new_manager().log_in(
                    SyncCredentials.access_token("token", config.sync.user.identity),
                    config.sync.user.authentication_server,
                )
            )
        ),
        "synced as another user",
    ),
    "the path on the server": (with_sync(realm_url="/cats"), "is synced with '/dogs', not with '/cats'"),
    "path or partition": (
        with_sync(realm_url=None, partition_value="dogs"),
        "is synced with '/dogs', not with '\"dogs\"'",
    ),
    "the sync mode": (with_sync(realm_url=None, flexible=True), "in another mode"),
    "the encryption key": (lambda world, config: config.replace(encryption_key=OTHER_KEY), "another encryption key"),
    "being encrypted": (lambda world, config: config.replace(encryption_key=None), "another encryption key"),
    "being read-only": (
        lambda world, config: config.replace(read_only=True),
        "is open for writing: it cannot be opened read-only",
    ),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_an_open_realm_is_not_opened_otherwise(world: Any, server: Any, realm: Any, what: str) -> None:
    change, message = DIFFERENCES[what]
    config = synced(world, server)
    other = change(world, config).replace(schema=[Dog, Cat])
    opened = Realm.open(config)
    session = session_for_realm(opened)
    with pytest.raises(MismatchedConfigError, match=message) as first:
        Realm.open(other)
    with pytest.raises(MismatchedConfigError, match=message):
        asyncio.run(opening(other))
    assert first.value, "who keeps the error keeps nothing else"
    assert [schema.name for schema in opened.schema] == ["Dog"]
    assert "Cat" not in classes_of(opened), "nothing was written by the refused"
    assert session is not None
    assert session.state is SyncSessionState.ACTIVE
    assert world.manager.all_sessions() == [session]
    frozen = opened.freeze()
    opened.close()
    with pytest.raises(MismatchedConfigError):
        Realm.open(other)
    frozen.close()
    assert world.manager.wait_for_sessions_to_terminate(5)
    if "key" in what or "encrypted" in what:
        return  # the file keeps its key for good
    Realm.open(other).close()
    if other.sync is not None:
        other.sync.user.manager.close()


async def opening(config: RealmConfiguration) -> None:
    await Realm.open_async(config, timeout=5)


def classes_of(realm: Realm) -> list[str]:
    return list(realm._context.reader().catalogue.classes)


def test_the_other_way_round(world: Any, server: Any, realm: Any) -> None:
    config = synced(world, server)
    Realm.open(config).close()
    assert world.manager.wait_for_sessions_to_terminate(5)
    local = Realm.open(config.sync.path, encryption_key=KEY)
    with pytest.raises(MismatchedConfigError, match="is open and not synced: it cannot be opened with sync"):
        Realm.open(config)
    assert world.manager.all_sessions() == []
    local.close()
    reader = Realm.open(config.replace(read_only=True))
    with pytest.raises(MismatchedConfigError, match="is open read-only: it cannot be opened for writing"):
        Realm.open(config)
    reader.close()
    Realm.open(config).close()


def test_what_may_differ(world: Any, server: Any, realm: Any) -> None:
    config = synced(world, server)
    others = [
        config.replace(schema=[Cat]),
        config.replace(schema=None),
        with_sync(stop_policy=SyncStopPolicy.IMMEDIATELY)(world, config),
        with_sync(realm_url=f"{server.url}/dogs")(world, config) if server.url.startswith("realm") else config,
    ]
    link = world.folder / "link.realm"
    link.symlink_to(world.folder / "a.realm")
    with Realm.open(config) as opened:
        for other in others:
            with Realm.open(other) as again:
                assert again.sync_session == opened.sync_session
        with pytest.raises(MismatchedConfigError):
            Realm.open(link, encryption_key=KEY)


def test_in_memory_and_sync_exclude_each_other(world: Any, server: Any) -> None:
    with pytest.raises(IllegalCombinationError, match="in_memory and sync exclude each other"):
        RealmConfiguration(in_memory=True, sync=synced(world, server).sync)


def test_a_realm_that_was_forgotten_is_in_nobodys_way(world: Any, server: Any, realm: Any) -> None:
    opened = Realm.open(synced(world, server))
    path = opened.path
    del opened
    gc.collect()
    world.eventually(lambda: world.manager.all_sessions() == [])
    assert world.manager.wait_for_sessions_to_terminate(5)
    Realm.open(path, encryption_key=KEY).close()


def test_an_open_that_failed_is_in_nobodys_way(world: Any, server: Any, realm: Any) -> None:
    config = synced(world, server)
    file = RealmFile.open(config.sync.path, encryption_key=KEY)
    file.lock_sync_agent()
    errors = []
    for _ in range(2):
        with pytest.raises(Exception, match="only one process") as raised:
            Realm.open(config)
        errors.append(raised)
    Realm.open(config.sync.path, encryption_key=KEY).close()
    file.unlock_sync_agent()
    file.close()
    assert world.manager.registry.core_at(config.sync.path) is None


# --- §17.3: look-ups --------------------------------------------------------------------------------------------------


def test_the_session_of_a_realm(world: Any, server: Any, realm: Any) -> None:
    opened = Realm.open(synced(world, server))
    session = session_for_realm(opened)
    assert session is SyncSession.for_realm(opened) is opened.sync_session
    raised: list[type[BaseException]] = []

    def elsewhere() -> None:
        try:
            session_for_realm(opened)
        except WrongThreadError as error:
            raised.append(type(error))

    with opened.freeze() as frozen:
        assert session_for_realm(frozen) is session
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert raised == [WrongThreadError]
    opened.close()
    for look_up in (session_for_realm, SyncSession.for_realm, lambda realm: realm.sync_session):
        with pytest.raises(ClosedRealmError):
            look_up(opened)
    with Realm.open(world.folder / "local.realm") as local:
        assert session_for_realm(local) is SyncSession.for_realm(local) is local.sync_session is None


@pytest.fixture
def user(world: Any, app: Any) -> Any:
    """Somebody with an account, who can log out."""
    return world.manager.log_in(SyncCredentials.anonymous(), app.url)


def at_default_path(user: Any, url: str) -> Realm:
    return Realm.open(user.configuration(url))


def test_the_session_of_a_url(world: Any, app: Any, user: Any) -> None:
    host = app.url.removeprefix("http://")
    url = f"realm://{host}/~/dogs"
    assert user.session_for_url(url) is None
    opened = at_default_path(user, url)
    session = session_for_realm(opened)
    assert session is not None
    assert user.session_for_url(url) is session
    assert user.session_for_url(f"realm://{host}/~/cats") is None
    assert user.session_for_url(f"realm://{host}/{user.identity}/dogs") is None, "the unresolved one names the file"
    assert user.session_for_url(f"realm://{host}/~/Dogs") is None
    assert user.session_for_url(f"realm://{host}/%7E/dogs") is None
    with at_default_path(user, "/~/birds") as birds:
        assert user.session_for_url(f"realm://{host}/~/birds") == session_for_realm(birds)
    custom = Realm.open(SyncConfiguration(user, f"realm://{host}/~/cats", path=str(world.folder / "cats.realm")))
    assert session_for_realm(custom) is not None
    assert user.session_for_url(f"realm://{host}/~/cats") is None, "at a path of its own"
    assert world.manager.session_at(custom.path) == session_for_realm(custom)
    other = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    assert other is not user
    assert other.session_for_url(url) is None
    custom.close()
    opened.close()


def test_a_logged_out_users_sessions_are_found(world: Any, app: Any, user: Any) -> None:
    url = f"realm://{app.url.removeprefix('http://')}/~/dogs"
    opened = at_default_path(user, url)
    session = session_for_realm(opened)
    assert session is not None
    user.log_out()
    assert session.state is SyncSessionState.INACTIVE
    assert session_for_realm(opened) is session
    assert user.session_for_url(url) is session
    assert user.all_sessions() == world.manager.all_sessions() == world.manager.all_sessions_for(user) == [session]
    opened.close()
    assert session.state is SyncSessionState.INVALID
    assert user.session_for_url(url) is None
    assert user.all_sessions() == world.manager.all_sessions() == []


def test_all_sessions_are_those_of_open_realms_and_of_opens(world: Any, app: Any, user: Any) -> None:
    other = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    dogs, cats = at_default_path(user, "/~/dogs"), at_default_path(other, "/~/cats")
    of_dogs, of_cats = session_for_realm(dogs), session_for_realm(cats)
    assert user.all_sessions() == [of_dogs]
    assert other.all_sessions() == [of_cats]
    assert set(world.manager.all_sessions()) == {of_dogs, of_cats}
    assert world.manager.has_existing_sessions()
    cats.close()
    assert other.all_sessions() == []

    async def during_an_open() -> None:
        of_dogs.suspend()
        task = Realm.open_async(dogs.config)
        core = world.manager.registry.core_at(dogs.path)
        await asyncio.to_thread(world.eventually, lambda: core._waits)
        dogs.close()
        assert user.all_sessions() == [of_dogs]
        assert of_dogs.state is SyncSessionState.INACTIVE
        task.cancel()
        await asyncio.to_thread(world.eventually, lambda: user.all_sessions() == [])

    assert of_dogs is not None
    asyncio.run(during_an_open())
    assert of_dogs.state is SyncSessionState.INVALID
    assert not world.manager.has_existing_sessions()
