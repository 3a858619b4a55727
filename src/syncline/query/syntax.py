"""From tokens to the tree: what the rules of ``grammar.lark`` make (spec/sdk.md §7.2).

The only module of the query engine that loads lark; :mod:`syncline.query.parser` imports it on first use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NoReturn, TypeAlias, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedToken
from lark.lexer import Lexer

from syncline.errors import QuerySyntaxError
from syncline.query.ast import (
    Aggregate,
    Aggregation,
    Always,
    And,
    Argument,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    Element,
    Index,
    KeyPathArgument,
    Limit,
    Not,
    ObjectLiteral,
    Operator,
    Or,
    Path,
    Position,
    Predicate,
    Quantifier,
    Query,
    ShapeLiteral,
    Size,
    Sort,
    SortKey,
    Span,
    Subquery,
    TypeOf,
    Within,
)
from syncline.query.carets import pointed
from syncline.query.lexer import HARD_WORDS, SOFT_WORDS, name_of, tokens
from syncline.query.literals import argument_number, base64_bytes, literal, natural, string
from syncline.query.text import Fold

__all__ = ["build"]


class _Token(Token):
    """A token that knows its text."""

    source: str


class _Lexer(Lexer):
    """Our own tokens in the form lark wants them. What nests far too deeply is refused before the parser has read on
    to where it ends.
    """

    max_depth: int

    def __init__(self, conf: object) -> None:
        pass

    def lex(self, data: Any) -> Iterator[Token]:  # type: ignore[override]
        """The tokens of the text ``data``."""
        opened = negations = 0
        for kind, text, start in tokens(data):
            token = _Token(kind, text, start, end_pos=start + len(text))
            token.source = data
            negations = negations + 1 if kind == "NOT" else 0
            opened += (kind == "LPAR") - (kind == "RPAR")
            # each level may have a parenthesis, and so may a constant in it
            if opened > self.max_depth + 1 or negations > self.max_depth:
                _fail_deep(self.max_depth, _span([token]))
            yield token


@dataclass(slots=True)
class _Item:
    """A piece of tree under construction: where it stands, how many nodes deep it is, whether it is in parentheses."""

    node: Any
    span: Span
    depth: int = 0
    grouped: bool = False


_Child: TypeAlias = "_Token | _Item"

_OPERATORS: Final = {operator.name: operator for operator in Operator}
_ARITHMETIC: Final = {
    "PLUS": ArithmeticOperator.ADD,
    "MINUS": ArithmeticOperator.SUBTRACT,
    "STAR": ArithmeticOperator.MULTIPLY,
    "SLASH": ArithmeticOperator.DIVIDE,
}
_FOLDS: Final = {"[c]": Fold.CASE, "[d]": Fold.MARKS, "[cd]": Fold.CASE | Fold.MARKS, "[dc]": Fold.CASE | Fold.MARKS}
_POSITIONS: Final = {"FIRST": Position.FIRST, "LAST": Position.LAST, "STAR": Position.ALL}


def build(text: str, max_depth: int) -> Query:
    """The tree of a text. Raises QuerySyntaxError."""
    try:
        return cast(Query, _parser(max_depth).parse(text))
    except UnexpectedToken as error:
        raise _unexpected(text, error) from None


@lru_cache(2)
def _parser(max_depth: int) -> Lark:
    """Takes a tenth of a second; the parser can then be used by several threads at once."""
    grammar = files("syncline.query").joinpath("grammar.lark").read_text(encoding="utf-8")
    builder = _Builder(max_depth)
    lexer = type("_BoundedLexer", (_Lexer,), {"max_depth": max_depth})
    return Lark(grammar, parser="lalr", lexer=lexer, start="query", maybe_placeholders=False, transformer=builder)


def _span_of(child: _Child) -> Span:
    if isinstance(child, _Item):
        return child.span
    assert child.start_pos is not None
    return Span(child.source, child.start_pos, child.start_pos + len(child))


def _span(children: Sequence[_Child]) -> Span:
    first, last = _span_of(children[0]), _span_of(children[-1])
    return Span(first.text, first.start, last.stop)


def _fail(message: str, span: Span) -> NoReturn:
    raise QuerySyntaxError(pointed(f"syntax error at position {span.start}: {message}", span), span.start)


def _fail_deep(max_depth: int, span: Span) -> NoReturn:
    _fail(f"more than {max_depth} levels of nesting", span)


def _items(children: Sequence[_Child]) -> list[_Item]:
    return [child for child in children if isinstance(child, _Item)]


def _is_predicate(item: _Item) -> bool:
    return isinstance(item.node, Always | Compare | Between | Within | And | Or | Not)


def _predicate(item: _Item) -> Predicate:
    if not _is_predicate(item):
        _fail("a comparison is expected here, not a value alone; compare it with something", item.span)
    return cast(Predicate, item.node)


def _value(item: _Item) -> Any:
    if _is_predicate(item):
        _fail("a value is expected here, not a condition", item.span)
    return item.node


class _Builder(Transformer[_Token, Query]):
    """One method per rule of the grammar, called while lark parses; children are tokens and items."""

    def __init__(self, max_depth: int) -> None:
        super().__init__()
        self.max_depth = max_depth

    def _item(self, node: Any, children: Sequence[_Child]) -> _Item:
        depth = 1 + max((item.depth for item in _items(children)), default=0)
        span = _span(children)
        if depth > self.max_depth:
            _fail_deep(self.max_depth, span)
        return _Item(node, span, depth)

    # --- predicates ---

    def query(self, children: list[_Child]) -> Query:
        predicate, *stages = _items(children)
        if len(stages) > self.max_depth:
            _fail(f"more than {self.max_depth} of SORT, DISTINCT and LIMIT", stages[self.max_depth].span)
        return Query(_predicate(predicate), tuple(stage.node for stage in stages))

    def disjunction(self, children: list[_Child]) -> _Item:
        return self._item(Or(tuple(_predicate(item) for item in _items(children))), children)

    def conjunction(self, children: list[_Child]) -> _Item:
        return self._item(And(tuple(_predicate(item) for item in _items(children))), children)

    def negated(self, children: list[_Child]) -> _Item:
        return self._item(Not(_predicate(_items(children)[0])), children)

    def group(self, children: list[_Child]) -> _Item:
        (inner,) = _items(children)
        return _Item(inner.node, _span(children), inner.depth, grouped=True)

    def always(self, children: list[_Token]) -> _Item:
        return self._item(Always(children[0].type == "TRUEPREDICATE"), children)

    def compare(self, children: list[_Child]) -> _Item:
        left, right = _items(children)
        operator = _OPERATORS[cast(_Token, children[1]).type]
        fold = _FOLDS[str(children[2])] if len(children) == 4 else Fold.NOTHING
        if operator is Operator.IN and right.grouped and isinstance(right.node, Constant):
            _fail("IN needs a list, which is written in braces: {1, 2}", right.span)
        node = Compare(operator, _value(left), _value(right), fold, _span(children))
        return self._item(node, children)

    def between(self, children: list[_Child]) -> _Item:
        operand, bounds = _items(children)
        span = bounds.span
        listed = cast(ConstantList, bounds.node).values
        if len(listed) != 2:
            _fail(f"BETWEEN needs a list of two values, not {len(listed)}", span)
        low, high = (value if isinstance(value, Argument) else Constant(value, span=span) for value in listed)
        return self._item(Between(_value(operand), low, high, _span(children)), children)

    def within(self, children: list[_Child]) -> _Item:
        place, shape = _items(children)
        if not isinstance(place.node, Path):
            _fail("GEOWITHIN needs a property on its left", place.span)
        return self._item(Within(place.node, shape.node, _span(children)), children)

    # --- values ---

    def arithmetic(self, children: list[_Child]) -> _Item:
        left, right = _items(children)
        operator = _ARITHMETIC[cast(_Token, children[1]).type]
        return self._item(Arithmetic(operator, _value(left), _value(right), _span(children)), children)

    def quantified(self, children: list[_Child]) -> _Item:
        quantifier = Quantifier[cast(_Token, children[0]).type]
        node, span = cast(_Item, children[1]).node, _span(children)
        if isinstance(node, Path | ConstantList | Argument):
            return self._item(replace(node, quantifier=quantifier, span=span), children)
        return self._item(replace(node, path=replace(node.path, quantifier=quantifier), span=span), children)

    def subquery(self, children: list[_Child]) -> _Item:
        path, variable, predicate = _items(children)
        name = variable.node
        if not name.startswith("$") or len(name) < 2:
            _fail(f"the variable of a SUBQUERY begins with $, as in $x; not {name!r}", variable.span)
        return self._item(Subquery(path.node, name, _predicate(predicate), _span(children)), children)

    def size(self, children: list[_Child]) -> _Item:
        return self._item(Size(_items(children)[0].node, _span(children)), children)

    def type_of(self, children: list[_Child]) -> _Item:
        return self._item(TypeOf(_items(children)[0].node, _span(children)), children)

    def aggregate(self, children: list[_Child]) -> _Item:
        path, *names = _items(children)
        function = Aggregation(str(children[2]))
        member = Path((names[0].node,), span=names[0].span) if names else None
        return self._item(Aggregate(function, path.node, member, _span(children)), children)

    def listed(self, children: list[_Child]) -> _Item:
        values = tuple(item.node if isinstance(item.node, Argument) else item.node.value for item in _items(children))
        return _Item(ConstantList(values, span=_span(children)), _span(children))

    def argument(self, children: list[_Token]) -> _Item:
        return _Item(_argument(children[0]), _span(children))

    def literal(self, children: list[_Token]) -> _Item:
        (token,) = children
        return _Item(Constant(_checked(literal, token, token.type), span=_span(children)), _span(children))

    def object_literal(self, children: list[_Token]) -> _Item:
        name, key = children[2], children[4]
        value = _argument(key) if key.type == "ARG" else _checked(literal, key, key.type)
        class_name = _checked(literal, name, name.type)
        return _Item(Constant(ObjectLiteral(class_name, value), span=_span(children)), _span(children))

    def binary(self, children: list[_Token]) -> _Item:
        token = children[2]
        if token.type == "BASE64":
            data = _checked(base64_bytes, token)
        else:
            data = string(token).encode("utf-8", "surrogateescape")
        return _Item(Constant(data, span=_span(children)), _span(children))

    # --- paths ---

    def id(self, children: list[_Token]) -> _Item:
        return _Item(name_of(children[0]), _span(children))

    def path_head(self, children: list[_Child]) -> _Item:
        (child,) = children
        element: Element
        if isinstance(child, _Item):
            element = child.node
        else:
            element = KeyPathArgument(_checked(argument_number, child)) if child.type == "KEYPATH" else str(child)
        return _Item(Path((element,), span=_span(children)), _span(children))

    def path_name(self, children: list[_Child]) -> _Item:
        path, name = cast(_Item, children[0]), children[2]
        return self._longer(path, name.node if isinstance(name, _Item) else str(name), children)

    def path_index(self, children: list[_Child]) -> _Item:
        path, token = cast(_Item, children[0]), cast(_Token, children[2])
        value: int | str | Position | Argument
        if token.type == "NATURAL":
            value = _checked(natural, token)
        elif token.type in ("STRING", "BASE64"):
            value = _checked(literal, token, token.type)
        else:
            value = _argument(token) if token.type == "ARG" else _POSITIONS[token.type]
        return self._longer(path, Index(value), children)

    def _longer(self, path: _Item, element: Element, children: Sequence[_Child]) -> _Item:
        if len(path.node.elements) >= self.max_depth:
            _fail(f"more than {self.max_depth} elements in a path", path.span)
        span = _span(children)
        return _Item(Path((*path.node.elements, element), span=span), span)

    # --- shapes ---

    def coordinate(self, children: list[_Token]) -> _Item:
        (token,) = children
        value = _argument(token) if token.type == "ARG" else float(_checked(literal, token, token.type))
        return _Item(value, _span(children))

    def point(self, children: list[_Child]) -> _Item:
        return _Item(tuple(item.node for item in _items(children)), _span(children))

    def ring(self, children: list[_Child]) -> _Item:
        return _Item([item.node for item in _items(children)], _span(children))

    def shape(self, children: list[_Child]) -> _Item:
        kind, parts, span = cast(_Token, children[0]).type, [item.node for item in _items(children)], _span(children)
        types = [type(part) for part in parts]
        if kind == "GEOBOX" and types == [tuple, tuple]:
            return _Item(ShapeLiteral("geoBox", (tuple(parts),), None, span), span)
        if kind == "GEOCIRCLE" and len(parts) == 2 and types[0] is tuple and types[1] in (float, Argument):
            return _Item(ShapeLiteral("geoCircle", ((parts[0],),), parts[1], span), span)
        if kind == "GEOPOLYGON" and set(types) == {list}:
            return _Item(ShapeLiteral("geoPolygon", tuple(tuple(part) for part in parts), None, span), span)
        _fail(_SHAPE_FORMS[kind], span)

    # --- stages ---

    def sort_key(self, children: list[_Child]) -> _Item:
        path, direction = children
        return _Item(SortKey(cast(_Item, path).node, cast(_Token, direction).type == "ASC"), _span(children))

    def sort(self, children: list[_Child]) -> _Item:
        return _Item(Sort(tuple(item.node for item in _items(children))), _span(children))

    def distinct(self, children: list[_Child]) -> _Item:
        return _Item(Distinct(tuple(item.node for item in _items(children))), _span(children))

    def limit(self, children: list[_Token]) -> _Item:
        return _Item(Limit(_checked(natural, children[2])), _span(children))


_SHAPE_FORMS: Final = {
    "GEOBOX": "a box is geoBox([longitude, latitude], [longitude, latitude])",
    "GEOCIRCLE": "a circle is geoCircle([longitude, latitude], radius)",
    "GEOPOLYGON": "a polygon is geoPolygon({[longitude, latitude], …}, …)",
}


def _argument(token: _Token) -> Argument:
    return Argument(_checked(argument_number, token), None, _span([token]))


def _checked(read: Callable[..., Any], token: _Token, *more: str) -> Any:
    """What ``read`` makes of a token; its complaint with the place."""
    try:
        return read(str(token), *more)
    except ValueError as error:
        _fail(str(error), _span([token]))


# --- messages ---------------------------------------------------------------------------------------------------------

_VALUE: Final = frozenset(
    {"NATURAL", "NUMBER", "FLOAT", "DECIMAL", "INF", "NAN", "STRING", "BASE64", "UUID", "OID", "TIMESTAMP", "TRUE"}
    | {"FALSE", "NULL", "OBJECT_KEY", "TYPED_LINK", "OBJ", "BINARY", "ARG"}
)
_NAME: Final = SOFT_WORDS | {"ID", "KEYPATH", "LINKS", "KEYS", "VALUES"}
#: What is said of the tokens that could follow: the kinds that show it, and all those that need no further word.
_HINTS: Final = (
    ("a property or a value", {"ID", "NATURAL", "LPAR"}, _NAME | _VALUE | HARD_WORDS | {"LPAR", "LBRACE"}),
    ("a property, a list or an argument", {"ID", "LBRACE"}, _NAME | {"LBRACE", "ARG"}),
    (
        "an index or a key",
        {"NATURAL", "STRING", "FIRST"},
        {"NATURAL", "STRING", "FIRST", "LAST", "STAR", "SIZE", "ARG"},
    ),
    ("a property", {"ID"}, _NAME),
    ("a value", {"NATURAL", "STRING"}, _VALUE),
    ("a coordinate", {"NATURAL", "FLOAT"}, {"NATURAL", "FLOAT", "NUMBER", "ARG"}),
    ("a number", {"NATURAL"}, {"NATURAL"}),
    (
        "an operator such as == or CONTAINS",
        {"EQ"},
        {operator.name for operator in Operator}
        | {"BETWEEN", "GEOWITHIN", "PLUS", "MINUS", "STAR", "SLASH", "DOT", "LSQB"},
    ),
    ("AND or OR", {"AND"}, {"AND", "OR"}),
    ("SORT, DISTINCT or LIMIT", {"SORT"}, {"SORT", "DISTINCT", "LIMIT", "$END"}),
    ("ASC or DESC", {"ASC"}, {"ASC", "DESC", "DOT", "LSQB"}),
    (".@count", {"COUNT"}, {"COUNT"}),
    ("a shape such as geoBox(…)", {"GEOBOX"}, {"GEOBOX", "GEOCIRCLE", "GEOPOLYGON", "ARG"}),
    ("a dot", {"DOT"}, {"DOT"}),
    ("a comma", {"COMMA"}, {"COMMA"}),
    ("a closing parenthesis", {"RPAR"}, {"RPAR"}),
    ("a closing brace", {"RBRACE"}, {"RBRACE"}),
    ("a closing bracket", {"RSQB"}, {"RSQB"}),
    ("an opening parenthesis", {"LPAR"}, {"LPAR"}),
    ("an opening brace", {"LBRACE"}, {"LBRACE"}),
    ("a string", {"STRING"}, {"STRING", "BASE64"}),
)


#: What looks like ``[c]``.
_OPTION: Final = re.compile(r"\[ *[A-Za-z]+ *\]")


def _unexpected(text: str, error: UnexpectedToken) -> QuerySyntaxError:
    token = error.token
    at_end = token.type == "$END"
    start = len(text.rstrip()) if at_end else int(token.start_pos or 0)
    shown = str(token)
    if token.type == "LSQB" and (option := _OPTION.match(text, start)):
        shown = option[0]
    found = "the query ends too early" if at_end else f"{shown!r} is not expected here"
    message = f"syntax error at position {start}: {found}; {_expected(error)}{_advice(text, error)}"
    return QuerySyntaxError(pointed(message, Span(text, start, start + (1 if at_end else len(shown)))), start)


def _expected(error: UnexpectedToken) -> str:
    kinds = set(error.accepts or error.expected)
    hints: list[str] = []
    for hint, needed, covered in _HINTS:
        if needed <= kinds:
            hints.append(hint)
            kinds -= covered
    return f"expected {', or '.join(hints or sorted(kinds))}"


def _advice(text: str, error: UnexpectedToken) -> str:
    """Help with mistakes that are easily made."""
    token = error.token
    if token.type == "NUMBER" and "PLUS" in (error.accepts or error.expected):
        return "; a sign sticks to the number behind it, write blanks on both sides of an operator: a - 1"
    if token.type in HARD_WORDS and "ID" in (error.accepts or error.expected):
        return f"; a property that is named {str(token)!r} can be given as a key path: $K0"
    if token.type == "LSQB" and "FOLD" in (error.accepts or error.expected):
        return "; what strings are compared without is one of [c], [d] and [cd]"
    if token.type == "FOLD":
        return "; it stands behind ==, !=, IN, BEGINSWITH, ENDSWITH, CONTAINS and LIKE"
    if token.type == "$END" and not text.strip():
        return "; TRUEPREDICATE finds all objects"
    return ""
