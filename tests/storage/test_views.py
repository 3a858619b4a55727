"""Readable views, as a tool without anything of ours sees them (storage/views.py)."""

from __future__ import annotations

import pickle
import re
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import EraseObject
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.file import RealmFile
from syncline.storage.reader import Value
from syncline.storage.refs import ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.storage.views import _views
from syncline.values import Decimal128, ObjectId, Timestamp
from syncline.values.kinds import (
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
    STRING,
    TIMESTAMP,
    UUID,
)

QUERY = """
import pickle, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
sys.stdout.buffer.write(pickle.dumps(connection.execute(sys.argv[2]).fetchall()))
connection.close()
"""


class Tool:
    """Some program that knows SQLite and nothing of Syncline.

    A process of its own: two SQLite libraries in one process would break each other's locks on the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, sql: str) -> list[Any]:
        result = subprocess.run([sys.executable, "-c", QUERY, self.path, sql], stdout=subprocess.PIPE, check=True)
        rows: list[Any] = pickle.loads(result.stdout)
        return rows

    @property
    def views(self) -> list[str]:
        return [name for (name,) in self("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name")]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[RealmFile]:
    opened = RealmFile.open(tmp_path / "a.realm")
    yield opened
    opened.close()


@pytest.fixture
def tool(file: RealmFile) -> Tool:
    return Tool(file.path)


def add_class(tx: WriteTransaction, name: str, *props: tuple[Any, ...], key: int | None = INT, kind: int = 0) -> None:
    """``props``: (name, type[, collection[, target]]), all nullable where that is possible."""
    tx.add_class(name, kind=kind, primary_key=None if key is None else "_id", key_type=key or 0)
    for prop, type, *rest in props:
        collection, target = (*rest, None)[:2] if rest else (0, None)
        tx.add_property(
            tx.catalogue.classes[name], prop, type, nullable=type != LINK, collection=collection, target=target
        )


def create(tx: WriteTransaction, cls: str, key: Any, /, **values: Value) -> ObjectRef:
    info = tx.catalogue.classes[cls]
    k, _ = tx.create(info, key)
    for prop, value in values.items():
        tx.set(info, k, info.properties[prop], value)
    return ObjectRef(info.id, k)


def test_a_class_reads_well(file: RealmFile, tool: Tool) -> None:
    with file.write() as tx:
        add_class(tx, "Country", ("name", STRING), key=STRING)
        add_class(
            tx,
            "Airport",
            ("name", STRING),
            ("elevation", DOUBLE),
            ("open", BOOL),
            ("since", TIMESTAMP),
            ("country", LINK, 0, "Country"),
            key=STRING,
        )
        france = create(tx, "Country", "FR", name="France")
        create(
            tx,
            "Airport",
            "LFPG",
            name="Paris",
            elevation=119.0,
            open=True,
            since=Timestamp(131_328_000, 500_000_000),
            country=france,
        )
        create(tx, "Airport", "EGLL")
    assert tool('SELECT * FROM "Airport" LIMIT 3') == [
        ("LFPG", "Paris", 119.0, 1, "1974-03-01T00:00:00.5Z", "FR"),
        ("EGLL", None, None, None, None, None),
    ]
    assert tool("SELECT name, open FROM airport WHERE _id = 'LFPG'") == [("Paris", 1)]


def test_the_sqlite3_shell_shows_the_same(file: RealmFile) -> None:
    with file.write() as tx:
        add_class(tx, "Dog", ("name", STRING))
        create(tx, "Dog", 1, name="Rex")
    shell = shutil.which("sqlite3")
    assert shell is not None, "install the sqlite3 command"
    result = subprocess.run(
        [shell, "-header", file.path, 'SELECT * FROM "Dog"'], capture_output=True, text=True, check=True
    )
    assert result.stdout == "_id|name\n1|Rex\n"


def test_values_of_every_type(file: RealmFile, tool: Tool) -> None:
    oid, uid = ObjectId("0123456789abcdef01234567"), uuid.UUID("12345678-1234-5678-1234-567812345678")
    cases: list[tuple[str, int, Value, Any]] = [
        ("i", INT, -5, -5),
        ("b", BOOL, False, 0),
        ("s", STRING, "it's", "it's"),
        ("data", BINARY, b"\x00\xff", b"\x00\xff"),
        ("f", FLOAT, 1.5, 1.5),
        ("d", DOUBLE, float("nan"), "NaN"),
        ("inf", DOUBLE, float("inf"), float("inf")),
        ("dec", DECIMAL, Decimal128.from_text("10.50"), "10.50"),
        ("o", OBJECT_ID, oid, str(oid)),
        ("u", UUID, uid, str(uid)),
        ("t", TIMESTAMP, Timestamp(-1, -100_000_000), "1969-12-31T23:59:58.9Z"),
    ]
    with file.write() as tx:
        add_class(tx, "All", *[(name, type) for name, type, _, _ in cases])
        add_class(tx, "Any", ("m", MIXED), ("n", INT))
        create(tx, "All", 1, **{name: value for name, _, value, _ in cases})
        create(tx, "All", 2)
        for number, (_, _, value, _) in enumerate(cases):
            create(tx, "Any", number, m=value)
        create(tx, "Any", 100, m=create(tx, "Any", 101))
    assert tool('SELECT * FROM "All"') == [(1, *(shown for *_, shown in cases)), (2, *[None] * len(cases))]
    shown = [row[0] for row in tool('SELECT m FROM "Any" ORDER BY _id')]
    assert shown == [*(shown for *_, shown in cases), 101, None]


def test_views_are_short_because_every_connection_parses_them(file: RealmFile) -> None:
    with file.write() as tx:
        for number in range(10):
            add_class(tx, f"Thing{number}", ("m", MIXED), ("t", TIMESTAMP), ("d", DECIMAL), key=UUID)
    schema = file.query("SELECT name, length(sql) FROM sqlite_schema WHERE type = 'view'")
    assert all(length < 3_500 for _, length in schema), schema


def test_the_target_of_a_mixed_link_is_found_without_reading_others(file: RealmFile, tool: Tool) -> None:
    with file.write() as tx:
        for number in range(3):
            add_class(tx, f"Thing{number}", ("m", MIXED), key=UUID)
    assert tool.views == ["Thing0", "Thing1", "Thing2", "rlm_digit", "rlm_key"]
    plan = [row[3] for row in tool('EXPLAIN QUERY PLAN SELECT m FROM "Thing0"')]
    assert plan.count("SEARCH c USING INTEGER PRIMARY KEY (rowid=?)") == 3
    assert plan.count("SCAN c") == 1


@pytest.fixture(scope="module")
def show() -> Iterator[Callable[[int, Any], Any]]:
    """What a view shows of a value in a property of some type."""
    connection = sqlite3.connect(":memory:", isolation_level=None)

    def shown(type: int, raw: Any) -> Any:
        info = ClassInfo(1, "T", 0, [PropertyInfo(1, 1, "p", type, True)], None)
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE c1(k INTEGER PRIMARY KEY, ghi, glo, p1, s1)")
        connection.execute("INSERT INTO c1 VALUES(0, 0, 0, ?, NULL)", (raw,))
        for view in _views(Catalogue([info], 0)).values():
            connection.execute(view)
        (row,) = connection.execute("SELECT * FROM T").fetchall()
        connection.rollback()
        return row[1]

    yield shown
    connection.close()


@given(st.datetimes(), st.integers(0, 999))
def test_dates_are_iso_text(show: Callable[[int, Any], Any], moment: Any, nanoseconds: int) -> None:
    whole = Timestamp.from_datetime(moment)
    instant = Timestamp.normalised(whole.seconds, whole.nanoseconds + nanoseconds)
    text = show(TIMESTAMP, instant.to_bytes())
    digits = f"{moment.microsecond:06}{nanoseconds:03}".rstrip("0")
    assert (
        text
        == moment.strftime("%Y").zfill(4) + moment.strftime("-%m-%dT%H:%M:%S") + (f".{digits}" if digits else "") + "Z"
    )


def test_dates_beyond_the_calendar_are_still_shown(show: Callable[[int, Any], Any]) -> None:
    assert show(TIMESTAMP, Timestamp(1 << 62, 0).to_bytes()) == "C000000000000000" + "0" * 8
    assert show(TIMESTAMP, None) is None


@given(
    st.decimals(places=3, min_value=-(10**14), max_value=10**14)
    | st.sampled_from([Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")])
)
def test_decimals_are_exact_text(show: Callable[[int, Any], Any], number: Decimal) -> None:
    assert_shown(show, Decimal128.from_decimal(number))


@given(st.integers(-(10**17), 10**17), st.integers(-6176, 6111))
def test_decimals_of_every_exponent(show: Callable[[int, Any], Any], coefficient: int, exponent: int) -> None:
    assert_shown(show, Decimal128(abs(coefficient), exponent, coefficient < 0))


def assert_shown(show: Callable[[int, Any], Any], value: Decimal128) -> None:
    text = show(DECIMAL, value.to_bytes())
    assert Decimal(text).compare_total(value.to_decimal()) == 0 or (value.is_nan() and text == "NaN")


def test_decimals_of_more_than_18_digits_show_their_bytes(show: Callable[[int, Any], Any]) -> None:
    value = Decimal128(1 << 60)
    assert show(DECIMAL, value.to_bytes()) == value.to_bytes().hex().upper()


def test_collections_have_views_of_their_own(file: RealmFile, tool: Tool) -> None:
    with file.write() as tx:
        add_class(
            tx,
            "Dog",
            ("tags", STRING, LIST_COLLECTION),
            ("lucky", INT, SET_COLLECTION),
            ("marks", DOUBLE, DICTIONARY_COLLECTION),
            ("friends", LINK, LIST_COLLECTION, "Dog"),
            ("mixed", MIXED, LIST_COLLECTION),
        )
        info = tx.catalogue.classes["Dog"]
        rex = create(tx, "Dog", 1)
        gone, max_ = create(tx, "Dog", 2), create(tx, "Dog", 3)

        def collection(name: str) -> Any:
            return tx.collection(info, rex.object_key, info.properties[name])

        tx.list_extend(collection("tags"), ["a", "b"])
        tx.set_insert(collection("lucky"), 7)
        tx.dict_set(collection("marks"), "x", 1.5)
        tx.list_extend(collection("friends"), [gone, max_])
        tx.list_extend(collection("mixed"), [None, gone, "s", max_])
        tx.list_insert_collection(collection("mixed"), 4, LIST_COLLECTION)
        tx.list_insert_collection(collection("mixed"), 5, DICTIONARY_COLLECTION)
    with file.write() as tx:  # a deletion made elsewhere leaves hidden links behind
        tx.apply(Changeset([EraseObject("Dog", 2)], []))
    assert tool("SELECT * FROM Dog ORDER BY _id") == [(1,), (3,)]
    assert tool("SELECT * FROM Dog_tags") == [(1, 0, "a"), (1, 1, "b")]
    assert tool("SELECT * FROM Dog_lucky") == [(1, 7)]
    assert tool("SELECT * FROM Dog_marks") == [(1, "x", 1.5)]
    assert tool("SELECT * FROM Dog_friends") == [(1, 0, 3)]
    assert tool("SELECT * FROM Dog_mixed") == [
        (1, 0, None),
        (1, 1, "s"),
        (1, 2, 3),
        (1, 3, "list of 0"),
        (1, 4, "dictionary of 0"),
    ]


def test_objects_without_primary_key_and_embedded_ones(file: RealmFile, tool: Tool) -> None:
    with file.write() as tx:
        tx.file_ident = 7
        add_class(tx, "Wheel", ("size", INT), key=None, kind=EMBEDDED)
        add_class(tx, "Car", ("spare", LINK, 0, "Wheel"), ("twin", LINK, 0, "Car"), key=None)
        car = create(tx, "Car", None)
        info = tx.catalogue.classes["Car"]
        tx.set(info, car.object_key, info.properties["twin"], car)
        wheel = tx.set_embedded(info, car.object_key, info.properties["spare"])
        wheels = tx.catalogue.classes["Wheel"]
        tx.set(wheels, wheel.object_key, wheels.properties["size"], 16)
    assert tool("SELECT * FROM Car") == [("7:0", wheel.object_key, "7:0")]
    assert tool("SELECT * FROM Wheel") == [(wheel.object_key, "Car", "7:0", "spare", 16)]


def test_names_that_are_taken_get_a_number(file: RealmFile, tool: Tool) -> None:
    odd = ["c1", "rlm_meta", "sqlite_x", "n_list", 'a"b', "Ä b", "select", "dog", "Dog", "ix5", "Dog_tags"]
    with file.write() as tx:
        for name in odd:
            add_class(tx, name, ("tags", STRING, LIST_COLLECTION), ('q"', STRING))
            create(tx, name, 1, **{'q"': name})
        ids = {name: tx.catalogue.classes[name].id for name in odd}
    views = tool.views
    assert len({view.lower() for view in views}) == len(views) == 2 * len(odd)
    assert f"Dog_{ids['Dog']}" in views
    assert "dog" in views
    for name, id in ids.items():
        quoted = name.replace('"', '""')
        shown = [view for view in views if re.fullmatch(rf"(class_)?{re.escape(name)}(_{id})?", view)]
        rows = [tool('SELECT * FROM "' + view.replace('"', '""') + '"') for view in shown]
        assert [(1, name)] in rows, quoted
    with file.write() as tx:  # the physical tables that come later find their names free
        for number in range(40):
            tx.add_class(f"More{number}", primary_key="_id", key_type=INT)


def test_views_follow_the_schema(file: RealmFile, tool: Tool) -> None:
    with file.write() as tx:
        add_class(tx, "Dog", ("name", STRING), ("tags", STRING, LIST_COLLECTION))
        create(tx, "Dog", 1, name="Rex")
    assert tool.views == ["Dog", "Dog_tags"]
    with file.write() as tx:
        info = tx.catalogue.classes["Dog"]
        tx.add_property(info, "age", INT)
        info = tx.catalogue.classes["Dog"]
        tx.erase_property(info, info.properties["tags"])
        info = tx.catalogue.classes["Dog"]
        tx.erase_property(info, info.properties["name"])
    assert tool.views == ["Dog"]
    assert tool("SELECT * FROM Dog") == [(1, 0)]
    with file.write() as tx:
        tx.erase_class(tx.catalogue.classes["Dog"])
    assert tool.views == []
