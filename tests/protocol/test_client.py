"""The client machine: life of a session, marks, downloads (spec/wire-protocol.md §6.2, §7.5, §7.6)."""

from __future__ import annotations

import pytest
from tests.protocol.client_talk import IDENT, STAND, Talk, answer_upload, entry, ready, stand

from syncline.changesets.changeset import (
    DownloadChangeset,
    DownloadCursor,
    SaltedVersion,
    SyncProgress,
    UploadChangeset,
    UploadCursor,
)
from syncline.protocol import (
    ClientFileIdent,
    DownloadCompleted,
    DownloadReceived,
    ErrorAction,
    IdentReceived,
    SessionError,
    SessionUnbound,
    UploadPolicy,
    UploadWanted,
)
from syncline.protocol.from_server import (
    build_server_ident,
    build_unbound,
)
from syncline.protocol.messages import Bind, ClientJsonError, Ident, Mark, Unbind, Upload

# --- life of a session -----------------------------------------------------------------------------------------------


def test_a_fresh_file_asks_for_an_ident_and_waits_for_its_storage() -> None:
    talk = Talk()
    session = talk.bind(file_ident=ClientFileIdent(), progress=SyncProgress(), local_version=2)
    talk.connect()
    assert talk.said() == [Bind(1, "/a", "", True)]
    talk.hear(build_server_ident(1, IDENT))
    assert talk.one(IdentReceived) == (session, IDENT)
    assert talk.said() == []
    session.ident_stored(3)
    assert talk.said() == [Ident(1, IDENT, DownloadCursor(), SaltedVersion()), Mark(1, 1)]


def test_uploads_wait_for_the_first_mark_and_the_downloads_before_it() -> None:
    talk = Talk()
    session = talk.bind(local_version=7)
    talk.connect()
    assert [type(message) for message in talk.said()] == [Bind, Ident, Mark]
    talk.download(stand(6), entry(6))
    talk.hear(b"mark 1 1\n")
    assert talk.said() == []
    talk.one(DownloadReceived)
    session.integrated(stand(6), 8)
    assert talk.one(DownloadCompleted) == (session, 1)
    assert talk.said() == []
    changeset = UploadChangeset(7, 5, 0, 0, b"x")
    wanted = answer_upload(talk, [changeset], UploadCursor(8, 6))
    assert (wanted.cursor, wanted.up_to) == (UploadCursor(3, 5), 8)
    assert talk.said() == [Upload(1, UploadCursor(8, 6), 6, [changeset])]


def test_without_the_delay_uploads_start_at_once_and_no_mark_is_sent() -> None:
    talk = Talk(upload_activation_delay=False)
    talk.bind()
    talk.connect()
    assert [type(message) for message in talk.said()] == [Bind, Ident]
    assert talk.one(UploadWanted).up_to == 5


def test_policies() -> None:
    talk = Talk()
    talk.bind(1, uploads=UploadPolicy.AT_ONCE)
    talk.bind(2, uploads=UploadPolicy.NEVER)
    talk.connect()
    assert [(type(m), m.session) for m in talk.said()] == [  # type: ignore[union-attr]
        (Bind, 1),
        (Bind, 2),
        (Ident, 1),
        (Ident, 2),
        (Mark, 2),
    ]
    assert talk.one(UploadWanted).session.ident == 1
    talk.hear(b"mark 2 1\n")
    talk.one(DownloadCompleted)
    assert talk.said() == []
    assert talk.machine.events() == []
    talk.machine.disconnected(0)
    talk.now = 100_000
    talk.connect()
    assert Mark(1, 1) in talk.said()  # at once only the first time


def test_a_fast_reconnect_keeps_uploads_going() -> None:
    for gap, delayed in ((60_000, False), (60_001, True)):
        talk = Talk()
        talk.bind()
        talk.connect()
        talk.said()
        talk.hear(b"mark 1 1\n")
        talk.one(DownloadCompleted)
        talk.machine.disconnected(talk.now)
        talk.now += gap
        talk.connect()
        assert (Mark(1, 2) in talk.said()) is delayed


def test_progress_without_changesets_is_reported_once() -> None:
    talk, session = ready()
    talk.download(stand(6))
    talk.one(DownloadReceived)
    session.integrated(stand(6), 6)
    assert talk.said() == []
    answer_upload(talk, [], UploadCursor(6, 6))
    assert talk.said() == [Upload(1, UploadCursor(6, 6), 6, [])]
    session.committed(7)
    assert talk.said() == []
    answer_upload(talk, [], UploadCursor(7, 6))
    assert talk.said() == []  # nothing new to report


def test_a_scan_that_finds_nothing_is_not_repeated() -> None:
    talk, session = ready()
    session.committed(9)
    assert talk.said() == []
    answer_upload(talk, [], UploadCursor(5, 5))  # the history has nothing that new
    assert talk.said() == []
    assert talk.machine.events() == []


