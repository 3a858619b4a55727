"""Each cell of the table of differences (spec/sdk.md §2.3), in each mode."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from tests.realm.conftest import OpenRealm
from tests.realm.test_migration import classes

from syncline import (
    InvalidExternalSchemaChangeError,
    InvalidSchemaChangeError,
    InvalidSchemaVersionError,
    MigrationFailedError,
    Realm,
    SchemaMismatchError,
    SchemaMode,
    WrongTransactionStateError,
)
from syncline.realm.schema_changes import Change, compare
from syncline.realm.schema_update import models_by_name
from syncline.realm.schema_writing import change_last
from syncline.storage.file import RealmFile
from syncline.storage.snapshot import Snapshot

STREET: Final = (
    "class Street(Model):\n  name: str\n  zip: str = Field(index=True)\n  text: str = Field(index='fulltext')\n"
)
BEFORE: Final = (
    "class Chip(EmbeddedModel):\n  code: int\n" + STREET + "class Dog(Model):\n  id: int = Field(primary_key=True)\n"
    "  name: str\n  age: int | None\n  street: Street | None\n  chip: Chip | None\n"
)

#: What is changed, as text to replace; ``+`` adds at the end.
ROWS: Final = {
    "add class": ("+", "class Cat(Model):\n  name: str\n"),
    "remove class": (BEFORE, STREET),
    "add property": ("+", "  note: str\n"),
    "remove property": ("  name: str\n  age", "  age"),
    "change type": ("  name: str\n  age", "  name: int\n  age"),
    "change target": ("street: Street | None", "street: Dog | None"),
    "change collection": ("street: Street | None", "street: List[Street]"),
    "make required": ("age: int | None", "age: int"),
    "make optional": ("  name: str\n  age", "  name: str | None\n  age"),
    "remove key": ("id: int = Field(primary_key=True)", "id: int"),
    "add key": ("(Model):\n  name: str\n  zip", "(Model):\n  name: str = Field(primary_key=True)\n  zip"),
    "other key": (
        "id: int = Field(primary_key=True)\n  name: str",
        "id: int\n  name: str = Field(primary_key=True)",
    ),
    "type of the key": ("id: int = Field", "id: str = Field"),
    "add index": ("  name: str\n  age", "  name: str = Field(index=True)\n  age"),
    "full text": ("  name: str\n  age", "  name: str = Field(index='fulltext')\n  age"),
    "remove index": ("zip: str = Field(index=True)", "zip: str"),
    "remove full text": ("text: str = Field(index='fulltext')", "text: str"),
    "other index": ("zip: str = Field(index=True)", "zip: str = Field(index='fulltext')"),
    "embed": ("class Street(Model)", "class Street(EmbeddedModel)"),
    "set free": ("class Chip(EmbeddedModel)", "class Chip(Model)"),
}

#: automatic at the same version, additive, read-only and immutable, made elsewhere
CELLS: Final = {
    "add class": ("applied", "applied", "ok", "ok"),
    "remove class": ("ok", "ok", "ok", "error"),
    "add property": ("migration", "applied", "error", "ok"),
    "remove property": ("migration", "ok", "ok", "error"),
    "change type": ("migration", "error", "error", "error"),
    "change target": ("migration", "error", "error", "error"),
    "change collection": ("migration", "error", "error", "error"),
    "make required": ("migration", "error", "error", "error"),
    "make optional": ("migration", "error", "error", "error"),
    "remove key": ("migration", "error", "error", "error"),
    "add key": ("migration", "error", "error", "error"),
    "other key": ("migration", "error", "error", "error"),
    "type of the key": ("migration", "error", "error", "error"),
    "add index": ("applied", "applied", "ok", "ok"),
    "full text": ("applied", "applied", "ok", "ok"),
    "remove index": ("applied", "applied", "ok", "ok"),
    "remove full text": ("applied", "applied", "ok", "ok"),
    "other index": ("applied", "applied", "ok", "ok"),
    "embed": ("migration", "error", "ok", "error"),
    "set free": ("migration", "error", "ok", "error"),
}


def after(row: str) -> list[Any]:
    old, new = ROWS[row]
    return list(classes(BEFORE + new if old == "+" else BEFORE.replace(old, new)).values())


@pytest.fixture
def before(open_realm: OpenRealm) -> None:
    """The file of the test as ``BEFORE`` has it."""
    with open_realm(*classes(BEFORE).values()) as realm, realm.write():
        street = {"name": "s", "zip": "1", "text": "a street"}
        realm.create("Dog", id=1, name="Rex", age=3, street=street, chip={"code": 5})


def left(path: Path, row: str) -> list[Change]:
    """What the file still lacks."""
    file = RealmFile.open(path)
    try:
        with file.snapshot() as snapshot, snapshot.lock:
            return [each.change for each in changes(snapshot, row)]
    finally:
        file.close()


def changes(snapshot: Snapshot, row: str) -> Any:
    return compare(snapshot.catalogue, [model._info.schema for model in models_by_name(after(row)).values()])


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("row", ROWS)
def test_automatic(open_realm: OpenRealm, tmp_path: Path, row: str) -> None:
    path, models = tmp_path / "test.realm", after(row)
    if CELLS[row][0] == "migration":
        differences = left(path, row)
        with pytest.raises(SchemaMismatchError, match=r"configure a schema_version above 0"):
            open_realm(*models)
        assert left(path, row) == differences != []
        open_realm(*models, schema_version=1).close()
    else:
        open_realm(*models).close()
    assert left(path, row) == []


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("mode", [SchemaMode.SOFT_RESET, SchemaMode.HARD_RESET])
@pytest.mark.parametrize("row", ROWS)
def test_resetting(open_realm: OpenRealm, tmp_path: Path, row: str, mode: SchemaMode) -> None:
    differs = left(tmp_path / "test.realm", row) != []
    goes = differs if mode is SchemaMode.HARD_RESET else CELLS[row][0] == "migration"
    with open_realm(*after(row), schema_mode=mode) as realm:
        assert realm.is_empty is goes
    assert left(tmp_path / "test.realm", row) == []


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("row", ROWS)
def test_by_hand(open_realm: OpenRealm, tmp_path: Path, row: str) -> None:
    models, mode = after(row), SchemaMode.MANUAL
    differences = left(tmp_path / "test.realm", row)
    if differences:
        with pytest.raises(SchemaMismatchError):
            open_realm(*models, schema_mode=mode)
        with pytest.raises(MigrationFailedError, match=r"the models still differ"):
            open_realm(*models, schema_mode=mode, schema_version=1, migration=lambda m: None)
        assert left(tmp_path / "test.realm", row) == differences
    open_realm(*models, schema_mode=mode, schema_version=1, migration=lambda m: m.update_schema()).close()
    assert left(tmp_path / "test.realm", row) == []


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("mode", [SchemaMode.ADDITIVE_EXPLICIT, SchemaMode.ADDITIVE_DISCOVERED])
@pytest.mark.parametrize("row", ROWS)
def test_additive(open_realm: OpenRealm, tmp_path: Path, row: str, mode: SchemaMode) -> None:
    differences = left(tmp_path / "test.realm", row)
    if CELLS[row][1] == "error":
        with pytest.raises(InvalidSchemaChangeError, match=r"where only additions are possible"):
            open_realm(*after(row), schema_mode=mode)
    else:
        open_realm(*after(row), schema_mode=mode).close()
    assert left(tmp_path / "test.realm", row) == ([] if CELLS[row][1] == "applied" else differences)


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("mode", [SchemaMode.READ_ONLY, SchemaMode.IMMUTABLE])
@pytest.mark.parametrize("row", ROWS)
def test_only_reading(open_realm: OpenRealm, tmp_path: Path, row: str, mode: SchemaMode) -> None:
    differences = left(tmp_path / "test.realm", row)
    if CELLS[row][2] == "error":
        with pytest.raises(InvalidSchemaChangeError, match=f"which the mode {mode.name} refuses"):
            open_realm(*after(row), schema_mode=mode)
    else:
        with open_realm(*after(row), schema_mode=mode) as realm:
            for schema in realm.schema:
                assert [repr(obj) for obj in realm.objects(schema.name)] != [] or row == "add class"
    assert left(tmp_path / "test.realm", row) == differences


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("row", ROWS)
def test_made_elsewhere(open_realm: OpenRealm, row: str) -> None:
    realm = open_realm(*classes(BEFORE).values())
    dog = realm.get("Dog", 1)
    street = dog.street
    with realm._context.file.write() as tx:
        if row == "remove class":
            tx.erase_class(tx.catalogue.classes["Dog"])
        else:
            change_last(tx, [model._info.schema for model in models_by_name(after(row)).values()], set(), True)
    if CELLS[row][3] == "error":
        with pytest.raises(InvalidExternalSchemaChangeError, match=r"somebody changed (Dog|Street|Chip) in"):
            realm.refresh()
    else:
        realm.refresh()
        assert (dog.name, street.name, dog.chip.code) == ("Rex", "s", 5)


ELSEWHERE: Final = """
import sys
from syncline.storage.file import RealmFile
from syncline.values import kinds
file = RealmFile.open(sys.argv[1])
with file.write() as tx:
    tx.add_property(tx.catalogue.classes["Dog"], "note", kinds.STRING)
    tx.add_class("Cat")
