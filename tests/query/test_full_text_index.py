"""TEXT over the table of words: what it finds and by which index, whatever happened to the file (spec/sdk.md §7.10)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.query.test_random_queries import check

from syncline import (
    Field,
    List,
    Migration,
    Model,
    ObjectSchema,
    Property,
    QueryArgumentError,
    QueryError,
    Realm,
    RealmConfiguration,
    UpdateMode,
)
from syncline.storage.connection import connect
from syncline.storage.query_run import find_among
from syncline.storage.query_sql import compile_query
from syncline.testing.exhaustive.invariants import Invariants


class Book(Model):
    id: int = Field(primary_key=True)
    about: str | None = Field(index="fulltext")
    title: str = Field("", index="fulltext")
    year: int = Field(0, index=True)
    sequel: "Book | None"  # noqa: UP037
    likes: "List[Book]"  # noqa: UP037


TEXTS = ["A dog.", "the cat, a dog", None, "", "Åse had a cat; cats!", "2×3 dogs", "привет dog", "doge " + "x" * 70]


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Book])) as opened:
        with opened.write():
            books = [
                opened.create(Book, {"id": number, "about": text, "title": f"book {number}", "year": 2000 + number})
                for number, text in enumerate(TEXTS)
            ]
            for book, other in zip(books, [*books[3:], None, None], strict=False):
                book.sequel = other
                book.likes = [each for each in (other, book, book) if each is not None]
        yield opened


SEARCHES = [
    ("about TEXT 'dog'", [0, 1, 6]),
    ("about TEXT 'DOG cat'", [1]),
    ("about TEXT 'do*'", [0, 1, 5, 6, 7]),
    ("about TEXT 'dog* ca*'", [1]),
    ("about TEXT 'a ca* do* -the'", []),
    ("about TEXT 'a cat -the'", [4]),
    ("about TEXT '-dog'", [2, 3, 4, 5, 7]),
    ("about TEXT '-dog -cats'", [2, 3, 5, 7]),
    ("NOT about TEXT 'dog'", [2, 3, 4, 5, 7]),
    ("about TEXT 'åse'", [4]),
    ("about TEXT 'ase'", []),
    ("about TEXT '23'", [5]),
    ("about TEXT $0", [7]),
    ("about TEXT 'dog' AND title TEXT 'book -6'", [0, 1]),
    ("about TEXT 'dog' OR title TEXT '4'", [0, 1, 4, 6]),
    ("about TEXT 'dog' AND year > 2000 SORT(year DESC)", [6, 1]),
    ("about TEXT 'dog' LIMIT(1)", [0]),
]


@pytest.mark.parametrize(("text", "found"), SEARCHES)
def test_what_is_found_through_the_index(realm: Realm, text: str, found: list[int]) -> None:
    results = realm.objects(Book).filter(text, *(["x" * 66] if "$0" in text else []))
    check(results)
    assert [book.id for book in results] == found
    explained = results.explain()
    assert "Book.about" in explained.indexes
    assert explained.evaluator is None
    assert "rlm_text" not in explained.sql


@pytest.mark.parametrize("search", ["dog", "do*", "do* -the", "-dog", "a ca*"])
@pytest.mark.parametrize(
    "path",
    [
        *(
            "sequel.about",
            "sequel.sequel.about",
            "likes.about",
            "ALL likes.about",
            "NONE likes.about",
            "likes[0].about",
        ),
        *("likes[LAST].about", "@links.Book.sequel.about", "ALL @links.Book.likes.about", "likes.sequel.about"),
    ],
)
def test_over_links(realm: Realm, path: str, search: str) -> None:
    for text in (f"{path} TEXT '{search}'", f"NOT {path} TEXT '{search}'"):
        results = realm.objects(Book).filter(text)
        check(results)
        assert "Book.about" in results.explain().indexes
        assert "rlm_text" not in results.explain().sql
    check(realm.objects(Book).filter(f"SUBQUERY(likes, $x, $x.about TEXT '{search}').@count > 0"))


def test_what_cannot_be_asked(realm: Realm) -> None:
    books = realm.objects(Book)
    for text in ("year TEXT 'a'", "likes.year TEXT 'a'", "id TEXT 'a'"):
        with pytest.raises(QueryError, match="TEXT needs a string property with a full-text index on its left"):
            len(books.filter(text))
    for search in ("", "a -a", "-a*", "a.b"):
        with pytest.raises(QueryArgumentError):
            len(books.filter("about TEXT $0", search))


def test_behind_a_link_its_index_is_used(realm: Realm) -> None:
    explained = realm.objects(Book).filter("sequel.about TEXT 'dog'").explain()
    assert explained.indexes == ("Book.sequel", "Book.about")
    assert "look at every row" not in str(explained)


@pytest.mark.parametrize("text", ["about TEXT 'do*'", "sequel.about TEXT 'dog'", "likes[0].about TEXT '-dog'"])
def test_a_few_texts_are_looked_at_one_by_one(realm: Realm, text: str) -> None:
    """What observers ask after a change: it must not go through all objects that have a frequent word."""
    results = realm.objects(Book).filter(text)
    check(results)
    reader, info, query = results._context.reader(), results._binding.info, results._resolve()
    keys = list(results._all_keys())
    for few in ([], keys[:1], [0, 2, 4, 6, 99], range(2_000)):
        assert list(find_among(reader, query, info, few)) == [key for key in keys if key in few]
    sql = compile_query(query, info, among=[0, 2]).keys
    assert "rlm_text" in sql.text
    assert "ft" not in sql.text
    plan = reader.connection.execute(f"EXPLAIN QUERY PLAN {sql.text}", sql.parameters).fetchall()
    assert plan[0][3] == "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)"


def test_how_it_is_run(realm: Realm) -> None:
    explained = realm.objects(Book).filter("about TEXT 'dog ca* -the'").explain()
    assert explained.indexes == ("Book.about",)
    assert explained.parameters == ("dog", "ca", "caÿ", "the")
    assert "look up words of Book.about where word=?" in str(explained)
    assert "look at every row" not in str(explained)


# --- in and between transactions --------------------------------------------------------------------------------------


def found(realm: Realm, search: str) -> list[Any]:
    results = realm.objects("Book").filter("about TEXT $0", search)
    check(results)
    return [book.id for book in results]


class Undone(Exception):
    """A transaction is given up."""


def sound(realm: Realm) -> None:
    with realm._context.file.reading_alone() as reader:
        assert Invariants().broken(reader) == []


def test_a_transaction_sees_its_own_words() -> None:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Book])) as realm:
        with realm.write():
            book = realm.create(Book, {"id": 1, "about": "a dog"})
            assert found(realm, "dog") == [1]
            book.about = "a cat"
            assert found(realm, "dog") == []
            assert found(realm, "cat -dog") == [1]
            realm.add_all([Book(id=2, about="cat"), Book(id=3, about="bird")])
            assert found(realm, "cat") == [1, 2]
            realm.delete(book)
            assert found(realm, "cat") == [2]
        frozen = realm.freeze()
        with suppress(Undone), realm.write():
            realm.get(Book, 2).about = "dog"
            assert found(realm, "dog") == [2]
            raise Undone
        assert found(realm, "dog") == []
        with realm.write():
            realm.objects(Book).filter("about TEXT 'bird'").update(about="fish")
            realm.create_many(
                Book, [{"id": 2, "about": "fish and chips"}, {"id": 4, "about": "fish"}], update=UpdateMode.ALL
            )
        assert found(realm, "fish") == [2, 3, 4]
        assert [book.id for book in frozen.objects(Book).filter("about TEXT 'bird'")] == [3]
        with realm.write():
            realm.objects(Book).delete_all()
        assert found(realm, "-dog") == []
        sound(realm)


# --- what becomes of it when the schema changes -----------------------------------------------------------------------


def book(*properties: Property) -> list[ObjectSchema]:
    return [ObjectSchema("Book", [Property("id", "int", primary_key=True), *properties])]


def test_through_migrations(tmp_path: Path) -> None:
    path = tmp_path / "books.realm"
    with Realm.open(
        path, schema=book(Property("text", "string"), Property("note", "string", index="fulltext"))
    ) as realm:
        with realm.write():
            realm.create("Book", {"id": 1, "text": "a dog", "note": "one"})
        with pytest.raises(QueryError, match="full-text index"):
            len(realm.objects("Book").filter("text TEXT 'dog'"))
    # an index is added without a migration
    with Realm.open(
        path, schema=book(Property("text", "string", index="fulltext"), Property("note", "string"))
    ) as realm:
        assert len(realm.objects("Book").filter("text TEXT 'dog'")) == 1
        with pytest.raises(QueryError, match="full-text index"):
            len(realm.objects("Book").filter("note TEXT 'one'"))
        sound(realm)

    def rename(migration: Migration) -> None:
        migration.rename_property("Book", "text", "about")
        for _, new in migration.enumerate("Book"):
            new["about"] += " and a cat"

    renamed = book(Property("about", "string", index="fulltext"), Property("note", "string"))
    with Realm.open(path, schema=renamed, schema_version=1, migration=rename) as realm:
        assert found(realm, "dog cat") == [1]
        sound(realm)
    optional = book(Property("about", "string?", index="fulltext"), Property("note", "string"))
    with Realm.open(path, schema=optional, schema_version=2) as realm:
        assert found(realm, "dog cat") == [1]
        sound(realm)
    required = book(Property("about", "string", index="fulltext"), Property("note", "string"))
    with Realm.open(path, schema=required, schema_version=3) as realm:
        assert found(realm, "dog") == []
        with realm.write():
            realm.get("Book", 1)["about"] = "key"
        sound(realm)
    # the indexed property becomes the primary key, and another type
    keyed = [ObjectSchema("Book", [Property("id", "int"), Property("about", "string", primary_key=True)])]
    with Realm.open(path, schema=keyed, schema_version=4) as realm:
        assert realm.get("Book", "key")["id"] == 1
        sound(realm)
    with Realm.open(path, schema=book(Property("about", "int[]")), schema_version=5) as realm:
        sound(realm)
        assert realm._context.file.query("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'ft*'") == [(0,)]


def test_files_from_before_the_table(tmp_path: Path) -> None:
    path = tmp_path / "books.realm"
    with Realm.open(RealmConfiguration(path, schema=[Book])) as realm, realm.write():
        for number, text in enumerate(TEXTS):
            realm.create(Book, {"id": number, "about": text})
    connection = connect(str(path), None, writable=True)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE name GLOB 'ft*'").fetchall():
        connection.execute(f"DROP TABLE {name}")
    connection.close()
    with Realm.open(RealmConfiguration(path, schema=[Book], read_only=True)) as realm:
        assert found(realm, "dog") == [0, 1, 6]
        assert found(realm, "-dog") == [2, 3, 4, 5, 7]
        explained = realm.objects(Book).filter("about TEXT 'dog'").explain()
        assert explained.indexes == ()
        assert "rlm_text" in explained.sql
    with Realm.open(RealmConfiguration(path, schema=[Book])) as realm:
        assert found(realm, "dog") == [0, 1, 6]
        assert realm.objects(Book).filter("about TEXT 'dog'").explain().indexes == ("Book.about",)
        sound(realm)
