"""What stands in the way of a client reset: failures, refusals, interference (spec/sessions.md §12)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.sync.reset_scene import (
    DISCARD,
    EITHER,
    FORBIDDEN,
    RECOVER,
    RESET,
    Gate,
    Scene,
    fresh_copy_of,
    is_noted,
    names,
    put,
    record_of,
    session_of,
    settle,
)

from syncline import (
    ClientResetMode,
    Realm,
    SyncSession,
    SyncSessionState,
    SyncUserState,
)
from syncline.errors import AutomaticResetError, ClientResetError, ConnectionFailedError, DiskFullError
from syncline.protocol import messages
from syncline.protocol.backoff import BackoffParameters
from syncline.protocol.errors import ErrorAction
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.storage.transaction import WriteTransaction
from syncline.sync import client_reset, reset_tracking
from syncline.sync.reset_tracking import Outcome, ResetRecord, read_record, write_record_in
from syncline.values.kinds import INT


@pytest.fixture
def scene(world: Any, server: Any, app: Any, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(world, server, app, tmp_path)
    yield made
    made.close()


# --- what fails -------------------------------------------------------------------------------------------------------


def test_before_that_raises_makes_it_a_manual_reset(scene: Scene) -> None:
    def before(frozen: Realm) -> None:
        raise ValueError("not now")

    realm = scene.ahead(before_client_reset=before)
    scene.refuse(realm)
    error = scene.error()
    assert (error.status, error.is_fatal) == ("AutoClientResetFailed", True)
    assert "not now" in str(error)
    assert error.action_token is not None
    assert error.backup_path is not None
    assert session_of(realm).state is SyncSessionState.INVALID
    assert names(realm) == ["Luna", "Rex"]
    assert not is_noted(realm), "nothing was tried"
    assert not fresh_copy_of(realm).exists()


def test_after_that_raises_makes_it_a_manual_reset_and_the_next_one_is_not_tried(scene: Scene) -> None:
    """Otherwise a file that the server refuses again and again would be reset for ever."""

    def after(frozen: Realm, live: Realm, did_recover: bool) -> None:
        raise ValueError("after the reset")

    realm = scene.ahead(DISCARD, after_client_reset=after)
    scene.refuse(realm)
    assert "after the reset" in str(scene.error())
    assert names(realm) == ["Rex"], "the reset itself was done"
    realm.close()
    scene.world.errors.clear()
    scene.fake.fail_once(messages.Ident, RESET)
    again = scene.open(DISCARD)
    error = scene.error()
    assert isinstance(error.__cause__, AutomaticResetError)
    assert "did not succeed either" in str(error)
    assert names(again) == ["Rex"]


@pytest.mark.parametrize("step", ["transfer", "recover"])
def test_a_step_that_fails_leaves_the_old_state_and_is_noted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError("power cut")

    realm = scene.ahead()
    monkeypatch.setattr(client_reset, step, fail)
    scene.refuse(realm)
    assert "power cut" in str(scene.error())
    assert names(realm) == ["Luna", "Rex"]
    record = record_of(realm)
    assert record is not None
    assert record.outcome is Outcome.FAILED
    reports = list((scene.world.folder / "sync").rglob("recovered_realm-*.json"))
    assert reports == [], "nothing was recovered"
    put(realm, 4, "still usable")


def test_a_failure_that_cannot_be_noted_counts_as_interrupted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any) -> None:
        monkeypatch.setattr(reset_tracking, "write_record_in", fail)
        raise OSError("disk full")

    realm = scene.ahead()
    monkeypatch.setattr(client_reset, "transfer", fail)
    scene.refuse(realm)
    assert "disk full" in str(scene.error())
    record = record_of(realm)
    assert record is not None
    assert record.outcome is Outcome.BEGUN
    assert "cannot be noted" in caplog.text


def test_a_report_of_what_was_not_committed_goes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[Path] = []

    def fail(file: RealmFile, tx: WriteTransaction, **settings: Any) -> None:
        file.rollback(tx)
        raise DiskFullError("disk full")

    def write_and_run_full(report: Path, *arguments: Any) -> None:
        write_report(report, *arguments)
        reports.append(report)
        assert report.exists()
        monkeypatch.setattr(RealmFile, "commit", fail)

    write_report = client_reset.write_report
    realm = scene.ahead()
    monkeypatch.setattr(client_reset, "write_report", write_and_run_full)
    scene.refuse(realm)
    assert "disk full" in str(scene.error())
    monkeypatch.undo()
    assert len(reports) == 1
    assert not reports[0].exists()
    assert names(realm) == ["Luna", "Rex"]


def test_a_report_that_cannot_be_written_is_no_reason_to_fail(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    realm = scene.ahead(recovery_directory="taken")
    taken = scene.world.manager.layout.backup_path("taken").parent
    taken.parent.mkdir(parents=True, exist_ok=True)
    taken.write_text("a file, not a directory")
    scene.refuse(realm)
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    assert scene.world.errors == []
    assert "the report of the client reset cannot be written" in caplog.text


def test_a_class_that_only_this_file_has_cannot_be_discarded(scene: Scene) -> None:
    realm = scene.ahead(DISCARD)
    with closing(RealmFile.open(realm.path)) as file, file.write() as tx:
        tx.add_class("Mine", primary_key="id", key_type=INT)
    scene.refuse(realm)
    assert "classes have been removed: 'Mine'" in str(scene.error())
    assert names(realm) == ["Luna", "Rex"]


def test_a_file_that_syncs_after_all_is_not_deleted_at_the_next_start(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the first attempt asked for that; the second attempt made the file good."""

    def fail(*arguments: Any) -> None:
        raise AutomaticResetError("a class was removed")

    realm = scene.ahead(EITHER)
    monkeypatch.setattr(client_reset, "recover", fail)
    scene.refuse(realm)
    token = scene.error().action_token
    assert token is not None
    metadata = scene.user.manager.metadata
    assert [action.original_name for action in metadata.file_actions()] == [realm.path]
    realm.close()
    scene.world.errors.clear()
    scene.fake.fail_once(messages.Ident, RESET)
    again = scene.open(EITHER)
    settle(again)
    assert names(again) == ["Rex"], "discarded"
    scene.world.eventually(lambda: not is_noted(again))
    assert metadata.file_actions() == []
    again.close()
    assert SyncSession.immediately_handle_error(token) is False, "nor by the token"
    assert Path(again.path).exists()
    assert scene.world.errors == []