def test_a_scan_must_not_go_back() -> None:
    talk, session = ready()
    session.committed(9)
    talk.said()
    wanted = talk.one(UploadWanted)
    for entries, cursor in (([], (4, 5)), ([UploadChangeset(5, 5, 0, 0, b"x")], (9, 5)), ([entry(6)] * 0, (0, 0))):
        with pytest.raises(ValueError, match="upload scan"):
            session.supply_upload(wanted, entries, UploadCursor(*cursor))  # type: ignore[arg-type]


def test_one_message_at_a_time_and_in_turn() -> None:
    talk = Talk()
    for ident in (3, 1, 2):
        talk.bind(ident)
    talk.connect()
    order = [(type(message).__name__, message.session) for message in talk.said()]  # type: ignore[union-attr]
    assert order == [(name, ident) for name in ("Bind", "Ident", "Mark") for ident in (1, 2, 3)]


def test_unbinding() -> None:
    talk, session = ready()
    session.unbind()
    assert talk.said() == [Unbind(1)]
    talk.download(stand(6), entry(6))  # ignored
    talk.hear(b"mark 1 9\n")
    assert talk.machine.events() == []
    talk.hear(build_unbound(1))
    assert talk.one(SessionUnbound).session is session
    talk.hear(build_unbound(1))
    assert "no session 1" in talk.violated()


def test_unbinding_when_nothing_was_sent() -> None:
    talk = Talk()
    session = talk.bind()
    session.unbind()
    talk.one(SessionUnbound)
    talk.connect()
    assert talk.said() == []
    talk.bind(2).unbind()
    assert talk.said() == []
    talk.one(SessionUnbound)


def test_unbinding_ends_with_the_connection_or_with_an_error() -> None:
    talk, session = ready()
    session.unbind()
    talk.said()
    talk.machine.disconnected(0)
    talk.one(SessionUnbound)
    talk.connect()
    talk.hear(b"mark 1 1\n")  # of a session that was lost: ignored
    assert talk.machine.events() == []

    talk, session = ready()
    session.unbind()
    talk.said()
    talk.error(212)
    assert talk.one(SessionUnbound).session is session


def test_a_lost_connection_starts_from_what_is_stored() -> None:
    talk, session = ready()
    session.committed(6)
    talk.said()
    answer_upload(talk, [UploadChangeset(6, 5, 0, 0, b"x")], UploadCursor(6, 5))
    assert [type(message) for message in talk.said()] == [Upload]
    talk.machine.disconnected(0)
    talk.connect()
    assert talk.said() == [Bind(1, "/a", "", False), Ident(1, IDENT, STAND.download, STAND.latest_server_version)]
    assert talk.one(UploadWanted).cursor == UploadCursor(3, 5)


def test_answers_to_questions_of_an_earlier_connection_are_ignored() -> None:
    talk, session = ready()
    session.committed(6)
    talk.said()
    old = talk.one(UploadWanted)
    talk.machine.disconnected(0)
    talk.connect()
    session.supply_upload(old, [UploadChangeset(6, 5, 0, 0, b"x")], UploadCursor(6, 5))
    assert [type(message) for message in talk.said()] == [Bind, Ident]


def test_a_file_is_not_identified_while_earlier_downloads_are_integrated() -> None:
    talk, session = ready()
    talk.download(stand(6), entry(6))
    talk.download(stand(7), entry(7))
    talk.machine.events()
    assert session.pending_integrations == 2
    talk.machine.disconnected(0)
    talk.connect()
    assert [type(message) for message in talk.said()] == [Bind]
    session.integrated(stand(6), 6)
    assert talk.said() == []
    session.integrated(stand(7), 7)
    assert talk.said() == [Ident(1, IDENT, DownloadCursor(7, 3), SaltedVersion(7, 55))]
    assert talk.one(UploadWanted).up_to == 7


def test_an_ident_that_arrives_before_a_cut_is_not_asked_for_again() -> None:
    talk = Talk()
    session = talk.bind(file_ident=ClientFileIdent(), progress=SyncProgress())
    talk.connect()
    talk.said()
    talk.hear(build_server_ident(1, IDENT))
    talk.machine.disconnected(0)
    talk.connect()
    assert talk.said() == [Bind(1, "/a", "", False)]
    session.ident_stored(6)
    assert isinstance(talk.said()[0], Ident)


def test_what_an_earlier_session_uploaded_is_not_uploaded_again() -> None:
    talk = Talk(upload_activation_delay=False)
    session = talk.bind(local_version=9)
    talk.connect()
    talk.said()
    wanted = talk.one(UploadWanted)
    talk.download(stand(6, upload=(8, 5)))
    talk.machine.events()
    session.integrated(stand(6, upload=(8, 5)), 10)
    session.supply_upload(wanted, [UploadChangeset(7, 5, 0, 0, b"x")], UploadCursor(9, 5))
    assert talk.said() == []
    assert talk.one(UploadWanted).cursor == UploadCursor(8, 5)


# --- marks -----------------------------------------------------------------------------------------------------------


def test_only_the_newest_mark_is_sent() -> None:
    talk, session = ready()
    assert [session.request_mark() for _ in range(3)] == [1, 2, 3]
    assert talk.said() == [Mark(1, 3)]
    talk.hear(b"mark 1 3\n")
    assert talk.one(DownloadCompleted).mark == 3


