"""Commit groups on a real log and state: what stands together, what falls alone (spec/merge.md §10)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.server.wire import DOG, TIMESTAMP, dogs, packed, rename

from syncline.changesets.changeset import DownloadCursor, SaltedVersion, UploadChangeset, UploadCursor
from syncline.changesets.codec import decode, encode, encode_recorded
from syncline.changesets.instructions import CreateObject, Update
from syncline.errors import DiskFullError, NewerFormatError
from syncline.protocol.messages import ClientFileIdent, Ident
from syncline.server import integrator, sqlite_log
from syncline.server.bounded_cache import BoundedCache
from syncline.server.commit_group import (
    GroupOutcome,
    IdentOperation,
    NewFileOperation,
    UploadOperation,
    run_group,
)
from syncline.server.log_store import LogEntry
from syncline.server.permissions import Level
from syncline.server.sqlite_log import SqliteLogStore
from syncline.storage.reader import Reader
from syncline.values import kinds


class Uploader:
    def __init__(self, ident: int, level: Level = Level.ADMIN) -> None:
        self.file_ident = ident
        self._level = level

    def level(self) -> Level:
        return self._level


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteLogStore]:
    opened = SqliteLogStore.open(tmp_path / "a" / "log.realm", BoundedCache(1_000_000))
    yield opened
    opened.close()


def upload(
    uploader: Uploader, *changesets: tuple[int, bytes], base: int = 0, locked: int = 0, origin: int = 0
) -> UploadOperation:
    """Changesets as (client version, bytes); later versions are later in time."""
    entries = [UploadChangeset(v, base, TIMESTAMP + v, origin, data) for v, data in changesets]
    return UploadOperation(uploader, entries, UploadCursor(changesets[-1][0], base), locked)


def run(store: SqliteLogStore, *operations: Any, policy: str = "additive") -> GroupOutcome:
    return run_group(store, operations, policy)


def files(store: SqliteLogStore, count: int) -> list[Uploader]:
    outcome = run(store, *(NewFileOperation("ann", "s", False) for _ in range(count)))
    return [Uploader(file.ident) for file in outcome.files.values()]


def log(store: SqliteLogStore) -> list[LogEntry]:
    return list(store.entries(0, 10**9, -1))


def names(store: SqliteLogStore) -> list[Any]:
    """What the updates in the log say, in order."""
    found = [instruction for entry in log(store) for instruction in decode(entry.changeset).instructions]
    return [instruction.value for instruction in found if isinstance(instruction, Update)]


def test_idents_begin_at_two_and_salts_cannot_be_guessed(store: SqliteLogStore) -> None:
    outcome = run(store, *(NewFileOperation("ann", "s", False) for _ in range(3)))
    made = list(outcome.files.values())
    assert [file.ident for file in made] == [2, 3, 4]
    assert len({file.salt for file in made}) == 3
    assert all(1 <= file.salt < 2**63 for file in made)
    assert run(store, NewFileOperation("bob", "s", True)).files[0].ident == 5
    assert store.client_file(2) == made[0]
    assert store.client_file(9) is None


def test_one_group_one_salt_one_version_per_changeset(store: SqliteLogStore) -> None:
    one, two = files(store, 2)
    outcome = run(store, upload(one, (2, dogs(1)), (4, rename(1, "a"))), upload(two, (2, dogs(2))))
    assert [(entry.version, entry.origin, entry.client_version) for entry in outcome.entries] == [
        (1, 2, 2),
        (2, 2, 4),
        (3, 3, 2),
    ]
    assert len({entry.salt for entry in outcome.entries}) == 1
    assert outcome.status.head == (3, outcome.entries[-1].salt)
    assert outcome.status == store.status()
    assert outcome.status.total == sum(len(entry.changeset) for entry in outcome.entries)
    later = run(store, upload(one, (5, rename(1, "b"))))
    assert later.entries[0].salt != outcome.entries[0].salt
    assert [store.salt_of(version) for version in (0, 1, 4, 5)] == [
        0,
        outcome.entries[0].salt,
        later.entries[0].salt,
        None,
    ]


def test_cursors_are_stored_with_the_changes(store: SqliteLogStore) -> None:
    one, two = files(store, 2)
    outcome = run(store, upload(one, (2, dogs(1)), (3, rename(1, "a"))), upload(two, (7, dogs(2)), locked=0))
    assert outcome.cursors == [(one, (3, 0)), (two, (7, 0))]
    progress_only = UploadOperation(one, [], UploadCursor(9, 2), 2)
    outcome = run(store, progress_only)
    assert outcome.cursors == [(one, (9, 2))]
    assert not outcome.entries
    file = store.client_file(2)
    assert file is not None
    assert (file.upload, file.locked_version) == ((9, 2), 2)
    run(store, UploadOperation(one, [], UploadCursor(5, 1), 1))
    again = store.client_file(2)
    assert again == file, "cursors never go back"


def test_messages_of_one_session_are_one_part(store: SqliteLogStore) -> None:
    (one,) = files(store, 1)
    outcome = run(store, upload(one, (2, dogs(1))), upload(one, (3, b"\xff")), upload(one, (4, rename(1, "a"))))
    assert not outcome.entries
    assert [refusal.code for _, refusal in outcome.refusals] == [212]
    assert store.status().head == (0, 0)


def test_a_bad_part_falls_alone(store: SqliteLogStore) -> None:
    one, two, three = files(store, 3)
    before = store.content_hash()
    outcome = run(
        store,
        upload(one, (2, dogs(1))),
        upload(two, (2, dogs(2)), (3, packed([CreateObject("Cat", 1)]))),
        upload(three, (2, dogs(3))),
    )
    assert [(entry.version, entry.origin) for entry in outcome.entries] == [(1, 2), (2, 4)]
    assert [(uploader, refusal.code) for uploader, refusal in outcome.refusals] == [(two, 212)]
    assert "Cat" in outcome.refusals[0][1].message
    refused = store.client_file(two.file_ident)
    assert refused is not None
    assert refused.upload == (0, 0)
    assert store.content_hash() != before
    outcome = run(store, upload(two, (2, dogs(2))))
    assert outcome.entries[0].version == 3


def test_a_bad_part_alone_leaves_nothing(store: SqliteLogStore) -> None:
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1))))
    before = store.content_hash(), store.status(), log(store)
    outcome = run(store, upload(two, (2, rename(1, "x")), (3, b"\xff"), base=1))
    assert [refusal.code for _, refusal in outcome.refusals] == [212]
    assert (store.content_hash(), store.status(), log(store)) == before
    assert run(store, upload(two, (2, rename(1, "y")), base=1)).entries[0].version == 2


def test_a_defect_of_ours_stops_one_client_only(store: SqliteLogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = files(store, 2)
    real: Callable[[Any], bytes] = vars(integrator)["encode"]

    def encode_or_fail(changeset: Any) -> bytes:
        if changeset.origin_file_ident == two.file_ident:
            raise ZeroDivisionError
        return real(changeset)

    monkeypatch.setattr(integrator, "encode", encode_or_fail)
    outcome = run(store, upload(one, (2, dogs(1))), upload(two, (2, dogs(2))))
    assert [entry.origin for entry in outcome.entries] == [2]
    assert [(uploader, refusal.code) for uploader, refusal in outcome.refusals] == [(two, 212)]


def test_a_full_disk_stops_the_group_and_keeps_nothing(
    store: SqliteLogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1))))
    before = store.content_hash(), store.status()
    with store.group() as group:
        pages = group.state.connection.pragma("page_count")
        group.state.connection.pragma("max_page_count", pages + 4)
    big = [(version, rename(1, "x" * 5000)) for version in range(3, 20)]
    for operations in ([upload(one, *big)], [upload(one, *big), upload(two, (2, dogs(2)))]):
        with pytest.raises(DiskFullError):
            run(store, *operations)
        assert (store.content_hash(), store.status()) == before
    with store.group() as group:
        group.state.connection.pragma("max_page_count", 1_000_000)
    assert [entry.version for entry in run(store, upload(one, (3, rename(1, "ok")))).entries] == [2]


def test_what_was_integrated_before_is_skipped(store: SqliteLogStore) -> None:
    (one,) = files(store, 1)
    run(store, upload(one, (2, dogs(1)), (3, rename(1, "a"))))
    newer = Uploader(one.file_ident)
    outcome = run(store, upload(one, (3, rename(1, "a"))), upload(newer, (3, rename(1, "a")), (4, rename(1, "b"))))
    assert [(entry.client_version) for entry in outcome.entries] == [4]
    assert names(store) == ["a", "b"]


def test_concurrent_changes_meet_within_one_group(store: SqliteLogStore) -> None:
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1))))
    run(store, upload(two, (20, rename(1, "later")), base=1), upload(one, (10, rename(1, "earlier")), base=1))
    assert names(store) == ["later"], "the earlier one became an empty version"
    assert store.status().head.version == 3


@pytest.mark.parametrize("remember", [0, 1_000_000])
def test_reciprocals_carry_over_and_go_with_the_cursor(tmp_path: Path, remember: int) -> None:
    store = SqliteLogStore.open(tmp_path / "log.realm", BoundedCache(remember))
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1, 2))))
    run(store, upload(one, (10, rename(1, "one")), (11, rename(2, "other")), base=1))
    run(store, upload(two, (20, rename(1, "two")), base=1))
    run(store, upload(two, (5_000, rename(1, "three")), base=1))
    assert names(store) == ["one", "other", "two", "three"]
    path = tmp_path / "log.realm"
    assert apsw.Connection(str(path)).execute("SELECT ident, version FROM rlm_reciprocal").fetchall() == [(3, 2)]
    run(store, UploadOperation(two, [], UploadCursor(5_001, 5), 5))
    assert apsw.Connection(str(path)).execute("SELECT * FROM rlm_reciprocal").fetchall() == []
    run(store, upload(one, (6_000, rename(2, "last")), base=3))
    assert names(store)[-1] == "last"
    store.close()


def test_a_range_known_to_be_calm_is_forgotten_when_versions_are_used_again(store: SqliteLogStore) -> None:
    """A refused part took back versions that another client's changes then got."""
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1))))
    run(store, upload(one, (3, rename(1, "mine")), (4, b"\xff"), base=1))
    run(store, upload(two, (90, rename(1, "theirs")), base=1))
    run(store, upload(one, (3, rename(1, "mine")), base=1))
    assert names(store) == ["theirs"]


