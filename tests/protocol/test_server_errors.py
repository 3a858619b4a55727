"""The server machine against clients that break the rules, and the ends of a connection (spec/wire-protocol.md §12)."""

from __future__ import annotations

import zlib

import pytest
from tests.protocol.server_talk import FACTS, Talk, batch

from syncline.errors import ProtocolViolationError
from syncline.protocol import (
    ERRORS,
    BatchState,
    BindRequested,
    ClientFileIdent,
    CloseCode,
    CloseWanted,
    DownloadWanted,
    Error,
    ErrorAction,
    IdentRequested,
    Limits,
    MarkRequested,
    QueryReceived,
    RejectedUpdate,
    SessionEnded,
    SyncMode,
)
from syncline.protocol.from_server import parse_server_message
from syncline.protocol.messages import Download, Mark, QueryError

# --- malformed input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 103),
        (b"\n", 103),
        (b"hello 1 2\n", 103),
        (b"mark 1 1", 103),
        (b"mark 1 x\n", 103),
        (b"mark 1 1\nx", 103),
        (b"bind 1 80 0 1 0\n/example", 103),
        (b"bind 1 2 0 1 0\n/ax", 103),
        (b"upload 1 0 15 0 2 0 0\n2 0 1000 0 6 hello", 103),
        (b"upload 1 0 99 0 2 0 0\n2 0 1000 0 5 hello", 103),
        (b"upload 1 1 2000 5 2 0 0\nabcde", 101),
        (b"query 1 1 2\n{}", 103),
        (b"test_command 1 1 2\n{}", 103),
        (b"x" * 5000 + b"\n", 103),
        (b"mark 7 1\n", 106),
        (b"ident 7 2 5 0 0 0 0\n", 106),
        (b"unbind 7\n", 106),
        (b"refresh 7 0\n", 106),
        (b"bind 0 2 0 1 0\n/a", 106),
        (b"bind 1 2 0 1 0\n/a", 107),
    ],
)
def test_malformed_input(data: bytes, code: int) -> None:
    talk = Talk()
    talk.ready(1)
    talk.hear(data)
    assert talk.failed() == code


@pytest.mark.parametrize(
    "data", [b"ident 1 2 7 0 0 0 0\n", b"mark 1 1\n", b"upload 1 0 0 0 2 0 0\n", b"json_error 212 2 1\n{}"]
)
def test_messages_before_the_servers_ident(data: bytes) -> None:
    talk = Talk()
    talk.hear(b"bind 1 2 0 1 0\n/a")
    talk.one(BindRequested).session.accept_bind("/a", ClientFileIdent(2, 7))
    talk.hear(data)
    assert talk.failed() == 109


@pytest.mark.parametrize("data", [b"mark 1 1\n", b"upload 1 0 0 0 2 0 0\n", b"json_error 212 2 1\n{}"])
def test_messages_before_the_clients_ident(data: bytes) -> None:
    talk = Talk()
    talk.bound()
    talk.hear(data)
    assert talk.failed() == 109


def test_a_second_ident() -> None:
    talk = Talk()
    talk.ready()
    talk.hear(b"ident 1 2 7 5 3 5 55\n")
    assert talk.failed() == 109


@pytest.mark.parametrize(
    "data",
    [
        b"m" * 3000,
        b"upload 1 1 30000000 %d 2 0 0\n" % len(zlib.compress(b"0" * 30_000_000)) + zlib.compress(b"0" * 30_000_000),
        b"upload 1 0 60 0 99 0 0\n" + b"2 0 0 0 0 " * 6,
    ],
)
def test_beyond_the_limits_the_connection_closes_without_a_message(data: bytes) -> None:
    talk = Talk(limits=Limits(message=2900 if data[0] == ord("m") else 10**6, inflated=10**6, entries=5))
    talk.bound()
    talk.hear(data)
    ended, close = talk.events()
    assert isinstance(ended, SessionEnded)
    assert isinstance(close, CloseWanted)
    assert close.code == CloseCode.MESSAGE_TOO_BIG
    assert talk.said() == []


def test_too_many_sessions() -> None:
    talk = Talk(sessions=2)
    talk.ready(1, realm="/1")
    talk.ready(2, realm="/2")
    for ident in (3, 4):
        talk.hear(b"bind %d 2 0 1 0\n/a" % ident)
        assert talk.events() == []
        (error,) = talk.said()
        assert isinstance(error, Error)
        assert (error.session, error.code, error.action) == (ident, 201, ErrorAction.APPLICATION_BUG)
    talk.hear(b"unbind 4\n")
    talk.hear(b"unbind 1\n")
    talk.hear(b"unbind 3\n")
    talk.said()
    talk.one(SessionEnded)
    talk.ready(3, realm="/3")
    for ident in (4, 5):
        talk.hear(b"bind %d 2 0 1 0\n/a" % ident)
    talk.said()
    talk.hear(b"bind 6 2 0 1 0\n/a")
    assert talk.failed() == 101


