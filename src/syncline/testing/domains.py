"""What random histories are made of: schemas, keys, values, and how often each operation occurs.

:data:`STANDARD` has everything. Two transactions on all of it seldom meet: give each history a domain of its own that
:func:`focused` draws from it, and all peers of the history the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from syncline.testing.choices import Choices, pick_weighted

__all__ = ["KEYS", "STANDARD", "VALUES", "Domain", "focused", "properties"]

Json: TypeAlias = Any

#: Primary keys by their type, in the order in which a domain uses them.
KEYS: Final[dict[str, tuple[Json, ...]]] = {
    "int": tuple({"int": number} for number in (1, 2, 3, 4, -(2**63), 2**63 - 1)),
    "string": tuple({"str": text} for text in ("a", "b", "", "é", "c.d", "$e")),
    "objectid": tuple({"oid": f"{number:024x}"} for number in range(1, 7)),
    "uuid": tuple({"uuid": f"00000000-0000-4000-8000-{number:012x}"} for number in range(1, 7)),
}

#: Values by their type, the simplest first: few, so that equal ones meet, and the odd ones of each type.
VALUES: Final[dict[str, tuple[Json, ...]]] = {
    "int": tuple({"int": number} for number in (0, 1, 2, 3, -1, 2**63 - 1, -(2**63))),
    "bool": ({"bool": False}, {"bool": True}),
    "string": ({"str": ""}, {"str": "a"}, {"str": "b"}, {"str": "été"}, {"strhex": "ff00"}),
    "binary": ({"bin": ""}, {"bin": "00"}, {"bin": "61ff"}),
    "timestamp": ({"ts": [0, 0]}, {"ts": [1, 5]}, {"ts": [-1, -100_000_000]}),
    "float": ({"float": 0.0}, {"float": 1.0}, {"float": 0.1}, {"float": -0.0}, {"float": "nan"}, {"float": "inf"}),
    "double": ({"double": 0.0}, {"double": 1.0}, {"double": 0.1}, {"double": -0.0}, {"double": "-inf"}),
    "decimal": ({"dec": "0"}, {"dec": "1"}, {"dec": "1.00"}, {"dec": "-1E+10"}, {"dec": "NaN"}),
    "objectid": ({"oid": "0" * 24}, {"oid": "64b0" + "1" * 20}),
    "uuid": ({"uuid": "00000000-0000-0000-0000-000000000000"}, {"uuid": "12345678-1234-4234-8234-123456789abc"}),
}


def properties(**types: str) -> list[Json]:
    """JSON forms of properties from texts as in a dump: ``int?``, ``link:Dog``, ``mixed[]``, ``text<>``, ``int{}``."""
    marks = {"[]": "list", "<>": "set", "{}": "dict"}
    forms = []
    for name, text in types.items():
        form: dict[str, Json] = {"name": name}
        if text[-2:] in marks:
            form["collection"] = marks[text[-2:]]
            text = text[:-2]
        if text.endswith("?"):
            form["nullable"] = True
            text = text[:-1]
        form["type"], _, target = text.partition(":")
        if target:
            form["target"] = target
        forms.append(form)
    return forms


_CLASSES: Final[tuple[Json, ...]] = (
    {
        "name": "Address",
        "embedded": True,
        "props": properties(
            street="string?", zip="int", any="mixed", numbers="int[]", sub="link:Address", who="link:Person"
        ),
    },
    {
        "name": "Person",
        "pk": {"name": "_id", "type": "int"},
        "props": properties(
            age="int",
            count="int?",
            name="string?",
            any="mixed",
            best="link:Person",
            dog="link:Dog",
            address="link:Address",
            ints="int[]",
            texts="string?[]",
            anys="mixed[]",
            friends="link:Person[]",
            dogs="link:Dog[]",
            addresses="link:Address[]",
            int_set="int?<>",
            any_set="mixed<>",
            friend_set="link:Person<>",
            int_dict="int?{}",
            any_dict="mixed{}",
            friend_dict="link:Person{}",
            address_dict="link:Address{}",
        ),
    },
    {"name": "Dog", "props": properties(age="int", owner="link:Person", any="mixed", mates="link:Dog[]")},
    {
        "name": "Tag",
        "pk": {"name": "text", "type": "string", "nullable": True},
        "props": properties(
            flag="bool",
            data="binary?",
            at="timestamp",
            single="float",
            real="double?",
            money="decimal",
            oid="objectid?",
            uuid="uuid",
            reals="double[]",
            moneys="decimal<>",
            flags="bool{}",
        ),
    },
    {
        "name": "Metric",
        "asymmetric": True,
        "pk": {"name": "_id", "type": "objectid"},
        "props": properties(value="double"),
    },
)

_ADDITIONS: Final[tuple[Json, ...]] = (
    {"name": "Person", "props": properties(nick="string?", more="mixed[]", total="int")},
    {"name": "Note", "pk": {"name": "_id", "type": "uuid"}, "props": properties(text="string", about="link:Person")},
    {"name": "Address", "props": properties(lines="string[]")},
)

#: What a transaction consists of. Where an operation is not possible, another one takes its place.
_WEIGHTS: Final[Mapping[str, int]] = {"change": 180, "create": 12, "erase": 4, "clear_class": 1, "schema": 3}


@dataclass(frozen=True)
class Domain:
    """What may occur in random histories; vary one with :func:`dataclasses.replace`."""

    #: the schema to begin with, in the form of the operation ``schema``
    classes: Sequence[Json]
    #: classes, and more properties of classes, that may be added on the way
    additions: Sequence[Json] = ()
    #: how often an operation is one of ``change``, ``create``, ``erase``, ``clear_class``, ``schema`` (additions)
    weights: Mapping[str, int] = field(default_factory=lambda: _WEIGHTS)
    #: may classes and properties be erased, and added again? How often: 6 of 200 operations
    schema_removal: bool = False
    #: may elements be moved in lists of Mixed and of embedded objects? Against realm-core they must not
    nested_moves: bool = True
    #: may embedded objects be put into dictionaries?
    embedded_dictionaries: bool = True
    #: how many keys a class has, of :data:`KEYS`
    keys: int = 3
    #: keys of dictionaries
    entries: Sequence[str] = ("a", "b", "")
    #: values by type, the simplest first
    values: Mapping[str, Sequence[Json]] = field(default_factory=lambda: VALUES)
    #: which properties of which classes are used; classes that are not mentioned stay empty, but for embedded ones
    focus: Mapping[str, Sequence[str]] | None = None
    #: collections grow no longer than this
    max_size: int = 4
    #: collections in a Mixed are nested no deeper than this
    max_depth: int = 2


#: Every type, every collection, every kind of class.
STANDARD: Final = Domain(_CLASSES, _ADDITIONS)


def focused(choices: Choices, domain: Domain, properties: int = 3) -> Domain:
    """``domain`` reduced to a few objects of one class, ``properties`` of its properties, and what these link to."""
    classes = {form["name"]: form for form in domain.classes}
    embedded = {name for name, form in classes.items() if form.get("embedded")}
    tops = {name: len(form["props"]) for name, form in classes.items() if not form.keys() & {"embedded", "asymmetric"}}
    focus: dict[str, list[str]] = {}
    waiting = [pick_weighted(choices, tops)]
    while waiting:
        name = waiting.pop()
        left = {prop["name"]: prop for prop in classes[name]["props"]}
        focus[name] = []
        for _ in range(min(properties, len(left))):
            chosen = left.pop(pick_weighted(choices, {one: _interest(prop, embedded) for one, prop in left.items()}))
            focus[name].append(chosen["name"])
            target = chosen.get("target")
            if target is not None and target not in focus and target not in waiting:
                waiting.append(target)
    return replace(domain, focus=focus, keys=choices.integer(1, 2))


def _interest(prop: Json, embedded: Collection[str]) -> int:
    """How often a property is chosen: the more, the more can happen inside it."""
    if prop["type"] == "mixed" or prop.get("target") in embedded:
        return 6
    return 2 if "collection" in prop else 1
