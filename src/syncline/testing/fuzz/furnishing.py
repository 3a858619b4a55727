"""What is in the Realm that changesets are applied to: something of every type, in every collection, and tombstones.

Written out instead of chosen at random: inputs that are kept must mean the same for ever.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from syncline.changesets.instructions import EraseObject, Instruction
from syncline.testing.domains import STANDARD
from syncline.values import GlobalKey

__all__ = ["BURIED", "FILE_IDENT", "OPERATIONS"]

Json: TypeAlias = Any

#: Of the Realm: the high part of its own GlobalKeys.
FILE_IDENT: Final = 7


def _person(key: int) -> Json:
    return {"link": ["Person", {"int": key}]}


def _dog(number: int) -> Json:
    return {"link": ["Dog", {"gk": [FILE_IDENT, number]}]}


def _create(class_name: str, key: Json = None, **values: Json) -> Json:
    form = {"op": "create", "class": class_name, "values": values}
    return form if class_name == "Dog" else form | {"pk": key}


#: Local operations, carried out in one transaction.
OPERATIONS: Final[tuple[Json, ...]] = (
    {"op": "schema", "classes": list(STANDARD.classes)},
    _create("Dog", age={"int": 1}),
    _create("Dog", age={"int": 2}, any={"str": "a"}),
    _create("Dog", age={"int": 3}, any={"dict": {"a": {"int": 1}}}),
    _create("Person", {"int": 3}, age={"int": 30}),
    _create("Person", {"int": 2}, age={"int": 2**63 - 1}, any={"int": 5}, best=_person(3), dog=_dog(2)),
    _create(
        "Person",
        {"int": 1},
        age={"int": 1},
        count={"int": 1},
        name={"str": "a"},
        any={"dict": {"a": {"list": [{"int": 1}, _dog(2), {"list": []}]}, "b": {"str": "b"}}},
        best=_person(2),
        dog=_dog(0),
        address={
            "obj": {
                "street": {"str": "a"},
                "any": {"list": [{"int": 1}]},
                "numbers": {"list": [{"int": 1}, {"int": 2}]},
                "sub": {"obj": {"who": _person(3)}},
                "who": _person(2),
            }
        },
        ints={"list": [{"int": 1}, {"int": 2}, {"int": 3}]},
        texts={"list": [{"str": "a"}, None, {"strhex": "ff00"}]},
        anys={"list": [{"int": 1}, {"dict": {"a": {"int": 1}}}, {"list": [{"str": "a"}]}, _person(3)]},
        friends={"list": [_person(3), _person(2), _person(3)]},
        dogs={"list": [_dog(0), _dog(1), _dog(2)]},
        addresses={"list": [{"obj": {"zip": {"int": 1}}}, {"obj": {"sub": {"obj": {}}}}]},
        int_set={"set": [{"int": 1}, {"int": 2}, None]},
        any_set={"set": [{"int": 1}, {"str": "1"}, _dog(2)]},
        friend_set={"set": [_person(2), _person(3)]},
        int_dict={"dict": {"a": {"int": 1}, "b": None}},
        any_dict={"dict": {"a": {"list": [{"int": 1}]}, "b": _dog(2), "": {"int": 1}}},
        friend_dict={"dict": {"a": _person(3), "b": None}},
        address_dict={"dict": {"a": {"obj": {"street": {"str": "a"}}}}},
    ),
    {"op": "set", "class": "Dog", "obj": {"gk": [FILE_IDENT, 0]}, "path": ["owner"], "value": _person(1)},
    {"op": "set", "class": "Dog", "obj": {"gk": [FILE_IDENT, 1]}, "path": ["owner"], "value": _person(3)},
    {"op": "list_insert", "class": "Dog", "obj": {"gk": [FILE_IDENT, 0]}, "path": ["mates"], "value": _dog(2)},
    _create(
        "Tag",
        {"str": "a"},
        flag={"bool": True},
        data={"bin": "00"},
        at={"ts": [-1, -100_000_000]},
        single={"float": 0.1},
        real={"double": "nan"},
        money={"dec": "1.00"},
        oid={"oid": "0" * 24},
        reals={"list": [{"double": -0.0}, {"double": 1.5}]},
        moneys={"set": [{"dec": "1"}, {"dec": "-1E+10"}]},
        flags={"dict": {"a": {"bool": True}}},
    ),
    _create("Tag", None),
)

#: Objects that are then erased as others erase them: links to them stay, hidden.
BURIED: Final[tuple[Instruction, ...]] = (EraseObject("Person", 3), EraseObject("Dog", GlobalKey(FILE_IDENT, 2)))
