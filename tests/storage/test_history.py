"""The client's history: uploads, downloads, identity, trimming (storage/history.py; spec/merge.md §9)."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.changesets.changeset import (
    Changeset,
    DownloadChangeset,
    DownloadCursor,
    SaltedVersion,
    SyncProgress,
    UploadCursor,
)
from syncline.changesets.codec import decode, encode, encode_recorded, offset_of
from syncline.changesets.instructions import CreateObject, EraseObject, Instruction, ObjectInstruction, Update
from syncline.changesets.json_form import instruction_to_json
from syncline.errors import (
    BadChangesetError,
    InapplicableChangesetError,
    MismatchedConfigError,
    ProtocolViolationError,
    TransformError,
    TruncatedChangesetError,
)
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory, SyncCounters
from syncline.storage.refs import ObjectRef
from syncline.values import GlobalKey, Link
from syncline.values.kinds import (
    DICTIONARY,
    DICTIONARY_COLLECTION,
    INT,
    LINK,
    LIST_COLLECTION,
    MIXED,
    SET_COLLECTION,
    STRING,
)

VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture
def file() -> Iterator[RealmFile]:
    opened = RealmFile.in_memory()
    yield opened
    opened.close()


@pytest.fixture
def history(file: RealmFile) -> ClientHistory:
    return ClientHistory(file)


def make_schema(file: RealmFile) -> None:
    with file.write(origin_timestamp=1) as tx:
        info = tx.add_class("Dog", primary_key="_id", key_type=INT)
        tx.add_property(info, "name", STRING)
        tx.add_property(tx.catalogue.classes["Dog"], "age", INT)


def set_dog(file: RealmFile, key: int, field: str, value: Any, timestamp: int = 10) -> None:
    with file.write(origin_timestamp=timestamp) as tx:
        info = tx.catalogue.classes["Dog"]
        k, _ = tx.create(info, key)
        tx.set(info, k, info.properties[field], value)


def dog(file: RealmFile, key: int, field: str) -> Any:
    with file.snapshot() as snapshot, snapshot.lock:
        info = snapshot.catalogue.classes["Dog"]
        k = snapshot.reader.find(info, key)
        return None if k is None else snapshot.reader.get(info, k, info.properties[field])


def download(
    version: int, base: int, *instructions: Instruction, timestamp: int = 100, origin: int = 2
) -> DownloadChangeset:
    data = encode_recorded(instructions)
    return DownloadChangeset(version, base, timestamp, origin, len(data), data)


def at(server: int, client: int, upload: tuple[int, int] = (0, 0), latest: int = 0) -> SyncProgress:
    return SyncProgress(SaltedVersion(latest or server, 77), DownloadCursor(server, client), UploadCursor(*upload))


def set_age(key: int, age: int) -> Update:
    return Update("Dog", key, "age", (), INT, age)


# --- uploading --------------------------------------------------------------------------------------------------------


def test_own_changes_are_uploaded_as_recorded_with_their_base(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    set_dog(file, 1, "age", 5, timestamp=20)
    found, cursor = history.uploadable(UploadCursor())
    assert [
        (c.client_version, c.last_integrated_server_version, c.origin_timestamp, c.origin_file_ident) for c in found
    ] == [
        (2, 0, 1, 0),
        (3, 0, 20, 0),
    ]
    assert [type(i) for i in decode(found[1].changeset).instructions] == [CreateObject, Update]
    assert cursor == UploadCursor(3, 0)
    assert history.uploadable(cursor) == ([], cursor)


def test_what_is_not_uploaded_moves_the_cursor(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)  # an empty local entry
    history.integrate(at(7, 2), [download(7, 2, CreateObject("Dog", 8))], 0)  # an entry of remote origin
    found, cursor = history.uploadable(UploadCursor(2, 0))
    assert (found, cursor) == ([], UploadCursor(4, 7))
    set_dog(file, 1, "age", 5)
    found, cursor = history.uploadable(cursor)
    assert [(c.client_version, c.last_integrated_server_version) for c in found] == [(5, 7)]
    assert cursor == UploadCursor(5, 7)


def test_uploads_come_in_messages_of_bounded_size(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    for key in range(10):
        set_dog(file, key, "name", "x" * 1000)
    cursor = UploadCursor(2, 0)
    sizes = []
    while True:
        found, after = history.uploadable(cursor, limit=2500)
        if after == cursor:
            break
        cursor = after
        sizes.append(len(found))
    assert sizes == [3, 3, 3, 1]
    assert cursor.client_version == 12
    # the hard limit leaves a large entry to the next message, unless it is the first
    found, _ = history.uploadable(UploadCursor(2, 0), limit=1_000_000, hard_limit=2500)
    assert len(found) == 2
    found, _ = history.uploadable(UploadCursor(2, 0), limit=1_000_000, hard_limit=10)
    assert len(found) == 1


# --- downloading ------------------------------------------------------------------------------------------------------


def test_a_download_is_one_version_with_its_progress(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    entries = [download(5, 2, CreateObject("Dog", 8)), download(6, 2, set_age(8, 4), origin=9, timestamp=101)]
    assert history.integrate(at(6, 2, (2, 5), latest=9), entries, 1234) == 4
    assert dog(file, 8, "age") == 4
    status = history.status()
    assert (status.current_version, status.file_ident, status.file_salt) == (4, 3, 99)
    assert status.progress == at(6, 2, (2, 5), latest=9)
    size = sum(entry.original_size for entry in entries)
    schema_size = status.counters.uploadable
    assert status.counters == SyncCounters(schema_size, schema_size, size, 1234)
    assert status.counters.downloadable == size + 1234
    rows = file.query("SELECT version, size, remote_version, origin, timestamp, changeset FROM rlm_history")
    assert rows[-1] == (4, 0, 6, 9, 101, b"")
    assert file.query("SELECT origin FROM rlm_commit ORDER BY version") == [(0,), (0,), (0,), (1,)]


def test_a_download_without_changesets_stores_progress_only(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    assert history.integrate(at(5, 2), [], 50) == 4
    assert history.integrate(at(5, 2), [], 50) is None
    assert history.integrate(at(5, 2), [], 0) == 5
    set_dog(file, 1, "age", 1)
    assert [c.last_integrated_server_version for c in history.uploadable(UploadCursor(5, 5))[0]] == [5]


def test_own_changes_are_merged_with_what_was_made_without_them(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    history.integrate(at(1, 2), [download(1, 2, CreateObject("Dog", 1))], 0)
    set_dog(file, 1, "age", 5, timestamp=200)
    set_dog(file, 1, "name", "Rex", timestamp=50)
    recorded = file.query("SELECT changeset FROM rlm_history WHERE version IN (5, 6) ORDER BY version")
    later_loses = download(2, 2, set_age(1, 6), timestamp=100)
    name = Update("Dog", 1, "name", (), STRING, "Max")
    earlier_wins = download(3, 2, name, timestamp=100)
    history.integrate(at(3, 2), [later_loses, earlier_wins], 0)
    assert (dog(file, 1, "age"), dog(file, 1, "name")) == (5, "Max")
    # the recorded changesets are never touched, and uploaded with their old base
    assert file.query("SELECT changeset FROM rlm_history WHERE version IN (5, 6) ORDER BY version") == recorded
    found, _ = history.uploadable(UploadCursor(4, 1))
    assert [(c.client_version, c.last_integrated_server_version, c.changeset) for c in found] == [
        (5, 1, recorded[0][0]),
        (6, 1, recorded[1][0]),
    ]
    changes = history.local_changes(4)
    assert [change.transformed == b"" for change in changes] == [False, True]


def test_local_changes_show_no_resets(file: RealmFile, history: ClientHistory) -> None:
    """What gave way to a collection has lost; how its reciprocal is stored is the affair of merging alone."""
    make_schema(file)
    with file.write(origin_timestamp=2) as tx:
        tx.add_property(tx.catalogue.classes["Dog"], "extra", MIXED)
    history.set_file_ident(3, 99)
    history.integrate(at(1, 3), [download(1, 3, CreateObject("Dog", 1))], 0)
    with file.write(origin_timestamp=50) as tx:
        info = tx.catalogue.classes["Dog"]
        k, _ = tx.create(info, 1)
        tx.set(info, k, info.properties["extra"], 7)
        tx.set(info, k, info.properties["age"], 5)
    dictionary = [Update("Dog", 1, "extra", (), DICTIONARY, None), Update("Dog", 1, "extra", ("a",), INT, 1)]
    history.integrate(at(2, 3), [download(2, 3, *dictionary)], 0)
    change = history.local_changes()[-1]
    assert len(decode(change.changeset).instructions) == 2
    assert repr(decode(change.transformed).instructions) == repr([set_age(1, 5)])


def test_merging_goes_on_from_the_reciprocals(file: RealmFile, history: ClientHistory) -> None:
    """The second download is based on the first, which the own change has met already (spec/merge.md §8.1)."""
    make_schema(file)
    history.set_file_ident(3, 99)
    history.integrate(at(1, 2), [download(1, 2, CreateObject("Dog", 1))], 0)
    set_dog(file, 1, "age", 5, timestamp=50)
    history.integrate(at(2, 2), [download(2, 2, set_age(1, 6), timestamp=100)], 0)
    assert dog(file, 1, "age") == 6
    (change,) = history.local_changes(4)
    assert change.transformed == b""
    # had the original been merged again, the older 7 would lose against it
    history.integrate(at(3, 2), [download(3, 2, set_age(1, 7), timestamp=20)], 0)
    assert dog(file, 1, "age") == 7


def test_a_download_that_failed_is_forgotten_with_what_it_merged(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    history.integrate(at(1, 2), [download(1, 2, CreateObject("Dog", 1))], 0)
    set_dog(file, 1, "age", 5, timestamp=50)
    for _ in range(2):
        later = download(2, 2, set_age(1, 6), timestamp=100)
        bad = download(3, 2, set_age(404, 1))
        with pytest.raises(BadChangesetError):
            history.integrate(at(3, 2), [later, bad], 0)
    # the own change is whole again, and wins against what is older
    history.integrate(at(2, 2), [download(2, 2, set_age(1, 7), timestamp=20)], 0)
    assert dog(file, 1, "age") == 5


# --- trimming ---------------------------------------------------------------------------------------------------------


def versions(file: RealmFile) -> list[int]:
    return [version for (version,) in file.query("SELECT version FROM rlm_history ORDER BY version")]


def test_own_changes_are_kept_until_the_download_cursor_has_passed_them(
    file: RealmFile, history: ClientHistory
) -> None:
    make_schema(file)  # version 2
    history.set_file_ident(3, 99)
    set_dog(file, 1, "age", 5)  # 4
    history.integrate(at(1, 0, (4, 0)), [], 0)  # 5: uploaded and acknowledged, not yet in the download position
    assert versions(file) == [2, 3, 4, 5]
    set_dog(file, 1, "age", 6)  # 6
    history.integrate(at(2, 2, (6, 0)), [], 0)  # 7
    assert versions(file) == [4, 5, 6, 7]
    assert history.status().base_version == 3
    history.integrate(at(3, 4, (6, 0)), [], 0)  # 8: entries without anything to upload go too
    assert versions(file) == [6, 7, 8]
    history.integrate(at(4, 8, (8, 3)), [], 0)  # 9
    assert versions(file) == [9]
    assert history.status().base_version == 8


def test_a_base_before_the_history_counts_as_its_start(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    history.integrate(at(1, 3, (3, 0)), [], 0)
    assert history.status().base_version == 3
    assert history.integrate(at(2, 3, (3, 0)), [download(2, 0, CreateObject("Dog", 1))], 0) == 5
    assert dog(file, 1, "age") == 0


# --- hostile and impossible downloads ---------------------------------------------------------------------------------


def everything(file: RealmFile) -> Any:
    with file.snapshot() as snapshot, snapshot.lock:
        content = dump(snapshot.reader)
    return content, file.query("SELECT * FROM rlm_history"), file.query("SELECT * FROM rlm_sync"), file.version


@pytest.mark.parametrize(
    "entry",
    [
        DownloadChangeset(5, 2, 1, 2, 3, b"\xff\xff\xff"),
        DownloadChangeset(5, 2, 1, 2, 3, b""[:0] + b"\x3f\x00\x7f"),
        download(5, 2, set_age(404, 1)),
        download(5, 2, CreateObject("Cat", 1)),
        download(5, 2, CreateObject("Dog", "x")),
        download(5, 2, CreateObject("Dog", 8), Update("Dog", 8, "age", (), STRING, "old")),
    ],
)
def test_a_bad_changeset_leaves_no_trace(file: RealmFile, history: ClientHistory, entry: DownloadChangeset) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    set_dog(file, 1, "age", 5)
    before = everything(file)
    good = download(4, 2, set_age(1, 9), timestamp=1), download(4, 2, CreateObject("Dog", 7))
    with pytest.raises(BadChangesetError):
        history.integrate(at(5, 2), [*good, entry], 0)
    assert everything(file) == before
    assert history.integrate(at(4, 2), list(good), 0) == 5


def test_a_bad_changeset_is_named_with_its_place(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    set_dog(file, 1, "age", 5)
    lost = download(4, 2, set_age(1, 9), CreateObject("Dog", 7), set_age(404, 1), timestamp=1)
    good = download(3, 2, CreateObject("Dog", 8))
    with pytest.raises(InapplicableChangesetError) as caught:
        history.integrate(at(4, 2), [good, lost], 0)
    start = offset_of(lost.changeset, 2)  # the first instruction loses in the merge, and counts nevertheless
    assert str(caught.value) == (
        f"there is no object Dog[404] at byte {start} (instruction 2: Update of Dog[404].age) in version 4 (client file"
        f" {lost.origin_file_ident})"
    )
    cut = lost._replace(changeset=lost.changeset[:-1])
    with pytest.raises(TruncatedChangesetError, match=r"\(instruction 2: Update of Dog\[404\].age\) in version 4 "):
        history.integrate(at(4, 2), [good, cut], 0)


def test_a_merge_that_fails_leaves_no_trace(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    with file.write() as tx:
        tx.add_class("Cat", primary_key="_id", key_type=INT)
    from syncline.changesets.instructions import AddTable

    before = everything(file)
    with pytest.raises(TransformError):
        history.integrate(at(1, 2), [download(1, 2, AddTable("Cat", 0, "_id", STRING, False))], 0)
    assert everything(file) == before


@pytest.mark.parametrize(
    ("entries", "progress"),
    [
        ([download(5, 2, CreateObject("Dog", 1), origin=3)], at(5, 2)),
        ([download(5, 2, CreateObject("Dog", 1), origin=0)], at(5, 2)),
        ([download(0, 2, CreateObject("Dog", 1))], at(5, 2)),
        ([download(6, 2, CreateObject("Dog", 1)), download(5, 2, CreateObject("Dog", 2))], at(6, 2)),
        ([download(5, 99, CreateObject("Dog", 1))], at(5, 2)),
        ([download(5, -1, CreateObject("Dog", 1))], at(5, 2)),
        ([], at(3, 2)),
        ([], at(4, 1)),
        ([], at(4, 2, latest=3)),
        ([], at(4, 2, (1, 1))),
        ([], at(4, 2, (99, 1))),
        ([], at(4, 99)),
    ],
)
def test_what_the_protocol_forbids_is_refused(
    file: RealmFile, history: ClientHistory, entries: list[DownloadChangeset], progress: SyncProgress
) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    history.integrate(at(4, 2, (2, 0)), [], 0)
    before = everything(file)
    with pytest.raises(ProtocolViolationError):
        history.integrate(progress, entries, 0)
    assert everything(file) == before


def test_an_upload_cursor_without_server_version_keeps_the_old_one(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    history.integrate(at(4, 2, (2, 3)), [], 0)
    history.integrate(at(5, 2, (2, 0)), [], 0)
    assert history.status().progress == at(5, 2, (2, 3))


# --- identity ---------------------------------------------------------------------------------------------------------


def make_keyless(file: RealmFile) -> None:
    with file.write() as tx:
        tx.add_class("Toy")
        for name, type, collection in (
            ("one", LINK, 0),
            ("many", LINK, LIST_COLLECTION),
            ("some", LINK, SET_COLLECTION),
            ("named", LINK, DICTIONARY_COLLECTION),
            ("any", MIXED, 0),
            ("anys", MIXED, SET_COLLECTION),
        ):
            target = "Toy" if type == LINK else None
            tx.add_property(tx.catalogue.classes["Toy"], name, type, collection=collection, target=target)
    with file.write() as tx:
        info = tx.catalogue.classes["Toy"]
        a, _ = tx.create(info)
        b, _ = tx.create(info)
        link = ObjectRef(info.id, b)
        tx.set(info, a, info.properties["one"], link)
        tx.set(info, a, info.properties["any"], link)
        tx.list_insert(tx.collection(info, a, info.properties["many"]), 0, link)
        tx.set_insert(tx.collection(info, a, info.properties["some"]), link)
        tx.set_insert(tx.collection(info, a, info.properties["anys"]), link)
        tx.dict_set(tx.collection(info, a, info.properties["named"]), "x", link)


def test_the_first_ident_completes_global_keys(file: RealmFile, history: ClientHistory) -> None:
    make_keyless(file)
    uploadable = history.status().counters.uploadable
    assert uploadable == sum(len(c.changeset) for c in history.uploadable(UploadCursor())[0])
    assert history.set_file_ident(300, 5) == 4
    _, recorded = (decode(c.changeset) for c in history.uploadable(UploadCursor())[0])
    for instruction in recorded.instructions:
        assert isinstance(instruction, ObjectInstruction)
        assert isinstance(instruction.key, GlobalKey)
        assert instruction.key.hi == 300
        value = getattr(instruction, "value", None)
        assert value is None or (isinstance(value, Link) and value.key == GlobalKey(300, 1))
    assert sum(getattr(i, "value", None) is not None for i in recorded.instructions) == 6
    with file.snapshot() as snapshot, snapshot.lock:
        info = snapshot.catalogue.classes["Toy"]
        assert [snapshot.reader.key_of(info, k) for k in snapshot.reader.keys(info)] == [
            GlobalKey(300, 0),
            GlobalKey(300, 1),
        ]
        assert snapshot.reader.find(info, GlobalKey(0, 0)) is None
    status = history.status()
    assert status.counters.uploadable == sum(len(c.changeset) for c in history.uploadable(UploadCursor())[0])
    assert (status.file_ident, status.file_salt) == (300, 5)
    with file.write() as tx:
        info = tx.catalogue.classes["Toy"]
        assert tx.key_of(info, tx.create(info)[0]) == GlobalKey(300, 2)


def test_a_later_ident_changes_no_object(file: RealmFile, history: ClientHistory) -> None:
    make_keyless(file)
    history.set_file_ident(300, 5)
    before = history.uploadable(UploadCursor())[0]
    assert history.set_file_ident(301, 6) == 5
    assert history.uploadable(UploadCursor())[0] == before
    assert history.set_file_ident(301, 6) == 5  # nothing to store
    with file.snapshot() as snapshot, snapshot.lock:
        info = snapshot.catalogue.classes["Toy"]
        assert snapshot.reader.find(info, GlobalKey(300, 0)) is not None


@pytest.mark.parametrize("ident", [0, -1, 1 << 63])
def test_an_ident_that_cannot_be_is_refused(history: ClientHistory, ident: int) -> None:
    with pytest.raises(ProtocolViolationError, match="out of range"):
        history.set_file_ident(ident, 5)


# --- client reset, values ---------------------------------------------------------------------------------------------


def test_a_client_reset_rewrites_the_history_in_place(file: RealmFile, history: ClientHistory) -> None:
    make_schema(file)
    history.set_file_ident(3, 99)
    history.integrate(at(4, 2, (2, 0)), [], 0)
    set_dog(file, 1, "age", 5)  # 5
    history.integrate(at(5, 2, (2, 0)), [download(5, 2, CreateObject("Dog", 2))], 0)  # 6
    set_dog(file, 2, "age", 6)  # 7
    recovered = {
        5: encode_recorded([CreateObject("Dog", 1)]),
        7: b"",
    }
    with file.write() as tx:
        history.rewrite_in(tx, ident=12, salt=13, server_version=SaltedVersion(90, 91), recovered=recovered)
    status = history.status()
    assert (status.file_ident, status.file_salt, status.base_version, status.current_version) == (12, 13, 4, 8)
    assert status.progress == SyncProgress(SaltedVersion(90, 91), DownloadCursor(90, 0), UploadCursor(0, 90))
    assert status.counters == SyncCounters(0, len(recovered[5]), 0, 0)
    found, cursor = history.uploadable(status.progress.upload)
    assert [(c.client_version, c.last_integrated_server_version, c.changeset) for c in found] == [(5, 90, recovered[5])]
    assert cursor == UploadCursor(8, 90)
    with file.write() as tx:
        history.rewrite_in(tx, ident=14, salt=15, server_version=SaltedVersion(95, 96), recovered={})
    assert history.status().base_version == 8
    assert history.local_changes(0) == []


def test_sync_keeps_values_of_its_own_in_the_same_transaction(file: RealmFile, history: ClientHistory) -> None:
    assert history.value("reset.mode") is None
    with file.write() as tx:
        history.set_value_in(tx, "reset.mode", "recover")
        history.set_value_in(tx, "reset.time", 12)
    assert (history.value("reset.mode"), history.value("reset.time")) == ("recover", 12)
    with file.write() as tx:
        history.set_value_in(tx, "reset.mode", None)
    assert history.value("reset.mode") is None
    with file.write() as tx, pytest.raises(ValueError, match="with a dot"):
        history.set_value_in(tx, "file_ident", 5)


def test_a_file_without_history_cannot_be_synced() -> None:
    file = RealmFile.in_memory(history=False)
    with pytest.raises(MismatchedConfigError, match="without sync history"):
        ClientHistory(file)
    file.close()


# --- vectors ----------------------------------------------------------------------------------------------------------


def commit_recorded(file: RealmFile, data: bytes, timestamp: int) -> None:
    """Make a local commit that does and records exactly what a vector's client did."""
    with file.write(origin_timestamp=timestamp) as tx:
        tx.apply(decode(data))
        tx.instructions.extend(decode(data).instructions)


