"""ListBuffer against a plain list (storage/lists.py), and lists of links with hidden elements."""

from __future__ import annotations

import gc

import apsw
from hypothesis import given
from hypothesis import strategies as st
from tests.storage.store import Prop, Store, add_properties

from syncline.changesets.instructions import CreateObject, EraseObject
from syncline.storage.layout import collection_table
from syncline.storage.lists import ListBuffer
from syncline.storage.members import MemberBuffer
from syncline.storage.refs import ObjectRef
from syncline.values.kinds import DICTIONARY_COLLECTION, INT, LINK, LIST_COLLECTION

TABLE = collection_table(1, INT, LIST_COLLECTION)
ENTRIES = collection_table(1, INT, DICTIONARY_COLLECTION)


class Pair:
    """A buffer over an SQL table, and the list it must equal."""

    def __init__(self, initial: list[int]) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute("CREATE TABLE l1(o INT, i INT, v INTEGER, PRIMARY KEY(o, i)) WITHOUT ROWID")
        self.connection.executemany("INSERT INTO l1 VALUES(5, ?, ?)", enumerate(initial))
        self.connection.execute("INSERT INTO l1 VALUES(4, 0, -1), (6, 0, -1)")  # neighbours
        self.model = list(initial)
        self.buffer = ListBuffer(self.connection, TABLE, 5, False)

    def flush(self) -> None:
        upserts: list[tuple[int | float | str | bytes | None, ...]] = []
        cuts: list[tuple[int, int]] = []
        self.buffer.flush(upserts, cuts)
        self.connection.executemany(TABLE.erase_from_sql, cuts)
        self.connection.executemany(TABLE.upsert_sql, upserts)
        assert not self.buffer.is_dirty
        stored = list(self.connection.execute("SELECT o, v FROM l1 ORDER BY o, i"))
        assert stored == [(4, -1), *((5, value) for value in self.model), (6, -1)]
        assert [row[0] for row in self.connection.execute("SELECT i FROM l1 WHERE o = 5")] == list(
            range(len(self.model))
        )

    def step(self, step: tuple[str, int, int]) -> None:
        name, a, b = step
        size = len(self.model)
        if name == "insert":
            self.model.insert(a % (size + 1), b)
            self.buffer.insert(a % (size + 1), (b,))
        elif name == "append":
            self.model.append(b)
            self.buffer.insert(size, (b,))
        elif name == "clear":
            self.model.clear()
            self.buffer.clear()
        elif name == "flush":
            self.flush()
        elif size:
            i, j = a % size, b % size
            if name == "set":
                self.model[i] = b
                self.buffer.set(i, (b,))
            elif name == "erase":
                del self.model[i]
                self.buffer.erase(i)
            elif name == "pop":
                self.model.pop()
                self.buffer.erase(size - 1)
            elif name == "move":
                self.model.insert(j, self.model.pop(i))
                self.buffer.move(i, j)
            elif name == "get":
                assert self.buffer.get(i) == (self.model[i],)
        assert self.buffer.size == len(self.model)


STEPS = st.tuples(
    st.sampled_from(["insert", "append", "append", "set", "erase", "pop", "move", "get", "clear", "flush"]),
    st.integers(0, 20),
    st.integers(0, 20),
)


@given(st.lists(st.integers(0, 9), max_size=6), st.lists(STEPS, max_size=25))
def test_a_buffer_is_a_list(initial: list[int], steps: list[tuple[str, int, int]]) -> None:
    pair = Pair(initial)
    for step in steps:
        pair.step(step)
    assert pair.buffer.get(len(pair.model)) is None
    pair.flush()
    assert pair.buffer.load() == [(value,) for value in pair.model]


def test_only_what_changed_is_written() -> None:
    pair = Pair(list(range(100)))
    pair.buffer.load()
    pair.buffer.erase(50)
    pair.buffer.insert(60, (7,))
    upserts: list[tuple[int | float | str | bytes | None, ...]] = []
    cuts: list[tuple[int, int]] = []
    pair.buffer.flush(upserts, cuts)
    assert [row[1] for row in upserts] == list(range(50, 61))
    assert cuts == []


def link_store() -> Store:
    store = Store()
    with store.write() as tx:
        tx.add_class("P", primary_key="id", key_type=INT)
        add_properties(tx, "P", [Prop("ps", LINK, LIST_COLLECTION, "P")])
        for key in range(8):
            tx.create(tx.catalogue.classes["P"], key)
    return store


HIDING = st.tuples(
    st.sampled_from(["insert", "set", "erase", "move", "hide", "show", "clear"]), st.integers(0, 30), st.integers(0, 30)
)


@given(st.lists(HIDING, max_size=25))
def test_hidden_elements_keep_their_places(steps: list[tuple[str, int, int]]) -> None:
    """The application's view of a list of links, against a model that knows which targets exist."""
    store = link_store()
    cls = store.cls("P")
    owner = store.key("P", 0)
    ref = store.ref("P.ps", owner)
    existing = set(range(1, 8))
    real: list[int] = []
    for name, a, b in steps:
        visible = [key for key in real if key in existing]
        if name in ("hide", "show"):
            key = a % 7 + 1
            store.apply(EraseObject("P", key) if name == "hide" else CreateObject("P", key))
            (existing.discard if name == "hide" else existing.add)(key)
            continue
        places = [index for index, key in enumerate(real) if key in existing]
        with store.write() as tx:
            target = sorted(existing)[b % len(existing)] if existing else None
            link = ObjectRef(cls.id, store.key("P", target)) if target is not None else None
            if name == "insert" and target is not None and link is not None:
                index = a % (len(visible) + 1)
                tx.list_insert(ref, index, link)
                real.insert(real_place(real, existing, index), target)
            elif name == "clear":
                tx.list_clear(ref)
                real.clear()
            elif visible:
                i, j = a % len(visible), b % len(visible)
                if name == "set" and target is not None and link is not None:
                    tx.list_set(ref, i, link)
                    real[places[i]] = target
                elif name == "erase":
                    tx.list_erase(ref, i)
                    del real[places[i]]
                elif name == "move":
                    tx.list_move(ref, i, j)
                    real.insert(places[j], real.pop(places[i]))
        shown = store.reader.list_slice(ref)
        assert shown == [ObjectRef(cls.id, store.key("P", key)) for key in real if key in existing]
        assert store.reader.list_real_size(ref) == len(real)


def real_place(real: list[int], existing: set[int], index: int) -> int:
    """spec/changesets.md §9.5: every tombstone met before the visible place adds one."""
    for place, key in enumerate(real):
        if key not in existing and place <= index:
            index += 1
    return index


def test_lists_and_dictionaries_that_are_open_hold_no_cursor() -> None:
    """A connection looks through all its cursors when one goes: a transaction on many lists would be quadratic."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE l1(o INT, i INT, v INTEGER, PRIMARY KEY(o, i)) WITHOUT ROWID")
    connection.execute("CREATE TABLE d1(o INT, key TEXT, v INTEGER, PRIMARY KEY(o, key)) WITHOUT ROWID")
    before = sum(type(one) is apsw.Cursor for one in gc.get_objects())
    lists = [ListBuffer(connection, TABLE, owner, False) for owner in range(50)]
    entries = [MemberBuffer(connection, ENTRIES, owner, False) for owner in range(50)]
    assert [one.size for one in lists] == [one.count() for one in entries] == [0] * 50
    assert sum(type(one) is apsw.Cursor for one in gc.get_objects()) == before
