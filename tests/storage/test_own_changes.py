"""What is remembered of the own changes is what the history says (storage/own_changes.py)."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.changesets.codec import encode_recorded
from syncline.changesets.instructions import CreateObject, Update
from syncline.merge.integration import WindowEntry
from syncline.storage.own_changes import OwnChanges
from syncline.values.kinds import INT

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.booleans()),
        st.tuples(st.just("window"), st.integers(0, 20)),
        st.tuples(st.just("merge"), st.integers(0, 20)),
        st.tuples(st.just("trim"), st.integers(0, 5)),
        st.tuples(st.just("clear"), st.none()),
    ),
    max_size=40,
)


def changeset(key: int) -> bytes:
    return encode_recorded([CreateObject("Dog", key), Update("Dog", key, "age", (), INT, key)])


class History:
    """A bare ``rlm_history`` and the thing under test."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute(
            "CREATE TABLE rlm_history(version INTEGER PRIMARY KEY, size INT, remote_version INT, origin INT,"
            " timestamp INT, changeset BLOB, reciprocal BLOB)"
        )
        self.own = OwnChanges(self.connection)
        self.version = 1
        self.base = 1

    def commit(self, own: bool) -> None:
        self.version += 1
        data = changeset(self.version) if own else b""
        self.connection.execute(
            "INSERT INTO rlm_history VALUES(?, ?, 0, ?, 5, ?, NULL)", (self.version, len(data), int(not own), data)
        )

    def merge(self, version: int) -> None:
        if any(entry.version == version for entry in self.stored(self.base)):
            self.own.set_reciprocals([(version, changeset(version + 1000))])

    def trim(self, count: int) -> None:
        self.base = min(self.base + count, self.version)
        self.connection.execute("DELETE FROM rlm_history WHERE version <= ?", (self.base,))
        self.own.drop(self.base)

    def stored(self, after: int) -> list[WindowEntry]:
        return [
            WindowEntry(version, timestamp, 0, data, bool(merged))
            for version, timestamp, data, merged in self.connection.execute(
                "SELECT version, timestamp, ifnull(reciprocal, changeset), reciprocal IS NOT NULL FROM rlm_history"
                " WHERE version > ? AND size > 0 ORDER BY version",
                (after,),
            )
        ]

    def check_window(self, after: int) -> None:
        after = max(after, self.base)
        found = self.own.window(after, self.version)
        assert [entry._replace(footprint=None) for entry in found] == self.stored(after)
        for entry in found:
            if entry.footprint is not None:
                key = entry.version + (1000 if entry.is_reciprocal else 0)
                assert entry.footprint.objects == {"Dog": {key}}


@pytest.fixture
def history() -> Iterator[History]:
    made = History()
    yield made
    made.connection.close()


@given(STEPS)
def test_windows_are_what_is_stored(steps: list[tuple[str, int]]) -> None:
    history = History()
    for what, value in steps:
        if what == "commit":
            history.commit(bool(value))
        elif what == "window":
            history.check_window(value)
        elif what == "merge":
            history.merge(value)
        elif what == "trim":
            history.trim(value)
        else:
            history.own.clear()
    history.check_window(0)
    history.connection.close()


def test_what_is_used_again_says_what_it_touches(history: History) -> None:
    for _ in range(3):
        history.commit(True)
    assert [entry.footprint for entry in history.own.window(1, 4)] == [None] * 3
    assert [entry.footprint is None for entry in history.own.window(1, 4)] == [False] * 3
    history.own.set_reciprocals([(3, b"")])
    assert [entry.footprint is None for entry in history.own._entries] == [False, True, False]
    assert [entry.changeset == b"" for entry in history.own.window(1, 4)] == [False, True, False]


def test_too_much_is_read_again_every_time(history: History) -> None:
    history.own = OwnChanges(history.connection, limit=50)
    for _ in range(5):
        history.commit(True)
    for _ in range(2):
        history.check_window(1)
        assert history.own._entries == []