def merge_cases() -> list[dict[str, Any]]:
    """Some of them; the vector runner goes through all, without files."""
    with gzip.open(VECTORS / "merges.jsonl.gz", "rt") as lines:
        chosen = random.Random(5).sample(list(lines), 80)
    return [case for case in map(json.loads, chosen) if not case.get("mixed_list_move")]


@pytest.fixture(scope="module")
def fixture_files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A client file per fixture, at version 4, which downloaded it: the base of every merge case."""
    files: dict[int, Path] = {}
    directory = tmp_path_factory.mktemp("fixtures")
    for fixture in json.loads((VECTORS / "fixtures.json").read_text()):
        path = directory / f"{fixture['fixture']}.realm"
        file = RealmFile.open(path)
        history = ClientHistory(file)
        history.set_file_ident(fixture["idents"]["b"], 1)
        entries = [
            DownloadChangeset(
                number + 1,
                0,
                base["origin_timestamp"],
                base["origin_file_ident"] if base["origin_file_ident"] != fixture["idents"]["b"] else 1000,
                len(base["changeset"]) // 2,
                bytes.fromhex(base["changeset"]),
            )
            for number, base in enumerate(fixture["base"])
        ]
        history.integrate(at(2, 0), entries, 0)
        with file.snapshot() as snapshot, snapshot.lock:
            assert normal(dump(snapshot.reader)) == normal(fixture["dump"])
        file.close()
        files[fixture["fixture"]] = path
    return files


def normal(form: Any) -> Any:
    """Sets as sorted texts: they are sorted by text in both, but the text may be written differently."""
    if isinstance(form, dict):
        if set(form) == {"set"}:
            return {"set": sorted(json.dumps(normal(value), sort_keys=True) for value in form["set"])}
        return {key: normal(value) for key, value in form.items()}
    if isinstance(form, list):
        return [normal(value) for value in form]
    return form


def test_clients_end_where_the_vectors_say(fixture_files: dict[int, Path], tmp_path: Path) -> None:
    """The second client of each case holds its own side and downloads the first one's, made without it."""
    for number, case in enumerate(merge_cases()):
        path = tmp_path / f"{number}.realm"
        shutil.copyfile(fixture_files[case["fixture"]], path)
        file = RealmFile.open(path)
        history = ClientHistory(file)
        history.set_file_ident(case["right"][0]["origin_file_ident"] if case["right"] else 3, 1)
        version = file.version
        for change in case["right"]:
            commit_recorded(file, bytes.fromhex(change["changeset"]), change["origin_timestamp"])
        entries = [
            DownloadChangeset(
                3 + index,
                version,
                change["origin_timestamp"],
                change["origin_file_ident"],
                len(change["changeset"]) // 2,
                bytes.fromhex(change["changeset"]),
            )
            for index, change in enumerate(case["left"])
        ]
        history.integrate(at(2 + len(entries), version), entries, 0)
        with file.snapshot() as snapshot, snapshot.lock:
            assert normal(dump(snapshot.reader)) == normal(case["final"]), case["id"]
        transformed = [change.transformed for change in history.local_changes(version)]
        assert [forms(data) for data in transformed] == [
            forms(bytes.fromhex(change["changeset"])) for change in case["right_transformed"]
        ], case["id"]
        file.close()
        path.unlink()


def forms(data: bytes) -> list[Any]:
    return [instruction_to_json(instruction) for instruction in decode(data).instructions]


def test_decoding_needs_no_lock_and_numbers_the_entries(history: ClientHistory) -> None:
    entries = [download(5, 2, EraseObject("Dog", 8)), download(6, 3, EraseObject("Dog", 9), timestamp=7, origin=8)]
    first, second = history.decode(entries)
    assert isinstance(first, Changeset)
    assert (first.version, first.last_integrated_remote_version, first.sequence) == (5, 2, 0)
    assert (second.origin_timestamp, second.origin_file_ident, second.sequence) == (7, 8, 1)
    assert encode(second) != b""
