"""Imports of what people have: errors that say where, dates without a zone, progress (spec/sdk.md §12.7)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas
import polars
import pytest

from syncline import Dictionary, Field, List, Model, Realm, RealmConfiguration, UpdateMode, errors


class Author(Model):
    name: str = Field(primary_key=True)


class Book(Model):
    isbn: int = Field(primary_key=True)
    title: str
    price: float | None = None
    at: datetime | None = None
    good: bool | None = None
    author: Author | None = None
    tags: List[str]
    photo: bytes | None = None
    number: int = 0
    marks: Dictionary[int]
    extra: Any = None
    others: List[Author]


@pytest.fixture
def realm(tmp_path: Path) -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(tmp_path / "books.realm", schema=[Author, Book])) as realm:
        yield realm


def refused(realm: Realm, write: Callable[[], Any]) -> str:
    """The error of an import and its notes, as a traceback shows them. Nothing is left of it."""
    with pytest.raises((errors.RealmError, UnicodeDecodeError)) as raised, realm.write():
        write()
    assert realm.is_empty
    return "\n".join([str(raised.value), *getattr(raised.value, "__notes__", [])])


MANY = "".join(f"{number},a\n" for number in range(5000))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("isbn,title\n1,a\nx2,b\n", ["'x2' is no int", "column 'isbn'", "line 3 of books.csv"]),
        ('isbn,title\n1,"a\nb"\nx2,b\n', ["line 4 of books.csv"]),
        ("isbn,title,price\n1,a,2.5 EUR\n", ["'2.5 EUR' is no number", "column 'price'", "line 2"]),
        ("isbn,title,at\n1,a,2020-01-01 12:00\n", ["has no time zone", "time_zone=UTC", "column 'at'", "line 2"]),
        ("isbn,title,at\n1,a,yesterday\n", ["'yesterday' is no date", "line 2"]),
        ("isbn,title,good\n1,a,maybe\n", ["'maybe' is no bool", "column 'good'"]),
        ("isbn,title,tags\n1,a,x\n", ["Book.tags: 'x' is no JSON", "column 'tags'"]),
        ("isbn,title,tags\n1,a,[1]\n", ["expected str, got int 1", "line 2"]),
        ("isbn,title,photo\n1,a,???\n", ["'???' is no base64", "column 'photo'"]),
        ("isbn,title,author\n1,a,Nobody\n", ["no Author with the primary key 'Nobody'", "line 2"]),
        ("isbn,title\n1,a\n99999999999999999999,b\n", ["does not fit into 64 bits", "line 3"]),
        ("isbn\n1\n", ["Book.title: a value is needed", "line 2"]),
        (f"isbn,title\n{MANY}17,b\n", ["primary key 17 exists already", "line 5002"]),
        ("isbn,title,pages\n1,a,3\n", ["no property 'pages'", "ignore_unknown=True", "line 1"]),
        ("isbn;title\n1;a\n", ["no property 'isbn;title'", "delimiter=';'"]),
        ("isbn,title,title\n1,a,b\n", ["two columns are called 'title'"]),
        ("isbn,title\n1\n", ["1 fields, but 2 columns", "line 2"]),
        ('isbn,title\n1,a\n2,"b\n3,c\n', ["no CSV: unexpected end of data", "line 3"]),
    ],
)
def test_csv(realm: Realm, tmp_path: Path, text: str, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("books.csv").write_text(text, encoding="utf-8")
    message = refused(realm, lambda: realm.import_csv(Book, "books.csv"))
    assert [part for part in said if part not in message] == [], message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"isbn": 1, "title": "a"}\n\n{"isbn": 2}\n', ["Book.title: a value is needed", "line 3 of books.jsonl"]),
        ('{"isbn": 1, "title": "a"}\n{"isbn": "x", "title": "b"}\n', ["expected int, got str 'x'", "line 2"]),
        ('{"isbn": 1, "title": "a"}\n{"isbn": 2,\n', ["no JSON", "character 12", "line 2 of books.jsonl"]),
        ("[1]\n", ["expected a JSON object, got list [1]", "line 1"]),
        ('{"isbn": 1, "title": "a", "author": {"nom": "x"}}\n', ["Author has no property 'nom'", "line 1"]),
        ('{"isbn": 1, "title": "a", "at": "2020-02-30T00:00:00Z"}\n', ["there is no such day", "line 1"]),
    ],
)
def test_json_lines(realm: Realm, tmp_path: Path, text: str, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("books.jsonl").write_text(text, encoding="utf-8")
    message = refused(realm, lambda: realm.import_json_lines(Book, "books.jsonl"))
    assert [part for part in said if part not in message] == [], message


def test_json(realm: Realm, tmp_path: Path) -> None:
    path = tmp_path / "books.json"
    path.write_text('\ufeff[{"isbn": 1, "title": "a"}]', encoding="utf-8")
    assert "give pathlib.Path(" in refused(realm, lambda: realm.import_json(Book, str(path)))
    assert "got int 3" in refused(realm, lambda: realm.import_json(Book, "3"))
    assert "in object 2 of the import" in refused(realm, lambda: realm.import_json(Book, '[{"isbn":1,"title":"a"},{}]'))
    with realm.write():
        assert realm.import_json(Book, path) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"isbn": 1,\n "title" "a"}]', ["no JSON: Expecting ':' delimiter (character 10)", "in line 2 of {}"]),
        ("", ["no JSON: Expecting value (character 1)", "in line 1 of {}"]),
        ("[" * 100_000, ["nested too deep"]),
        ('[{"isbn": 1' + "0" * 5000 + "}]", ["no JSON that can be read: Exceeds the limit (4300 digits)"]),
    ],
    ids=["a colon", "nothing", "depth", "digits"],
)
def test_text_that_is_no_json(
    realm: Realm, tmp_path: Path, text: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text, a file and lines say the same."""
    monkeypatch.chdir(tmp_path)
    Path("books.json").write_text(text, encoding="utf-8")
    for name, source in (
        ("the import", text.encode()),
        ("the import", StringIO(text)),
        ("books.json", Path("books.json")),
    ):
        message = refused(realm, lambda source=source: realm.import_json(Book, source))
        assert [part for part in said if part.format(name) not in message] == [], message
    if line := text.replace("\n", " "):
        message = refused(realm, lambda: realm.import_json_lines(Book, StringIO(line)))
        assert said[0].split(" (character")[0] in message
        assert "in line 1 of the import" in message


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("No,Titel\n99999999999999999999,a\n", "No", "does not fit into 64 bits"),
        ("Titel,No\na,\n", "No", "Book.isbn: cannot be None"),
        ("Titel,No\na,1\nb,1\n", "No", "primary key 1 exists already"),
        ("No,Titel,Zahl\n1,a,99999999999999999999\n", "Zahl", "does not fit into 64 bits"),
        ("No,Titel,Zahl\n1,a,\n", "Zahl", "Book.number: cannot be None"),
        ("No,Titel,Autor\n1,a,Nobody\n", "Autor", "no Author with the primary key 'Nobody'"),
        ("No,Titel,Marken\n1,a,[1]\n", "Marken", "Book.tags: expected str, got int 1"),
        ("No,Titel,Marken\n1,a,5\n", "Marken", "Book.tags: expected a collection, got int 5"),
        ('No,Titel,Noten\n1,a,"{""$a"": 1}"\n', "Noten", "dictionary key '$a'"),
        ('No,Mehr,Titel\n1,"{""b"": {""$a"": 1}}",a\n', "Mehr", "dictionary key '$a'"),
        ('No,Mehr,Titel\n1,"{""$ref"": [""Author"", ""x""]}",a\n', "Mehr", "no Author with the primary key 'x'"),
        ('No,Titel,Autoren\n1,a,"[""x""]"\n', "Autoren", "no Author with the primary key 'x'"),
        ('No,Titel,Autoren\n1,a,"[{""name"": 5}]"\n', "Autoren", "Author.name: expected str, got int 5"),
    ],
)
def test_csv_names_the_column_of_what_cannot_be_written(realm: Realm, text: str, column: str, said: str) -> None:
    columns = {"No": "isbn", "Titel": "title", "Zahl": "number", "Autor": "author", "Marken": "tags", "Noten": "marks"}
    columns |= {"Mehr": "extra", "Autoren": "others"}
    header, *lines = text.splitlines()
    known = {name: columns[name] for name in header.split(",")}
    message = refused(realm, lambda: realm.import_csv(Book, StringIO(text), columns=known))
    assert said in message
    assert message.splitlines()[1:] == [f"in column {column!r}", f"in line {len(lines) + 1} of the import"]


