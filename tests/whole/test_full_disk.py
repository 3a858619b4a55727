"""A full disk under a client and under a server: nothing is half, nobody dies, and all goes on once there is room.

The disk is a limit on the size of the process's files, which can be lifted while it runs.
"""

from __future__ import annotations

import resource

import httpx
import pytest
from tests.whole.scene import PATH, Scene, numbers, torn

from syncline.testing.processes import ProcessFailed


def test_a_client_without_room_keeps_what_it_has_and_goes_on(scene: Scene) -> None:
    author, reader = scene.client(1), scene.client(2)
    author.do("write", transactions=3)
    reader.do("write", transactions=1)
    scene.settle(author, reader)
    before = reader.do("hash")
    reader.do("limit_files", size=1)
    with pytest.raises(ProcessFailed, match=r"(DiskFull|File)Error: .*writer\.realm"):
        reader.do("write", transactions=1)
    author.do("write", transactions=3)
    author.do("sync", direction="upload")
    assert reader.do("hash") == before
    reader.do("limit_files", size=-1)
    reader.do("write", transactions=1)
    state = scene.settle(author, reader)
    assert (numbers(state, 1), numbers(state, 2)) == (list(range(6)), [0, 1])


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes limits of other processes")
def test_a_server_without_room_acknowledges_nothing_and_goes_on(scene: Scene) -> None:
    clients = [scene.client(1), scene.client(2)]
    clients[0].do("write", transactions=3)
    scene.settle(*clients)
    before = scene.server.content_hash(PATH)
    _, hard = resource.prlimit(scene.server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(scene.server.pid, resource.RLIMIT_FSIZE, (1, hard))
    for client in clients:
        client.do("write", transactions=2)
        assert client.do("try_to_upload", seconds=1.5) == {"acknowledged": False, "state": "ACTIVE"}
    assert httpx.get(f"{scene.server.url}/health").status_code == 200
    assert scene.server.content_hash(PATH) == before
    resource.prlimit(scene.server.pid, resource.RLIMIT_FSIZE, (hard, hard))
    for client in clients:
        client.do("wait_for_upload")
    state = scene.settle(*clients)
    assert torn(state) == {}
    assert (numbers(state, 1), numbers(state, 2)) == (list(range(5)), [0, 1])