def test_messages_can_be_decoded_elsewhere() -> None:
    talk = Talk()
    message = talk.machine.decode(b"bind 1 2 0 1 0\n/a")
    talk.machine.receive_message(message, 17, 0)
    talk.one(BindRequested)
    with pytest.raises(ProtocolViolationError) as caught:
        talk.machine.decode(b"upload 1 1 2000 5 2 0 0\nabcde")
    talk.machine.reject(caught.value)
    assert talk.failed() == 101


# --- errors of the server ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3, 4, 10, 14])
@pytest.mark.parametrize("code", [info.code for info in ERRORS.values() if info.may_be_sent and info.code >= 200])
def test_every_session_error_is_understood(version: int, code: int) -> None:
    if code in (231, 236):
        return
    talk = Talk(version=version)
    session = talk.ready()
    session.fail(code, partition_query="x == 1" if code == 232 else None)
    talk.one(SessionEnded)
    data = talk.machine.next_message()
    assert data is not None
    assert data.startswith(b"json_error" if version >= 4 else b"error")
    if version >= 4 or code != 232:
        error = parse_server_message(data, SyncMode.PBS, version, Limits())
        assert isinstance(error, Error)
        assert (error.code, error.message) == (code, ERRORS[code].name)
        assert error.try_again is ERRORS[code].try_again
        assert error.action is (ERRORS[code].action if version >= 4 else None)


def test_details_of_session_errors() -> None:
    talk = Talk()
    session = talk.ready()
    update = RejectedUpdate("Dog", "AA==", "no")
    session.fail(230, "no", rejected_updates=(update,), rejected_client_version=4, try_again=True)
    error = talk.session_error()
    assert (error.rejected_updates, error.rejected_client_version, error.try_again) == ((update,), 4, True)
    for code in (100, 231, 236, 999):
        with pytest.raises(ValueError, match="error code"):
            session.fail(code)
    with pytest.raises(ValueError, match="partition_query"):
        session.fail(232)


def test_reports_that_do_not_end_a_session_go_before_the_next_download() -> None:
    talk = Talk()
    session = talk.ready()
    session.advance(6)
    update = RejectedUpdate("Dog", "AA==", "no")
    session.compensating_write(6, 4, (update,), "reverted")
    session.schema_version_changed(3, "migrate")
    reverted, migrate = talk.said()
    assert isinstance(reverted, Error)
    assert isinstance(migrate, Error)
    assert (reverted.code, reverted.compensating_write_server_version, reverted.rejected_client_version) == (231, 6, 4)
    assert (migrate.code, migrate.previous_schema_version) == (236, 3)
    talk.one(DownloadWanted)
    session.supply_download(batch(6))
    assert isinstance(talk.said()[0], Download)
    old = Talk(version=3)
    session = old.ready()
    session.compensating_write(6, 4, (update,), "reverted")
    assert old.said() == []


@pytest.mark.parametrize("version", [3, 14])
def test_shutting_down(version: int) -> None:
    talk = Talk(version=version)
    talk.ready()
    talk.machine.shut_down()
    talk.one(SessionEnded)
    (error,) = talk.said()
    assert isinstance(error, Error)
    assert (error.session, error.code, error.try_again) == (0, 100, True)
    assert talk.one(CloseWanted).code == CloseCode.INTERNAL_ERROR
    assert talk.machine.is_closing
    assert talk.machine.next_timer() is None
    talk.machine.shut_down()
    assert talk.said() == []


def test_connection_errors_of_the_driver() -> None:
    talk = Talk()
    talk.machine.fail(114, "this server syncs Realms by path")
    (error,) = talk.said()
    assert isinstance(error, Error)
    assert (error.code, error.action) == (114, ErrorAction.APPLICATION_BUG)
    for code in (206, 104, 999):
        with pytest.raises(ValueError, match="error code"):
            talk.machine.fail(code)


def test_closing_by_code() -> None:
    talk = Talk()
    talk.ready()
    talk.machine.close(CloseCode.UNAUTHORIZED, "token expired")
    ended, close = talk.events()
    assert isinstance(ended, SessionEnded)
    assert close == CloseWanted(4001, "token expired")
    assert talk.said() == []