def test_unanswered_marks_are_sent_again() -> None:
    talk, session = ready()
    session.request_mark()
    talk.said()
    talk.machine.disconnected(0)
    talk.connect()
    assert Mark(1, 1) in talk.said()


def test_a_mark_counts_although_the_connection_is_lost_before_its_downloads_are_integrated() -> None:
    talk, session = ready()
    session.request_mark()
    talk.said()
    talk.download(stand(6), entry(6))
    talk.hear(b"mark 1 1\n")
    talk.machine.events()
    talk.machine.disconnected(0)
    session.integrated(stand(6), 6)
    assert talk.one(DownloadCompleted).mark == 1


def test_an_old_mark_does_not_activate_uploads_of_a_new_connection() -> None:
    talk = Talk()
    session = talk.bind(local_version=9)
    talk.connect()
    talk.said()
    talk.download(stand(6), entry(6))
    talk.hear(b"mark 1 1\n")
    talk.machine.events()
    talk.machine.disconnected(0)
    talk.now = 100_000
    talk.connect()
    session.integrated(stand(6), 10)
    assert talk.one(DownloadCompleted).mark == 1
    assert [type(message) for message in talk.said()] == [Bind, Ident, Mark]
    assert talk.machine.events() == []  # uploads wait for mark 2
    talk.hear(b"mark 1 2\n")
    talk.one(DownloadCompleted)
    talk.said()
    talk.one(UploadWanted)


@pytest.mark.parametrize("answers", [[0], [4], [2, 2], [2, 1]])
def test_wrong_marks(answers: list[int]) -> None:
    talk, session = ready()
    for _ in range(3):
        session.request_mark()
    talk.said()
    for answer in answers:
        talk.machine.events()
        talk.hear(b"mark 1 %d\n" % answer)
    assert "mark" in talk.violated()


# --- downloads -------------------------------------------------------------------------------------------------------


def test_downloads_are_checked_against_those_before_even_if_they_are_not_integrated() -> None:
    talk, _ = ready()
    talk.download(stand(6), entry(6))
    talk.download(stand(8), entry(7), entry(8))
    assert len(talk.machine.events()) == 2
    talk.download(stand(8), entry(8))
    assert "do not increase" in talk.violated()


GOOD = stand(6)
WRONG = [
    (GOOD._replace(latest_server_version=SaltedVersion(4, 5), download=DownloadCursor(4, 3)), [], "latest version dec"),
    (GOOD._replace(upload=UploadCursor(2, 5)), [], "upload client version decreases"),
    (GOOD._replace(upload=UploadCursor(6, 5)), [], "does not have"),
    (GOOD._replace(download=DownloadCursor(4, 3)), [], "download server version decreases"),
    (GOOD._replace(download=DownloadCursor(7, 3)), [], "beyond the latest"),
    (GOOD._replace(download=DownloadCursor(6, 2)), [], "download client version decreases"),
    (GOOD._replace(download=DownloadCursor(6, 4)), [], "beyond the upload cursor"),
    (GOOD._replace(upload=UploadCursor(3, 7)), [], "beyond the download cursor"),
    (GOOD, [entry(5)], "do not increase"),
    (GOOD, [entry(6), entry(6)], "do not increase"),
    (GOOD, [entry(7)], "beyond the download cursor"),
    (GOOD, [entry(6, client=2)], "client versions of entries that decrease"),
    (GOOD, [entry(6, client=4)], "client version beyond"),
    (GOOD, [entry(6, origin=0)], "without an origin"),
    (GOOD, [entry(6, origin=2)], "made itself"),
]


@pytest.mark.parametrize(("progress", "entries", "complaint"), WRONG)
def test_every_row_of_the_checks(progress: SyncProgress, entries: list[DownloadChangeset], complaint: str) -> None:
    talk, _ = ready()
    talk.download(progress, *entries)
    assert complaint in talk.violated()


def test_a_download_that_cannot_be_integrated_is_reported_and_mutes_the_session() -> None:
    talk, session = ready()
    session.request_mark()
    talk.said()
    talk.download(stand(6), entry(6))
    talk.download(stand(7), entry(7))
    talk.hear(b"mark 1 1\n")
    assert len(talk.machine.events()) == 2
    session.integration_failed(212, "no such class")
    session.committed(9)
    session.request_mark()
    assert talk.said() == [ClientJsonError(1, 212, "no such class")]
    talk.download(stand(8), entry(8))
    assert talk.machine.events() == []
    talk.error(212, action=ErrorAction.CLIENT_RESET)
    assert talk.one(SessionError).is_suspended
    assert talk.said() == [Unbind(1)]
    session.resume()
    assert [type(message) for message in talk.said()] == [Bind, Ident, Mark]


def test_before_version_7_the_server_is_not_told() -> None:
    talk, session = ready()
    talk.version = talk.machine.version = 6
    talk.download(stand(6), entry(6))
    talk.machine.events()
    session.integration_failed(212, "no such class")
    assert talk.said() == []
