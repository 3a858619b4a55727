"""The server machine: sessions, uploads, downloads, marks (spec/wire-protocol.md §6.4, §6.5, §8, §10)."""

from __future__ import annotations

import pytest
from tests.protocol.server_talk import FACTS, Talk, batch

from syncline.changesets.changeset import DownloadChangeset, DownloadCursor, SaltedVersion, SyncProgress, UploadCursor
from syncline.protocol import (
    BindRequested,
    ClientErrorReceived,
    ClientFileIdent,
    DownloadWanted,
    Error,
    ErrorAction,
    IdentFacts,
    IdentRequested,
    MarkRequested,
    PingReceived,
    SessionEnded,
    TokenRefreshed,
    UploadReceived,
)
from syncline.protocol.messages import Download, Ident, LogMessage, Mark, Pong, ServerIdent, Unbound


def download(version: int, client: int = 3, session: int = 1, latest: int | None = None) -> Download:
    latest_version = SaltedVersion(version if latest is None else latest, 55)
    return Download(session, SyncProgress(latest_version, DownloadCursor(version, client), UploadCursor(3, 1)), 0, [])


# --- bind and ident ---------------------------------------------------------------------------------------------------


def test_a_new_file_gets_its_ident() -> None:
    talk = Talk()
    talk.hear(b"bind 1 2 0 1 0\n/a")
    event = talk.one(BindRequested)
    assert event[1:] == ("/a", "", True, False, None)
    assert talk.said() == []
    event.session.accept_bind("/a", ClientFileIdent(2, 7))
    assert talk.said() == [ServerIdent(1, ClientFileIdent(2, 7))]
    talk.hear(b"ident 1 2 7 0 0 0 0\n")
    request = talk.one(IdentRequested).request
    assert request == Ident(1, ClientFileIdent(2, 7), DownloadCursor(), SaltedVersion())
    assert event.session.identify(IdentFacts(0, 0, True, 7)) == 0
    assert (event.session.realm, event.session.file_ident) == ("/a", 2)


def test_accept_bind_takes_an_ident_exactly_if_one_is_needed() -> None:
    talk = Talk()
    talk.hear(b"bind 1 2 0 1 0\n/a")
    with pytest.raises(ValueError, match="file ident"):
        talk.one(BindRequested).session.accept_bind("/a")
    talk.hear(b"bind 2 2 0 0 0\n/a")
    with pytest.raises(ValueError, match="file ident"):
        talk.one(BindRequested).session.accept_bind("/a", ClientFileIdent(2, 7))


def test_pipelined_messages_wait_for_the_driver() -> None:
    talk = Talk()
    talk.hear(b"bind 1 2 0 0 0\n/a")
    session = talk.one(BindRequested).session
    talk.hear(b"ident 1 2 7 5 3 5 55\n")
    talk.hear(b"mark 1 1\n")
    talk.upload((4, 1), 1, (4, 1))
    assert talk.events() == []
    session.accept_bind("/a")
    talk.one(IdentRequested)
    assert session.identify(FACTS) == 0
    mark, upload = talk.events()
    assert isinstance(mark, MarkRequested)
    assert isinstance(upload, UploadReceived)
    assert [entry.client_version for entry in upload.entries] == [4]


def test_a_violation_among_pipelined_messages() -> None:
    talk = Talk()
    session = talk.bound()
    talk.hear(b"ident 1 2 7 5 3 5 55\n")
    talk.hear(b"ident 1 2 7 5 3 5 55\n")
    talk.one(IdentRequested)
    session.identify(FACTS)
    assert talk.failed() == 109


def test_reading_pauses_while_too_much_waits() -> None:
    talk = Talk(queued_messages=3, queued_bytes=100)
    talk.hear(b"bind 1 2 0 0 0\n/a")
    session = talk.one(BindRequested).session
    talk.hear(b"ident 1 2 7 5 3 5 55\n")
    talk.hear(b"mark 1 1\n")
    assert not talk.machine.read_paused
    talk.hear(b"mark 1 2\n")
    assert talk.machine.read_paused
    session.accept_bind("/a")  # type: ignore[unreachable]
    assert not talk.machine.read_paused
    talk.hear(b"mark 1 3\n")
    talk.hear(b"bind 2 2 0 0 0\n/b")
    talk.hear(b"ident 2 " + b"0" * 30 + b"2 " + b"0" * 30 + b"7 " + b"0" * 30 + b"5 3 5 55\n")
    assert talk.machine.read_paused
    talk.hear(b"unbind 1\n")
    talk.hear(b"unbind 2\n")
    assert not talk.machine.read_paused


