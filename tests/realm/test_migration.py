"""Migrations, step by step (spec/sdk.md §2.4, §1.9)."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Dictionary,
    EmbeddedModel,
    Field,
    List,
    Migration,
    MigrationFailedError,
    Model,
    Realm,
    SchemaMismatchError,
    SchemaMode,
    Set,
    Timestamp,
    WrongTransactionStateError,
)


def classes(source: str) -> dict[str, Any]:
    """The classes that ``source`` defines, by name."""
    scope: dict[str, Any] = {
        "Model": Model,
        "EmbeddedModel": EmbeddedModel,
        "Field": Field,
        "List": List,
        "Set": Set,
        "Dictionary": Dictionary,
        "Any": Any,
        "Timestamp": Timestamp,
        "UUID": UUID,
        "Decimal": Decimal,
    }
    exec(source, scope)
    return {
        name: each
        for name, each in scope.items()
        if isinstance(each, type) and issubclass(each, Model) and each not in (Model, EmbeddedModel)
    }


class Files:
    """One file that is opened with changing models."""

    def __init__(self, open_realm: OpenRealm) -> None:
        self._open = open_realm

    def __call__(self, source: str, version: int = 0, **options: Any) -> Realm:
        self.models = classes(source)
        return self._open(*self.models.values(), schema_version=version, **options)

    def fill(self, source: str, *values: tuple[str, dict[str, Any]]) -> None:
        with self(source) as realm, realm.write():
            for name, given in values:
                realm.create(name, given)


@pytest.fixture
def files(open_realm: OpenRealm) -> Files:
    return Files(open_realm)


def content_of(files: Files, source: str, version: int = 0) -> str:
    """What the file holds, opened with models that fit."""
    with files(source, version) as realm:
        return realm.content_hash()


PERSON = "class Person(Model):\n  id: int = Field(primary_key=True)\n  first: str\n  last: str\n  age: int | None\n"
ANN = ("Person", {"id": 1, "first": "Ann", "last": "Lee", "age": 7})
BEN = ("Person", {"id": 2, "first": "Ben", "last": "Roy", "age": None})
FULL = "class Person(Model):\n  id: int = Field(primary_key=True)\n  name: str\n"


# --- the function -----------------------------------------------------------------------------------------------------


def test_values_of_removed_properties_can_be_read(files: Files) -> None:
    files.fill(PERSON, ANN, BEN)

    def migrate(m: Migration) -> None:
        assert (m.old_version, m.new_version, m.new.in_migration, m.old.is_frozen) == (0, 1, True, True)
        assert (m.old.schema_version, m.new.schema_version) == (0, 0)
        for old, new in m.enumerate("Person"):
            assert old.first == new["first"]
            new.name = f"{old.first} {new.last}"

    realm = files(FULL, 1, migration=migrate)
    assert [person.name for person in realm.objects("Person")] == ["Ann Lee", "Ben Roy"]
    assert (realm.schema_version, realm.in_migration) == (1, False)
    assert list(realm._context.reader().catalogue.classes["Person"].properties) == ["id", "name"]


def test_a_function_of_two_realms(files: Files) -> None:
    files.fill(PERSON, ANN)

    def migrate(old: Realm, new: Realm) -> None:
        new.objects("Person")[0].name = old.objects("Person")[0].first

    realm = files(FULL, 1, migration=migrate)
    assert realm.get("Person", 1).name == "Ann"


def test_without_a_function_new_properties_are_zero(files: Files) -> None:
    files.fill(PERSON, ANN)
    realm = files(FULL, 5)
    assert (realm.get("Person", 1).name, realm.schema_version) == ("", 5)


def test_pairs_after_creating_and_deleting(files: Files) -> None:
    files.fill(PERSON, ANN, BEN)

    def migrate(m: Migration) -> None:
        person = files.models["Person"]
        m.new.delete(m.new.get(person, 1))
        m.new.create(person, id=3, name="Kim", first="K", last="Im", age=None)
        pairs = [(old and old.id, new and new.id) for old, new in m.enumerate(person)]
        assert pairs == [(1, None), (2, 2), (None, 3)]
        m.old.objects("Person")
        with pytest.raises(WrongTransactionStateError):
            m.old.begin_write()

    realm = files(FULL, 1, migration=migrate)
    assert [person.id for person in realm.objects("Person")] == [2, 3]


def test_new_objects_need_no_values_for_what_will_be_removed(files: Files) -> None:
    source = PERSON + "  data: bytes\n  price: float\n  born: Timestamp\n  ok: bool\n  uid: UUID\n  sum: Decimal\n"
    values = {"data": b"", "price": 1.0, "born": Timestamp(1, 0), "ok": True, "uid": UUID(int=1), "sum": Decimal(1)}
    files.fill(source, ("Person", {**ANN[1], **values}))

    def migrate(m: Migration) -> None:
        kim = m.new.create("Person", id=3, name="Kim")
        assert (kim["first"], kim["age"], kim["uid"], kim["sum"]) == ("", None, UUID(int=0), 0)

    realm = files(FULL, 1, migration=migrate)
    assert [person.name for person in realm.objects("Person")] == ["", "Kim"]


def test_deleting_while_pairs_are_taken(files: Files) -> None:
    files.fill(PERSON, ANN, BEN)

    def migrate(m: Migration) -> None:
        seen = []
        for old, new in m.enumerate("Person"):
            seen.append((old.id, new is not None))
            m.new.delete(list(m.new.objects("Person")))
        assert seen == [(1, True), (2, False)]

    assert files(FULL, 1, migration=migrate).is_empty


def test_an_exception_undoes_everything(files: Files, tmp_path: Path) -> None:
    files.fill(PERSON, ANN)

    def migrate(m: Migration) -> None:
        m.delete_model("Person")
        raise LookupError("no")

    before = content_of(files, PERSON)
    with pytest.raises(LookupError, match=r"no"):
        files(FULL, 1, migration=migrate)
    assert content_of(files, PERSON) == before
    assert Realm.schema_version(tmp_path / "test.realm") == 0
    assert files(PERSON).get("Person", 1).first == "Ann"


def test_the_transaction_is_not_the_functions(files: Files) -> None:
    files.fill(PERSON, ANN)

    def migrate(m: Migration) -> None:
        for action in (m.new.commit_write, m.new.cancel_write):
            with pytest.raises(WrongTransactionStateError, match=r"this transaction ends with the function"):
                action()

    files(FULL, 1, migration=migrate)


def test_a_new_file_does_not_migrate(files: Files) -> None:
    calls: list[str] = []

    def fill(realm: Realm) -> None:
        calls.append("fill")
        realm.create("Person", id=1, name="Ann")

    options: dict[str, Any] = {"migration": lambda m: calls.append("migrate"), "initial_data": fill}
    with files(FULL, 3, **options) as realm:
        assert (calls, realm.get("Person", 1).name, realm.version) == (["fill"], "Ann", 2)
    files(FULL, 3, **options).close()
    assert calls == ["fill"]
    files(FULL, 4, **options).close()
    assert calls == ["fill", "migrate"]


def test_initial_data_that_fails_leaves_no_schema(files: Files, tmp_path: Path) -> None:
    def fail(realm: Realm) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        files(FULL, initial_data=fail)
    assert Realm.schema_version(tmp_path / "test.realm") is None


def test_an_async_open_migrates_on_a_worker(files: Files, tmp_path: Path) -> None:
    files.fill(PERSON, ANN)
    threads: list[str] = []

    def migrate(m: Migration) -> None:
        threads.append(threading.current_thread().name)
        m.rename_property("Person", "first", "name")

    async def name() -> str:
        models = list(classes(FULL).values())
        options: dict[str, Any] = {"schema": models, "schema_version": 1, "migration": migrate}
        async with Realm.open_async(tmp_path / "test.realm", **options) as realm:
            return str(realm.get("Person", 1).name)

    assert asyncio.run(name()) == "Ann"
    assert [name.startswith("syncline-open") for name in threads] == [True]


# --- what becomes of values -------------------------------------------------------------------------------------------


def test_another_type_begins_anew(files: Files) -> None:
    files.fill(PERSON, ANN)

    def migrate(m: Migration) -> None:
        old, new = next(m.enumerate("Person"))
        assert (old.age, new.age) == (7, "")
        new.age = str(old.age)

    changed = PERSON.replace("age: int | None", "age: str")
    realm = files(changed, 1, migration=migrate)
    assert realm.get("Person", 1).age == "7"
    realm.close()
    listed = files(PERSON.replace("age: int | None", "age: List[int]"), 2)
    assert list(listed.get("Person", 1).age) == []


def test_required_loses_all_values_optional_none(files: Files) -> None:
    files.fill(PERSON, ANN, BEN)
    realm = files(PERSON.replace("int | None", "int").replace("last: str", "last: str | None"), 1)
    assert [(person.age, person.last) for person in realm.objects("Person")] == [(0, "Lee"), (0, "Roy")]
    with realm.write():
        realm.get("Person", 1).last = None
    assert realm.get("Person", 1).last is None


def test_collections_become_optional_and_required(files: Files) -> None:
    source = "class Box(Model):\n  a: List[int]\n  b: List[int | None]\n  c: Set[str]\n  d: Dictionary[int | None]\n"
    files.fill(source, ("Box", {"a": [1, 2], "b": [1, None], "c": {"x"}, "d": {"k": 1}}))
    changed = "class Box(Model):\n  a: List[int | None]\n  b: List[int]\n  c: Set[str | None]\n  d: Dictionary[int]\n"
    realm = files(changed, 1)
    box = realm.objects("Box")[0]
    assert (list(box.a), list(box.b), set(box.c), dict(box.d)) == ([1, 2], [], {"x"}, {})
    with realm.write():
        box.a.append(None)
        box.c.add(None)
    assert (list(box.a), None in box.c) == ([1, 2, None], True)


# --- renaming and removing --------------------------------------------------------------------------------------------


def test_renaming_keeps_the_values(files: Files) -> None:
    files.fill(PERSON, ANN)
    source = PERSON.replace("first: str", "given: str | None = Field(index=True)")

    def migrate(m: Migration) -> None:
        m.rename_property("Person", "first", "given")
        assert m.new.objects(files.models["Person"])[0].given == "Ann"

    realm = files(source, 1, migration=migrate)
    assert realm.get("Person", 1).given == "Ann"
    assert realm.objects("Person").where(files.models["Person"].given == "Ann").count() == 1


def test_a_chain_of_renames(files: Files) -> None:
    files.fill(PERSON, ANN)

    def migrate(m: Migration) -> None:
        m.rename_property("Person", "first", "between")
        m.rename_property("Person", "between", "name")

    assert files(FULL, 1, migration=migrate).get("Person", 1).name == "Ann"


RENAMES = {
    ("Cat", "a", "b"): "Cat is no class of both",
    ("Person", "id", "name"): "still has id",
    ("Person", "nothing", "name"): "has no property Person.nothing",
    ("Person", "age", "name"): "Person.age and name differ in their types",
    ("Person", "nick", "name"): "Person.nick may be null and name may not",
}


@pytest.mark.parametrize("rename", RENAMES)
def test_refused_renames(files: Files, rename: tuple[str, str, str]) -> None:
    files.fill(PERSON + "  nick: str | None\n", ("Person", {**ANN[1], "nick": None}))
    before = content_of(files, PERSON + "  nick: str | None\n")
    with pytest.raises(MigrationFailedError, match=RENAMES[rename]):
        files(FULL, 1, migration=lambda m: m.rename_property(*rename))
    assert content_of(files, PERSON + "  nick: str | None\n") == before


def test_a_chain_of_renames_does_not_lose_null_either(files: Files) -> None:
    files.fill(PERSON + "  nick: str | None\n", ("Person", {**ANN[1], "nick": None}))

    def migrate(m: Migration) -> None:
        m.rename_property("Person", "nick", "between")
        m.rename_property("Person", "between", "name")

    with pytest.raises(MigrationFailedError, match=r"Person.between may be null and name may not"):
        files(FULL, 1, migration=migrate)


def test_removing_a_class(files: Files) -> None:
    source = "class Cat(Model):\n  name: str\nclass Home(Model):\n  name: str\n  cat: Cat | None\n  any: Any\n"
    files.fill(source, ("Home", {"name": "h", "cat": {"name": "Tom"}, "any": None}))
    with files(source) as realm, realm.write():
        realm.objects("Home")[0].any = realm.objects("Cat")[0]
    with pytest.raises(MigrationFailedError, match=r"delete_model: Home.cat links to Cat"):
        files(source, 1, migration=lambda m: m.delete_model("Cat"))
    found = []

    def migrate(m: Migration) -> None:
        found.append((m.delete_model("Cat"), m.delete_model("Cat")))
        assert m.new.objects("Home")[0].any is None

    realm = files("class Home(Model):\n  name: str\n  any: Any\n", 1, migration=migrate)
    assert found == [(True, False)]
    assert list(realm._context.reader().catalogue.classes) == ["Home"]


def test_a_removed_class_that_the_models_have_is_empty(files: Files) -> None:
    files.fill(PERSON, ANN)
    realm = files(PERSON, 1, migration=lambda m: m.delete_model("Person"))
    assert realm.is_empty
    assert realm.objects("Person").count() == 0


def test_classes_that_the_models_leave_out_stay(files: Files) -> None:
    files.fill(PERSON, ANN)
    files("class Cat(Model):\n  name: str\n", 1).close()
    assert files(PERSON, 1).get("Person", 1).first == "Ann"


# --- primary keys -----------------------------------------------------------------------------------------------------


def test_keys_can_be_assigned_and_must_be_unique_at_the_end(files: Files, tmp_path: Path) -> None:
    files.fill(PERSON, ANN, BEN)

    def swap(m: Migration) -> None:
        one, two = m.new.get("Person", 1), m.new.get("Person", 2)
        one.id = 2  # twice for a moment
        two.id = 1

    with files(PERSON, 1, migration=swap) as realm:
        assert (realm.get("Person", 1).first, realm.get("Person", 2).first) == ("Ben", "Ann")
        before = realm.content_hash()

    def double(m: Migration) -> None:
        for _, new in m.enumerate("Person"):
            new.id = 5

    with pytest.raises(MigrationFailedError, match=r"Person: .* several objects have the primary key id = 5"):
        files(PERSON, 2, migration=double)
    assert Realm.schema_version(tmp_path / "test.realm") == 1
    assert content_of(files, PERSON, 1) == before


def test_another_property_becomes_the_key(files: Files) -> None:
    files.fill(PERSON, ANN, BEN)
    by_name = PERSON.replace("id: int = Field(primary_key=True)", "id: int").replace(
        "first: str", "first: str = Field(primary_key=True)"
    )
    with files(by_name, 1) as realm:
        assert realm.get("Person", "Ben").id == 2
        with realm.write():
            realm.create("Person", id=2, first="Kim", last="", age=None)
        before = realm.content_hash()
    with pytest.raises(MigrationFailedError, match=r"the primary key id = 2"):
        files(PERSON, 2)
    assert content_of(files, by_name, 1) == before
    without = PERSON.replace("id: int = Field(primary_key=True)", "id: int")
    with files(without, 2) as realm:
        assert [person.first for person in realm.objects("Person")] == ["Ann", "Ben", "Kim"]
        with realm.write():
            realm.create("Person", id=2, first="Eve", last="", age=None)
            realm.delete(list(realm.objects("Person"))[1:])
    with files(PERSON, 3) as realm:
        assert realm.get("Person", 1).first == "Ann"


def test_a_new_key_gets_its_values_from_the_function(files: Files) -> None:
    files.fill(PERSON, ANN, BEN)
    source = "class Person(Model):\n  code: str = Field(primary_key=True)\n  first: str\n"

    def migrate(m: Migration) -> None:
        for old, new in m.enumerate("Person"):
            new.code = f"p{old.id}"

    with files(source, 1, migration=migrate) as realm:
        assert realm.get("Person", "p2").first == "Ben"


def test_a_key_of_another_type(files: Files) -> None:
    files.fill(PERSON, ANN, BEN)
    source = PERSON.replace("id: int", "id: str")

    def migrate(m: Migration) -> None:
        for old, new in m.enumerate("Person"):
            new.id = str(old.id)

    with pytest.raises(MigrationFailedError, match=r"the primary key id = ''"):
        files(source, 1)
    with files(source, 1, migration=migrate) as realm:
        assert realm.get("Person", "2").first == "Ben"
        with realm.write(), pytest.raises(ValueError, match="2"):
            realm.create("Person", id="2", first="", last="", age=None)


def test_null_is_the_key_of_one_object_only(files: Files) -> None:
    source = PERSON.replace("id: int", "id: int | None")
    files.fill(source, ANN, BEN)
    before = content_of(files, source)

    def forget(m: Migration) -> None:
        for _, new in m.enumerate("Person"):
            new.id = None

    with pytest.raises(MigrationFailedError, match=r"several objects have the primary key id = None"):
        files(source, 1, migration=forget)
    assert content_of(files, source) == before
    with files(source, 1, migration=lambda m: setattr(m.new.get("Person", 1), "id", None)) as realm:
        assert realm.get("Person", None).first == "Ann"


def test_a_renamed_key(files: Files) -> None:
    files.fill(PERSON, ANN, BEN)
    source = PERSON.replace("id: int", "number: int")
    with files(source, 1, migration=lambda m: m.rename_property("Person", "id", "number")) as realm:
        assert realm.get("Person", 2).first == "Ben"


# --- embedded objects -------------------------------------------------------------------------------------------------

APART = """
class Street(Model):
  name: str
