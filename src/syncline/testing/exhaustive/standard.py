"""The domain that ships with Syncline: every operation of every type, on an object that has one of everything.

One object of class ``T`` holds a value of every type, every collection, embedded objects in all three kinds of places,
and nested collections; beside it are objects to link to, one without primary key, and a class nobody links to.
"""

from __future__ import annotations

from typing import Any, Final

from syncline.testing.exhaustive.cases import Plan
from syncline.testing.exhaustive.domain import Domain, Edit

__all__ = ["STANDARD", "standard_plans"]

_SCALARS: Final[dict[str, Any]] = {
    "b": ("bool", True),
    "bn": ("binary", {"bin": "00ff"}),
    "ts": ("timestamp", {"ts": [5, 7]}),
    "f": ("float", {"float": 1.5}),
    "d": ("double", {"double": 2.5}),
    "dc": ("decimal", {"dec": "1.25"}),
    "oi": ("objectid", {"oid": "00112233445566778899aabb"}),
    "uu": ("uuid", {"uuid": "00112233-4455-6677-8899-aabbccddeeff"}),
}


def _prop(name: str, type: str, collection: str | None = None, **more: Any) -> dict[str, Any]:
    form: dict[str, Any] = {"name": name, "type": type, **more}
    if collection is not None:
        form["collection"] = collection
    return form


_EMBEDDED: Final[dict[str, Any]] = {
    "name": "E",
    "embedded": True,
    "props": [_prop("v", "int"), _prop("li", "int", "list"), _prop("e", "link", target="E")],
}
_EVERYTHING: Final[dict[str, Any]] = {
    "name": "T",
    "pk": {"name": "_id", "type": "int"},
    "props": [
        _prop("n", "int"),
        _prop("ni", "int", nullable=True),
        _prop("s", "string", nullable=True),
        *(_prop(name, type) for name, (type, _) in _SCALARS.items()),
        _prop("mx", "mixed"),
        _prop("ml", "mixed"),
        _prop("md", "mixed"),
        _prop("lk", "link", target="L"),
        _prop("em", "link", target="E"),
        _prop("li", "int", "list"),
        _prop("ll", "link", "list", target="L"),
        _prop("lm", "mixed", "list"),
        _prop("le", "link", "list", target="E"),
        _prop("si", "int", "set"),
        _prop("sm", "mixed", "set"),
        _prop("sl", "link", "set", target="L"),
        _prop("di", "int", "dict"),
        _prop("dl", "link", "dict", target="L"),
        _prop("dm", "mixed", "dict"),
        _prop("de", "link", "dict", target="E"),
    ],
}
_SCHEMA: Final[list[dict[str, Any]]] = [
    _EMBEDDED,
    _EVERYTHING,
    {"name": "L", "pk": {"name": "_id", "type": "int"}, "props": [_prop("n", "int"), _prop("t", "link", target="T")]},
    {"name": "K", "props": [_prop("n", "int"), _prop("lk", "link", target="L")]},
    {"name": "U", "pk": {"name": "_id", "type": "string"}, "props": [_prop("n", "int")]},
]
_LINK: Final = {"link": ["L", {"int": 2}]}
_OTHER_LINK: Final = {"link": ["L", {"int": 3}]}
_OBJECTS: Final[list[dict[str, Any]]] = [
    {"op": "create", "class": "L", "pk": 2},
    {"op": "create", "class": "L", "pk": 3},
    {
        "op": "create",
        "class": "T",
        "pk": 1,
        "values": {
            "n": 1,
            "ni": 1,
            "s": "a",
            "mx": 1,
            "ml": {"list": [1, 2]},
            "md": {"dict": {"a": 1, "l": {"list": [1, 2]}}},
            "em": {"obj": {"v": 1, "li": {"list": [1, 2]}}},
            "li": {"list": [10, 11, 12]},
            "ll": {"list": [_LINK, _OTHER_LINK]},
            "lm": {"list": [1, {"list": [1, 2]}, {"dict": {"a": 1}}]},
            "le": {"list": [{"obj": {"v": 1, "li": {"list": [1, 2]}}}, {"obj": {"v": 2}}]},
            "si": {"set": [1, 2]},
            "sm": {"set": [1, "a"]},
            "sl": {"set": [_LINK]},
            "di": {"dict": {"a": 1, "b": 2}},
            "dl": {"dict": {"a": _LINK}},
            "dm": {"dict": {"a": 1, "l": {"list": [1, 2]}, "d": {"dict": {"x": 1}}}},
            "de": {"dict": {"a": {"obj": {"v": 1, "li": {"list": [1, 2]}}}}},
        },
    },
    {"op": "create", "class": "K", "values": {"n": 1}},
    {"op": "create", "class": "U", "pk": "u", "values": {"n": 1}},
]