@pytest.mark.parametrize(
    ("ident", "facts", "code"),
    [
        ((2, 7, 5, 3, 6, 55), FACTS, 209),  # 1: ahead of the server
        ((2, 7, 5, 3, 5, 55), FACTS._replace(current_version=4, file_exists=False), 209),  # 1 before 2
        ((0, 0, 0, 0, 0, 0), FACTS._replace(file_exists=False), 208),  # 2
        ((2, 8, 5, 3, 5, 55), FACTS, 211),  # 3
        ((2, 0, 5, 3, 5, 55), FACTS._replace(salt=0), 211),  # 3
        ((2, 7, 0, 0, 5, 55), FACTS, 209),  # 4
        ((2, 7, 5, 9, 5, 55), FACTS._replace(is_expired=True), 222),  # 5 before 7
        ((2, 7, 6, 9, 5, 55), FACTS, 209),  # 6 before 7
        ((2, 7, 5, 4, 5, 55), FACTS, 210),  # 7
        ((2, 7, 5, 3, 4, 55), FACTS, 209),  # 8
        ((2, 7, 5, 3, 5, 56), FACTS, 211),  # 9
        ((2, 7, 0, 0, 0, 9), FACTS._replace(upload=UploadCursor()), 211),  # 9: version 0 has salt 0
        ((2, 7, 5, 3, 5, 55), FACTS._replace(is_same_client_type=False), 208),  # 10
    ],
)
def test_every_row_of_the_ident_checks(ident: tuple[int, ...], facts: IdentFacts, code: int) -> None:
    talk = Talk()
    session = talk.bound()
    talk.hear(b"ident 1 %d %d %d %d %d %d\n" % ident)
    talk.one(IdentRequested)
    assert session.identify(facts) == code
    error = talk.session_error()
    assert (error.code, error.action, error.try_again) == (code, ErrorAction.CLIENT_RESET, False)


def test_the_same_file_twice_on_one_connection() -> None:
    talk = Talk()
    talk.ready(1)
    talk.ready(2, realm="/b")  # ident 2 of another Realm is another file
    session = talk.bound(3)
    talk.hear(b"ident 3 2 7 5 3 5 55\n")
    talk.one(IdentRequested)
    assert session.identify(FACTS) == 108
    assert talk.failed() == 108


def test_a_file_may_come_back_when_its_session_was_unbound() -> None:
    talk = Talk()
    talk.ready(1)
    talk.hear(b"unbind 1\n")
    talk.one(SessionEnded)
    talk.identified(2)


def test_the_machine_says_hello() -> None:
    talk = Talk()
    assert talk.said(logs=True) == [LogMessage(0, "info", "Client connection established with server", "c0")]
    talk.identified()
    talk.machine.log("warn", "slow today", 1)
    assert talk.said(logs=True) == [
        LogMessage(1, "debug", "Session 1 bound to client file ident 2"),
        LogMessage(1, "warn", "slow today"),
    ]
    with pytest.raises(ValueError, match="log level"):
        talk.machine.log("warning", "x")
    old = Talk(version=9)
    assert old.said(logs=True) == []


def test_logs_are_bounded() -> None:
    talk = Talk(queued_logs=5)
    for _ in range(100):
        talk.machine.log("info", "x")
    assert len(talk.said(logs=True)) == 5


# --- unbind -----------------------------------------------------------------------------------------------------------