def test_many_small_changes_are_applied_in_runs(store: SqliteLogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrator, "_RUN_BYTES", 64)
    monkeypatch.setattr(integrator, "_SLICE", 3)
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(*range(10)))))
    run(store, upload(one, *((v, rename(v % 10, f"n{v}")) for v in range(3, 40)), base=1))
    run(store, upload(two, *((v, rename(v % 10, f"m{v}")) for v in range(50, 80)), base=1))
    assert store.status().head.version == 1 + 37 + 30
    other = SqliteLogStore.open(Path(str(store._file.path)).with_name("other.realm"), BoundedCache(0))
    again, _ = files(other, 2)
    changesets = [(entry.version + 1, entry.changeset) for entry in store.entries(0, 1000, 0)]
    run(other, upload(again, *changesets))
    assert other.content_hash()[1] == store.content_hash()[1]
    other.close()


@pytest.mark.parametrize(
    ("level", "code", "action"),
    [(Level.NONE, 206, None), (Level.READ, 230, "ClientResetNoRecovery"), (Level.WRITE, None, None)],
)
def test_permission_is_asked_for_when_it_counts(
    store: SqliteLogStore, level: Level, code: int | None, action: str | None
) -> None:
    (one,) = files(store, 1)
    outcome = run(store, upload(Uploader(one.file_ident, level), (2, dogs(1))))
    assert [(r.code, r.action) for _, r in outcome.refusals] == ([] if code is None else [(code, action)])
    assert not run(store, UploadOperation(Uploader(2, Level.NONE), [], UploadCursor(2, 0), 0)).refusals


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (upload(Uploader(77), (2, dogs(1))), 208),
        (upload(Uploader(2), (2, dogs(1)), origin=3), 216),
        (upload(Uploader(2), (2, dogs(1)), base=5), 209),
        (upload(Uploader(2), (2, packed([CreateObject("Dog", 1)]))), 212),
    ],
)
def test_uploads_that_cannot_be(store: SqliteLogStore, operation: UploadOperation, code: int) -> None:
    files(store, 1)
    outcome = run(store, operation)
    assert [refusal.code for _, refusal in outcome.refusals] == [code]
    assert store.status().head.version == 0


