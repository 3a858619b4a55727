"""What the server keeps for explanations (``server/originals.py``), and what it tells (``server/chronicle.py``)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.test_commit_group import files, names, run, upload
from tests.server.wire import DOG, dogs, packed, rename

from syncline.changesets.changeset import UploadChangeset, UploadCursor
from syncline.changesets.codec import decode
from syncline.changesets.instructions import (
    AddColumn,
    AddTable,
    CreateObject,
    EraseTable,
    ObjectInstruction,
    Update,
)
from syncline.errors import FileError
from syncline.merge.explain import Subject
from syncline.merge.story import Event, tell
from syncline.server.accounts import Accounts
from syncline.server.bounded_cache import BoundedCache
from syncline.server.chronicle import LogHistory, authors, log_history, looking_into
from syncline.server.commit_group import UploadOperation
from syncline.server.database import Database
from syncline.server.realm_directory import RealmDirectory
from syncline.server.sqlite_log import SqliteLogStore
from syncline.storage.file import RealmFile
from syncline.testing.vector_files import read_fixtures
from syncline.values import GlobalKey, Key, Link, kinds

VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteLogStore]:
    opened = SqliteLogStore.open(tmp_path / "log.realm", BoundedCache(1_000_000))
    yield opened
    opened.close()


def rows(store: SqliteLogStore) -> list[Any]:
    return store._file.query("SELECT version, base, changeset FROM rlm_original ORDER BY version")


def history(store: SqliteLogStore, key: Key, table: str = "Dog") -> LogHistory:
    with store._file.reading_alone() as reader:
        return log_history(reader.connection, table, key)


def story(store: SqliteLogStore, key: Key, table: str = "Dog", field: str | None = None) -> list[Event]:
    with store._file.reading_alone() as reader:
        entries = log_history(reader.connection, table, key).entries
        return tell(entries, Subject(table, key, field), reader.catalogue)


def rules(events: list[Event]) -> list[str]:
    return [decision.rule for event in events for decision in event.decisions]


# --- keeping ----------------------------------------------------------------------------------------------------------


def test_nothing_is_kept_where_nothing_meets(store: SqliteLogStore) -> None:
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1, 2))))
    run(store, upload(one, (3, rename(1, "a"))), upload(two, (20, rename(2, "b")), base=1))
    assert rows(store) == []


def test_a_dropped_change_is_kept_as_it_was_uploaded(store: SqliteLogStore) -> None:
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1))))
    run(store, upload(two, (20, rename(1, "later")), base=1))
    run(store, upload(one, (10, rename(1, "earlier")), base=1))
    assert rows(store) == [(3, 1, rename(1, "earlier"))]


def test_of_one_that_won_only_the_base_is_kept(store: SqliteLogStore) -> None:
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1))))
    run(store, upload(one, (10, rename(1, "earlier")), base=1), upload(two, (20, rename(1, "later")), base=1))
    assert rows(store) == [(3, 1, None)]


def test_what_is_refused_leaves_nothing(store: SqliteLogStore) -> None:
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1))), upload(two, (2, dogs(2))))
    kept = rows(store)
    operation = upload(two, (30, rename(1, "x")), (31, b"\xff"), base=1)
    outcome = run(store, upload(one, (10, rename(1, "earlier")), base=1), operation)
    assert outcome.refusals
    assert rows(store) == kept


def test_it_can_be_switched_off_and_on(tmp_path: Path) -> None:
    path = tmp_path / "log.realm"
    for version, keeps in ((1, False), (2, True), (3, False), (4, True)):
        store = SqliteLogStore.open(path, keeps_originals=keeps)
        one, two = files(store, 2)
        run(store, upload(one, (2, dogs(1))))
        head = store.status().head.version
        run(store, upload(two, (20, rename(1, "later")), base=head), upload(one, (10, rename(1, "no")), base=head))
        found = history(store, 1)
        assert found.kept_from == (3 * (version - 1) + 1 if keeps else None)
        assert found.head == 3 * version
        store.close()
    store = SqliteLogStore.open(path)
    assert [version for version, _, _ in rows(store)] == [4, 6, 10, 12]  # 4 and 10: the schema, once more
    assert names(store) == ["later"] * 4
    store.close()


def test_older_logs_are_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "log.realm"
    store = SqliteLogStore.open(path)
    (one,) = files(store, 1)
    run(store, upload(one, (2, dogs(1))))
    with store.group() as group:
        group.state.connection.execute("DROP TABLE rlm_original")
        group.state.connection.execute("DELETE FROM rlm_meta WHERE k = 'server_originals_from'")
    store.close()
    file = RealmFile.open(path, read_only=True)
    with file.reading_alone() as reader:
        found = log_history(reader.connection, "Dog", 1)
        assert (found.kept_from, [entry.version for entry in found.entries]) == (None, [1])
    file.close()
    store = SqliteLogStore.open(path)
    assert history(store, 1).kept_from == 2
    store.close()


# --- telling ----------------------------------------------------------------------------------------------------------


def test_the_story_of_a_conflict(store: SqliteLogStore) -> None:
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1))))
    run(store, upload(two, (20, rename(1, "later")), base=1))
    run(store, upload(one, (10, rename(1, "earlier")), base=1))
    events = story(store, 1, field="name")
    assert [(event.version, event.author, event.remote_version) for event in events] == [
        (1, 2, 2),
        (2, 3, 20),
        (3, 2, 10),
    ]
    assert [outcome.stands for event in events for outcome in event.outcomes] == [True, True, False]
    assert rules(events) == ["5.6 Update × Update"]
    assert all(event.is_exact for event in events)


def test_only_entries_about_the_object_are_read(store: SqliteLogStore) -> None:
    one, _ = files(store, 2)
    run(store, upload(one, (2, dogs(1, 2)), (3, rename(1, "a")), (4, rename(2, "b"))))
    assert [entry.version for entry in history(store, 2).entries] == [1, 3]
    assert history(store, 2, "Cat").entries == []


def test_keys_that_a_client_could_not_complete(store: SqliteLogStore) -> None:
    """The upload has hi = 0 (spec/changesets.md §8.2); the log, and the story, have the client file's ident."""
    schema = [
        AddTable("Note", kinds.TOP_LEVEL, "", kinds.GLOBAL_KEY, False),
        AddColumn("Note", "text", kinds.STRING, False, kinds.SINGLE_COLLECTION, "", kinds.GLOBAL_KEY),
    ]
    one, two = files(store, 2)
    key = GlobalKey(one.file_ident, 5)
    run(store, upload(one, (2, packed([*schema, CreateObject("Note", GlobalKey(0, 5))]))))
    run(store, upload(two, (20, packed([Update("Note", key, "text", (), kinds.STRING, "later")])), base=1))
    text = Update("Note", GlobalKey(0, 5), "text", (), kinds.STRING, "earlier")
    run(store, upload(one, (10, packed([text])), base=1))
    events = story(store, key, "Note")
    assert rules(events) == ["5.6 Update × Update"]
    assert all(event.is_exact for event in events)