def _on(op: str, *path: str | int, **operands: Any) -> dict[str, Any]:
    """An operation on the object that has everything."""
    return {"op": op, "class": "T", "obj": 1, "path": list(path), **operands}


def _move(*path: str | int, source: int, target: int) -> dict[str, Any]:
    return _on("list_move", *path, **{"from": source, "to": target})


def _one(name: str, **operation: Any) -> Edit:
    return Edit(name, [operation])


def _values() -> list[Edit]:
    edits = [
        Edit("n=5", [_on("set", "n", value=5)]),
        Edit("n=6", [_on("set", "n", value=6)]),
        Edit("n:=7", [_on("set", "n", value=7, is_default=True)]),
        Edit("n.add2", [_on("add_int", "n", value=2)]),
        Edit("ni=5", [_on("set", "ni", value=5)]),
        Edit("ni=null", [_on("set", "ni", value=None)]),
        Edit("ni.add2", [_on("add_int", "ni", value=2)]),
        Edit("s=x", [_on("set", "s", value="x")]),
        Edit("s=null", [_on("set", "s", value=None)]),
        Edit("mx=5", [_on("set", "mx", value=5)]),
        Edit("mx=x", [_on("set", "mx", value="x")]),
        Edit("mx=null", [_on("set", "mx", value=None)]),
        Edit("mx=link", [_on("set", "mx", value=_LINK)]),
        Edit("mx=list", [_on("set", "mx", value={"list": [7]})]),
        Edit("mx=dict", [_on("set", "mx", value={"dict": {"k": 7}})]),
        Edit("mx.add2", [_on("add_int", "mx", value=2)]),
        Edit("lk=2", [_on("set", "lk", value=_LINK)]),
        Edit("lk=null", [_on("set", "lk", value=None)]),
    ]
    edits += [Edit(f"{name}=1", [_on("set", name, value=value)]) for name, (_, value) in _SCALARS.items()]
    return edits


def _list(name: str, *path: str | int, values: tuple[Any, Any], size: int) -> list[Edit]:
    """Every operation of a list of ``size`` elements; ``values`` are what to put in."""
    first, second = values
    edits = [
        Edit(f"{name}.insert0", [_on("list_insert", *path, index=0, value=first)]),
        Edit(f"{name}.insert1", [_on("list_insert", *path, index=1, value=second)]),
        Edit(f"{name}.add", [_on("list_insert", *path, value=first)]),
        Edit(f"{name}.set0", [_on("list_set", *path, index=0, value=first)]),
        Edit(f"{name}.set1", [_on("list_set", *path, index=1, value=second)]),
        Edit(f"{name}.erase0", [_on("list_erase", *path, index=0)]),
        Edit(f"{name}.erase1", [_on("list_erase", *path, index=1)]),
        Edit(f"{name}.move01", [_move(*path, source=0, target=1)]),
        Edit(f"{name}.clear", [_on("list_clear", *path)]),
    ]
    if size > 2:
        edits.append(Edit(f"{name}.move02", [_move(*path, source=0, target=2)]))
        edits.append(Edit(f"{name}.move20", [_move(*path, source=2, target=0)]))
    return edits


