"""What queries find, on plain Python data: the tables and rules of spec/sdk.md §7.3–7.8, §7.11, §15."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from tests.query.plain import Objects, Schema, found

from syncline.query.ast import Operator
from syncline.query.comparison import matches
from syncline.values import Decimal128, Float32, Timestamp

# --- the worked example of §7.4 ---------------------------------------------------------------------------------------

PRICES = Objects(Schema(Item={"prices": "double[]"}))
for prices in ([5.5, 4.0, 9.5, 6.5], [5.5] * 10, [9.5, 9.5, 6.5], []):
    PRICES.add("Item", prices=prices)

WORKED = [
    ("prices == 5.5", "TTFF"),
    ("ALL prices == 5.5", "FTFT"),
    ("NONE prices == 5.5", "FFTT"),
    ("prices != 5.5", "TFTF"),
    ("NOT prices == 5.5", "FFTT"),
    ("{9.5, 9.5, 6.5} == prices", "FFTF"),
    ("prices != {9.5, 9.5, 6.5}", "TTFT"),
    ("ANY {5.5, 4.0} IN ANY prices", "TTFF"),
    ("ALL {5.5, 4.0} IN prices", "TFFF"),
    ("NONE {5.5, 4.0} IN prices", "FFTT"),
    ("NONE {5.5, 4.0} IN ALL prices", "TFTF"),
    ("5.5 IN prices", "TTFF"),
    ("prices.@count == 0", "FFFT"),
    ("{} == prices", "FFFT"),
    # rule 2 applies to IN, too
    ("{5.5, 4.0} IN prices", "FFFF"),
    ("{5.5, 4.0, 9.5, 6.5} IN prices", "TFFF"),
    ("prices == ANY {5.5, 6.5}", "TTTF"),
    ("ALL prices == ANY {5.5, 4, 9.5, 6.5}", "TTTT"),
    ("NONE prices > 9", "FTFT"),
    ("ALL prices BETWEEN {4, 9}", "FTFT"),
]


@pytest.mark.parametrize(("rql", "expected"), WORKED, ids=[rql for rql, _ in WORKED])
def test_the_worked_example(rql: str, expected: str) -> None:
    assert found(PRICES, "Item", rql) == [place for place, letter in enumerate(expected) if letter == "T"]


# --- scalars: each operator on null and on values ---------------------------------------------------------------------

NUMBERS = Objects(Schema(N={"a": "int?", "d": "double?", "f": "float?", "x": "decimal?", "m": "mixed", "s": "string?"}))
for a, d, m, s in (
    (None, None, None, None),
    (5, 5.0, "a", "a"),
    (2**53 + 1, float(2**53), 5, ""),
    (-1, math.nan, True, "A"),
    (0, -0.0, [1], "Ä"),
    (1, math.inf, {"k": 1}, "ß"),
):
    NUMBERS.add(
        "N",
        a=a,
        d=d,
        m=m,
        s=s,
        f=None if d is None else Float32(d),
        x=None if a is None else Decimal128.from_decimal(a),
    )

SCALARS = [
    ("a == NULL", [0]),
    ("a != NULL", [1, 2, 3, 4, 5]),
    ("a < NULL", []),
    ("a > NULL", []),
    ("a <= NULL", [0]),
    ("a >= NULL", [0]),
    ("a == 5", [1]),
    ("a != 5", [0, 2, 3, 4, 5]),
    ("a > 0", [1, 2, 5]),
    ("NOT (a > 0)", [0, 3, 4]),
    ("5 == a", [1]),
    ("0 < a", [1, 2, 5]),
    ("a == 9007199254740993", [2]),
    ("a > 9007199254740992.0", [2]),
    ("d == a", [0, 1, 4]),
    ("d < a", [2]),
    ("a == d", [0, 1, 4]),
    ("x == a", [0, 1, 2, 3, 4, 5]),
    ("x >= d", [0, 1, 2, 4]),
    ("d == nan", []),
    ("d != nan", [0, 1, 2, 3, 4, 5]),
    ("d < nan", []),
    ("d <= inf", [1, 2, 4, 5]),
    ("d == 0", [4]),
    ("d >= -0.0", [1, 2, 4, 5]),
    ("m == 5", [2]),
    ("m == 5.0", [2]),
    ("m != 5", [0, 1, 3, 4, 5]),
    ("m == 'a'", [1]),
    ("m == true", [3]),
    ("m == 1", []),
    ("m > 1", [2]),
    ("m < 'b'", [1]),
    ("m == NULL", [0]),
    ("m == m", [0, 1, 2, 3, 4, 5]),
    ("m <= m", [0, 1, 2, 3, 4, 5]),
    ("m < m", []),
    ("s == 'A'", [3]),
    ("s ==[c] 'A'", [1, 3]),
    ("s !=[c] 'A'", [0, 2, 4, 5]),
    ("s ==[c] 'ä'", [4]),
    ("s ==[c] NULL", [0]),
    ("s < 'a'", [2, 3]),
    ("s > 'a'", [4, 5]),
    ("s IN {'a', NULL}", [0, 1]),
    ("s IN[c] {'A'}", [1, 3]),
    ("a IN {5, 0, 'x'}", [1, 4]),
    ("NOT a IN {5, 0}", [0, 2, 3, 5]),
    ("a == {5, 0}", [1, 4]),
    ("a != {0, 5}", [0, 1, 2, 3, 4, 5]),
    ("a == NONE {0, 5}", [0, 2, 3, 5]),
    ("a > {0, 4}", [1, 2, 5]),
    ("a == ALL {}", [0, 1, 2, 3, 4, 5]),
    ("a == {}", []),
    ("a BETWEEN {0, 5}", [1, 4, 5]),
    ("a BETWEEN {5, 0}", []),
    ("TRUEPREDICATE", [0, 1, 2, 3, 4, 5]),
    ("FALSEPREDICATE", []),
    # strings
    ("s BEGINSWITH ''", [1, 2, 3, 4, 5]),
    ("s BEGINSWITH NULL", [0, 1, 2, 3, 4, 5]),
    ("s CONTAINS NULL", [0, 1, 2, 3, 4, 5]),
    ("s LIKE NULL", [0]),
    ("NULL CONTAINS s", []),
    ("NULL LIKE s", [0]),
    ("s LIKE '?'", [1, 3, 4, 5]),
    ("s LIKE '*'", [1, 2, 3, 4, 5]),
    ("'xay' CONTAINS s", [0, 1, 2]),
    ("s.@count == 2", [4, 5]),
    ("s.@count != 2", [1, 2, 3]),
    ("s.@size == NULL", []),
    ("m.@count == 1", [1, 4, 5]),
    ("m.@count >= 0", [1, 4, 5]),
    # types
    ("m.@type == 'string'", [1]),
    ("m.@type == 'NUMERIC'", [2]),
    ("m.@type == 'null'", [0]),
    ("m.@type == 'array'", [4]),
    ("m.@type == 'object'", [5]),
    ("m.@type == 'collection'", [4, 5]),
    ("m.@type != 'bool'", [0, 1, 2, 4, 5]),
    ("m.@type IN {'bool', 'string'}", [1, 3]),
    ("m.@type == d.@type", []),
    ("m.@type == a.@type", [2]),
    # arithmetic
    ("a + 1 == 6", [1]),
    ("a - 1 - 1 == 3", [1]),
    ("a - (1 - 1) == 5", [1]),
    ("a * 2 + 1 == 11", [1]),
    ("a / 2 == 2", [1]),
    ("a / 2.0 == 2.5", [1]),
    ("a / 0 == 9223372036854775807", [1, 2, 4, 5]),
    ("a / 0 == -9223372036854775808", [3]),
    ("(0 - 7) / 2 == a - 4 + 2", [3]),
    ("d / 0 == inf", [1, 2, 5]),
    ("a * 9223372036854775807 < 0", [3]),
    ("a + NULL == 5 or a == 5", None),
    ("a + d == 10", [1]),
    ("x + 0.1 == 5.1", [1]),
    ("a + 1 == NULL", [0]),
    ("1 + a > 2 * 2", [1, 2]),
    ("{1, 2} + a == 6", [1]),
    ("ALL {0, 1} + a >= 5", [1, 2]),
    ("x - 0.5 == 4.5", [1]),
    ("f + 0.5 == x + 0.5", [0, 1, 4]),
]


@pytest.mark.parametrize(("rql", "expected"), SCALARS, ids=[rql for rql, _ in SCALARS])
def test_scalars(rql: str, expected: list[int] | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="nothing can be calculated"):
            found(NUMBERS, "N", rql)
        return
    assert found(NUMBERS, "N", rql) == expected


# --- string operators × quantifiers × sizes ---------------------------------------------------------------------------

PREFIXES = ["", "ANY ", "ALL ", "NONE "]


def quantified_pairs(left: str, right: str, xs: list[Any], ys: list[Any], test: Any, unequal: bool = False) -> bool:
    """§7.4, *Plural operands*, rules 2 and 3, as they are written there."""

    def quantified(prefix: str, tests: list[bool]) -> bool:
        return {"ALL ": all(tests), "NONE ": not any(tests)}.get(prefix, any(tests))

    if not left and not right:
        return all(map(test, xs, ys)) if len(xs) == len(ys) else unequal
    return quantified(left, [quantified(right, [test(x, y) for y in ys]) for x in xs])


STRINGS = Objects(Schema(P={"l": "string?[]", "r": "string?[]"}))
TEXTS: list[list[str | None]] = [[], ["ab"], ["a"], ["ab", "b"], ["A", "aB", "a"], [None], ["a", None]]
TEXT_ROWS = list(itertools.product(TEXTS, repeat=2))
for left_texts, right_texts in TEXT_ROWS:
    STRINGS.add("P", l=left_texts, r=right_texts)


@pytest.mark.parametrize("symbol", ["BEGINSWITH", "ENDSWITH", "CONTAINS", "LIKE"])
@pytest.mark.parametrize("fold", ["", "[c]"])
@pytest.mark.parametrize("left", PREFIXES)
@pytest.mark.parametrize("right", PREFIXES)
def test_quantifiers_of_string_operators(symbol: str, fold: str, left: str, right: str) -> None:
    def test(x: str | None, y: str | None) -> bool:
        return matches(Operator(symbol), x, y, bool(fold))

    rows = [n for n, (xs, ys) in enumerate(TEXT_ROWS) if quantified_pairs(left, right, xs, ys, test)]
    assert found(STRINGS, "P", f"{left}l {symbol}{fold} {right}r") == rows


# --- links ------------------------------------------------------------------------------------------------------------

SCHEMA = Schema(
    Person={"id": "int*", "name": "string?", "dogs": "Dog[]", "best": "Dog?", "pets": "Dog{}", "boss": "Person?"},
    Dog={"name": "string?", "age": "int?", "price": "double?", "tags": "int[]", "scores": "int?{}", "m": "mixed"},
    Note={"about": "mixed", "refs": "mixed[]"},
)
FARM = Objects(SCHEMA)
REX = FARM.add("Dog", name="Rex", age=3, price=1.5, tags=[1], scores={"a": 1, "k k": 2}, m=[1, {"x": 6, "y": [7, 8]}])
BO = FARM.add("Dog", name="Bo", age=None, price=math.nan, tags=[2], scores={}, m={"a": [{"b": 5}, 4], "n": None})
IDA = FARM.add("Dog", name=None, age=7, price=2.5, tags=[], scores={"a": None}, m=[{"x": 6}, {"x": 6}])
ANN = FARM.add("Person", id=1, name="Ann", dogs=[REX, BO, REX], best=REX, pets={"one": REX, "age": IDA, "gone": None})
TOM = FARM.add("Person", id=2, name="Tom", dogs=[], best=None, pets={}, boss=ANN)
EVE = FARM.add("Person", id=3, name=None, dogs=[IDA], best=IDA, pets={"one": BO}, boss=TOM)
FARM.add("Note", about=REX, refs=[REX, 1, ANN])

LINKS = [
    ("best.age == 3", [0]),
    ("best.age == NULL", [1]),
    ("best.age != 3", [1, 2]),
    ("best.name != 'x'", [0, 1, 2]),
    ("boss.best.age == NULL", [0, 2]),
    ("boss.boss.name == 'Ann'", [2]),
    ("best == NULL", [1]),
    ("best != NULL", [0, 2]),
    ("best == $0", [0]),
    ("best IN {$0, NULL}", [0, 1]),
    ("dogs.age == 3", [0]),
    ("dogs.age == NULL", [0]),
    ("ANY dogs.age == NULL", [0]),
    ("ALL dogs.age > 5", [1, 2]),
    ("NONE dogs.age == 3", [1, 2]),
    ("dogs == $0", [0]),
    ("NONE dogs == $0", [1, 2]),
    ("$0 IN dogs", [0]),
    ("dogs.@count == 3", [0]),
    ("best.@count == 1", [0, 2]),
    ("dogs.name.@count == 2", [0]),
    ("dogs.@links.@count == 14", [0]),
    ("dogs.@links.@count == 0", [1]),
    ("dogs.@links.@count == 3", [2]),
    ("boss.dogs.@links.@count == 14", [1]),
    ("dogs.@links.Person.dogs.@count == 5", [0]),
    ("SUBQUERY(dogs, $d, $d.@links.@count == 6).@count == 2", [0]),
    ("dogs[0].name == 'Rex'", [0]),
    ("dogs[LAST].age == 3", [0]),
    ("dogs[FIRST].age == 7", [2]),
    ("dogs[1].age == NULL", [0]),
    ("dogs[1].age != 5", [0]),
    ("dogs[9].age == NULL", []),
    ("dogs[SIZE] == 1", [2]),
    ("best.m[0] == NULL", [1]),
    ("best.m[0] == 1", [0]),
    ("dogs.m[0] == 1", [0]),
    ("NONE dogs.m[0] == 1", [1, 2]),
    ("best.name.@count == 3", [0]),
    ("best.name.@count != 3", []),
    ("dogs[*].age == 7", [2]),
    # grouping: behind several links each collection for itself
    ("ALL dogs.tags == 1", [0, 1, 2]),
    ("NONE dogs.tags == 1", [0, 1, 2]),
    ("ANY dogs.tags == 2", [0]),
    ("ALL dogs.tags == 3", [1, 2]),
    ("dogs.tags.@count == 1", [0]),
    ("ALL dogs.tags.@count == 1", [0, 1]),
    ("dogs.tags.@max == 2", [0]),
    ("best.tags.@count == 0", [1, 2]),
    ("best.tags.@sum == 0", [1, 2]),
    ("best.tags == 1", [0]),
    ("ALL best.tags == 1", [0, 1, 2]),
    # aggregates
    ("dogs.@sum.age == 6", [0]),
    ("dogs.@sum.age == 0", [1]),
    ("dogs.@sum.age == NULL", []),
    ("dogs.@max.age == NULL", [1]),
    ("dogs.@min.age == 3", [0]),
    ("dogs.@avg.age == 3", [0]),
    ("dogs.@max.price == 1.5", [0]),
    ("dogs.@avg.price == 2.5", [2]),
    ("best.@max.age == 3", [0]),
    ("boss.dogs.@sum.age == 6", [1]),
    # dictionaries of links
    ("pets.one.name == 'Rex'", [0]),
    ("pets['one'].name == 'Bo'", [2]),
    ("pets.age == 7", [0]),
    ("pets['age'].age == 7", [0]),
    ("pets.@values.age == 7", [0]),
    ("pets.gone == NULL", [0, 1, 2]),
    ("pets.gone.age == NULL", [0, 1, 2]),
    ("pets.@keys == 'one'", [0, 2]),
    ("pets.@keys BEGINSWITH 'g'", [0]),
    ("ALL pets.@keys == 'one'", [1, 2]),
    ("pets.@count == 2", [0]),
    ("pets[*].age == 3", [0]),
    # backlinks
    ("@links.Person.boss.name == 'Tom'", [0]),
    ("@links.Person.boss.@count == 1", [0, 1]),
    ("@links.Person.boss.@links.Person.boss.@count == 1", [0]),
    ("@links.@count == 2", [0]),
    ("best.@links.@count >= 4", [0]),
    ("best.@links.Person.dogs.@count == 2", [0]),
    ("boss.dogs.@links.Person.best.name == 'Ann'", [1]),
    # objects by key
    ("boss == obj('Person', 1)", [1]),
    ("boss == obj('class_Person', 99)", []),
    ("boss != obj('Person', 99)", [0, 1, 2]),
    ("boss IN {obj('Person', 2), obj('Person', 99)}", [2]),
    ("boss == L1:0", [1]),
    ("boss == O0", [1]),
    # subqueries
    ("SUBQUERY(dogs, $d, $d.age == 3).@count == 2", [0]),
    ("SUBQUERY(dogs, $d, age == NULL OR $d.name == NULL).@count == 1", [0, 2]),
    ("SUBQUERY(dogs, $d, $d == $0).@count == 2", [0]),
    ("SUBQUERY(boss.dogs, $d, $d.age > 0).@count > 1", [1]),
    ("SUBQUERY(@links.Person.boss, $p, SUBQUERY($p.dogs, $d, $d.age == 7).@count == 1).@count == 1", [1]),
]


@pytest.mark.parametrize(("rql", "expected"), LINKS, ids=[rql for rql, _ in LINKS])
def test_links(rql: str, expected: list[int]) -> None:
    assert found(FARM, "Person", rql, REX) == expected


DOGS = [
    ("scores.a == 1", [0]),
    ("scores.a == NULL", [1, 2]),
    ("scores['k k'] == 2", [0]),
    ("scores == 2", [0]),
    ("scores.@values == NULL", [2]),
    ("scores[$0] == 1", [0]),
    ("scores.@max == 2", [0]),
    ("scores.@keys == 'a'", [0, 2]),
    ("tags[0] == 1", [0]),
    ("tags[$1] == 1", [0]),
    ("tags[0] != 1", [1]),
    ("tags[7] == NULL", []),
    ("tags[7] == ALL tags", []),
    ("ALL tags == tags[7]", [2]),
    ("name.@count == NONE tags", [0]),
    ("m[0] == 1", [0]),
    ("m[1].x == 6", [0, 2]),
    ("m[1].y[LAST] == 8", [0]),
    ("m[1]['y'][0] == 7", [0]),
    ("m.a[0].b == 5", [1]),
    ("m.n == NULL", [1]),
    ("m.zzz == NULL", [1]),
    ("m.zzz.y == NULL", []),
    ("m[*] == 1", [0]),
    ("m[*].x == 6", [0, 2]),
    ("ALL m[*].x == 6", [0, 1, 2]),
    ("NONE m[*].x == 6", [1]),
    ("m.@keys == 'a'", [1]),
    ("m.@count == 2", [0, 1, 2]),
    ("m.@keys.@count == 2", [1]),
    ("m[*].@count == 2", [0, 1]),
    ("m[1].y.@count == 2", [0]),
    ("m[0].@type == 'int'", [0]),
    ("m[*].@type == 'dictionary'", [0, 2]),
    ("m[0] == m[1].x", []),
    ("@links.Note.about.@count == 1", [0]),
    ("@links.Note.refs.@count == 1", [0]),
    ("TRUEPREDICATE SORT(scores['a'] DESC)", [0, 1, 2]),
    ("TRUEPREDICATE SORT(name ASC)", [2, 1, 0]),
    ("TRUEPREDICATE SORT(name DESC) LIMIT(2)", [0, 1]),
    ("TRUEPREDICATE LIMIT(0)", []),
    ("TRUEPREDICATE SORT(price ASC)", [1, 0, 2]),
    ("TRUEPREDICATE DISTINCT(scores['a'])", [0, 1]),
]


@pytest.mark.parametrize(("rql", "expected"), DOGS, ids=[rql for rql, _ in DOGS])
def test_collections_and_mixed_values(rql: str, expected: list[int]) -> None:
    assert found(FARM, "Dog", rql, "a", 0) == expected


# --- sort, distinct, limit --------------------------------------------------------------------------------------------

STAGED = Objects(Schema(S={"a": "int?", "b": "int", "n": "S?", "m": "mixed"}))
S0 = STAGED.add("S", a=2, b=1, m="x")
STAGED.add("S", a=1, b=2, n=S0, m=1)
S2 = STAGED.add("S", a=None, b=1, m=1.0)
STAGED.add("S", a=2, b=2, n=S2, m=Decimal128(1))
STAGED.add("S", a=1, b=1, n=S0, m=True)

STAGES = [
    ("SORT(a ASC)", [2, 1, 4, 0, 3]),
    ("SORT(a DESC)", [0, 3, 1, 4, 2]),
    ("SORT(a ASC, b ASC)", [2, 4, 1, 0, 3]),
    ("SORT(b ASC) SORT(a ASC)", [2, 4, 1, 0, 3]),
    ("SORT(a ASC) SORT(b ASC)", [2, 4, 0, 1, 3]),
    ("SORT(a ASC) LIMIT(3) SORT(b ASC)", [2, 4, 1]),
    ("SORT(n.a ASC)", [3, 1, 4, 0, 2]),
    ("SORT(n.a DESC)", [0, 2, 1, 4, 3]),
    ("SORT(m ASC)", [4, 1, 2, 3, 0]),
    ("DISTINCT(a)", [0, 1, 2]),
    ("DISTINCT(a, b)", [0, 1, 2, 3, 4]),
    ("DISTINCT(m)", [0, 1, 4]),
    ("DISTINCT(n.a)", [1, 3]),
    ("DISTINCT(n)", [0, 1, 3]),
    ("SORT(b DESC) DISTINCT(a)", [1, 3, 2]),
    ("DISTINCT(a) SORT(b DESC)", [1, 0, 2]),
    ("LIMIT(3) DISTINCT(b)", [0, 1]),
    ("DISTINCT(b) LIMIT(1)", [0]),
    ("LIMIT(2) LIMIT(9)", [0, 1]),
]


@pytest.mark.parametrize(("stages", "expected"), STAGES, ids=[stages for stages, _ in STAGES])
def test_stages(stages: str, expected: list[int]) -> None:
    assert found(STAGED, "S", f"TRUEPREDICATE {stages}") == expected


def test_dates_and_data() -> None:
    objects = Objects(Schema(T={"at": "date?", "data": "data?"}))
    objects.add("T", at=Timestamp(-1, -1), data=b"Ab")
    objects.add("T", at=Timestamp(5, 6), data=b"")
    objects.add("T")
    assert found(objects, "T", "at < 1970-01-01@00:00:00") == [0]
    assert found(objects, "T", "at BETWEEN {T-2:0, T5:6}") == [0, 1]
    assert found(objects, "T", "at == 1969-12-31@23:59:59:1") == [0]
    assert found(objects, "T", "data ==[c] binary('aB')") == [0]
    assert found(objects, "T", "data BEGINSWITH binary('A')") == [0]
    assert found(objects, "T", "data LIKE binary('?b')") == [0]
    assert found(objects, "T", "data.@count == 0") == [1]


def test_lengths_of_strings_in_lists() -> None:
    objects = Objects(Schema(W={"words": "string?[]"}))
    objects.add("W", words=["a", "ää", None])
    objects.add("W", words=[])
    assert found(objects, "W", "words.length == 4") == [0]
    assert found(objects, "W", "ALL words.LENGTH < 5") == [1]
    assert found(objects, "W", "words.length == NULL") == [0]


def test_mixed_lists_and_dictionaries() -> None:
    objects: Any = Objects(Schema(M={"l": "mixed[]", "d": "mixed{}"}))
    objects.add("M", l=[1, {"x": [1, 2]}], d={"k": {"x": 3}, "n": 4})
    objects.add("M", l=[], d={})
    assert found(objects, "M", "l == 1") == [0]
    assert found(objects, "M", "l[1].x[0] == 1") == [0]
    assert found(objects, "M", "l[*].x[*] == 2") == [0]
    assert found(objects, "M", "ALL l[*].x[*] > 0") == [0, 1]
    assert found(objects, "M", "d.k.x == 3") == [0]
    assert found(objects, "M", "d[*].x == 3") == [0]
    assert found(objects, "M", "d.@values.x == 3") == [0]
    assert found(objects, "M", "l.@max == 1") == []
    assert found(objects, "M", "d.@sum == 4") == [0]
