"""Random schemas, data and queries: whatever the language can say about the classes of a schema.

Queries are texts. Most of them make sense; those that do not are refused by the resolver, and not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from syncline.query.ast import ClassLike, Constant, PropertyLike, SchemaLike
from syncline.query.printing import operand_to_rql
from syncline.values import Float32, ObjectId, Timestamp, kinds

Draw = Callable[[st.SearchStrategy[Any]], Any]

BASES = ["int?", "int", "bool?", "string?", "string", "data?", "date?", "float?", "double?", "decimal128?", "objectId?"]
BASES += ["uuid?", "mixed"]
CLASSES = ("A", "B")

INTS = [-3, -1, 0, 1, 2, 7, 2**53 + 1, 2**63 - 1, -(2**63)]
DOUBLES = [0.0, -0.0, 1.0, 1.5, -2.5, float(2**53), math.nan, math.inf, -math.inf, 0.1]
STRINGS = ["", "a", "A", "b", "ab", "aB", "ä", "Ä", "a\0b", "b*", "dog cat", "Dog, no cat", "😀", "x\udcffy"]
POOLS: dict[int, list[Any]] = {
    kinds.INT: INTS,
    kinds.BOOL: [True, False],
    kinds.STRING: STRINGS,
    kinds.BINARY: [b"", b"a", b"A", b"ab", b"\xff\0"],
    kinds.TIMESTAMP: [Timestamp(0, 0), Timestamp(0, 1), Timestamp(-1, -1), Timestamp(10**10, 5)],
    kinds.FLOAT: [Float32(value) for value in (0.0, 0.1, 1.0, 1.5, -2.5, math.nan, math.inf)],
    kinds.DOUBLE: DOUBLES,
    kinds.DECIMAL: [Decimal(text) for text in ("0", "1", "1.00", "1.5", "-2.5", "0.1", "NaN", "1E+30")],
    kinds.OBJECT_ID: [ObjectId(bytes(12)), ObjectId(b"a" * 12)],
    kinds.UUID: [UUID(int=0), UUID(int=1 << 127)],
}
SCALARS = [value for pool in POOLS.values() for value in pool]
MIXED = [
    *(None, True, 0, 1, 1.0, 1.5, Decimal("1"), Float32(0.5), math.nan, "a", "A", b"a", Timestamp(0, 1)),
    *([], [1, "a"], [1, {"k": 1}], {"k": 1}, {"k": [1, 2, {"k": "a"}], "a": None}, {}, [[1], [2, 3]]),
]
KEYS = ["k", "a", "p0", "x y"]
TYPE_NAMES = ["null", "int", "bool", "string", "data", "date", "double", "decimal", "link", "objectId", "uuid"]
TYPE_NAMES += ["numeric", "object", "array", "collection", "float"]


# --- schemas and data -------------------------------------------------------------------------------------------------


@st.composite
def schemas(draw: Draw) -> dict[str, dict[str, str]]:
    """Two classes, by name; of each some properties in the notation of ``PropertyType.parse``.

    Every class has a key, a full-text string, a link, a list of links, and what chance adds.
    """
    found: dict[str, dict[str, str]] = {}
    for name in CLASSES:
        properties = {
            "id": "int",
            "words": draw(st.sampled_from(["string", "string?"])),
            "link": draw(st.sampled_from(CLASSES)),
        }
        properties["links"] = draw(st.sampled_from(CLASSES)) + "[]"
        for number in range(draw(st.integers(2, 5))):
            base = draw(st.sampled_from([*BASES, *BASES, *CLASSES]))
            brackets = draw(st.sampled_from(["", "", "[]", "<>", "{}"]))
            if base in CLASSES or base == "mixed" or brackets != "<>":
                properties[f"p{number}"] = base + brackets
            else:
                properties[f"p{number}"] = base.rstrip("?") + brackets
        found[name] = properties
    return found


@st.composite
def values(draw: Draw, kind: int, nullable: bool) -> Any:
    """A value for a property of that kind; not for links."""
    if kind == kinds.MIXED:
        return draw(st.sampled_from(MIXED))
    return draw(st.sampled_from([None, *POOLS[kind]] if nullable else POOLS[kind]))


# --- queries ----------------------------------------------------------------------------------------------------------


class Value:
    """A piece of query text: what kind it is of, whether it is plural, and whether a quantifier may stand in front."""

    def __init__(self, text: str, kind: int, plural: bool, quantifiable: bool = True) -> None:
        self.text, self.kind, self.plural, self.quantifiable = text, kind, plural, quantifiable


TYPE = -100


def literal(value: object) -> str:
    return operand_to_rql(Constant(value))


@st.composite
def objects_path(draw: Draw, schema: SchemaLike, cls: ClassLike, steps: int) -> tuple[str, ClassLike, bool]:
    """A walk over links: its text (ending in a dot, or empty), where it leads, whether it is plural."""
    text, plural = "", False
    for _ in range(draw(st.integers(0, steps))):
        options: list[tuple[str, str, bool]] = []
        for prop in cls.properties.values():
            if prop.type == kinds.LINK and prop.target is not None:
                options += [(form, prop.target, many) for form, many in link_forms(prop)]
        for source in schema.classes.values():
            for prop in source.properties.values():
                if prop.type == kinds.LINK and prop.target == cls.name:
                    options.append((f"@links.{source.name}.{prop.name}", source.name, True))
        form, target, many = draw(st.sampled_from(options))
        text, plural = f"{text}{form}.", plural or many
        cls = schema.classes[target]
    return text, cls, plural


def link_forms(prop: PropertyLike) -> list[tuple[str, bool]]:
    """How a path can go on over a link property."""
    name = prop.name
    if prop.collection == kinds.SINGLE_COLLECTION:
        return [(name, False)]
    if prop.collection == kinds.LIST_COLLECTION:
        return [(name, True), (name, True), (f"{name}[0]", False), (f"{name}[LAST]", False), (f"{name}[*]", True)]
    if prop.collection == kinds.DICTIONARY_COLLECTION:
        return [(name, True), (f"{name}['k']", False), (f"{name}.@values", True)]
    return [(name, True)]


@st.composite
def paths(draw: Draw, schema: SchemaLike, cls: ClassLike) -> Value:
    """A path to values."""
    prefix, cls, plural = draw(objects_path(schema, cls, 2))
    prop = draw(st.sampled_from(list(cls.properties.values())))
    text, kind = prefix + prop.name, prop.type
    if prop.collection == kinds.LIST_COLLECTION:
        pick = draw(st.sampled_from(["", "", "", "[0]", "[1]", "[FIRST]", "[LAST]", "[*]"]))
        text, plural = text + pick, plural or pick in ("", "[*]")
    elif prop.collection == kinds.DICTIONARY_COLLECTION:
        pick = draw(st.sampled_from(["", "", "['k']", ".a", "['x y']", ".@keys", ".@values"]))
        text, plural = text + pick, plural or pick in ("", ".@keys", ".@values")
        kind = kinds.STRING if pick == ".@keys" else kind
    elif prop.collection == kinds.SET_COLLECTION:
        plural = True
    if prop.type == kinds.MIXED and kind == kinds.MIXED:
        inner = draw(
            st.sampled_from(["", "", "", "[0]", "[LAST]", ".k", "['k'][0]", "[*]", "[*].k", ".@keys", "[*][*]"])
        )
        text, plural = text + inner, plural or "*" in inner or "@keys" in inner
        kind = kinds.STRING if inner == ".@keys" else kind
    return Value(text, kind, plural)


@st.composite
def operands(draw: Draw, schema: SchemaLike, cls: ClassLike, depth: int) -> Value:
    """Something that has values and is no constant."""
    form = draw(st.sampled_from(["path"] * 8 + ["size", "size", "type", "aggregate", "aggregate", "sum", "subquery"]))
    if form == "path":
        return draw(paths(schema, cls))
    if form == "size":
        if draw(st.integers(0, 4)) == 0:
            prefix, _, _ = draw(objects_path(schema, cls, 1))
            return Value(f"{prefix}@links.@count", kinds.INT, False, False)
        path = draw(paths(schema, cls))
        return Value(f"{path.text}.@count", kinds.INT, path.plural)
    if form == "type":
        path = draw(paths(schema, cls))
        return Value(f"{path.text}.@type", TYPE, path.plural)
    if form == "aggregate":
        return draw(aggregates(schema, cls))
    if form == "subquery":
        prefix, target, _ = draw(objects_path(schema, cls, 1))
        lists = [
            p for p in target.properties.values()
            if p.type == kinds.LINK and p.collection in (kinds.LIST_COLLECTION, kinds.SET_COLLECTION)
        ]  # fmt: skip
        prop = draw(st.sampled_from(lists))
        inner = draw(predicates(schema, schema.classes[str(prop.target)], max(depth - 1, 0)))
        variable = f"$x{draw(st.integers(0, 99))}"
        return Value(f"SUBQUERY({prefix}{prop.name}, {variable}, {inner}).@count", kinds.INT, False, False)
    left = draw(paths(schema, cls))
    symbol = draw(st.sampled_from("+-*/"))
    right = draw(st.sampled_from([None, "0", "2", "-3", "0.5", "2.0", "decimal(0.1)", "9223372036854775807"]))
    other = Value(right, kinds.INT, False) if right else draw(paths(schema, cls))
    first, second = draw(st.permutations([left, other]))
    kind = kinds.DECIMAL if kinds.DECIMAL in (left.kind, other.kind) else kinds.DOUBLE
    return Value(f"{first.text} {symbol} {second.text}", kind, left.plural or other.plural, False)


@st.composite
def aggregates(draw: Draw, schema: SchemaLike, cls: ClassLike) -> Value:
    function = draw(st.sampled_from(["@min", "@max", "@sum", "@avg"]))
    prefix, target, plural = draw(objects_path(schema, cls, 2))
    collections = [p for p in target.properties.values() if p.collection and p.type != kinds.LINK]
    if prefix and (not collections or draw(st.booleans())):
        prop = draw(st.sampled_from(list(target.properties.values())))
        return Value(f"{prefix}{function}.{prop.name}", prop.type, False, False)
    prop = draw(st.sampled_from(collections or list(target.properties.values())))
    return Value(f"{prefix}{prop.name}.{function}", prop.type, plural)


def pool_of(kind: int) -> list[Any]:
    """Constants that may be compared with values of that kind."""
    if kind in (kinds.INT, kinds.FLOAT, kinds.DOUBLE, kinds.DECIMAL):
        return [*INTS, *DOUBLES, *POOLS[kinds.DECIMAL], *POOLS[kinds.FLOAT], None]
    if kind == kinds.MIXED:
        return [*SCALARS, None]
    return [*POOLS.get(kind, []), None]


@st.composite
def constants(draw: Draw, schema: SchemaLike, kind: int) -> str:
    if kind == TYPE:
        return literal(draw(st.sampled_from(TYPE_NAMES)))
    if kind == kinds.LINK or (kind == kinds.MIXED and draw(st.integers(0, 5)) == 0):
        name = draw(st.sampled_from(CLASSES))
        return draw(st.sampled_from(["NULL", *(f'obj("{name}", {key})' for key in (0, 1, 9))]))
    return literal(draw(st.sampled_from(pool_of(kind))))


@st.composite
def comparisons(draw: Draw, schema: SchemaLike, cls: ClassLike, depth: int) -> str:
    left = draw(operands(schema, cls, depth))
    quantifier = draw(st.sampled_from(["", "ANY ", "ALL ", "NONE "])) if left.plural and left.quantifiable else ""
    text = quantifier + left.text
    textual = left.kind in (kinds.STRING, kinds.BINARY, kinds.MIXED)
    form = draw(st.sampled_from(["constant"] * 6 + ["list", "list", "between", "operand", "operand", "in"]))
    if form == "list":
        listed = ", ".join(draw(st.lists(constants(schema, left.kind), max_size=3)))
        prefix = draw(st.sampled_from(["", "", "ANY ", "ALL ", "NONE "]))
        return f"{text} {draw(st.sampled_from(['IN', '==', '!=', 'IN[cd]' if textual else 'IN']))} {prefix}{{{listed}}}"
    if form == "between":
        low, high = draw(constants(schema, left.kind)), draw(constants(schema, left.kind))
        return f"{text} BETWEEN {{{low}, {high}}}"
    if form == "in":
        return f"{draw(constants(schema, left.kind))} IN {text}"
    operators = ["==", "!=", "<", "<=", ">", ">="]
    if textual:
        operators += ["==[c]", "!=[c]", "BEGINSWITH", "ENDSWITH[c]", "CONTAINS", "CONTAINS[c]", "LIKE", "LIKE[c]"]
        operators += ["==[d]", "CONTAINS[cd]", "LIKE[d]"]
    operator = draw(st.sampled_from(["==", "!="] if left.kind in (kinds.LINK, TYPE) else operators))
    if form == "operand":
        right = draw(operands(schema, cls, 0))
        prefix = draw(st.sampled_from(["", "ANY ", "ALL "])) if right.plural and right.quantifiable else ""
        return f"{text} {operator} {prefix}{right.text}"
    if operator.startswith("LIKE"):
        constant = literal(draw(st.sampled_from(["*", "?", "a*", "*b", "?b*", "[a]", None])))
    elif operator not in operators[:6]:
        pool = POOLS[kinds.BINARY if left.kind == kinds.BINARY else kinds.STRING]
        constant = literal(draw(st.sampled_from([*pool, None])))
    else:
        constant = draw(constants(schema, left.kind))
    return f"{constant} {operator} {text}" if draw(st.integers(0, 9)) == 0 else f"{text} {operator} {constant}"


@st.composite
def text_searches(draw: Draw, schema: SchemaLike, cls: ClassLike) -> str:
    prefix, _, plural = draw(objects_path(schema, cls, 2))
    quantifier = draw(st.sampled_from(["", "ANY ", "ALL ", "NONE "])) if plural else ""
    searches = ["dog", "do*", "dog -cat", "-cat", "a b", "ä", "no* cat", "d* n* -b", "-no -a", "x*"]
    return f"{quantifier}{prefix}words TEXT {draw(st.sampled_from(searches))!r}"


@st.composite
def predicates(draw: Draw, schema: SchemaLike, cls: ClassLike, depth: int = 1) -> str:
    """A predicate on objects of ``cls``."""
    form = draw(st.sampled_from(["leaf"] * 5 + ["and", "or", "not", "text"])) if depth else "leaf"
    if form == "leaf":
        return draw(comparisons(schema, cls, depth))
    if form == "text":
        return draw(text_searches(schema, cls))
    if form == "not":
        return f"NOT ({draw(predicates(schema, cls, depth - 1))})"
    terms = draw(st.lists(predicates(schema, cls, depth - 1), min_size=2, max_size=3))
    return f" {form} ".join(f"({term})" for term in terms)


@st.composite
def stages(draw: Draw, cls: ClassLike) -> str:
    """SORT, DISTINCT and LIMIT, up to three of them."""
    names = [
        path
        for prop in cls.properties.values()
        for path in (
            [prop.name] if prop.collection == kinds.SINGLE_COLLECTION and prop.type != kinds.LINK
            else [f"{prop.name}['k']"] if prop.collection == kinds.DICTIONARY_COLLECTION
            else [f"{prop.name}.id", f"{prop.name}.words"] if prop.collection == kinds.SINGLE_COLLECTION
            else []
        )
    ]  # fmt: skip
    text = ""
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(names))
        direction = draw(st.sampled_from(["ASC", "DESC"]))
        limit = draw(st.integers(0, 4))
        text += draw(st.sampled_from([f" SORT({name} {direction})", f" DISTINCT({name})", f" LIMIT({limit})"]))
    return text
