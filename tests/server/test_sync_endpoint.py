"""Sync connections through the whole application, in this process (spec/wire-protocol.md §19, spec/http-api.md §14)."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from tests.server.wire import OFFERS, RAW, Wire, dogs, name_of, packed, rename

from syncline.changesets.instructions import (
    AddTable,
    CreateObject,
)
from syncline.protocol.errors import ErrorAction
from syncline.protocol.negotiation import Subprotocol
from syncline.protocol.settings import SyncMode
from syncline.server.app import create_app
from syncline.server.connection import SyncConnection
from syncline.server.object_server import ObjectServer
from syncline.server.settings import Settings
from syncline.values import GlobalKey, kinds

Start = Callable[..., TestClient]
Connect = Callable[..., Wire]

APP = "ws://localhost/api/client/v2.0/app/default/realm-sync"


def server_of(client: TestClient) -> ObjectServer:
    server = client.app.state.syncline  # type: ignore[attr-defined]
    assert isinstance(server, ObjectServer)
    return server


def refused_with(open_one: Callable[[], Any]) -> int:
    """The close code of a connection that is accepted and closed at once, or the status of a denied upgrade."""
    try:
        wire = open_one()
    except WebSocketDenialResponse as denial:
        status: int = denial.status_code
        return status
    with pytest.raises(WebSocketDisconnect) as closed:
        wire.raw_answer()
    code: int = closed.value.code
    return code


def log_in(http: TestClient) -> tuple[str, str, str]:
    """A new anonymous user: id, access token, refresh token."""
    answer = http.post("/api/client/v2.0/app/default/auth/providers/anon-user/login", json={}).json()
    return answer["user_id"], answer["access_token"], answer["refresh_token"]


# --- the connection ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        (OFFERS, "com.mongodb.realm-sync#14"),
        (["com.mongodb.realm-sync#9", "com.mongodb.realm-sync#8"], "com.mongodb.realm-sync#9"),
        (["com.mongodb.realm-sync/7", "com.mongodb.realm-sync/2"], "com.mongodb.realm-sync/7"),
        (["garbage", "com.mongodb.realm-sync#20", "com.mongodb.realm-sync#14"], "com.mongodb.realm-sync#14"),
    ],
)
def test_the_offered_token_is_the_answer(client: Start, connect: Connect, offered: list[str], answer: str) -> None:
    wire = connect(client(dev=True), subprotocols=offered)
    assert wire.subprotocol == answer  # type: ignore[attr-defined]
    wire.ping()


def test_every_form_of_the_path_is_served(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    for path in ("/realm-sync", "/realm-sync/", "/realm-sync/%2Fdemo%2Flist"):
        connect(http, f"ws://localhost{path}").ping()


def test_what_is_no_sync_connection_is_never_403(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    assert refused_with(lambda: connect(http, "ws://localhost/elsewhere")) == 404
    assert refused_with(lambda: connect(http, subprotocols=["garbage"])) == 400
    assert refused_with(lambda: connect(http, subprotocols=None)) == 400
    assert refused_with(lambda: connect(http, RAW, headers={"Host": "evil.example"})) == 400
    assert refused_with(lambda: connect(http, RAW, headers={"Origin": "https://evil.example"})) == 400
    connect(http, RAW, headers={"Origin": "http://localhost:3000"}).ping()


def test_tokens_are_asked_for_outside_development_mode(client: Start, connect: Connect) -> None:
    http = client(anonymous_login=True)
    _, access, refresh = log_in(http)
    connect(http, f"{APP}?baas_at={access}").ping()
    connect(http, APP, headers={"Authorization": f"Bearer {access}"}).ping()
    connect(http, f"{RAW}?baas_at={access}").ping()
    for url in (APP, f"{APP}?baas_at=garbage", f"{APP}?baas_at={refresh}", RAW, f"{RAW}?baas_at=garbage"):
        assert refused_with(lambda url=url: connect(http, url)) == 4001  # type: ignore[misc]
        assert refused_with(lambda url=url: connect(http, url, subprotocols=["com.mongodb.realm-sync/7"])) == 401  # type: ignore[misc]
    other = APP.replace("default", "other")
    assert refused_with(lambda: connect(http, f"{other}?baas_at={access}")) == 1011
    assert refused_with(lambda: connect(http, other, subprotocols=["com.mongodb.realm-sync/7"])) == 503


def test_a_disabled_user_is_logged_out(client: Start, connect: Connect) -> None:
    http = client(anonymous_login=True)
    user, access, _ = log_in(http)
    server_of(http).accounts.set_user(user, state="disabled")
    assert refused_with(lambda: connect(http, f"{APP}?baas_at={access}")) == 4002
    old = ["com.mongodb.realm-sync/7"]
    assert refused_with(lambda: connect(http, f"{APP}?baas_at={access}", subprotocols=old)) == 403


def test_too_many_upgrades_are_sent_away_gently(client: Start, connect: Connect) -> None:
    http = client(anonymous_login=True, user_upgrades_per_minute=1)
    _, access, _ = log_in(http)
    connect(http, f"{APP}?baas_at={access}").ping()
    assert refused_with(lambda: connect(http, f"{APP}?baas_at={access}")) == 1011


def test_logging_out_closes_the_connection(client: Start, connect: Connect) -> None:
    http = client(anonymous_login=True)
    _, access, refresh = log_in(http)
    wire = connect(http, f"{APP}?baas_at={access}")
    wire.ping()
    http.delete("/api/client/v2.0/auth/session", headers={"Authorization": f"Bearer {refresh}"})
    with pytest.raises(WebSocketDisconnect) as closed:
        wire.raw_answer()
    assert closed.value.code == 4001
    assert refused_with(lambda: connect(http, f"{APP}?baas_at={access}")) == 4001


def test_a_connection_ends_with_its_token(client: Start, connect: Connect) -> None:
    http = client(anonymous_login=True, access_token_lifetime=1, token_grace=0)
    _, access, _ = log_in(http)
    wire = connect(http, f"{APP}?baas_at={access}")
    with pytest.raises(WebSocketDisconnect) as closed:
        wire.raw_answer()
    assert closed.value.code == 4001


def test_a_silent_connection_is_cut(client: Start, connect: Connect) -> None:
    wire = connect(client(dev=True, idle_timeout=1))
    with pytest.raises(WebSocketDisconnect) as closed:
        wire.raw_answer()
    assert closed.value.code == 1011


def test_it_works_where_it_is_mounted(settings: Callable[..., Settings], connect: Connect) -> None:
    sync = create_app(settings(dev=True))
    around = Starlette(routes=[Mount("/sync", sync)])
    with TestClient(around, base_url="http://localhost") as http:
        assert http.get("/sync/health").json()["status"] == "ok"
        for path in ("/sync/realm-sync", "/sync/api/client/v2.0/app/x/realm-sync?baas_at=no"):
            offers = ["com.mongodb.realm-sync#14"]
            with http.websocket_connect(f"ws://localhost{path}", subprotocols=offers) as socket:
                wire = Wire(socket.send_bytes, socket.receive_bytes)
                if "app" in path:
                    with pytest.raises(WebSocketDisconnect):
                        wire.raw_answer()
                else:
                    wire.start("/demo")
                    wire.until_acknowledged(wire.upload(dogs(1)))
        assert http.portal is not None
        http.portal.call(sync.state.syncline.stop)


# --- a session, message by message ------------------------------------------------------------------------------------


def test_first_upload_and_its_acknowledgement_byte_for_byte(client: Start, connect: Connect) -> None:
    """Transcript T1 of spec/wire-protocol.md §16."""
    wire = connect(client(dev=True))
    wire.raw(b"bind 1 5 0 1 0\n/test")
    _, session, ident, salt = wire.raw_answer().split()
    assert (session, ident) == (b"1", b"2")
    assert 1 <= int(salt) < 2**63
    wire.raw(b"ident 1 2 %s 0 0 0 0\n" % salt)
    assert wire.raw_answer() == b"download 1 0 0 0 0 0 0 0 0 0 0\n"
    wire.raw(b"mark 1 1\n")
    assert wire.raw_answer() == b"mark 1 1\n"
    changeset = dogs(1)
    body = b"2 0 375338707719 0 %d " % len(changeset) + changeset
    wire.raw(b"upload 1 0 %d 0 4 0 0\n" % len(body) + body)
    fields = wire.raw_answer().split()
    assert fields[:5] == [b"download", b"1", b"1", b"2", b"1"]
    assert 1 <= int(fields[5]) < 2**63
    assert fields[6:] == [b"4", b"0", b"0", b"0", b"0", b"0"]
    wire.raw(b"upload 1 0 0 0 5 1 1\n")
    wire.raw(b"mark 1 2\n")
    assert wire.raw_answer() == b"mark 1 2\n"
    wire.raw(b"unbind 1\n")
    assert wire.raw_answer() == b"unbound 1\n"


def test_everything_may_be_sent_without_waiting(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    first = connect(http)
    first.start("/p")
    wire = connect(http)
    wire.file = first.file
    number, salt = first.file
    wire.raw(b"bind 1 2 0 0 0\n/p")
    wire.raw(f"ident 1 {number} {salt} 0 0 0 0\n".encode())
    wire.until_complete()
    wire.until_acknowledged(wire.upload(dogs(1)))


def test_a_second_client_gets_what_the_first_uploaded(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    one, two = connect(http), connect(http)
    one.start("/demo")
    one.until_acknowledged(one.upload(dogs(1, 2), rename(1, "Rex"), rename(2, "Ada")))
    two.start("demo")
    two.until_complete()
    assert [entry.server_version for entry in two.downloaded] == [1, 2, 3]
    assert {entry.origin_file_ident for entry in two.downloaded} == {one.file.ident}
    assert [entry.origin_timestamp - 375_338_707_719 for entry in two.downloaded] == [2, 3, 4]
    assert name_of(two.downloaded[2]) == "Ada"
    two.until_acknowledged(two.upload(rename(1, "Max")))
    one.until_complete()
    assert name_of(one.downloaded[-1]) == "Max"


def test_concurrent_edits_are_merged_the_same_for_everybody(client: Start, connect: Connect) -> None:
    """The later of two writes wins; the earlier one does not reach the client that has the later one."""
    http = client(dev=True)
    one, two = connect(http), connect(http)
    one.start("/demo")
    one.until_acknowledged(one.upload(dogs(1)))
    two.start("/demo")
    two.until_complete()
    one.client_version, two.client_version = 10, 20
    one.upload(rename(1, "earlier"), base=1)
    one.until_acknowledged(10)
    two.upload(rename(1, "later"), base=1)
    two.until_acknowledged(20)
    one.until_complete()
    two.until_complete()
    assert name_of(one.downloaded[-1]) == "later"
    assert [entry.server_version for entry in two.downloaded] == [1, 2]
    third = connect(http)
    third.start("/demo")
    third.until_complete()
    assert [name_of(entry) for entry in third.downloaded[1:]] == ["earlier", "later"]


def test_the_loser_of_a_concurrent_write_becomes_an_empty_version(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    one, two = connect(http), connect(http)
    one.start("/demo")
    one.until_acknowledged(one.upload(dogs(1)))
    two.start("/demo")
    two.until_complete()
    one.client_version, two.client_version = 20, 10
    one.until_acknowledged(one.upload(rename(1, "later"), base=1))
    two.until_acknowledged(two.upload(rename(1, "earlier"), base=1))
    one.until_complete()
    assert one.position[0] == 3
    assert [entry.server_version for entry in one.downloaded] == []
    assert name_of(two.downloaded[-1]) == "later"


def test_a_reciprocal_carries_one_merge_into_the_next(client: Start, connect: Connect) -> None:
    """Two uploads of one client, both made without having seen the other's change (spec/merge.md §8.1)."""
    http = client(dev=True)
    one, two = connect(http), connect(http)
    one.start("/demo")
    one.until_acknowledged(one.upload(dogs(1)))
    two.start("/demo")
    two.until_complete()
    one.client_version, two.client_version = 15, 20
    one.until_acknowledged(one.upload(rename(1, "one"), base=1))
    two.until_acknowledged(two.upload(rename(1, "two"), base=1))
    two.client_version = 10
    two.client_version = 21
    two.until_acknowledged(two.upload(rename(1, "three"), base=1))
    one.until_complete()
    assert [name_of(entry) for entry in one.downloaded] == ["two", "three"]