def test_a_link_to_an_erased_class(store: SqliteLogStore) -> None:
    schema = [
        *DOG,
        AddTable("Owner", kinds.TOP_LEVEL, "_id", kinds.INT, False),
        AddColumn("Dog", "owner", kinds.LINK, True, kinds.SINGLE_COLLECTION, "Owner", kinds.GLOBAL_KEY),
        AddColumn("Dog", "thing", kinds.MIXED, True, kinds.SINGLE_COLLECTION, "", kinds.GLOBAL_KEY),
        AddTable("Toy", kinds.TOP_LEVEL, "_id", kinds.INT, False),
    ]
    one, two = files(store, 2)
    run(store, upload(one, (2, packed([*schema, CreateObject("Dog", 1)]))))
    run(store, upload(one, (3, packed([EraseTable("Toy")])), base=1), policy="admin")
    link = Update("Dog", 1, "thing", (), kinds.LINK, Link("Toy", 7))
    run(store, upload(two, (20, packed([link])), base=1), policy="admin")
    events = story(store, 1, field="thing")
    assert rules(events) == ["5.3 EraseTable × value that links to it"]
    assert [outcome.result for outcome in events[-1].outcomes] == ["set thing to null"]
    assert all(event.is_exact for event in events)


def test_a_file_without_a_log_is_refused(tmp_path: Path) -> None:
    file = RealmFile.open(tmp_path / "client.realm")
    with file.reading_alone() as reader, pytest.raises(FileError, match="no server log"):
        log_history(reader.connection, "Dog", 1)
    file.close()


def test_recorded_histories_are_told_exactly(tmp_path: Path) -> None:
    """Every object of recorded histories: merging again gives what is in the log."""
    told = 0
    fixtures = read_fixtures(VECTORS / "fixtures.json")
    with gzip.open(VECTORS / "merges_long.jsonl.gz", "rt") as lines:
        cases = (case for case in map(json.loads, lines) if case.get("mode") == "turns")
        for number, case in zip(range(10), cases, strict=False):
            store = SqliteLogStore.open(tmp_path / f"{number}.realm")
            _replay(store, case, fixtures[case["fixture"]]["base"])
            for table, key in _objects(store):
                events = story(store, key, table)
                assert all(event.is_exact for event in events)
                told += len(rules(events))
            store.close()
    assert told > 5