class Address(Model):
  city: str
  tags: List[str]
  street: Street | None
class Home(Model):
  id: int = Field(primary_key=True)
  address: Address | None
  more: List[Address]
"""
TOGETHER = APART.replace("class Address(Model)", "class Address(EmbeddedModel)")


def homes(files: Files, *, shared: bool = False, orphan: bool = False) -> None:
    with files(APART) as realm, realm.write():
        bonn = realm.create("Address", city="Bonn", tags=["a", "b"], street={"name": "s"})
        realm.create("Home", id=1, address=bonn, more=[realm.create("Address", city="Ulm", tags=[], street=None)])
        realm.create("Home", id=2, address=bonn if shared else None, more=[bonn, bonn] if shared else [])
        if orphan:
            realm.create("Address", city="Nowhere", tags=[], street=None)


@pytest.mark.parametrize("resolve", [False, True])
def test_objects_with_one_owner_become_embedded(files: Files, resolve: bool) -> None:
    homes(files)
    realm = files(TOGETHER, 1, resolve_embedded_constraints=resolve)
    home = realm.get("Home", 1)
    assert (home.address.city, list(home.address.tags), home.address.street.name) == ("Bonn", ["a", "b"], "s")
    assert (home.address.parent, home.more[0].parent, home.more[0].city) == (home, home, "Ulm")
    with realm.write():
        home.address = {"city": "Kiel", "tags": [], "street": None}
        home.more.append({"city": "Jena", "tags": ["x"], "street": None})
    assert realm.objects("Address").count() == 3
    with realm.write():
        realm.delete(home)
    assert realm.objects("Address").count() == 0


@pytest.mark.parametrize("trouble", ["shared", "orphan"])
def test_no_owner_and_several_are_refused_or_resolved(files: Files, trouble: str) -> None:
    homes(files, **{trouble: True})
    before = content_of(files, APART)
    with pytest.raises(MigrationFailedError, match=r"Address cannot become embedded: (4|no) links lead to one of its"):
        files(TOGETHER, 1)
    assert content_of(files, APART) == before
    realm = files(TOGETHER, 1, resolve_embedded_constraints=True)
    addresses = realm.objects("Address")
    assert addresses.count() == (5 if trouble == "shared" else 2)
    assert all(address.parent is not None for address in addresses)
    if trouble == "shared":
        second = realm.get("Home", 2)
        assert [address.city for address in [second.address, *second.more]] == ["Bonn"] * 3
        assert len({second.address, *second.more, realm.get("Home", 1).address}) == 4
        assert [list(address.tags) for address in second.more] == [["a", "b"]] * 2
        assert second.address.street == second.more[1].street


def test_links_from_mixed_values_cannot_be_owners(files: Files) -> None:
    source = APART + "  any: Any\n"
    with files(source) as realm, realm.write():
        realm.create("Home", id=1, any=realm.create("Address", city="Bonn", street=None))
    with pytest.raises(MigrationFailedError, match=r"Home.any, which is no link, list or dictionary"):
        files(source.replace("class Address(Model)", "class Address(EmbeddedModel)"), 1)


def test_embedded_objects_become_independent(files: Files) -> None:
    files.fill(TOGETHER, ("Home", {"id": 1, "address": {"city": "Bonn", "street": None}, "more": [{"city": "Ulm"}]}))
    realm = files(APART, 1)
    home = realm.get("Home", 1)
    with realm.write():
        realm.create("Home", id=2, address=home.address, more=[home.address])
        realm.delete(home)
    assert [address.city for address in realm.objects("Address")] == ["Bonn", "Ulm"]
    with realm.write():
        realm.delete(realm.objects("Address")[0])
    assert (realm.get("Home", 2).address, list(realm.get("Home", 2).more)) == (None, [])


def test_classes_with_keys_become_embedded_and_back(files: Files) -> None:
    keyed = APART.replace("  city: str", "  city: str = Field(primary_key=True)")
    with files(keyed) as realm, realm.write():
        for id, city in ((1, "Bonn"), (2, "Ulm")):
            realm.create("Home", id=id, address={"city": city, "street": None})
    with files(TOGETHER, 1) as realm:
        assert [home.address.city for home in realm.objects("Home")] == ["Bonn", "Ulm"]
    with files(keyed, 2) as realm:
        assert realm.get("Address", "Ulm").city == "Ulm"


def test_an_embedded_object_inside_of_another_that_was_shared(files: Files) -> None:
    inner = TOGETHER.replace("class Street(Model)", "class Street(EmbeddedModel)").replace(
        "class Address(EmbeddedModel)", "class Address(Model)"
    )
    with files(inner) as realm, realm.write():
        bonn = realm.create("Address", city="Bonn", street={"name": "s"})
        realm.create("Home", id=1, address=bonn)
        realm.create("Home", id=2, address=bonn)
    both = inner.replace("class Address(Model)", "class Address(EmbeddedModel)")
    realm = files(both, 1, resolve_embedded_constraints=True)
    streets = [home.address.street for home in realm.objects("Home")]
    assert [street.name for street in streets] == ["s", "s"]
    assert streets[0] != streets[1]


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_the_mode_manual(files: Files) -> None:
    mode = {"schema_mode": SchemaMode.MANUAL}
    with files(PERSON, **mode) as realm, realm.write():
        realm.create("Person", ANN[1])
    with pytest.raises(SchemaMismatchError):
        files(FULL, **mode)
    with pytest.raises(MigrationFailedError, match=r"the models still differ"):
        files(FULL, 1, **mode)

    def migrate(m: Migration) -> None:
        m.rename_property("Person", "first", "name")
        m.update_schema()

    assert files(FULL, 1, migration=migrate, **mode).get("Person", 1).name == "Ann"
