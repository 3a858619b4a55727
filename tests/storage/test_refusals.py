"""What applying refuses: every failure of spec/changesets.md §10, each without a trace."""

from __future__ import annotations

from typing import Any

import pytest
from tests.storage.edits import column, insert, up
from tests.storage.store import Store, people_store

from syncline.changesets.changeset import Changeset
from syncline.changesets.describe import describe
from syncline.changesets.instructions import (
    AddInteger,
    AddTable,
    ArrayErase,
    ArrayMove,
    Clear,
    CreateObject,
    EraseColumn,
    EraseObject,
    EraseTable,
    Instruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.errors import BadChangesetError, InapplicableChangesetError, WrongTransactionStateError
from syncline.values import GlobalKey, Link, Timestamp
from syncline.values.kinds import (
    BOOL,
    DICTIONARY_COLLECTION,
    DOUBLE,
    EMBEDDED,
    ERASED,
    FLOAT,
    GLOBAL_KEY,
    INT,
    LINK,
    LIST,
    LIST_COLLECTION,
    MIXED,
    NULL,
    OBJECT,
    SET,
    SET_COLLECTION,
    STRING,
    TIMESTAMP,
    TOP_LEVEL,
)


@pytest.fixture
def store() -> Store:
    store = people_store()
    store.apply(CreateObject("Person", "Ann"))
    return store


PREPARED: list[Instruction] = [
    up("addr", OBJECT),
    insert("addrs", OBJECT, None, 0, prior=0),
    insert("ints", INT, 1, 0, prior=0),
    insert("mixes", INT, 1, 0, prior=0),
    insert("dogs", LINK, Link("Dog", GlobalKey(1, 1)), 0, prior=0),
    up("addrdict", NULL, None, "null"),
    up("mdict", INT, 1, "int"),
    SetInsert("Person", "Ann", "iset", (), INT, 1),
]


def people(instruction: type[Any], *rest: Any) -> Instruction:
    made: Instruction = instruction("Person", "Ann", *rest)
    return made


FAILURES: dict[str, Instruction] = {
    # look-up, 10.2
    "unknown class": CreateObject("Cat", 1),
    "unknown class of an update": Update("Cat", 1, "x", (), INT, 1),
    "key of another type": CreateObject("Person", 1),
    "GlobalKey for a class with key": CreateObject("Person", GlobalKey(1, 1)),
    "key for a class without": CreateObject("Dog", 1),
    "null key": CreateObject("Metric", None),
    "GlobalKey out of range": CreateObject("Dog", GlobalKey(0x4000_0000, 1)),
    "GlobalKey out of range, low part": CreateObject("Dog", GlobalKey(1, 1 << 32)),
    "embedded object by key": CreateObject("Addr", 1),
    "erase an embedded object": EraseObject("Addr", GlobalKey(1, 1)),
    "missing object": Update("Person", "Bob", "age", (), INT, 1),
    "update of a tombstone": Update("Dog", GlobalKey(1, 1), "age", (), INT, 1),
    # schema, 10.4
    "class with another kind": AddTable("Dog", EMBEDDED, "", 0, False),
    "class with another key": AddTable("Person", TOP_LEVEL, "id", STRING, True),
    "class with another key type": AddTable("Person", TOP_LEVEL, "name", INT, True),
    "class with another nullability": AddTable("Person", TOP_LEVEL, "name", STRING, False),
    "class without its key": AddTable("Person", TOP_LEVEL, "", GLOBAL_KEY, False),
    "class with a key it has not": AddTable("Dog", TOP_LEVEL, "id", INT, False),
    "class that is embedded": AddTable("Addr", TOP_LEVEL, "", GLOBAL_KEY, False),
    "long class name": AddTable("x" * 58, TOP_LEVEL, "", GLOBAL_KEY, False),
    "missing table": EraseTable("Cat"),
    "linked table": EraseTable("Dog"),
    "other type": column("age", STRING),
    "other collection": column("age", INT, LIST_COLLECTION),
    "other target": column("mate", LINK, 0, "Person"),
    "dictionary without string keys": column("x", INT, DICTIONARY_COLLECTION, "", INT),
    "missing target": column("x", LINK, 0, "Cat"),
    "empty target": column("x", LINK),
    "long property name": column("x" * 64, INT),
    "negative type": column("x", OBJECT),
    "column of a missing class": column("x", INT, table="Cat"),
    "set of embedded": column("x", LINK, SET_COLLECTION, "Addr"),
    "missing column": EraseColumn("Dog", "x"),
    "column of the primary key": EraseColumn("Person", "name"),
    # paths, 10.5
    "missing property": up("x", INT, 1),
    "missing embedded property": up("addr", INT, 1, "x"),
    "string into a list": up("ints", INT, 1, "x"),
    "index into a dictionary": up("idict", INT, 1, 0, prior=0),
    "into a set": up("iset", INT, 1, 0, prior=0),
    "into a scalar": up("age", INT, 1, "x"),
    "into a link": up("dog", INT, 1, "age"),
    "into a list of links": up("dogs", INT, 1, 0, "age"),
    "into an int element": up("ints", INT, 1, 0, "x"),
    "into a null embedded": up("addr", INT, 1, "sub", "street"),
    "into a null entry": up("addrdict", STRING, "x", "null", "street"),
    "into a missing entry": up("addrdict", STRING, "x", "none", "street"),
    "into an index beyond": up("addrs", STRING, "x", 1, "street"),
    "index as a property": up("addr", STRING, "x", 0),
    "into a scalar Mixed": up("mdict", INT, 1, "int", "x"),
    "into a missing Mixed entry": up("mdict", INT, 1, "none", "x"),
    "into a null Mixed": up("mix", INT, 1, "x"),
    "into a Mixed element beyond": up("mixes", INT, 1, 4, 0, prior=0),
    # Update
    "whole list": up("ints", NULL),
    "whole set": up("iset", NULL),
    "whole dictionary": up("idict", NULL),
    "null where it must not be": up("age", NULL),
    "another type": up("age", DOUBLE, 1.0),
    "bool for int": up("age", BOOL, True),
    "float for double": up("d", FLOAT, 1.0),
    "primary key": up("name", STRING, "Bob"),
    "link in a scalar": up("age", LINK, Link("Dog", GlobalKey(1, 1))),
    "link of another class": up("dog", LINK, Link("Person", "Ann")),
    "link to an unknown class": up("mix", LINK, Link("Cat", 1)),
    "link to an embedded class": up("mix", LINK, Link("Addr", 1)),
    "link with an impossible key": up("dog", LINK, Link("Dog", 1)),
    "link into an embedded property": up("addr", LINK, Link("Addr", GlobalKey(1, 1))),
    "object value in a scalar": up("age", OBJECT),
    "object value in a link": up("dog", OBJECT),
    "object value in a Mixed": up("mix", OBJECT),
    "list in a scalar": up("age", LIST),
    "set in a Mixed": up("mix", SET),
    "erased property": up("age", ERASED),
    "erased Mixed": up("mix", ERASED),
    "element beyond": up("ints", INT, 1, 1, prior=1),
    "element of another type": up("ints", STRING, "x", 0, prior=1),
    "null element": up("ints", NULL, None, 0, prior=1),
    "null link element": up("dogs", NULL, None, 0, prior=1),
    "erased element": up("ints", ERASED, None, 0, prior=1),
    "object value as int element": up("ints", OBJECT, None, 0, prior=1),
    "object value as link element": up("dogs", OBJECT, None, 0, prior=1),
    "list as int element": up("ints", LIST, None, 0, prior=1),
    "entry of another type": up("idict", STRING, "x", "k"),
    "null entry": up("idict", NULL, None, "k"),
    "entry with $": up("idict", INT, 1, "$k"),
    "entry with .": up("idict", INT, 1, "a.b"),
    "object value in a dictionary of ints": up("idict", OBJECT, None, "k"),
    "list in a dictionary of ints": up("idict", LIST, None, "k"),
    "set in a dictionary of Mixed": up("mdict", SET, None, "k"),
    # AddInteger
    "add to a string": people(AddInteger, "addr", ("street",), 1),
    "add to an element": people(AddInteger, "ints", (0,), 1),
    "add to an entry": people(AddInteger, "mdict", ("int",), 1),
    "add to a double": people(AddInteger, "d", (), 1),
    # lists
    "insert with a wrong size": insert("ints", INT, 1, 0, prior=2),
    "insert beyond": insert("ints", INT, 1, 2, prior=1),
    "insert of another type": insert("ints", STRING, "x", 0, prior=1),
    "insert null": insert("ints", NULL, None, 0, prior=1),
    "insert a set": insert("mixes", SET, None, 0, prior=1),
    "insert erased": insert("mixes", ERASED, None, 0, prior=1),
    "insert an object among ints": insert("ints", OBJECT, None, 0, prior=1),
    "insert a list among ints": insert("ints", LIST, None, 0, prior=1),
    "insert into a scalar": insert("age", INT, 1, 0, prior=0),
    "insert at the list itself": insert("ints", INT, 1, prior=1),
    "move with a wrong size": people(ArrayMove, "ints", (0,), 1, 2),
    "move beyond": people(ArrayMove, "ints", (0,), 1, 1),
    "move from beyond": people(ArrayMove, "ints", (1,), 0, 1),
    "move to itself": people(ArrayMove, "ints", (0,), 0, 1),
    "erase with a wrong size": people(ArrayErase, "ints", (0,), 2),
    "erase beyond": people(ArrayErase, "ints", (1,), 1),
    # Clear
    "clear another kind": people(Clear, "ints", (), DICTIONARY_COLLECTION),
    "clear a scalar": people(Clear, "age", (), 0),
    "clear an int element": people(Clear, "ints", (0,), LIST_COLLECTION),
    "clear a Mixed without kind": people(Clear, "mix", (), 0),
    "clear a Mixed as a set": people(Clear, "mix", (), SET_COLLECTION),
    "clear an element beyond": people(Clear, "mixes", (3,), LIST_COLLECTION),
    "clear below a missing key": people(Clear, "mdict", ("none", "k"), LIST_COLLECTION),
    # sets
    "insert into a list as a set": people(SetInsert, "ints", (), INT, 1),
    "member of another type": people(SetInsert, "iset", (), STRING, "x"),
    "null member": people(SetInsert, "iset", (), NULL, None),
    "object as a member": people(SetInsert, "mset", (), OBJECT, None),
    "list as a member": people(SetInsert, "mset", (), LIST, None),
    "erase a member of another type": people(SetErase, "iset", (), STRING, "x"),
    "member that links to another class": people(SetInsert, "dogset", (), LINK, Link("Person", "Ann")),
    "erase a null that cannot be": people(SetErase, "iset", (), NULL, None),
    "member of a scalar": people(SetErase, "age", (), INT, 1),
}


@pytest.mark.parametrize("instruction", FAILURES.values(), ids=FAILURES.keys())
def test_failures(store: Store, instruction: Instruction) -> None:
    store.apply(*PREPARED)
    tables = [row[0] for row in store.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    before = {table: store.rows(table) for table in tables}
    with store.write() as tx:
        with pytest.raises(InapplicableChangesetError) as caught, tx.savepoint():
            tx.apply(Changeset([up("age", INT, 77), CreateObject("Person", "Cid"), instruction], []))
        error = caught.value
        assert (error.instruction, error.culprit) == (2, instruction)
        assert str(error) == f"{error.reason} (instruction 2: {describe(instruction)})"
        assert not tx.is_dirty
    assert {table: store.rows(table) for table in tables} == before
    assert store.changes.is_empty


#: What users wrote: the only object's key, values, and keys of dictionaries.
SECRET = "secret"
TELLING: dict[str, Instruction] = {
    "key of a missing object": Update("Person", SECRET, "age", (), INT, 1),
    "key for a class without": CreateObject("Dog", SECRET),
    "key of a missing link": up("dog", LINK, Link("Dog", SECRET)),
    "link of another class": up("dog", LINK, Link("Person", SECRET)),
    "value of another type": up("age", STRING, SECRET),
    "element of another type": up("ints", STRING, SECRET, 0, prior=1),
    "inserted element of another type": insert("ints", STRING, SECRET, 0, prior=1),
    "member of another type": people(SetInsert, "iset", (), STRING, SECRET),
    "key that is not allowed": up("idict", INT, 1, "$" + SECRET),
    "key that is not allowed, on the way": up("mdict", INT, 1, "$" + SECRET, "x"),
    "key that is not allowed, to be cleared": people(Clear, "mdict", ("$" + SECRET,), LIST_COLLECTION),
    "key on the way": up("mdict", INT, 1, SECRET, "x"),
    "key of a list": up("ints", INT, 1, SECRET),
    "key below a list": up("mixes", INT, 1, SECRET, 0, prior=1),
    "timestamp out of range": up("ts", TIMESTAMP, Timestamp(-(1 << 63), -123456789)),
}


@pytest.mark.parametrize("instruction", TELLING.values(), ids=TELLING.keys())
def test_refusals_do_not_tell_what_users_wrote(store: Store, instruction: Instruction) -> None:
    store.apply(*PREPARED)
    with store.write() as tx, pytest.raises(InapplicableChangesetError) as caught, tx.savepoint():
        tx.apply(Changeset([instruction], []))
    for error in (caught.value, caught.value.__cause__):  # what a log with a traceback shows
        assert SECRET not in str(error)
        assert "123456789" not in str(error)


def test_names_of_any_length_make_short_messages(store: Store) -> None:
    name = "x" * 1_000_000
    for instruction in (
        CreateObject(name, 1),
        up(name, INT, 1),
        AddTable(name, TOP_LEVEL, "", GLOBAL_KEY, False),
        column(name, INT),
        column("x", LINK, 0, name),
        EraseColumn("Dog", name),
        EraseTable(name),
    ):
        with store.write() as tx, pytest.raises(InapplicableChangesetError) as caught, tx.savepoint():
            tx.apply(Changeset([instruction], []))
        assert len(str(caught.value)) < 1500


def test_a_half_applied_changeset_cannot_be_committed(store: Store) -> None:
    with pytest.raises(WrongTransactionStateError), store.write() as tx, pytest.raises(BadChangesetError):
        tx.apply(Changeset([up("age", INT, 77), up("x", INT, 1)], []))
    assert store.reader.get(store.cls("Person"), 0, store.prop("Person.age")) == 0


def test_a_class_can_be_too_wide(store: Store) -> None:
    columns = [column(f"p{number}", MIXED, table="Wide") for number in range(600)]
    table = AddTable("Wide", TOP_LEVEL, "", GLOBAL_KEY, False)
    with store.write() as tx, pytest.raises(BadChangesetError), tx.savepoint():
        tx.apply(Changeset([table, *columns], []))


def test_keys_that_cannot_be_are_not_looked_up_together_with_others(store: Store) -> None:
    wrong = [CreateObject("Person", number) for number in range(5)]
    with store.write() as tx, pytest.raises(InapplicableChangesetError) as caught, tx.savepoint():
        tx.apply(Changeset([CreateObject("Person", "Bob"), *wrong], []))
    assert caught.value.instruction == 1


def test_whatever_else_happens_while_applying_is_not_committed_either(store: Store) -> None:
    """A value that no decoder makes."""
    with pytest.raises(WrongTransactionStateError), store.write() as tx, pytest.raises(TypeError):
        tx.apply(Changeset([up("age", INT, 77), up("age", INT, "no number")], []))
    assert store.reader.get(store.cls("Person"), 0, store.prop("Person.age")) == 0