def test_what_could_not_be_recovered_is_discarded_the_second_time(scene: Scene) -> None:
    realm = scene.ahead(EITHER)
    with closing(RealmFile.open(realm.path)) as file, file.write() as tx:
        write_record_in(tx, ResetRecord(RECOVER, ErrorAction.CLIENT_RESET, 208, "before", Outcome.FAILED))
    scene.refuse(realm)
    settle(realm)
    assert names(realm) == ["Rex"]
    assert scene.world.errors == []


# --- what the server wants --------------------------------------------------------------------------------------------


def test_the_server_forbids_to_recover_and_nothing_else_is_wanted(scene: Scene) -> None:
    realm = scene.ahead(RECOVER)
    scene.refuse(realm, FORBIDDEN)
    error = scene.error()
    assert isinstance(error.__cause__, AutomaticResetError)
    assert "forbids" in str(error)
    assert error.action_token is not None
    assert session_of(realm).state is SyncSessionState.INVALID
    assert names(realm) == ["Luna", "Rex"]
    assert not fresh_copy_of(realm).exists()


def test_the_server_forbids_to_recover_so_it_is_discarded(scene: Scene) -> None:
    realm = scene.ahead(EITHER)
    scene.refuse(realm, FORBIDDEN)
    settle(realm)
    assert names(realm) == ["Rex"]
    assert scene.world.errors == []
    (report,) = scene.world.manager.layout.backup_path(None).parent.glob("recovered_realm-*.json")
    told = json.loads(report.read_text())
    assert told["discarded"] == {"transactions": 1}
    assert "recovered" not in told


def test_a_record_of_another_library_is_ignored(scene: Scene) -> None:
    realm = scene.ahead()
    with closing(RealmFile.open(realm.path)) as file, file.write() as tx:
        failed = ResetRecord(RECOVER, ErrorAction.CLIENT_RESET, 208, "before", Outcome.FAILED, library="realm-core 14")
        write_record_in(tx, failed)
    scene.refuse(realm)
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    scene.world.eventually(lambda: not is_noted(realm))


