"""A bare database for tests of the storage core: no file, no history, one transaction at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import apsw

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import FIELDS, Instruction
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo, create_system_tables, load
from syncline.storage.changes import ChangeLog
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef
from syncline.storage.transaction import WriteTransaction
from syncline.values import Key
from syncline.values.kinds import (
    ASYMMETRIC,
    BINARY,
    BOOL,
    DECIMAL,
    DICTIONARY_COLLECTION,
    DOUBLE,
    EMBEDDED,
    FLOAT,
    INT,
    LINK,
    LIST_COLLECTION,
    MIXED,
    OBJECT_ID,
    SET_COLLECTION,
    SINGLE_COLLECTION,
    STRING,
    TIMESTAMP,
    UUID,
)


class Prop(NamedTuple):
    """A property of a test's class."""

    name: str
    type: int
    collection: int = SINGLE_COLLECTION
    target: str | None = None
    nullable: bool = False


ADDR = [
    Prop("street", STRING, nullable=True),
    Prop("nums", INT, LIST_COLLECTION),
    Prop("sub", LINK, target="Addr"),
    Prop("friend", LINK, target="Person"),
    Prop("any", MIXED),
]
PERSON = [
    Prop("age", INT),
    Prop("nage", INT, nullable=True),
    Prop("b", BOOL),
    Prop("bin", BINARY),
    Prop("ts", TIMESTAMP),
    Prop("f", FLOAT),
    Prop("d", DOUBLE),
    Prop("dec", DECIMAL, nullable=True),
    Prop("oid", OBJECT_ID),
    Prop("uuid", UUID),
    Prop("mix", MIXED),
    Prop("dog", LINK, target="Dog"),
    Prop("dogs", LINK, LIST_COLLECTION, "Dog"),
    Prop("dogset", LINK, SET_COLLECTION, "Dog"),
    Prop("dogdict", LINK, DICTIONARY_COLLECTION, "Dog"),
    Prop("mixes", MIXED, LIST_COLLECTION),
    Prop("mset", MIXED, SET_COLLECTION),
    Prop("mdict", MIXED, DICTIONARY_COLLECTION),
    Prop("ints", INT, LIST_COLLECTION),
    Prop("nstrings", STRING, LIST_COLLECTION, nullable=True),
    Prop("decs", DECIMAL, LIST_COLLECTION),
    Prop("iset", INT, SET_COLLECTION),
    Prop("niset", INT, SET_COLLECTION, nullable=True),
    Prop("idict", INT, DICTIONARY_COLLECTION),
    Prop("addr", LINK, target="Addr"),
    Prop("addrs", LINK, LIST_COLLECTION, "Addr"),
    Prop("addrdict", LINK, DICTIONARY_COLLECTION, "Addr"),
    Prop("best", LINK, target="Person"),
]
DOG = [Prop("age", INT), Prop("owner", LINK, target="Person"), Prop("mate", LINK, target="Dog")]
METRIC = [Prop("v", DOUBLE), Prop("a", LINK, target="Addr"), Prop("m", MIXED), Prop("who", LINK, target="Person")]


class Store:
    """An empty database in memory; :attr:`tx` is the last transaction."""

    def __init__(self, file_ident: int = 7, content: bytes | None = None) -> None:
        self.connection = apsw.Connection(":memory:")
        if content is None:
            create_system_tables(self.connection)
        else:
            self.connection.deserialize("main", content)
        self.catalogue: Catalogue = load(self.connection)
        self.file_ident = file_ident
        self.version = 1
        self.changes = ChangeLog()

    @contextmanager
    def write(self, **options: bool) -> Iterator[WriteTransaction]:
        """A transaction: committed, or rolled back when the block raises."""
        self.connection.execute("BEGIN IMMEDIATE")
        tx = WriteTransaction(
            self.connection, load(self.connection, self.catalogue), self.version, file_ident=self.file_ident, **options
        )
        try:
            yield tx
            tx.finish()
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        self.version += 1
        self.catalogue = load(self.connection)
        self.changes = ChangeLog.decode(tx.changes.encode())

    def apply(self, *instructions: Instruction) -> None:
        """Apply one changeset in a transaction of its own; nothing may be recorded."""
        with self.write() as tx:
            tx.apply(Changeset(list(instructions), []))
            assert tx.instructions == []

    @property
    def reader(self) -> Reader:
        return Reader(self.connection, self.catalogue, self.version)

    def cls(self, name: str) -> ClassInfo:
        return self.catalogue.classes[name]

    def prop(self, name: str) -> PropertyInfo:
        """A property by "Class.property"."""
        class_name, prop = name.split(".")
        return self.cls(class_name).properties[prop]

    def key(self, class_name: str, key: Key) -> int:
        """The object key of an object that must exist."""
        k = self.reader.find(self.cls(class_name), key)
        assert k is not None
        return k

    def ref(self, name: str, k: int) -> CollectionRef:
        """The collection property "Class.property" of an object."""
        prop = self.prop(name)
        return CollectionRef(prop.collection, prop.id, k)

    def rows(self, table: str) -> list[tuple[object, ...]]:
        """Everything in an SQL table."""
        return list(self.connection.execute(f"SELECT * FROM {table}"))


def add_properties(tx: WriteTransaction, class_name: str, props: list[Prop]) -> None:
    for name, type, collection, target, nullable in props:
        tx.add_property(
            tx.catalogue.classes[class_name], name, type, collection=collection, target=target, nullable=nullable
        )


def people_store(file_ident: int = 7) -> Store:
    """A store with the classes of the worked examples of spec/changesets.md §12, and a few more properties."""
    return Store(file_ident, people_content())


@cache
def people_content() -> bytes:
    """The database of :func:`people_store`."""
    store = Store()
    with store.write() as tx:
        tx.add_class("Addr", kind=EMBEDDED)
        tx.add_class("Person", primary_key="name", key_type=STRING, key_nullable=True)
        tx.add_class("Dog")
        tx.add_class("Metric", kind=ASYMMETRIC, primary_key="_id", key_type=OBJECT_ID)
        for name, props in (("Addr", ADDR), ("Person", PERSON), ("Dog", DOG), ("Metric", METRIC)):
            add_properties(tx, name, props)
    return store.connection.serialize("main")


def plain(instructions: list[Instruction]) -> list[tuple[object, ...]]:
    """Instructions as tuples: class name, then the fields."""
    return [
        (type(instruction).__name__, *[getattr(instruction, name) for name in FIELDS[instruction.opcode]])
        for instruction in instructions
    ]
