"""Savepoints undo rows, buffers, caches, instructions, changes and schema (storage/transaction.py)."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.storage.store import Prop, Store, add_properties, people_store, plain

from syncline.storage.refs import ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.values import GlobalKey
from syncline.values.kinds import DICTIONARY_COLLECTION, INT, LINK, LIST_COLLECTION, MIXED, SET_COLLECTION


class Undone(Exception):
    """Ends a savepoint in the tests."""


def undo(tx: WriteTransaction, action: Callable[[], object]) -> None:
    """Do something inside a savepoint, and take it back."""
    try:
        with tx.savepoint():
            action()
            raise Undone
    except Undone:
        return
    raise AssertionError("the savepoint swallowed the exception")


def contents(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, sequence counters excluded."""
    names = [row[0] for row in store.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name: store.rows(name) for name in names if name != "sqlite_sequence"}


def everything(store: Store, tx: WriteTransaction, key: str) -> None:
    """A bit of every kind of change."""
    person, dog, addr = store.cls("Person"), store.cls("Dog"), store.cls("Addr")
    k, _ = tx.create(person, key)
    rex = ObjectRef(dog.id, tx.create(dog)[0])
    tx.set(person, k, store.prop("Person.age"), 3)
    tx.set(person, k, store.prop("Person.dog"), rex)
    tx.list_extend(store.ref("Person.dogs", k), [rex, rex])
    tx.set_insert(store.ref("Person.iset", k), 1)
    tx.dict_set(store.ref("Person.idict", k), "a", 1)
    ref = tx.set_collection(person, k, store.prop("Person.mix"), LIST_COLLECTION)
    tx.dict_set(tx.list_insert_collection(ref, 0, DICTIONARY_COLLECTION), "x", rex)
    embedded = tx.set_embedded(person, k, store.prop("Person.addr"))
    tx.list_insert(store.ref("Addr.nums", embedded.object_key), 0, 5)
    tx.erase(addr, tx.list_insert_embedded(store.ref("Person.addrs", k), 0).object_key)


def test_an_exception_undoes_the_part() -> None:
    store = people_store()
    with store.write() as tx:
        everything(store, tx, "before")
    before = contents(store)

    def change() -> None:
        everything(store, tx, "inside")
        tx.add_property(tx.add_class("New"), "x", INT)
        tx.erase(store.cls("Dog"), 0)

    with store.write() as tx:
        undo(tx, change)
    assert contents(store) == before
    assert tx.instructions == []
    assert tx.embedded_classes == {}
    assert store.changes.is_empty
    assert not tx.is_dirty
    assert not tx.schema_changed
    assert "New" not in store.catalogue.classes


def test_what_was_done_around_it_stays() -> None:
    store, twin = people_store(), people_store()

    def change() -> None:
        everything(store, tx, "undone")
        tx.list_erase(store.ref("Person.dogs", 0), 0)

    with store.write() as tx:
        everything(store, tx, "one")
        undo(tx, change)
        with tx.savepoint():
            everything(store, tx, "two")
        everything(store, tx, "three")
    with twin.write() as twin_tx:
        for key in ("one", "two", "three"):
            everything(twin, twin_tx, key)
    assert contents(store) == contents(twin)
    assert plain(tx.instructions) == plain(twin_tx.instructions)
    assert tx.embedded_classes == twin_tx.embedded_classes
    assert store.changes.encode() == twin.changes.encode()


def test_savepoints_nest() -> None:
    store = people_store()
    person = store.cls("Person")

    def keep(tx: WriteTransaction, key: str) -> None:
        with tx.savepoint():
            tx.create(person, key)

    with store.write() as tx:
        with tx.savepoint():
            tx.create(person, "outer")
            undo(tx, lambda: tx.create(person, "inner"))
            assert tx.find(person, "inner") is None
            assert tx.find(person, "outer") is not None
        undo(tx, lambda: keep(tx, "kept inside"))
    assert [store.reader.key_of(person, k) for k in store.reader.keys(person)] == ["outer"]
    assert plain(tx.instructions) == [("CreateObject", "Person", "outer")]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["create", "erase", "list", "unlist", "set", "unset", "mixed", "flush", "begin", "release", "rollback"]
        ),
        st.integers(0, 5),
        st.integers(0, 5),
    ),
    max_size=30,
)


