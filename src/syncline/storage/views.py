"""Readable views: ``SELECT * FROM "Dog"`` in any SQLite tool (spec/sdk.md §13.2, design: readable views).

One view per class, named like it, and one per collection property, ``Dog_toys``. They show what people read: a link as
the target's key, dates as ISO 8601 text, identifiers as text, booleans as 0 and 1; links to missing objects as NULL.
Plain SQL without functions of ours, so that any program can read an unencrypted file. Not in the process
that has it open, though: a second SQLite library there breaks the locks of the first (SQLite, *How to corrupt*).
No code of ours reads them.

==================  ============================================================================
class               its properties; first ``_key`` where there is no primary key, first ``_owner_class``,
                    ``_owner``, ``_property`` for embedded objects, whose own number is ``_key``
list                ``owner, position, value``
set                 ``owner, value``
dictionary          ``owner, key, value``
``rlm_digit``       the numbers 0 … 31, where dates or decimals are shown: helps to read hexadecimal digits
``rlm_key``         ``class, k, key`` of every object, where a value may be of any class: helps to show links
==================  ============================================================================

SQLite parses every view for every connection that is opened. So what is shown often is written once, and short.
"""

from __future__ import annotations

import re
from typing import Final, cast

import apsw

from syncline.storage.catalogue import TYPE_CODES, Catalogue, ClassInfo, PropertyInfo
from syncline.storage.columns import DICTIONARY_TAG, LINK_TAG, LIST_TAG
from syncline.values.kinds import (
    DECIMAL,
    DOUBLE,
    FLOAT,
    LINK,
    LIST_COLLECTION,
    MIXED,
    OBJECT_ID,
    SET_COLLECTION,
    TIMESTAMP,
    UUID,
)

__all__ = ["refresh"]

#: Names that physical tables and indexes have or may get later, and those SQLite keeps for itself.
_TAKEN: Final = re.compile(r"(rlm|n|sqlite)_.*|[a-z]{1,3}\d+(_.*)?", re.IGNORECASE | re.DOTALL)

_HEX_DIGITS: Final = "123456789ABCDEF"
#: Views that help others.
_DIGITS: Final = "rlm_digit"
_KEYS: Final = "rlm_key"
#: How many digits the longest number has that is read with ``rlm_digit``.
_DIGITS_QUERY: Final = "WITH RECURSIVE d(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM d WHERE i<31) SELECT i FROM d"
#: From here on a Mixed shows a link as class and number instead of the key: the text of the query would grow too long.
_MIXED_CLASSES_MAX: Final = 40


def refresh(connection: apsw.Connection, catalogue: Catalogue) -> None:
    """Make the views fit the catalogue, in the running write transaction; those that fit already stay."""
    wanted = _views(catalogue)
    existing = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'view'").fetchall()
    for name, sql in cast("list[tuple[str, str]]", existing):
        if wanted.get(name) == sql:
            del wanted[name]
        else:
            connection.execute(f"DROP VIEW {_quoted(name)}")
    for sql in wanted.values():
        connection.execute(sql)


def _views(catalogue: Catalogue) -> dict[str, str]:
    """Statements by name of the view; a class comes before collections when both want one name."""
    views: dict[str, str] = {}
    taken: set[str] = set()
    classes = sorted(catalogue.by_id.values(), key=lambda info: info.id)
    for info in classes:
        name = _free_name(info.name, info.id, taken)
        views[name] = f"CREATE VIEW {_quoted(name)} AS {_class_query(catalogue, info)}"
    for info in classes:
        for prop in info.collections:
            name = _free_name(f"{info.name}_{prop.name}", prop.id, taken)
            views[name] = f"CREATE VIEW {_quoted(name)} AS {_collection_query(catalogue, info, prop)}"
    return _helpers(classes, list(views.values())) | views


def _helpers(classes: list[ClassInfo], views: list[str]) -> dict[str, str]:
    """The statements of those helping views that others need."""
    keys = f"CREATE VIEW {_KEYS} AS {_keys_query(classes)}"
    helpers = {_KEYS: keys} if any(f"FROM {_KEYS}" in sql for sql in views) else {}
    if any(f"FROM {_DIGITS}" in sql for sql in [*views, *helpers.values()]):
        helpers[_DIGITS] = f"CREATE VIEW {_DIGITS} AS {_DIGITS_QUERY}"
    return helpers


