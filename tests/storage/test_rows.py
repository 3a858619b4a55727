"""ClassRows: which objects exist, and batches (storage/rows.py)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.storage.store import Prop, Store, add_properties

from syncline.errors import InvalidatedObjectError
from syncline.storage.catalogue import ClassInfo
from syncline.storage.rows import ClassRows
from syncline.storage.transaction import WriteTransaction
from syncline.values import GlobalKey, Key, ObjectId
from syncline.values.kinds import INT, MIXED, OBJECT_ID, STRING


def store_with(key_type: int, nullable: bool = False) -> Store:
    store = Store()
    with store.write() as tx:
        if key_type:
            tx.add_class("C", primary_key="id", key_type=key_type, key_nullable=nullable)
        else:
            tx.add_class("C")
        add_properties(tx, "C", [Prop("a", INT), Prop("b", STRING), Prop("m", MIXED)])
    return store


def rows_of(tx: WriteTransaction) -> tuple[ClassInfo, ClassRows]:
    info = tx.catalogue.classes["C"]
    return info, tx.workspace.rows(info.id)


@given(st.lists(st.tuples(st.sampled_from(["create", "erase", "flush", "find"]), st.integers(-3, 12)), max_size=40))
def test_existence_follows_creation_and_deletion(steps: list[tuple[str, int]]) -> None:
    store = store_with(INT, nullable=True)
    keys: dict[Key, int] = {}
    with store.write() as tx:
        for key in (5, 7):
            keys[key] = tx.create(tx.catalogue.classes["C"], key)[0]
    with store.write() as tx:
        info = tx.catalogue.classes["C"]
        for step, number in steps:
            key = None if number == -3 else number
            if step == "flush":
                tx.flush()
            elif step == "create":
                k, created = tx.create(info, key)
                assert created == (key not in keys)
                assert keys.setdefault(key, k) == k
            elif step == "erase" and key in keys:
                tx.erase(info, keys.pop(key))
            assert tx.find(info, key) == keys.get(key)
    assert {key: store.reader.find(store.cls("C"), key) for key in keys} == keys
    assert store.reader.count(store.cls("C")) == len(keys)


@pytest.mark.parametrize(
    ("key_type", "keys"),
    [
        (INT, [3, -(1 << 63), (1 << 63) - 1, 0]),
        (STRING, ["", "a", "é", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "\udcff", "a\0b"]),
        (OBJECT_ID, [ObjectId(bytes(12)), ObjectId(b"\xff" * 12)]),
        (0, [GlobalKey(0, 0), GlobalKey(300, 2), GlobalKey(0x3FFF_FFFF, 0xFFFF_FFFF)]),
    ],
)
def test_keys_of_every_type(key_type: int, keys: list[Key]) -> None:
    store = store_with(key_type)
    with store.write() as tx:
        info, _ = rows_of(tx)
        made = [tx.create(info, key)[0] for key in keys]
    with store.write() as tx:
        info, rows = rows_of(tx)
        rows.prefetch(keys)
        assert [tx.find(info, key) for key in keys] == made
        assert [tx.key_of(info, k) for k in made] == keys
    assert [store.reader.key_of(store.cls("C"), k) for k in made] == keys
    assert [store.reader.find(store.cls("C"), key) for key in keys] == made


def test_many_keys_are_looked_up_together() -> None:
    store = store_with(INT)
    with store.write() as tx:
        info, _ = rows_of(tx)
        made = {key: tx.create(info, key)[0] for key in range(0, 1000, 3)}
    with store.write() as tx:
        info, rows = rows_of(tx)
        gone = made.pop(30)
        tx.erase(info, gone)
        rows.prefetch(range(2000))
        for key in range(1000):
            assert rows.find(key) == made.get(key, -1)


def test_forgotten_keys_are_found_again() -> None:
    store = store_with(INT)
    with store.write() as tx:
        rows = ClassRows(store.connection, tx.catalogue.classes["C"], 0, 0, keys_max=10)
        for key in range(50):
            rows.add(key)
            if key % 7 == 0:
                rows.flush()
        assert [rows.find(key) for key in range(50)] == list(range(50))
        assert rows.find(50) == -1
        assert [rows.key_of(k) for k in range(50)] == list(range(50))


def test_object_keys_are_never_given_twice() -> None:
    store = store_with(INT)
    with store.write() as tx:
        info, _ = rows_of(tx)
        first, _ = tx.create(info, 1)
        tx.erase(info, first)
        second, _ = tx.create(info, 1)
        assert second > first
    with store.write() as tx:
        tx.erase(info, second)
    with store.write() as tx:
        third, _ = tx.create(rows_of(tx)[0], 1)
    assert third > second


def test_a_peer_may_use_this_files_global_keys() -> None:
    store = store_with(0)
    with store.write() as tx:
        info, _ = rows_of(tx)
        tx.create(info, GlobalKey(7, 40))
    with store.write() as tx:
        info, _ = rows_of(tx)
        made = tx.create(info)[0]
        assert tx.key_of(info, made) not in (GlobalKey(7, 40), None)


def test_changes_are_grouped_by_columns() -> None:
    store = store_with(INT)
    with store.write() as tx:
        info, _ = rows_of(tx)
        for key in range(20):
            tx.create(info, key)
    statements: list[str] = []
    with store.write() as tx:
        info, _ = rows_of(tx)
        for k in range(20):
            tx.set(info, k, info.properties["a"], k * 2)
            if k % 2:
                tx.set(info, k, info.properties["b"], "odd")
        store.connection.exec_trace = lambda cursor, sql, bindings: bool(statements.append(sql) or True)
        tx.flush()
        store.connection.exec_trace = None
    assert len(set(statements)) == 2
    assert all(sql.startswith("UPDATE c1 SET") for sql in statements)
    assert store.reader.get_row(store.cls("C"), 3) == (3, 6, "odd", None)


def test_reading_sees_what_waits() -> None:
    store = store_with(INT)
    with store.write() as tx:
        info, _ = rows_of(tx)
        k, _ = tx.create(info, 1)
        tx.set(info, k, info.properties["a"], 5)
        assert tx.get(info, k, info.properties["a"]) == 5
        assert tx.get_row(info, k) == (1, 5, "", None)
        tx.flush()
        tx.set(info, k, info.properties["b"], "x")
        tx.set(info, k, info.properties["m"], 2.5)
        assert tx.get(info, k, info.properties["a"]) == 5
        assert tx.get(info, k, info.properties["m"]) == 2.5
        assert tx.get_row(info, k) == (1, 5, "x", 2.5)
        assert tx.rows(info, [k, 99]) == {k: (1, 5, "x", 2.5)}
        assert tx.page(info) == [(k, (1, 5, "x", 2.5))]
        assert tx.keys(info) == [k]
        tx.erase(info, k)
        assert not tx.exists(info, k)
        assert tx.count(info) == 0
        for read in (tx.key_of, tx.get_row):
            with pytest.raises(InvalidatedObjectError):
                read(info, k)
        with pytest.raises(InvalidatedObjectError):
            tx.get(info, k, info.properties["a"])