def test_unbind_in_every_phase() -> None:
    talk = Talk()
    talk.hear(b"bind 1 2 0 1 0\n/a")
    session = talk.one(BindRequested).session
    talk.hear(b"unbind 1\n")
    talk.one(SessionEnded)
    session.accept_bind("/a", ClientFileIdent(2, 7))  # too late: nothing happens
    assert talk.said() == [Unbound(1)]

    talk.hear(b"bind 1 2 0 1 0\n/a")  # the ident may be used again
    session = talk.one(BindRequested).session
    session.accept_bind("/a", ClientFileIdent(2, 7))
    talk.hear(b"unbind 1\n")
    assert talk.said() == [Unbound(1)]
    talk.one(SessionEnded)

    session = talk.bound()
    talk.hear(b"ident 1 2 7 5 3 5 55\n")
    talk.one(IdentRequested)
    talk.hear(b"unbind 1\n")
    assert session.identify(FACTS) == -1
    assert talk.said() == [Unbound(1)]
    talk.one(SessionEnded)

    session = talk.identified()
    assert talk.said() == []
    talk.one(DownloadWanted)
    talk.hear(b"unbind 1\n")
    session.supply_download(batch(5))
    assert talk.said() == [Unbound(1)]
    talk.one(SessionEnded)


def test_after_unbind_nothing_may_come() -> None:
    talk = Talk()
    talk.ready()
    talk.hear(b"unbind 1\n")
    talk.hear(b"mark 1 1\n")
    assert talk.failed() == 109


def test_after_an_error_everything_is_ignored_until_unbind_which_is_not_answered() -> None:
    talk = Talk()
    session = talk.ready()
    session.fail(206, "go away")
    error = talk.session_error()
    assert (error.code, error.message, error.action) == (206, "go away", ErrorAction.APPLICATION_BUG)
    talk.hear(b"mark 1 1\n")
    talk.upload((1, 9), 9)
    talk.hear(b"json_error 212 2 1\n{}")
    assert (talk.events(), talk.said()) == ([], [])
    session.fail(201)
    session.advance(9)
    talk.hear(b"unbind 1\n")
    assert (talk.events(), talk.said()) == ([], [])
    talk.ready()


def test_unbind_overtakes_an_error() -> None:
    talk = Talk()
    session = talk.ready()
    session.fail(206)
    talk.hear(b"unbind 1\n")
    assert talk.said() == [Unbound(1)]


def test_refused_binds() -> None:
    talk = Talk()
    talk.hear(b"bind 1 2 0 1 0\n/a")
    talk.one(BindRequested).session.fail(204, "Illegal Realm path (BIND)")
    assert talk.session_error().code == 204
    talk.ready(2)


# --- uploads ----------------------------------------------------------------------------------------------------------


def test_what_was_integrated_before_the_session_is_skipped() -> None:
    talk = Talk()
    session = talk.ready()
    talk.upload((5, 5), 5, (2, 1), (3, 1), (5, 5))
    event = talk.one(UploadReceived)
    assert [entry.client_version for entry in event.entries] == [5]
    assert event[2:] == (UploadCursor(5, 5), 5, 2)
    assert event.session is session


def test_progress_alone_is_reported() -> None:
    talk = Talk()
    talk.ready()
    talk.upload((4, 5), 5)
    assert talk.one(UploadReceived)[1:] == ([], UploadCursor(4, 5), 5, 0)
    assert talk.said() == []


@pytest.mark.parametrize(
    ("before", "progress", "locked", "entries", "code"),
    [
        (((6, 5), 5), (5, 5), 5, [], 210),  # progress goes back
        (None, (6, 6), 5, [], 209),  # beyond what was downloaded
        (None, (0, 1), 1, [], 209),  # inconsistent
        (None, (2, 2), 1, [], 209),  # against the threshold (3, 1)
        (None, (4, 0), 1, [], 209),  # against the threshold
        (((5, 5), 5), (5, 4), 5, [], 209),  # against the progress
        (((4, 1), 4), (5, 1), 3, [], 209),  # locked goes back
        (None, (4, 1), 0, [], 209),  # locked below the stored one
        (None, (4, 1), 6, [], 209),  # locked beyond what was downloaded
        (((5, 1), 1), (6, 1), 1, [(5, 1)], 210),  # not after the progress
        (None, (6, 1), 1, [(5, 1), (5, 1)], 210),  # twice
        (None, (6, 1), 1, [(0, 1)], 210),
        (None, (6, 5), 1, [(5, 5), (6, 4)], 209),  # bases go back
        (None, (6, 5), 1, [(2, 2), (6, 5)], 209),  # against the threshold
        (None, (4, 1), 1, [(5, 1)], 210),  # last entry beyond the progress
        (None, (6, 1), 1, [(5, 2)], 209),  # last entry against the progress
    ],
)
def test_every_row_of_the_upload_checks(
    before: tuple[tuple[int, int], int] | None,
    progress: tuple[int, int],
    locked: int,
    entries: list[tuple[int, int]],
    code: int,
) -> None:
    talk = Talk()
    talk.ready()
    if before is not None:
        talk.upload(*before)
        talk.one(UploadReceived)
    talk.upload(progress, locked, *entries)
    assert talk.session_error().code == code