def _free_name(name: str, number: int, taken: set[str]) -> str:
    """``name`` without what SQLite cannot have in one, with ``_<number>`` where something else has it already."""
    name = name.replace("\0", "").encode("utf-8", "replace").decode()
    if name.lower().startswith("sqlite_"):
        name = f"class_{name}"
    while name.lower() in taken or _TAKEN.fullmatch(name) or not name:
        name = f"{name}_{number}" if not _TAKEN.fullmatch(f"{name}_{number}") else f"class_{name}_{number}"
    taken.add(name.lower())
    return name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    """A string constant."""
    return "'" + text.replace("\0", "").encode("utf-8", "replace").decode().replace("'", "''") + "'"


# --- queries ----------------------------------------------------------------------------------------------------------


def _class_query(catalogue: Catalogue, info: ClassInfo) -> str:
    columns: list[str] = []
    if info.embedded:
        columns.append("c.k AS _key")
        columns.append(f"{_class_name(catalogue, 'c.oc')} AS _owner_class")
        columns.append(f"{_key_of_any(catalogue, 'c.oc', 'c.o')} AS _owner")
        columns.append("(SELECT name FROM rlm_prop WHERE id = c.op) AS _property")
    elif info.primary_key is None:
        columns.append(f"{_key_of(info, 'c')} AS _key")
    singles = sorted(info.singles, key=lambda prop: not prop.is_primary_key)
    for prop in singles:
        columns.append(f"{_single(catalogue, prop)} AS {_quoted(prop.name.replace(chr(0), ''))}")
    return f"SELECT {', '.join(columns)} FROM {info.table} AS c"


def _collection_query(catalogue: Catalogue, info: ClassInfo, prop: PropertyInfo) -> str:
    table = prop.table
    assert table is not None
    owner = f"(SELECT {_key_of(info, 'c')} FROM {info.table} AS c WHERE c.k = e.o) AS owner"
    if prop.type == MIXED:
        value = _mixed(catalogue, "e.t", "e.v", "e.l")
        hidden = f"e.t = {LINK_TAG} AND e.v < 0"
    else:
        value = _shown(catalogue, prop, "e.v")
        hidden = "e.v < 0"
    visible = f" WHERE NOT ifnull({hidden}, 0)" if prop.type in (LINK, MIXED) else ""
    if prop.collection == LIST_COLLECTION:
        position = "row_number() OVER (PARTITION BY e.o ORDER BY e.i) - 1" if visible else "e.i"
        return f"SELECT {owner}, {position} AS position, {value} AS value FROM {table.name} AS e{visible}"
    if prop.collection == SET_COLLECTION:
        return f"SELECT {owner}, {value} AS value FROM {table.name} AS e{visible}"
    return f"SELECT {owner}, e.key AS key, {value} AS value FROM {table.name} AS e"


# --- values -----------------------------------------------------------------------------------------------------------


def _single(catalogue: Catalogue, prop: PropertyInfo) -> str:
    if prop.type == MIXED:
        return _mixed(catalogue, f"c.t{prop.id}", f"c.p{prop.id}", f"c.l{prop.id}")
    return _shown(catalogue, prop, f"c.p{prop.id}")


def _shown(catalogue: Catalogue, prop: PropertyInfo, column: str) -> str:
    if prop.type == LINK:
        return _link(catalogue.by_id[prop.target_id], column)
    return _scalar(prop.type, column)


def _scalar(kind: int, column: str) -> str:
    if kind == TIMESTAMP:
        return _date(column)
    if kind in (FLOAT, DOUBLE):
        return f"CASE typeof({column}) WHEN 'blob' THEN 'NaN' ELSE {column} END"
    if kind == OBJECT_ID:
        return f"lower(nullif(hex({column}), ''))"
    if kind == UUID:
        return _uuid(column)
    if kind == DECIMAL:
        return _decimal(column)
    return column


def _link(target: ClassInfo, column: str) -> str:
    """The key of the object with the number in ``column``; NULL for a tombstone, which no row has the number of."""
    return f"(SELECT {_key_of(target, 'x')} FROM {target.table} AS x WHERE x.k = {column})"


def _key_of(info: ClassInfo, alias: str) -> str:
    if info.embedded:
        return f"{alias}.k"
    if info.primary_key is None:
        return f"{alias}.ghi || ':' || {alias}.glo"
    return _scalar(info.primary_key.type, f"{alias}.p{info.primary_key.id}")


