"""Query texts: every token, soft keywords, and what is said of texts that are wrong (spec/sdk.md §7.1, §7.2, §16)."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline import ObjectId, QuerySyntaxError, Timestamp
from syncline.query.ast import (
    Aggregate,
    Aggregation,
    Always,
    And,
    Argument,
    Arithmetic,
    Between,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    FloatLiteral,
    Index,
    KeyPathArgument,
    Limit,
    LinkLiteral,
    Not,
    ObjectLiteral,
    Operator,
    Or,
    Path,
    Position,
    Quantifier,
    Query,
    ShapeLiteral,
    Size,
    Sort,
    SortKey,
    Subquery,
    TypeOf,
    Within,
)
from syncline.query.lexer import tokens
from syncline.query.parser import parse
from syncline.values import Decimal128, Float32


def right(rql: str) -> Any:
    """The right side of a comparison."""
    node = parse(rql).predicate
    assert isinstance(node, Compare)
    return node.right


def left(rql: str) -> Any:
    node = parse(rql).predicate
    assert isinstance(node, Compare | Between | Within)
    return node.left if isinstance(node, Compare) else node.operand if isinstance(node, Between) else node.path


def path(*elements: Any) -> Path:
    return Path(tuple(Index(e) if isinstance(e, int | Position | Argument) else e for e in elements))


def words(text: str) -> list[str]:
    return text.split()


OPERATORS = [
    *(("==", Operator.EQ), ("=", Operator.EQ), ("!=", Operator.NE), ("<>", Operator.NE), ("<", Operator.LT)),
    *(("<=", Operator.LE), ("=<", Operator.LE), (">", Operator.GT), (">=", Operator.GE), ("=>", Operator.GE)),
    *(("IN", Operator.IN), ("in", Operator.IN), ("beginswith", Operator.BEGINSWITH), ("EndsWith", Operator.ENDSWITH)),
    *(("CONTAINS", Operator.CONTAINS), ("lIKE", Operator.LIKE), ("text", Operator.TEXT)),
]


@pytest.mark.parametrize(("text", "operator"), OPERATORS)
def test_operators(text: str, operator: Operator) -> None:
    assert parse(f"a {text} b").predicate == Compare(operator, path("a"), path("b"))


@pytest.mark.parametrize("text", ["==", "=", "!=", "<>", "IN", "beginswith", "ENDSWITH", "contains", "like"])
def test_ignoring_case(text: str) -> None:
    node = parse(f"a {text}[c] b").predicate
    assert isinstance(node, Compare)
    assert node.fold
    assert parse(f"a {text} [c] b").predicate == node


#: Words of the table of tokens: how each may be written, what the token is, and writings that are only names.
ANY_CASE = words("and or beginswith endswith contains like text between geowithin truepredicate falsepredicate sort")
ANY_CASE += words("distinct limit bin binary obj ascending asc descending desc subquery geobox geopolygon geocircle")
ANY_CASE += words("null nil inf infinity nan")
AS_WRITTEN = words("in IN not NOT any ANY some SOME all ALL none NONE FIRST first LAST last SIZE size")
AS_WRITTEN += words("true TRUE false FALSE")
NAMES = words(
    "In iN Not Any aNY Some All None First LaSt Size True faLSe and1 xor _or ins T1 O L1 B64 uuid oid decimal"
)


@pytest.mark.parametrize("word", ANY_CASE)
def test_words_in_any_case(word: str) -> None:
    kinds = {
        token.kind
        for form in (word, word.upper(), word.title(), word[:-1] + word[-1].upper())
        for token in tokens(form)
    }
    assert len(kinds) == 1
    assert kinds != {"ID"}


def test_words_that_are_written_one_way() -> None:
    assert all(next(tokens(word)).kind != "ID" for word in AS_WRITTEN)
    assert [word for word in NAMES if next(tokens(word)).kind != "ID"] == []


LEXEMES = [
    ("+ - * / [ ] ( ) { } , .", "PLUS MINUS STAR SLASH LSQB RSQB LPAR RPAR LBRACE RBRACE COMMA DOT"),
    ("== = != <> < <= =< > >= => && || !", "EQ EQ NE NE LT LE LE GT GE GE AND OR NOT"),
    ("[c] @size @count @max @min @sum @avg", "FOLD COUNT COUNT AGGREGATE AGGREGATE AGGREGATE AGGREGATE"),
    ("@links @type @keys @values", "LINKS TYPE KEYS VALUES"),
    ("inf +INF -Infinity nan -NaN +nan", "INF INF INF NAN NAN NAN"),
    ("uuid(3b241101-e2bb-4255-8caf-4136C566a962) oid(64b0000000000000000000AB)", "UUID OID"),
    ("T1:2 T-1:-2 T+1:+2 2020-1-2@3:4:5 02020-01-02T03:04:05:678", "TIMESTAMP " * 5),
    ("O1 L1:2 7 $7 $K7 +7 -7 0x7f -0X7F", "OBJECT_KEY TYPED_LINK NATURAL ARG KEYPATH NUMBER NUMBER NUMBER NUMBER"),
    ("10. .5 -1.5e-3 1e3 5f -5f 1.5f 1E+2", "FLOAT " * 8),
    ('B64"YQ==" \'a"\' "a\'" \'\' "\\u00e4\\\\"', "BASE64 STRING STRING STRING STRING"),
    ("a _ $ $x a-1 a1 é 名前 a\\ b \\nx x\\t 😀", "ID " * 12),
    ("1a 5ff 1..2 a.b", "NATURAL ID FLOAT ID FLOAT FLOAT ID DOT ID"),
    ("a==b a=>b a=b -1-1 1-1 a- b", "ID EQ ID ID GE ID ID EQ ID NUMBER NUMBER NATURAL NUMBER ID ID"),
]


@pytest.mark.parametrize(("text", "kinds"), LEXEMES, ids=[text[:20] for text, _ in LEXEMES])
def test_the_table_of_tokens(text: str, kinds: str) -> None:
    assert [token.kind for token in tokens(text)] == kinds.split()


LITERALS: list[tuple[str, Any]] = [
    ("0", 0),
    ("42", 42),
    ("+7", 7),
    ("-7", -7),
    ("0x10", 16),
    ("-0xFF", -255),
    ("9223372036854775807", 2**63 - 1),
    ("-9223372036854775808", -(2**63)),
    ("1.5", 1.5),
    ("10.", 10.0),
    (".5", 0.5),
    ("-.5e-3", -0.0005),
    ("1e3", 1000.0),
    ("5f", Float32(5)),
    ("0.1f", Float32(0.1)),
    ("inf", math.inf),
    ("-INFINITY", -math.inf),
    ("+Inf", math.inf),
    ("true", True),
    ("FALSE", False),
    ("null", None),
    ("NIL", None),
    ("'it'", "it"),
    ("\"a 'b' c\"", "a 'b' c"),
    (r"'a\'b'", r"a\'b"),
    (r'"\"\/\b\f\n\r\t\0\\\u00e4"', r"\"\/\b\f\n\r\t\0\\\u00e4"),
    ("'é😀'", "é😀"),
    ('B64"YWI="', "ab"),
    ('B64"/w=="', "\udcff"),
    ("binary('abc')", b"abc"),
    ('bin(B64"/wA=")', b"\xff\0"),
    ("uuid(3b241101-e2bb-4255-8caf-4136c566a962)", UUID("3b241101-e2bb-4255-8caf-4136c566a962")),
    ("oid(64b0000000000000000000AB)", ObjectId("64b0000000000000000000ab")),
    ("T5:6", Timestamp(5, 6)),
    ("T-5:-6", Timestamp(-5, -6)),
    ("T0:0", Timestamp(0, 0)),
    ("T" + "0" * 99 + "5:006", Timestamp(5, 6)),
    ("0" * 20 + "1970-01-01@0:0:01", Timestamp(1, 0)),
    ("1970-01-01@00:00:01", Timestamp(1, 0)),
    ("1970-1-1T0:0:1:7", Timestamp(1, 7)),
    ("1969-12-31@23:59:59:1", Timestamp(-1, -1)),
    ("2039-1-1@0:0:0", Timestamp(2177452800, 0)),
    ("O5", LinkLiteral(None, 5)),
    ("L1:2", LinkLiteral(1, 2)),
    ("obj('Dog', 5)", ObjectLiteral("Dog", 5)),
    ('obj("Dog", oid(64b000000000000000000000))', ObjectLiteral("Dog", ObjectId("64b000000000000000000000"))),
    ("decimal(0.1)", Decimal128.from_text("0.1")),
]


@pytest.mark.parametrize(("text", "value"), LITERALS, ids=[text for text, _ in LITERALS])
def test_literals(text: str, value: Any) -> None:
    operand = right(f"a == {text}")
    assert isinstance(operand, Constant)
    assert operand.value == value
    assert type(operand.value) in (type(value), FloatLiteral)


@pytest.mark.parametrize(("text", "sign"), [("nan", 1.0), ("NaN", 1.0), ("-nan", -1.0)])
def test_nan(text: str, sign: float) -> None:
    value = right(f"a == {text}").value
    assert math.isnan(value)
    assert math.copysign(1.0, value) == sign


def test_lists_and_arguments() -> None:
    assert right("a IN {}") == ConstantList(())
    assert right("a IN {1, 'x', NULL, $1}") == ConstantList((1, "x", None, Argument(1)))
    assert right("a == ANY {1}") == ConstantList((1,), Quantifier.ANY)
    assert right("a == some {1}") == ConstantList((1,), Quantifier.ANY)
    assert right("a IN NONE $0") == Argument(0, Quantifier.NONE)
    assert right("a == $12") == Argument(12)
    assert right("a == obj('Dog', $0)") == Constant(ObjectLiteral("Dog", Argument(0)))


PATHS: list[tuple[str, Any]] = [
    ("a.b.c", path("a", "b", "c")),
    ("a[0].b", path("a", 0, "b")),
    ("a[FIRST]", path("a", Position.FIRST)),
    ("a[last]", path("a", Position.LAST)),
    ("a[*].b", path("a", Position.ALL, "b")),
    ("a['k k']", Path(("a", Index("k k")))),
    ("a[$1]", path("a", Argument(1))),
    ("$K0.b", Path((KeyPathArgument(0), "b"))),
    ("ALL a.b", Path(("a", "b"), Quantifier.ALL)),
    ("a.@keys", path("a", "@keys")),
    ("a.@values.b", path("a", "@values", "b")),
    ("@links.Dog.owner.name", path("@links", "Dog", "owner", "name")),
    ("a.@links.Dog.owner", path("a", "@links", "Dog", "owner")),
    ("a-1", path("a-1")),
    ("_x$y", path("_x$y")),
    ("naïve.名前", path("naïve", "名前")),
    (r"my\ name", path("my name")),
    (r"n\ot.\all.a\.b", path("not", "all", "a.b")),
    ("T1", path("T1")),
    ("Other", path("Other")),
    ("$x.a", path("$x", "a")),
    ("a.@count", Size(path("a"))),
    ("a.@size", Size(path("a"))),
    ("a[SIZE]", Size(path("a"))),
    ("@links.@count", Size(path("@links"))),
    ("NONE a.@count", Size(Path(("a",), Quantifier.NONE))),
    ("a.@type", TypeOf(path("a"))),
    ("a.@max", Aggregate(Aggregation.MAX, path("a"))),
    ("a.b.@max.c", Aggregate(Aggregation.MAX, path("a", "b"), path("c"))),
]


@pytest.mark.parametrize(("text", "expected"), PATHS, ids=[text for text, _ in PATHS])
def test_paths(text: str, expected: Any) -> None:
    assert left(f"{text} == 1") == expected


SOFT = words("beginswith endswith contains like between in text sort distinct limit asc ascending desc descending")
SOFT += words("bin binary first last size FIRST LAST SIZE IN")


@pytest.mark.parametrize("word", SOFT)
def test_soft_keywords_are_names(word: str) -> None:
    assert left(f"{word} == 1") == path(word)
    assert left(f"a.{word} == 1") == path("a", word)
    assert right(f"a {word} {word}" if word.lower() in ("contains", "in") else f"a == {word}") == path(word)
    query = parse(f"{word} == 1 SORT({word} ASC) DISTINCT({word})")
    assert query.stages == (Sort((SortKey(path(word)),)), Distinct((path(word),)))


HARD = words("any all none some and or not true false null nil inf nan obj subquery geobox geopolygon geocircle")
HARD += words("geowithin truepredicate falsepredicate O1 L1:2")


@pytest.mark.parametrize("word", HARD)
def test_hard_keywords_are_no_names(word: str) -> None:
    try:
        assert not isinstance(left(f"{word} == 1"), Path)
    except QuerySyntaxError:
        pass
    with pytest.raises(QuerySyntaxError):
        parse(f"a.{word} == 1")


def test_logic() -> None:
    a, b, c = (Compare(Operator.EQ, path(name), Constant(1)) for name in "abc")
    assert parse("a = 1 or b = 1 and c = 1").predicate == Or((a, And((b, c))))
    assert parse("a = 1 || b = 1 && NOT c = 1").predicate == Or((a, And((b, Not(c)))))
    assert parse("not a = 1 AND b = 1").predicate == And((Not(a), b))
    assert parse("!(a = 1 OR b = 1)").predicate == Not(Or((a, b)))
    assert parse("((a = 1))").predicate == a
    assert parse("TRUEPREDICATE or falsePredicate").predicate == Or((Always(True), Always(False)))


def test_a_parenthesis_opens_a_predicate_or_a_value() -> None:
    total = parse("(a + 1) * 2 == 4").predicate
    assert isinstance(total, Compare)
    assert isinstance(total.left, Arithmetic)
    assert isinstance(total.left.left, Arithmetic)
    assert parse("(a == 1)").predicate == Compare(Operator.EQ, path("a"), Constant(1))
    assert parse("((a)) == (1)").predicate == Compare(Operator.EQ, path("a"), Constant(1))
    assert left("a - 1 - 2 == 0") == left("(a - 1) - 2 == 0")
    assert left("a + 2 * 3 == 0") == left("a + (2 * 3) == 0")


def test_subqueries_between_and_shapes() -> None:
    node = left("SUBQUERY(dogs, $d, $d.age > 1).@size > 2")
    assert node == Subquery(path("dogs"), "$d", Compare(Operator.GT, path("$d", "age"), Constant(1)))
    assert parse("a BETWEEN {1, $0}").predicate == Between(path("a"), Constant(1), Argument(0))
    box = parse("p GEOWITHIN geoBox([1, 2], [-3.5, -4])").predicate
    assert box == Within(path("p"), ShapeLiteral("geoBox", (((1.0, 2.0), (-3.5, -4.0)),)))
    circle = parse("p geowithin geoCircle([$0, 2, 7], $1)").predicate
    assert circle == Within(path("p"), ShapeLiteral("geoCircle", (((Argument(0), 2.0, 7.0),),), Argument(1)))
    polygon = parse("p geowithin geoPolygon({[0,0],[1,0],[0,1],[0,0]}, {[2,2],[3,2],[2,3],[2,2]})").predicate
    assert isinstance(polygon, Within)
    assert isinstance(polygon.shape, ShapeLiteral)
    assert [len(ring) for ring in polygon.shape.rings] == [4, 4]
    assert parse("p GEOWITHIN $0").predicate == Within(path("p"), Argument(0))


def test_stages() -> None:
    query = parse("a == 1 SORT(b ASC, c.d descending) DISTINCT(e, f['k']) LIMIT(3) sort(g asc)")
    assert query.stages == (
        Sort((SortKey(path("b")), SortKey(path("c", "d"), False))),
        Distinct((path("e"), Path(("f", Index("k"))))),
        Limit(3),
        Sort((SortKey(path("g")),)),
    )


WRONG: list[tuple[str, int, str]] = [
    ("", 0, "TRUEPREDICATE finds all"),
    ("   ", 0, "ends too early; expected a property or a value"),
    ("a..b == 1", 2, "'.' is not expected here; expected a property"),
    ("0===>0", 3, "'=>' is not expected here"),
    ("a IN (1)", 5, "IN needs a list, which is written in braces"),
    ("a contains1", 2, "'contains1' is not expected here; expected an operator"),
    ("TRUEPREDICATE SORT(p)", 20, r"'\)' is not expected here; expected ASC or DESC"),
    ("SORT(p ASC)", 4, r"'\(' is not expected here"),
    ("TRUEPREDICATE LIMIT(-1)", 20, "expected a number"),
    ("TRUEPREDICATE LIMIT(1.5)", 20, "expected a number"),
    ("a -1 == 3", 2, "a sign sticks to the number"),
    ("a == 010", 5, "would be an octal number elsewhere: write 10"),
    ("a == -08", 5, "write -8"),
    ("a == 9223372036854775808", 5, "does not fit into 64 bits"),
    ("a == " + "9" * 5000, 5, "does not fit into 64 bits"),
    ("a ==[l] 'x'", 4, r"is one of \[c\], \[d\] and \[cd\]"),
    ("a ==[ c] 'x'", 4, "not expected"),
    ("a <[c] 'x'", 3, "not expected"),
    ("a == 'x", 5, "a string that does not end"),
    (r"a == 'a\q'", 5, "a backslash that escapes nothing"),
    ("a == #", 5, "'#' means nothing here"),
    ("a.@foo == 1", 2, "'@foo' is unknown; there are @count"),
    ("a == {1, b}", 9, "expected a value"),
    ("a == {1, {2}}", 9, "expected a value"),
    ("a", 0, "a comparison is expected here, not a value alone"),
    ("a == 1 and b", 11, "a comparison is expected here"),
    ("a == (b == 1)", 5, "a value is expected here, not a condition"),
    ("(a == 1", 7, "expected .*a closing parenthesis"),
    ("a == 1)", 6, r"'\)' is not expected here"),
    ("a == 1 b == 1", 7, "expected AND or OR"),
    ("a BETWEEN {1}", 10, "needs a list of two values, not 1"),
    ("a BETWEEN ANY {1, 2}", 10, "expected an opening brace"),
    ("a == T1:-2", 5, "must have the same sign"),
    ("a == T1:1000000000", 5, "are a second or more"),
    ("a == T9999999999999999999:0", 5, "the seconds of a date do not fit"),
    ("a == 1234567890-1-1@0:0:0", 5, "1234567890 is no part of a date"),
    ("a == 1899-1-1@0:0:0", 5, "the year 1899 is before 1900"),
    ("a == 2020-13-1@0:0:0", 5, "month must be in"),
    ('a == B64"a"', 5, "this is no base64"),
    ("a == uuid (3b241101-e2bb-4255-8caf-4136c566a962)", 10, "not expected here"),
    ("a == $12345678", 5, "so many cannot be given"),
    ("$K12345678 == 1", 0, "so many cannot be given"),
    ("a == T" + "1" * 5000 + ":0", 5, "the seconds of a date do not fit into 64 bits"),
    ("a == T0:" + "1" * 5000, 5, "nanoseconds are a second or more"),
    ("a == 0x" + "f" * 5000, 5, "0x" + "f" * 28 + " does not fit into 64 bits"),
    ("a == 0" + "1" * 5000, 5, "would be an octal number"),
    ("a == @Count", 5, "'@Count' is unknown"),
    ("a == All {1}", 9, "not expected here"),
    ("SUBQUERY(d, x, a == 1).@count > 1", 12, r"begins with \$"),
    ("SUBQUERY(d, $x, a == 1) > 1", 24, "expected a dot"),
    ("SUBQUERY(d, $x, a == 1).@max > 1", 24, "expected .@count"),
    ("1 GEOWITHIN $0", 0, "GEOWITHIN needs a property"),
    ("a GEOWITHIN geoBox([1,2])", 12, r"a box is geoBox\(\["),
    ("a GEOWITHIN geoCircle([1,2])", 12, "a circle is"),
    ("a GEOWITHIN geoPolygon([1,2])", 12, "a polygon is"),
    ("all == 1", 4, "expected a property, a list or an argument"),
    ("a.all == 1", 2, r"can be given as a key path: \$K0"),
    ("a[-1] == 1", 2, "expected an index or a key"),
    ("$0.a == 1", 2, "not expected"),
    ("a == 1 SORT(b ASC) and c == 1", 19, "'and' is not expected here"),
    ("a == \n  b c", 10, "expected"),
]


@pytest.mark.parametrize(("text", "position", "reason"), WRONG, ids=[text[:30] for text, _, _ in WRONG])
def test_wrong_texts(text: str, position: int, reason: str) -> None:
    with pytest.raises(QuerySyntaxError, match=reason) as caught:
        parse(text)
    assert caught.value.position == position


def test_the_caret_is_under_the_token() -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        parse("name == 'x' and age === 3")
    message, line, marks = str(caught.value).split("\n")
    assert message.startswith("syntax error at position 22: '=' is not expected here")
    assert line[marks.index("^") :] == "= 3"
    assert marks.strip() == "^"


def test_the_caret_in_a_long_text_and_in_a_text_of_lines() -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        parse("a == 1 and " * 100 + "b === 1" + " or c == 1" * 100)
    _, line, marks = str(caught.value).split("\n")
    assert len(line) < 120
    assert line[marks.index("^") :].startswith("= 1 or")
    with pytest.raises(QuerySyntaxError) as caught:
        parse("a == 1\n\tand b === 1\nor c == 1")
    _, line, marks = str(caught.value).split("\n")
    assert line.strip() == "and b === 1"
    assert line[marks.index("^") :] == "= 1"


def test_size_and_depth_have_limits() -> None:
    with pytest.raises(QuerySyntaxError, match="more than 20; give long lists as arguments"):
        parse("a == 1" + " " * 20, max_length=20)
    deep = "(" * 99 + "a == 1" + ")" * 99
    assert parse(deep).predicate == parse("a == 1").predicate
    for text in (f"((({deep}))) or b == 1", "!" * 101 + "a == 1", "a == 1" + " + 1" * 101):
        with pytest.raises(QuerySyntaxError, match="more than 100 levels of nesting"):
            parse(text)
    with pytest.raises(QuerySyntaxError, match="more than 100 elements"):
        parse(".".join("a" * 101) + " == 1")
    wide = parse(" or ".join(f"a == {number}" for number in range(1000))).predicate
    assert isinstance(wide, Or)
    assert len(wide.terms) == 1000
    with pytest.raises(TypeError, match="a query is a string"):
        parse(b"a == 1")  # type: ignore[arg-type]


PIECES = st.sampled_from(
    [
        *words(
            r"""
            a b c $ . , ( ) [ ] { } * / + - ! ' " \ 1 -2 0x 1.5 5f T1:2 1-2-3@4:5:6 $0 $K0 == => <> && || and OR not IN
            [c] ANY all contains between {1,2} geowithin geoBox([1,2],[3,4]) SUBQUERY( $x .@count @links @keys @foo
            SORT( ASC ) LIMIT(1) obj( binary( B64"YQ==" uuid( oid( decimal(1) true NULL nan inf -inf 'x' DISTINCT(
            first last size [0] ['k'] é
            """
        ),
        " ",
        "\n",
        "\x00",
        "\ud800",
    ]
)
ANY_TEXT = st.one_of(
    st.text(max_size=30), st.lists(PIECES, max_size=15).map("".join), st.lists(PIECES, max_size=15).map(" ".join)
)


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_any_text_is_a_query_or_a_syntax_error(text: str) -> None:
    try:
        assert isinstance(parse(text), Query)
    except QuerySyntaxError as error:
        place = error.position
    else:
        place = 0
    assert 0 <= place <= len(text)


def test_texts_that_repeat_are_parsed_once() -> None:
    assert parse("cached == 1") is parse("cached == 1")
    assert isinstance(parse("cached == 1"), Query)


def test_lark_is_loaded_by_the_first_text() -> None:
    code = (
        "import sys, syncline, syncline.query.expression, syncline.query.printing; assert 'lark' not in sys.modules;"
        "from syncline.query.parser import parse; parse('a == 1'); assert 'lark' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