def test_origin_may_be_named_by_its_own_number(store: SqliteLogStore) -> None:
    (one,) = files(store, 1)
    assert len(run(store, upload(one, (2, dogs(1)), origin=one.file_ident)).entries) == 1


def test_an_expired_file_may_not_upload(store: SqliteLogStore) -> None:
    (one,) = files(store, 1)
    with store.group() as group:
        group.state.connection.execute("UPDATE rlm_client_file SET is_expired = 1")
    assert [r.code for _, r in run(store, upload(one, (2, dogs(1)))).refusals] == [222]


def test_ident_sees_what_came_before_it(store: SqliteLogStore) -> None:
    (one,) = files(store, 1)
    file = store.client_file(2)
    assert file is not None
    request = Ident(1, ClientFileIdent(2, file.salt), DownloadCursor(), SaltedVersion(1, 0))
    outcome = run(
        store,
        upload(one, (2, dogs(1))),
        IdentOperation(request, "ann", False),
        IdentOperation(request, "bob", False),
        IdentOperation(request, "ann", True),
    )
    facts = outcome.facts[1]
    assert (facts.current_version, facts.file_exists, facts.salt, facts.upload) == (1, True, file.salt, (2, 0))
    assert facts.latest_salt == outcome.entries[0].salt
    assert not outcome.facts[2].file_exists, "a client file belongs to its user"
    assert not outcome.facts[3].is_same_client_type


