"""The worked timelines of spec/sessions.md §4.6, step by step: internal state, connection, wire, callbacks."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from syncline import Field, Model, Realm, RealmConfiguration
from syncline.errors import ClientResetError, OperationAbortedError, RealmInUseError
from syncline.protocol import messages
from syncline.protocol.errors import ErrorAction
from syncline.storage.history import ClientHistory
from syncline.sync import (
    ClientResetMode,
    ConnectionState,
    ProgressDirection,
    ProgressMode,
    SyncConfiguration,
    SyncSession,
    SyncSessionState,
)
from syncline.sync.reset_tracking import has_record
from syncline.sync.states import InternalState

DISCONNECTED, CONNECTING, CONNECTED = ConnectionState
ACTIVE, INACTIVE, INVALID = SyncSessionState
UPLOAD, OUTSTANDING = ProgressDirection.UPLOAD, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK
START = [(DISCONNECTED, CONNECTING), (CONNECTING, CONNECTED)]


def drained(world: Any) -> None:
    """Whatever was to be told has been told."""
    world.manager.notify_thread.drain(5)
    world.manager.progress_thread.drain(5)


def test_a_open_write_close_with_work_pending_reopen_in_time(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    changes: list[Any] = []
    reports: list[tuple[int, int]] = []

    # 1: open
    device = world.device(user)
    core, session = device.core, device.session
    assert core.internal_state is InternalState.ACTIVE
    assert world.manager.all_sessions() == [session]
    session.suspend()
    observer = session.observe_connection_state(lambda old, new: changes.append((old, new)))
    session.resume()
    # 2: connect
    session.wait_for_download(5)
    drained(world)
    assert changes == START
    assert realm.kinds()[-3:] == ["Bind", "Ident", "Mark"]
    # 3: a commit
    realm.acknowledge = False
    progress = session.add_progress_notification(
        UPLOAD, ProgressMode.REPORT_INDEFINITELY, lambda done, total: reports.append((done, total))
    )
    device.write("Rex")
    world.eventually(realm.uploads)
    world.eventually(lambda: reports and reports[-1][1] > reports[-1][0])
    # 4: the last Realm is closed
    device.close()
    assert (core.internal_state, core._death_count) == (InternalState.DYING, 1)
    assert session.connection_state is CONNECTED
    # 5: opened again
    wire = len(realm.log)
    again = world.device(user)
    assert again.core is core
    assert core.internal_state is InternalState.ACTIVE
    # 6: the server acknowledges
    server.run(realm._download(*next(iter(realm._sessions)), always=True))
    again.session.wait_for_upload(5)
    drained(world)
    assert core.internal_state is InternalState.ACTIVE
    assert "Bind" not in realm.kinds()[wire:]
    assert changes == START
    # 7: closed with nothing pending
    again.close()
    assert core._death_count == 2
    # 8: gone
    assert world.manager.wait_for_sessions_to_terminate(5)
    assert core.internal_state is InternalState.INACTIVE
    assert world.manager.session_at(again.path) is None
    assert session.state is INVALID
    drained(world)
    assert changes == [*START, (CONNECTED, DISCONNECTED)]
    world.eventually(lambda: realm.kinds()[-1] == "Unbind")
    assert len(world.manager.client._connections) == 1, "the socket lingers"
    world.eventually(lambda: not world.manager.client._connections)
    assert len(server.peers) == 1
    observer.invalidate()
    progress.invalidate()


def test_b_suspend_with_waits_and_progress(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    device = world.device(user)
    session = device.session
    session.wait_for_download(5)
    told: list[Any] = []

    async def no_marks(peer: Any, message: Any) -> bool:
        return isinstance(message, messages.Mark)

    realm.before = no_marks
    realm.acknowledge = False
    device.write("Rex")
    world.eventually(realm.uploads)
    # 1
    observer = session.observe_connection_state(lambda old, new: told.append((old, new)))
    session.on_download_complete(lambda error: told.append(("cb", type(error))))
    progress = session.add_progress_notification(
        UPLOAD, OUTSTANDING, lambda done, total: told.append(("N", done, total))
    )
    drained(world)
    ((_, done, captured),) = told
    assert done < captured
    told.clear()
    session.suspend()
    assert session.state is INACTIVE
    drained(world)
    assert told == [(CONNECTED, DISCONNECTED), ("cb", OperationAbortedError)], "in the order of §4.4"
    assert progress.is_valid
    told.clear()
    # 2: commits, 5 kB
    for number in range(2, 7):
        device.write("x" * 1000, first=number)
    drained(world)
    assert told == []
    # 3: another wait
    session.on_upload_complete(lambda error: told.append(("cb2", error)))
    # 4: a second thread opens the Realm
    others: list[Any] = []
    opening = threading.Thread(target=lambda: others.append(world.device(user)))
    opening.start()
    opening.join(5)
    drained(world)
    assert told == []
    assert others[0].session.state is INACTIVE
    # 5, 6: resume; the first DOWNLOAD, of a server that has nothing of it yet
    realm.history.clear()
    uploads = len(realm.uploads())
    session.resume()
    assert session.state is ACTIVE
    world.eventually(lambda: ("N", done, captured) in told)
    drained(world)
    assert told == [*START, ("N", done, captured)], "with the total of then"
    assert len(realm.uploads()) == uploads
    told.clear()
    # 7: the answer to MARK, uploads, the acknowledgement
    realm.before = None
    realm.acknowledge = True
    mark = next(message for _, message in reversed(realm.log) if isinstance(message, messages.Mark))
    server.run(server.peers[0].send(f"mark {mark.session} {mark.request_ident}\n"))
    world.eventually(lambda: ("cb2", None) in told)
    assert len(realm.uploads()) > uploads
    kinds = [one[0] for one in told]
    assert kinds[-1] == "cb2"
    assert set(kinds[:-1]) == {"N"}
    assert told[-2][1] >= captured == told[-2][2]
    assert not progress.is_valid
    observer.invalidate()


def test_c_a_manual_client_reset(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)
    realm.acknowledge = False
    device.write("Fido", first=2)
    world.eventually(lambda: len(realm.uploads()) == 2)
    session, core = device.session, device.core
    told: list[Any] = []

    def handle(error: Any, reported: SyncSession) -> None:
        rows = [(row.original_name, row.new_name, row.action.value) for row in world.manager.metadata.file_actions()]
        told.append(("error", error, reported, reported.state, rows))

    world.manager.error_handler = handle
    observer = session.observe_connection_state(lambda old, new: told.append((old, new)))
    session.on_upload_complete(lambda error: told.append(("wait", type(error))))
    # 1 to 3: the error
    ((_, number), there) = next(iter(realm._sessions.items()))
    there["failed"] = True
    error = messages.Error(number, 208, "unknown client file", False, ErrorAction.CLIENT_RESET)
    server.run(realm.fail(there["peer"], error))
    world.eventually(lambda: len(told) == 3)
    assert told[:2] == [(CONNECTED, DISCONNECTED), ("wait", ClientResetError)]
    _, error, reported, state, rows = told[2]
    assert isinstance(error, ClientResetError)
    assert reported == session
    assert (state, session.state) == (INVALID, INVALID)
    assert core.internal_state is InternalState.INACTIVE
    assert rows == [(device.path, error.backup_path, 1)], "stored before the handler"
    assert re.fullmatch(r"recovered_realm-\d{8}-\d{6}-.{8}", Path(error.backup_path).name)
    assert not Path(error.backup_path).exists()
    # 4: all Realms closed, the token used
    token = error.action_token
    try:
        SyncSession.immediately_handle_error(token)
    except RealmInUseError:
        device.close()
    assert SyncSession.immediately_handle_error(token)
    assert Path(error.backup_path).exists()
    assert not Path(device.path).exists()
    assert world.manager.metadata.file_actions() == []
    assert not token.is_valid
    # 5: open: a new file, a new session, a full download
    realm.acknowledge = True
    again = world.device(user)
    again.session.wait_for_download(5)
    assert again.session != session
    assert session.state is INVALID
    assert again.names() == {1: "Rex", 2: "Fido"}, "both were received"
    idents = [message for _, message in realm.log if isinstance(message, messages.Ident)]
    assert idents[-1].file_ident.ident != idents[0].file_ident.ident
    assert idents[-1].download.server_version == 0
    observer.invalidate()


class Dog(Model):
    id: int = Field(primary_key=True)
    name: str


def test_d_an_automatic_reset_in_recover_mode(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    other = world.device(user, "other")
    other.write("Rex", "Fido")
    other.session.wait_for_upload(5)
    path = str(world.folder / "a.realm")
    seen: list[Any] = []
    threads: set[str] = set()

    def before(frozen: Realm) -> None:
        threads.add(threading.current_thread().name[:14])
        seen.append(("before", frozen.version, frozen.is_frozen, Path(path + ".fresh").exists()))

    def after(frozen: Realm, live: Realm, did_recover: bool) -> None:
        threads.add(threading.current_thread().name[:14])
        seen.append(("after", frozen.version, live.version, did_recover, has_record(history)))

    sync = SyncConfiguration(
        user,
        "/dogs",
        path=path,
        client_reset_mode=ClientResetMode.RECOVER_UNSYNCED_CHANGES,
        before_client_reset=before,
        after_client_reset=after,
    )
    with Realm.open(RealmConfiguration(schema=[Dog], sync=sync)) as mine:
        session = mine.sync_session
        session.wait_for_download(5)
        session.wait_for_upload(5)
        history = ClientHistory(world.manager.registry.core_at(path).file)
        session.suspend()
        with other.file.snapshot() as snapshot, snapshot.lock:
            rows = list(snapshot.reader.page(snapshot.catalogue.find("Dog"), limit=-1))
        (key,) = [key for key, row in rows if "Fido" in row]
        with other.file.write() as tx:  # the server deletes B
            tx.erase(tx.catalogue.find("Dog"), key)
        other.session.wait_for_upload(5)
        mine.refresh()
        with mine.write():
            mine.create(Dog, {"id": 3, "name": "A"})
        slot_of_a = mine.version
        with mine.write():
            mine.get(Dog, 2).name = "B, changed"
        slot_of_b = mine.version
        old_ident = history.status().file_ident
        uploads = len(realm.uploads())
        notified = threading.Event()
        token = mine.observe(lambda *_: notified.set())
        # 1: the error, a fresh copy
        error = messages.Error(0, 208, "unknown client file", False, ErrorAction.CLIENT_RESET)
        realm.fail_once(messages.Ident, error, path="/dogs")
        session.resume()
        world.eventually(lambda: len(seen) == 2)
        # 2 to 7
        frozen, tracked = slot_of_b, slot_of_b + 1
        assert seen == [("before", frozen, True, True), ("after", frozen, tracked + 1, True, True)]
        assert threads == {"syncline-reset"}, "neither the event loop nor the notifier: they may take their time"
        # 8: the rest is uploaded under the new ident
        session.wait_for_upload(5)
        session.wait_for_download(5)
        status = history.status()
        assert status.file_ident != old_ident
        assert status.file_ident == max(
            message.file_ident.ident for _, message in realm.log if isinstance(message, messages.Ident)
        )
        sent = realm.uploads()[uploads:]
        assert [entry.client_version for entry in sent] == [slot_of_a], "in its old slot; the other one is empty"
        assert mine.pump(1.0) or notified.is_set()
        mine.refresh()
        assert {dog.id: dog.name for dog in mine.objects(Dog)} == {1: "Rex", 3: "A"}
        world.eventually(lambda: not has_record(history))
        assert not Path(path + ".fresh").exists()
        assert world.errors == []
        token.invalidate()
    world.eventually(lambda: other.names() == {1: "Rex", 3: "A"})