def _class_name(catalogue: Catalogue, class_id: str) -> str:
    return f"(SELECT name FROM rlm_class WHERE id = {class_id})"


def _key_of_any(catalogue: Catalogue, class_id: str, k: str) -> str:
    """The key of object ``k`` of a class that differs by row."""
    if not 0 < len(catalogue.by_id) <= _MIXED_CLASSES_MAX:
        return f"CASE WHEN {k} >= 0 THEN {_class_name(catalogue, class_id)} || ' ' || {k} END"
    return f"(SELECT key FROM {_KEYS} WHERE class = {class_id} AND k = {k})"


def _keys_query(classes: list[ClassInfo]) -> str:
    """One row per object; SQLite finds a single one by class and ``k`` without looking at others."""
    return " UNION ALL ".join(
        f"SELECT {info.id} AS class, c.k AS k, {_key_of(info, 'c')} AS key FROM {info.table} AS c" for info in classes
    )


def _mixed(catalogue: Catalogue, tag: str, column: str, class_id: str) -> str:
    cases = [
        f"WHEN {TYPE_CODES[kind]} THEN {_scalar(kind, column)}"
        for kind in (TIMESTAMP, FLOAT, DOUBLE, OBJECT_ID, UUID, DECIMAL)
    ]
    cases.append(f"WHEN {LINK_TAG} THEN {_key_of_any(catalogue, class_id, column)}")
    cases.append(f"WHEN {LIST_TAG} THEN 'list of ' || (SELECT count(*) FROM n_list WHERE node = {column})")
    cases.append(f"WHEN {DICTIONARY_TAG} THEN 'dictionary of ' || (SELECT count(*) FROM n_dict WHERE node = {column})")
    return f"CASE {tag} {' '.join(cases)} ELSE {column} END"


def _number(first: int, last: int) -> str:
    """The value of the digits ``first`` … ``last`` (from 0; 15 at most) of ``h``, where there is a row for each."""
    digit = f"instr('{_HEX_DIGITS}', substr(h, i + 1, 1))"
    return f"sum((i BETWEEN {first} AND {last}) * {digit} << {4 * last} - 4 * i)"


def _digits_of(column: str) -> str:
    """Where ``h`` is the bytes of a column in hexadecimal digits, once for every ``i``; nothing for NULL."""
    return f"FROM {_DIGITS}, (SELECT hex({column}) AS h) WHERE h <> ''"


def _date(column: str) -> str:
    """ISO 8601 in UTC; dates that SQLite's functions do not reach as seconds since 1970 in hexadecimal digits."""
    seconds = f"{_number(6, 15)} - ((h < '8') << 40)"
    fraction = f"rtrim(rtrim(printf('.%09d', {_number(16, 23)}), '0'), '.')"
    text = f"strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch') || {fraction} || 'Z'"
    return f"(SELECT CASE WHEN substr(h, 1, 6) IN ('800000', '7FFFFF') THEN {text} ELSE h END {_digits_of(column)})"


def _uuid(column: str) -> str:
    parts = f"hex({column}), " + ", ".join(f"hex(substr({column}, {first}))" for first in (5, 7, 9, 11))
    return f"CASE WHEN {column} IS NOT NULL THEN lower(printf('%.8s-%.4s-%.4s-%.4s-%s', {parts})) END"


def _decimal(column: str) -> str:
    """Exact up to 18 digits: the digits, and ``E`` with the exponent if there is one; else the hex of the BID.

    ``n``: the coefficient if it has no more digits, ``x``: the exponent, ``s``: the sign.
    """
    exponent = f"({_number(0, 3)} & 32767) / 2 - 6176"
    parts = f"h, {exponent} AS x, {_number(17, 31)} AS n, CASE WHEN h < '8' THEN '' ELSE '-' END AS s"
    padded = "printf('%0*d', 1 - x, n)"
    plain = f"substr({padded}, 1, max(length(n), 1 - x) + x) || '.' || substr({padded}, x)"
    return (
        "(SELECT CASE WHEN x > 9600 THEN 'NaN' WHEN x > 9100 THEN s || 'Infinity'"
        " WHEN substr(h, 4, 14) GLOB '[02468ACE]0000000000000'"
        f" THEN s || CASE WHEN x BETWEEN -18 AND -1 THEN {plain} WHEN x = 0 THEN n ELSE n || 'E' || x END ELSE h END"
        f" FROM (SELECT {parts} {_digits_of(column)}))"
    )