def test_the_log_outlives_its_process_and_knows_its_format(tmp_path: Path) -> None:
    path = tmp_path / "log.realm"
    store = SqliteLogStore.open(path)
    (one,) = files(store, 1)
    run(store, upload(one, (2, dogs(1)), (3, rename(1, "a"))))
    before = store.status(), store.content_hash(), log(store), store.client_file(2)
    store.close()
    again = SqliteLogStore.open(path)
    assert (again.status(), again.content_hash(), log(again), again.client_file(2)) == before
    assert [entry.version for entry in run(again, upload(one, (4, rename(1, "b")))).entries] == [3]
    assert [entry.changeset for entry in again.entries(1, 3, one.file_ident)] == [b"", b""]
    with again.group() as group:
        group.state.connection.execute("UPDATE rlm_meta SET v = 99 WHERE k = 'server_log_format'")
    again.close()
    with pytest.raises(NewerFormatError, match="99"):
        SqliteLogStore.open(path)


def test_changes_are_stored_in_one_form_whatever_the_client_wrote(store: SqliteLogStore) -> None:
    (one,) = files(store, 1)
    recorded = encode_recorded([*DOG, CreateObject("Dog", 1)])
    in_one_form = encode(decode(recorded))
    assert recorded != in_one_form
    run(store, upload(one, (2, recorded)))
    assert log(store)[0].changeset == in_one_form


def test_asking_for_a_kind_that_is_not_a_string(store: SqliteLogStore) -> None:
    (one,) = files(store, 1)
    outcome = run(store, upload(one, (2, dogs(1)), (3, packed([Update("Dog", 1, "name", (), kinds.NULL, None)]))))
    assert [refusal.code for _, refusal in outcome.refusals] == [212]


def test_the_content_hash_keeps_no_reader_waiting(store: SqliteLogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader at the same version, on another thread, while the state is being hashed."""
    (one,) = files(store, 1)
    run(store, upload(one, (1, dogs(1))))
    seen: list[list[LogEntry]] = []
    whole = sqlite_log.content_hash

    def slow(reader: Reader) -> str:
        thread = threading.Thread(target=lambda: seen.append(log(store)), daemon=True)
        thread.start()
        thread.join(5)
        return whole(reader)

    expected = store.content_hash()
    monkeypatch.setattr(sqlite_log, "content_hash", slow)
    assert store.content_hash() == expected
    assert seen == [log(store)]
