"""Out and in again, the eight cases (spec/sessions.md §13.1, §13.2, §21.8): one user on two devices.

The device logs out and in again; in each case something is to be uploaded that was written while logged out, or to be
downloaded that another device wrote meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contract.world import PATIENCE_S, World, session_of

from syncline import Realm, SyncConfiguration, SyncManager, SyncSessionState, SyncUserState

ACTIVE, INACTIVE, _ = SyncSessionState
URL = "/~/log-back-in"
Happening = Callable[[World, "Other", Realm, int], None]


class Other:
    """The same account on another device: a manager of its own."""

    def __init__(self, world: World, folder: Path) -> None:
        self._manager = SyncManager(folder / "other-device")
        user = self._manager.log_in(world.credentials("ann"), world.server.url)
        self.realm = world.open_with(SyncConfiguration(user, URL, path=str(folder / "other.realm")))

    def close(self) -> None:
        self.realm.close()
        self._manager.close()


@pytest.fixture
def other(world: World, tmp_path: Path) -> Iterator[Other]:
    assert world.user_named("ann").state is SyncUserState.ACTIVE
    made = Other(world, tmp_path)
    world.write(made.realm, 1)
    world.settle(made.realm)
    yield made
    made.close()


def out(world: World) -> None:
    world.user_named("ann").log_out()


def back_in(world: World) -> None:
    assert world.log_in("ann") is world.user_named("ann")


def open_here(world: World, device: str) -> Realm:
    return world.open_with(world.configuration(device, URL, user=world.user_named("ann")))


def upload(world: World, other: Other, realm: Realm, number: int) -> None:
    """Something is written here while the user is logged out."""
    assert session_of(realm).state is INACTIVE
    world.write(realm, number)


def download(world: World, other: Other, realm: Realm, number: int) -> None:
    """Something is written on the other device while the user is logged out here."""
    world.write(other.realm, number)
    world.settle(other.realm)


DIRECTIONS: list[tuple[str, int, Happening]] = [("up", 2, upload), ("down", 3, download)]
"""A local file for each, so that everything can happen for the first time; and what is written."""


def arrives(world: World, other: Other, realm: Realm, number: int) -> None:
    """It is on both devices."""
    assert session_of(realm).state is ACTIVE
    world.settle(realm)
    session_of(other.realm).wait_for_download(PATIENCE_S)
    assert world.numbers(realm) == world.numbers(other.realm) == list(range(1, number + 1))


def test_13_2_the_same_realm_goes_on(world: World, other: Other) -> None:
    for device, number, happens in DIRECTIONS:
        realm = open_here(world, device)
        world.settle(realm)
        session = session_of(realm)
        out(world)
        happens(world, other, realm, number)
        back_in(world)
        assert session_of(realm) == session
        arrives(world, other, realm, number)


def test_13_2_a_realm_that_was_opened_before_is_opened_while_logged_out(world: World, other: Other) -> None:
    for device, number, happens in DIRECTIONS:
        realm = open_here(world, device)
        world.settle(realm)
        realm.close()
        out(world)
        realm = open_here(world, device)
        happens(world, other, realm, number)
        back_in(world)
        arrives(world, other, realm, number)


def test_13_2_a_realm_is_opened_for_the_first_time_while_logged_out(world: World, other: Other) -> None:
    for device, number, happens in DIRECTIONS:
        out(world)
        realm = open_here(world, device)
        happens(world, other, realm, number)
        back_in(world)
        arrives(world, other, realm, number)


def test_13_2_a_realm_is_closed_while_logged_out_and_opened_again_after_the_login(world: World, other: Other) -> None:
    for device, number, happens in DIRECTIONS:
        realm = open_here(world, device)
        world.settle(realm)
        out(world)
        happens(world, other, realm, number)
        realm.close()
        back_in(world)
        assert world.internal_state(device) is None
        realm = open_here(world, device)
        arrives(world, other, realm, number)