# --- the server is restored again -------------------------------------------------------------------------------------


def test_restored_again_while_the_fresh_copy_is_downloaded(scene: Scene) -> None:
    """The copy is refused like the file was: it begins again."""
    realm = scene.ahead()
    scene.refuse(realm, times=3)
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    assert scene.world.errors == []
    assert not fresh_copy_of(realm).exists()


def test_restored_again_and_again_is_not_tried_for_ever(scene: Scene) -> None:
    realm = scene.ahead()
    scene.refuse(realm, times=5)
    assert "cannot be downloaded" in str(scene.error())
    assert names(realm) == ["Luna", "Rex"]
    assert not fresh_copy_of(realm).exists()


@pytest.mark.parametrize("mode", [RECOVER, EITHER])
def test_restored_again_before_it_has_what_was_recovered(scene: Scene, mode: ClientResetMode) -> None:
    """That counts as a failed attempt: a manual reset, or everything unsynced is discarded."""
    realm = scene.ahead(mode)
    scene.fake.fail_once(messages.Ident, RESET)
    idents = []

    async def refuse_the_third(peer: Any, message: Any) -> None:
        if isinstance(message, messages.Ident):
            idents.append(message)
            if len(idents) == 3:  # the file, the fresh copy, the file with its new identity
                scene.fake.fail_once(messages.Ident, RESET)

    scene.fake.before = refuse_the_third
    session_of(realm).resume()
    if mode is RECOVER:
        assert "did not succeed" in str(scene.error())
        assert names(realm) == ["Luna", "Rex"], "to be backed up"
    else:
        settle(realm)
        assert names(realm) == ["Rex"]
        assert scene.world.errors == []


# --- somebody interferes ----------------------------------------------------------------------------------------------


def leave_and_come_back(scene: Scene, realm: Realm, how: str) -> Callable[[], Realm]:
    """The session stops, whatever it does; what starts it again."""
    session = session_of(realm)
    if how == "suspend":
        session.suspend()
        return lambda: session.resume() or realm
    if how == "log out":
        scene.user.log_out()

        def log_in() -> Realm:
            scene.app._count = int(scene.user.identity, 16) - 1  # the server gives the same identity again
            assert scene.log_in() is scene.user
            return realm

        return log_in
    realm.close()
    return lambda: scene.open()


@pytest.mark.parametrize("how", ["suspend", "log out", "close"])
def test_stopped_while_the_fresh_copy_is_downloaded(scene: Scene, how: str) -> None:
    realm = scene.ahead()
    gate = Gate(scene)
    scene.refuse(realm)
    gate.wait()
    back = leave_and_come_back(scene, realm, how)
    gate.open()
    scene.world.manager.wait_for_sessions_to_terminate(5) if how == "close" else None
    assert fresh_copy_of(realm).exists(), "to go on with"
    scene.fake.fail_once(messages.Ident, RESET)  # the file is still the old one
    again = back()
    settle(again)
    assert names(again) == ["Luna", "Rex"]
    assert scene.world.errors == []
    scene.world.eventually(lambda: not is_noted(again))
    assert not fresh_copy_of(again).exists()
    old, _, copy, *later = [message.file_ident for _, message in scene.fake.log if isinstance(message, messages.Ident)]
    assert later == [old, copy, copy], "it was gone on with, then the file took its identity"