def _replay(store: SqliteLogStore, case: Any, base: Any) -> None:
    """Integrate what the clients uploaded, one client at a time being connected."""
    uploaders = {uploader.file_ident: uploader for uploader in files(store, max(case["idents"].values()))}
    first = uploaders[max(uploaders)]
    run(store, upload(first, *((n, bytes.fromhex(form["changeset"])) for n, form in enumerate(base, 1))))
    committed = dict.fromkeys(case["idents"], 0)
    for event in case["events"]:
        name = event["client"]
        if event["event"] == "commit":
            committed[name] = event.get("version", committed[name])
            continue
        forms = [form for form in case["uploaded"][name] if form["client_version"] <= committed[name]]
        entries = [
            UploadChangeset(
                form["client_version"],
                form["server_version"],
                form["origin_timestamp"],
                0,
                bytes.fromhex(form["changeset"]),
            )
            for form in forms
        ]
        if entries:
            cursor = UploadCursor(entries[-1].client_version, entries[-1].last_integrated_server_version)
            uploader = uploaders[case["idents"][name]]
            outcome = run(store, UploadOperation(uploader, entries, cursor, 0), policy="admin")
            assert not outcome.refusals


def _objects(store: SqliteLogStore) -> set[tuple[str, Key]]:
    logged = [data for (data,) in store._file.query("SELECT changeset FROM rlm_log")]
    logged += [data for _, _, data in rows(store) if data is not None]
    instructions = [instruction for data in logged if data for instruction in decode(data).instructions]
    return {(i.table, i.key) for i in instructions if isinstance(i, ObjectInstruction)}


# --- the directory ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with three Realms of two apps, and two users."""
    database = Database(tmp_path / "directory.sqlite")
    directory = RealmDirectory(database, tmp_path / "realms")
    accounts = Accounts(database)
    accounts.register("default", "local-userpass", "ann@example.org", "secret")
    identity = accounts.identity("default", "local-userpass", "ann@example.org")
    assert identity is not None
    ann = accounts.user_of(identity)
    for app, key in (("default", "p:/shop/cart"), ("other", "p:/shop/cart"), ("default", f"p:/{ann.id}/notes")):
        directory.create(app, key, None)
    directory.create("default", "s_team", None)
    place = directory.find("default", "p:/shop/cart")
    assert place is not None
    store = SqliteLogStore.open(place.path)
    with store.group() as group:
        group.new_client_file(ann.id, "s", False)
        group.new_client_file(accounts.create_anonymous("default").id, "s", False)
        group.new_client_file("0" * 23 + "1", "s", False)
        group.new_client_file("gone", "s", False)
    store.close()
    database.close()
    return tmp_path


def test_realms_are_found_by_path_and_by_partition(folder: Path) -> None:
    with looking_into(folder) as view:
        assert view.find("/shop/cart", "default").path.exists()
        assert view.find("shop/cart", "other").key == "p:/shop/cart"
        assert view.find('"team"').key == "s_team"
        user = next(place.key for place in view.realms() if place.key.endswith("/notes")).split("/")[1]
        assert view.find("/~/notes", user_id=user).key == f"p:/{user}/notes"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/shop/cart", r"several apps have a Realm /shop/cart: say which with --app \(default, other\)"),
        ("/shop/carts", "there is no Realm /shop/carts in .*; there are, for example: /shop/cart"),
        ("/zzz", "there is no Realm /zzz in .*; there are, for example: /"),
        ("/~/notes", "say whose with --user"),
        ("a//b", "names no Realm"),
    ],
)
def test_realms_that_are_not_found(folder: Path, text: str, message: str) -> None:
    with looking_into(folder) as view, pytest.raises(FileError, match=message):
        view.find(text)


def test_a_folder_that_is_no_servers(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is not the data folder of a server"), looking_into(tmp_path):
        pass
    Database(tmp_path / "directory.sqlite").close()
    with looking_into(tmp_path) as view, pytest.raises(FileError, match="there is none at all"):
        view.find("/a")


def test_authors_have_names(folder: Path) -> None:
    with looking_into(folder) as view:
        file = RealmFile.open(view.find("/shop/cart", "default").path, read_only=True)
        with file.reading_alone() as reader:
            names_of = dict(authors(reader.connection, view))
        file.close()
    assert names_of[2] == "user ann@example.org (client file 2)"
    assert names_of[3].startswith("anonymous user ")
    assert names_of[4] == "the development user (client file 4)"
    assert names_of[5] == "user gone (client file 5)"


def test_looking_changes_nothing(folder: Path) -> None:
    def files_of() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}

    before = files_of()
    with looking_into(folder) as view:
        view.find("/shop/cart", "default")
    assert files_of() == before