def small_store() -> Store:
    store = Store()
    with store.write() as tx:
        tx.add_class("C")
        add_properties(
            tx,
            "C",
            [
                Prop("n", INT),
                Prop("l", LINK, LIST_COLLECTION, "C"),
                Prop("s", INT, SET_COLLECTION),
                Prop("m", MIXED),
            ],
        )
        for _ in range(4):
            tx.create(tx.catalogue.classes["C"])
    return store


class Player:
    """Plays steps; ``skip`` leaves out those inside rolled back savepoints."""

    def __init__(self) -> None:
        self.store = small_store()

    def play(self, steps: list[tuple[str, int, int]], live: list[bool], with_savepoints: bool) -> None:
        with self.store.write() as tx:
            self.tx = tx
            self._block(steps, live, 0, with_savepoints)

    def _block(self, steps: list[tuple[str, int, int]], live: list[bool], at: int, with_savepoints: bool) -> int:
        while at < len(steps):
            name = steps[at][0]
            if name == "begin" and with_savepoints:
                end = at
                try:
                    with self.tx.savepoint():
                        end = self._block(steps, live, at + 1, True)
                        if end < len(steps) and steps[end][0] == "rollback":
                            raise Undone
                except Undone:
                    pass
                at = end
            elif name in ("release", "rollback") and with_savepoints:
                return at
            elif name not in ("begin", "release", "rollback") and (with_savepoints or live[at]):
                self._step(*steps[at])
            at += 1
        return at

    def _step(self, name: str, a: int, b: int) -> None:
        tx, store = self.tx, self.store
        cls = store.cls("C")
        keys = tx.keys(cls)
        if name == "flush":
            tx.flush()
            return
        if name == "create":
            tx.create(cls, GlobalKey(9, a), [(store.prop("C.n"), b, False)])
            return
        if not keys:
            return
        k, other = keys[a % len(keys)], keys[b % len(keys)]
        ref = store.ref("C.l", k)
        if name == "erase":
            tx.erase(cls, k)
        elif name == "list":
            tx.list_insert(ref, 0, ObjectRef(cls.id, other))
        elif name == "unlist" and tx.size(ref):
            tx.list_erase(ref, b % tx.size(ref))
        elif name == "set":
            tx.set_insert(store.ref("C.s", k), b)
        elif name == "unset":
            tx.set_erase(store.ref("C.s", k), b)
        elif name == "mixed":
            tx.list_insert(tx.set_collection(cls, k, store.prop("C.m"), LIST_COLLECTION), 0, ObjectRef(cls.id, other))


def surviving(steps: list[tuple[str, int, int]]) -> list[bool]:
    """Which steps are not inside a savepoint that is rolled back."""
    live = [True] * len(steps)
    open_at: list[int] = []
    for at, (name, _, _) in enumerate(steps):
        if name == "begin":
            open_at.append(at)
        elif name in ("release", "rollback") and open_at:
            start = open_at.pop()
            if name == "rollback":
                live[start : at + 1] = [False] * (at + 1 - start)
    return live


def balanced(steps: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Without ends that have no beginning."""
    depth = 0
    kept = []
    for step in steps:
        if step[0] in ("release", "rollback"):
            if not depth:
                continue
            depth -= 1
        elif step[0] == "begin":
            depth += 1
        kept.append(step)
    return kept


@settings(deadline=None)
@given(STEPS)
def test_rolled_back_parts_might_as_well_not_have_been(steps: list[tuple[str, int, int]]) -> None:
    steps = balanced(steps)
    live = surviving(steps)
    with_savepoints, without = Player(), Player()
    with_savepoints.play(steps, live, True)
    without.play(steps, live, False)
    assert contents(with_savepoints.store) == contents(without.store)
    assert plain(with_savepoints.tx.instructions) == plain(without.tx.instructions)
    assert with_savepoints.store.changes.encode() == without.store.changes.encode()