@pytest.mark.parametrize("mode", [UpdateMode.ALL, UpdateMode.MODIFIED])
def test_csv_names_the_column_of_what_cannot_be_updated(realm: Realm, mode: UpdateMode) -> None:
    text = "isbn,title,Marken\n1,a,\n1,b,[2]\n"
    message = refused(realm, lambda: realm.import_csv(Book, StringIO(text), columns={"Marken": "tags"}, update=mode))
    assert message.splitlines()[1:] == ["in column 'Marken'", "in line 3 of the import"]


def test_csv_names_no_column_for_a_value_that_is_missing(realm: Realm) -> None:
    message = refused(realm, lambda: realm.import_csv(Book, StringIO("No\n1\n"), columns={"No": "isbn"}))
    assert message.splitlines()[1:] == ["in line 2 of the import"]


def test_values_and_frames(realm: Realm) -> None:
    rows = [{"isbn": number, "title": "a"} for number in range(30)]
    assert "in values[29]" in refused(realm, lambda: realm.create_many(Book, [*rows[:-1], {"isbn": 3, "title": "b"}]))
    frame = pandas.DataFrame({"isbn": [1, 2], "title": ["a", None]})
    assert "in row 1 of the frame" in refused(realm, lambda: realm.from_dataframe(Book, frame))
    times = polars.DataFrame({"isbn": [1], "title": ["a"], "at": [datetime(2020, 1, 1)]})
    message = refused(realm, lambda: realm.from_dataframe(Book, times))
    assert "2020-01-01 00:00:00 has no time zone: give time_zone=UTC" in message
    assert "in row 0 of the frame" in message