def _lists() -> list[Edit]:
    return [
        *_list("li", "li", values=(5, 6), size=3),
        *_list("ll", "ll", values=(_LINK, _OTHER_LINK), size=2),
        *_list("lm", "lm", values=(5, "x"), size=3),
        Edit("lm.insert0=list", [_on("list_insert", "lm", index=0, value={"list": [7]})]),
        Edit("lm.set1=list", [_on("list_set", "lm", index=1, value={"list": [7]})]),
        Edit("lm.set1=dict", [_on("list_set", "lm", index=1, value={"dict": {"k": 7}})]),
        Edit("lm[1].insert0", [_on("list_insert", "lm", 1, index=0, value=5)]),
        Edit("lm[1].set0", [_on("list_set", "lm", 1, index=0, value=5)]),
        Edit("lm[1].erase0", [_on("list_erase", "lm", 1, index=0)]),
        Edit("lm[1].move01", [_move("lm", 1, source=0, target=1)]),
        Edit("lm[1].clear", [_on("list_clear", "lm", 1)]),
        Edit("lm[2].a=5", [_on("dict_set", "lm", 2, key="a", value=5)]),
        Edit("lm[2].erase", [_on("dict_erase", "lm", 2, key="a")]),
        Edit("lm[2].clear", [_on("dict_clear", "lm", 2)]),
        *_list("le", "le", values=({"obj": {"v": 5}}, {"obj": {"v": 6}}), size=2),
        Edit("le[0].v=5", [_on("set", "le", 0, "v", value=5)]),
        Edit("le[1].v=6", [_on("set", "le", 1, "v", value=6)]),
        Edit("le[0].v.add2", [_on("add_int", "le", 0, "v", value=2)]),
        Edit("le[0].li.insert0", [_on("list_insert", "le", 0, "li", index=0, value=5)]),
        Edit("le[0].li.erase0", [_on("list_erase", "le", 0, "li", index=0)]),
        Edit("le[0].e=obj", [_on("set", "le", 0, "e", value={"obj": {"v": 5}})]),
    ]


def _mixed_collections() -> list[Edit]:
    return [
        Edit("ml=list", [_on("set", "ml", value={"list": [7]})]),
        Edit("ml=dict", [_on("set", "ml", value={"dict": {"k": 7}})]),
        Edit("ml=5", [_on("set", "ml", value=5)]),
        Edit("ml.insert0", [_on("list_insert", "ml", index=0, value=5)]),
        Edit("ml.set0", [_on("list_set", "ml", index=0, value=6)]),
        Edit("ml.erase0", [_on("list_erase", "ml", index=0)]),
        Edit("ml.move01", [_move("ml", source=0, target=1)]),
        Edit("ml.clear", [_on("list_clear", "ml")]),
        Edit("md=list", [_on("set", "md", value={"list": [7]})]),
        Edit("md=dict", [_on("set", "md", value={"dict": {"k": 7}})]),
        Edit("md=null", [_on("set", "md", value=None)]),
        Edit("md.a=5", [_on("dict_set", "md", key="a", value=5)]),
        Edit("md.a=list", [_on("dict_set", "md", key="a", value={"list": [7]})]),
        Edit("md.erase", [_on("dict_erase", "md", key="l")]),
        Edit("md.clear", [_on("dict_clear", "md")]),
        Edit("md.l.insert0", [_on("list_insert", "md", "l", index=0, value=5)]),
        Edit("md.l.erase0", [_on("list_erase", "md", "l", index=0)]),
        Edit("md.l.clear", [_on("list_clear", "md", "l")]),
        Edit("md.l=5", [_on("dict_set", "md", key="l", value=5)]),
    ]


