"""``[d]``: strings compared without their diacritics, which only Syncline has (spec/sdk.md §7.5)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline import Dictionary, Field, List, Model, QueryError, Realm, RealmConfiguration
from syncline.query.ast import Compare, Operator
from syncline.query.comparison import matches
from syncline.query.parser import parse
from syncline.query.printing import query_for_server, query_to_rql
from syncline.query.text import Fold, fold

BOTH = Fold.CASE | Fold.MARKS


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Éclair", "Eclair"),
        ("e\u0301", "e"),
        ("ǖ", "u"),
        ("İstanbul", "Istanbul"),
        ("ıøłđßæ", "ıøłđßæ"),  # letters of their own
        ("Ωή Ж й", "Ωη Ж и"),
        ("\u0301\u0308", ""),
        ("אָ", "א"),
        ("한", "\u1112\u1161\u11ab"),  # decomposed, as everything is
        ("\udcff", "\udcff"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_marks_are_left_out(text: str, bare: str) -> None:
    assert fold(text, Fold.MARKS) == bare
    assert fold(text, BOTH) == fold(bare)
    assert fold(text, Fold.NOTHING) == text


@given(st.text())
def test_composed_and_decomposed_are_the_same(text: str) -> None:
    from unicodedata import normalize

    forms = {fold(normalize(form, text), Fold.MARKS) for form in ("NFC", "NFD")}
    assert len(forms) == 1
    bare = forms.pop()
    assert fold(bare, Fold.MARKS) == bare


@pytest.mark.parametrize("text", ["==", "=", "!=", "<>", "IN", "beginswith", "ENDSWITH", "contains", "like"])
@pytest.mark.parametrize(
    ("written", "what"), [("[d]", Fold.MARKS), ("[cd]", BOTH), ("[dc]", BOTH), (" [d]", Fold.MARKS)]
)
def test_it_stands_where_ignoring_case_stands(text: str, written: str, what: Fold) -> None:
    query = parse(f"a {text}{written} b")
    assert isinstance(query.predicate, Compare)
    assert query.predicate.fold == what
    assert parse(query_to_rql(query)) == query
    assert what.suffix in query_to_rql(query)


class Person(Model):
    id: int = Field(primary_key=True)
    name: str | None
    nick: str | None
    photo: bytes | None
    extra: Any
    words: List[str]
    by: Dictionary[str]
    friend: Person | None


NAMES = [None, "", "Zoe", "Zoë", "zoë", "Zoe\u0308", "José", "jose", "Ærø", "x\udcffé", "\u0301", "Élan é\0É"]
NEEDLES = ["", "zoe", "Zoë", "Zoe\u0308", "é", "e", "\u0301", "É\0", "osé", "ÆRØ", None]
PATTERNS = ["*", "z?e", "Z?ë", "*e\u0301", "?lan*", "[é]", "*" * 201 + "e", None]


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Person])) as opened:
        with opened.write():
            people = []
            for number, name in enumerate(NAMES):
                text = name or "-"
                extra: Any = (name, text.encode("utf-8", "surrogateescape"), number)[number % 3]
                people.append(
                    opened.create(
                        Person,
                        id=number,
                        name=name,
                        nick=NAMES[-1 - number],
                        extra=extra,
                        words=[text, "Ärger"],
                        photo=text.encode("utf-8", "surrogateescape"),
                        by={"k": text},
                        friend=people[-1] if people else None,
                    )
                )
        yield opened


def operations() -> Iterator[tuple[str, Operator, Any, Fold]]:
    names = {"startswith": Operator.BEGINSWITH, "endswith": Operator.ENDSWITH, "contains": Operator.CONTAINS}
    for (name, operator), needle, what in product(
        [*names.items(), ("equals", Operator.EQ)], NEEDLES, (Fold.MARKS, BOTH)
    ):
        yield name, operator, needle, what
    for pattern, what in product(PATTERNS, (Fold.MARKS, BOTH)):
        yield "like", Operator.LIKE, pattern, what


def test_sql_says_what_the_definition_says(realm: Realm) -> None:
    people = realm.objects(Person)
    plain = [(person, person.name, person.extra, person.friend.name if person.friend else None) for person in people]
    for name, operator, needle, what in operations():
        options = {"ci": bool(what & Fold.CASE), "di": True}
        for expression, place in ((Person.name, 1), (Person.extra, 2), (Person.friend.name, 3)):
            query = people.where(getattr(expression, name)(needle, **options))
            expected = [row[0].id for row in plain if matches(operator, row[place], needle, what)]
            assert [person.id for person in query] == expected, (name, needle, what, expression)
            assert query.explain().evaluator is None


@pytest.mark.parametrize(
    ("query", "arguments", "found"),
    [
        ("name ==[d] 'Zoe'", (), [2, 3, 5]),
        ("name ==[cd] 'ZOË'", (), [2, 3, 4, 5]),
        ("name !=[d] 'Zoe' AND name CONTAINS[d] 'oe'", (), [4]),
        ("name IN[d] {'Zoé', NULL}", (), [0, 2, 3, 5]),
        ("name IN[cd] $0", ([f"n{n}" for n in range(200)] + ["JOSE"],), [6, 7]),
        ("ANY words ==[d] 'José'", (), [6]),
        ("ALL words CONTAINS[cd] 'r'", (), [8]),
        ("words.@count == 2 AND 'Ærø' IN[d] words", (), [8]),
        ("by['k'] LIKE[cd] 'JOS?'", (), [6, 7]),
        ("friend.name ==[d] name", (), [0, 3]),
        ("nick ==[cd] name", (), [1, 10]),
        ("photo ==[d] $0", (b"Zoe",), [2, 3, 5]),
        ("extra ==[cd] 'jose'", (), [6]),
        ("SUBQUERY(@links.Person.friend, $x, $x.name BEGINSWITH[d] 'Jo').@count == 1", (), [5]),
        ("name BEGINSWITH[d] 'Zoë' SORT(id DESC)", (), [5, 3, 2]),
    ],
)
def test_found(realm: Realm, query: str, arguments: tuple[Any, ...], found: list[int]) -> None:
    results = realm.objects(Person).filter(query, *arguments)
    assert [person.id for person in results] == found
    assert [person.id for person in realm.objects(Person).filter(results.description)] == found


def test_explanations_show_it(realm: Realm) -> None:
    explained = realm.objects(Person).where(Person.name.equals("É", ci=True, di=True)).explain()
    assert explained.query == 'name ==[cd] "É"'
    assert "rlm_fold(c." in explained.sql
    assert "e" in explained.parameters


def test_servers_do_not_have_it(realm: Realm) -> None:
    assert query_for_server(parse("a ==[c] 'x' SORT(a ASC)")) == 'a ==[c] "x" SORT(a ASC)'
    for text, marked in (
        ("b == 1 OR NOT a ==[d] 'x'", "a ==[d] 'x'"),
        ("SUBQUERY(l, $x, $x.a LIKE[cd] 'x').@count + 1 > 1", "$x.a LIKE[cd] 'x'"),
        ("SUBQUERY(l, $x, $x.a LIKE[d] 'x').@count BETWEEN {1, 2}", "$x.a LIKE[d] 'x'"),
    ):
        with pytest.raises(QueryError, match="servers do not ignore diacritics") as caught:
            query_for_server(parse(text))
        _, line, marks = str(caught.value).splitlines()
        assert line[marks.index("^") :][: marks.count("^")] == marked
    node = Person.name.contains("x", di=True).node
    with pytest.raises(QueryError, match=r'name CONTAINS\[d\] "x": servers do not'):
        query_for_server(parse("TRUEPREDICATE").__class__(node))


@pytest.mark.parametrize(
    ("query", "place", "reason"),
    [
        ("a ==[l] 'x'", "[l]", r"what strings are compared without is one of \[c\], \[d\] and \[cd\]"),
        ("a ==[D] 'x'", "[D]", r"one of \[c\], \[d\] and \[cd\]"),
        ("a CONTAINS[cdx] 'x'", "[cdx]", r"one of \[c\], \[d\] and \[cd\]"),
        ("a ==[ d ] 'x'", "[ d ]", r"one of \[c\], \[d\] and \[cd\]"),
        ("a ==[c][d] 'x'", "[d]", "it stands behind ==, !=, IN"),
        ("a <[d] 'x'", "[d]", "it stands behind ==, !=, IN"),
        ("a TEXT[cd] 'x'", "[cd]", "it stands behind ==, !=, IN"),
        ("a BETWEEN[d] {1, 2}", "[d]", "it stands behind ==, !=, IN"),
    ],
)
def test_mistakes_are_marked(query: str, place: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason) as caught:
        parse(query)
    _, line, marks = str(caught.value).splitlines()
    assert line[marks.index("^") :][: marks.count("^")] == place


def test_what_is_no_string_has_no_diacritics(realm: Realm) -> None:
    with pytest.raises(QueryError, match="ignoring diacritics needs a string or data on the left"):
        realm.objects(Person).filter("id ==[d] 5")