def test_bodies_are_compressed_both_ways(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    one, two = connect(http), connect(http)
    one.start("/demo")
    one.until_acknowledged(one.upload(dogs(*range(500)), compress=True))
    two.bind("/demo")
    two.raw(f"ident 1 {two.file.ident} {two.file.salt} 0 0 0 0\n".encode())
    head, _, body = two.raw_answer().partition(b"\n")
    assert head.split()[9] == b"1"
    assert body[:2] == b"\x78\x01"


def test_long_histories_come_in_parts_that_say_how_much_is_left(client: Start, connect: Connect) -> None:
    http = client(dev=True, download_bytes=1000)
    one, two = connect(http), connect(http)
    one.start("/demo")
    one.until_acknowledged(one.upload(dogs(1), *(rename(1, "x" * 200) for _ in range(20))))
    left = [two.start("/demo").downloadable_bytes]
    while left[-1] > 0:
        left.append(two.download().downloadable_bytes)
    assert len(left) > 3
    assert left == sorted(left, reverse=True)
    assert [entry.server_version for entry in two.downloaded] == list(range(1, 22))


def test_two_sessions_share_a_connection(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    wire = connect(http)
    wire.start("/a")
    wire.session = 2
    file_a, wire.file, wire.position = wire.file, type(wire.file)(0, 0), (0, 0, 0, 0)
    wire.start("/b")
    assert wire.file.ident == 2
    assert wire.file.salt != file_a.salt
    wire.until_acknowledged(wire.upload(dogs(1)))
    wire.raw(b"unbind 2\n")
    assert wire.raw_answer() == b"unbound 2\n"
    wire.raw(b"mark 1 5\n")
    assert wire.raw_answer() == b"mark 1 5\n"


def test_more_realms_are_in_use_than_files_stay_open(client: Start, connect: Connect) -> None:
    http = client(dev=True, max_open_realms=2)
    wires = [connect(http) for _ in range(6)]
    for number, wire in enumerate(wires):
        wire.start(f"/realm{number}")
    for _ in range(3):
        for wire in wires:
            wire.until_acknowledged(wire.upload(dogs(wire.client_version)))
    assert server_of(http).pool.open_files <= 2
    assert http.get("/health").json()["open_realms"] == 6
    for number in range(6):
        assert http.get(f"/dev/realms/realm{number}/hash").json()["version"] == 3


def test_sessions_go_on_where_they_were(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    one = connect(http)
    one.start("/demo")
    one.until_acknowledged(one.upload(dogs(1)))
    one.raw(b"unbind 1\n")
    assert one.raw_answer() == b"unbound 1\n"
    again = connect(http)
    again.file, again.position, again.client_version = one.file, one.position, 2
    first = again.start("/demo")
    assert first.progress.upload.client_version == 2
    assert not first.entries
    again.upload(dogs(1), base=0)
    again.until_acknowledged(again.upload(rename(1, "Rex")))
    other = connect(http)
    other.start("/demo")
    other.until_complete()
    assert len(other.downloaded) == 2, "what was sent again was integrated once"


def test_a_progress_report_is_kept_and_not_answered(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    one = connect(http)
    one.start("/demo")
    one.until_acknowledged(one.upload(dogs(1)))
    one.report()
    one.raw(b"mark 1 1\n")
    assert one.raw_answer() == b"mark 1 1\n"
    again = connect(http)
    again.file, again.position, again.client_version = one.file, one.position, 9
    assert again.start("/demo").progress.upload == (3, 1)


def test_a_newer_connection_of_the_same_file_takes_over(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    old, new = connect(http), connect(http)
    old.start("/demo")
    new.file = old.file
    new.start("/demo")
    with pytest.raises(WebSocketDisconnect) as closed:
        old.raw_answer()
    assert closed.value.code == 1011
    new.until_acknowledged(new.upload(dogs(1)))


def test_objects_without_primary_key_get_their_creators_number(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    one, two = connect(http), connect(http)
    one.start("/demo")
    table = AddTable("Note", kinds.TOP_LEVEL, "", kinds.GLOBAL_KEY, False)
    one.until_acknowledged(one.upload(packed([table, CreateObject("Note", GlobalKey(0, 4))])))
    two.start("/demo")
    two.until_complete()
    assert packed([table, CreateObject("Note", GlobalKey(one.file.ident, 4))]) == two.downloaded[0].changeset


def test_the_servers_hash_is_of_its_content(client: Start, connect: Connect) -> None:
    http = client(dev=True)
    hashes = {}
    for path, keys in (("/a", (1, 2)), ("/b", (2, 1)), ("/c", (1,))):
        wire = connect(http)
        wire.start(path)
        wire.until_acknowledged(wire.upload(dogs(*keys)))
        hashes[path] = http.get(f"/dev/realms{path}/hash").json()
    assert hashes["/a"]["hash"] == hashes["/b"]["hash"] != hashes["/c"]["hash"]
    assert hashes["/a"] == {"realm": "p:/a", "version": 1, "hash": hashes["/a"]["hash"]}
    assert http.get("/dev/realms/nowhere/hash").status_code == 404
    assert http.get("/dev/realms/a%20b/hash").status_code == 400


# --- who may what -----------------------------------------------------------------------------------------------------


def test_users_have_their_home_folder_and_nothing_else(client: Start, connect: Connect) -> None:
    http = client(anonymous_login=True)
    ann, access, _ = log_in(http)
    bob, _, _ = log_in(http)
    url = f"{APP}?baas_at={access}"
    wire = connect(http, url)
    wire.start("/~/list")
    wire.until_acknowledged(wire.upload(dogs(1)))
    same = connect(http, url)
    same.start(f"/{ann}/list")
    same.until_complete()
    assert len(same.downloaded) == 1
    for path in (f"/{bob}/list", "/shared", '"partition"', f"/{ann}/__management"):
        other = connect(http, url)
        other.raw(f"bind 1 {len(path)} 0 1 0\n{path}".encode())
        error = other.error()
        assert (error.code, error.action) == (206, ErrorAction.APPLICATION_BUG)


def test_an_admin_may_everything_as_long_as_they_are_one(client: Start, connect: Connect) -> None:
    http = client(anonymous_login=True)
    user, access, _ = log_in(http)
    accounts = server_of(http).accounts
    accounts.set_user(user, is_admin=True)
    wire = connect(http, f"{APP}?baas_at={access}")
    wire.start("/shared")
    wire.until_acknowledged(wire.upload(dogs(1)))
    accounts.set_user(user, is_admin=False)
    owned = wire.upload(rename(1, "own"))
    wire.until_acknowledged(owned)  # whoever makes a Realm owns it
    accounts.set_user(user, state="disabled")
    wire.upload(rename(1, "too late"))
    error = wire.error()
    assert (error.code, error.action) == (206, ErrorAction.APPLICATION_BUG)
    assert server_of(http).accounts.user("default", user) is not None


def test_a_client_file_belongs_to_its_user(client: Start, connect: Connect) -> None:
    http = client(anonymous_login=True)
    for admin in (first := log_in(http), second := log_in(http)):
        server_of(http).accounts.set_user(admin[0], is_admin=True)
    one = connect(http, f"{APP}?baas_at={first[1]}")
    one.start("/shared")
    thief = connect(http, f"{APP}?baas_at={second[1]}")
    thief.file = one.file
    thief.raw(b"bind 1 7 0 0 0\n/shared")
    thief.raw(f"ident 1 {one.file.ident} {one.file.salt} 0 0 0 0\n".encode())
    assert thief.error().code == 208
    one.ping()


def test_a_token_in_bind_must_be_of_the_same_user(client: Start, connect: Connect) -> None:
    http = client(anonymous_login=True)
    (ann, access, _), (_, others, _) = log_in(http), log_in(http)
    wire = connect(http, f"{APP}?baas_at={access}")
    wire.bind(f"/{ann}/x", token=access)
    wire.raw(f"bind 2 4 {len(others)} 1 0\n/~/y{others}".encode())
    with pytest.raises(WebSocketDisconnect) as closed:
        wire.raw_answer()
    assert closed.value.code == 4001


def test_flexible_sync_clients_are_told_to_sync_by_partition(client: Start, connect: Connect) -> None:
    wire = connect(client(dev=True), subprotocols=["com.mongodb.realm-query-sync#14"])
    body = b'{"schemaVersion":0,"sessionReason":0}'
    wire.raw(b"bind 1 %d 0 1 0\n" % len(body) + body)
    answer = wire.raw_answer()
    assert answer.startswith(b"json_error 114 ")
    with pytest.raises(WebSocketDisconnect):
        wire.raw_answer()


def test_work_that_ends_before_it_began_leaves_nothing_behind() -> None:
    """Found by the soak: a connection that was lost in the moment in which something was to be done for it."""
    done: list[str] = []

    async def work() -> None:
        done.append("work")

    async def scene() -> None:
        nobody: Any = None
        connection = SyncConnection(
            subprotocol=Subprotocol("com.mongodb.realm-sync#14", SyncMode.PBS, 14),
            principal=nobody,
            access=nobody,
            hubs=nobody,
            settings=Settings(),
            receive=nobody,
            send=nobody,
        )
        connection._start(work(), None)
        connection._end()
        await asyncio.wait(connection._tasks)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(scene())
        gc.collect()
    assert (done, [str(warning.message) for warning in warned]) == ([], [])