def _embedded() -> list[Edit]:
    return [
        Edit("em=obj", [_on("set", "em", value={"obj": {"v": 5}})]),
        Edit("em=null", [_on("set", "em", value=None)]),
        Edit("em.v=5", [_on("set", "em", "v", value=5)]),
        Edit("em.v.add2", [_on("add_int", "em", "v", value=2)]),
        Edit("em.li.insert0", [_on("list_insert", "em", "li", index=0, value=5)]),
        Edit("em.li.clear", [_on("list_clear", "em", "li")]),
        Edit("em.e=obj", [_on("set", "em", "e", value={"obj": {"v": 6}})]),
        Edit("de.a=obj", [_on("dict_set", "de", key="a", value={"obj": {"v": 5}})]),
        Edit("de.b=obj", [_on("dict_set", "de", key="b", value={"obj": {"v": 6}})]),
        Edit("de.a=null", [_on("dict_set", "de", key="a", value=None)]),
        Edit("de.erase", [_on("dict_erase", "de", key="a")]),
        Edit("de.clear", [_on("dict_clear", "de")]),
        Edit("de.a.v=5", [_on("set", "de", "a", "v", value=5)]),
        Edit("de.a.v.add2", [_on("add_int", "de", "a", "v", value=2)]),
        Edit("de.a.li.insert0", [_on("list_insert", "de", "a", "li", index=0, value=5)]),
        Edit("de.a.li.erase0", [_on("list_erase", "de", "a", "li", index=0)]),
        Edit("de.a.e=obj", [_on("set", "de", "a", "e", value={"obj": {"v": 6}})]),
    ]


def _sets() -> list[Edit]:
    return [
        Edit("si.add9", [_on("set_insert", "si", value=9)]),
        Edit("si.add8", [_on("set_insert", "si", value=8)]),
        Edit("si.erase1", [_on("set_erase", "si", value=1)]),
        Edit("si.erase2", [_on("set_erase", "si", value=2)]),
        Edit("si.clear", [_on("set_clear", "si")]),
        Edit("sm.addx", [_on("set_insert", "sm", value="x")]),
        Edit("sm.add2", [_on("set_insert", "sm", value=2)]),
        Edit("sm.add2.0", [_on("set_insert", "sm", value={"double": 2.0})]),
        Edit("sm.erase1", [_on("set_erase", "sm", value=1)]),
        Edit("sm.erase1.0", [_on("set_erase", "sm", value={"double": 1.0})]),
        Edit("sm.clear", [_on("set_clear", "sm")]),
        Edit("sl.add3", [_on("set_insert", "sl", value=_OTHER_LINK)]),
        Edit("sl.erase2", [_on("set_erase", "sl", value=_LINK)]),
        Edit("sl.clear", [_on("set_clear", "sl")]),
    ]


def _dictionaries() -> list[Edit]:
    return [
        Edit("di.a=5", [_on("dict_set", "di", key="a", value=5)]),
        Edit("di.c=6", [_on("dict_set", "di", key="c", value=6)]),
        Edit("di.erase", [_on("dict_erase", "di", key="a")]),
        Edit("di.clear", [_on("dict_clear", "di")]),
        Edit("dl.a=3", [_on("dict_set", "dl", key="a", value=_OTHER_LINK)]),
        Edit("dl.b=2", [_on("dict_set", "dl", key="b", value=_LINK)]),
        Edit("dl.erase", [_on("dict_erase", "dl", key="a")]),
        Edit("dm.a=x", [_on("dict_set", "dm", key="a", value="x")]),
        Edit("dm.a=list", [_on("dict_set", "dm", key="a", value={"list": [7]})]),
        Edit("dm.a=dict", [_on("dict_set", "dm", key="a", value={"dict": {"k": 7}})]),
        Edit("dm.l=5", [_on("dict_set", "dm", key="l", value=5)]),
        Edit("dm.l=dict", [_on("dict_set", "dm", key="l", value={"dict": {"k": 7}})]),
        Edit("dm.l=list", [_on("dict_set", "dm", key="l", value={"list": [7]})]),
        Edit("dm.l.insert0", [_on("list_insert", "dm", "l", index=0, value=5)]),
        Edit("dm.l.set0", [_on("list_set", "dm", "l", index=0, value=6)]),
        Edit("dm.l.erase0", [_on("list_erase", "dm", "l", index=0)]),
        Edit("dm.l.clear", [_on("list_clear", "dm", "l")]),
        Edit("dm.erasel", [_on("dict_erase", "dm", key="l")]),
        Edit("dm.d.x=5", [_on("dict_set", "dm", "d", key="x", value=5)]),
        Edit("dm.d.y=list", [_on("dict_set", "dm", "d", key="y", value={"list": [7]})]),
        Edit("dm.d.clear", [_on("dict_clear", "dm", "d")]),
        Edit("dm.clear", [_on("dict_clear", "dm")]),
    ]


