"""Which Realm a configuration names, and what it refuses (spec/sessions.md §17.1; spec/http-api.md §6.4, §8.2)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.errors import ConfigurationError, IllegalCombinationError
from syncline.sync import (
    ClientResetMode,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncStopPolicy,
    SyncUser,
)
from syncline.sync.backend import Backend
from syncline.values import ObjectId


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncManager]:
    made = SyncManager(tmp_path_factory.mktemp("manager"), persist_users=False)
    yield made
    made.close()


@pytest.fixture(scope="module")
def user(manager: SyncManager) -> SyncUser:
    return manager.log_in(SyncCredentials.custom_refresh_token("t", "u1"), "http://h:9080")


@pytest.fixture(scope="module")
def direct(manager: SyncManager) -> SyncUser:
    return manager.log_in(SyncCredentials.access_token("t", "u1"), "ws://h:7800/realm-sync")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/~/list", "/u1/list"),
        ("~/list", "/u1/list"),
        ("realm://h:9080/~/list?x=1#f", "/u1/list"),
        ("realm://h/~/list", "/u1/list"),
        ("realms://h:9080/a/b-c_d.e", "/a/b-c_d.e"),
        ("/u2/list", "/u2/list"),
        ("/%7E/list", "/u1/list"),
        ("/__admin", "/__admin"),
    ],
)
def test_paths(user: SyncUser, given: str, path: str) -> None:
    configuration = SyncConfiguration(user, given)
    assert configuration.realm_path == path
    assert configuration.bind_path == path
    assert configuration.resolved_url.endswith(path)


@pytest.mark.parametrize(
    "given",
    [
        *("/a/~/b", "/%252e%252e/x", "/a//b", "/a/", "/", "", "/../etc/passwd", "/.hidden", "/list.realm"),
        *("/x.realm.lock", "/u1/__partial/u1/x", "/u1/ä", "/u1/a\0b", "/u1\\b", "/a b"),
        *("/" + "a" * 129, "/" + "/".join("a" * 65)),
        *("http://h:9080/x", "realm://other:9080/x", "realm://h:1/x", "realm://h:999999/x", "ws://h:9080/x"),
    ],
)
def test_what_is_no_path(user: SyncUser, given: str) -> None:
    with pytest.raises(ConfigurationError):
        SyncConfiguration(user, given)


def test_a_bare_socket_takes_any_path_as_it_is(direct: SyncUser) -> None:
    for path in ("/../x", "odd path", "a.realm", "~"):
        assert SyncConfiguration(direct, path).bind_path == path
    assert SyncConfiguration(direct, "ws://h:7800/x/y").bind_path == "/x/y"
    assert SyncConfiguration(direct, "realm://h/x/y").bind_path == "/x/y"


@pytest.mark.parametrize(
    ("value", "text", "name"),
    [
        ("foo", '"foo"', "s_foo"),
        ('a"b\\c\n', '"a\\"b\\\\c\\n"', 's_a"b\\c\n'),
        ("ä", '"ä"', "s_ä"),
        (42, '{"$numberLong":"42"}', "l_42"),
        (-(2**63), '{"$numberLong":"-9223372036854775808"}', "l_-9223372036854775808"),
        (ObjectId("5f0c1a2b3c4d5e6f70819203"), '{"$oid":"5f0c1a2b3c4d5e6f70819203"}', "o_5f0c1a2b3c4d5e6f70819203"),
        (
            uuid.UUID("3b241101-e2bb-4255-8caf-4136c566a962"),
            '{"$binary":{"base64":"OyQRAeK7QlWMr0E2xWapYg==","subType":"04"}}',
            "u_3b241101-e2bb-4255-8caf-4136c566a962",
        ),
        (None, "null", "null"),
    ],
)
def test_partition_values(user: SyncUser, value: Any, text: str, name: str) -> None:
    configuration = SyncConfiguration(user, partition_value=value)
    assert configuration.bind_path == text
    assert configuration.partition_name == name
    assert configuration.resolved_url == user.sync_route


@pytest.mark.parametrize("value", [True, 1.5, 2**63, b"x", [1], object()])
def test_what_is_no_partition_value(user: SyncUser, value: Any) -> None:
    with pytest.raises(ConfigurationError):
        SyncConfiguration(user, partition_value=value)


def test_exactly_one_name(user: SyncUser) -> None:
    for arguments in (
        {},
        {"realm_url": "/a", "partition_value": "x"},
        {"realm_url": "/a", "flexible": True},
        {"partition_value": None, "flexible": True},
    ):
        with pytest.raises(IllegalCombinationError):
            SyncConfiguration(user, **arguments)  # type: ignore[arg-type]
    assert SyncConfiguration(user, flexible=True).bind_path == ""
    assert SyncConfiguration(user, flexible=True).partition_name == "flx_sync_default"


def test_settings_that_exclude_each_other(user: SyncUser) -> None:
    with pytest.raises(IllegalCombinationError, match="flexible=True"):
        SyncConfiguration(user, "/a", full_synchronization=False)
    manual = ClientResetMode.MANUAL
    for callback in ("before_client_reset", "after_client_reset"):
        with pytest.raises(IllegalCombinationError):
            SyncConfiguration(user, "/a", client_reset_mode=manual, **{callback: print})  # type: ignore[arg-type]
    with pytest.raises(IllegalCombinationError):
        SyncConfiguration(user, "/a", manual_client_reset_handler=print)
    with pytest.raises(ConfigurationError):
        SyncConfiguration(user, "/a", recovery_directory="a/b")
    SyncConfiguration(user, "/a", client_reset_mode=manual, manual_client_reset_handler=print)


def test_defaults(manager: SyncManager, user: SyncUser) -> None:
    configuration = SyncConfiguration(user, "/a")
    assert configuration.stop_policy is SyncStopPolicy.AFTER_CHANGES_UPLOADED
    assert configuration.client_reset_mode is ClientResetMode.RECOVER_UNSYNCED_CHANGES
    assert not configuration.is_partial
    manager.default_client_reset_mode = ClientResetMode.MANUAL
    try:
        assert SyncConfiguration(user, "/a").client_reset_mode is ClientResetMode.MANUAL
    finally:
        manager.default_client_reset_mode = ClientResetMode.RECOVER_UNSYNCED_CHANGES
    assert user.configuration() == SyncConfiguration(user, "/default")
    assert user.configuration("/b", enable_ssl_validation=False).enable_ssl_validation is False


def test_pinned_certificates_are_copied_from_the_manager(manager: SyncManager, user: SyncUser) -> None:
    manager.pinned_certificate_paths = {"h": Path("/certs/h.pem")}
    try:
        assert SyncConfiguration(user, "/a").pinned_certificate_path == "/certs/h.pem"
    finally:
        manager.pinned_certificate_paths = None


def test_equality(user: SyncUser, direct: SyncUser) -> None:
    one = SyncConfiguration(user, "/a")
    assert one == SyncConfiguration(user, "/a", path="/tmp/elsewhere.realm", recovery_directory="x")
    assert hash(one) == hash(SyncConfiguration(user, "/a"))
    assert one != SyncConfiguration(user, "/b")
    assert one != SyncConfiguration(direct, "/a")
    assert one != SyncConfiguration(user, "/a", stop_policy=SyncStopPolicy.IMMEDIATELY)
    assert one != SyncConfiguration(user, partition_value="a")
    assert SyncConfiguration(user, partition_value=None) != SyncConfiguration(user, partition_value="null")
    assert one != "something else"


def test_configurations_are_frozen_and_replaced(user: SyncUser) -> None:
    one = SyncConfiguration(user, "/a")
    with pytest.raises(AttributeError):
        one.realm_url = "/b"  # type: ignore[misc]
    assert one.replace(realm_url="/b").realm_path == "/b"
    assert one.realm_path == "/a"
    with pytest.raises(ConfigurationError):
        one.replace(realm_url="//")


def test_local_paths(manager: SyncManager, user: SyncUser) -> None:
    backend = Backend()
    base = manager.base_directory
    url = SyncConfiguration(user, "/~/tasks")
    assert backend.resolve_path(url, None) == str(
        base / "realm-object-server" / user.directory / "realm%3A%2F%2Fh%3A9080%2F%7E%2Ftasks"
    )
    partition = SyncConfiguration(user, partition_value="x")
    assert backend.resolve_path(partition, None) == str(base / "mongodb-realm/default/u1/s_x.realm")
    assert backend.resolve_path(url, "/tmp/mine.realm") == "/tmp/mine.realm"
    assert backend.resolve_path(url.replace(path="/tmp/own.realm"), "/tmp/mine.realm") == "/tmp/own.realm"


def test_how_much_of_conflicts_is_kept(user: SyncUser) -> None:
    assert SyncConfiguration(user, "/a").kept_conflict_bytes == 1024 * 1024
    assert SyncConfiguration(user, "/a", kept_conflict_bytes=0).kept_conflict_bytes == 0
    with pytest.raises(ConfigurationError, match="kept_conflict_bytes is -1"):
        SyncConfiguration(user, "/a", kept_conflict_bytes=-1)
