"""How a query is run: its SQL, what SQLite does with it, which indexes it uses, what is left to the evaluator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from syncline.query.ast import Always, Query
from syncline.query.printing import query_to_rql
from syncline.storage.catalogue import Catalogue, ClassInfo
from syncline.storage.query_run import Source, runnable
from syncline.storage.reader import Reader

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """What ``results.explain()`` says; ``print()`` it, or look at its parts."""

    #: the query in the Realm Query Language
    query: str
    #: the statement that SQLite runs, and what its question marks stand for
    sql: str
    parameters: tuple[Any, ...]
    #: what SQLite does, step by step, indented as one step is part of another
    plan: tuple[str, ...]
    #: the indexed properties (``Dog.age``) by which objects are looked up, instead of looking at each
    indexes: tuple[str, ...]
    #: what no SQL says, so that Python decides it object by object on what the SQL lets through; None if nothing
    evaluator: str | None

    def __str__(self) -> str:
        lines = [f"Query: {self.query}", f"SQL: {self.sql}"]
        if self.parameters:
            lines.append(f"Parameters: {', '.join(map(repr, self.parameters))}")
        lines += ["Plan:", *(f"  {step}" for step in self.plan)]
        lines.append(f"Indexes: {', '.join(self.indexes) or 'none'}")
        lines.append(f"Left to Python: {self.evaluator or 'nothing'}")
        return "\n".join(lines)


def explain(reader: Reader, query: Query, cls: ClassInfo, source: Source = None) -> Explanation:
    """How a resolved query is run on the version that ``reader`` reads."""
    compiled = runnable(reader, query, cls, source)
    text, parameters = compiled.keys
    rows: list[Any] = reader.connection.execute(f"EXPLAIN QUERY PLAN {text}", parameters).fetchall()
    words = _Words(reader.catalogue, text)
    depths = {0: 0}
    plan = []
    for step, parent, _, detail in rows:
        depths[step] = depths.get(parent, 0) + 1
        plan.append("  " * (depths[step] - 1) + words.step(detail))
    residual = compiled.residual
    left = None if residual is None else query_to_rql(residual)
    if residual is not None and residual.predicate == Always(True) and residual.stages:
        left = query_to_rql(Query(Always(True), residual.stages))
    return Explanation(query_to_rql(query), text, parameters, tuple(plan), tuple(words.indexes), left)


_ALIAS: Final = re.compile(r"\b([cled]\d+|n_list|n_dict|rlm_node) (c|s|e|n|t\d+)\b")
_SCAN: Final = re.compile(r"SCAN (\w+)")
_SEARCH: Final = re.compile(r"SEARCH (\w+)(?: EXISTS)? USING (?:COVERING )?INDEX (\w+) \((.*)\)")
_BY_KEY: Final = re.compile(r"SEARCH (\w+)(?: EXISTS)? USING (?:INTEGER )?PRIMARY KEY \((.*)\)")
_WORDS: Final = re.compile(r"(?:ft|w|x)(\d+)$")
_INDEX: Final = re.compile(r"(ix|x|u|un)(\d+)$")
_COLUMN: Final = re.compile(r"\b[psl](\d+)\b")
_OTHERS: Final[Mapping[str, str]] = {
    "USE TEMP B-TREE FOR ORDER BY": "sort",
    "USE TEMP B-TREE FOR LAST TERM OF ORDER BY": "sort those that are equal in what is sorted already",
    "USE TEMP B-TREE FOR GROUP BY": "sort into groups",
    "MULTI-INDEX OR": "what is in any of several ranges:",
    "INDEX 1": "the first:",
    "INDEX 2": "the second:",
    "SCAN CONSTANT ROW": "one row",
}


class _Words:
    """Turns SQLite's words for tables, columns and indexes into those of the schema."""

    def __init__(self, catalogue: Catalogue, sql: str) -> None:
        self._properties = {prop.id: (cls, prop) for cls in catalogue.by_id.values() for prop in cls.by_id.values()}
        self._catalogue = catalogue
        self._aliases: dict[str, set[str]] = {}
        self.indexes: dict[str, None] = {}
        for table, alias in _ALIAS.findall(sql):
            self._aliases.setdefault(alias, set()).add(self._table(table))

    def step(self, detail: str) -> str:
        """One step of the plan."""
        if found := _SEARCH.match(detail):
            alias, index, condition = found.groups()
            return f"look up {self._of(alias)} by {self._index(index)} where {self._columns(condition)}"
        if found := _BY_KEY.match(detail):
            alias, condition = found.groups()
            if words := _WORDS.match(alias):
                return self._words(int(words[1]), condition)
            return f"look up {self._of(alias)} by key where {condition}"
        if detail in _OTHERS:
            return _OTHERS[detail]
        if found := _SCAN.match(detail):
            return f"look at every row of {self._of(found[1])}"
        if "SUBQUERY" in detail and "SCALAR" in detail:
            return "for each of them:" if detail.startswith("CORRELATED") else "once:"
        if detail.startswith("LIST SUBQUERY"):
            return "once, all that there may be:"
        return detail.lower()

    def _words(self, number: int, condition: str) -> str:
        """A look into the full-text index of a property."""
        named = self._property(number)
        self.indexes[named] = None
        return f"look up words of {named} where {condition.replace('tok', 'word').replace('o=?', 'object=?')}"

    def _of(self, alias: str) -> str:
        names = self._aliases.get(alias, set())
        return " or ".join(sorted(names)) or alias

    def _table(self, table: str) -> str:
        number = table[1:]
        if number.isdigit():
            if table[0] == "c":
                return self._catalogue.by_id[int(number)].name
            return self._property(int(number))
        return "what is in Mixed values"

    def _property(self, number: int) -> str:
        cls, prop = self._properties[number]
        return f"{cls.name}.{prop.name}"

    def _index(self, name: str) -> str:
        found = _INDEX.match(name)
        if found is None:
            return f"the index {name}"
        kind, number = found[1], int(found[2])
        if kind == "un" or (kind == "u" and self._catalogue.by_id[number].primary_key is None):
            return "the index of keys"
        if kind == "u":
            cls = self._catalogue.by_id[number]
            key = cls.primary_key
            named = f"{cls.name}.{key.name}" if key is not None else cls.name
        else:
            named = self._property(number)
        self.indexes[named] = None
        return f"the index of {named}"

    def _columns(self, condition: str) -> str:
        def name(found: re.Match[str]) -> str:
            known = self._properties.get(int(found[1]))
            return known[1].name if known is not None else found[0]

        return _COLUMN.sub(name, condition)