def test_a_changeset_that_cannot_be_integrated() -> None:
    talk = Talk()
    session = talk.ready()
    talk.upload((4, 1), 1, (4, 1))
    talk.one(UploadReceived)
    session.fail(212, "cannot merge")
    assert talk.session_error().action is ErrorAction.APPLICATION_BUG


# --- downloads --------------------------------------------------------------------------------------------------------


def test_the_first_download_is_always_sent() -> None:
    talk = Talk()
    session = talk.identified()
    assert talk.said() == []
    assert talk.one(DownloadWanted)[1:] == (DownloadCursor(5, 3), True)
    assert talk.said() == []
    assert talk.events() == []  # asked once
    with pytest.raises(ValueError, match="first DOWNLOAD"):
        session.supply_download(None)
    talk = Talk()
    talk.ready()


def test_downloads_follow_the_head() -> None:
    talk = Talk()
    session = talk.ready()
    session.advance(5)
    assert (talk.said(), talk.events()) == ([], [])
    session.advance(6)
    assert talk.said() == []
    assert talk.one(DownloadWanted)[1:] == (DownloadCursor(5, 3), False)
    session.advance(7)
    session.supply_download(batch(6, latest=7))
    assert talk.said() == [download(6, latest=7)]
    assert talk.one(DownloadWanted).cursor == DownloadCursor(6, 3)
    session.supply_download(batch(7))
    assert talk.said() == [download(7)]
    session.supply_download(batch(9))  # nobody asked
    assert talk.said() == []
    assert session.download_cursor == DownloadCursor(7, 3)


def test_a_question_can_come_to_nothing() -> None:
    talk = Talk()
    session = talk.ready()
    session.advance(6)
    talk.said()
    talk.one(DownloadWanted)
    session.supply_download(None)
    assert (talk.said(), talk.events()) == ([], [])


@pytest.mark.parametrize("wrong", [batch(4), batch(5, 2), batch(7, latest=6)])
def test_downloads_that_would_break_the_client_are_not_sent(wrong: object) -> None:
    talk = Talk()
    session = talk.ready()
    session.advance(6)
    talk.said()
    talk.one(DownloadWanted)
    with pytest.raises(ValueError, match="DOWNLOAD from"):
        session.supply_download(wrong)  # type: ignore[arg-type]


def test_sessions_take_turns_and_fetches_are_bounded() -> None:
    talk = Talk(fetches=2)
    sessions = [talk.identified(ident, realm=f"/{ident}") for ident in range(1, 6)]
    order: list[int] = []
    for _ in range(5):
        for event in talk.events():
            assert isinstance(event, DownloadWanted)
            event.session.supply_download(batch(5))
        messages = talk.said()
        assert len(messages) <= 2
        order += [message.session for message in messages if isinstance(message, Download)]
    assert order == [1, 2, 3, 4, 5]
    assert all(session.download_cursor.server_version == 5 for session in sessions)


def test_a_fetch_is_given_back_when_its_session_ends() -> None:
    talk = Talk(fetches=1)
    talk.identified(1, realm="/1")
    second = talk.identified(2, realm="/2")
    third = talk.identified(3, realm="/3")
    talk.said()
    assert talk.one(DownloadWanted).session.ident == 1
    second.pause()
    talk.hear(b"unbind 1\n")
    assert talk.said() == [Unbound(1)]
    ended, wanted = talk.events()
    assert isinstance(ended, SessionEnded)
    assert isinstance(wanted, DownloadWanted)
    assert wanted.session is third  # the second one is paused
    third.supply_download(batch(5))
    assert talk.said() == [download(5, session=3)]
    second.unpause()
    talk.said()
    assert talk.one(DownloadWanted).session is second