print("added", flush=True)
input()
with file.write() as tx:
    info = tx.catalogue.classes["Dog"]
    tx.erase_property(info, info.properties["age"])
"""


@pytest.mark.usefixtures("before")
def test_made_by_another_process(open_realm: OpenRealm) -> None:
    realm = open_realm(*classes(BEFORE).values())
    dog = realm.get("Dog", 1)
    with subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, realm.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "added\n"
        assert realm.refresh()
        assert (dog.name, dog.age) == ("Rex", 3)
        other.communicate("\n")
    with pytest.raises(InvalidExternalSchemaChangeError, match=r"somebody changed Dog in"):
        realm.refresh()


@pytest.mark.usefixtures("before")
def test_classes_that_nobody_used_are_verified_too(open_realm: OpenRealm) -> None:
    realm = open_realm(*classes(BEFORE).values())
    assert realm.version > 0
    with realm._context.file.write() as tx:
        tx.erase_class(tx.catalogue.classes["Dog"])
    with pytest.raises(InvalidExternalSchemaChangeError):
        realm.refresh()


@pytest.mark.usefixtures("before")
def test_an_immutable_realm(open_realm: OpenRealm) -> None:
    models = list(classes(BEFORE).values())
    with pytest.raises(InvalidSchemaVersionError, match=r"has schema version 0, the configuration says 1"):
        open_realm(*models, schema_mode=SchemaMode.IMMUTABLE, schema_version=1)
    realm = open_realm(*models, schema_mode=SchemaMode.IMMUTABLE)
    assert realm.config.read_only
    assert not realm.auto_refresh
    for action in (realm.refresh, realm.begin_write):
        with pytest.raises(WrongTransactionStateError):
            action()
    writer = RealmFile.open(realm.path)
    with writer.write() as tx:
        tx.erase_class(tx.catalogue.classes["Dog"])
    writer.close()
    assert realm.get("Dog", 1).name == "Rex"


@pytest.mark.usefixtures("before")
def test_a_read_only_realm_follows_others(open_realm: OpenRealm) -> None:
    models = list(classes(BEFORE).values())
    realm = open_realm(*models, read_only=True, schema_version=7)  # the version is not compared
    dogs = realm.objects("Dog")
    seen: list[int] = []
    token = dogs.observe(lambda results, change: seen.append(len(results)))
    realm.refresh()
    writer = RealmFile.open(realm.path)
    with writer.write() as tx:
        tx.clear_class(tx.catalogue.classes["Dog"])
    writer.close()
    assert realm.refresh()
    assert (len(dogs), seen) == (0, [1, 0])
    token.invalidate()


@pytest.mark.usefixtures("before")
def test_versions_of_what_is_only_read(tmp_path: Path) -> None:
    assert Realm.schema_version(tmp_path / "test.realm") == 0
