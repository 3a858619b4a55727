"""Two machines in memory: whatever happens in between, everyone ends with everything, once and in order."""

from __future__ import annotations

import pytest
from tests.protocol.simulation import World

from syncline.protocol import SyncMode


def check(world: World) -> None:
    for path, realm in world.realms.items():
        files = [file for client in world.clients for file in client.files if file.path == path]
        for file in files:
            own = [entry.changeset for entry in realm.log if entry.origin_file_ident == file.file_ident.ident]
            assert own == [entry.changeset for entry in file.entries]
            others = [
                (version, entry.origin_file_ident, entry.changeset)
                for version, entry in enumerate(realm.log, 1)
                if entry.origin_file_ident != file.file_ident.ident
            ]
            received = [(entry.server_version, entry.origin_file_ident, entry.changeset) for entry in file.received]
            assert received == others
            assert file.progress.download.server_version == realm.version
            assert file.progress.latest_server_version.version == realm.version
            if realm.log:
                assert realm.upload_cursor(file.file_ident.ident).client_version == file.version
    assert [client.marks for client in world.clients] == [[] for _ in world.clients]


@pytest.mark.parametrize("mode", SyncMode)
@pytest.mark.parametrize("seed", range(60))
def test_everyone_converges(seed: int, mode: SyncMode) -> None:
    world = World(seed, mode=mode)
    world.run(1500)
    world.settle()
    check(world)


def test_a_quiet_conversation_ends() -> None:
    world = World(1, clients=2)
    world.settle()
    check(world)
    for client in world.clients:
        client.commit()
    world.settle()
    check(world)