def test_a_shared_body_goes_out_as_it_is() -> None:
    talk = Talk()
    session = talk.ready()
    session.advance(6)
    talk.said()
    talk.one(DownloadWanted)
    entry = DownloadChangeset(6, 3, 0, 9, 2000, b"z" * 2000)
    shared = batch(6, entries=(entry,))
    assert shared.body.is_compressed
    session.supply_download(shared)
    data = talk.machine.next_message()
    assert data is not None
    assert data.endswith(b"\n" + shared.body.data)


# --- marks ------------------------------------------------------------------------------------------------------------


def test_a_mark_waits_for_the_driver_and_for_the_downloads() -> None:
    talk = Talk()
    session = talk.ready()
    talk.hear(b"mark 1 3\n")
    assert talk.one(MarkRequested).request_ident == 3
    assert talk.said() == []
    session.confirm_mark(7)  # another node has integrated more
    assert talk.said() == []
    talk.one(DownloadWanted)
    session.supply_download(batch(7, latest=8))
    assert talk.said() == [download(7, latest=8)]  # the head says that something follows: not yet
    talk.one(DownloadWanted)
    session.supply_download(batch(8))
    assert talk.said() == [download(8), Mark(1, 3)]


def test_only_the_latest_mark_is_answered() -> None:
    talk = Talk()
    session = talk.ready()
    talk.hear(b"mark 1 1\n")
    talk.hear(b"mark 1 2\n")
    assert len(talk.events()) == 2
    session.confirm_mark(5)
    assert talk.said() == []  # the answer to the first one says nothing about the second
    session.confirm_mark(5)
    assert talk.said() == [Mark(1, 2)]
    session.confirm_mark(5)
    assert talk.said() == []


def test_a_mark_before_the_first_download() -> None:
    talk = Talk()
    session = talk.identified()
    talk.hear(b"mark 1 1\n")
    talk.one(MarkRequested)
    session.confirm_mark(5)
    assert talk.said() == []
    talk.one(DownloadWanted)
    session.supply_download(batch(5))
    assert talk.said() == [download(5), Mark(1, 1)]


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_pongs_go_first_and_only_the_last_is_sent() -> None:
    talk = Talk()
    talk.hear(b"bind 1 2 0 1 0\n/a")
    talk.one(BindRequested).session.accept_bind("/a", ClientFileIdent(2, 7))
    talk.hear(b"ping 5 0\n")
    talk.hear(b"ping 6 12\n")
    assert talk.events() == [PingReceived(0), PingReceived(12)]
    assert talk.said() == [Pong(6), ServerIdent(1, ClientFileIdent(2, 7))]


@pytest.mark.parametrize(
    ("code", "answer", "action"),
    [
        (212, 212, ErrorAction.CLIENT_RESET),
        (233, 212, ErrorAction.CLIENT_RESET),
        (112, 212, ErrorAction.CLIENT_RESET),
        (201, 201, ErrorAction.TRANSIENT),
    ],
)
def test_a_client_that_cannot_integrate_is_helped_on(code: int, answer: int, action: ErrorAction) -> None:
    talk = Talk()
    talk.ready()
    talk.hear(b'json_error %d 15 1\n{"message":"m"}' % code)
    reported, ended = talk.events()
    assert isinstance(reported, ClientErrorReceived)
    assert reported[1:] == (code, "m")
    assert isinstance(ended, SessionEnded)
    (error,) = talk.said()
    assert isinstance(error, Error)
    assert (error.code, error.action) == (answer, action)


def test_old_clients() -> None:
    talk = Talk(version=3)
    talk.ready()
    talk.hear(b"refresh 1 3\nabc")
    assert talk.one(TokenRefreshed).token == "abc"
    talk.hear(b"state_request 1 0 0 0 1 9 9\n")
    error = talk.session_error()
    assert (error.code, error.try_again, error.action) == (201, False, None)  # an ERROR has no action