def test_a_silent_connection_is_closed() -> None:
    talk = Talk(idle_timeout_ms=1000)
    talk.now = 500
    talk.hear(b"ping 1 0\n")
    talk.events()
    assert talk.machine.next_timer() == 1500
    talk.machine.tick(1499)
    assert talk.events() == []
    talk.machine.tick(1500)
    assert talk.one(CloseWanted).code == CloseCode.INTERNAL_ERROR


def test_a_lost_socket_ends_every_session() -> None:
    talk = Talk()
    session = talk.ready(1, realm="/1")
    talk.bound(2)
    talk.upload((4, 1), 1, (4, 1))
    talk.machine.disconnected()
    kinds = [type(event).__name__ for event in talk.events()]
    assert kinds == ["UploadReceived", "SessionEnded", "SessionEnded"]  # what was received is still integrated
    session.fail(212)
    session.advance(9)
    assert (talk.said(), talk.events()) == ([], [])


# --- flexible sync ----------------------------------------------------------------------------------------------------


def flexible(version: int = 14, bootstrap_due: bool = False) -> Talk:
    talk = Talk(SyncMode.FLX, version)
    talk.hear(b"bind 1 0 0 0 0\n")
    talk.one(BindRequested).session.accept_bind("flx")
    talk.hear(b"ident 1 2 7 5 3 5 55 1 2\n{}")
    event = talk.one(IdentRequested)
    assert (event.request.query_version, event.request.query) == (1, "{}")
    assert event.session.identify(FACTS._replace(bootstrap_due=bootstrap_due)) == 0
    assert talk.said() == []
    wanted = talk.one(DownloadWanted)
    if not bootstrap_due:
        wanted.session.supply_download(batch(5, query_version=1))
        talk.said()
    return talk


def test_a_query_is_bootstrapped_before_the_mark_after_it_is_answered() -> None:
    talk = flexible()
    talk.hear(b"query 1 2 2\n{}")
    talk.hear(b"mark 1 1\n")
    query, mark = talk.events()
    assert isinstance(query, QueryReceived)
    assert isinstance(mark, MarkRequested)
    session = query.session
    session.confirm_mark(5)
    assert talk.said() == []
    talk.one(DownloadWanted)
    session.supply_download(batch(6, query_version=2, batch_state=BatchState.MORE_TO_COME, estimate=0.5))
    (part,) = talk.said()
    assert isinstance(part, Download)
    assert (part.batch_state, part.query_version, part.estimate) == (BatchState.MORE_TO_COME, 2, 0.5)
    talk.one(DownloadWanted)
    session.supply_download(batch(6, query_version=2, batch_state=BatchState.LAST_IN_BATCH))
    last, answer = talk.said()
    assert isinstance(last, Download)
    assert last.batch_state is BatchState.LAST_IN_BATCH
    assert answer == Mark(1, 1)


def test_a_rejected_query_lets_the_mark_through() -> None:
    talk = flexible()
    talk.hear(b"query 1 2 2\n{}")
    talk.hear(b"mark 1 1\n")
    session = talk.events()[0].session  # type: ignore[union-attr]
    session.confirm_mark(5)
    session.reject_query(2, 226, "no such class")
    assert talk.said() == [QueryError(1, 226, "no such class", 2), Mark(1, 1)]


def test_a_bootstrap_that_is_due_holds_the_mark_back() -> None:
    talk = flexible(bootstrap_due=True)
    talk.hear(b"mark 1 1\n")
    session = talk.one(MarkRequested).session
    session.confirm_mark(5)
    session.supply_download(batch(5, query_version=1, batch_state=BatchState.MORE_TO_COME))
    assert len(talk.said()) == 1
    talk.one(DownloadWanted)
    session.supply_download(batch(5, query_version=1, batch_state=BatchState.LAST_IN_BATCH))
    assert talk.said()[-1] == Mark(1, 1)


def test_query_versions_increase() -> None:
    talk = flexible()
    talk.hear(b"query 1 1 2\n{}")
    assert talk.failed() == 109


def test_before_version_14_steady_state_is_written_as_1() -> None:
    talk = flexible(13)
    talk.hear(b"query 1 2 2\n{}")
    session = talk.one(QueryReceived).session
    session.reject_query(2, 226, "no")
    session.advance(6)
    talk.said()
    talk.one(DownloadWanted)
    session.supply_download(batch(6, query_version=1))
    data = talk.machine.next_message()
    assert data is not None
    assert data.startswith(b"download 1 6 3 6 55 3 1 1 1 1 ")