@pytest.mark.parametrize("how", ["suspend", "log out", "close"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_stopped_while_a_callback_runs(scene: Scene, how: str, where: str) -> None:
    """What is being written is written to the end; nothing is sent before."""
    entered, go_on = threading.Event(), threading.Event()

    def hold(*realms: Any) -> None:
        if not entered.is_set():
            entered.set()
            assert go_on.wait(10)

    realm = scene.ahead(**{f"{where}_client_reset": hold})
    scene.refuse(realm)
    assert entered.wait(10)
    count = len(scene.fake.log)
    again = leave_and_come_back(scene, realm, how)()
    go_on.set()
    settle(again)
    assert names(again) == ["Luna", "Rex"]
    assert scene.world.errors == []
    scene.world.eventually(lambda: not is_noted(again))
    assert not fresh_copy_of(again).exists()
    binds = [message for _, message in scene.fake.log[count:] if isinstance(message, messages.Bind)]
    assert len(binds) == 1, "the file was the new one, and refused no more"


def test_a_session_that_is_started_twice_binds_once(scene: Scene) -> None:
    """Whatever has told it to start: what it waited for may end just then."""
    realm = scene.ahead()
    session_of(realm).resume()
    settle(realm)
    binds = scene.binds()
    core = scene.core()
    scene.user.manager.client.post(core.start_protocol, core.protocol)
    settle(realm)
    assert scene.binds() == binds


def test_other_headers_begin_the_reset_anew(scene: Scene) -> None:
    realm = scene.ahead()
    gate = Gate(scene)
    scene.refuse(realm)
    gate.wait()
    scene.fake.before = None
    scene.fake.fail_once(messages.Ident, RESET)  # the file is still the old one
    scene.world.manager.custom_request_headers = {"X-Route": "other"}
    settle(realm)
    gate.open()
    assert names(realm) == ["Luna", "Rex"]
    assert scene.world.errors == []
    assert scene.server.peers[-1].header("X-Route") == "other"


def test_the_download_follows_the_server_to_another_place(scene: Scene) -> None:
    realm = scene.ahead()
    scene.fake.fail_once(messages.Ident, RESET)
    scene.fake.fail_once(messages.Ident, messages.Error(0, 201, "moved", False, ErrorAction.REFRESH_LOCATION))
    session_of(realm).resume()
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    assert scene.world.errors == []


def test_the_connection_is_lost_while_the_fresh_copy_is_downloaded(scene: Scene) -> None:
    realm = scene.ahead()
    gate = Gate(scene)
    scene.refuse(realm)
    gate.wait()
    scene.fake.before = None
    scene.server.run(scene.fake.cut())
    gate.open()
    scene.user.manager.reconnect()
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    assert [error for error, _ in scene.world.errors if isinstance(error, ClientResetError)] == []


def test_no_connection_can_be_made_while_the_fresh_copy_is_downloaded(scene: Scene) -> None:
    """The application hears of it as without a reset, and the reset goes on when there is one."""

    async def refuse_sockets(peer: Any) -> None:
        if b"realm-sync" in peer.request:
            await peer.answer(404)
        else:
            await scene.app.script(peer)

    realm = scene.ahead()
    gate = Gate(scene)
    scene.refuse(realm)
    gate.wait()
    scene.fake.before = None
    scene.server.script(refuse_sockets)
    scene.server.run(scene.fake.cut())
    gate.open()
    session_of(realm).reconnect()
    scene.world.eventually(lambda: scene.world.errors)
    assert {type(error) for error, _ in scene.world.errors} == {ConnectionFailedError}
    assert session_of(realm).state is SyncSessionState.ACTIVE
    scene.server.script(scene.app.script)
    session_of(realm).reconnect()
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    scene.world.eventually(lambda: not is_noted(realm))


def test_reconnect_skips_the_delay_of_the_download(scene: Scene) -> None:
    realm = scene.ahead()
    scene.fake.fail_once(messages.Ident, RESET)
    hour = BackoffParameters(3_600_000, 3_600_000, 1, 0)
    later = messages.Error(0, 201, "later", True, ErrorAction.TRANSIENT, backoff=hour)
    scene.fake.fail_once(messages.Ident, later)
    session_of(realm).resume()
    scene.world.eventually(lambda: scene.binds() == 3 and scene.core().reset._fresh._protocol.delay() > 60)
    session_of(realm).reconnect()
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    assert scene.world.errors == []


def test_a_user_that_is_not_believed_while_the_fresh_copy_is_downloaded_is_not_the_fault_of_the_file(
    scene: Scene,
) -> None:
    realm = scene.ahead()
    scene.fake.fail_once(messages.Ident, RESET)
    scene.fake.fail_once(messages.Ident, messages.Error(0, 203, "bad authentication", False))
    session_of(realm).resume()
    scene.world.eventually(lambda: scene.user.state is SyncUserState.ERROR)
    scene.world.eventually(lambda: scene.world.errors)
    assert not any(isinstance(error, ClientResetError) for error, _ in scene.world.errors)
    assert names(realm) == ["Luna", "Rex"]
    scene.app._count = int(scene.user.identity, 16) - 1
    assert scene.log_in() is scene.user
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    scene.world.eventually(lambda: not is_noted(realm))
    assert not fresh_copy_of(realm).exists()


def test_a_callback_that_waits_for_sync_would_wait_for_itself(scene: Scene) -> None:
    waited: list[Any] = []

    def after(frozen: Realm, live: Realm, did_recover: bool) -> None:
        with pytest.raises(AutomaticResetError, match="goes on when the callback has returned"):
            session.wait_for_upload()
        session.on_upload_complete(waited.append)

    realm = scene.ahead(after_client_reset=after)
    session = session_of(realm)
    scene.refuse(realm)
    scene.world.eventually(lambda: waited == [None])
    assert names(realm) == ["Luna", "Rex"]


def test_the_manager_is_closed_while_a_callback_runs(scene: Scene) -> None:
    """It does not wait for the callback; what is being written is written to the end, and the file is given back."""
    entered, go_on = threading.Event(), threading.Event()

    def before(frozen: Realm) -> None:
        entered.set()
        assert go_on.wait(10)

    realm = scene.ahead(before_client_reset=before)
    scene.refuse(realm)
    assert entered.wait(10)
    core = scene.core()
    realm.close()
    scene.world.manager.close(timeout=0.1)
    assert not core.released.is_set()
    go_on.set()
    assert core.released.wait(10)
    with closing(RealmFile.open(realm.path)) as file:
        record = read_record(ClientHistory(file))
        assert record is not None
        assert record.outcome is Outcome.DONE
    assert not fresh_copy_of(realm).exists()


# --- files that are not what they seem --------------------------------------------------------------------------------


def test_garbage_in_the_place_of_the_fresh_copy_is_removed(scene: Scene) -> None:
    realm = scene.ahead()
    fresh_copy_of(realm).write_bytes(b"no Realm at all" * 100)
    scene.refuse(realm)
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    assert not fresh_copy_of(realm).exists()


def test_a_directory_in_the_place_of_the_fresh_copy_makes_it_a_manual_reset(scene: Scene) -> None:
    realm = scene.ahead()
    (fresh_copy_of(realm) / "full").mkdir(parents=True)
    scene.refuse(realm)
    assert scene.error().status == "AutoClientResetFailed"
    assert names(realm) == ["Luna", "Rex"]
    assert (fresh_copy_of(realm) / "full").exists()


def test_a_realm_of_the_application_named_like_the_fresh_copy_is_neither_used_nor_deleted(scene: Scene) -> None:
    realm = scene.ahead()
    with closing(RealmFile.open(fresh_copy_of(realm))) as file, file.write() as tx:
        tx.add_class("Treasure")
    scene.refuse(realm)
    assert "is in the way" in str(scene.error())
    with closing(RealmFile.open(fresh_copy_of(realm))) as file, file.snapshot() as snapshot:
        assert snapshot.catalogue.find("Treasure") is not None


def test_a_file_of_another_realm_is_not_merged_into_this_one(scene: Scene) -> None:
    """The server refuses it like a file whose history it has lost; what is unsynced in it was written for another."""
    realm = scene.ahead()
    realm.close()
    scene.world.manager.wait_for_sessions_to_terminate(5)
    uploads = len(scene.fake.uploads())
    scene.fake.fail_once(messages.Ident, RESET, "/cats")
    realm = scene.open(url="/cats")
    error = scene.error()
    assert isinstance(error.__cause__, AutomaticResetError)
    assert "'/dogs', not with '/cats'" in str(error)
    assert error.action_token is not None
    assert names(realm) == ["Luna", "Rex"]
    assert len(scene.fake.uploads()) == uploads
    assert scene.fake.history.get("/cats", []) == []


def test_what_an_interrupted_reset_has_left_goes_when_the_server_asks_for_none(scene: Scene) -> None:
    """The server was restored, then restored to the newer state: it knows the file after all."""
    realm = scene.ahead()
    with closing(RealmFile.open(realm.path)) as file:
        copy = file.open_beside(str(fresh_copy_of(realm)))
        with copy.write() as tx:
            ClientHistory.set_value_in(tx, "reset.fresh", 1)
            tx.add_class("Dog")
        copy.close()
    session_of(realm).resume()
    settle(realm)
    scene.world.eventually(lambda: not fresh_copy_of(realm).exists())