def _objects() -> list[Edit]:
    return [
        _one("create3", op="create", **{"class": "T"}, pk=3, values={"n": 3, "lk": _LINK}),
        _one("create3.defaults", op="create", **{"class": "T"}, pk=3, defaults={"n": 4, "s": "d"}),
        _one("eraseT", op="erase", **{"class": "T"}, obj=1),
        _one("clear.T", op="clear_class", **{"class": "T"}),
        _one("eraseL", op="erase", **{"class": "L"}, obj=2),
        _one("clear.L", op="clear_class", **{"class": "L"}),
        _one("L.n=5", op="set", **{"class": "L"}, obj=2, path=["n"], value=5),
        _one("L.t=1", op="set", **{"class": "L"}, obj=2, path=["t"], value={"link": ["T", {"int": 1}]}),
        _one("createK", op="create", **{"class": "K"}, values={"n": 5, "lk": _LINK}),
        _one("clear.K", op="clear_class", **{"class": "K"}),
        _one("createU", op="create", **{"class": "U"}, pk="w", values={"n": 5}),
        _one("eraseU", op="erase", **{"class": "U"}, obj={"str": "u"}),
        _one("U.n=5", op="set", **{"class": "U"}, obj={"str": "u"}, path=["n"], value=5),
        Edit(
            "againL",
            [
                {"op": "erase", "class": "L", "obj": 2},
                {"op": "create", "class": "L", "pk": 2, "values": {"n": 9}},
            ],
        ),
        Edit(
            "againT",
            [
                {"op": "erase", "class": "T", "obj": 1},
                {"op": "create", "class": "T", "pk": 1, "values": {"n": 9, "li": {"list": [1]}}},
            ],
        ),
    ]


def _schema_changes() -> list[Edit]:
    new_class = {"name": "N", "pk": {"name": "_id", "type": "int"}, "props": [_prop("n", "int")]}
    other_class = {"name": "N", "pk": {"name": "_id", "type": "string"}, "props": [_prop("n", "int")]}
    linking = {"name": "M", "pk": {"name": "_id", "type": "int"}, "props": [_prop("u", "link", target="U")]}
    return [
        _one("add.N", op="schema", classes=[new_class]),
        _one("add.N.string", op="schema", classes=[other_class]),
        _one("add.M", op="schema", classes=[linking]),
        _one("add.T.x", op="schema", classes=[{"name": "T", "props": [_prop("x", "int")]}]),
        _one("add.T.x.string", op="schema", classes=[{"name": "T", "props": [_prop("x", "string")]}]),
        _one("add.E.x", op="schema", classes=[{"name": "E", "props": [_prop("x", "int", "list")]}]),
        _one("add.T.u", op="schema", classes=[{"name": "T", "props": [_prop("u", "link", "list", target="U")]}]),
        _one("drop.U", op="erase_class", **{"class": "U"}),
        _one("drop.K", op="erase_class", **{"class": "K"}),
        *(
            _one(f"drop.T.{name}", op="erase_prop", **{"class": "T"}, prop=name)
            for name in ("n", "mx", "ml", "md", "lk", "em", "li", "ll", "lm", "le", "si", "sl", "di", "dm", "de")
        ),
        *(_one(f"drop.E.{name}", op="erase_prop", **{"class": "E"}, prop=name) for name in ("v", "li", "e")),
        _one("drop.U.n", op="erase_prop", **{"class": "U"}, prop="n"),
        _one("mx=U", op="set", **{"class": "T"}, obj=1, path=["mx"], value={"link": ["U", {"str": "u"}]}),
        _one("lm.add=U", op="list_insert", **{"class": "T"}, obj=1, path=["lm"], value={"link": ["U", {"str": "u"}]}),
        _one("sm.add=U", op="set_insert", **{"class": "T"}, obj=1, path=["sm"], value={"link": ["U", {"str": "u"}]}),
    ]