def test_columns_that_are_not_there(realm: Realm) -> None:
    file = StringIO("isbn,title\n1,a\n")
    message = refused(realm, lambda: realm.import_csv(Book, file, columns={"Titel": "title"}))
    assert "there is no column 'Titel'; there are 'isbn', 'title'" in message


def test_encodings(realm: Realm, tmp_path: Path) -> None:
    path = tmp_path / "books.csv"
    path.write_bytes("isbn,title\n1,Märchen\n".encode("latin-1"))
    assert "books.csv has another encoding: give encoding=" in refused(realm, lambda: realm.import_csv(Book, path))
    with realm.write():
        realm.import_csv(Book, path, encoding="latin-1")
        realm.import_csv(Book, StringIO("\ufeffisbn,title\n2,b\n"))
        path.write_bytes("isbn,title\n3,c\n".encode("utf-16"))
        realm.import_csv(Book, path, encoding="utf-16")
    assert realm.objects(Book).values_list("title", flat=True) == ["Märchen", "b", "c"]


def test_numbers_as_tables_write_them(realm: Realm) -> None:
    with realm.write():
        realm.import_csv(Book, StringIO("isbn,title,price\n1.0,a,NaN\n 2,b,-Infinity\n3.00,c,1e3\n"))
    assert str(realm.objects(Book).values_list("isbn", "price")) == "[(1, nan), (2, -inf), (3, 1000.0)]"


def test_time_zones(realm: Realm) -> None:
    zone = ZoneInfo("Europe/Berlin")
    summer, winter = datetime(2020, 7, 1, 10, tzinfo=UTC), datetime(2019, 12, 31, 23, tzinfo=UTC)
    with realm.write():
        text = "isbn,title,at\n1,a,2020-07-01 12:00\n2,b,2020-07-01T12:00:00+02:00\n3,c,2020-01-01\n"
        realm.import_csv(Book, StringIO(text), time_zone=zone)
        line = json.dumps({"isbn": 4, "title": "d", "at": "2020-07-01T12:00"})
        realm.import_json_lines(Book, StringIO(line), time_zone=zone)
        times = [datetime(2020, 7, 1, 12), datetime(2020, 7, 1, 12, tzinfo=zone)]
        frame = pandas.DataFrame({"isbn": [5, 6], "title": ["e", "f"], "at": pandas.Series(times, dtype=object)})
        realm.from_dataframe(Book, frame, time_zone=zone)
        realm.from_dataframe(
            Book, polars.DataFrame({"isbn": [7], "title": ["g"], "at": [date(2020, 1, 1)]}), time_zone=zone
        )
    found = realm.objects(Book).sort("isbn").values_list("at", flat=True)
    assert found == [summer, summer, winter, summer, summer, summer, winter]


def test_progress(realm: Realm, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "books.csv"
    path.write_text("isbn,title\n" + MANY, encoding="utf-8")
    told: list[int] = []
    with realm.write():
        realm.import_csv(Book, path, progress=told.append)
        assert told == [4096, 5000]
        assert capsys.readouterr().err == ""
        realm.delete_all()
        realm.import_csv(Book, path, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "books.csv: 100 %  33,901 of 33,901 bytes"

    with realm.write():
        realm.create_many(Author, [{"name": str(number)} for number in range(5000)], progress=True)
        realm.create_many(Author, ({"name": f"x{number}"} for number in range(5000)), progress=True)
    assert capsys.readouterr().err.splitlines() == [
        "Author:  81 %  4,096 of 5,000 objects",
        "Author: 100 %  5,000 of 5,000 objects",
        "Author: 4,096 objects",
    ]
