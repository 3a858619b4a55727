"""Every operator on every kind of value, null or not; every quantifier on every size; every order of stages: the tables
of spec/sdk.md §7.4, §7.5, §7.9 and §7.11, by the evaluator and in SQL.

What is expected is worked out here from the words of the specification, not by the code under test.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from tests.query.plain import Objects, Schema, found

from syncline import QueryError
from syncline.values import Decimal128, Float32, ObjectId, Timestamp

# --- each operator × {null, value} × {null, value} --------------------------------------------------------------------

#: A smaller and a larger value of each type.
VALUES: dict[str, tuple[Any, Any]] = {
    "int": (1, 2),
    "bool": (False, True),
    "string": ("Z", "a"),
    "data": (b"a", b"a\0"),
    "date": (Timestamp(1, 0), Timestamp(1, 1)),
    "float": (Float32(0.5), Float32(1.5)),
    "double": (0.1, 0.2),
    "decimal": (Decimal128.from_text("0.1"), Decimal128.from_text("0.10001")),
    "objectId": (ObjectId(bytes(12)), ObjectId(b"\1" * 12)),
    "uuid": (UUID(int=1), UUID(int=2)),
    "mixed": ("b", "c"),
}
PLACES = list(itertools.product((None, 0, 1), repeat=2))
CELLS = Objects(
    Schema(
        Cell={**{f"x{t}": f"{t}?" for t in VALUES}, **{f"y{t}": f"{t}?" for t in VALUES}, "l": "Cell?", "m": "Cell?"}
    )
)
FIRST = [CELLS.add("Cell"), CELLS.add("Cell")]
for left, right in PLACES:
    cell = {f"x{name}": None if left is None else pair[left] for name, pair in VALUES.items()}
    cell |= {f"y{name}": None if right is None else pair[right] for name, pair in VALUES.items()}
    CELLS.add("Cell", **cell, l=None if left is None else FIRST[left], m=None if right is None else FIRST[right])

ORDERS: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge
}  # fmt: skip


def related(symbol: str, left: int | None, right: int | None) -> bool:
    """The table *Scalars* of §7.4, of places in an order."""
    if symbol in ("==", "!=", "IN"):
        return (left == right) == (symbol != "!=")
    if left is None or right is None:
        return left is right and symbol in ("<=", ">=")
    return ORDERS[symbol](left, right)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("symbol", ["==", "!=", "<", "<=", ">", ">="])
def test_null_and_values(name: str, symbol: str) -> None:
    rows = list(enumerate(PLACES, 2))
    pairs = [number for number, (left, right) in rows if related(symbol, left, right)]
    assert [n for n in found(CELLS, "Cell", f"x{name} {symbol} y{name}") if n >= 2] == pairs
    negated = found(CELLS, "Cell", f"NOT x{name} {symbol} y{name}")
    assert [n for n in negated if n >= 2] == [n for n, _ in rows if n not in pairs]
    for place in (None, 0, 1):
        constant = None if place is None else VALUES[name][place]
        right = [n for n, (left, _) in rows if related(symbol, left, place)]
        assert [n for n in found(CELLS, "Cell", f"x{name} {symbol} $0", constant) if n >= 2] == right
        left = [n for n, (left, _) in rows if related(symbol, place, left)]
        assert [n for n in found(CELLS, "Cell", f"$0 {symbol} x{name}", constant) if n >= 2] == left


def test_null_and_links() -> None:
    for symbol in ("==", "!="):
        expected = [n for n, (left, right) in enumerate(PLACES, 2) if related(symbol, left, right)]
        assert [n for n in found(CELLS, "Cell", f"l {symbol} m") if n >= 2] == expected
        for place in (None, 0, 1):
            link = None if place is None else FIRST[place]
            expected = [n for n, (left, _) in enumerate(PLACES, 2) if related(symbol, left, place)]
            assert [n for n in found(CELLS, "Cell", f"l {symbol} $0", link) if n >= 2] == expected


@pytest.mark.parametrize("name", [*VALUES, "l"])
def test_null_and_values_in_lists(name: str) -> None:
    path, known = ("l", FIRST) if name == "l" else (f"x{name}", VALUES[name])
    for places in itertools.chain.from_iterable(itertools.combinations((None, 0, 1), size) for size in range(4)):
        listed = [None if place is None else known[place] for place in places]
        expected = [n for n, (left, _) in enumerate(PLACES, 2) if left in places]
        assert [n for n in found(CELLS, "Cell", f"{path} IN $0", listed) if n >= 2] == expected
        assert [n for n in found(CELLS, "Cell", f"{path} == NONE $0", listed) if n >= 2] == [
            n for n in range(2, 11) if n not in expected
        ]


WORDS = [None, "", "a", "AB", "bab"]
TEXTS = Objects(Schema(Text={"x": "string?", "y": "string?", "a": "data?", "b": "data?", "m": "mixed", "n": "mixed"}))
for x, y in itertools.product(WORDS, repeat=2):
    a, b = (None if word is None else word.encode() for word in (x, y))
    TEXTS.add("Text", x=x, y=y, a=a, b=b, m=x, n=y)


def textual(symbol: str, subject: str | None, needle: str | None) -> bool:
    """The rules of §7.5: a null needle is in everything, but like null only."""
    if symbol.endswith("[c]"):
        symbol = symbol.removesuffix("[c]")
        subject, needle = subject and subject.lower(), needle and needle.lower()
    if symbol in ("==", "!="):
        return (subject == needle) == (symbol == "==")
    if needle is None:
        return symbol != "LIKE" or subject is None
    if subject is None:
        return False
    whole = {
        "BEGINSWITH": subject.startswith(needle),
        "ENDSWITH": subject.endswith(needle),
        "CONTAINS": needle in subject,
        "LIKE": subject == needle,
    }
    return whole[symbol]


STRING_OPERATORS = ["BEGINSWITH", "ENDSWITH", "CONTAINS", "LIKE"]


@pytest.mark.parametrize("symbol", [*STRING_OPERATORS, *(f"{each}[c]" for each in ["==", "!=", *STRING_OPERATORS])])
@pytest.mark.parametrize(("left", "right"), ["xy", "ab", "mn", "xn", "my"])
def test_null_and_values_of_string_operators(symbol: str, left: str, right: str) -> None:
    pairs = list(enumerate(itertools.product(WORDS, repeat=2)))
    assert found(TEXTS, "Text", f"{left} {symbol} {right}") == [n for n, (x, y) in pairs if textual(symbol, x, y)]
    for word in WORDS:
        constant = word.encode() if left == "a" and word is not None else word
        expected = [n for n, (x, _) in pairs if textual(symbol, x, word)]
        assert found(TEXTS, "Text", f"{left} {symbol} $0", constant) == expected
        nothing = word is None and symbol.removesuffix("[c]") in ("BEGINSWITH", "ENDSWITH", "CONTAINS")
        expected = [n for n, (x, _) in pairs if not nothing and textual(symbol, word, x)]
        assert found(TEXTS, "Text", f"$0 {symbol} {left}", constant) == expected


# --- each operator × quantifiers × sizes ------------------------------------------------------------------------------

PREFIXES = ["", "ANY ", "ALL ", "NONE "]
CONTENTS: list[list[int | None]] = [[], [1], [None], [1, 2], [2, 1], [2, 2], [1, None, 2], [3, 1, 1, 2]]
LISTS = Objects(
    Schema(Lists={"x": "int?[]", "y": "int?[]", "s": "int<>", "d": "int?{}", "o": "Lists?", "many": "Lists[]"})
)
for x, y in itertools.product(CONTENTS, repeat=2):
    known = {value for value in x if value is not None}
    LISTS.add("Lists", x=x, y=y, s=known, d={f"k{n}": value for n, value in enumerate(x)})


def quantified(left: str, right: str, symbol: str, xs: list[int | None], ys: list[int | None]) -> bool:
    """*Plural operands* of §7.4, rules 2, 3 and 4."""
    if not left and not right:
        return all(map(lambda x, y: related(symbol, x, y), xs, ys)) if len(xs) == len(ys) else symbol == "!="

    def of(prefix: str, tests: list[bool]) -> bool:
        return {"ALL ": all(tests), "NONE ": not any(tests)}.get(prefix, any(tests))

    return of(left, [of(right, [related(symbol, x, y) for y in ys]) for x in xs])


@pytest.mark.parametrize("symbol", ["==", "!=", "<", "<=", ">", ">=", "IN"])
@pytest.mark.parametrize(("left", "right"), list(itertools.product(PREFIXES, repeat=2)))
def test_quantifiers(symbol: str, left: str, right: str) -> None:
    rows = list(enumerate(itertools.product(CONTENTS, repeat=2)))
    expected = [n for n, (x, y) in rows if quantified(left, right, symbol, x, y)]
    assert found(LISTS, "Lists", f"{left}x {symbol} {right}y") == expected
    for constants in ([], [2], [2, 1], [1, None, 3]):
        text = ", ".join("NULL" if each is None else str(each) for each in constants)
        expected = [n for n, (x, _) in rows if quantified(left, right, symbol, x, constants)]
        assert found(LISTS, "Lists", f"{left}x {symbol} {right}{{{text}}}") == expected
    text, constants = "1, NULL", [1, None]
    expected = [n for n, (x, _) in rows if quantified(left, right, symbol, constants, x)]
    assert found(LISTS, "Lists", f"{left}{{{text}}} {symbol} {right}x") == expected


@pytest.mark.parametrize("symbol", ["==", "!=", "<", ">="])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_quantifiers_of_sets_dictionaries_and_one_value(symbol: str, prefix: str) -> None:
    rows = list(enumerate(itertools.product(CONTENTS, repeat=2)))
    for value in (1, 2, None):
        text = "NULL" if value is None else str(value)
        for path, content in (("x", list), ("d", list), ("d.@values", list), ("s", lambda x: sorted(set(x) - {None}))):
            expected = [n for n, (x, _) in rows if quantified(prefix, "ANY ", symbol, content(x), [value])]
            assert found(LISTS, "Lists", f"{prefix}{path} {symbol} {text}") == expected


# --- null at every hop ------------------------------------------------------------------------------------------------

CHAIN = Objects(Schema(Link={"x": "int?", "n": "Link?", "d": "Link?{}"}))
ends = [CHAIN.add("Link", x=5), CHAIN.add("Link", x=None), CHAIN.add("Link", x=7)]
for end in ends:
    CHAIN.add("Link", n=end, d={"k": end})
for number in range(3, 6):
    CHAIN.add("Link", n=CHAIN.add("Link", n=type(ends[0])(1, number)))


@pytest.mark.parametrize("hops", range(5))
@pytest.mark.parametrize("symbol", ["==", "!=", "<", "<=", ">", ">="])
def test_null_at_every_hop(hops: int, symbol: str) -> None:
    def end(number: int) -> int | None:
        for _ in range(hops):
            link = CHAIN.rows[1][number].get("n")
            if link is None:
                return None
            number = link.object_key
        value = CHAIN.rows[1][number].get("x")
        assert value is None or isinstance(value, int)
        return value

    numbers = range(len(CHAIN.rows[1]))
    for constant in (None, 5, 7):
        text = "NULL" if constant is None else str(constant)
        expected = [n for n in numbers if related(symbol, end(n), constant)]
        assert found(CHAIN, "Link", f"{'n.' * hops}x {symbol} {text}") == expected
    assert found(CHAIN, "Link", f"d.k.x {symbol} 5") == [n for n in numbers if related(symbol, {3: 5, 5: 7}.get(n), 5)]


# --- numbers ----------------------------------------------------------------------------------------------------------

NUMBERS: list[Any] = [0, -0.0, 2**53 - 1, 2**53, 2**53 + 1, float(2**53), -(2**63), 2**63 - 1, float(2**63)]
NUMBERS += [math.nan, math.inf, -math.inf, 0.1, Float32(0.1), Decimal("0.1"), Decimal("0.10"), Decimal("1.50"), 1.5]
NUMBERS += [Decimal(2**53 + 1), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+2"), 100]
NUMERIC = Objects(Schema(Number={"i": "int?", "f": "float?", "d": "double?", "x": "decimal?", "m": "mixed"}))
for value in NUMBERS:
    stored = Decimal128.from_decimal(value) if isinstance(value, Decimal) else value
    kept: dict[str, Any] = {"m": stored}
    if isinstance(value, int):
        kept |= {"i": value, "x": Decimal128.from_decimal(value)}
    elif isinstance(value, Decimal):
        kept |= {"x": stored}
    else:
        kept |= {"d": float(value), "f": Float32(value)}
    NUMERIC.add("Number", **kept)


def exact(value: Any) -> Any:
    """The number itself; NaN has none, null neither."""
    value = value.to_decimal() if isinstance(value, Decimal128) else value
    if value is None or value != value:
        return None
    return float(value) if value in (math.inf, -math.inf) else Fraction(value)


@pytest.mark.parametrize("path", "ifdxm")
@pytest.mark.parametrize("symbol", ["==", "!=", "<", "<=", ">", ">="])
def test_numbers_compare_by_value(path: str, symbol: str) -> None:
    """Between whatever types, but for what a constant becomes beside the property (§7.9)."""
    compare = {"==": operator.eq, "!=": operator.ne, **ORDERS}[symbol]
    for constant in NUMBERS:
        one = constant
        if path == "f" and isinstance(constant, float) and math.isfinite(constant):
            one = Float32(constant)
        if path == "x" and isinstance(constant, float) and math.isfinite(constant):
            one = Decimal(str(constant))
        expected = []
        for number, row in enumerate(NUMERIC.rows[1]):
            left, right = exact(row.get(path)), exact(one)
            if compare(left, right) if left is not None and right is not None else symbol == "!=":
                expected.append(number)
        try:
            assert found(NUMERIC, "Number", f"{path} {symbol} $0", constant) == expected, constant
        except QueryError:
            assert path == "i"
            assert isinstance(constant, float)
            assert not math.isfinite(constant)


# --- sort, distinct and limit in every order --------------------------------------------------------------------------

STAGED = Objects(Schema(Row={"a": "int?", "b": "string?", "n": "Row?", "s": "int?{}"}))
for a, b, n in (
    (2, "x", None),
    (1, "y", 0),
    (None, "x", 2),
    (2, None, 0),
    (1, "x", 1),
    (2, "y", None),
    (None, None, 3),
):
    row = {} if a is None else {"k": a + len(b or "")}
    STAGED.add("Row", a=a, b=b, n=None if n is None else type(FIRST[0])(1, n), s=row)

#: What a path leads to: whether there is an object, and its value.
REACHED: dict[str, Callable[[dict[str, Any]], tuple[bool, Any]]] = {
    "a": lambda row: (True, row["a"]),
    "b": lambda row: (True, row["b"]),
    "n.a": lambda row: (False, None) if row["n"] is None else (True, STAGED.rows[1][row["n"].object_key]["a"]),
    "s['k']": lambda row: (True, row["s"].get("k")),
}


def staged(stages: tuple[tuple[str, Any, bool], ...]) -> list[int]:
    """§7.11: stage by stage; a sort that directly follows another leaves the order of its equals as that was."""
    numbers, rows = list(range(len(STAGED.rows[1]))), STAGED.rows[1]
    for kind, what, ascending in stages:
        if kind == "LIMIT":
            numbers = numbers[:what]
            continue
        reached = {number: REACHED[what](rows[number]) for number in numbers}
        if kind == "SORT":  # null values first, then values, then objects behind null links
            ranks = {n: (not there, value is not None, value or 0) for n, (there, value) in reached.items()}
            numbers.sort(key=lambda n, ranks=ranks: ranks[n], reverse=not ascending)  # type: ignore[misc]
        else:
            firsts: dict[Any, int] = {}
            for number in numbers:
                if reached[number][0]:
                    firsts.setdefault(reached[number][1], number)
            numbers = list(firsts.values())
    return numbers


ONE_STAGE = [("SORT", "a", True), ("SORT", "n.a", False), ("SORT", "s['k']", True), ("LIMIT", 4, True)]
ONE_STAGE += [("DISTINCT", "b", True), ("DISTINCT", "n.a", True)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_stages_in_every_order(count: int) -> None:
    for stages in itertools.product(ONE_STAGE if count < 3 else ONE_STAGE[1:5], repeat=count):
        text = "TRUEPREDICATE"
        for kind, what, ascending in stages:
            direction = f" {'ASC' if ascending else 'DESC'}" if kind == "SORT" else ""
            text += f" {kind}({what}{direction})"
        assert found(STAGED, "Row", text) == staged(stages), text


@pytest.mark.parametrize("path", REACHED)
def test_every_sort_key_up_and_down(path: str) -> None:
    for ascending in (True, False):
        direction = "ASC" if ascending else "DESC"
        stages = (("SORT", path, ascending),)
        assert found(STAGED, "Row", f"TRUEPREDICATE SORT({path} {direction})") == staged(stages)
        both = (("SORT", "b", False), *stages)
        assert found(STAGED, "Row", f"TRUEPREDICATE SORT({path} {direction}, b DESC)") == staged(both)
    assert found(STAGED, "Row", f"TRUEPREDICATE DISTINCT({path})") == staged((("DISTINCT", path, True),))


# --- folding and patterns ---------------------------------------------------------------------------------------------

LETTERS = ["À", "à", "Þ", "þ", "×", "÷", "ß", "ẞ", "ÿ", "Ÿ", "Σ", "σ", "Ж", "ж", "Ā", "ā", "İ", "i", "I", "ı", "A", "a"]
LETTERS += ["é", "e\u0301", "E\u0301", "É"]
#: Pairs that [c] makes equal, and no others.
FOLDED = [{"À", "à"}, {"Þ", "þ"}, {"i", "I"}, {"A", "a"}, {"é", "É"}, {"e\u0301", "E\u0301"}]
ALPHABET = Objects(Schema(Letter={"s": "string?", "m": "mixed"}))
for letter in LETTERS:
    ALPHABET.add("Letter", s=f"<{letter}>", m=letter)


@pytest.mark.parametrize("letter", LETTERS)
def test_folding_letter_by_letter(letter: str) -> None:
    alike = next((pair for pair in FOLDED if letter in pair), {letter})
    expected = [n for n, each in enumerate(LETTERS) if each in alike]
    for text, constant in (
        ("s ==[c] $0", f"<{letter}>"),
        ("s IN[c] $0", [f"<{letter}>", "<>"]),
        ("NOT s !=[c] $0", f"<{letter}>"),
        ("s BEGINSWITH[c] $0", f"<{letter}>"),
        ("s ENDSWITH[c] $0", f"{letter}>"),
        ("s LIKE[c] $0", f"?{letter}*"),
        ("m ==[c] $0", letter),
    ):
        assert found(ALPHABET, "Letter", text, constant) == expected, text
    for text in ("m == $0", "s CONTAINS $0", "s LIKE $0"):
        exact = [n for n, each in enumerate(LETTERS) if each == letter]
        constant = f"*{letter}>" if "LIKE" in text else letter if "m" in text else f"<{letter}>"
        assert found(ALPHABET, "Letter", text, constant) == exact, text


PATTERNS = Objects(Schema(Word={"s": "string?"}))
WHOLE = ["", "a", "ab", "a😀b", "[ab]", "a%", "a_", "a*b", "a?b", "a\nb", None, "^a$", "a\\b", "e\u0301"]
for word in WHOLE:
    PATTERNS.add("Word", s=word)


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("*", [word for word in WHOLE if word is not None]),
        ("", [""]),
        ("?", ["a"]),
        ("??", ["ab", "a%", "a_", "e\u0301"]),
        ("a?b", ["a😀b", "a*b", "a?b", "a\nb", "a\\b"]),
        ("a*b", ["ab", "a😀b", "a*b", "a?b", "a\nb", "a\\b"]),
        ("*😀*", ["a😀b"]),
        ("[ab]", ["[ab]"]),
        ("[*", ["[ab]"]),
        ("a%", ["a%"]),
        ("a_", ["a_"]),
        ("**a**b**", ["ab", "a😀b", "[ab]", "a*b", "a?b", "a\nb", "a\\b"]),
        ("^a$", ["^a$"]),
        ("a\\b", ["a\\b"]),
        ("A", []),
    ],
)
def test_patterns(pattern: str, matching: list[str]) -> None:
    expected = [n for n, word in enumerate(WHOLE) if word in matching]
    assert found(PATTERNS, "Word", "s LIKE $0", pattern) == expected
    assert found(PATTERNS, "Word", "s LIKE[c] $0", pattern) == (expected if pattern != "A" else [1])