STANDARD: Final = Domain(
    "all",
    _SCHEMA,
    _OBJECTS,
    [
        *_values(),
        *_lists(),
        *_mixed_collections(),
        *_embedded(),
        *_sets(),
        *_dictionaries(),
        *_objects(),
        *_schema_changes(),
    ],
)

#: Edits that have much to do with each other: longer histories and three peers are tried with these.
_FAMILIES: Final[dict[str, str]] = {
    "values": "n=5 n=6 n:=7 n.add2 ni=5 ni=null ni.add2",
    "mixed": "mx=5 mx=null mx=link mx=list mx=dict mx.add2",
    "list": "li.insert0 li.insert1 li.set0 li.erase0 li.erase1 li.move01 li.move20 li.clear",
    "links": "ll.insert0 ll.erase0 ll.set1 ll.move01 lk=2 dl.b=2 eraseL againL",
    "mixed-list": "lm.insert0 lm.erase1 lm.move01 lm.set1 lm.set1=list lm[1].insert0 lm[1].clear lm.clear",
    "list-in-mixed": "ml=list ml=dict ml=5 ml.insert0 ml.erase0 ml.move01 ml.clear",
    "dict-in-mixed": "md=dict md=list md=null md.a=5 md.erase md.clear md.l.insert0 md.l.clear",
    "embedded": "em=obj em=null em.v=5 em.v.add2 em.li.insert0 em.li.clear em.e=obj",
    "embedded-list": "le.insert0 le.set0 le.erase0 le.move01 le.clear le[0].v=5 le[1].v=6 le[0].li.insert0",
    "embedded-dict": "de.a=obj de.a=null de.erase de.clear de.a.v=5 de.a.v.add2 de.a.li.insert0",
    "sets": "si.add9 si.erase1 si.clear sm.add2 sm.add2.0 sm.erase1 sl.erase2",
    "dictionary": "di.a=5 di.erase di.clear dm.l=5 dm.l=list dm.l.insert0 dm.erasel dm.clear",
    "objects": "eraseT againT clear.T create3 create3.defaults n=5 li.insert0 L.t=1",
    "schema": "add.N add.T.x drop.T.li drop.U U.n=5 li.insert0 mx=U drop.E.v em.v=5",
}


def standard_plans() -> list[Plan]:
    """Every pair of edits; then, in each family, longer histories of two peers and single edits of three."""
    everything = tuple(STANDARD.edits.values())
    plans = [Plan("pairs", STANDARD, everything, ((1,), (1,)), ("1-2", "2-1", "1-1"), ("AB", "BA"))]
    for family, names in _FAMILIES.items():
        edits = tuple(map(STANDARD.edit, names.split()))
        plans += [
            Plan(f"{family}-two", STANDARD, edits, ((2,), (1,)), ("1-2", "2-1"), ("AB", "BA")),
            Plan(
                f"{family}-then",
                STANDARD,
                edits,
                ((1, 1), (1,)),
                ("12-3", "13-2", "23-1"),
                ("AAB", "ABA", "BAA", "aba", "baa"),
            ),
            Plan(
                f"{family}-three",
                STANDARD,
                edits,
                ((1,), (1,), (1,)),
                ("1-2-3", "1-3-2", "2-1-3", "2-3-1", "3-1-2", "3-2-1", "1-1-1"),
                ("ABC", "ACB", "BAC", "BCA", "CAB", "CBA", "abc", "cba"),
            ),
        ]
    return plans
