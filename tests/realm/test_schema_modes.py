"""Each cell of the table of differences (spec/sdk.md §2.3), in each mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from tests.realm.conftest import OpenRealm
from tests.realm.test_migration import classes

from syncline import (
    InvalidExternalSchemaChangeError,
    InvalidSchemaChangeError,
    InvalidSchemaVersionError,
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

BEFORE: Final = (
    "class Street(Model):\n  name: str\n"
    "class Dog(Model):\n  id: int = Field(primary_key=True)\n  name: str\n  age: int | None\n  street: Street | None\n"
)

#: What is changed, as text to replace; ``+`` adds at the end.
ROWS: Final = {
    "add class": ("+", "class Cat(Model):\n  name: str\n"),
    "remove class": (BEFORE, "class Street(Model):\n  name: str\n"),
    "add property": ("+", "  note: str\n"),
    "remove property": ("  name: str\n  age", "  age"),
    "change type": ("  name: str\n  age", "  name: int\n  age"),
    "change target": ("street: Street | None", "street: Dog | None"),
    "change collection": ("street: Street | None", "street: List[Street]"),
    "make required": ("age: int | None", "age: int"),
    "make optional": ("  name: str\n  age", "  name: str | None\n  age"),
    "change key": ("id: int = Field(primary_key=True)", "id: int"),
    "add index": ("  name: str\n  age", "  name: str = Field(index=True)\n  age"),
    "full text": ("  name: str\n  age", "  name: str = Field(index='fulltext')\n  age"),
    "embed": ("class Street(Model)", "class Street(EmbeddedModel)"),
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
    "change key": ("migration", "error", "error", "error"),
    "add index": ("applied", "applied", "ok", "ok"),
    "full text": ("applied", "applied", "ok", "ok"),
    "embed": ("migration", "error", "ok", "error"),
}


def after(row: str) -> list[Any]:
    old, new = ROWS[row]
    return list(classes(BEFORE + new if old == "+" else BEFORE.replace(old, new)).values())


@pytest.fixture
def before(open_realm: OpenRealm) -> None:
    """The file of the test as ``BEFORE`` has it."""
    with open_realm(*classes(BEFORE).values()) as realm, realm.write():
        realm.create("Dog", id=1, name="Rex", age=3, street={"name": "s"})


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
        with pytest.raises(InvalidExternalSchemaChangeError, match=r"somebody changed (Dog|Street) in"):
            realm.refresh()
    else:
        realm.refresh()
        assert (dog.name, street.name) == ("Rex", "s")


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
