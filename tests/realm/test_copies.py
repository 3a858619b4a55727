"""Copies of a Realm, of every kind, compaction and seeds (spec/sdk.md §3.6, §3.7)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    DecryptionFailedError,
    Dictionary,
    EmbeddedModel,
    Field,
    FileError,
    IllegalOperationError,
    InvalidDatabaseError,
    InvalidSchemaChangeError,
    InvalidSchemaVersionError,
    LimitExceededError,
    List,
    MismatchedConfigError,
    Model,
    Realm,
    RealmConfiguration,
    RealmFileNotFoundError,
    SchemaError,
    Set,
    TypeMismatchError,
    WrongTransactionStateError,
)
from syncline.changesets.changeset import UploadCursor
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.testing.exhaustive.world import Server
from syncline.values import kinds

KEY = bytes(range(64))
OTHER = bytes(range(1, 65))


class Part(EmbeddedModel):
    name: str
    sizes: List[int]


class Note(Model):
    text: str


class Thing(Model):
    id: int = Field(primary_key=True)
    name: str | None
    numbers: List[int]
    words: Set[str]
    by_name: Dictionary[int]
    part: Part | None
    parts: List[Part]
    next: Thing | None
    notes: List[Note]
    any: Any


SCHEMA = (Thing, Part, Note)


def fill(realm: Realm) -> None:
    with realm.write():
        note = realm.create(Note, text="n")
        first = realm.create(
            Thing,
            id=1,
            name="one",
            numbers=[1, 2],
            words={"a"},
            by_name={"k": 1},
            part={"name": "p", "sizes": [3]},
            parts=[{"name": "q", "sizes": []}],
            notes=[note, note],
            any=[1, {"deep": note}],
        )
        first.next = realm.create(Thing, id=2, name=None, next=first, any=first)


def content(realm: Realm) -> dict[str, Any]:
    """What the Realm holds, without the numbers of objects that have no key."""
    things = {}
    for thing in realm.objects(Thing):
        things[thing.id] = (
            thing.name,
            list(thing.numbers),
            set(thing.words),
            dict(thing.by_name),
            thing.part and (thing.part.name, list(thing.part.sizes)),
            [part.name for part in thing.parts],
            thing.next and thing.next.id,
            [note.text for note in thing.notes],
        )
    first = realm.get(Thing, 1)
    return {"things": things, "any": (first.any[0], first.any[1]["deep"].text), "notes": realm.objects(Note).count()}


# --- local copies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("own", "other"), [(None, None), (None, KEY), (KEY, None), (KEY, OTHER)])
def test_a_copy_with_another_key(open_realm: OpenRealm, tmp_path: Path, own: bytes | None, other: bytes | None) -> None:
    realm = open_realm(*SCHEMA, encryption_key=own, schema_version=3)
    fill(realm)
    realm.write_copy(tmp_path / "copy.realm", encryption_key=other)
    copy = open_realm(*SCHEMA, path=tmp_path / "copy.realm", encryption_key=other, schema_version=3)
    assert content(copy) == content(realm)
    assert copy.content_hash() == realm.content_hash()
    copy.close()
    with pytest.raises(DecryptionFailedError):
        open_realm(*SCHEMA, path=tmp_path / "copy.realm", encryption_key=None if other else KEY, schema_version=3)


def test_a_copy_inside_a_write_has_what_was_written(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm = open_realm(*SCHEMA, schema_version=3)
    fill(realm)
    with realm.write() as transaction:
        realm.create(Note, text="new")
        realm.get(Thing, 2).next = None
        realm.write_copy(tmp_path / "copy.realm", encryption_key=KEY)
        there = content(realm)
        transaction.cancel()
    copy = open_realm(*SCHEMA, path=tmp_path / "copy.realm", encryption_key=KEY, schema_version=3)
    assert content(copy) == there != content(realm)


def test_a_copy_never_overwrites(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm = open_realm(*SCHEMA)
    for existing in ("test.realm", "other"):
        (tmp_path / "other").write_text("mine")
        with pytest.raises(FileError, match=r"exists already"):
            realm.write_copy(tmp_path / existing)
    assert (tmp_path / "other").read_text() == "mine"
    with pytest.raises(IllegalOperationError):
        realm.write_copy(RealmConfiguration(in_memory=True))
    with pytest.raises(TypeMismatchError, match=r"write_copy: expected a path"):
        realm.write_copy(None)  # type: ignore[arg-type]
    with realm.write(), pytest.raises(FileError):
        realm.write_copy(tmp_path / "no" / "folder.realm")
    assert sorted(path.name for path in tmp_path.iterdir() if "copying" in path.name) == []


def test_a_realm_in_memory_can_be_kept(tmp_path: Path) -> None:
    with Realm.open(in_memory=True, schema=SCHEMA) as realm:
        fill(realm)
        realm.write_copy(tmp_path / "kept.realm")
        there = content(realm)
    with Realm.open(tmp_path / "kept.realm", schema=SCHEMA) as kept:
        assert content(kept) == there


def test_a_copy_into_an_existing_realm(open_realm: OpenRealm, tmp_path: Path) -> None:
    target = RealmConfiguration(tmp_path / "other.realm", schema=SCHEMA)
    with Realm.open(target) as other, other.write():
        thing = {"numbers": [9, 9, 9], "words": {"b"}, "by_name": {"z": 26}, "part": {"name": "old", "sizes": []}}
        other.create(Thing, id=1, name="mine", **thing)
        other.create(Thing, id=7, name="seven")
    realm = open_realm(*SCHEMA)
    fill(realm)
    realm.write_copy(target)
    with Realm.open(target) as other:
        assert sorted(thing.id for thing in other.objects(Thing)) == [1, 2, 7]
        first = other.get(Thing, 1)
        assert (first.name, list(first.numbers), set(first.words)) == ("one", [1, 2], {"a", "b"})
        assert (dict(first.by_name), first.part.name, first.next.id) == ({"k": 1, "z": 26}, "p", 2)
    with RealmFileContext(tmp_path / "wrong.realm") as file, file.write() as tx:
        tx.add_class("Note", primary_key="text", key_type=kinds.STRING)
    with pytest.raises(SchemaError):
        realm.write_copy(RealmConfiguration(tmp_path / "wrong.realm"))


class RealmFileContext:
    """A plain file, closed at the end of the block."""

    def __init__(self, path: Path, history: bool | None = False) -> None:
        self.file = RealmFile.open(path, history=history)

    def __enter__(self) -> RealmFile:
        return self.file

    def __exit__(self, *error: object) -> None:
        self.file.close()


# --- from and to synced Realms ----------------------------------------------------------------------------------------


class Kind:
    """What a configuration needs to know of sync to make a copy for it."""

    def __init__(self, flexible: bool) -> None:
        self.flexible = flexible


class Synced(RealmConfiguration):
    """A configuration of a synced Realm with a path of its own."""

    @property
    def file_path(self) -> str:
        return str(self.path)


class Device:
    """A synced file without a session: a server in this process is asked when the test wants it."""

    def __init__(self, path: Path, server: Server) -> None:
        self.file = RealmFile.open(path, history=True)
        self.history = ClientHistory(self.file)
        self.server = server
        self.cursor = UploadCursor(self.history.status().progress.upload.client_version, 0)

    def join(self) -> None:
        self.ident = self.server.register()
        self.history.set_file_ident(self.ident, 1)

    def exchange(self) -> None:
        entries, self.cursor = self.history.uploadable(self.cursor)
        self.server.take(self.ident, entries, self.cursor)
        before = self.history.status().progress
        downloads, progress = self.server.since(self.ident, before)
        if progress != before:
            self.history.integrate(progress, downloads, 0)

    def state(self) -> dict[str, Any]:
        with self.file.snapshot() as snapshot, snapshot.lock:
            return dump(snapshot.reader)


def test_a_local_realm_becomes_synced_and_uploads_all(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm = open_realm(*SCHEMA)
    fill(realm)
    realm.write_copy(Synced(tmp_path / "synced.realm", sync=Kind(False)))
    server = Server()
    one, two = Device(tmp_path / "synced.realm", server), Device(tmp_path / "two.realm", server)
    for device in (one, two, one):
        if not hasattr(device, "ident"):
            device.join()
        device.exchange()
    assert one.state() == two.state()
    with Realm.open(tmp_path / "two.realm", schema=SCHEMA) as copy:
        assert content(copy) == content(realm)
    one.file.close()
    two.file.close()


def test_a_synced_realm_becomes_local_or_another_device(tmp_path: Path) -> None:
    server = Server()
    one = Device(tmp_path / "one.realm", server)
    one.join()
    with Realm.open(tmp_path / "one.realm", schema=SCHEMA) as realm:
        fill(realm)
        synced = Synced(tmp_path / "two.realm", sync=Kind(False))
        with pytest.raises(IllegalOperationError, match=r"changes of .* wait for upload"):
            realm.write_copy(synced)
        one.exchange()
        one.exchange()
        realm.refresh()
        realm.write_copy(synced)
        realm.write_copy(RealmConfiguration(tmp_path / "local.realm"))
        there = content(realm)
        with realm.write():
            realm.create(Note, text="later")
    with RealmFileContext(tmp_path / "local.realm", None) as file:
        assert not file.keeps_history
    with Realm.open(tmp_path / "local.realm", schema=SCHEMA) as local:
        assert content(local) == there
    two = Device(tmp_path / "two.realm", server)
    status = two.history.status()
    assert (status.file_ident, status.progress.download.server_version > 0) == (0, True)
    two.join()
    with Realm.open(tmp_path / "two.realm", schema=SCHEMA) as copy, copy.write():
        copy.create(Note, text="of two")
        copy.get(Thing, 1).name = "two"
    for device in (one, two, one):
        device.exchange()
    assert one.state() == two.state()
    assert '"of two"' in repr(one.state()).replace("'", '"')
    one.file.close()
    two.file.close()


def test_flexible_sync_stays_flexible(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm = open_realm(*SCHEMA)
    realm._config = Synced(realm.path, sync=Kind(True))
    with pytest.raises(IllegalOperationError, match=r"flexible sync cannot become one of a partition"):
        realm.write_copy(Synced(tmp_path / "other.realm", sync=Kind(False)))


# --- compaction -------------------------------------------------------------------------------------------------------


def swollen(open_realm: OpenRealm, **options: Any) -> Realm:
    realm = open_realm(Note, **options)
    with realm.write():
        realm.create_many(Note, ({"text": "x" * 1000} for _ in range(500)))
    with realm.write():
        realm.delete_all(Note)
    return realm


def test_compacting(open_realm: OpenRealm) -> None:
    realm = swollen(open_realm)
    with realm.write(), pytest.raises(WrongTransactionStateError):
        realm.compact()
    size, used = realm._context.file.space()
    assert used < size / 2
    frozen = realm.freeze()
    assert realm.compact() is False
    with pytest.raises(WrongTransactionStateError):
        frozen.compact()
    frozen.close()
    other = open_realm(Note)
    assert realm.compact() is False
    other.close()
    assert realm.compact() is True
    assert realm._context.file.space()[0] < size / 2
    assert realm.objects(Note).count() == 0


def test_another_process_is_in_the_way(open_realm: OpenRealm) -> None:
    realm = swollen(open_realm)
    code = "import sys; from syncline import Realm; r = Realm.open(sys.argv[1]); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, realm.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        assert realm.compact() is False
        other.communicate("\n")
    assert realm.compact() is True


def test_only_the_first_open_in_a_process_compacts(open_realm: OpenRealm) -> None:
    open_realm(Note)
    asked: list[tuple[int, int]] = []
    open_realm(Note, should_compact=lambda total, used: asked.append((total, used)) or True)  # type: ignore[func-returns-value]
    assert asked == []


def test_compacting_at_the_first_open(tmp_path: Path) -> None:
    path, asked = tmp_path / "a.realm", []
    options: dict[str, Any] = {"schema": [Note], "encryption_key": KEY}
    with Realm.open(path, **options) as realm:
        with realm.write():
            realm.create_many(Note, ({"text": "x" * 1000} for _ in range(500)))
        with realm.write():
            realm.delete_all(Note)
    size = path.stat().st_size

    def should(total: int, used: int) -> bool:
        asked.append((total, used))
        return used < total / 2

    Realm.open(path, should_compact=should, **options).close()
    assert path.stat().st_size < size / 2
    Realm.open(path, should_compact=should, **options).close()
    assert len(asked) == 2
    assert asked[0][0] > 2 * asked[0][1]

    def fail(total: int, used: int) -> bool:
        raise LookupError

    with pytest.raises(LookupError):
        Realm.open(path, should_compact=fail, **options)
    assert Realm.delete_files(path)


# --- seeds, limits, keys ----------------------------------------------------------------------------------------------


def test_a_seed_is_copied_once(tmp_path: Path) -> None:
    with Realm.open(tmp_path / "seed.realm", schema=SCHEMA) as seed:
        fill(seed)
    config = RealmConfiguration(tmp_path / "a.realm", schema=SCHEMA, seed_file=tmp_path / "seed.realm")
    with Realm.open(config) as realm, realm.write():
        assert realm.objects(Thing).count() == 2
        realm.delete_all()
    with Realm.open(config) as realm:
        assert realm.is_empty
    with pytest.raises(RealmFileNotFoundError):
        Realm.open(config.replace(path=tmp_path / "b.realm", seed_file=tmp_path / "none.realm"))
    assert not (tmp_path / "b.realm").exists()


def test_versions_that_are_alive_are_limited(open_realm: OpenRealm) -> None:
    realm = open_realm(Note, max_active_versions=3)
    frozen = []
    for number in range(3):
        frozen.append(realm.freeze())
        with realm.write():
            realm.create(Note, text=str(number))
    with pytest.raises(LimitExceededError, match=r"4 versions of .* are alive, more than max_active_versions = 3"):
        realm.begin_write()
    for each in frozen:
        each.close()
    with realm.write():
        realm.delete_all(Note)
    assert realm.number_of_versions == 1


def test_keys_that_do_not_fit(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm = open_realm(Note, encryption_key=KEY)
    with pytest.raises(MismatchedConfigError, match=r"another encryption key"):
        open_realm(Note)
    realm.close()
    for key in (None, OTHER):
        with pytest.raises(DecryptionFailedError):
            open_realm(Note, encryption_key=key)
    with Realm.open(tmp_path / "plain.realm", schema=[Note]):
        pass
    with pytest.raises(DecryptionFailedError, match=r"write an encrypted copy of it"):
        Realm.open(tmp_path / "plain.realm", schema=[Note], encryption_key=KEY)
    with open_realm(Note, encryption_key=KEY) as again:
        assert again.is_empty


def test_two_processes_with_one_key(open_realm: OpenRealm) -> None:
    realm = open_realm(Note, encryption_key=KEY)
    code = (
        "import sys\nfrom syncline import Model, Realm\nclass Note(Model):\n  text: str\n"
        "with Realm.open(sys.argv[1], schema=[Note], encryption_key=bytes(range(64))) as realm, realm.write():\n"
        "  realm.create(Note, text='of another process')\n"
    )
    subprocess.run([sys.executable, "-c", code, realm.path], check=True)
    realm.refresh()
    assert realm.objects(Note)[0].text == "of another process"
    assert b"of another process" not in Path(realm.path).read_bytes() + Path(realm.path + "-wal").read_bytes()


# --- from bytes -------------------------------------------------------------------------------------------------------


def test_a_realm_of_bytes(open_realm: OpenRealm, tmp_path: Path) -> None:
    with open_realm(*SCHEMA, schema_version=3) as realm:
        fill(realm)
        there = content(realm)
    data = Path(realm.path).read_bytes()
    for given in (data, bytearray(data), memoryview(data)):
        with Realm.from_bytes(given, schema=SCHEMA, schema_version=3) as copy:
            assert content(copy) == there
            directory = Path(copy.path).parent
            for action in (copy.begin_write, copy.refresh):
                with pytest.raises(WrongTransactionStateError):
                    action()
            frozen = copy.freeze()
            assert content(frozen) == there
            assert frozen.thaw() is copy
            copy.write_copy(tmp_path / f"{type(given).__name__}.realm")
            frozen.close()
        assert not directory.exists()
    with open_realm(*SCHEMA, path=tmp_path / "bytes.realm", schema_version=3) as kept, kept.write():
        assert content(kept) == there
    with Realm.from_bytes(data) as dynamic:
        assert {schema.name for schema in dynamic.schema} == {"Thing", "Part", "Note"}
    with Realm.from_bytes(data, schema=[Note], schema_version=3) as one, Realm.from_bytes(data) as two:
        assert one.path != two.path


def test_bytes_that_are_no_realm(open_realm: OpenRealm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_realm(Note) as realm:
        pass
    with open_realm(Note, path=tmp_path / "secret.realm", encryption_key=KEY):
        pass
    data, secret = Path(realm.path).read_bytes(), (tmp_path / "secret.realm").read_bytes()
    for given, error in ((b"", InvalidDatabaseError), (b"x" * 5000, InvalidDatabaseError), (data[:5000], FileError)):
        with pytest.raises(error):
            Realm.from_bytes(given, schema=[Note]).objects(Note)
    with pytest.raises(DecryptionFailedError):
        Realm.from_bytes(secret)
    with pytest.raises(InvalidSchemaVersionError):
        Realm.from_bytes(data, schema=[Note], schema_version=1)
    with pytest.raises(InvalidSchemaChangeError):
        Realm.from_bytes(data, schema=[type("Note", (Model,), {"__annotations__": {"title": str}})])
    with pytest.raises(TypeMismatchError, match=r"from_bytes: expected bytes, got str"):
        Realm.from_bytes("x")  # type: ignore[arg-type]
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
