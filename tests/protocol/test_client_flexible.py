"""The client machine in flexible sync (spec/flexible-sync.md §3, §4)."""

from __future__ import annotations

import pytest
from tests.protocol.client_talk import IDENT, STAND, Talk, answer_upload, entry, ready, stand

from syncline.changesets.changeset import (
    UploadChangeset,
    UploadCursor,
)
from syncline.protocol import (
    BatchState,
    ClientSession,
    DownloadCompleted,
    DownloadReceived,
    FlexibleBind,
    PendingQuery,
    QueryRejected,
    SyncMode,
    UploadPolicy,
    UploadWanted,
)
from syncline.protocol.from_server import (
    build_query_error,
)
from syncline.protocol.messages import Bind, Ident, Mark, Query, Upload


def flexible(version: int = 14) -> tuple[Talk, ClientSession]:
    talk = Talk(SyncMode.FLX, version)
    session = talk.bind(active_query_version=1, active_query='{"a":"(TRUEPREDICATE)"}')
    talk.connect()
    return talk, session


def test_a_flexible_session_tells_its_active_query() -> None:
    talk, _ = flexible()
    assert talk.said() == [
        Bind(1, "", "", False, False, FlexibleBind()),
        Ident(1, IDENT, STAND.download, STAND.latest_server_version, 1, '{"a":"(TRUEPREDICATE)"}'),
        Mark(1, 1),
    ]


def test_queries_keep_the_order_of_writes_and_are_followed_by_a_mark() -> None:
    talk, session = flexible()
    talk.said()
    session.add_query(PendingQuery(2, 7, '{"a":"x"}'))
    session.committed(9)
    assert talk.said() == []  # held back like uploads
    talk.hear(b"mark 1 1\n")
    talk.one(DownloadCompleted)
    assert talk.said() == []
    before = UploadChangeset(6, 5, 0, 0, b"before")
    wanted = answer_upload(talk, [before], UploadCursor(7, 5))
    assert wanted.up_to == 7
    assert talk.said() == [Upload(1, UploadCursor(7, 5), 5, [before]), Query(1, 2, '{"a":"x"}'), Mark(1, 2)]
    assert talk.one(UploadWanted).up_to == 9


def test_an_empty_upload_does_not_go_before_a_query() -> None:
    talk, session = flexible()
    talk.said()
    talk.hear(b"mark 1 1\n")
    session.add_query(PendingQuery(2, 7, "{}"))
    talk.one(DownloadCompleted)
    talk.said()
    answer_upload(talk, [], UploadCursor(7, 5))
    assert talk.said() == [Query(1, 2, "{}"), Mark(1, 2)]


def test_a_rejected_query_is_gone_and_the_session_goes_on() -> None:
    talk, session = flexible()
    talk.said()
    talk.hear(b"mark 1 1\n")
    session.add_query(PendingQuery(2, 5, "bad"))
    talk.machine.events()
    talk.said()
    answer_upload(talk, [], UploadCursor(5, 5))
    assert talk.said() == [Query(1, 2, "bad"), Mark(1, 2)]
    talk.hear(build_query_error(1, 2, 226, "no"))
    assert talk.one(QueryRejected) == (session, 2, 226, "no")
    talk.machine.disconnected(0)
    talk.connect()
    assert [type(message) for message in talk.said()] == [Bind, Ident, Mark]


def test_pending_queries_are_sent_again_unless_they_became_active() -> None:
    talk, session = flexible()
    talk.said()
    talk.hear(b"mark 1 1\n")
    session.add_query(PendingQuery(2, 3, "two"))
    session.add_query(PendingQuery(3, 3, "three"))
    talk.machine.events()
    assert [message for message in talk.said() if isinstance(message, Query)] == [
        Query(1, 2, "two"),
        Query(1, 3, "three"),
    ]
    session.set_active_query(2, "two")
    talk.machine.disconnected(0)
    talk.connect()
    said = talk.said()
    assert isinstance(said[1], Ident)
    assert (said[1].query_version, said[1].query) == (2, "two")
    assert Query(1, 3, "three") in said
    assert Query(1, 2, "two") not in said


def test_after_a_sentinel_only_marks_are_sent() -> None:
    talk, session = flexible()
    talk.said()
    talk.hear(b"mark 1 1\n")
    session.add_query(PendingQuery(2, 3, "last", is_sentinel=True))
    talk.machine.events()
    assert talk.said() == [Query(1, 2, "last"), Mark(1, 2)]
    session.committed(9)
    assert talk.said() == []
    assert talk.machine.events() == []


def test_a_fresh_copy_sends_queries_without_uploads() -> None:
    talk = Talk(SyncMode.FLX)
    session = talk.bind(uploads=UploadPolicy.NEVER)
    talk.connect()
    talk.said()
    session.add_query(PendingQuery(1, 7, "q"))
    talk.hear(b"mark 1 1\n")
    talk.one(DownloadCompleted)
    assert talk.said() == [Query(1, 1, "q"), Mark(1, 2)]
    assert talk.machine.events() == []


def test_a_bootstrap_moves_the_cursor_only_at_its_end() -> None:
    talk, session = flexible()
    talk.said()
    part = {"query_version": 2, "batch_state": BatchState.MORE_TO_COME, "estimate": 0.5}
    talk.download(stand(8), entry(8), **part)  # type: ignore[arg-type]
    talk.download(stand(8), entry(8), **(part | {"batch_state": BatchState.LAST_IN_BATCH, "estimate": 1.0}))  # type: ignore[arg-type]
    first, last = talk.machine.events()
    assert isinstance(first, DownloadReceived)
    assert isinstance(last, DownloadReceived)
    assert (first.batch_state, first.estimate, last.batch_state) == (
        BatchState.MORE_TO_COME,
        0.5,
        BatchState.LAST_IN_BATCH,
    )
    session.integrated(STAND, 6)
    session.integrated(stand(8), 7)
    talk.download(stand(8), entry(8))  # weakly increasing
    assert talk.one(DownloadReceived).batch_state is BatchState.STEADY_STATE
    talk.download(stand(9), entry(7))
    assert "decrease" in talk.violated()


@pytest.mark.parametrize(("query_version", "state"), [(1, BatchState.STEADY_STATE), (2, BatchState.LAST_IN_BATCH)])
def test_before_version_14_the_query_version_tells_steady_state(query_version: int, state: BatchState) -> None:
    talk, _ = flexible(13)
    talk.said()
    talk.download(stand(6), entry(6), query_version=query_version, batch_state=BatchState.LAST_IN_BATCH)
    assert talk.one(DownloadReceived).batch_state is state


def test_queries_are_no_business_of_partition_based_sync() -> None:
    talk, _ = ready()
    talk.hear(build_query_error(1, 2, 226, "no"))
    talk.violated()
